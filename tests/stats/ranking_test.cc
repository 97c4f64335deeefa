#include "merit/stats/ranking.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/rng.h"
#include "merit/stats/calibration.h"
#include "merit/stats/correlation.h"

namespace merit::stats {
namespace {

using testing::ElementsAre;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
using V = std::vector<double>;

TEST(Pairs, F66_TiesAreNeverWins) {
  PairCounts counts = count_pairs(V{1, 2}, V{1, 0});
  EXPECT_EQ(counts.ties, 1u);
  EXPECT_DOUBLE_EQ(counts.strict()->value, 0.5);
  EXPECT_DOUBLE_EQ(counts.half_credit()->value, 0.75);
}

TEST(Pairs, F66_AConstantScorerWinsNothing) {
  PairCounts counts = count_pairs_within(V{1, 1, 1, 1}, {true, false, false, true});
  EXPECT_EQ(counts.ties, 4u);
  EXPECT_DOUBLE_EQ(counts.strict()->value, 0);
  EXPECT_DOUBLE_EQ(counts.half_credit()->value, 0.5);
}

TEST(Pairs, MissingScoresAreCountedApart) {
  PairCounts counts = count_pairs(V{kNaN, 2, 0}, V{1, kNaN, 1}) + count_pairs(V{5}, V{-INFINITY});
  EXPECT_EQ(counts.skipped, 2u);
  EXPECT_EQ(counts.losses, 1u);
  EXPECT_EQ(counts.wins, 1u);
  EXPECT_EQ(counts.strict()->skipped, 2u);
  EXPECT_FALSE(count_pairs(V{kNaN}, V{1}).strict());
  EXPECT_THROW(count_pairs(V{1}, V{}), Error);
}

TEST(Pairs, WithinAGroupEveryRightMeetsEveryWrong) {
  // right 3, 1; wrong 2, 0: 3>2 3>0 1<2 1>0.
  PairCounts counts = count_pairs_within(V{3, 2, 1, 0}, {true, false, true, false});
  EXPECT_EQ(counts.wins, 3u);
  EXPECT_EQ(counts.losses, 1u);
}

TEST(Averages, F67_MacroAndMicroAreBothGivenAndNamed) {
  std::vector<Subset> subsets = {{"A", 9, 10}, {"B", 15, 30}, {"C", 0, 0}};
  Averages a = *averages(subsets);
  EXPECT_NEAR(a.macro, 0.70, 1e-12);
  EXPECT_NEAR(a.micro, 0.60, 1e-12);
  EXPECT_EQ(a.items, 40u);
  EXPECT_EQ(a.empty_subsets, 1u);
  EXPECT_FALSE(averages(std::vector<Subset>{{"C", 0, 0}}));
  EXPECT_THROW(averages(std::vector<Subset>{{"D", 3, 2}}), Error);
}

TEST(Auc, TiesCountHalf) {
  // right 3, 1; wrong 1, 0: 3>1, 3>0, 1=1, 1>0 give 3.5 of 4.
  V scores = {3, 1, 1, 0};
  std::vector<bool> right = {true, true, false, false};
  EXPECT_DOUBLE_EQ(auc(scores, right)->value, 0.875);
  EXPECT_DOUBLE_EQ(auc_by_group(scores, right, std::vector<size_t>{0, 1, 0, 1}, 2)->value, 0.875);
  EXPECT_DOUBLE_EQ(auc(V{1, 1, 1}, {true, false, true})->value, 0.5);
}

TEST(Auc, OneClassOnlyIsNoResult) {
  EXPECT_FALSE(auc(V{1, 2}, {true, true}));
  EXPECT_FALSE(auc(V{1, kNaN}, {true, false}));
  EXPECT_FALSE(auc_by_group(V{1, 2}, {true, true}, std::vector<size_t>{0, 1}, 2));
}

TEST(Auc, PerfectSeparationKeepsARoom) {
  Estimate e = *auc(V{4, 3, 2, 1}, {true, true, false, false});
  EXPECT_EQ(e.value, 1);
  EXPECT_LT(e.interval.low, 0.5);  // 2 of each class: 1 - (1 - 0.025^(1/2)) = 0.158
  EXPECT_NEAR(e.interval.low, std::sqrt(0.025), 1e-12);
}

TEST(Auc, GroupIntervalIsWiderWhenCandidatesOfAGroupAreCopies) {
  // Every group holds 8 copies of one draw: DeLong believes there are eight times as many.
  V scores;
  std::vector<bool> right;
  std::vector<size_t> group;
  Rng rng(5);
  for (size_t g = 0; g < 60; ++g) {
    bool r = rng.below(2) == 1;
    double s = rng.normal() + (r ? 0.5 : 0);
    for (int c = 0; c < 8; ++c) {
      scores.push_back(s);
      right.push_back(r);
      group.push_back(g);
    }
  }
  Estimate independent = *auc(scores, right), grouped = *auc_by_group(scores, right, group, 60);
  EXPECT_DOUBLE_EQ(independent.value, grouped.value);
  double narrow = independent.interval.high - independent.interval.low;
  double wide = grouped.interval.high - grouped.interval.low;
  EXPECT_NEAR(wide / narrow, std::sqrt(8), 0.6);
}

TEST(Correlation, ByHand) {
  // Pearson of (1,2,3), (1,3,2): covariance 1 over 2.
  EXPECT_NEAR(pearson(V{1, 2, 3}, V{1, 3, 2})->value, 0.5, 1e-12);
  // Ranks 1 2.5 2.5 4 against 1 3 2 4: 4.5 / sqrt(4.5 * 5).
  EXPECT_NEAR(spearman(V{1, 2, 2, 3}, V{1, 3, 2, 4})->value, 4.5 / std::sqrt(22.5), 1e-12);
  // 5 concordant of 6 pairs, one tied in x: 5 / sqrt(5 * 6).
  EXPECT_NEAR(kendall(V{1, 2, 2, 3}, V{1, 3, 2, 4})->value, 5 / std::sqrt(30), 1e-12);
  EXPECT_NEAR(kendall(V{1, 2, 3, 4}, V{4, 3, 2, 1})->value, -1, 1e-12);
}

TEST(Correlation, KendallEqualsPlainCountingUnderTies) {
  Rng rng(3);
  for (int round = 0; round < 50; ++round) {
    V x, y;
    for (int i = 0; i < 25; ++i) {
      x.push_back(static_cast<double>(rng.below(6)));
      y.push_back(static_cast<double>(rng.below(6)));
    }
    double difference = 0, in_x = 0, in_y = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        double dx = x[i] - x[j], dy = y[i] - y[j];
        difference += (dx * dy > 0) - (dx * dy < 0);
        in_x += dx != 0;
        in_y += dy != 0;
      }
    }
    EXPECT_NEAR(kendall(x, y)->value, difference / std::sqrt(in_x * in_y), 1e-12);
  }
}

TEST(Correlation, UndefinedIsNoResultAndSmallIsWideOpen) {
  EXPECT_FALSE(pearson(V{1, 1, 1}, V{1, 2, 3}));
  EXPECT_FALSE(spearman(V{1}, V{1}));
  EXPECT_FALSE(kendall(V{1, kNaN, 2}, V{kNaN, 1, kNaN}));
  EXPECT_THROW(kendall(V{1}, V{}), Error);
  Estimate three = *pearson(V{1, 2, 3, kNaN}, V{1, 3, 2, 0});
  EXPECT_EQ(three.skipped, 1u);
  EXPECT_EQ(three.interval.low, -1);
  EXPECT_EQ(three.interval.high, 1);
  EXPECT_LT(pearson(V{1, 2, 3, 4, 5}, V{2, 4, 6, 8, 10})->interval.low, 0.9);  // perfect, but of five
}

TEST(Correlation, FishersInterval) {
  // r = 0.5 of n = 28: atanh(0.5) = 0.549306, half 1.959964/5 = 0.391993: tanh gives 0.1559, 0.7360.
  V x, y;
  for (int i = 0; i < 7; ++i) {  // seven copies of four points with r = 0.5
    for (double v : {-1.0, 1.0, -1.0, 1.0}) x.push_back(v);
    for (double v : {-1.0, 1.0, 0.5, -0.5}) y.push_back(v);
  }
  Estimate e = *pearson(x, y);
  double r = e.value;
  EXPECT_NEAR(e.interval.low, std::tanh(std::atanh(r) - 0.391993), 1e-6);
  EXPECT_NEAR(e.interval.high, std::tanh(std::atanh(r) + 0.391993), 1e-6);
  EXPECT_NEAR(r, 1.0 / std::sqrt(10), 1e-12);  // sum xy = 1, sum xx = 4, sum yy = 2.5
}

TEST(MidRanks, ShareTheirPlaces) { EXPECT_THAT(mid_ranks(V{5, 1, 5, 5}), ElementsAre(3, 1, 3, 3)); }

TEST(Calibration, EceAndBrierByHand) {
  // Bin 0.1: gap |0 - 0.1| of 2; bin 0.9: |1 - 1.8|/2 = 0.4 of 2: ece (0.2 + 0.8)/4. Brier (3 * 0.01 + 0.81)/4.
  Calibration c = *calibration(V{0.1, 0.1, 0.9, 0.9, kNaN}, {false, false, true, false, true});
  EXPECT_NEAR(c.ece.value, 0.25, 1e-12);
  EXPECT_NEAR(c.brier.value, 0.21, 1e-12);
  EXPECT_EQ(c.ece.skipped, 1u);
  ASSERT_EQ(c.bins.size(), 2u);
  EXPECT_NEAR(c.bins[1].mean_predicted, 0.9, 1e-12);
  EXPECT_DOUBLE_EQ(c.bins[1].right.value, 0.5);
  EXPECT_TRUE(c.ece.interval.contains(0.25));
}

TEST(Calibration, TheEndsBelongToBinsAndNonsenseIsRefused) {
  Calibration c = *calibration(V{0, 1}, {false, true});
  EXPECT_EQ(c.bins.size(), 2u);
  EXPECT_EQ(c.brier.value, 0);
  EXPECT_GT(c.brier.interval.high, 0);
  EXPECT_FALSE(calibration(V{kNaN}, {true}));
  EXPECT_THROW(calibration(V{1.5}, {true}), Error);
  EXPECT_THROW(calibration(V{0.5}, {}), Error);
  EXPECT_THROW(calibration(V{0.5}, {true}, 0), Error);
}

}  // namespace
}  // namespace merit::stats
