// Operations of a transformer block with gradients that keep little: each saves its inputs and works the rest out
// again in backward.
#pragma once

#include <ATen/core/Tensor.h>

#include "merit/nn/activation.h"
#include "merit/nn/adapter.h"
#include "merit/nn/linear.h"

namespace merit::nn {

// x W^T + b of the adapted matrix: x [rows, in] in the compute dtype -> [rows, out]. Gradients to x, to the pieces'
// tensors, and to weight and bias where they require one. A dense weight of another dtype than x (float32 masters of a
// bfloat16 pass) is cast; stored matrices are widened panel by panel both ways.
at::Tensor adapted_product(const Linear& linear, const at::Tensor& x, const LoraPieces& pieces);

// x / sqrt(mean(x^2) + eps) * weight over the last dimension, computed in the weight's dtype, returned in x's.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

// f(gate) * up of [rows, 2 * columns] -> [rows, columns]; without `gated` f(x) of [rows, columns].
at::Tensor activated(const at::Tensor& x, Activation kind, bool gated);

}  // namespace merit::nn
