// Activation recomputation (Chen et al. 2016): of a step of the forward pass only its input is kept, and the step runs
// again in backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace merit::nn {

// step(x), with gradients to x and, added to their .grad, to every leaf the step reads. x must require a gradient, or
// none flows. The step must give the same bits each time, and everything it reads must outlive the backward pass.
at::Tensor recomputed(const at::Tensor& x, std::function<at::Tensor(const at::Tensor&)> step);

}  // namespace merit::nn
