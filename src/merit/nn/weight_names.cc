#include "merit/nn/weight_names.h"

#include "merit/core/error.h"

namespace merit::nn {

std::string weight_name(std::string_view pattern, int64_t layer, int64_t expert, bool bias) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.substr(i, 3) == "{L}") {
      out += std::to_string(layer);
      i += 2;
    } else if (pattern.substr(i, 3) == "{E}") {
      out += std::to_string(expert);
      i += 2;
    } else {
      out += pattern[i];
    }
  }
  return out + (bias ? ".bias" : ".weight");
}

RowRange piece_rows(const ModelConfig& c, Slot slot, Piece piece) {
  switch (slot) {
    case Slot::kEmbedding:
    case Slot::kVocab:
      return {0, c.vocab_size};
    case Slot::kPositions:
      return {0, c.max_positions};
    case Slot::kRouter:
      return {0, c.experts};
    case Slot::kQueryNorm:
      return {0, c.qk_norm == QkNorm::kHead ? c.head_dim : c.q_size()};
    case Slot::kKeyNorm:
      return {0, c.qk_norm == QkNorm::kHead ? c.head_dim : c.kv_size()};
    case Slot::kQkv:
      if (piece == Piece::kQuery) return {0, c.q_size()};
      if (piece == Piece::kKey) return {c.q_size(), c.kv_size()};
      if (piece == Piece::kValue) return {c.q_size() + c.kv_size(), c.kv_size()};
      return {0, c.q_size() + 2 * c.kv_size()};
    case Slot::kGateUp:
    case Slot::kExpertGateUp: {
      const int64_t rows = slot == Slot::kGateUp ? c.ffn_size : c.expert_ffn_size;
      if (!c.gated) return {0, rows};
      if (piece == Piece::kGate) return {0, rows};
      if (piece == Piece::kUp) return {rows, rows};
      return {0, 2 * rows};
    }
    default:
      return {0, c.hidden_size};
  }
}

int64_t row_in_slot(const ModelConfig& c, Layout layout, int64_t row) {
  const int64_t d = c.head_dim;
  const int64_t head = row / d;
  const int64_t at = row % d;
  const int64_t keys = c.q_size();
  const int64_t values = keys + c.kv_size();
  switch (layout) {
    case Layout::kHeadTriples: {
      const int64_t first[3] = {0, keys, values};
      return first[head % 3] + head / 3 * d + at;
    }
    case Layout::kGroups: {
      const int64_t queries = c.heads / c.kv_heads;
      const int64_t group = head / (queries + 2);
      const int64_t within = head % (queries + 2);
      if (within < queries) return (group * queries + within) * d + at;
      return (within == queries ? keys : values) + group * d + at;
    }
    case Layout::kRopePairs:
      return head * d + at % 2 * (d / 2) + at / 2;
    default:
      return row;
  }
}

namespace {

using enum Slot;
using enum Piece;

constexpr WeightName kLlamaTable[] = {
    {kEmbedding, kWhole, "model.embed_tokens"},
    {kAttentionNorm, kWhole, "model.layers.{L}.input_layernorm"},
    {kQkv, kQuery, "model.layers.{L}.self_attn.q_proj"},
    {kQkv, kKey, "model.layers.{L}.self_attn.k_proj"},
    {kQkv, kValue, "model.layers.{L}.self_attn.v_proj"},
    {kQueryNorm, kWhole, "model.layers.{L}.self_attn.q_norm"},
    {kKeyNorm, kWhole, "model.layers.{L}.self_attn.k_norm"},
    {kOut, kWhole, "model.layers.{L}.self_attn.o_proj"},
    {kMlpNorm, kWhole, "model.layers.{L}.post_attention_layernorm"},
    {kGateUp, kGate, "model.layers.{L}.mlp.gate_proj"},
    {kGateUp, kUp, "model.layers.{L}.mlp.up_proj"},
    {kDown, kWhole, "model.layers.{L}.mlp.down_proj"},
    {kRouter, kWhole, "model.layers.{L}.mlp.gate"},
    {kExpertGateUp, kGate, "model.layers.{L}.mlp.experts.{E}.gate_proj"},
    {kExpertGateUp, kUp, "model.layers.{L}.mlp.experts.{E}.up_proj"},
    {kExpertDown, kWhole, "model.layers.{L}.mlp.experts.{E}.down_proj"},
    {kFinalNorm, kWhole, "model.norm"},
    {kVocab, kWhole, "lm_head"},
};

constexpr WeightName kGgufTable[] = {
    {kEmbedding, kWhole, "token_embd"},
    {kAttentionNorm, kWhole, "blk.{L}.attn_norm"},
    {kQkv, kQuery, "blk.{L}.attn_q"},
    {kQkv, kKey, "blk.{L}.attn_k"},
    {kQkv, kValue, "blk.{L}.attn_v"},
    {kQueryNorm, kWhole, "blk.{L}.attn_q_norm"},
    {kKeyNorm, kWhole, "blk.{L}.attn_k_norm"},
    {kOut, kWhole, "blk.{L}.attn_output"},
    {kAttentionPostNorm, kWhole, "blk.{L}.post_attention_norm"},
    {kMlpNorm, kWhole, "blk.{L}.ffn_norm"},
    {kGateUp, kGate, "blk.{L}.ffn_gate"},
    {kGateUp, kUp, "blk.{L}.ffn_up"},
    {kDown, kWhole, "blk.{L}.ffn_down"},
    {kMlpPostNorm, kWhole, "blk.{L}.post_ffw_norm"},
    {kRouter, kWhole, "blk.{L}.ffn_gate_inp"},
    {kExpertGateUp, kGate, "blk.{L}.ffn_gate_exps", Layout::kStacked},
    {kExpertGateUp, kUp, "blk.{L}.ffn_up_exps", Layout::kStacked},
    {kExpertDown, kWhole, "blk.{L}.ffn_down_exps", Layout::kStacked},
    {kFinalNorm, kWhole, "output_norm"},
    {kVocab, kWhole, "output"},
};

constexpr WeightName kGgufLlamaTable[] = {
    {kEmbedding, kWhole, "token_embd"},
    {kAttentionNorm, kWhole, "blk.{L}.attn_norm"},
    {kQkv, kQuery, "blk.{L}.attn_q", Layout::kRopePairs},
    {kQkv, kKey, "blk.{L}.attn_k", Layout::kRopePairs},
    {kQkv, kValue, "blk.{L}.attn_v"},
    {kOut, kWhole, "blk.{L}.attn_output"},
    {kMlpNorm, kWhole, "blk.{L}.ffn_norm"},
    {kGateUp, kGate, "blk.{L}.ffn_gate"},
    {kGateUp, kUp, "blk.{L}.ffn_up"},
    {kDown, kWhole, "blk.{L}.ffn_down"},
    {kRouter, kWhole, "blk.{L}.ffn_gate_inp"},
    {kExpertGateUp, kGate, "blk.{L}.ffn_gate_exps", Layout::kStacked},
    {kExpertGateUp, kUp, "blk.{L}.ffn_up_exps", Layout::kStacked},
    {kExpertDown, kWhole, "blk.{L}.ffn_down_exps", Layout::kStacked},
    {kFinalNorm, kWhole, "output_norm"},
    {kVocab, kWhole, "output"},
};

// Fused query, key and value; fused or no gate.
constexpr WeightName kGgufFusedTable[] = {
    {kEmbedding, kWhole, "token_embd"},
    {kPositions, kWhole, "position_embd"},
    {kAttentionNorm, kWhole, "blk.{L}.attn_norm"},
    {kQkv, kWhole, "blk.{L}.attn_qkv"},
    {kOut, kWhole, "blk.{L}.attn_output"},
    {kMlpNorm, kWhole, "blk.{L}.ffn_norm"},
    {kGateUp, kWhole, "blk.{L}.ffn_up"},
    {kDown, kWhole, "blk.{L}.ffn_down"},
    {kFinalNorm, kWhole, "output_norm"},
    {kVocab, kWhole, "output"},
};

constexpr WeightName kGemmaTable[] = {
    {kEmbedding, kWhole, "model.embed_tokens"},
    {kAttentionNorm, kWhole, "model.layers.{L}.input_layernorm"},
    {kQkv, kQuery, "model.layers.{L}.self_attn.q_proj"},
    {kQkv, kKey, "model.layers.{L}.self_attn.k_proj"},
    {kQkv, kValue, "model.layers.{L}.self_attn.v_proj"},
    {kQueryNorm, kWhole, "model.layers.{L}.self_attn.q_norm"},
    {kKeyNorm, kWhole, "model.layers.{L}.self_attn.k_norm"},
    {kOut, kWhole, "model.layers.{L}.self_attn.o_proj"},
    {kAttentionPostNorm, kWhole, "model.layers.{L}.post_attention_layernorm"},
    {kMlpNorm, kWhole, "model.layers.{L}.pre_feedforward_layernorm"},
    {kGateUp, kGate, "model.layers.{L}.mlp.gate_proj"},
    {kGateUp, kUp, "model.layers.{L}.mlp.up_proj"},
    {kDown, kWhole, "model.layers.{L}.mlp.down_proj"},
    {kMlpPostNorm, kWhole, "model.layers.{L}.post_feedforward_layernorm"},
    {kFinalNorm, kWhole, "model.norm"},
    {kVocab, kWhole, "lm_head"},
};

constexpr WeightName kPhi3Table[] = {
    {kEmbedding, kWhole, "model.embed_tokens"},
    {kAttentionNorm, kWhole, "model.layers.{L}.input_layernorm"},
    {kQkv, kWhole, "model.layers.{L}.self_attn.qkv_proj"},
    {kOut, kWhole, "model.layers.{L}.self_attn.o_proj"},
    {kMlpNorm, kWhole, "model.layers.{L}.post_attention_layernorm"},
    {kGateUp, kWhole, "model.layers.{L}.mlp.gate_up_proj"},
    {kDown, kWhole, "model.layers.{L}.mlp.down_proj"},
    {kFinalNorm, kWhole, "model.norm"},
    {kVocab, kWhole, "lm_head"},
};

constexpr WeightName kGpt2Table[] = {
    {kEmbedding, kWhole, "transformer.wte"},
    {kPositions, kWhole, "transformer.wpe"},
    {kAttentionNorm, kWhole, "transformer.h.{L}.ln_1"},
    {kQkv, kWhole, "transformer.h.{L}.attn.c_attn", Layout::kColumns},
    {kOut, kWhole, "transformer.h.{L}.attn.c_proj", Layout::kColumns},
    {kMlpNorm, kWhole, "transformer.h.{L}.ln_2"},
    {kGateUp, kWhole, "transformer.h.{L}.mlp.c_fc", Layout::kColumns},
    {kDown, kWhole, "transformer.h.{L}.mlp.c_proj", Layout::kColumns},
    {kFinalNorm, kWhole, "transformer.ln_f"},
    {kVocab, kWhole, "lm_head"},
};

constexpr WeightName kNeoxTable[] = {
    {kEmbedding, kWhole, "gpt_neox.embed_in"},
    {kAttentionNorm, kWhole, "gpt_neox.layers.{L}.input_layernorm"},
    {kQkv, kWhole, "gpt_neox.layers.{L}.attention.query_key_value", Layout::kHeadTriples},
    {kOut, kWhole, "gpt_neox.layers.{L}.attention.dense"},
    {kMlpNorm, kWhole, "gpt_neox.layers.{L}.post_attention_layernorm"},
    {kGateUp, kWhole, "gpt_neox.layers.{L}.mlp.dense_h_to_4h"},
    {kDown, kWhole, "gpt_neox.layers.{L}.mlp.dense_4h_to_h"},
    {kFinalNorm, kWhole, "gpt_neox.final_layer_norm"},
    {kVocab, kWhole, "embed_out"},
};

constexpr WeightName kInternlm2Table[] = {
    {kEmbedding, kWhole, "model.tok_embeddings"},
    {kAttentionNorm, kWhole, "model.layers.{L}.attention_norm"},
    {kQkv, kWhole, "model.layers.{L}.attention.wqkv", Layout::kGroups},
    {kOut, kWhole, "model.layers.{L}.attention.wo"},
    {kMlpNorm, kWhole, "model.layers.{L}.ffn_norm"},
    {kGateUp, kGate, "model.layers.{L}.feed_forward.w1"},
    {kGateUp, kUp, "model.layers.{L}.feed_forward.w3"},
    {kDown, kWhole, "model.layers.{L}.feed_forward.w2"},
    {kFinalNorm, kWhole, "model.norm"},
    {kVocab, kWhole, "output"},
};

constexpr WeightName kStarcoder2Table[] = {
    {kEmbedding, kWhole, "model.embed_tokens"},
    {kAttentionNorm, kWhole, "model.layers.{L}.input_layernorm"},
    {kQkv, kQuery, "model.layers.{L}.self_attn.q_proj"},
    {kQkv, kKey, "model.layers.{L}.self_attn.k_proj"},
    {kQkv, kValue, "model.layers.{L}.self_attn.v_proj"},
    {kOut, kWhole, "model.layers.{L}.self_attn.o_proj"},
    {kMlpNorm, kWhole, "model.layers.{L}.post_attention_layernorm"},
    {kGateUp, kWhole, "model.layers.{L}.mlp.c_fc"},
    {kDown, kWhole, "model.layers.{L}.mlp.c_proj"},
    {kFinalNorm, kWhole, "model.norm"},
    {kVocab, kWhole, "lm_head"},
};

constexpr WeightName kOlmo2Table[] = {
    {kEmbedding, kWhole, "model.embed_tokens"},
    {kQkv, kQuery, "model.layers.{L}.self_attn.q_proj"},
    {kQkv, kKey, "model.layers.{L}.self_attn.k_proj"},
    {kQkv, kValue, "model.layers.{L}.self_attn.v_proj"},
    {kQueryNorm, kWhole, "model.layers.{L}.self_attn.q_norm"},
    {kKeyNorm, kWhole, "model.layers.{L}.self_attn.k_norm"},
    {kOut, kWhole, "model.layers.{L}.self_attn.o_proj"},
    {kAttentionPostNorm, kWhole, "model.layers.{L}.post_attention_layernorm"},
    {kGateUp, kGate, "model.layers.{L}.mlp.gate_proj"},
    {kGateUp, kUp, "model.layers.{L}.mlp.up_proj"},
    {kDown, kWhole, "model.layers.{L}.mlp.down_proj"},
    {kMlpPostNorm, kWhole, "model.layers.{L}.post_feedforward_layernorm"},
    {kFinalNorm, kWhole, "model.norm"},
    {kVocab, kWhole, "lm_head"},
};

constexpr WeightName kMixtralTable[] = {
    {kEmbedding, kWhole, "model.embed_tokens"},
    {kAttentionNorm, kWhole, "model.layers.{L}.input_layernorm"},
    {kQkv, kQuery, "model.layers.{L}.self_attn.q_proj"},
    {kQkv, kKey, "model.layers.{L}.self_attn.k_proj"},
    {kQkv, kValue, "model.layers.{L}.self_attn.v_proj"},
    {kOut, kWhole, "model.layers.{L}.self_attn.o_proj"},
    {kMlpNorm, kWhole, "model.layers.{L}.post_attention_layernorm"},
    {kRouter, kWhole, "model.layers.{L}.block_sparse_moe.gate"},
    {kExpertGateUp, kGate, "model.layers.{L}.block_sparse_moe.experts.{E}.w1"},
    {kExpertGateUp, kUp, "model.layers.{L}.block_sparse_moe.experts.{E}.w3"},
    {kExpertDown, kWhole, "model.layers.{L}.block_sparse_moe.experts.{E}.w2"},
    {kFinalNorm, kWhole, "model.norm"},
    {kVocab, kWhole, "lm_head"},
};

}  // namespace

std::span<const WeightName> llama_names() { return kLlamaTable; }
std::span<const WeightName> gemma_names() { return kGemmaTable; }
std::span<const WeightName> phi3_names() { return kPhi3Table; }
std::span<const WeightName> gpt2_names() { return kGpt2Table; }
std::span<const WeightName> neox_names() { return kNeoxTable; }
std::span<const WeightName> internlm2_names() { return kInternlm2Table; }
std::span<const WeightName> starcoder2_names() { return kStarcoder2Table; }
std::span<const WeightName> olmo2_names() { return kOlmo2Table; }
std::span<const WeightName> mixtral_names() { return kMixtralTable; }
std::span<const WeightName> gguf_names() { return kGgufTable; }
std::span<const WeightName> gguf_llama_names() { return kGgufLlamaTable; }
std::span<const WeightName> gguf_fused_names() { return kGgufFusedTable; }

}  // namespace merit::nn
