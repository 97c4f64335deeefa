// A model's parameters in the compute dtype. Products that read the same rows are fused into one matrix: query, key and
// value; gate and up. Every tensor starts on a 64-byte boundary, as the bits of a matrix product can depend on it.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "merit/nn/config.h"

namespace merit::formats {
class WeightSource;
}

namespace merit::nn {

struct LayerWeights {
  at::Tensor attention_norm;  // [hidden]
  at::Tensor qkv;             // [q_size + 2 * kv_size, hidden]: query rows, then key rows, then value rows
  at::Tensor qkv_bias;        // [q_size + 2 * kv_size], undefined where the model has none; so all biases
  at::Tensor out;             // [hidden, q_size]
  at::Tensor out_bias;        // [hidden]
  at::Tensor mlp_norm;        // [hidden]
  at::Tensor gate_up;         // [2 * ffn, hidden]: gate rows, then up rows
  at::Tensor gate_up_bias;    // [2 * ffn]
  at::Tensor down;            // [hidden, ffn]
  at::Tensor down_bias;       // [hidden]
};

struct Weights {
  at::Tensor embedding;  // [vocab, hidden]
  std::vector<LayerWeights> layers;
  at::Tensor final_norm;  // [hidden]
  at::Tensor vocab;       // [vocab, hidden]: the same tensor as `embedding` in a tied model

  at::ScalarType dtype() const { return embedding.scalar_type(); }
  // Every defined tensor once, in a fixed order.
  std::vector<at::Tensor*> parameters();
};

// Reads every tensor of the config from the container, checks its shape, and converts it to `dtype`. GGUF's order of
// rotary rows is turned into Hugging Face's. Error(kData) names the tensor, the shape wanted and the shape found.
// Tensors the model does not use (a score head) are left alone.
Weights load_weights(const ModelConfig& config, const formats::WeightSource& source, at::ScalarType dtype);

}  // namespace merit::nn
