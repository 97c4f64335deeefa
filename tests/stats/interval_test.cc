#include "merit/stats/interval.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/rng.h"
#include "merit/stats/bootstrap.h"
#include "merit/stats/distributions.h"

namespace merit::stats {
namespace {

using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Distributions, TabledValues) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-13);
  EXPECT_NEAR(normal_quantile(1e-10), -6.361340902404056, 1e-11);
  EXPECT_NEAR(student_t_quantile(0.975, 1), 12.706204736174705, 1e-9);  // tan(0.475 pi)
  EXPECT_NEAR(student_t_quantile(0.975, 2), 4.302652729749464, 1e-10);
  EXPECT_NEAR(incomplete_beta(2, 3, 0.4), 0.5248, 1e-14);  // 1 - sum of C(4,j) .4^j .6^(4-j), j < 2
  EXPECT_NEAR(binomial_cdf(1, 4, 0.4), 0.4752, 1e-14);
  EXPECT_NEAR(binomial_pmf(2, 4, 0.5), 0.375, 1e-14);
}

TEST(Wilson, EightOfTen) {
  // z^2 = 3.841459: centre (0.8 + z^2/20)/(1 + z^2/10) = 0.716740, half 0.226578.
  Estimate e = *wilson_interval(8, 10);
  EXPECT_DOUBLE_EQ(e.value, 0.8);
  EXPECT_NEAR(e.interval.low, 0.490162, 1e-6);
  EXPECT_NEAR(e.interval.high, 0.943318, 1e-6);
  EXPECT_EQ(e.n, 10u);
  EXPECT_EQ(e.interval.method, "wilson");
}

TEST(Wilson, NoneAndAllKeepTheirExactEnd) {
  Estimate none = *wilson_interval(0, 10);
  EXPECT_EQ(none.interval.low, 0);
  EXPECT_NEAR(none.interval.high, 3.841459 / 13.841459, 1e-6);  // z^2 / (n + z^2)
  Estimate all = *wilson_interval(10, 10);
  EXPECT_EQ(all.interval.high, 1);
  EXPECT_NEAR(all.interval.low, 10 / 13.841459, 1e-6);
}

TEST(Wilson, NothingIsNoResultAndNonsenseIsRefused) {
  EXPECT_FALSE(wilson_interval(0, 0));
  EXPECT_THROW(wilson_interval(3, 2), Error);
  EXPECT_THROW(wilson_interval(kNaN, 2), Error);
  EXPECT_THROW(wilson_interval(1, 2, 1.0), Error);
}

TEST(MeanInterval, StudentsTOfThree) {
  // mean 2, deviation 1, t(0.975, 2) = 4.302653: half = 4.302653 / sqrt(3) = 2.484138.
  std::vector<double> values = {1, kNaN, 2, 3};
  Estimate e = *mean_interval(values);
  EXPECT_DOUBLE_EQ(e.value, 2);
  EXPECT_NEAR(e.interval.low, 2 - 2.484138, 1e-6);
  EXPECT_NEAR(e.interval.high, 2 + 2.484138, 1e-6);
  EXPECT_EQ(e.n, 3u);
  EXPECT_EQ(e.skipped, 1u);
}

TEST(MeanInterval, AllMissingIsNoResultAndOneValueHasNoBounds) {
  EXPECT_FALSE(mean_interval(std::vector<double>{kNaN, kInfinity}));
  EXPECT_FALSE(mean_interval({}));
  Estimate one = *mean_interval(std::vector<double>{0.5});
  EXPECT_EQ(one.interval.low, -kInfinity);
  EXPECT_EQ(one.interval.high, kInfinity);
}

TEST(UnanimousInterval, IsClopperPearsonAtZero) {
  // 1 - 0.025^(1/10) = 0.308497.
  Interval i = unanimous_interval(0, 10, 0, 1);
  EXPECT_EQ(i.low, 0);
  EXPECT_NEAR(i.high, 0.308497, 1e-6);
  Interval middle = unanimous_interval(0.5, 10, 0, 1);
  EXPECT_NEAR(middle.low, 0.5 - 0.5 * 0.308497, 1e-6);
  EXPECT_NEAR(middle.high, 0.5 + 0.5 * 0.308497, 1e-6);
}

TEST(ShareInterval, WilsonForBinaryBootstrapForFractions) {
  EXPECT_EQ(share_interval(std::vector<double>{1, 0, 1, kNaN})->interval.method, "wilson");
  EXPECT_EQ(share_interval(std::vector<double>{1, 0, 1, kNaN})->skipped, 1u);
  EXPECT_THAT(share_interval(std::vector<double>{1, 0, 0.5})->interval.method, HasSubstr("bootstrap"));
  EXPECT_THROW(share_interval(std::vector<double>{1, 1.5}), Error);
}

TEST(Bootstrap, IsDeterministicAndSeeded) {
  std::vector<double> values;
  Rng rng(7);
  for (int i = 0; i < 60; ++i) values.push_back(rng.uniform());
  Estimate a = *bootstrap_mean(values, {.seed = 1});
  Estimate b = *bootstrap_mean(values, {.seed = 1});
  Estimate c = *bootstrap_mean(values, {.seed = 2});
  EXPECT_EQ(a.interval.low, b.interval.low);
  EXPECT_EQ(a.interval.high, b.interval.high);
  EXPECT_NE(a.interval.low, c.interval.low);
}

TEST(Bootstrap, ALikeGroupsNeverGiveAPoint) {
  std::vector<double> same(20, 1.0);
  Estimate e = *bootstrap_mean(same);
  EXPECT_EQ(e.value, 1);
  EXPECT_EQ(e.interval.high, 1);
  EXPECT_NEAR(e.interval.low, std::pow(0.025, 1 / 20.0), 1e-12);
  EXPECT_EQ(e.interval.method, "rule of three");
  // Equal values whose weighted sums differ only by rounding are alike too.
  EXPECT_EQ(bootstrap_mean(std::vector<double>(20, 0.1))->interval.method, "rule of three");
  EXPECT_LT(bootstrap_mean(std::vector<double>{0.3})->interval.low, 0.1);
}

TEST(Bootstrap, FewGroupsAreWidenedToWhatTheyCannotShow) {
  // Three groups cannot show the 1 - 0.025^(1/3) = 0.708 of the population that may differ.
  Estimate e = *paired_difference(std::vector<double>{0.5, 0.6, 0.7}, std::vector<double>{0, 0, 0});
  EXPECT_NEAR(e.value, 0.6, 1e-12);
  EXPECT_LT(e.interval.low, 0);
  EXPECT_THAT(e.interval.method, HasSubstr("widened"));
}

TEST(Bootstrap, NothingIsNoResult) {
  EXPECT_FALSE(bootstrap_mean({}));
  EXPECT_FALSE(bootstrap_mean(std::vector<double>{kNaN}));
  EXPECT_FALSE(bootstrap(3, [](std::span<const double>) { return std::optional<double>(); }));
}

TEST(Bootstrap, OfAMeanAgreesWithStudentsTOnManyGroups) {
  std::vector<double> values;
  Rng rng(11);
  for (int i = 0; i < 400; ++i) values.push_back(rng.uniform());
  Estimate t = *mean_interval(values), b = *bootstrap_mean(values, {.resamples = 10000});
  double width = t.interval.high - t.interval.low;
  EXPECT_NEAR(b.interval.low, t.interval.low, 0.05 * width);
  EXPECT_NEAR(b.interval.high, t.interval.high, 0.05 * width);
  EXPECT_EQ(b.interval.method, "bca bootstrap");
}

TEST(Bootstrap, CoversTheTruthAsOftenAsItSays) {
  // Skewed values with mean 1/3 (squares of uniforms), 40 groups, 300 draws: 95% within four standard deviations.
  int covered = 0;
  for (uint64_t draw = 0; draw < 300; ++draw) {
    Rng rng(draw, 99);
    std::vector<double> values;
    for (int i = 0; i < 40; ++i) values.push_back(std::pow(rng.uniform(), 2));
    covered += bootstrap_mean(values, {.resamples = 500, .seed = draw})->interval.contains(1.0 / 3);
  }
  EXPECT_GE(covered, 270);
  EXPECT_LE(covered, 299);
}

TEST(PairedDifference, SkipsIncompletePairsAndRefusesUnequalLengths) {
  Estimate e = *paired_difference(std::vector<double>{1, 1, kNaN, 0}, std::vector<double>{0, 1, 0, 0});
  EXPECT_NEAR(e.value, 1.0 / 3, 1e-12);
  EXPECT_EQ(e.n, 3u);
  EXPECT_EQ(e.skipped, 1u);
  EXPECT_THROW(paired_difference(std::vector<double>{1}, std::vector<double>{}), Error);
}

TEST(PairedDifference, MoreThanTwoThousandGroupsUsePercentiles) {
  std::vector<double> a(2001, 0.0), b(2001, 0.0);
  for (size_t i = 0; i < a.size(); i += 3) a[i] = 1;
  Estimate e = *paired_difference(a, b, {.resamples = 400});
  EXPECT_EQ(e.interval.method, "percentile bootstrap");
  // sqrt(p (1 - p) / n) = 0.01054: +-1.96 of it around 1/3.
  EXPECT_NEAR(e.interval.low, 1.0 / 3 - 0.02065, 0.003);
  EXPECT_NEAR(e.interval.high, 1.0 / 3 + 0.02065, 0.003);
}

}  // namespace
}  // namespace merit::stats
