#include "merit/stats/correlation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "merit/core/error.h"
#include "merit/stats/distributions.h"

namespace merit::stats {
namespace {

struct Pairs {
  std::vector<double> x;
  std::vector<double> y;
  size_t skipped = 0;
};

Pairs present_pairs(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) {
    fail(ErrorKind::kData, "correlation: expected equally many values, got {} and {}", x.size(), y.size());
  }
  Pairs pairs;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isfinite(x[i]) && std::isfinite(y[i])) {
      pairs.x.push_back(x[i]);
      pairs.y.push_back(y[i]);
    } else {
      ++pairs.skipped;
    }
  }
  return pairs;
}

bool constant(const std::vector<double>& v) {
  return std::ranges::all_of(v, [&](double e) { return e == v[0]; });
}

double product_moment(const std::vector<double>& x, const std::vector<double>& y) {
  double n = static_cast<double>(x.size());
  double mx = std::accumulate(x.begin(), x.end(), 0.0) / n;
  double my = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
    xy += (x[i] - mx) * (y[i] - my);
  }
  // Two roots: a product of two small sums underflows.
  return std::clamp(xy / (std::sqrt(xx) * std::sqrt(yy)), -1.0, 1.0);
}

// An interval on Fisher's z scale. A perfect coefficient has no spread to judge by, so its inner end comes from the
// strongest coefficient that n pairs could have hidden: the rule-of-three share of them misplaced.
Estimate with_interval(double r, const Pairs& pairs, double variance, double level, const char* method) {
  size_t n = pairs.x.size();
  Estimate result{r, {-1, 1, level, "too few pairs"}, n, pairs.skipped};
  if (!(variance > 0) || !std::isfinite(variance)) return result;
  if (std::fabs(r) > 1 - 1e-12) {
    result.interval = unanimous_interval(r, n, -1, 1, level);
    return result;
  }
  double half = normal_quantile(0.5 + level / 2) * std::sqrt(variance);
  result.interval = {std::tanh(std::atanh(r) - half), std::tanh(std::atanh(r) + half), level, method};
  return result;
}

double pairs_of(size_t n) { return 0.5 * static_cast<double>(n) * (static_cast<double>(n) - 1); }

// Pairs tied, in a sorted series under `same`.
template <typename Same>
double tied_pairs(size_t n, Same same) {
  double tied = 0;
  for (size_t i = 0; i < n;) {
    size_t j = i + 1;
    while (j < n && same(i, j)) ++j;
    tied += pairs_of(j - i);
    i = j;
  }
  return tied;
}

// The number of strict inversions, by merge sort; sorts `v`.
double inversions(std::vector<double>& v, std::vector<double>& buffer, size_t begin, size_t end) {
  if (end - begin < 2) return 0;
  size_t middle = begin + (end - begin) / 2;
  double count = inversions(v, buffer, begin, middle) + inversions(v, buffer, middle, end);
  size_t i = begin, j = middle, out = begin;
  while (i < middle || j < end) {
    if (j == end || (i < middle && v[i] <= v[j])) {
      buffer[out++] = v[i++];
    } else {
      count += static_cast<double>(middle - i);
      buffer[out++] = v[j++];
    }
  }
  std::copy(buffer.begin() + begin, buffer.begin() + end, v.begin() + begin);
  return count;
}

double tau_b(const Pairs& pairs) {
  size_t n = pairs.x.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(
      order, [&](size_t a, size_t b) { return std::pair(pairs.x[a], pairs.y[a]) < std::pair(pairs.x[b], pairs.y[b]); });
  std::vector<double> x(n), y(n), buffer(n);
  for (size_t i = 0; i < n; ++i) {
    x[i] = pairs.x[order[i]];
    y[i] = pairs.y[order[i]];
  }
  double tied_x = tied_pairs(n, [&](size_t i, size_t j) { return x[i] == x[j]; });
  double tied_both = tied_pairs(n, [&](size_t i, size_t j) { return x[i] == x[j] && y[i] == y[j]; });
  double discordant = inversions(y, buffer, 0, n);
  double tied_y = tied_pairs(n, [&](size_t i, size_t j) { return y[i] == y[j]; });
  double all = pairs_of(n);
  double difference = all - tied_x - tied_y + tied_both - 2 * discordant;
  return std::clamp(difference / (std::sqrt(all - tied_x) * std::sqrt(all - tied_y)), -1.0, 1.0);
}

}  // namespace

std::vector<double> mid_ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t j = i + 1;
    while (j < order.size() && values[order[j]] == values[order[i]]) ++j;
    for (size_t k = i; k < j; ++k) ranks[order[k]] = 0.5 * static_cast<double>(i + j + 1);
    i = j;
  }
  return ranks;
}

std::optional<Estimate> pearson(std::span<const double> x, std::span<const double> y, double level) {
  Pairs pairs = present_pairs(x, y);
  if (pairs.x.size() < 2 || constant(pairs.x) || constant(pairs.y)) return std::nullopt;
  double n = static_cast<double>(pairs.x.size());
  return with_interval(product_moment(pairs.x, pairs.y), pairs, n > 3 ? 1 / (n - 3) : 0, level, "fisher z");
}

std::optional<Estimate> spearman(std::span<const double> x, std::span<const double> y, double level) {
  Pairs pairs = present_pairs(x, y);
  if (pairs.x.size() < 2 || constant(pairs.x) || constant(pairs.y)) return std::nullopt;
  double n = static_cast<double>(pairs.x.size());
  double r = product_moment(mid_ranks(pairs.x), mid_ranks(pairs.y));
  return with_interval(r, pairs, n > 3 ? (1 + r * r / 2) / (n - 3) : 0, level, "fisher z, bonett-wright");
}

std::optional<Estimate> kendall(std::span<const double> x, std::span<const double> y, double level) {
  Pairs pairs = present_pairs(x, y);
  if (pairs.x.size() < 2 || constant(pairs.x) || constant(pairs.y)) return std::nullopt;
  double n = static_cast<double>(pairs.x.size());
  return with_interval(tau_b(pairs), pairs, n > 4 ? 0.437 / (n - 4) : 0, level, "fisher z, fieller");
}

}  // namespace merit::stats
