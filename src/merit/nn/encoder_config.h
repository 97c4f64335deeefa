// A bidirectional encoder's shape as data: BERT, RoBERTa, DeBERTa-v3 and ModernBERT are mappings from their config.json
// onto this record and a table of weight names (encoder_weights.cc).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/nn/config.h"
#include "merit/nn/dense_activation.h"
#include "merit/nn/row_invariance.h"

namespace merit::nn {

enum class EncoderPositions {
  kLearned,   // a vector a position, added to the token's
  kRotary,    // queries and keys are rotated
  kRelative,  // DeBERTa's disentangled attention: distances have keys and queries of their own
};

struct EncoderConfig {
  std::string architecture;  // the model_type of its config.json
  int64_t vocab_size = 0;
  int64_t embedding_size = 0;  // of the token vectors; projected where it is not the hidden size
  int64_t hidden_size = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t ffn_size = 0;
  int64_t max_positions = 0;  // tokens a sequence may have
  int64_t segments = 0;       // token types; 0: the model does not tell the texts of a pair apart
  double norm_eps = 1e-12;
  DenseActivation activation = DenseActivation::kGelu;

  EncoderPositions positions = EncoderPositions::kLearned;
  bool learned_positions = true;  // has a table of position vectors (kLearned; a DeBERTa may have one too)
  // RoBERTa counts positions from pad_id + 1, passes over pad tokens in counting, and gives those position pad_id.
  // -1: positions are 0, 1, 2, ...
  int64_t counted_from_pad = -1;

  // Pre-norm blocks, a final norm, and a gated feed-forward product (ModernBERT); else the norms stand behind the sums.
  bool pre_norm = false;
  bool attention_bias = true;
  bool mlp_bias = true;
  bool norm_bias = true;

  std::vector<int64_t> windows;    // [layers] kRotary: tokens to either side that are seen, 0: all
  std::vector<double> rope_theta;  // [layers] kRotary

  // kRelative. Distances are clipped to `relative_span`; in buckets, those above relative_span / 2 are logarithmic up
  // to `relative_max`.
  int64_t relative_span = 0;
  int64_t relative_max = 0;
  bool relative_buckets = false;
  bool relative_norm = false;    // a LayerNorm over the distance vectors
  bool relative_shared = false;  // distances are projected by the content's query and key products
  bool content_to_position = false;
  bool position_to_content = false;

  int64_t head_dim() const { return hidden_size / heads; }
};

// The sizes that a decoder has too, for what asks only those: cost, memory, tables.
ModelConfig sizes_of(const EncoderConfig& config);
// The matrix products of a layer, for check_row_invariance.
std::vector<ProductShape> product_shapes(const EncoderConfig& config);

// Whether a config.json's model_type is an encoder's.
bool is_encoder_config(const Json& config);

// Error(kUnsupported) names a model_type, or a setting with an effect that is not computed; Error(kData) a missing or
// impossible size.
EncoderConfig encoder_config_from_hf(const Json& config, const std::string& where);

}  // namespace merit::nn
