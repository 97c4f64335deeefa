// The feed-forward block of a layer: down(f(gate) * up), down(f(up)), or a mixture of such experts (Shazeer et al.,
// 2017; Jiang et al., 2024). A row's result depends on nothing but the row.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "merit/nn/config.h"
#include "merit/nn/weights.h"

namespace merit::nn {

// h [padded rows, hidden], of which the first `rows` count -> [padded rows, hidden]; what stands behind them is
// anything (zero of a sparse layer). Threads as at::parallel_for. `layer` is the layer's number.
at::Tensor feed_forward(const ModelConfig& config, const LayerWeights& weights, int64_t layer, const at::Tensor& h,
                        int64_t rows);

// An expert a row goes to, and the weight of what it returns.
struct ExpertChoice {
  int32_t expert;
  double weight;
};
// The `used` most likely of the softmax over `logits`, the lower number among equals, in order of their numbers.
std::vector<ExpertChoice> choose_experts(std::span<const double> logits, int64_t used, bool normalised);

}  // namespace merit::nn
