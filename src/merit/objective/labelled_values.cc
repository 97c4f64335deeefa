#include "merit/objective/labelled_values.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/square.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>

#include <cmath>

#include "merit/core/error.h"
#include "merit/objective/reduce.h"

namespace merit::objective {
namespace {

struct NoOptions {};

// Targets on the values' device without NaN, and where there is one: both [R, K].
struct Targets {
  at::Tensor value;
  at::Tensor present;  // float64, 1 or 0
};

Targets targets_of(const Batch& batch) {
  const at::Tensor given = batch.value_targets.detach().to(batch.values.device(), at::kDouble);
  const at::Tensor absent = at::isnan(given);
  return {given.masked_fill(absent, 0), (~absent).to(at::kDouble)};
}

void add_weighted_mean(std::vector<Metric>& metrics, const char* name, const at::Tensor& values,
                       const at::Tensor& weight) {
  const double count = at::sum(weight).item<double>();
  if (count > 0) metrics.push_back({name, at::sum(values.detach() * weight).item<double>(), count, {}});
}

class AttributeRegression : public Loss {
 public:
  Needs needs() const override { return kValues | kValueTargets; }

  std::vector<at::Tensor> weights(const Batch& batch) const override {
    return {at::sum((~at::isnan(batch.value_targets)).to(at::kDouble), 1)};
  }

 protected:
  Result compute(const Batch& batch) const override {
    if (batch.value_targets.size(1) != batch.values.size(1)) {
      fail(ErrorKind::kData, "batch: value_targets: expected one a value, {} columns, got {}", batch.values.size(1),
           batch.value_targets.size(1));
    }
    const Targets targets = targets_of(batch);
    const at::Tensor error = at::square(batch.values.to(at::kDouble) - targets.value) * targets.present;  // [R, K]
    const at::Tensor labels = at::sum(targets.present, 1);
    const at::Tensor losses = at::sum(error, 1) / labels.clamp_min(1);
    Result result;
    result.terms.push_back({Item::kRow, losses, {}});
    add_weighted_mean(result.metrics, "mse", losses, labels);
    return result;
  }
};

class StepLabels : public Loss {
 public:
  Needs needs() const override { return kValues | kValueTargets; }

  std::vector<at::Tensor> weights(const Batch& batch) const override {
    return {(~at::isnan(batch.value_targets.select(1, 0))).to(at::kDouble)};
  }

 protected:
  Result compute(const Batch& batch) const override {
    if (batch.value_targets.size(1) != 1) {
      fail(ErrorKind::kData, "batch: value_targets: expected [R, 1], one label a step, got {} columns",
           batch.value_targets.size(1));
    }
    const int64_t classes = batch.values.size(1);
    check_targets(batch.value_targets, classes);
    const Targets targets = targets_of(batch);
    const at::Tensor target = targets.value.select(1, 0), present = targets.present.select(1, 0);  // [R]
    const at::Tensor values = batch.values.to(at::kDouble);
    at::Tensor losses, right;
    if (classes == 1) {
      const at::Tensor logit = values.select(1, 0);
      losses = at::softplus(logit) - target * logit;
      right = at::eq(at::gt(logit, 0), at::gt(target, 0.5));
    } else {
      const at::Tensor index = target.to(at::kLong);
      losses = -at::log_softmax(values, 1).gather(1, index.unsqueeze(1)).squeeze(1);
      right = at::eq(at::argmax(values, 1), index);
    }
    Result result;
    result.terms.push_back({Item::kRow, losses * present, {}});
    add_weighted_mean(result.metrics, "accuracy", right.to(at::kDouble), present);
    return result;
  }

 private:
  static void check_targets(const at::Tensor& targets, int64_t classes) {
    const at::Tensor column = targets.select(1, 0).to(at::kCPU, at::kDouble).contiguous();
    const double* target = column.const_data_ptr<double>();
    const double largest = classes == 1 ? 1 : static_cast<double>(classes - 1);
    for (int64_t row = 0; row < column.numel(); ++row) {
      const double value = target[row];
      if (std::isnan(value)) continue;
      if (value < 0 || value > largest || (classes > 1 && value != std::floor(value))) {
        fail(ErrorKind::kData, "batch: value_targets: row {}: expected {} 0 to {}, got {}", row,
             classes == 1 ? "a number in" : "a class of", largest, value);
      }
    }
  }
};

}  // namespace

Objective attribute_regression() {
  return {"attribute_regression",
          "Wang et al. 2023 (SteerLM, HelpSteer)",
          "(v - target)^2, mean over the labels that are there",
          {},
          [](const Json& settings) -> std::unique_ptr<Loss> {
            FieldList<NoOptions>("attribute_regression").parse(settings);
            return std::make_unique<AttributeRegression>();
          }};
}

Objective step_labels() {
  return {"step_labels",
          "Lightman et al. 2023; Wang et al. 2024 (soft labels)",
          "one output v: ln(1 + exp v) - y v, y in [0, 1]\n"
          "several: -ln softmax(v)_y, y a class, mean over labelled steps",
          {},
          [](const Json& settings) -> std::unique_ptr<Loss> {
            FieldList<NoOptions>("step_labels").parse(settings);
            return std::make_unique<StepLabels>();
          }};
}

}  // namespace merit::objective
