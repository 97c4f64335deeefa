#include "merit/objective/dpo.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

#include "merit/core/error.h"
#include "merit/core/strings.h"
#include "merit/objective/dpo_losses.h"
#include "merit/objective/reduce.h"

namespace merit::objective {
namespace {

enum class FDivergence { kReverseKl, kForwardKl, kJensenShannon, kAlpha };

struct DpoOptions {
  std::vector<size_t> loss_type = {0};  // indices into dpo_losses()
  std::vector<double> loss_weights;     // empty: ones
  double beta = 0.1;
  double label_smoothing = 0;
  FDivergence f_divergence_type = FDivergence::kReverseKl;
  double f_alpha_divergence_coef = 0.5;
  double discopop_tau = 0.05;
  std::optional<double> ld_alpha;
  bool use_weighting = false;
};

const FieldList<DpoOptions>& dpo_fields() {
  static const FieldList<DpoOptions> list = [] {
    std::vector<std::string> names;
    for (const DpoLoss& loss : dpo_losses()) names.emplace_back(loss.name);
    return FieldList<DpoOptions>("dpo")
        .choices("loss_type", &DpoOptions::loss_type, names, "losses, added with loss_weights")
        .numbers("loss_weights", &DpoOptions::loss_weights, any_number(), "one a loss_type; 1 each if none")
        .number("beta", &DpoOptions::beta, above(0), "how strongly the policy is held to the reference")
        .number("label_smoothing", &DpoOptions::label_smoothing, from_below(0, 0.5),
                "chance that a label is wrong: exo_pair (above 0), robust, aot, aot_unpaired")
        .choice("f_divergence_type", &DpoOptions::f_divergence_type,
                {"reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"},
                "the divergence that holds the policy to the reference")
        .number("f_alpha_divergence_coef", &DpoOptions::f_alpha_divergence_coef, any_number(),
                "alpha of alpha_divergence; 1 is reverse_kl")
        .number("discopop_tau", &DpoOptions::discopop_tau, above(0), "temperature of discopop")
        .optional_number("ld_alpha", &DpoOptions::ld_alpha, between(0, 1),
                         "weight of the tokens past the shorter completion's length")
        .flag("use_weighting", &DpoOptions::use_weighting, "WPO: weigh pairs by the policy's own probability of them");
  }();
  return list;
}

void check(const DpoOptions& options) {
  const auto any = [&](auto&& property) {
    return std::any_of(options.loss_type.begin(), options.loss_type.end(),
                       [&](size_t type) { return property(dpo_losses()[type]); });
  };
  if (!options.loss_weights.empty() && options.loss_weights.size() != options.loss_type.size()) {
    fail(ErrorKind::kUsage, "dpo.loss_weights: expected one weight for each of {} loss types, got {}",
         options.loss_type.size(), options.loss_weights.size());
  }
  if (options.label_smoothing == 0 &&
      any([](const DpoLoss& loss) { return std::string_view(loss.name) == "exo_pair"; })) {
    fail(ErrorKind::kUsage, "dpo.label_smoothing: loss_type exo_pair needs a value above 0; 1e-3 is usual");
  }
  if (options.label_smoothing > 0 && !any([](const DpoLoss& loss) { return loss.smooths; })) {
    fail(ErrorKind::kUsage,
         "dpo.label_smoothing: only exo_pair, robust, aot and aot_unpaired read it; use one of them");
  }
  for (const size_t type : options.loss_type) {
    const DpoLoss& loss = dpo_losses()[type];
    if (options.f_divergence_type != FDivergence::kReverseKl && !loss.takes_divergence) {
      fail(ErrorKind::kUsage, "dpo.f_divergence_type: loss_type {} is defined for reverse_kl only", loss.name);
    }
    if (options.use_weighting && loss.sorts) {
      fail(ErrorKind::kUsage, "dpo.use_weighting: loss_type {} sorts the batch, so a pair has no weight", loss.name);
    }
  }
}

// s = f'(pi / pi_ref) up to a constant, of the log-ratio.
at::Tensor score(const at::Tensor& ratio, const DpoOptions& options) {
  const double power = options.f_alpha_divergence_coef - 1;
  switch (options.f_divergence_type) {
    case FDivergence::kForwardKl:
      return -at::expm1(-ratio);
    case FDivergence::kJensenShannon:
      return std::log(2.0) + at::log_sigmoid(ratio);
    case FDivergence::kAlpha:
      if (std::abs(power) < 1e-6) return ratio;
      return at::expm1(at::clamp_max(power * ratio, 80)) / power;
    case FDivergence::kReverseKl:
      break;
  }
  return ratio;
}

class Dpo : public Loss {
 public:
  explicit Dpo(DpoOptions options) : options_(std::move(options)) {
    check(options_);
    for (size_t i = 0; i < options_.loss_type.size(); ++i) {
      const DpoLoss& loss = dpo_losses()[options_.loss_type[i]];
      const double weight = options_.loss_weights.empty() ? 1 : options_.loss_weights[i];
      (loss.per_pair ? pairwise_ : tokenwise_).push_back({&loss, weight});
    }
  }

  Needs needs() const override {
    return kLogps | kPairs | (pairwise_.empty() ? 0 : kRefLogps) | (options_.use_weighting ? kSumsq : 0);
  }

  Coupling coupling() const override {
    const bool sorts =
        std::any_of(pairwise_.begin(), pairwise_.end(), [](const Part& part) { return part.loss->sorts; });
    return sorts ? Coupling::kBatch : Coupling::kNone;
  }

  std::vector<at::Tensor> weights(const Batch& batch) const override {
    std::vector<at::Tensor> weights;
    if (!pairwise_.empty()) weights.push_back(ones(batch.chosen.size()));
    if (!tokenwise_.empty()) weights.push_back(take(sequence_lengths(batch.token_begin), batch.chosen));
    return weights;
  }

 protected:
  Result compute(const Batch& batch) const override {
    Result result;
    const at::Tensor weight = options_.use_weighting ? wpo_weight(batch) : at::Tensor();
    const auto add_term = [&](const at::Tensor& losses) {
      result.terms.push_back({Item::kPair, weight.defined() ? losses * weight : losses, {}});
    };
    if (!pairwise_.empty()) add_term(pairwise(batch, result.metrics));
    if (!tokenwise_.empty()) {
      double factor = 0;
      for (const Part& part : tokenwise_) factor += part.weight;
      const at::Tensor sums = sequence_sums(batch.logps, batch.token_begin);
      const at::Tensor lengths = sequence_lengths(batch.token_begin).to(sums.device());
      add_term(-factor * take(sums / lengths, batch.chosen));
    }
    return result;
  }

 private:
  struct Part {
    const DpoLoss* loss;
    double weight;
  };

  // The log-probability of each pair's side: a sum over tokens, those past the shorter side's length times ld_alpha.
  at::Tensor side(const at::Tensor& logps, const Batch& batch, const std::vector<int64_t>& sequences) const {
    const at::Tensor whole = take(sequence_sums(logps, batch.token_begin), sequences);
    if (!options_.ld_alpha) return whole;
    const auto length = [&](int64_t s) {
      return batch.token_begin[static_cast<size_t>(s) + 1] - batch.token_begin[static_cast<size_t>(s)];
    };
    std::vector<int64_t> rows, begin = {0};
    for (size_t p = 0; p < sequences.size(); ++p) {
      const int64_t shared = std::min(length(batch.chosen[p]), length(batch.rejected[p]));
      const int64_t first = batch.token_begin[static_cast<size_t>(sequences[p])];
      for (int64_t t = 0; t < shared; ++t) rows.push_back(first + t);
      begin.push_back(begin.back() + shared);
    }
    return *options_.ld_alpha * whole + (1 - *options_.ld_alpha) * sequence_sums(take(logps, rows), begin);
  }

  at::Tensor pairwise(const Batch& batch, std::vector<Metric>& metrics) const {
    const at::Tensor chosen = side(batch.logps, batch, batch.chosen);
    const at::Tensor rejected = side(batch.logps, batch, batch.rejected);
    const at::Tensor ref_chosen = side(batch.ref_logps.detach(), batch, batch.chosen);
    const at::Tensor ref_rejected = side(batch.ref_logps.detach(), batch, batch.rejected);
    const at::Tensor lengths = sequence_lengths(batch.token_begin).to(chosen.device());
    DpoPairs pairs;
    pairs.chosen_ratio = chosen - ref_chosen;
    pairs.rejected_ratio = rejected - ref_rejected;
    pairs.chosen_score = score(pairs.chosen_ratio, options_);
    pairs.rejected_score = score(pairs.rejected_ratio, options_);
    pairs.chosen_length = take(lengths, batch.chosen);
    pairs.rejected_length = take(lengths, batch.rejected);
    pairs.policy_ratio = chosen - rejected;
    pairs.reference_ratio = ref_chosen - ref_rejected;

    const DpoParameters parameters{options_.beta, options_.label_smoothing, options_.discopop_tau};
    at::Tensor losses = at::zeros_like(chosen);
    for (const Part& part : pairwise_) losses = losses + part.weight * part.loss->per_pair(pairs, parameters);
    add_rewards(metrics, options_.beta * pairs.chosen_ratio, options_.beta * pairs.rejected_ratio);
    add_mean(metrics, "logps/chosen", chosen);
    add_mean(metrics, "logps/rejected", rejected);
    return losses;
  }

  // WPO eq. 2: a completion's weight is exp of its mean of ln p - ln sum p^2; a pair's the product; no gradient.
  static at::Tensor wpo_weight(const Batch& batch) {
    const at::Tensor aligned = batch.logps.detach().to(at::kDouble) - at::log(batch.sumsq.detach().to(at::kDouble));
    const at::Tensor lengths = sequence_lengths(batch.token_begin).to(aligned.device());
    const at::Tensor mean = sequence_sums(aligned, batch.token_begin) / lengths;
    return at::exp(take(mean, batch.chosen) + take(mean, batch.rejected));
  }

  DpoOptions options_;
  std::vector<Part> pairwise_, tokenwise_;
};

std::string dpo_formula() {
  std::string text =
      "D = sum over completion tokens of (ln pi - ln pi_ref), s = f(D), d = s_c - s_r, e = label_smoothing\n"
      "f: reverse_kl D; forward_kl 1 - exp(-D); js_divergence ln 2 + logsigmoid(D); alpha_divergence "
      "(exp((alpha-1) D) - 1)/(alpha-1)";
  for (const DpoLoss& loss : dpo_losses()) text += std::string("\n") + loss.name + ": " + loss.formula;
  return text;
}

}  // namespace

Objective dpo() {
  return {"dpo", "Rafailov et al. 2023", dpo_formula(), dpo_fields().fields(),
          [](const Json& settings) -> std::unique_ptr<Loss> {
            return std::make_unique<Dpo>(dpo_fields().parse(settings));
          }};
}

}  // namespace merit::objective
