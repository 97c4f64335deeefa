// Fits a linear score head to preference pairs of frozen features, to the optimum: the problem is convex.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "merit/objective/bradley_terry.h"
#include "merit/stats/interval.h"
#include "merit/train/pairs.h"

namespace merit::train {

struct FitOptions {
  objective::BradleyTerryOptions objective;
  // Weight of |w|^2 / 2 on features of unit variance. Nothing: chosen by cross-validation from 1e-3, 1e-2, .. 1e2.
  std::optional<double> l2;
  int64_t folds = 5;  // groups are dealt into folds whole
  uint64_t seed = 0;  // of the deal
  int64_t max_iterations = 200;
};

struct FittedHead {
  at::Tensor weight;  // [1, H] float64, for the features as they were given; no bias, which pairs cannot see
  double l2 = 0;
  double loss = 0;      // the objective at the optimum, without the penalty
  double accuracy = 0;  // on the pairs it was fitted to
  // Share of pairs ranked right in folds the head was not fitted to, a group counting once; interval over groups.
  // Nothing if there are fewer groups than folds. Slightly optimistic if l2 was chosen by the same folds.
  std::optional<stats::Estimate> cv_accuracy;
};

// features [N, H] of any floating dtype; pairs index its rows. Error(kData) without pairs or with a feature that is not
// finite. Deterministic: same input, same thread count, same bits.
FittedHead fit_head(const at::Tensor& features, std::span<const Pair> pairs, const FitOptions& options);

}  // namespace merit::train
