#include "merit/nn/linear.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/linear.h>

#include <utility>
#include <vector>

#include "merit/core/error.h"

namespace merit::nn {

at::Tensor pad_rows(const at::Tensor& x) {
  const int64_t missing = padded_rows(x.size(0)) - x.size(0);
  if (missing == 0) return x;
  std::vector<int64_t> pad(static_cast<size_t>(2 * x.dim()), 0);  // innermost dimension first
  pad.back() = missing;
  return at::constant_pad_nd(x, pad, 0);
}

Linear::Linear(at::Tensor weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {
  const at::ScalarType dtype = weight_.scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16 && dtype != at::kDouble) {
    fail(ErrorKind::kData, "linear layer: expected float32, bfloat16 or float64 weights, got {}", c10::toString(dtype));
  }
  if (weight_.dim() != 2 || weight_.size(0) < 2) {
    fail(ErrorKind::kData,
         "linear layer: expected a weight of at least 2 rows [out, in], got {} dimensions of {} values", weight_.dim(),
         weight_.numel());
  }
  if (bias_.defined() && (bias_.dim() != 1 || bias_.size(0) != weight_.size(0) || bias_.scalar_type() != dtype)) {
    fail(ErrorKind::kData, "linear layer: expected a bias of {} values of type {}, got {} of type {}", weight_.size(0),
         c10::toString(dtype), bias_.numel(), c10::toString(bias_.scalar_type()));
  }
  weight_ = weight_.contiguous();
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  MERIT_CHECK(x.dim() == 2 && x.size(0) % kRowQuantum == 0 && x.size(1) == weight_.size(1));
  MERIT_CHECK(x.scalar_type() == weight_.scalar_type());
  return at::linear(x, weight_, bias_.defined() ? c10::optional<at::Tensor>(bias_) : c10::nullopt);
}

}  // namespace merit::nn
