// Tests of a hypothesis: exact where the sample is small enough, and saying which was done. All functions are pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace merit::stats {

struct TestResult {
  double p_value = 1;    // two-sided
  double p_greater = 1;  // one-sided: as large or larger under the null
  double statistic = 0;  // what was compared; each function says
  size_t n = 0;          // units that entered
  size_t skipped = 0;    // units with a missing value
  std::string method;
};

// k successes of n against probability p. Two-sided: all outcomes no likelier than the one seen. statistic: k.
// nullopt for n = 0; Error(kData) for k > n or p outside [0, 1].
std::optional<TestResult> binomial_test(uint64_t k, uint64_t n, double p = 0.5);

// McNemar's test in its exact form: of the pairs on which two systems differ, how many favour the first. n counts the
// differing pairs; with none the p-value is 1. statistic: only_first.
TestResult mcnemar_test(uint64_t only_first, uint64_t only_second);

// Whether differences are symmetric about 0 (Fisher's sign-flip permutation test). Exact by enumeration up to 20
// non-zero differences, else `resamples` random flips with the +1 correction. statistic: the mean difference.
// nullopt if no difference is present.
std::optional<TestResult> sign_flip_test(std::span<const double> differences, uint64_t seed = 0,
                                         size_t resamples = 20000);

// Best-of-N against chance: group i is right with probability shares[i] when a candidate is drawn at random, so the
// number right is Poisson-binomial. `right` is the number of groups whose chosen candidate is right. statistic:
// right/n - mean share. Exact (convolution) up to 20,000 undecided groups, above that the normal limit with
// continuity correction. nullopt for no groups; Error(kData) for a share outside [0, 1], and for a `right`
// that groups with share 0 or 1 rule out.
std::optional<TestResult> random_choice_test(std::span<const double> shares, uint64_t right);

}  // namespace merit::stats
