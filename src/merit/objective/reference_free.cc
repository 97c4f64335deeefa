#include "merit/objective/reference_free.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/square.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>

#include <cmath>

#include "merit/core/error.h"
#include "merit/objective/reduce.h"

namespace merit::objective {
namespace {

enum class CpoType { kSigmoid, kHinge, kIpo, kSimpo };

struct CpoOptions {
  CpoType loss_type = CpoType::kSigmoid;
  double beta = 0.1;
  double label_smoothing = 0;
  double cpo_alpha = 1;
  double simpo_gamma = 0.5;
  double alpha = 0;
};

struct SimpoOptions {
  double beta = 2;
  double simpo_gamma = 0.5;
  double label_smoothing = 0;
  double alpha = 0;
};

struct OrpoOptions {
  double beta = 0.1;
  bool nll_of_prompt = true;
};

constexpr const char* kAlphaHelp = "AlphaPO: the reward is (1 - p^-alpha) / alpha; 0 is ln p";

const FieldList<CpoOptions>& cpo_fields() {
  static const FieldList<CpoOptions> list =
      FieldList<CpoOptions>("cpo")
          .choice("loss_type", &CpoOptions::loss_type, {"sigmoid", "hinge", "ipo", "simpo"}, "the loss of a pair")
          .number("beta", &CpoOptions::beta, above(0), "scale of the difference of log-probs")
          .number("label_smoothing", &CpoOptions::label_smoothing, from_below(0, 0.5),
                  "chance that a label is wrong; sigmoid and simpo")
          .number("cpo_alpha", &CpoOptions::cpo_alpha, at_least(0), "weight of the chosen completions' NLL")
          .number("simpo_gamma", &CpoOptions::simpo_gamma, at_least(0), "target margin of simpo")
          .number("alpha", &CpoOptions::alpha, any_number(), kAlphaHelp);
  return list;
}

const FieldList<SimpoOptions>& simpo_fields() {
  static const FieldList<SimpoOptions> list =
      FieldList<SimpoOptions>("simpo")
          .number("beta", &SimpoOptions::beta, above(0), "scale of the difference of mean log-probs")
          .number("simpo_gamma", &SimpoOptions::simpo_gamma, at_least(0), "target margin, after beta")
          .number("label_smoothing", &SimpoOptions::label_smoothing, from_below(0, 0.5), "chance that a label is wrong")
          .number("alpha", &SimpoOptions::alpha, any_number(), kAlphaHelp);
  return list;
}

const FieldList<OrpoOptions>& orpo_fields() {
  static const FieldList<OrpoOptions> list =
      FieldList<OrpoOptions>("orpo")
          .number("beta", &OrpoOptions::beta, above(0), "weight of the odds ratio: lambda of the paper")
          .flag("nll_of_prompt", &OrpoOptions::nll_of_prompt, "the NLL counts the prompt's tokens, as TRL's does");
  return list;
}

at::Tensor mean_logps(const Batch& batch) {
  const at::Tensor sums = sequence_sums(batch.logps, batch.token_begin);
  return sums / sequence_lengths(batch.token_begin).to(sums.device());
}

// Adds the NLL of the chosen sequences, per pair a mean over its tokens; `weight` says how many they are.
void add_nll(Result& result, const at::Tensor& logp_sums, const at::Tensor& weight, const std::vector<int64_t>& chosen,
             double factor) {
  const at::Tensor tokens = weight.to(logp_sums.device());
  const at::Tensor nll = -take(logp_sums, chosen) / tokens;
  if (nll.numel() > 0) {
    result.metrics.push_back({"nll_loss", at::sum((nll * tokens).detach()).item<double>(),
                              at::sum(tokens).item<double>(), Metric::Merge::kMean});
  }
  result.terms.push_back({Item::kPair, factor * nll, {}});
}

class Cpo : public Loss {
 public:
  explicit Cpo(const CpoOptions& options) : options_(options) {
    const bool smooths = options.loss_type == CpoType::kSigmoid || options.loss_type == CpoType::kSimpo;
    if (options.label_smoothing > 0 && !smooths) {
      fail(ErrorKind::kUsage, "cpo.label_smoothing: only loss_type sigmoid and simpo read it; use one of them");
    }
  }

  Needs needs() const override { return kLogps | kPairs; }

  std::vector<at::Tensor> weights(const Batch& batch) const override {
    std::vector<at::Tensor> weights = {ones(batch.chosen.size())};
    if (options_.cpo_alpha > 0) weights.push_back(take(sequence_lengths(batch.token_begin), batch.chosen));
    return weights;
  }

 protected:
  Result compute(const Batch& batch) const override {
    const bool averages = options_.loss_type == CpoType::kIpo || options_.loss_type == CpoType::kSimpo;
    const at::Tensor sums = sequence_sums(batch.logps, batch.token_begin);
    const at::Tensor logps = averages ? mean_logps(batch) : sums;
    const at::Tensor chosen = take(logps, batch.chosen), rejected = take(logps, batch.rejected);
    const at::Tensor chosen_reward = reward(chosen), rejected_reward = reward(rejected);

    Result result;
    result.terms.push_back({Item::kPair, per_pair(chosen_reward - rejected_reward), {}});
    add_rewards(result.metrics, options_.beta * chosen_reward, options_.beta * rejected_reward);
    add_mean(result.metrics, "logps/chosen", chosen);
    add_mean(result.metrics, "logps/rejected", rejected);
    if (options_.cpo_alpha > 0) add_nll(result, sums, weights(batch)[1], batch.chosen, options_.cpo_alpha);
    return result;
  }

 private:
  // (1 - p^-alpha) / alpha, whose limit at alpha 0 is ln p.
  at::Tensor reward(const at::Tensor& logp) const {
    if (options_.alpha == 0) return logp;
    return -at::expm1(-options_.alpha * logp) / options_.alpha;
  }

  at::Tensor per_pair(const at::Tensor& difference) const {
    const double beta = options_.beta, epsilon = options_.label_smoothing;
    switch (options_.loss_type) {
      case CpoType::kHinge:
        return at::relu(1 - beta * difference);
      case CpoType::kIpo:
        return at::square(difference - 1 / (2 * beta));
      case CpoType::kSimpo:
      case CpoType::kSigmoid:
        break;
    }
    const at::Tensor z = beta * difference - (options_.loss_type == CpoType::kSimpo ? options_.simpo_gamma : 0);
    return -(1 - epsilon) * at::log_sigmoid(z) - epsilon * at::log_sigmoid(-z);
  }

  CpoOptions options_;
};

// ln(1 - e^x) for x < 0, without cancellation on either side of -ln 2 (Maechler 2012).
at::Tensor log1mexp(const at::Tensor& x) {
  return at::where(x < -std::log(2.0), at::log1p(-at::exp(x)), at::log(-at::expm1(x)));
}

class Orpo : public Loss {
 public:
  explicit Orpo(const OrpoOptions& options) : options_(options) {}

  Needs needs() const override { return kLogps | kPairs | (options_.nll_of_prompt ? kPromptLogps : 0); }

  std::vector<at::Tensor> weights(const Batch& batch) const override {
    at::Tensor tokens = sequence_lengths(batch.token_begin);
    if (options_.nll_of_prompt) tokens = tokens + sequence_lengths(batch.prompt_begin);
    return {ones(batch.chosen.size()), take(tokens, batch.chosen)};
  }

 protected:
  Result compute(const Batch& batch) const override {
    const at::Tensor logps = at::clamp_max(mean_logps(batch), -1e-12);
    const at::Tensor chosen = take(logps, batch.chosen), rejected = take(logps, batch.rejected);
    const at::Tensor log_odds = chosen - rejected - (log1mexp(chosen) - log1mexp(rejected));
    const at::Tensor log_ratio = at::log_sigmoid(log_odds);

    Result result;
    result.terms.push_back({Item::kPair, -options_.beta * log_ratio, {}});
    add_rewards(result.metrics, options_.beta * chosen, options_.beta * rejected);
    add_mean(result.metrics, "logps/chosen", chosen);
    add_mean(result.metrics, "logps/rejected", rejected);
    add_mean(result.metrics, "log_odds_ratio", log_ratio);
    add_mean(result.metrics, "log_odds_chosen", log_odds);
    at::Tensor sums = sequence_sums(batch.logps, batch.token_begin);
    if (options_.nll_of_prompt) sums = sums + sequence_sums(batch.prompt_logps, batch.prompt_begin);
    add_nll(result, sums, weights(batch)[1], batch.chosen, 1);
    return result;
  }

 private:
  OrpoOptions options_;
};

constexpr const char* kCpoFormula =
    "r = ln p(y), or (1 - p^-alpha) / alpha; d = r_c - r_r, e = label_smoothing\n"
    "sigmoid: -(1-e) logsigmoid(beta d) - e logsigmoid(-beta d)\n"
    "hinge: max(0, 1 - beta d)\n"
    "ipo: (d - 1/(2 beta))^2, with p the mean over tokens\n"
    "simpo: sigmoid with beta d - simpo_gamma, p the mean over tokens\n"
    "+ cpo_alpha times -ln p, mean over the chosen completions' tokens";

}  // namespace

Objective cpo() {
  return {"cpo", "Xu et al. 2024; Gupta et al. 2025 (alpha)", kCpoFormula, cpo_fields().fields(),
          [](const Json& settings) -> std::unique_ptr<Loss> {
            return std::make_unique<Cpo>(cpo_fields().parse(settings));
          }};
}

Objective simpo() {
  return {"simpo", "Meng et al. 2024; Gupta et al. 2025 (alpha)",
          "r = mean over tokens of ln p, or (1 - p^-alpha) / alpha of that mean; z = beta (r_c - r_r) - simpo_gamma\n"
          "-(1 - label_smoothing) logsigmoid(z) - label_smoothing logsigmoid(-z)",
          simpo_fields().fields(), [](const Json& settings) -> std::unique_ptr<Loss> {
            const SimpoOptions given = simpo_fields().parse(settings);
            return std::make_unique<Cpo>(CpoOptions{.loss_type = CpoType::kSimpo,
                                                    .beta = given.beta,
                                                    .label_smoothing = given.label_smoothing,
                                                    .cpo_alpha = 0,
                                                    .simpo_gamma = given.simpo_gamma,
                                                    .alpha = given.alpha});
          }};
}

Objective orpo() {
  return {"orpo", "Hong et al. 2024",
          "a = mean over completion tokens of ln p; odds = (a_c - a_r) - [ln(1 - exp a_c) - ln(1 - exp a_r)]\n"
          "-beta logsigmoid(odds), mean over pairs\n"
          "+ -ln p, mean over the chosen sequences' tokens, prompt included unless nll_of_prompt is false",
          orpo_fields().fields(), [](const Json& settings) -> std::unique_ptr<Loss> {
            return std::make_unique<Orpo>(orpo_fields().parse(settings));
          }};
}

}  // namespace merit::objective
