// How well scores order better before worse: pairs, averages over subsets, area under the ROC curve.
// A tie is never a win: it is counted apart, and "strict" and "half credit" are both given and named.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "merit/stats/bootstrap.h"
#include "merit/stats/interval.h"

namespace merit::stats {

struct PairCounts {
  size_t wins = 0;  // better scored above worse
  size_t losses = 0;
  size_t ties = 0;
  size_t skipped = 0;  // a score was missing

  size_t n() const { return wins + losses + ties; }
  // wins / n with Wilson's interval; nullopt without pairs.
  std::optional<Estimate> strict(double level = 0.95) const;
  // (wins + ties/2) / n with Wilson's interval; nullopt without pairs.
  std::optional<Estimate> half_credit(double level = 0.95) const;
};

// Pairs (better[i], worse[i]). Error(kData) if the lengths differ.
PairCounts count_pairs(std::span<const double> better, std::span<const double> worse);

// All (right, wrong) pairs among the candidates of one group.
PairCounts count_pairs_within(std::span<const double> scores, const std::vector<bool>& right);

PairCounts operator+(const PairCounts& a, const PairCounts& b);

// One subset's result: `correct` may be fractional (half credit).
struct Subset {
  std::string name;
  double correct = 0;
  size_t n = 0;
};

struct Averages {
  double macro = 0;    // the mean of the subsets' accuracies, every subset alike
  double micro = 0;    // all correct over all items, every item alike
  size_t subsets = 0;  // with at least one item
  size_t items = 0;
  size_t empty_subsets = 0;  // left out of both
};

// nullopt if no subset has an item.
std::optional<Averages> averages(std::span<const Subset> subsets);

// The chance that a right answer scores above a wrong one, ties half (Mann-Whitney), with DeLong's interval on the
// logit scale; "rule of three" on the smaller class when the separation is perfect. nullopt without both classes.
std::optional<Estimate> auc(std::span<const double> scores, const std::vector<bool>& right, double level = 0.95);

// The same value with an interval that respects groups: group[i] < groups says whose candidate i is. n counts groups.
std::optional<Estimate> auc_by_group(std::span<const double> scores, const std::vector<bool>& right,
                                     std::span<const size_t> group, size_t groups,
                                     const BootstrapOptions& options = {});

}  // namespace merit::stats
