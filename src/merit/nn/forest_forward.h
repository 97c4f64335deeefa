// The forest in plain tensor operations: slow, with gradients. Every unique token is one row; attention is a full
// softmax over the row's ancestors under a mask. Gradients of a shared prefix are therefore the exact sum over its
// paths.
#pragma once

#include <ATen/core/Tensor.h>

#include "merit/nn/config.h"
#include "merit/nn/forest.h"
#include "merit/nn/weights.h"

namespace merit::nn {

// Hidden states after the final norm, [forest.tokens.size(), hidden] in the weights' dtype, differentiable with respect
// to every parameter that requires a gradient. Memory grows with the square of the unique tokens. Differs from
// ForestState only by rounding.
at::Tensor forest_forward(const ModelConfig& config, const Weights& weights, const Forest& forest);

}  // namespace merit::nn
