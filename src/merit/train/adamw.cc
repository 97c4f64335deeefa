#include "merit/train/adamw.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "merit/core/error.h"

namespace merit::train {

AdamW::AdamW(std::vector<Parameter> parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const Parameter& parameter : parameters_) {
    first_.push_back(at::zeros_like(parameter.value.detach()));
    second_.push_back(at::zeros_like(parameter.value.detach()));
  }
}

double AdamW::gradient_norm() const {
  double sum = 0;
  for (const Parameter& parameter : parameters_) {
    if (!parameter.value.grad().defined()) continue;
    const double norm = parameter.value.grad().to(at::kDouble).norm().item<double>();
    if (!std::isfinite(norm)) {
      fail(ErrorKind::kNumeric, "the gradient of {} is not finite; a lower learning rate or float32 may help",
           quote(parameter.name));
    }
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

void AdamW::clip(double norm, double max_norm) {
  if (max_norm <= 0 || norm <= max_norm) return;
  for (const Parameter& parameter : parameters_) {
    if (parameter.value.grad().defined()) parameter.value.grad().mul_(max_norm / norm);
  }
}

void AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  ++steps_;
  const double correct1 = 1 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double correct2 = 1 - std::pow(options_.beta2, static_cast<double>(steps_));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor value = parameters_[i].value;
    if (!value.grad().defined()) continue;
    const at::Tensor grad = value.grad();
    if (options_.weight_decay != 0 && value.dim() >= 2) value.mul_(1 - learning_rate * options_.weight_decay);
    first_[i].mul_(options_.beta1).add_(grad, 1 - options_.beta1);
    second_[i].mul_(options_.beta2).addcmul_(grad, grad, 1 - options_.beta2);
    const at::Tensor denominator = at::sqrt(second_[i]).mul_(1 / std::sqrt(correct2)).add_(options_.eps);
    value.addcdiv_(first_[i], denominator, -learning_rate / correct1);
    value.mutable_grad().reset();
  }
}

nn::NamedTensors AdamW::save() const {
  nn::NamedTensors out;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    out.emplace_back("value." + name, parameters_[i].value.detach());
    out.emplace_back("first." + name, first_[i]);
    out.emplace_back("second." + name, second_[i]);
  }
  out.emplace_back("steps", at::tensor({steps_}, at::kLong));
  return out;
}

void AdamW::load(const std::map<std::string, at::Tensor>& tensors, const std::string& where) {
  const at::NoGradGuard no_grad;
  const auto take = [&](const std::string& name, at::Tensor to) {
    const auto found = tensors.find(name);
    if (found == tensors.end() || found->second.sizes() != to.sizes()) {
      fail(ErrorKind::kData, "{}: tensor {} is missing or of another shape: the checkpoint is of another run", where,
           quote(name));
    }
    to.copy_(found->second);
  };
  for (size_t i = 0; i < parameters_.size(); ++i) {
    take("value." + parameters_[i].name, parameters_[i].value);
    take("first." + parameters_[i].name, first_[i]);
    take("second." + parameters_[i].name, second_[i]);
  }
  const auto steps = tensors.find("steps");
  if (steps == tensors.end()) fail(ErrorKind::kData, "{}: the count of steps is missing", where);
  steps_ = steps->second.item<int64_t>();
}

double Schedule::at(int64_t step) const {
  if (step < warmup_steps) return learning_rate * static_cast<double>(step) / static_cast<double>(warmup_steps);
  const auto left = static_cast<double>(std::max<int64_t>(0, total_steps - step));
  const auto span = static_cast<double>(std::max<int64_t>(1, total_steps - warmup_steps));
  if (kind == "constant") return learning_rate;
  if (kind == "linear") return learning_rate * (left / span);
  if (kind == "cosine") {
    return learning_rate * std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * (1 - left / span))));
  }
  if (kind == "warmup_stable_decay") {
    const double decay = std::max(1.0, std::floor(static_cast<double>(total_steps) / 10));
    return learning_rate * std::min(1.0, left / decay);
  }
  fail(ErrorKind::kUsage, "lr_scheduler_type: expected linear, constant, cosine or warmup_stable_decay, got {}",
       quote(kind));
}

}  // namespace merit::train
