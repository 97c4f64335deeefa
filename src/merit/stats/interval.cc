#include "merit/stats/interval.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "merit/core/error.h"
#include "merit/stats/bootstrap.h"
#include "merit/stats/distributions.h"

namespace merit::stats {
namespace {

void check_level(double level) {
  if (!(level > 0 && level < 1)) fail(ErrorKind::kUsage, "confidence level: expected between 0 and 1, got {}", level);
}

}  // namespace

std::optional<Estimate> wilson_interval(double right, size_t n, double level) {
  check_level(level);
  double count = static_cast<double>(n);
  if (!(right >= 0 && right <= count)) {
    fail(ErrorKind::kData, "wilson interval: expected 0 to {} successes, got {}", n, right);
  }
  if (n == 0) return std::nullopt;
  double z = normal_quantile(0.5 + level / 2);
  double p = right / count;
  double scale = 1 / (1 + z * z / count);
  double centre = (p + z * z / (2 * count)) * scale;
  double half = z * scale * std::sqrt(p * (1 - p) / count + z * z / (4 * count * count));
  // At 0 and n the end is exact; rounding must not push it past.
  double low = right == 0 ? 0 : std::max(0.0, centre - half);
  double high = right == count ? 1 : std::min(1.0, centre + half);
  return Estimate{p, {low, high, level, "wilson"}, n, 0};
}

std::optional<Estimate> mean_interval(std::span<const double> values, double level) {
  check_level(level);
  size_t n = 0;
  double sum = 0;
  for (double v : values) {
    if (std::isfinite(v)) {
      ++n;
      sum += v;
    }
  }
  if (n == 0) return std::nullopt;
  double count = static_cast<double>(n);
  double mean = sum / count;
  double squares = 0;
  bool alike = true;
  std::optional<double> seen;
  for (double v : values) {
    if (!std::isfinite(v)) continue;
    if (seen && *seen != v) alike = false;
    seen = v;
    squares += (v - mean) * (v - mean);
  }
  Estimate result{mean, {}, n, values.size() - n};
  if (alike) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    result.value = *seen;
    result.interval = {-kInfinity, kInfinity, level, "unbounded"};
    return result;
  }
  double half = student_t_quantile(0.5 + level / 2, count - 1) * std::sqrt(squares / (count - 1) / count);
  result.interval = {mean - half, mean + half, level, "student-t"};
  return result;
}

Interval unanimous_interval(double value, size_t n, double low, double high, double level) {
  check_level(level);
  MERIT_CHECK(n > 0);
  double unseen = 1 - std::pow((1 - level) / 2, 1 / static_cast<double>(n));
  auto end = [&](double limit) { return limit == value ? value : value + unseen * (limit - value); };
  return {end(std::min(low, value)), end(std::max(high, value)), level, "rule of three"};
}

std::optional<Estimate> share_interval(std::span<const double> values, uint64_t seed, double level) {
  double right = 0;
  size_t n = 0;
  bool binary = true;
  for (double v : values) {
    if (!std::isfinite(v)) continue;
    if (v < 0 || v > 1) fail(ErrorKind::kData, "share interval: expected values from 0 to 1, got {}", v);
    binary = binary && (v == 0 || v == 1);
    right += v;
    ++n;
  }
  if (!binary) return bootstrap_mean(values, {.level = level, .seed = seed});
  std::optional<Estimate> result = wilson_interval(right, n, level);
  if (result) result->skipped = values.size() - n;
  return result;
}

}  // namespace merit::stats
