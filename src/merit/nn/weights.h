// A model's parameters in the compute dtype. Products that read the same rows are fused into one matrix: query, key and
// value; gate and up. Every tensor starts on a 64-byte boundary, as the bits of a matrix product can depend on it.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "merit/nn/config.h"
#include "merit/nn/linear.h"

namespace merit::formats {
class WeightSource;
}

namespace merit::nn {

struct LayerWeights {
  at::Tensor attention_norm;  // [hidden]
  Linear qkv;                 // hidden -> q_size + 2 * kv_size: query, then key, then value
  Linear out;                 // q_size -> hidden
  at::Tensor mlp_norm;        // [hidden]
  Linear gate_up;             // hidden -> 2 * ffn: gate, then up
  Linear down;                // ffn -> hidden
};

struct Weights {
  at::Tensor embedding;  // [vocab, hidden]
  std::vector<LayerWeights> layers;
  at::Tensor final_norm;  // [hidden]
  at::Tensor vocab;       // [vocab, hidden]: the same tensor as `embedding` in a tied model; undefined in a folder
                          // that has a score head instead

  at::ScalarType dtype() const { return embedding.scalar_type(); }
  // Every defined tensor once, in a fixed order: the handles share their storage.
  std::vector<at::Tensor> parameters() const;
};

// Reads every tensor of the config from the container, checks its shape, and converts it to `dtype`. GGUF's order of
// rotary rows is turned into Hugging Face's. Error(kData) names the tensor, the shape wanted and the shape found.
// Tensors the model does not use (a score head) are left alone.
Weights load_weights(const ModelConfig& config, const formats::WeightSource& source, at::ScalarType dtype);

}  // namespace merit::nn
