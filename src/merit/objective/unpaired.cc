#include "merit/objective/unpaired.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/sigmoid.h>

#include <algorithm>

#include "merit/core/error.h"
#include "merit/objective/reduce.h"

namespace merit::objective {
namespace {

enum class KtoType { kKto, kApoZeroUnpaired };

struct KtoOptions {
  KtoType loss_type = KtoType::kKto;
  double beta = 0.1;
  double desirable_weight = 1;
  double undesirable_weight = 1;
};

struct BcoOptions {
  double beta = 0.1;
};

const FieldList<KtoOptions>& kto_fields() {
  static const FieldList<KtoOptions> list =
      FieldList<KtoOptions>("kto")
          .choice("loss_type", &KtoOptions::loss_type, {"kto", "apo_zero_unpaired"},
                  "kto, or apo_zero_unpaired: no baseline")
          .number("beta", &KtoOptions::beta, above(0), "how strongly the policy is held to the reference")
          .number("desirable_weight", &KtoOptions::desirable_weight, at_least(0), "weight of desirable losses")
          .number("undesirable_weight", &KtoOptions::undesirable_weight, at_least(0), "weight of undesirable losses");
  return list;
}

const FieldList<BcoOptions>& bco_fields() {
  static const FieldList<BcoOptions> list = FieldList<BcoOptions>("bco").number(
      "beta", &BcoOptions::beta, above(0), "how strongly the policy is held to the reference");
  return list;
}

// The labelled sequences, desirable and not, without the skipped. Error(kData) for a label that is neither.
struct Sides {
  std::vector<int64_t> chosen, rejected;
};

Sides sides_of(const at::Tensor& label, const std::vector<int64_t>& skipped) {
  const at::Tensor labels = label.to(at::kCPU, at::kDouble).contiguous();
  const double* value = labels.const_data_ptr<double>();
  std::vector<bool> skip(static_cast<size_t>(labels.numel()), false);
  for (const int64_t s : skipped) skip[static_cast<size_t>(s)] = true;
  Sides sides;
  for (int64_t s = 0; s < labels.numel(); ++s) {
    if (skip[static_cast<size_t>(s)]) continue;
    if (value[s] != 0 && value[s] != 1) {
      fail(ErrorKind::kData, "batch: sequence {}: expected a label of 0 or 1, got {}", s, value[s]);
    }
    (value[s] == 1 ? sides.chosen : sides.rejected).push_back(s);
  }
  return sides;
}

// Puts the losses of both sides back in the order of sequences; others get 0.
at::Tensor in_order(const at::Tensor& chosen, const at::Tensor& rejected, const Sides& sides, int64_t sequences) {
  return scatter(chosen, sides.chosen, sequences) + scatter(rejected, sides.rejected, sequences);
}

void add_side_metrics(std::vector<Metric>& metrics, const Sides& sides, const at::Tensor& rewards,
                      const at::Tensor& logps) {
  const at::Tensor chosen = take(rewards, sides.chosen), rejected = take(rewards, sides.rejected);
  add_mean(metrics, "rewards/chosen", chosen);
  add_mean(metrics, "rewards/rejected", rejected);
  if (!sides.chosen.empty() && !sides.rejected.empty()) {
    metrics.push_back(
        {"rewards/margins", (at::mean(chosen) - at::mean(rejected)).item<double>(), 1, Metric::Merge::kMean});
  }
  add_mean(metrics, "logps/chosen", take(logps, sides.chosen));
  add_mean(metrics, "logps/rejected", take(logps, sides.rejected));
}

class Kto : public Loss {
 public:
  explicit Kto(const KtoOptions& options) : options_(options) {}

  Needs needs() const override { return kLogps | kRefLogps | kLabels | (has_baseline() ? kMismatched : 0); }

  Coupling coupling() const override { return has_baseline() ? Coupling::kBatch : Coupling::kNone; }

  std::vector<at::Tensor> weights(const Batch& batch) const override {
    at::Tensor weight = ones(static_cast<size_t>(batch.sequences()));
    for (const int64_t s : batch.mismatched) weight[s] = 0;
    return {weight};
  }

 protected:
  Result compute(const Batch& batch) const override {
    const Sides sides = sides_of(batch.label, batch.mismatched);
    const at::Tensor ratios = log_ratios(batch);
    const at::Tensor chosen = take(ratios, sides.chosen), rejected = take(ratios, sides.rejected);
    const double z = baseline(batch, ratios);
    const at::Tensor desirable = 1 - at::sigmoid(options_.beta * (chosen - z));
    const at::Tensor undesirable = 1 - at::sigmoid(options_.beta * (z - rejected));
    Result result;
    result.terms.push_back({Item::kSequence,
                            in_order(options_.desirable_weight * desirable, options_.undesirable_weight * undesirable,
                                     sides, batch.sequences()),
                            {}});
    if (has_baseline()) result.metrics.push_back({"kl", z, 1, Metric::Merge::kMean});
    add_side_metrics(result.metrics, sides, options_.beta * ratios.detach(),
                     sequence_sums(batch.logps.detach(), batch.token_begin));
    return result;
  }

 private:
  bool has_baseline() const { return options_.loss_type == KtoType::kKto; }

  // The divergence from the reference as unrelated completions show it, no gradient.
  double baseline(const Batch& batch, const at::Tensor& ratios) const {
    if (!has_baseline()) return 0;
    if (batch.mismatched.empty()) {
      fail(ErrorKind::kData,
           "batch: kto's baseline needs mismatched sequences, got none; loss_type apo_zero_unpaired "
           "does without");
    }
    return std::max(0.0, at::mean(take(ratios.detach(), batch.mismatched)).item<double>());
  }

  KtoOptions options_;
};

class Bco : public Loss {
 public:
  explicit Bco(const BcoOptions& options) : options_(options) {}

  Needs needs() const override { return kLogps | kRefLogps | kLabels; }
  Coupling coupling() const override { return Coupling::kBatch; }

  std::vector<at::Tensor> weights(const Batch& batch) const override {
    return {ones(static_cast<size_t>(batch.sequences()))};
  }

  void update(const Batch& batch) override {
    const at::Tensor rewards = options_.beta * log_ratios(batch).detach();
    if (rewards.numel() == 0) return;
    const auto added = static_cast<double>(rewards.numel());
    count_ += added;
    mean_ += (at::mean(rewards).item<double>() - mean_) * added / count_;
  }

  State save() const override {
    return {{"mean", at::scalar_tensor(mean_, at::kDouble)}, {"count", at::scalar_tensor(count_, at::kDouble)}};
  }

  void load(const State& state) override {
    const auto read = [&](const char* name) {
      const auto found = state.find(name);
      if (state.size() != 2 || found == state.end() || found->second.numel() != 1) {
        fail(ErrorKind::kData, "objective state: bco expects the scalars mean and count");
      }
      return found->second.item<double>();
    };
    const double mean = read("mean"), count = read("count");
    mean_ = mean;
    count_ = count;
  }

 protected:
  Result compute(const Batch& batch) const override {
    const Sides sides = sides_of(batch.label, {});
    const at::Tensor rewards = options_.beta * log_ratios(batch);
    const at::Tensor chosen = take(rewards, sides.chosen), rejected = take(rewards, sides.rejected);
    Result result;
    result.terms.push_back(
        {Item::kSequence,
         in_order(-at::log_sigmoid(chosen - mean_), -at::log_sigmoid(mean_ - rejected), sides, batch.sequences()),
         {}});
    result.metrics.push_back({"delta", mean_, 1, Metric::Merge::kMean});
    add_side_metrics(result.metrics, sides, rewards.detach(), sequence_sums(batch.logps.detach(), batch.token_begin));
    return result;
  }

 private:
  BcoOptions options_;
  double mean_ = 0, count_ = 0;
};

}  // namespace

Objective kto() {
  return {"kto", "Ethayarajh et al. 2024; D'Oosterlinck et al. 2024 (apo_zero_unpaired)",
          "D = sum over completion tokens of (ln pi - ln pi_ref); z = max(0, mean of D over mismatched pairs), no "
          "gradient; 0 for apo_zero_unpaired\n"
          "desirable: desirable_weight (1 - sigmoid(beta (D - z)))\n"
          "undesirable: undesirable_weight (1 - sigmoid(beta (z - D))), mean over both",
          kto_fields().fields(), [](const Json& settings) -> std::unique_ptr<Loss> {
            return std::make_unique<Kto>(kto_fields().parse(settings));
          }};
}

Objective bco() {
  return {"bco", "Jung et al. 2024",
          "D = sum over completion tokens of (ln pi - ln pi_ref); delta = running mean of beta D, no gradient\n"
          "desirable: -logsigmoid(beta D - delta)\n"
          "undesirable: -logsigmoid(delta - beta D), mean over both",
          bco_fields().fields(), [](const Json& settings) -> std::unique_ptr<Loss> {
            return std::make_unique<Bco>(bco_fields().parse(settings));
          }};
}

}  // namespace merit::objective
