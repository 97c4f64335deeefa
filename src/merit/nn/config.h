// A decoder model's shape as data. Every architecture merit runs is a mapping from its own config onto this record and
// a table of weight names (architectures.h); nothing else in the module knows an architecture by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/nn/activation.h"
#include "merit/nn/rope.h"

namespace merit::formats {
class GgufFile;
}

namespace merit::nn {

enum class NormKind {
  kRms,    // x / sqrt(mean(x^2) + eps) * weight
  kLayer,  // (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias
};

// RMSNorm of queries and keys before they turn.
enum class QkNorm {
  kNone,
  kHead,   // each head by itself, one weight of head_dim for all
  kWhole,  // all heads of a row together, a weight of q_size and one of kv_size
};

struct ModelConfig {
  std::string architecture = "llama";  // the model_type of its config.json
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn_size = 0;       // of layers that are not sparse
  int64_t max_positions = 0;  // tokens a path may have

  // The block: x += post(attention(pre(x))), then x += post(feed_forward(pre(x))). A parallel block reads the same x
  // for both.
  NormKind norm = NormKind::kRms;
  double norm_eps = 1e-5;
  bool pre_norm = true;
  bool post_norm = false;
  bool parallel = false;

  QkNorm qk_norm = QkNorm::kNone;
  bool qkv_bias = false;
  bool out_bias = false;         // on the attention output projection
  double attention_scale = 0;    // of query times key; 0: 1 / sqrt(head_dim)
  double attention_softcap = 0;  // above 0: a score s becomes softcap * tanh(s / softcap)
  int64_t window = 0;            // keys a query of a sliding layer sees, its own included; 0: no layer slides
  std::vector<bool> sliding;     // by layer; empty: all layers, if there is a window

  bool learned_positions = false;  // an embedding of the position is added to the token's
  Rope rope;
  std::optional<Rope> local_rope;  // of sliding layers, where it is another

  Activation activation = Activation::kSilu;
  bool gated = true;  // down(f(gate) * up) rather than down(f(up))
  bool mlp_bias = false;

  // A sparse layer sends a row through the experts its router finds most likely and adds their outputs, each times its
  // probability.
  int64_t experts = 0;  // 0: no layer is sparse
  int64_t experts_used = 0;
  int64_t expert_ffn_size = 0;
  bool experts_normalised = true;  // the probabilities of the experts used are made to sum to 1
  std::vector<bool> sparse;        // by layer; empty: all layers, if there are experts

  double embedding_scale = 1;  // of the token embedding, rounded to the compute dtype, as it was trained
  double residual_scale = 1;   // of what a block adds
  double logit_scale = 1;      // of the logits, before
  double logit_softcap = 0;    // above 0: a logit z becomes softcap * tanh(z / softcap)

  bool tie_embeddings = false;  // the vocabulary projection is the token embedding

  int32_t bos_id = -1;  // -1: none
  int32_t pad_id = -1;
  std::vector<int32_t> eos_ids;
  int64_t num_labels = 0;  // of a sequence-classification folder, 0 for a language model

  int64_t q_size() const { return heads * head_dim; }
  int64_t kv_size() const { return kv_heads * head_dim; }
  double score_scale() const;
  bool is_sliding(int64_t layer) const { return window > 0 && (sliding.empty() || sliding[layer]); }
  bool is_sparse(int64_t layer) const { return experts > 0 && (sparse.empty() || sparse[layer]); }
  const Rope& rope_of(int64_t layer) const { return local_rope && is_sliding(layer) ? *local_rope : rope; }
  // Paths share computation only where this is equal for their lengths (rope.h).
  int64_t rope_regime(int64_t length) const { return rope.regime(length); }
  // Parameters a token passes through, the embedding and the vocabulary projection left out: the N of 2 * N FLOP. Of
  // the experts, those used.
  int64_t non_embedding_parameters() const;
};

// From the text of a config.json. Error(kUnsupported) names the architecture or the setting that has an effect merit
// does not compute; Error(kData) names a missing or impossible size.
ModelConfig config_from_hf(const Json& config, const std::string& where);

// From GGUF metadata (general.architecture and its keys). Errors as above, naming the key.
ModelConfig config_from_gguf(const formats::GgufFile& file);

// The config.json that transformers loads: of a causal language model, or of a sequence classifier where num_labels
// says so. `dtype` is the name there: "float32", "bfloat16" or "float16".
OrderedJson to_hf_config(const ModelConfig& config, const std::string& dtype);

// What every config satisfies, whatever it came from: Error(kData) that starts with `where`.
void check_config(const ModelConfig& config, const std::string& where);

}  // namespace merit::nn
