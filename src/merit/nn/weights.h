// A model's parameters in the compute dtype. Products that read the same rows are fused into one matrix: query, key and
// value; gate and up. Every tensor that a product reads starts on a 64-byte boundary, as its bits can depend on it.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "merit/nn/config.h"
#include "merit/nn/linear.h"
#include "merit/nn/weight_names.h"

namespace merit::formats {
class WeightSource;
}

namespace merit::nn {

// float32, or float64 in a float64 model; undefined where the config has no such norm.
struct NormWeights {
  at::Tensor weight;
  at::Tensor bias;  // of a LayerNorm
};

struct ExpertWeights {
  Linear gate_up;
  Linear down;
};

struct LayerWeights {
  NormWeights attention_norm;  // [hidden]
  Linear qkv;                  // hidden -> q_size + 2 * kv_size: query, then key, then value
  NormWeights query_norm;      // [head_dim] or [q_size]
  NormWeights key_norm;        // [head_dim] or [kv_size]
  Linear out;                  // q_size -> hidden
  NormWeights attention_post_norm;
  NormWeights mlp_norm;
  Linear gate_up;  // hidden -> 2 * ffn: gate, then up; hidden -> ffn without a gate
  Linear down;     // ffn -> hidden
  NormWeights mlp_post_norm;
  // Of a sparse layer, in place of gate_up and down.
  Linear router;  // hidden -> experts
  std::vector<ExpertWeights> experts;
};

struct Weights {
  Matrix embedding;      // [vocab, hidden]
  at::Tensor positions;  // [positions, hidden] where they are learned
  std::vector<LayerWeights> layers;
  NormWeights final_norm;  // [hidden]
  Matrix vocab;            // [vocab, hidden]: the same as `embedding` in a tied model; undefined in a folder that has
                           // none, as those with a score head

  at::ScalarType dtype() const { return embedding.dtype(); }
  // Every defined tensor once, in a fixed order: the handles share their storage. Only if no matrix is stored.
  std::vector<at::Tensor> parameters() const;
};

// Reads every tensor of the config from the container, checks its shape, and converts it to `dtype`; rows that lie in
// another order there (weight_names.h) are put into ours. Error(kData) names the tensor, the shape wanted and the shape
// found. Tensors the model does not use (a score head) are left alone.
//
// `files`, if given, keeps the mapped files of `source` open. With `stored`, matrices whose type is narrower than the
// compute dtype stay in the file and are widened where they are used (linear.h), but for transposed ones, and where the
// processor multiplies the narrow type itself. A tensor that needs no change (its dtype, its rows, and a
// 64-byte boundary where a product reads it) is then not copied: it lies in the mapped, read-only pages, and what
// nobody reads is never loaded. Pages of tensors that are copied are let go as copying proceeds, so that peak memory is
// that of the weights and little more.
Weights load_weights(const ModelConfig& config, const formats::WeightSource& source, at::ScalarType dtype,
                     std::shared_ptr<const formats::WeightSource> files = nullptr, bool stored = false);

// The config's embedding_scale in the compute dtype.
double embedding_scale(const ModelConfig& config, at::ScalarType dtype);

// ---- The parameters by their names in a Hugging Face folder

// One tensor of the folder: some rows of a parameter.
struct NamedPart {
  std::string name;
  at::Tensor parameter;  // one of Weights
  RowRange rows;         // of it
  Layout layout = Layout::kRows;
  double offset = 0;  // the folder has the parameter less this
};

// Every tensor of the folder the config describes, in a fixed order; the vocabulary projection of a tied model is none.
std::vector<NamedPart> named_parts(const ModelConfig& config, const Weights& weights);
// The part's rows of `like`, a tensor of the parameter's shape (itself, a gradient), in the order of the folder: a new
// contiguous tensor. The offset is the caller's to take off.
at::Tensor folder_rows(const ModelConfig& config, const NamedPart& part, const at::Tensor& like);

}  // namespace merit::nn
