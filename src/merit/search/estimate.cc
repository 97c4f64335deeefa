#include "merit/search/estimate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "merit/core/error.h"

namespace merit::search {
namespace {

constexpr size_t kMostVoters = 512;  // C(512, 256) is 1e153: sums of products of two stay finite

// C(m, k) / C(n, k) for m <= n: the chance that k of n all fall among m.
double all_among(size_t m, size_t n, size_t k) {
  if (m < k) return 0;
  double chance = 1;
  for (size_t i = 0; i < k; ++i) chance *= static_cast<double>(m - i) / static_cast<double>(n - i);
  return chance;
}

std::vector<double> binomials(size_t n) {
  std::vector<double> row(n + 1);
  row[0] = 1;
  for (size_t k = 1; k <= n; ++k) row[k] = row[k - 1] * static_cast<double>(n - k + 1) / static_cast<double>(k);
  return row;
}

struct Answer {
  size_t votes = 0;
  double value = 0;  // mean over those who gave it
};

struct Ballot {
  std::vector<Answer> answers;
  size_t silent = 0;  // candidates without an answer
};

Ballot count_votes(std::span<const std::string> keys, std::span<const double> values) {
  std::unordered_map<std::string_view, size_t> place;
  Ballot ballot;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].empty()) {
      ++ballot.silent;
      continue;
    }
    auto [it, fresh] = place.try_emplace(keys[i], ballot.answers.size());
    if (fresh) ballot.answers.push_back({});
    Answer& answer = ballot.answers[it->second];
    answer.votes += 1;
    answer.value += values[i];
  }
  for (Answer& answer : ballot.answers) answer.value /= static_cast<double>(answer.votes);
  return ballot;
}

// Subsets counted by (size, answers at the top): how many there are, and the sum of the values of their top answers.
class Subsets {
 public:
  Subsets(size_t sizes, size_t tops) : tops_(tops), count_(sizes * tops, 0.0), value_(sizes * tops, 0.0) {}
  double& count(size_t size, size_t top) { return count_[size * tops_ + top]; }
  double& value(size_t size, size_t top) { return value_[size * tops_ + top]; }

 private:
  size_t tops_;
  std::vector<double> count_;
  std::vector<double> value_;
};

// Adds, to credit[size - 1], the summed credit of all subsets in which the top answers have exactly `top` votes.
void add_credit_at(size_t top, const Ballot& ballot, size_t n, std::vector<double>& credit) {
  size_t most_tops = std::min(ballot.answers.size(), n / top);
  Subsets now(n + 1, most_tops + 1);
  std::vector<double> silent = binomials(ballot.silent);
  for (size_t j = 0; j <= ballot.silent; ++j) now.count(j, 0) = silent[j];
  size_t seen = ballot.silent;  // the largest size so far
  for (const Answer& answer : ballot.answers) {
    std::vector<double> ways = binomials(answer.votes);
    Subsets next(n + 1, most_tops + 1);
    for (size_t size = 0; size <= seen; ++size) {
      for (size_t t = 0; t <= most_tops; ++t) {
        double count = now.count(size, t), value = now.value(size, t);
        if (count == 0) continue;
        for (size_t j = 0; j <= std::min(answer.votes, top); ++j) {
          bool at_top = j == top;
          if (at_top && t == most_tops) continue;
          next.count(size + j, t + at_top) += count * ways[j];
          next.value(size + j, t + at_top) += (value + (at_top ? count * answer.value : 0)) * ways[j];
        }
      }
    }
    seen += answer.votes;
    now = std::move(next);
  }
  for (size_t size = 1; size <= n; ++size) {
    for (size_t t = 1; t <= most_tops; ++t) credit[size - 1] += now.value(size, t) / static_cast<double>(t);
  }
}

void check_lengths(size_t a, size_t b) {
  if (a != b) fail(ErrorKind::kData, "best of k: expected a value a candidate, got {} candidates and {} values", a, b);
}

}  // namespace

double pass_at_k(size_t n, size_t c, size_t k) {
  if (k < 1 || k > n || c > n) {
    fail(ErrorKind::kData, "pass@k: expected 1 <= k <= n and c <= n, got n = {}, c = {}, k = {}", n, c, k);
  }
  return 1 - all_among(n - c, n, k);
}

std::vector<double> best_of_k(std::span<const double> scores, std::span<const double> values) {
  check_lengths(scores.size(), values.size());
  size_t n = scores.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  // Abstentions stand below every score, tied with each other.
  auto rank = [&](size_t i) { return std::pair(!std::isnan(scores[i]), std::isnan(scores[i]) ? 0.0 : scores[i]); };
  std::ranges::sort(order, {}, rank);
  std::vector<double> result(n, 0.0);
  for (size_t i = 0; i < n;) {
    size_t j = i;
    double sum = 0;
    while (j < n && rank(order[j]) == rank(order[i])) sum += values[order[j++]];
    double mean = sum / static_cast<double>(j - i);
    // The best of k is in this class if all are among the first j and not all among the first i.
    double up_to = 1, below = 1;
    for (size_t k = 1; k <= j; ++k) {
      double left = static_cast<double>(n - k + 1);
      up_to *= static_cast<double>(j - k + 1) / left;
      below *= k <= i ? static_cast<double>(i - k + 1) / left : 0;
      result[k - 1] += mean * (up_to - below);
    }
    i = j;
  }
  return result;
}

std::vector<double> majority_of_k(std::span<const std::string> keys, std::span<const double> values) {
  check_lengths(keys.size(), values.size());
  size_t n = keys.size();
  if (n > kMostVoters) fail(ErrorKind::kLimit, "majority of k: expected at most {} candidates, got {}", kMostVoters, n);
  Ballot ballot = count_votes(keys, values);
  std::vector<double> credit(n, 0.0);
  size_t most = 0;
  for (const Answer& answer : ballot.answers) most = std::max(most, answer.votes);
  for (size_t top = 1; top <= most; ++top) add_credit_at(top, ballot, n, credit);
  std::vector<double> ways = binomials(n);
  for (size_t k = 1; k <= n; ++k) credit[k - 1] /= ways[k];
  return credit;
}

std::vector<double> oracle_of_k(std::span<const double> values) { return best_of_k(values, values); }

}  // namespace merit::search
