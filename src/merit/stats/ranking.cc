#include "merit/stats/ranking.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "merit/core/error.h"
#include "merit/stats/correlation.h"
#include "merit/stats/distributions.h"

namespace merit::stats {
namespace {

void count_pair(double better, double worse, PairCounts& counts) {
  if (std::isnan(better) || std::isnan(worse)) {
    ++counts.skipped;
  } else if (better > worse) {
    ++counts.wins;
  } else if (better < worse) {
    ++counts.losses;
  } else {
    ++counts.ties;
  }
}

std::optional<Estimate> share(double right, const PairCounts& counts, double level) {
  std::optional<Estimate> result = wilson_interval(right, counts.n(), level);
  if (result) result->skipped = counts.skipped;
  return result;
}

void check_lengths(size_t scores, size_t labels) {
  if (scores != labels)
    fail(ErrorKind::kData, "scores and labels: expected equally many, got {} and {}", scores, labels);
}

double variance(const std::vector<double>& v) {
  double n = static_cast<double>(v.size());
  double mean = std::accumulate(v.begin(), v.end(), 0.0) / n;
  double squares = 0;
  for (double e : v) squares += (e - mean) * (e - mean);
  return v.size() > 1 ? squares / (n - 1) : 0;
}

// DeLong, DeLong and Clarke-Pearson 1988, by mid-ranks (Sun and Xu 2014); the interval on the logit scale stays in
// (0, 1).
Interval delong(double value, const std::vector<double>& up, const std::vector<double>& down, double level) {
  std::vector<double> all(up);
  all.insert(all.end(), down.begin(), down.end());
  std::vector<double> ranks = mid_ranks(all), up_ranks = mid_ranks(up), down_ranks = mid_ranks(down);
  double m = static_cast<double>(up.size()), n = static_cast<double>(down.size());
  std::vector<double> v10(up.size()), v01(down.size());
  for (size_t i = 0; i < up.size(); ++i) v10[i] = (ranks[i] - up_ranks[i]) / n;
  for (size_t j = 0; j < down.size(); ++j) v01[j] = 1 - (ranks[up.size() + j] - down_ranks[j]) / m;
  double spread = variance(v10) / m + variance(v01) / n;
  if (!(spread > 0) || value <= 0 || value >= 1) {
    return unanimous_interval(value, std::min(up.size(), down.size()), 0, 1, level);
  }
  double logit = std::log(value / (1 - value));
  double half = normal_quantile(0.5 + level / 2) * std::sqrt(spread) / (value * (1 - value));
  auto back = [](double z) { return 1 / (1 + std::exp(-z)); };
  return {back(logit - half), back(logit + half), level, "delong, logit scale"};
}

struct Scored {
  double score;
  bool right;
  size_t group;
};

// The area of a sample sorted by score, each candidate weighing what its group does.
std::optional<double> weighted_auc(const std::vector<Scored>& sorted, std::span<const double> weights) {
  double right_total = 0, wrong_below = 0, area = 0;
  for (size_t i = 0; i < sorted.size();) {
    double right = 0, wrong = 0;
    size_t j = i;
    for (; j < sorted.size() && sorted[j].score == sorted[i].score; ++j) {
      (sorted[j].right ? right : wrong) += weights[sorted[j].group];
    }
    area += right * (wrong_below + wrong / 2);
    right_total += right;
    wrong_below += wrong;
    i = j;
  }
  if (right_total == 0 || wrong_below == 0) return std::nullopt;
  return area / (right_total * wrong_below);
}

}  // namespace

std::optional<Estimate> PairCounts::strict(double level) const {
  return share(static_cast<double>(wins), *this, level);
}

std::optional<Estimate> PairCounts::half_credit(double level) const {
  return share(static_cast<double>(wins) + 0.5 * static_cast<double>(ties), *this, level);
}

PairCounts operator+(const PairCounts& a, const PairCounts& b) {
  return {a.wins + b.wins, a.losses + b.losses, a.ties + b.ties, a.skipped + b.skipped};
}

PairCounts count_pairs(std::span<const double> better, std::span<const double> worse) {
  if (better.size() != worse.size()) {
    fail(ErrorKind::kData, "pairs: expected equally many scores, got {} and {}", better.size(), worse.size());
  }
  PairCounts counts;
  for (size_t i = 0; i < better.size(); ++i) count_pair(better[i], worse[i], counts);
  return counts;
}

PairCounts count_pairs_within(std::span<const double> scores, const std::vector<bool>& right) {
  check_lengths(scores.size(), right.size());
  PairCounts counts;
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t j = 0; right[i] && j < scores.size(); ++j) {
      if (!right[j]) count_pair(scores[i], scores[j], counts);
    }
  }
  return counts;
}

std::optional<Averages> averages(std::span<const Subset> subsets) {
  Averages result;
  double correct = 0;
  for (const Subset& subset : subsets) {
    double n = static_cast<double>(subset.n);
    if (!(subset.correct >= 0 && subset.correct <= n)) {
      fail(ErrorKind::kData, "subset {}: expected 0 to {} correct, got {}", quote(subset.name), subset.n,
           subset.correct);
    }
    if (subset.n == 0) {
      ++result.empty_subsets;
      continue;
    }
    ++result.subsets;
    result.items += subset.n;
    correct += subset.correct;
    result.macro += subset.correct / n;
  }
  if (result.subsets == 0) return std::nullopt;
  result.macro /= static_cast<double>(result.subsets);
  result.micro = correct / static_cast<double>(result.items);
  return result;
}

std::optional<Estimate> auc(std::span<const double> scores, const std::vector<bool>& right, double level) {
  check_lengths(scores.size(), right.size());
  std::vector<double> up, down;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!std::isnan(scores[i])) (right[i] ? up : down).push_back(scores[i]);
  }
  if (up.empty() || down.empty()) return std::nullopt;
  std::vector<double> all(up);
  all.insert(all.end(), down.begin(), down.end());
  std::vector<double> ranks = mid_ranks(all);
  double m = static_cast<double>(up.size()), n = static_cast<double>(down.size());
  double rank_sum = std::accumulate(ranks.begin(), ranks.begin() + static_cast<ptrdiff_t>(up.size()), 0.0);
  double value = (rank_sum - m * (m + 1) / 2) / (m * n);
  return Estimate{value, delong(value, up, down, level), all.size(), scores.size() - all.size()};
}

std::optional<Estimate> auc_by_group(std::span<const double> scores, const std::vector<bool>& right,
                                     std::span<const size_t> group, size_t groups, const BootstrapOptions& options) {
  check_lengths(scores.size(), right.size());
  check_lengths(scores.size(), group.size());
  std::vector<Scored> sorted;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (group[i] >= groups) fail(ErrorKind::kData, "auc: expected group numbers below {}, got {}", groups, group[i]);
    if (!std::isnan(scores[i])) sorted.push_back({scores[i], right[i], group[i]});
  }
  std::ranges::sort(sorted, {}, &Scored::score);
  auto statistic = [&sorted](std::span<const double> weights) { return weighted_auc(sorted, weights); };
  std::optional<Estimate> result = bootstrap(groups, statistic, options);
  if (result) result->skipped = scores.size() - sorted.size();
  return result;
}

}  // namespace merit::stats
