// Dense layers on single rows, as score heads and sentence encoders have them behind a model: what a row becomes is a
// fixed sequence of operations on that row alone, sums in float64, so its bits do not depend on its neighbours. The few
// rows that reach a head make a batched product pointless.
#pragma once

#include <ATen/core/Tensor.h>

#include "merit/nn/dense_activation.h"

namespace merit::nn {

// y = norm(activation(x W^T + b)).
struct DenseLayer {
  at::Tensor weight;  // [out, in] float32 or float64
  at::Tensor bias;    // [out] of the same dtype, or undefined
  DenseActivation activation = DenseActivation::kNone;
  at::Tensor norm_weight;  // [out]: a LayerNorm behind the activation; undefined: none
  at::Tensor norm_bias;    // [out] or undefined
  double norm_eps = 1e-5;

  int64_t in_features() const { return weight.size(1); }
  int64_t out_features() const { return weight.size(0); }
};

// rows [n, in] float32 or float64 -> [n, out] of the same dtype. The shapes are the caller's to check.
at::Tensor apply_layer(const DenseLayer& layer, const at::Tensor& rows);

}  // namespace merit::nn
