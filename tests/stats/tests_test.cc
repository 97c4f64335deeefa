#include "merit/stats/tests.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/rng.h"

namespace merit::stats {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(BinomialTest, SevenOfTenFairCoins) {
  // P(X >= 7) = (120 + 45 + 10 + 1)/1024.
  TestResult r = *binomial_test(7, 10);
  EXPECT_NEAR(r.p_greater, 176.0 / 1024, 1e-13);
  EXPECT_NEAR(r.p_value, 352.0 / 1024, 1e-13);
}

TEST(BinomialTest, AsymmetricTwoSidedAddsTheUnlikelierOutcomes) {
  // n = 3, p = 0.2: masses .512 .384 .096 .008. Those no likelier than k = 1: .384 + .096 + .008.
  EXPECT_NEAR(binomial_test(1, 3, 0.2)->p_value, 0.488, 1e-13);
  EXPECT_NEAR(binomial_test(3, 3, 0.2)->p_value, 0.008, 1e-13);
  EXPECT_NEAR(binomial_test(0, 3, 0.2)->p_value, 1, 1e-13);
  // p = 0.8 mirrors it.
  EXPECT_NEAR(binomial_test(2, 3, 0.8)->p_value, 0.488, 1e-13);
}

TEST(BinomialTest, EdgesAndNonsense) {
  EXPECT_FALSE(binomial_test(0, 0));
  EXPECT_THROW(binomial_test(2, 1), Error);
  EXPECT_THROW(binomial_test(1, 2, kNaN), Error);
  EXPECT_EQ(binomial_test(0, 5, 0)->p_value, 1);
  EXPECT_EQ(binomial_test(1, 5, 0)->p_value, 0);
  EXPECT_EQ(binomial_test(5, 5, 1)->p_value, 1);
}

TEST(BinomialTest, TheTwoSidedSumEqualsPlainSummation) {
  for (double p : {0.05, 0.3, 0.5, 0.77}) {
    for (uint64_t k = 0; k <= 23; ++k) {
      std::vector<double> mass(24);
      double binomial = 1;
      for (int i = 0; i <= 23; ++i) {
        mass[i] = binomial * std::pow(p, i) * std::pow(1 - p, 23 - i);
        binomial = binomial * (23 - i) / (i + 1);
      }
      double sum = 0;
      for (double m : mass) sum += m <= mass[k] * (1 + 1e-7) ? m : 0;
      EXPECT_NEAR(binomial_test(k, 23, p)->p_value, sum, 1e-11) << k << " " << p;
    }
  }
}

TEST(McNemar, CountsOnlyDifferingPairs) {
  // Of 6 differing pairs 1 favours the first: 2 (1 + 6)/64.
  EXPECT_NEAR(mcnemar_test(1, 5).p_value, 14.0 / 64, 1e-13);
  EXPECT_EQ(mcnemar_test(0, 0).p_value, 1);
  EXPECT_EQ(mcnemar_test(0, 0).n, 0u);
}

TEST(SignFlip, EnumeratesAllSigns) {
  // +-1 +-2 +-3: only +++ reaches 6, only +++ and --- reach |6|.
  TestResult r = *sign_flip_test(std::vector<double>{1, 2, 3});
  EXPECT_DOUBLE_EQ(r.p_greater, 1.0 / 8);
  EXPECT_DOUBLE_EQ(r.p_value, 2.0 / 8);
  EXPECT_DOUBLE_EQ(r.statistic, 2);
  EXPECT_EQ(r.method, "exact sign flips");
}

TEST(SignFlip, ZerosCountInTheMeanButNotInTheFlips) {
  TestResult r = *sign_flip_test(std::vector<double>{1, 1, 0, kNaN});
  EXPECT_DOUBLE_EQ(r.p_greater, 0.25);
  EXPECT_DOUBLE_EQ(r.p_value, 0.5);
  EXPECT_DOUBLE_EQ(r.statistic, 2.0 / 3);
  EXPECT_EQ(r.n, 3u);
  EXPECT_EQ(r.skipped, 1u);
  EXPECT_EQ(sign_flip_test(std::vector<double>{0, 0})->p_value, 1);
  EXPECT_FALSE(sign_flip_test(std::vector<double>{kNaN}));
}

TEST(SignFlip, RoundingDoesNotSplitEqualSums) {
  // 0.1 + 0.2 and 0.3 reached by another order of additions must count as equal: p = P(|S| = max) = 2/8.
  EXPECT_DOUBLE_EQ(sign_flip_test(std::vector<double>{0.1, 0.2, 0.3})->p_value, 0.25);
}

TEST(SignFlip, SampledAgreesWithTheBinomialItIs) {
  // 30 differences of size 1, 20 up: the test is the binomial sign test. p = 2 P(X >= 20 | 30) = 0.0987.
  std::vector<double> differences(30, 1.0);
  for (int i = 0; i < 10; ++i) differences[i] = -1;
  TestResult r = *sign_flip_test(differences, 3);
  EXPECT_EQ(r.method, "random sign flips");
  EXPECT_NEAR(r.p_value, binomial_test(20, 30)->p_value, 0.01);
  EXPECT_EQ(r.p_value, sign_flip_test(differences, 3)->p_value);
}

TEST(RandomChoice, ThreeGroupsByHand) {
  // Chances 1/2, 1/2, 1/4. Masses: 0: .1875, 1: .4375, 2: .3125, 3: .0625.
  std::vector<double> shares = {0.5, 0.5, 0.25};
  TestResult all = *random_choice_test(shares, 3);
  EXPECT_NEAR(all.p_greater, 0.0625, 1e-14);
  EXPECT_NEAR(all.p_value, 0.0625, 1e-14);
  EXPECT_NEAR(all.statistic, 1 - 1.25 / 3, 1e-14);
  EXPECT_NEAR(random_choice_test(shares, 0)->p_value, 0.25, 1e-14);
  EXPECT_NEAR(random_choice_test(shares, 2)->p_greater, 0.375, 1e-14);
}

TEST(RandomChoice, DecidedGroupsCarryNoInformation) {
  std::vector<double> shares = {0, 1, 0.5, 1, 0};
  EXPECT_NEAR(random_choice_test(shares, 3)->p_greater, 0.5, 1e-14);
  EXPECT_EQ(random_choice_test(std::vector<double>{0, 1}, 1)->p_value, 1);
  EXPECT_THROW(random_choice_test(shares, 1), Error);  // two groups are right whatever is chosen
  EXPECT_THROW(random_choice_test(shares, 4), Error);
  EXPECT_THROW(random_choice_test(std::vector<double>{kNaN}, 0), Error);
  EXPECT_FALSE(random_choice_test({}, 0));
}

TEST(RandomChoice, EqualSharesAreTheBinomial) {
  std::vector<double> shares(40, 0.3);
  for (uint64_t right : {5, 12, 20}) {
    EXPECT_NEAR(random_choice_test(shares, right)->p_value, binomial_test(right, 40, 0.3)->p_value, 1e-11);
    EXPECT_NEAR(random_choice_test(shares, right)->p_greater, binomial_test(right, 40, 0.3)->p_greater, 1e-11);
  }
}

TEST(RandomChoice, TheNormalLimitStandsInAboveTwentyThousandGroups) {
  std::vector<double> shares(20001, 0.5);
  TestResult r = *random_choice_test(shares, 10150);
  EXPECT_EQ(r.method, "normal limit of the poisson-binomial");
  EXPECT_NEAR(r.p_greater, binomial_test(10150, 20001)->p_greater, 1e-4);
}

}  // namespace
}  // namespace merit::stats
