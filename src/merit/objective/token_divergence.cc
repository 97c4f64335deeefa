#include "merit/objective/token_divergence.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_sigmoid.h>

#include "merit/objective/reduce.h"

namespace merit::objective {
namespace {

enum class TdpoType { kTdpo1, kTdpo2 };

struct TdpoOptions {
  TdpoType loss_type = TdpoType::kTdpo2;
  double beta = 0.1;
  double alpha = 0.5;
};

struct GkdOptions {
  double beta = 0.5;
};

const FieldList<TdpoOptions>& tdpo_fields() {
  static const FieldList<TdpoOptions> list =
      FieldList<TdpoOptions>("tdpo")
          .choice("loss_type", &TdpoOptions::loss_type, {"tdpo1", "tdpo2"}, "which of the paper's two losses")
          .number("beta", &TdpoOptions::beta, above(0), "how strongly the policy is held to the reference")
          .number("alpha", &TdpoOptions::alpha, at_least(0), "weight of the difference of divergences in tdpo2");
  return list;
}

const FieldList<GkdOptions>& gkd_fields() {
  static const FieldList<GkdOptions> list = FieldList<GkdOptions>("gkd").number(
      "beta", &GkdOptions::beta, between(0, 1), "0 is KL(teacher || student), 1 is KL(student || teacher)");
  return list;
}

class Tdpo : public Loss {
 public:
  explicit Tdpo(const TdpoOptions& options) : options_(options) {}

  Needs needs() const override { return kLogps | kRefLogps | kDivergence | kPairs; }
  std::optional<Divergence> divergence() const override { return Divergence{}; }
  std::vector<at::Tensor> weights(const Batch& batch) const override { return {ones(batch.chosen.size())}; }

 protected:
  Result compute(const Batch& batch) const override {
    const at::Tensor ratios = log_ratios(batch);
    const at::Tensor kl = sequence_sums(batch.divergence, batch.token_begin);
    const at::Tensor chosen = take(ratios, batch.chosen), rejected = take(ratios, batch.rejected);
    const at::Tensor chosen_kl = take(kl, batch.chosen), rejected_kl = take(kl, batch.rejected);
    const at::Tensor excess = options_.loss_type == TdpoType::kTdpo1
                                  ? rejected_kl - chosen_kl
                                  : options_.alpha * (rejected_kl - chosen_kl.detach());
    Result result;
    result.terms.push_back({Item::kPair, -at::log_sigmoid(options_.beta * (chosen - rejected - excess)), {}});
    add_rewards(result.metrics, options_.beta * chosen, options_.beta * rejected);
    const at::Tensor logps = sequence_sums(batch.logps.detach(), batch.token_begin);
    add_mean(result.metrics, "logps/chosen", take(logps, batch.chosen));
    add_mean(result.metrics, "logps/rejected", take(logps, batch.rejected));
    add_mean(result.metrics, "seq_kl/chosen", chosen_kl);
    add_mean(result.metrics, "seq_kl/rejected", rejected_kl);
    return result;
  }

 private:
  TdpoOptions options_;
};

class Gkd : public Loss {
 public:
  explicit Gkd(const GkdOptions& options) : options_(options) {}

  Needs needs() const override { return kDivergence; }
  std::optional<Divergence> divergence() const override {
    return Divergence{.kind = Divergence::Kind::kGeneralJsd, .beta = options_.beta, .teacher = true};
  }
  std::vector<at::Tensor> weights(const Batch& batch) const override { return {sequence_lengths(batch.token_begin)}; }

 protected:
  Result compute(const Batch& batch) const override {
    const at::Tensor sums = sequence_sums(batch.divergence, batch.token_begin);
    return {{{Item::kSequence, sums / sequence_lengths(batch.token_begin).to(sums.device()), {}}}, {}};
  }

 private:
  GkdOptions options_;
};

}  // namespace

Objective tdpo() {
  return {"tdpo", "Zeng et al. 2024",
          "D = sum over completion tokens of (ln pi - ln pi_ref); K = sum of KL(pi_ref || pi) at its positions\n"
          "tdpo1: -logsigmoid(beta (D_c - D_r) - beta (K_r - K_c))\n"
          "tdpo2: -logsigmoid(beta (D_c - D_r) - alpha beta (K_r - sg(K_c)))",
          tdpo_fields().fields(), [](const Json& settings) -> std::unique_ptr<Loss> {
            return std::make_unique<Tdpo>(tdpo_fields().parse(settings));
          }};
}

Objective gkd() {
  return {"gkd", "Agarwal et al. 2024",
          "m = beta teacher + (1 - beta) student\n"
          "beta KL(teacher || m) + (1 - beta) KL(student || m), mean over completion tokens",
          gkd_fields().fields(), [](const Json& settings) -> std::unique_ptr<Loss> {
            return std::make_unique<Gkd>(gkd_fields().parse(settings));
          }};
}

}  // namespace merit::objective
