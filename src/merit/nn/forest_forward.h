// The forest with gradients: what training runs. Every unique token is one row, and gradients of a shared prefix are
// the exact sum over its paths. The engine (engine.h) computes the same numbers for reading and sampling.
#pragma once

#include <ATen/core/Tensor.h>

#include "merit/nn/adapter.h"
#include "merit/nn/config.h"
#include "merit/nn/forest.h"
#include "merit/nn/weights.h"

namespace merit::nn {

struct ForwardOptions {
  const Adapter* adapter = nullptr;  // none: the model as it is
  // Keep each layer's input only, and run the layer again in backward: for a third more work, memory of one layer.
  bool recompute = false;
};

// Hidden states after the final norm, [forest.tokens.size(), hidden] in `dtype` (the weights' own, or bfloat16 over
// float32 weights, which are then cast where they are used), differentiable with respect to every parameter of the
// weights and the adapter that requires a gradient. Memory is linear in the unique tokens. The model and the adapter
// must outlive the backward pass. Differs from ForestState only by rounding.
at::Tensor forest_forward(const ModelConfig& config, const Weights& weights, const Forest& forest, at::ScalarType dtype,
                          const ForwardOptions& options);
inline at::Tensor forest_forward(const ModelConfig& config, const Weights& weights, const Forest& forest) {
  return forest_forward(config, weights, forest, weights.dtype(), {});
}

}  // namespace merit::nn
