#include "merit/stats/tests.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/rng.h"
#include "merit/stats/distributions.h"

namespace merit::stats {
namespace {

// Outcomes "as likely" may differ by rounding.
constexpr double kSlack = 1e-7;
constexpr size_t kMostEnumerated = 20;
constexpr size_t kMostConvolved = 20000;

// P(X >= k).
double binomial_upper(uint64_t k, uint64_t n, double p) {
  return k == 0 ? 1 : incomplete_beta(static_cast<double>(k), static_cast<double>(n - k) + 1, p);
}

// The sum of the probabilities of all outcomes no likelier than k. The mass falls away from the mode on both sides, so
// the far side's first such outcome is found by bisection.
double binomial_two_sided(uint64_t k, uint64_t n, double p) {
  double limit = binomial_pmf(k, n, p) * (1 + kSlack);
  uint64_t mode = std::min(n, static_cast<uint64_t>(std::floor((static_cast<double>(n) + 1) * p)));
  auto likely = [&](uint64_t i) { return binomial_pmf(i, n, p) > limit; };
  if (!likely(mode)) return 1;
  if (k < mode) {
    uint64_t low = mode, high = n + 1;  // likely(low), not likely(high)
    while (high - low > 1) {
      uint64_t middle = low + (high - low) / 2;
      (likely(middle) ? low : high) = middle;
    }
    return std::min(1.0, binomial_cdf(k, n, p) + (high > n ? 0 : binomial_upper(high, n, p)));
  }
  if (!likely(0)) {
    uint64_t low = 0, high = mode;  // not likely(low), likely(high)
    while (high - low > 1) {
      uint64_t middle = low + (high - low) / 2;
      (likely(middle) ? high : low) = middle;
    }
    return std::min(1.0, binomial_cdf(low, n, p) + binomial_upper(k, n, p));
  }
  return binomial_upper(k, n, p);
}

struct Tail {
  uint64_t greater = 0;  // flips whose sum is at least the one seen
  uint64_t extreme = 0;  // the same for absolute values
  uint64_t total = 0;

  void count(double sum, double seen, double slack) {
    ++total;
    greater += sum >= seen - slack;
    extreme += std::fabs(sum) >= std::fabs(seen) - slack;
  }
};

Tail enumerate_flips(const std::vector<double>& differences, double seen, double slack) {
  Tail tail;
  std::vector<double> sign(differences.size(), 1.0);
  double sum = seen;
  tail.count(sum, seen, slack);
  // Gray code: one sign changes between neighbours.
  for (uint64_t code = 1; code < uint64_t{1} << differences.size(); ++code) {
    size_t i = static_cast<size_t>(std::countr_zero(code));
    sum -= 2 * sign[i] * differences[i];
    sign[i] = -sign[i];
    tail.count(sum, seen, slack);
  }
  return tail;
}

Tail sample_flips(const std::vector<double>& differences, double seen, double slack, uint64_t seed, size_t resamples) {
  Tail tail;
  tail.count(seen, seen, slack);  // the +1: the arrangement seen is one of those possible
  for (size_t r = 0; r < resamples; ++r) {
    Rng rng(seed, r);
    double sum = 0;
    uint64_t bits = 0;
    for (size_t i = 0; i < differences.size(); ++i) {
      if (i % 64 == 0) bits = rng.next_u64();
      sum += (bits >> (i % 64) & 1) ? differences[i] : -differences[i];
    }
    tail.count(sum, seen, slack);
  }
  return tail;
}

// P(X = j) for the sum of independent trials with the given chances.
std::vector<double> poisson_binomial(const std::vector<double>& chances) {
  std::vector<double> mass(chances.size() + 1, 0.0);
  mass[0] = 1;
  size_t trials = 0;
  for (double p : chances) {
    ++trials;
    for (size_t j = trials; j > 0; --j) mass[j] = mass[j] * (1 - p) + mass[j - 1] * p;
    mass[0] *= 1 - p;
  }
  return mass;
}

void exact_choice(const std::vector<double>& undecided, size_t right, TestResult& result) {
  std::vector<double> mass = poisson_binomial(undecided);
  double limit = mass[right] * (1 + kSlack);
  result.p_greater = 0;
  result.p_value = 0;
  for (size_t j = 0; j < mass.size(); ++j) {
    if (j >= right) result.p_greater += mass[j];
    if (mass[j] <= limit) result.p_value += mass[j];
  }
  result.method = "exact poisson-binomial";
}

void normal_choice(const std::vector<double>& undecided, size_t right, TestResult& result) {
  double mean = 0, variance = 0;
  for (double p : undecided) {
    mean += p;
    variance += p * (1 - p);
  }
  double deviation = std::sqrt(variance);
  double excess = static_cast<double>(right) - mean;
  result.p_greater = normal_cdf(-(excess - 0.5) / deviation);
  result.p_value = 2 * normal_cdf(-std::max(0.0, std::fabs(excess) - 0.5) / deviation);
  result.method = "normal limit of the poisson-binomial";
}

}  // namespace

std::optional<TestResult> binomial_test(uint64_t k, uint64_t n, double p) {
  if (k > n) fail(ErrorKind::kData, "binomial test: expected at most {} successes, got {}", n, k);
  if (!(p >= 0 && p <= 1)) fail(ErrorKind::kData, "binomial test: expected a probability, got {}", p);
  if (n == 0) return std::nullopt;
  return TestResult{
      binomial_two_sided(k, n, p), binomial_upper(k, n, p), static_cast<double>(k), n, 0, "exact binomial"};
}

TestResult mcnemar_test(uint64_t only_first, uint64_t only_second) {
  TestResult result{1, 1, static_cast<double>(only_first), only_first + only_second, 0, "exact mcnemar"};
  if (std::optional<TestResult> binomial = binomial_test(only_first, result.n)) {
    result.p_value = binomial->p_value;
    result.p_greater = binomial->p_greater;
  }
  return result;
}

std::optional<TestResult> sign_flip_test(std::span<const double> differences, uint64_t seed, size_t resamples) {
  std::vector<double> moved;
  size_t n = 0;
  double seen = 0, scale = 0;
  for (double d : differences) {
    if (!std::isfinite(d)) continue;
    ++n;
    seen += d;
    scale += std::fabs(d);
    if (d != 0) moved.push_back(d);
  }
  if (n == 0) return std::nullopt;
  bool exact = moved.size() <= kMostEnumerated;
  double slack = 1e-12 * scale;
  Tail tail = exact ? enumerate_flips(moved, seen, slack)
                    : sample_flips(moved, seen, slack, seed, std::max<size_t>(resamples, 1));
  double total = static_cast<double>(tail.total);
  return TestResult{static_cast<double>(tail.extreme) / total,
                    static_cast<double>(tail.greater) / total,
                    seen / static_cast<double>(n),
                    n,
                    differences.size() - n,
                    exact ? "exact sign flips" : "random sign flips"};
}

std::optional<TestResult> random_choice_test(std::span<const double> shares, uint64_t right) {
  std::vector<double> undecided;
  uint64_t certain = 0;
  double expected = 0;
  for (double p : shares) {
    if (!(p >= 0 && p <= 1)) fail(ErrorKind::kData, "random choice test: expected shares from 0 to 1, got {}", p);
    expected += p;
    if (p == 1) ++certain;
    if (p > 0 && p < 1) undecided.push_back(p);
  }
  if (right < certain || right > certain + undecided.size()) {
    fail(ErrorKind::kData, "random choice test: expected {} to {} right groups, got {}", certain,
         certain + undecided.size(), right);
  }
  if (shares.empty()) return std::nullopt;
  TestResult result;
  result.n = shares.size();
  result.statistic = (static_cast<double>(right) - expected) / static_cast<double>(shares.size());
  size_t right_undecided = right - certain;
  undecided.size() <= kMostConvolved ? exact_choice(undecided, right_undecided, result)
                                     : normal_choice(undecided, right_undecided, result);
  result.p_value = std::min(1.0, result.p_value);
  result.p_greater = std::min(1.0, result.p_greater);
  return result;
}

}  // namespace merit::stats
