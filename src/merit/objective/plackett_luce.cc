#include "merit/objective/plackett_luce.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/logcumsumexp.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "merit/core/error.h"
#include "merit/objective/reduce.h"

namespace merit::objective {
namespace {

enum class Score { kValues, kPolicy };

struct PlackettLuceOptions {
  Score score = Score::kValues;
  double beta = 0.1;
  int64_t top = 0;
};

const FieldList<PlackettLuceOptions>& plackett_luce_fields() {
  static const FieldList<PlackettLuceOptions> list =
      FieldList<PlackettLuceOptions>("plackett_luce")
          .choice("score", &PlackettLuceOptions::score, {"values", "policy"},
                  "what ranks: rewards of a head, or beta (ln pi - ln pi_ref)")
          .number("beta", &PlackettLuceOptions::beta, above(0), "scale of score policy")
          .count("top", &PlackettLuceOptions::top, 0, "only the order of the first so many counts; 0 is all");
  return list;
}

// Concordant minus discordant pairs of scores that should fall, over pairs.
double kendall_tau(const double* score, int64_t size) {
  int64_t balance = 0;
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = i + 1; j < size; ++j) balance += (score[i] > score[j]) - (score[i] < score[j]);
  }
  return 2.0 * static_cast<double>(balance) / static_cast<double>(size * (size - 1));
}

class PlackettLuce : public Loss {
 public:
  explicit PlackettLuce(const PlackettLuceOptions& options) : options_(options) {}

  Needs needs() const override { return kLists | (options_.score == Score::kValues ? kValues : kLogps | kRefLogps); }

  std::vector<at::Tensor> weights(const Batch& batch) const override { return {ones(batch.lists.size())}; }

 protected:
  Result compute(const Batch& batch) const override {
    const at::Tensor scores = scores_of(batch);
    std::vector<at::Tensor> losses;
    double first_wins = 0, tau = 0;
    for (const auto& list : batch.lists) {
      const auto size = static_cast<int64_t>(list.size());
      if (size < 2)
        fail(ErrorKind::kData, "batch: list {}: expected two sequences or more, got {}", losses.size(), size);
      const at::Tensor ranked = take(scores, list);  // [n], best first
      const at::Tensor of_rest = at::flip(at::logcumsumexp(at::flip(ranked, {0}), 0), {0});
      const int64_t draws = options_.top == 0 ? size - 1 : std::min(options_.top, size - 1);
      losses.push_back(at::sum((of_rest - ranked).narrow(0, 0, draws)));

      const at::Tensor seen = ranked.detach().to(at::kCPU).contiguous();
      const double* score = seen.const_data_ptr<double>();
      first_wins += std::all_of(score + 1, score + size, [&](double other) { return score[0] > other; }) ? 1 : 0;
      tau += kendall_tau(score, size);
    }
    Result result;
    result.terms.push_back({Item::kList, losses.empty() ? at::zeros({0}, at::kDouble) : at::stack(losses), {}});
    if (!losses.empty()) {
      const auto count = static_cast<double>(losses.size());
      result.metrics = {{"accuracy", first_wins, count, {}}, {"kendall_tau", tau, count, {}}};
    }
    return result;
  }

 private:
  at::Tensor scores_of(const Batch& batch) const {
    if (options_.score == Score::kValues) return sequence_rewards(batch);
    return options_.beta * log_ratios(batch);
  }

  PlackettLuceOptions options_;
};

}  // namespace

Objective plackett_luce() {
  return {"plackett_luce", "Plackett 1975; Xia et al. 2008; Rafailov et al. 2023, A.3 (policy)",
          "s = reward, or beta (ln pi - ln pi_ref); list s_1 .. s_n, best first\n"
          "sum over k of ln(exp s_k + .. + exp s_n) - s_k, mean over lists",
          plackett_luce_fields().fields(), [](const Json& settings) -> std::unique_ptr<Loss> {
            return std::make_unique<PlackettLuce>(plackett_luce_fields().parse(settings));
          }};
}

}  // namespace merit::objective
