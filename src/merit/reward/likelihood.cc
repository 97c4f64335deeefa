#include "merit/reward/likelihood.h"

namespace merit::reward {

nn::PathRequest LikelihoodReward::request(const text::Encoded& encoded) const {
  // The first token of a sequence has no probability: an empty prompt's first completion token is not scored.
  return {.ids = encoded.ids, .logps_from = std::max(encoded.boundary, 1), .hidden_at = {}};
}

Cell LikelihoodReward::cell(const text::Encoded&, const nn::PathResult& result) const {
  double sum = 0;
  for (const float logp : result.logps) sum += static_cast<double>(logp);
  const auto tokens = static_cast<double>(result.logps.size());
  if (tokens == 0) return abstain(Cause::kResponse, "no token of the response can be scored");
  Cell cell;
  cell.value = rule_ == LikelihoodRule::kSum ? sum : sum / tokens;
  cell.parts = {{"sum", sum}, {"mean", sum / tokens}, {"tokens", tokens}};
  return cell;
}

}  // namespace merit::reward
