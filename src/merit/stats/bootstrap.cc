#include "merit/stats/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/rng.h"
#include "merit/stats/distributions.h"

namespace merit::stats {
namespace {

constexpr size_t kMostJackknifed = 2000;

// The q-quantile of sorted values, linear between order statistics.
double quantile(const std::vector<double>& sorted, double q) {
  double position = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  size_t below = static_cast<size_t>(position);
  size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

std::vector<double> resample(size_t groups, const GroupStatistic& statistic, const BootstrapOptions& options) {
  std::vector<double> values;
  values.reserve(options.resamples);
  std::vector<double> weights(groups);
  for (size_t r = 0; r < options.resamples; ++r) {
    std::fill(weights.begin(), weights.end(), 0.0);
    Rng rng(options.seed, r);  // a stream a resample: the draw does not depend on the others
    for (size_t i = 0; i < groups; ++i) weights[rng.below(groups)] += 1;
    std::optional<double> value = statistic(weights);
    if (value && std::isfinite(*value)) values.push_back(*value);
  }
  std::sort(values.begin(), values.end());
  return values;
}

// Efron's acceleration from leaving one group out at a time; 0 (no correction) if that is undefined somewhere.
double acceleration(size_t groups, const GroupStatistic& statistic) {
  std::vector<double> weights(groups, 1.0);
  std::vector<double> values(groups);
  double mean = 0;
  for (size_t i = 0; i < groups; ++i) {
    weights[i] = 0;
    std::optional<double> value = statistic(weights);
    weights[i] = 1;
    if (!value || !std::isfinite(*value)) return 0;
    values[i] = *value;
    mean += *value / static_cast<double>(groups);
  }
  double cubes = 0, squares = 0;
  for (double v : values) {
    double d = mean - v;
    squares += d * d;
    cubes += d * d * d;
  }
  return squares > 0 ? cubes / (6 * std::pow(squares, 1.5)) : 0;
}

// Efron's bias correction: where the value stands among the resamples, ties half, kept off 0 and 1.
double bias(const std::vector<double>& sorted, double value) {
  auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), value);
  double below = static_cast<double>(first - sorted.begin()) + 0.5 * static_cast<double>(last - first);
  double n = static_cast<double>(sorted.size());
  return normal_quantile(std::clamp(below / n, 0.5 / n, 1 - 0.5 / n));
}

// Resampling cannot show what no group showed, so no interval is narrower than the bound for that.
void widen(Interval& interval, const Interval& bound) {
  if (bound.low >= interval.low && bound.high <= interval.high) return;
  interval.low = std::min(interval.low, bound.low);
  interval.high = std::max(interval.high, bound.high);
  interval.method += ", widened for unseen groups";
}

}  // namespace

std::optional<Estimate> bootstrap(size_t groups, const GroupStatistic& statistic, const BootstrapOptions& options) {
  if (!(options.level > 0 && options.level < 1)) {
    fail(ErrorKind::kUsage, "confidence level: expected between 0 and 1, got {}", options.level);
  }
  if (options.resamples < 100)
    fail(ErrorKind::kUsage, "bootstrap: expected 100 resamples or more, got {}", options.resamples);
  if (groups == 0) return std::nullopt;
  std::optional<double> value = statistic(std::vector<double>(groups, 1.0));
  if (!value || !std::isfinite(*value)) return std::nullopt;
  Estimate result{*value, {}, groups, 0};

  std::vector<double> sorted = resample(groups, statistic, options);
  // Sums in another order differ in the last bits: that is no spread.
  bool alike = sorted.size() < options.resamples / 2 ||
               sorted.back() - sorted.front() <= 1e-12 * std::max(1.0, std::fabs(*value));
  if (alike) {
    result.interval = unanimous_interval(*value, groups, options.low, options.high, options.level);
    return result;
  }
  bool jackknifed = groups <= kMostJackknifed;
  double z0 = jackknifed ? bias(sorted, *value) : 0;
  double a = jackknifed ? acceleration(groups, statistic) : 0;
  auto end = [&](double p) {
    double z = z0 + normal_quantile(p);
    return quantile(sorted, normal_cdf(z0 + z / (1 - a * z)));
  };
  double tail = (1 - options.level) / 2;
  auto [low, high] = std::minmax({end(tail), end(1 - tail)});  // the list form returns values
  result.interval = {low, high, options.level, jackknifed ? "bca bootstrap" : "percentile bootstrap"};
  widen(result.interval, unanimous_interval(*value, groups, options.low, options.high, options.level));
  return result;
}

std::optional<Estimate> bootstrap_mean(std::span<const double> values, const BootstrapOptions& options) {
  std::vector<double> present;
  present.reserve(values.size());
  for (double v : values) {
    if (std::isfinite(v)) present.push_back(v);
  }
  auto mean = [&present](std::span<const double> weights) -> std::optional<double> {
    double sum = 0, total = 0;
    for (size_t i = 0; i < present.size(); ++i) {
      sum += weights[i] * present[i];
      total += weights[i];
    }
    if (total == 0) return std::nullopt;
    return sum / total;
  };
  std::optional<Estimate> result = bootstrap(present.size(), mean, options);
  if (result) result->skipped = values.size() - present.size();
  return result;
}

std::optional<Estimate> paired_difference(std::span<const double> a, std::span<const double> b,
                                          const BootstrapOptions& options) {
  if (a.size() != b.size()) {
    fail(ErrorKind::kData, "paired difference: expected equally many values, got {} and {}", a.size(), b.size());
  }
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];  // NaN stays NaN: skipped
  BootstrapOptions of_difference = options;
  of_difference.low = options.low - options.high;
  of_difference.high = options.high - options.low;
  return bootstrap_mean(differences, of_difference);
}

}  // namespace merit::stats
