#include "merit/objective/bradley_terry.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/square.h>

#include "merit/core/error.h"

namespace merit::objective {

BradleyTerryResult bradley_terry(const at::Tensor& chosen, const at::Tensor& rejected, const at::Tensor& margin,
                                 const BradleyTerryOptions& options) {
  if (chosen.dim() != 1 || chosen.sizes() != rejected.sizes() || chosen.numel() == 0) {
    fail(ErrorKind::kUsage, "bradley_terry: expected chosen and rejected of one shape [B], B >= 1");
  }
  if (margin.defined() && margin.sizes() != chosen.sizes()) {
    fail(ErrorKind::kUsage, "bradley_terry: expected a margin of shape [{}], got {} values", chosen.numel(),
         margin.numel());
  }
  const double smoothing = options.label_smoothing;
  if (!(smoothing >= 0.0 && smoothing < 0.5)) {
    fail(ErrorKind::kUsage, "label_smoothing: expected a number in [0, 0.5), got {}", smoothing);
  }
  const at::Tensor difference = chosen - rejected;  // [B]
  const at::Tensor logit = margin.defined() ? difference - margin : difference;
  at::Tensor loss = -(1.0 - smoothing) * at::log_sigmoid(logit);
  if (smoothing > 0.0) loss = loss - smoothing * at::log_sigmoid(-logit);
  loss = at::mean(loss);
  if (options.center_rewards_coefficient != 0.0) {
    loss = loss + options.center_rewards_coefficient * at::mean(at::square(chosen + rejected));
  }
  BradleyTerryResult result;
  result.loss = loss;
  const at::Tensor detached = difference.detach().to(at::kDouble);
  result.accuracy = at::mean(at::gt(detached, 0).to(at::kDouble)).item<double>();
  result.ties = at::mean(at::eq(detached, 0).to(at::kDouble)).item<double>();
  result.margin = at::mean(detached).item<double>();
  return result;
}

}  // namespace merit::objective
