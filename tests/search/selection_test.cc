#include "merit/search/selection.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/rng.h"

namespace merit::search {
namespace {

using testing::HasSubstr;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A group from scores, a word of 'r'ight, 'w'rong, '?' unjudged, and answers that follow rightness.
SelectionGroup group(std::vector<double> scores, const std::string& right, std::string slice = "") {
  SelectionGroup g;
  g.slice = std::move(slice);
  for (size_t i = 0; i < scores.size(); ++i) {
    SelectionCandidate c;
    c.score = scores[i];
    if (right[i] != '?') c.right = right[i] == 'r';
    c.key = right[i] == 'r' ? "42" : "0";
    g.candidates.push_back(c);
  }
  return g;
}

TEST(Summarise, EveryRuleByHand) {
  std::vector<SelectionGroup> groups = {group({1, 2, 3, 0}, "rwwr"), group({1, 2, 3, 0}, "wwrw")};
  SelectionSummary s = summarise(groups);
  EXPECT_DOUBLE_EQ(s.all.first.value, 0.5);
  EXPECT_DOUBLE_EQ(s.all.mean.value, 0.375);     // (2/4 + 1/4)/2
  EXPECT_DOUBLE_EQ(s.all.chosen.value, 0.5);     // wrong, right
  EXPECT_DOUBLE_EQ(s.all.majority.value, 0.25);  // "42" ties with "0": half; then "0" wins
  EXPECT_DOUBLE_EQ(s.all.oracle.value, 1);
  EXPECT_DOUBLE_EQ(s.all.gain.value, 0.125);
  EXPECT_EQ(s.all.verdict, Verdict::kNone);
  EXPECT_EQ(s.n_candidates, 4u);
  EXPECT_EQ(s.counts.majority_ties, 1u);
  // Exact null: chances 1/2 and 1/4, one right or more: 1 - 1/2 * 3/4.
  EXPECT_NEAR(s.chance->p_greater, 0.625, 1e-12);
  EXPECT_EQ(s.outcomes[1].chosen_index, 2u);
}

TEST(Summarise, F66_AConstantScorerGainsNothingWhateverTheOrder) {
  std::vector<SelectionGroup> groups(50, group({1, 1, 1, 1}, "rwww"));
  SelectionSummary s = summarise(groups);
  EXPECT_DOUBLE_EQ(s.all.chosen.value, 0.25);
  EXPECT_DOUBLE_EQ(s.all.gain.value, 0);
  EXPECT_EQ(s.all.verdict, Verdict::kNone);
  EXPECT_EQ(s.counts.chosen_ties, 50u);
  EXPECT_FALSE(s.chance);  // no group's pick is right or wrong
  EXPECT_DOUBLE_EQ(s.auc->value, 0.5);
  EXPECT_DOUBLE_EQ(s.pairs.strict()->value, 0);
}

TEST(Summarise, ATieAmongRightCandidatesHasItsOwnChance) {
  // Two tie at the top, both right, of 2 right and 2 wrong: C(2,2)/(C(2,2) + C(2,2)) = 1/2 among unmixed pairs.
  std::vector<SelectionGroup> groups = {group({3, 3, 1, 0}, "rrww")};
  SelectionSummary s = summarise(groups);
  EXPECT_TRUE(s.outcomes[0].null_usable);
  EXPECT_DOUBLE_EQ(s.outcomes[0].null_share, 0.5);
}

TEST(Summarise, GainAndLossNeedAnIntervalClearOfZero) {
  std::vector<SelectionGroup> good, bad;
  for (int i = 0; i < 40; ++i) {
    good.push_back(group({0, 1, 0.5, 0.2}, "wrww"));
    bad.push_back(group({0, 1, 0.5, 0.2}, "rwrr"));
  }
  good.push_back(group({0, 1, 0.5, 0.2}, "wwrw"));
  bad.push_back(group({0, 1, 0.5, 0.2}, "wrww"));
  EXPECT_EQ(summarise(good).all.verdict, Verdict::kGain);
  EXPECT_EQ(summarise(bad).all.verdict, Verdict::kLoss);
  EXPECT_STREQ(verdict_name(summarise(bad).all.verdict), "loss");
}

TEST(Summarise, OneGroupShowsNothing) {
  std::vector<SelectionGroup> groups = {group({1, 0}, "rw")};
  SelectionSummary s = summarise(groups);
  EXPECT_DOUBLE_EQ(s.all.gain.value, 0.5);
  EXPECT_LT(s.all.gain.interval.low, 0);
  EXPECT_EQ(s.all.verdict, Verdict::kNone);
}

TEST(Summarise, WhatCannotBeUsedIsCountedWithItsReason) {
  std::vector<SelectionGroup> groups = {group({}, ""), group({1, 2}, "r?"), group({kNaN, kNaN}, "rw"),
                                        group({kNaN, 1}, "rw")};
  SelectionSummary s = summarise(groups);
  EXPECT_EQ(s.counts.groups, 4u);
  EXPECT_EQ(s.counts.empty, 1u);
  EXPECT_EQ(s.counts.unjudged, 1u);
  EXPECT_EQ(s.counts.unscored, 1u);
  EXPECT_EQ(s.counts.used, 1u);
  EXPECT_EQ(s.counts.abstained, 1u);
  EXPECT_EQ(s.outcomes[0].group, 3u);
  EXPECT_DOUBLE_EQ(s.all.chosen.value, 0);  // the one with a score
  EXPECT_DOUBLE_EQ(s.all.mean.value, 0.5);  // both
  EXPECT_DOUBLE_EQ(s.all.oracle.value, 1);
}

TEST(Summarise, NothingUsableIsNoResult) {
  std::vector<SelectionGroup> groups = {group({}, ""), group({kNaN}, "r")};
  try {
    summarise(groups);
    FAIL() << "expected an error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kData);
    EXPECT_THAT(e.what(), HasSubstr("2 groups: 1 empty, 0 with unjudged candidates, 1 without scores"));
  }
}

TEST(Summarise, SlicesAreListedByNameWithTheirOwnCounts) {
  std::vector<SelectionGroup> groups = {group({1, 0}, "rw", "b"), group({1, 0}, "wr", "a"), group({1, 0}, "rr", "b"),
                                        group({1, 0}, "ww")};
  SelectionSummary s = summarise(groups);
  ASSERT_EQ(s.slices.size(), 3u);
  EXPECT_EQ(s.slices[0].name, "(none)");
  EXPECT_EQ(s.slices[1].name, "a");
  EXPECT_EQ(s.slices[2].accuracies.chosen.n, 2u);
  EXPECT_DOUBLE_EQ(s.slices[2].accuracies.chosen.value, 1);
  EXPECT_TRUE(summarise(std::vector<SelectionGroup>{group({1, 0}, "rw")}).slices.empty());
}

TEST(Summarise, TheCurveStartsAtTheMeanAndEndsAtTheRules) {
  std::vector<SelectionGroup> groups;
  Rng rng(4);
  for (int i = 0; i < 30; ++i) {
    std::vector<double> scores;
    std::string right;
    for (int c = 0; c < 6; ++c) {
      right += rng.below(3) == 0 ? 'r' : 'w';
      scores.push_back(rng.normal() + (right.back() == 'r'));
    }
    groups.push_back(group(scores, right));
  }
  groups.push_back(group({1, 0}, "rw"));  // too few for the curve
  SelectionSummary s = summarise(groups);
  std::vector<size_t> k;
  for (const CurvePoint& point : s.curve) k.push_back(point.k);
  EXPECT_THAT(k, testing::ElementsAre(1, 2, 4, 6));
  EXPECT_EQ(s.counts.curve_groups, 30u);
  double mean = 0, chosen = 0, majority = 0, oracle = 0;
  for (size_t i = 0; i < 30; ++i) {
    mean += s.outcomes[i].mean / 30;
    chosen += s.outcomes[i].chosen / 30;
    majority += s.outcomes[i].majority / 30;
    oracle += s.outcomes[i].oracle / 30;
  }
  EXPECT_NEAR(s.curve.front().chosen.value, mean, 1e-12);
  EXPECT_NEAR(s.curve.front().oracle.value, mean, 1e-12);
  EXPECT_NEAR(s.curve.back().chosen.value, chosen, 1e-12);
  EXPECT_NEAR(s.curve.back().majority->value, majority, 1e-12);
  EXPECT_NEAR(s.curve.back().oracle.value, oracle, 1e-12);
}

TEST(Summarise, TheVerdictIsRightlyCautiousUnderChance) {
  // 80 runs of 40 groups with scores that know nothing: about 5% false gains and losses, not far above.
  int false_verdicts = 0;
  for (uint64_t run = 0; run < 80; ++run) {
    Rng rng(run, 5);
    std::vector<SelectionGroup> groups;
    for (int i = 0; i < 40; ++i) {
      std::vector<double> scores;
      std::string right;
      for (int c = 0; c < 4; ++c) {
        right += rng.below(2) ? 'r' : 'w';
        scores.push_back(rng.normal());
      }
      groups.push_back(group(scores, right));
    }
    SelectionSummary s = summarise(groups, {.seed = run, .resamples = 200});
    false_verdicts += s.all.verdict != Verdict::kNone;
  }
  EXPECT_LE(false_verdicts, 11);
}

TEST(Summarise, TheSameSeedGivesTheSameNumbers) {
  std::vector<SelectionGroup> groups = {group({1, 0, 3}, "rwr", "a"), group({2, 5, 1}, "wrw", "b"),
                                        group({0, 0, 1}, "rww", "a")};
  SelectionSummary a = summarise(groups, {.seed = 3}), b = summarise(groups, {.seed = 3});
  EXPECT_EQ(a.all.gain.interval.low, b.all.gain.interval.low);
  EXPECT_EQ(a.auc->interval.high, b.auc->interval.high);
  EXPECT_EQ(a.curve[1].chosen.interval.low, b.curve[1].chosen.interval.low);
}

}  // namespace
}  // namespace merit::search
