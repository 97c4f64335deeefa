// The names of weights, and of architectures, in Hugging Face folders and GGUF files: the tables a new architecture of
// the same shape adds a row to. GGUF names: the tensor list of the GGUF specification.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace merit::nn {

struct Architecture {
  std::string_view model_type;  // in config.json
  std::string_view hf_class;    // of its causal language model
  std::string_view gguf;        // general.architecture; empty if GGUF has no such model of its own
  bool qkv_bias;                // whether q, k and v always have a bias, whatever the config says
  bool gguf_interleaved_rope;   // GGUF keeps the two halves of a rotary pair in neighbouring rows
};

std::span<const Architecture> architectures();
// Null if merit does not run it.
const Architecture* find_architecture(std::string_view model_type);
const Architecture* find_gguf_architecture(std::string_view name);

enum class Part {
  kEmbedding,
  kAttentionNorm,
  kQuery,
  kKey,
  kValue,
  kOut,
  kMlpNorm,
  kGate,
  kUp,
  kDown,
  kFinalNorm,
  kVocab,
};
enum class Container { kHuggingFace, kGguf };

// "model.layers.3.self_attn.q_proj.weight"; `layer` is ignored for parts outside layers.
std::string weight_name(Container container, Part part, int64_t layer = 0, bool bias = false);

}  // namespace merit::nn
