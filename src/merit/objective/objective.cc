#include "merit/objective/objective.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include "merit/core/error.h"
#include "merit/objective/check_batch.h"

namespace merit::objective {

int64_t Batch::sequences() const {
  const size_t bounds = std::max(token_begin.size(), value_begin.size());
  return bounds == 0 ? 0 : static_cast<int64_t>(bounds) - 1;
}

at::Tensor total(const Result& result) {
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (const Term& term : result.terms) {
    const double weight = at::sum(term.weight).item<double>();
    if (weight == 0) continue;
    loss = loss.to(term.losses.device()) + at::sum(term.losses * term.weight) / weight;
  }
  return loss;
}

Result Loss::operator()(const Batch& batch) const {
  check_batch(batch, needs());
  Result result = compute(batch);
  const std::vector<at::Tensor> weight = weights(batch);
  MERIT_CHECK(weight.size() == result.terms.size());
  for (size_t t = 0; t < weight.size(); ++t) {
    Term& term = result.terms[t];
    MERIT_CHECK(term.losses.sizes() == weight[t].sizes());
    term.weight = weight[t].to(term.losses.device());
  }
  return result;
}

void Loss::load(const State& state) {
  if (!state.empty())
    fail(ErrorKind::kData, "objective state {}: this objective keeps none", quote(state.begin()->first));
}

}  // namespace merit::objective
