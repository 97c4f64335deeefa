// What a rule would reach with k candidates, from a group of N >= k: exact expectations over all subsets of size k.
// Sources: pass@k, Chen et al. 2021, eq. 1. Ties are broken evenly, so a constant scorer is exactly a random pick.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace merit::search {

// 1 - C(n-c, k)/C(n, k): the chance that k of n candidates, c of them right, hold a right one. Error(kData) unless
// 1 <= k <= n and c <= n.
double pass_at_k(size_t n, size_t c, size_t k);

// Element k-1: the expected value of the candidate that best-of-k picks, k = 1 .. N. values[i] is candidate i's worth
// (1 right, 0 wrong). A NaN score is an abstention: picked only when the whole subset abstains, then at random.
// Element 0 is therefore the mean, element N-1 the pick from all. Empty for N = 0; Error(kData) if lengths differ.
std::vector<double> best_of_k(std::span<const double> scores, std::span<const double> values);

// Element k-1: the expected value of the answer that a majority of k candidates gives, ties between answers broken
// evenly; an answer's value is the mean over the candidates that gave it; no answer at all has value 0.
// Cost O(N^3 log N); Error(kLimit) for N > 512.
std::vector<double> majority_of_k(std::span<const std::string> keys, std::span<const double> values);

// Element k-1: pass@k.
std::vector<double> oracle_of_k(std::span<const double> values);

}  // namespace merit::search
