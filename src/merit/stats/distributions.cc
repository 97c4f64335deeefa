#include "merit/stats/distributions.h"

#include <math.h>  // lgamma_r: std::lgamma writes a global

#include <algorithm>
#include <cmath>
#include <limits>

#include "merit/core/error.h"

namespace merit::stats {
namespace {

double log_gamma(double x) {
  int sign = 0;
  return lgamma_r(x, &sign);
}

// The continued fraction of I_x(a, b) by Lentz's method; converges fast for x < (a + 1)/(a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  auto guard = [](double v) { return std::fabs(v) < kTiny ? kTiny : v; };
  double c = 1;
  double d = 1 / guard(1 - (a + b) * x / (a + 1));
  double h = d;
  for (int m = 1; m < 100000; ++m) {
    double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / guard(1 + even * d);
    c = guard(1 + even / c);
    h *= d * c;
    double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / guard(1 + odd * d);
    c = guard(1 + odd / c);
    double step = d * c;
    h *= step;
    if (std::fabs(step - 1) < 1e-15) break;
  }
  return h;
}

// The quantile of a continuous increasing distribution function, by bisection in an interval grown to hold it.
template <typename Cdf>
double bisect(double p, Cdf cdf) {
  double low = -1, high = 1;
  while (cdf(low) > p && low > -1e300) low *= 2;
  while (cdf(high) < p && high < 1e300) high *= 2;
  for (int i = 0; i < 2000; ++i) {
    double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (cdf(middle) < p ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

}  // namespace

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

double normal_quantile(double p) {
  MERIT_CHECK(p > 0 && p < 1);
  // The lower half only: erfc keeps its relative precision there.
  return p > 0.5 ? -bisect(1 - p, normal_cdf) : bisect(p, normal_cdf);
}

double incomplete_beta(double a, double b, double x) {
  MERIT_CHECK(a > 0 && b > 0 && x >= 0 && x <= 1);
  if (x == 0 || x == 1) return x;
  double front = std::exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double student_t_cdf(double t, double df) {
  MERIT_CHECK(df > 0);
  double tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t));
  return t > 0 ? 1 - tail : tail;
}

double student_t_quantile(double p, double df) {
  MERIT_CHECK(p > 0 && p < 1);
  auto cdf = [df](double t) { return student_t_cdf(t, df); };
  return p > 0.5 ? -bisect(1 - p, cdf) : bisect(p, cdf);
}

double binomial_pmf(uint64_t k, uint64_t n, double p) {
  MERIT_CHECK(k <= n && p >= 0 && p <= 1);
  if (p == 0) return k == 0;
  if (p == 1) return k == n;
  double kd = static_cast<double>(k), nd = static_cast<double>(n);
  return std::exp(log_gamma(nd + 1) - log_gamma(kd + 1) - log_gamma(nd - kd + 1) + kd * std::log(p) +
                  (nd - kd) * std::log1p(-p));
}

double binomial_cdf(uint64_t k, uint64_t n, double p) {
  MERIT_CHECK(k <= n && p >= 0 && p <= 1);
  if (k == n) return 1;
  return incomplete_beta(static_cast<double>(n - k), static_cast<double>(k) + 1, 1 - p);
}

}  // namespace merit::stats
