#include "merit/train/fit_head.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/std.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <torch/optim/lbfgs.h>

#include <map>
#include <numeric>
#include <set>

#include "merit/core/error.h"
#include "merit/core/rng.h"

namespace merit::train {
namespace {

// The pairs as an objective takes them: each of `count` rows of features is a sequence with one reward.
objective::Batch batch_of(std::span<const Pair> pairs, int64_t count) {
  objective::Batch batch;
  for (int64_t row = 0; row <= count; ++row) batch.value_begin.push_back(row);
  for (const Pair& pair : pairs) {
    batch.chosen.push_back(static_cast<int64_t>(pair.chosen));
    batch.rejected.push_back(static_cast<int64_t>(pair.rejected));
  }
  return batch;
}

objective::Result evaluate(const at::Tensor& features, objective::Batch& pairs, const at::Tensor& weight,
                           const objective::Loss& loss) {
  pairs.values = at::mv(features, weight).unsqueeze(1);
  return loss(pairs);
}

// The minimiser of objective + l2/2 |w|^2: [H].
at::Tensor minimise(const at::Tensor& features, std::span<const Pair> pairs, double l2, const FitOptions& options) {
  const auto objective = objective::make_bradley_terry(options.objective);
  objective::Batch batch = batch_of(pairs, features.size(0));
  at::Tensor weight = at::zeros({features.size(1)}, at::kDouble).requires_grad_(true);
  torch::optim::LBFGS optimiser({weight}, torch::optim::LBFGSOptions(1.0)
                                              .max_iter(options.max_iterations)
                                              .tolerance_grad(1e-9)
                                              .tolerance_change(1e-16)
                                              .line_search_fn("strong_wolfe"));
  optimiser.step([&] {
    optimiser.zero_grad();
    const objective::Result result = evaluate(features, batch, weight, *objective);
    at::Tensor loss = objective::total(result) + 0.5 * l2 * at::sum(weight * weight);
    loss.backward();
    return loss;
  });
  return weight.detach();
}

// Accuracy of each group's pairs under `weight`, a tie counting half.
void add_group_accuracies(const at::Tensor& features, std::span<const Pair> pairs, const at::Tensor& weight,
                          std::vector<double>& accuracies) {
  const at::Tensor rewards = at::mv(features, weight).contiguous();
  const double* reward = rewards.const_data_ptr<double>();
  std::map<size_t, std::pair<double, double>> by_group;  // group -> (right, pairs)
  for (const Pair& pair : pairs) {
    const double difference = reward[pair.chosen] - reward[pair.rejected];
    auto& [right, count] = by_group[pair.group];
    right += difference > 0 ? 1.0 : difference == 0 ? 0.5 : 0.0;
    count += 1;
  }
  for (const auto& [group, counts] : by_group) accuracies.push_back(counts.first / counts.second);
}

using Folds = std::vector<std::vector<Pair>>;

Folds deal(std::span<const Pair> pairs, int64_t folds, uint64_t seed) {
  std::set<size_t> distinct;
  for (const Pair& pair : pairs) distinct.insert(pair.group);
  if (folds < 2 || distinct.size() < static_cast<size_t>(folds)) return {};
  std::vector<size_t> groups(distinct.begin(), distinct.end());
  Rng(seed).shuffle(std::span<size_t>(groups));
  std::map<size_t, size_t> fold_of;
  for (size_t i = 0; i < groups.size(); ++i) fold_of[groups[i]] = i % static_cast<size_t>(folds);
  Folds dealt(static_cast<size_t>(folds));
  for (const Pair& pair : pairs) dealt[fold_of[pair.group]].push_back(pair);
  return dealt;
}

// Accuracies of all groups, each under a head fitted to the other folds.
std::vector<double> cross_validate(const at::Tensor& features, const Folds& folds, double l2,
                                   const FitOptions& options) {
  std::vector<double> accuracies;
  for (size_t held = 0; held < folds.size(); ++held) {
    std::vector<Pair> rest;
    for (size_t f = 0; f < folds.size(); ++f) {
      if (f != held) rest.insert(rest.end(), folds[f].begin(), folds[f].end());
    }
    add_group_accuracies(features, folds[held], minimise(features, rest, l2, options), accuracies);
  }
  return accuracies;
}

}  // namespace

FittedHead fit_head(const at::Tensor& features, std::span<const Pair> pairs, const FitOptions& options) {
  if (pairs.empty()) {
    fail(ErrorKind::kData, "nothing to fit: no group has candidates with different labels");
  }
  MERIT_CHECK(features.dim() == 2);
  const at::Tensor given = features.to(at::kDouble);
  if (!at::isfinite(given).all().item<bool>()) fail(ErrorKind::kNumeric, "a feature is not finite");

  // Features are scaled and not centred: pairs see differences only, and a head without a bias is what peers load.
  at::Tensor scale = at::std(given, 0, /*unbiased=*/false);
  scale = scale.masked_fill(scale < 1e-12, 1.0);  // a constant feature carries nothing and keeps weight 0
  const at::Tensor x = (given / scale).contiguous();

  const Folds folds = deal(pairs, options.folds, options.seed);
  FittedHead fitted;
  fitted.l2 = options.l2.value_or(1.0);
  std::vector<double> accuracies;
  const std::vector<double> grid =
      options.l2 ? std::vector<double>{*options.l2} : std::vector<double>{1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2};
  if (!folds.empty()) {
    double best = -1;
    for (const double l2 : grid) {
      std::vector<double> tried = cross_validate(x, folds, l2, options);
      const double average = std::accumulate(tried.begin(), tried.end(), 0.0) / static_cast<double>(tried.size());
      if (average < best) continue;  // of equals the larger penalty
      best = average;
      fitted.l2 = l2;
      accuracies = std::move(tried);
    }
    fitted.cv_accuracy = stats::share_interval(accuracies, options.seed);
  }

  const at::Tensor weight = minimise(x, pairs, fitted.l2, options);
  objective::Batch batch = batch_of(pairs, x.size(0));
  const objective::Result at_optimum = evaluate(x, batch, weight, *objective::make_bradley_terry(options.objective));
  fitted.loss = objective::total(at_optimum).item<double>();
  for (const objective::Metric& metric : at_optimum.metrics) {
    if (metric.name == "accuracy") fitted.accuracy = metric.sum / metric.count;
  }
  fitted.weight = (weight / scale).unsqueeze(0);
  return fitted;
}

}  // namespace merit::train
