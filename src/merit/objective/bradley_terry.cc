#include "merit/objective/bradley_terry.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/max.h>
#include <ATen/ops/min.h>
#include <ATen/ops/square.h>

#include "merit/core/error.h"
#include "merit/objective/reduce.h"

namespace merit::objective {
namespace {

const Range kSmoothing = from_below(0, 0.5);

const FieldList<BradleyTerryOptions>& bradley_terry_fields() {
  static const FieldList<BradleyTerryOptions> list =
      FieldList<BradleyTerryOptions>("bradley_terry")
          .number("label_smoothing", &BradleyTerryOptions::label_smoothing, kSmoothing, "chance that a label is wrong")
          .number("center_rewards_coefficient", &BradleyTerryOptions::center_rewards_coefficient, at_least(0),
                  "weight of (r_c + r_r)^2; 0.01 is usual where rewards should have mean 0");
  return list;
}

std::vector<Metric> reward_metrics(const at::Tensor& chosen, const at::Tensor& rejected) {
  std::vector<Metric> metrics;
  if (chosen.numel() == 0) return metrics;
  const at::Tensor all = at::cat({chosen, rejected});
  metrics.push_back({"min_reward", at::min(all).item<double>(), 1, Metric::Merge::kMin});
  add_mean(metrics, "mean_reward", all);
  metrics.push_back({"max_reward", at::max(all).item<double>(), 1, Metric::Merge::kMax});
  add_mean(metrics, "accuracy", at::gt(chosen, rejected));
  add_mean(metrics, "ties", at::eq(chosen, rejected));
  add_mean(metrics, "margin", chosen - rejected);
  return metrics;
}

class BradleyTerry : public Loss {
 public:
  explicit BradleyTerry(const BradleyTerryOptions& options) : options_(options) {}

  Needs needs() const override { return kValues | kPairs; }

  std::vector<at::Tensor> weights(const Batch& batch) const override { return {ones(batch.chosen.size())}; }

 protected:
  Result compute(const Batch& batch) const override {
    const at::Tensor rewards = sequence_rewards(batch);
    const at::Tensor chosen = take(rewards, batch.chosen), rejected = take(rewards, batch.rejected);
    at::Tensor logit = chosen - rejected;
    if (batch.margin.defined()) logit = logit - batch.margin.to(logit.options());
    at::Tensor loss = -(1.0 - options_.label_smoothing) * at::log_sigmoid(logit);
    if (options_.label_smoothing > 0.0) loss = loss - options_.label_smoothing * at::log_sigmoid(-logit);
    if (options_.center_rewards_coefficient > 0.0) {
      loss = loss + options_.center_rewards_coefficient * at::square(chosen + rejected);
    }
    return {{{Item::kPair, loss, {}}}, reward_metrics(chosen.detach(), rejected.detach())};
  }

 private:
  BradleyTerryOptions options_;
};

}  // namespace

std::unique_ptr<Loss> make_bradley_terry(const BradleyTerryOptions& options) {
  if (!kSmoothing.contains(options.label_smoothing)) {
    fail(ErrorKind::kUsage, "label_smoothing: expected a {}, got {}", kSmoothing.text(), options.label_smoothing);
  }
  if (!at_least(0).contains(options.center_rewards_coefficient)) {
    fail(ErrorKind::kUsage, "center_rewards_coefficient: expected a {}, got {}", at_least(0).text(),
         options.center_rewards_coefficient);
  }
  return std::make_unique<BradleyTerry>(options);
}

Objective bradley_terry() {
  return {"bradley_terry", "Bradley and Terry 1952; Ouyang et al. 2022; Touvron et al. 2023 (margin)",
          "z = r_c - r_r - margin\n"
          "-(1 - label_smoothing) logsigmoid(z) - label_smoothing logsigmoid(-z)\n"
          "  + center_rewards_coefficient (r_c + r_r)^2, mean over pairs",
          bradley_terry_fields().fields(),
          [](const Json& settings) { return make_bradley_terry(bradley_terry_fields().parse(settings)); }};
}

}  // namespace merit::objective
