#include "merit/objective/explain.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <utility>

namespace merit::objective {
namespace {

constexpr int64_t kTokens = 4;
constexpr double kLogp = -4;         // of every token under the reference, and of a prompt's under both
constexpr double kDivergenceOf = 2;  // per token
constexpr double kSumsqOf = 0.1;

// `moved` [n]: how far each of the first n sequences has; one more stands still if the objective wants a mismatched
// one.
Batch example(const Loss& loss, const at::Tensor& moved) {
  const Needs needs = loss.needs();
  const int64_t sequences = moved.size(0) + (needs & kMismatched ? 1 : 0);
  const auto flat = [&](double value) { return at::full({sequences * kTokens}, value, at::kDouble); };
  const at::Tensor per_token = (moved / static_cast<double>(kTokens)).repeat_interleave(kTokens);
  const auto shifted = [&](double value) {
    at::Tensor tokens = flat(value);
    tokens.narrow(0, 0, per_token.size(0)) += per_token;
    return tokens;
  };
  Batch batch;
  for (int64_t s = 0; s <= sequences; ++s) {
    batch.token_begin.push_back(s * kTokens);
    batch.prompt_begin.push_back(s * kTokens);
    batch.value_begin.push_back(s);
  }
  batch.logps = shifted(kLogp);
  batch.ref_logps = flat(kLogp);
  batch.prompt_logps = flat(kLogp);
  batch.sumsq = flat(kSumsqOf);
  batch.divergence = needs & kLogps ? flat(kDivergenceOf) : shifted(kDivergenceOf);
  batch.values = moved.unsqueeze(1);
  batch.value_targets = at::tensor({1.0, 0.0}, at::kDouble).narrow(0, 0, moved.size(0)).unsqueeze(1);
  batch.chosen = {0};
  batch.rejected = {1};
  batch.lists = {{0, 1}};
  batch.label = at::tensor({1.0, 0.0, 1.0}, at::kDouble).narrow(0, 0, sequences);
  if (needs & kMismatched) batch.mismatched = {2};
  return batch;
}

}  // namespace

std::vector<std::string_view> need_names(Needs needs) {
  constexpr std::pair<Needs, std::string_view> kNames[] = {
      {kLogps, "logps"},
      {kRefLogps, "ref_logps"},
      {kPromptLogps, "prompt_logps"},
      {kSumsq, "sumsq"},
      {kDivergence, "divergence"},
      {kValues, "values"},
      {kValueTargets, "value_targets"},
      {kPairs, "pairs"},
      {kLabels, "labels"},
      {kMismatched, "mismatched"},
      {kLists, "lists"},
  };
  std::vector<std::string_view> names;
  for (const auto& [bit, name] : kNames) {
    if (needs & bit) names.push_back(name);
  }
  return names;
}

std::string_view coupling_name(Coupling coupling) {
  switch (coupling) {
    case Coupling::kGroup:
      return "group";
    case Coupling::kBatch:
      return "batch";
    case Coupling::kNone:
      break;
  }
  return "none";
}

Explanation explain(const Objective& objective, const Json& settings) {
  const std::unique_ptr<Loss> loss = objective.make(settings);
  Explanation explanation;
  explanation.needs = loss->needs();
  explanation.coupling = loss->coupling();
  const bool of_values = explanation.needs & kValues, of_logps = explanation.needs & kLogps;
  explanation.variable = of_values  ? Explanation::Variable::kReward
                         : of_logps ? Explanation::Variable::kLogLikelihood
                                    : Explanation::Variable::kDivergence;
  // An objective of single sequences without labels knows no bad one.
  const bool two = explanation.needs & (kPairs | kLabels | kLists | kValueTargets);
  const double far = of_values ? 2 : 5;
  for (const auto& [chosen, rejected] : {std::pair{0.0, 0.0}, {far, -far}, {-far, far}, {far, far}, {-far, -far}}) {
    if (!two && rejected != chosen) continue;
    at::Tensor moved = at::tensor({chosen, rejected}, at::kDouble).narrow(0, 0, two ? 2 : 1).clone();
    moved.set_requires_grad(true);
    const at::Tensor value = total((*loss)(example(*loss, moved)));
    value.backward();
    ExplainPoint point{chosen, rejected, value.item<double>(), moved.grad()[0].item<double>(), std::nullopt};
    if (two) point.to_rejected = moved.grad()[1].item<double>();
    explanation.points.push_back(point);
  }
  return explanation;
}

}  // namespace merit::objective
