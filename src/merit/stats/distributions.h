// The distributions behind the intervals and tests. Pure functions of finite arguments in their domains; a call outside
// them is a fault of ours. Accurate to about 1e-12 relative.
#pragma once

#include <cstdint>

namespace merit::stats {

double normal_cdf(double x);
// p in (0, 1).
double normal_quantile(double p);

// The regularised incomplete beta function I_x(a, b), a, b > 0, x in [0, 1] (DLMF 8.17.22, continued fraction).
double incomplete_beta(double a, double b, double x);

// Student's t with `df` > 0 degrees of freedom.
double student_t_cdf(double t, double df);
double student_t_quantile(double p, double df);

// Binomial: P(X = k) and P(X <= k), 0 <= k <= n.
double binomial_pmf(uint64_t k, uint64_t n, double p);
double binomial_cdf(uint64_t k, uint64_t n, double p);

}  // namespace merit::stats
