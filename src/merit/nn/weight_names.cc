#include "merit/nn/weight_names.h"

#include <algorithm>

#include "merit/core/error.h"

namespace merit::nn {
namespace {

constexpr Architecture kArchitectures[] = {
    {"llama", "LlamaForCausalLM", "llama", false, true},
    {"mistral", "MistralForCausalLM", "", false, true},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", true, false},
};

struct PartName {
  Part part;
  bool in_layer;
  std::string_view hf;
  std::string_view gguf;
};

constexpr PartName kParts[] = {
    {Part::kEmbedding, false, "model.embed_tokens", "token_embd"},
    {Part::kAttentionNorm, true, "input_layernorm", "attn_norm"},
    {Part::kQuery, true, "self_attn.q_proj", "attn_q"},
    {Part::kKey, true, "self_attn.k_proj", "attn_k"},
    {Part::kValue, true, "self_attn.v_proj", "attn_v"},
    {Part::kOut, true, "self_attn.o_proj", "attn_output"},
    {Part::kMlpNorm, true, "post_attention_layernorm", "ffn_norm"},
    {Part::kGate, true, "mlp.gate_proj", "ffn_gate"},
    {Part::kUp, true, "mlp.up_proj", "ffn_up"},
    {Part::kDown, true, "mlp.down_proj", "ffn_down"},
    {Part::kFinalNorm, false, "model.norm", "output_norm"},
    {Part::kVocab, false, "lm_head", "output"},
};

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture* find_architecture(std::string_view model_type) {
  for (const Architecture& row : kArchitectures) {
    if (row.model_type == model_type) return &row;
  }
  return nullptr;
}

const Architecture* find_gguf_architecture(std::string_view name) {
  for (const Architecture& row : kArchitectures) {
    if (!row.gguf.empty() && row.gguf == name) return &row;
  }
  return nullptr;
}

std::string weight_name(Container container, Part part, int64_t layer, bool bias) {
  const auto* row =
      std::find_if(std::begin(kParts), std::end(kParts), [&](const PartName& p) { return p.part == part; });
  MERIT_CHECK(row != std::end(kParts));
  const char* suffix = bias ? ".bias" : ".weight";
  if (container == Container::kHuggingFace) {
    return row->in_layer ? fmt::format("model.layers.{}.{}{}", layer, row->hf, suffix)
                         : fmt::format("{}{}", row->hf, suffix);
  }
  return row->in_layer ? fmt::format("blk.{}.{}{}", layer, row->gguf, suffix) : fmt::format("{}{}", row->gguf, suffix);
}

}  // namespace merit::nn
