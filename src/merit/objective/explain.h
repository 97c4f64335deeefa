// What an objective needs and what it does to likelihoods, as data for a command line to print.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "merit/objective/objectives.h"

namespace merit::objective {

// "logps", "ref_logps", .. of each bit, in order; "none", "group" or "batch".
std::vector<std::string_view> need_names(Needs needs);
std::string_view coupling_name(Coupling coupling);

// The loss of one good and one bad sequence of four tokens, and its derivatives, where both have moved away from where
// they stood: from the reference's log-likelihood, a reward of 0, or a divergence of 8 nats.
struct ExplainPoint {
  double chosen = 0, rejected = 0;  // how far each has moved, in nats or units of reward
  double loss = 0;
  // d loss / d moved: below 0, training raises it. Nothing for a sequence that the objective has no place for.
  double to_chosen = 0;
  std::optional<double> to_rejected;
};

struct Explanation {
  enum class Variable { kLogLikelihood, kReward, kDivergence };
  Needs needs = 0;
  Coupling coupling = Coupling::kNone;
  Variable variable = Variable::kLogLikelihood;
  std::vector<ExplainPoint> points;
};

// By automatic differentiation of the objective itself. Error(kUsage) as Objective::make.
Explanation explain(const Objective& objective, const Json& settings);

}  // namespace merit::objective
