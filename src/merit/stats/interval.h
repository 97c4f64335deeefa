// Estimates and their confidence intervals. A number is never handed out without its interval and its count; where
// there is nothing to estimate from, the answer is std::nullopt ("no result"), never NaN.
// Sources: Wilson 1927; Clopper and Pearson 1934; Student 1908. All functions are pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace merit::stats {

struct Interval {
  double low = 0;
  double high = 0;
  double level = 0.95;  // two-sided coverage asked for
  std::string method;   // how it was made, for the reader: "wilson", "student-t", "bca bootstrap", ...

  bool contains(double x) const { return low <= x && x <= high; }
};

struct Estimate {
  double value = 0;
  Interval interval;
  size_t n = 0;        // units (items, groups, pairs) behind the value
  size_t skipped = 0;  // units left out because a value of theirs was missing (NaN or infinite)
};

// The share right/n with the score interval of Wilson. nullopt for n = 0; Error(kData) for right outside 0 .. n.
std::optional<Estimate> wilson_interval(double right, size_t n, double level = 0.95);

// The mean with Student's t on n - 1 degrees of freedom. Missing values are skipped and counted. One value, or all
// values alike, gives an interval from minus to plus infinity ("unbounded"): a spread cannot be seen in them.
std::optional<Estimate> mean_interval(std::span<const double> values, double level = 0.95);

// How far the mean of a quantity in [low, high] may lie from a value that all n units showed: a share
// 1 - (alpha/2)^(1/n) of the population may be otherwise unseen (Clopper-Pearson's bound at 0 of n, the exact form
// of the rule of three). Infinite limits give infinite ends. Method "rule of three".
Interval unanimous_interval(double value, size_t n, double low, double high, double level = 0.95);

// The mean of values in [0, 1], one a group: Wilson if all are 0 or 1, else a bootstrap over groups (bootstrap.h).
std::optional<Estimate> share_interval(std::span<const double> values, uint64_t seed = 0, double level = 0.95);

}  // namespace merit::stats
