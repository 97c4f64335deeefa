// A decoder model's shape as data. Every architecture merit runs is a mapping from its own config onto this record and
// a weight-name table (weight_names.h); nothing else in the module knows an architecture by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "merit/core/json.h"

namespace merit::formats {
class GgufFile;
}

namespace merit::nn {

// How rotary frequencies are changed for long contexts.
enum class RopeScaling {
  kNone,
  kLinear,  // every frequency divided by `rope_factor`
  kLlama3,  // Llama 3.1: long wavelengths divided by `rope_factor`, short ones kept, a linear ramp between
};

struct ModelConfig {
  std::string architecture = "llama";  // the model_type of its config.json
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn_size = 0;
  int64_t max_positions = 0;
  double rms_eps = 1e-5;

  double rope_theta = 10000.0;
  RopeScaling rope_scaling = RopeScaling::kNone;
  double rope_factor = 1.0;
  double rope_low_freq_factor = 1.0;  // kLlama3 only, as the two below
  double rope_high_freq_factor = 4.0;
  int64_t rope_original_max_positions = 0;

  bool tie_embeddings = false;  // the vocabulary projection is the token embedding
  bool qkv_bias = false;
  bool out_bias = false;  // on the attention output projection
  bool mlp_bias = false;

  int32_t bos_id = -1;  // -1: none
  int32_t pad_id = -1;
  std::vector<int32_t> eos_ids;
  int64_t num_labels = 0;  // of a sequence-classification folder, 0 for a language model

  int64_t q_size() const { return heads * head_dim; }
  int64_t kv_size() const { return kv_heads * head_dim; }
  // head_dim / 2 angles a position, in radians: the scaling is applied.
  std::vector<double> rope_frequencies() const;
  // Parameters a token passes through, the embedding and the vocabulary projection left out: the N of 2 * N FLOP.
  int64_t non_embedding_parameters() const;
};

// From the text of a config.json. Error(kUnsupported) names the architecture or the setting that has an effect merit
// does not compute; Error(kData) names a missing or impossible size.
ModelConfig config_from_hf(const Json& config, const std::string& where);

// From GGUF metadata (general.architecture and its keys).
ModelConfig config_from_gguf(const formats::GgufFile& file);

// The config.json that transformers loads: of a causal language model, or of a sequence classifier where num_labels
// says so. `dtype` is the name there: "float32", "bfloat16" or "float16".
OrderedJson to_hf_config(const ModelConfig& config, const std::string& dtype);

}  // namespace merit::nn
