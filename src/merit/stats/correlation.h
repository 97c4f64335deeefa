// Correlation of two series, ties included. A pair with a missing value is skipped and counted. nullopt with fewer
// than two pairs or when a series is constant (the coefficient is undefined); Error(kData) if the lengths differ.
// Intervals by Fisher's z: standard error 1/sqrt(n-3) for Pearson, sqrt((1 + r^2/2)/(n-3)) for Spearman (Bonett and
// Wright 2000), sqrt(0.437/(n-4)) for Kendall (Fieller 1957); [-1, 1] where n is too small for them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "merit/stats/interval.h"

namespace merit::stats {

std::optional<Estimate> pearson(std::span<const double> x, std::span<const double> y, double level = 0.95);
// Pearson's coefficient of the ranks, ties given their mean rank.
std::optional<Estimate> spearman(std::span<const double> x, std::span<const double> y, double level = 0.95);
// Kendall's tau-b, in O(n log n) (Knight 1966).
std::optional<Estimate> kendall(std::span<const double> x, std::span<const double> y, double level = 0.95);

// Ranks from 1, ties given their mean rank. No value may be NaN.
std::vector<double> mid_ranks(std::span<const double> values);

}  // namespace merit::stats
