#include "merit/search/selection.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "merit/core/error.h"
#include "merit/search/estimate.h"
#include "merit/search/pick.h"
#include "merit/stats/bootstrap.h"

namespace merit::search {
namespace {

constexpr size_t kMostCurveVoters = 128;

// One group's columns, in the form the rules take.
struct Columns {
  std::vector<double> scores;
  std::vector<double> right;  // 0 or 1
  std::vector<std::string> keys;
};

Columns columns_of(const SelectionGroup& group) {
  Columns columns;
  for (const SelectionCandidate& candidate : group.candidates) {
    columns.scores.push_back(candidate.score);
    columns.right.push_back(*candidate.right ? 1 : 0);
    columns.keys.push_back(candidate.key);
  }
  return columns;
}

bool usable(const SelectionGroup& group, SelectionCounts& counts) {
  const auto& candidates = group.candidates;
  if (candidates.empty()) return ++counts.empty, false;
  if (std::ranges::any_of(candidates, [](const auto& c) { return !c.right; })) return ++counts.unjudged, false;
  if (std::ranges::all_of(candidates, [](const auto& c) { return std::isnan(c.score); })) {
    return ++counts.unscored, false;
  }
  return true;
}

// C(m, t) / C(n, t).
double all_among(size_t m, size_t n, size_t t) { return t > m ? 0 : 1 - pass_at_k(n, n - m, t); }

void judge_choice(const Columns& columns, SelectionOutcome& outcome) {
  Pick pick = *best_of_n(columns.scores);
  outcome.chosen_index = pick.index;
  outcome.chosen_tied = pick.tied;
  double right = 0, all_right = 0;
  for (size_t i = 0; i < columns.scores.size(); ++i) {
    if (columns.scores[i] == pick.weight) right += columns.right[i];
    all_right += columns.right[i];
  }
  outcome.chosen = right / static_cast<double>(pick.tied);
  size_t n = columns.scores.size(), c = static_cast<size_t>(all_right);
  double up = all_among(c, n, pick.tied), down = all_among(n - c, n, pick.tied);
  outcome.null_usable = outcome.chosen == 0 || outcome.chosen == 1;
  outcome.null_share = up + down > 0 ? up / (up + down) : 0;
}

void judge_majority(const Columns& columns, SelectionOutcome& outcome) {
  std::optional<Pick> pick = majority_vote(columns.keys);
  if (!pick) return;
  outcome.majority_answers = true;
  outcome.majority_index = pick->index;
  outcome.majority_tied = pick->tied;
  // With all candidates there is one subset: its credit is the vote's, ties split evenly.
  std::map<std::string_view, std::pair<double, double>> answers;  // votes, right
  for (size_t i = 0; i < columns.keys.size(); ++i) {
    if (columns.keys[i].empty()) continue;
    auto& [votes, right] = answers[columns.keys[i]];
    votes += 1;
    right += columns.right[i];
  }
  for (const auto& [key, answer] : answers) {
    if (answer.first == pick->weight) outcome.majority += answer.second / answer.first;
  }
  outcome.majority /= static_cast<double>(pick->tied);
}

SelectionOutcome judge(size_t index, const Columns& columns) {
  SelectionOutcome outcome;
  outcome.group = index;
  outcome.first = columns.right[0];
  for (double r : columns.right) {
    outcome.mean += r / static_cast<double>(columns.right.size());
    outcome.oracle = std::max(outcome.oracle, r);
  }
  judge_choice(columns, outcome);
  judge_majority(columns, outcome);
  return outcome;
}

Verdict verdict_of(const stats::Interval& gain) {
  if (gain.low > 0) return Verdict::kGain;
  return gain.high < 0 ? Verdict::kLoss : Verdict::kNone;
}

std::vector<double> column(const std::vector<SelectionOutcome>& outcomes, double SelectionOutcome::*member) {
  std::vector<double> values;
  for (const SelectionOutcome& outcome : outcomes) values.push_back(outcome.*member);
  return values;
}

stats::BootstrapOptions bootstrap_options(const SelectionOptions& options) {
  return {.level = options.level, .resamples = options.resamples, .seed = options.seed};
}

Accuracies accuracies(const std::vector<SelectionOutcome>& outcomes, const SelectionOptions& options) {
  auto share = [&](double SelectionOutcome::*member) {
    return *stats::share_interval(column(outcomes, member), options.seed, options.level);
  };
  std::vector<double> mean = column(outcomes, &SelectionOutcome::mean);
  auto over_mean = [&](double SelectionOutcome::*member) {
    return *stats::paired_difference(column(outcomes, member), mean, bootstrap_options(options));
  };
  Accuracies a;
  a.first = share(&SelectionOutcome::first);
  a.mean = share(&SelectionOutcome::mean);
  a.chosen = share(&SelectionOutcome::chosen);
  a.majority = share(&SelectionOutcome::majority);
  a.oracle = share(&SelectionOutcome::oracle);
  a.gain = over_mean(&SelectionOutcome::chosen);
  a.majority_gain = over_mean(&SelectionOutcome::majority);
  a.verdict = verdict_of(a.gain.interval);
  return a;
}

std::vector<SliceSummary> by_slice(std::span<const SelectionGroup> groups,
                                   const std::vector<SelectionOutcome>& outcomes, const SelectionOptions& options) {
  std::map<std::string, std::vector<SelectionOutcome>> slices;
  bool named = false;
  for (const SelectionOutcome& outcome : outcomes) {
    const std::string& slice = groups[outcome.group].slice;
    named = named || !slice.empty();
    slices[slice.empty() ? "(none)" : slice].push_back(outcome);
  }
  std::vector<SliceSummary> result;
  if (!named) return result;
  for (const auto& [name, members] : slices) result.push_back({name, accuracies(members, options)});
  return result;
}

size_t commonest_size(const std::vector<Columns>& used) {
  std::map<size_t, size_t> times;
  for (const Columns& columns : used) ++times[columns.scores.size()];
  // The larger of equally common sizes.
  return std::ranges::max_element(times, [](auto& a, auto& b) { return a.second <= b.second && a != b; })->first;
}

std::vector<size_t> curve_sizes(size_t n) {
  std::vector<size_t> sizes;
  for (size_t k = 1; k < n; k *= 2) sizes.push_back(k);
  sizes.push_back(n);
  return sizes;
}

std::vector<CurvePoint> curve(const std::vector<Columns>& used, size_t n, const SelectionOptions& options,
                              SelectionCounts& counts) {
  std::vector<size_t> sizes = curve_sizes(n);
  std::vector<std::vector<double>> chosen(sizes.size()), majority(sizes.size()), oracle(sizes.size());
  bool voters = true;
  for (const Columns& columns : used) {
    if (columns.scores.size() < n) continue;
    ++counts.curve_groups;
    voters = voters && columns.scores.size() <= kMostCurveVoters;
    std::vector<double> c = best_of_k(columns.scores, columns.right), o = oracle_of_k(columns.right);
    std::vector<double> m = voters ? majority_of_k(columns.keys, columns.right) : o;
    for (size_t s = 0; s < sizes.size(); ++s) {
      chosen[s].push_back(c[sizes[s] - 1]);
      oracle[s].push_back(o[sizes[s] - 1]);
      majority[s].push_back(m[sizes[s] - 1]);
    }
  }
  auto share = [&](std::vector<double> values) {
    for (double& v : values) v = std::clamp(v, 0.0, 1.0);  // sums of chances may pass 1 by rounding
    return *stats::share_interval(values, options.seed, options.level);
  };
  std::vector<CurvePoint> points;
  for (size_t s = 0; s < sizes.size(); ++s) {
    points.push_back({sizes[s], share(chosen[s]), share(oracle[s]), std::nullopt});
    if (voters) points.back().majority = share(majority[s]);
  }
  return points;
}

void rank(const std::vector<Columns>& used, const SelectionOptions& options, SelectionSummary& summary) {
  std::vector<double> scores;
  std::vector<bool> right;
  std::vector<size_t> group;
  for (size_t g = 0; g < used.size(); ++g) {
    std::vector<bool> of_group(used[g].right.begin(), used[g].right.end());
    summary.pairs = summary.pairs + stats::count_pairs_within(used[g].scores, of_group);
    scores.insert(scores.end(), used[g].scores.begin(), used[g].scores.end());
    right.insert(right.end(), of_group.begin(), of_group.end());
    group.resize(scores.size(), g);
  }
  summary.auc = stats::auc_by_group(scores, right, group, used.size(), bootstrap_options(options));
}

void test_gain(const SelectionOptions& options, SelectionSummary& summary) {
  std::vector<double> shares, differences;
  uint64_t right = 0;
  for (const SelectionOutcome& outcome : summary.outcomes) {
    differences.push_back(outcome.chosen - outcome.mean);
    if (!outcome.null_usable) continue;
    shares.push_back(outcome.null_share);
    right += outcome.chosen == 1;
  }
  summary.sign_flip = stats::sign_flip_test(differences, options.seed);
  summary.chance = stats::random_choice_test(shares, right);
  if (summary.chance) summary.chance->skipped = summary.outcomes.size() - shares.size();
}

void count_used(const Columns& columns, const SelectionOutcome& outcome, SelectionCounts& counts) {
  ++counts.used;
  counts.candidates += columns.scores.size();
  counts.abstained +=
      static_cast<size_t>(std::ranges::count_if(columns.scores, [](double s) { return std::isnan(s); }));
  counts.no_answer += static_cast<size_t>(std::ranges::count(columns.keys, ""));
  counts.chosen_ties += outcome.chosen_tied > 1;
  counts.majority_ties += outcome.majority_tied > 1;
}

}  // namespace

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGain:
      return "gain";
    case Verdict::kLoss:
      return "loss";
    case Verdict::kNone:
      break;
  }
  return "none";
}

SelectionSummary summarise(std::span<const SelectionGroup> groups, const SelectionOptions& options) {
  SelectionSummary summary;
  SelectionCounts& counts = summary.counts;
  counts.groups = groups.size();
  std::vector<Columns> used;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (!usable(groups[g], counts)) continue;
    used.push_back(columns_of(groups[g]));
    summary.outcomes.push_back(judge(g, used.back()));
    count_used(used.back(), summary.outcomes.back(), counts);
  }
  if (used.empty()) {
    fail(ErrorKind::kData,
         "selection: no result: expected a group with judged and scored candidates, got {} groups: {} empty, {} with "
         "unjudged candidates, {} without scores",
         counts.groups, counts.empty, counts.unjudged, counts.unscored);
  }
  summary.n_candidates = commonest_size(used);
  summary.all = accuracies(summary.outcomes, options);
  summary.slices = by_slice(groups, summary.outcomes, options);
  summary.curve = curve(used, summary.n_candidates, options, counts);
  rank(used, options, summary);
  test_gain(options, summary);
  return summary;
}

}  // namespace merit::search
