#include "merit/objective/bradley_terry.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/objective/objective_support.h"

namespace merit::objective {
namespace {

using namespace testing;

// Chosen rewards, then as many rejected ones.
Batch pairs(const std::vector<double>& rewards, const at::Tensor& margin = {}) {
  Batch batch = reward_batch(rewards);
  const size_t count = rewards.size() / 2;
  for (size_t p = 0; p < count; ++p) {
    batch.chosen.push_back(static_cast<int64_t>(p));
    batch.rejected.push_back(static_cast<int64_t>(count + p));
  }
  batch.margin = margin;
  return batch;
}

double loss_of_pairs(const std::vector<double>& rewards, const Json& settings = Json::object()) {
  return loss_of("bradley_terry", settings, pairs(rewards));
}

TEST(BradleyTerry, EqualRewardsCostLn2) { EXPECT_NEAR(loss_of_pairs({3.0, 3.0}), std::log(2.0), 1e-15); }

TEST(BradleyTerry, HandDerivedMean) {
  // log(1 + e^-1) = 0.313261687..., log(1 + e^2) = 2.126928011...
  EXPECT_NEAR(loss_of_pairs({1.0, 0.0, 0.0, 2.0}), (0.31326168751822286 + 2.1269280110429727) / 2, 1e-14);
}

TEST(BradleyTerry, MarginIsTakenFromTheDifference) {
  EXPECT_NEAR(loss_of("bradley_terry", Json::object(), pairs({1.5, 0.0}, vec({0.5}))), loss_of_pairs({1.0, 0.0}),
              1e-15);
}

TEST(BradleyTerry, SmoothingAndCentringByHand) {
  // 0.9 * 0.3132617 + 0.1 * 1.3132617 = 0.4132617; centring: 0.01 * (1 + 0)^2.
  EXPECT_NEAR(loss_of_pairs({1.0, 0.0}, {{"label_smoothing", 0.1}, {"center_rewards_coefficient", 0.01}}),
              0.31326168751822286 + 0.1 + 0.01, 1e-14);
}

TEST(BradleyTerry, ExtremeDifferencesStayFinite) {
  EXPECT_NEAR(loss_of_pairs({-1000.0, 1000.0}), 2000.0, 1e-9);
  EXPECT_EQ(loss_of_pairs({1000.0, -1000.0}), 0.0);
}

TEST(BradleyTerry, SwappingThePairNegatesTheMargin) {
  const auto loss = make_bradley_terry({});
  const Result a = (*loss)(pairs({1.0, 2.0, 0.5, 4.0})), b = (*loss)(pairs({0.5, 4.0, 1.0, 2.0}));
  EXPECT_DOUBLE_EQ(metric(a, "margin"), -metric(b, "margin"));
  EXPECT_DOUBLE_EQ(metric(a, "margin"), -0.75);
  EXPECT_DOUBLE_EQ(metric(a, "accuracy"), 0.5);
}

TEST(BradleyTerry, F66_TiesAreNotWins) {
  const Result result = (*make_bradley_terry({}))(pairs({1.0, 2.0, 1.0, 0.0}));
  EXPECT_DOUBLE_EQ(metric(result, "accuracy"), 0.5);
  EXPECT_DOUBLE_EQ(metric(result, "ties"), 0.5);
}

TEST(BradleyTerry, RewardsUnderTrlsNames) {
  const Result result = (*make_bradley_terry({}))(pairs({1.0, 2.0, -3.0, 0.0}));
  EXPECT_DOUBLE_EQ(metric(result, "min_reward"), -3.0);
  EXPECT_DOUBLE_EQ(metric(result, "mean_reward"), 0.0);
  EXPECT_DOUBLE_EQ(metric(result, "max_reward"), 2.0);
}

TEST(BradleyTerry, PairsShareSequences) {
  // One chosen against two rejected: (2, 1) and (2, 2).
  Batch batch = reward_batch({2.0, 1.0, 2.0});
  batch.chosen = {0, 0};
  batch.rejected = {1, 2};
  EXPECT_NEAR(loss_of("bradley_terry", Json::object(), batch), (0.31326168751822286 + std::log(2.0)) / 2, 1e-14);
}

TEST(BradleyTerry, GradientMatchesFiniteDifferences) {
  const auto loss = make_bradley_terry({.label_smoothing = 0.2, .center_rewards_coefficient = 0.3});
  expect_gradient(*loss, pairs({0.3, -1.2, 2.0, 0.1, 0.4, 1.0}, vec({0.1, 0.0, 0.5})), &Batch::values);
}

TEST(BradleyTerry, LossIsFloat64ForFloat32Rewards) {
  Batch batch = pairs({1.0, 0.0});
  batch.values = batch.values.to(at::kFloat);
  EXPECT_NEAR(loss_of("bradley_terry", Json::object(), batch), 0.31326168751822286, 1e-15);
}

TEST(BradleyTerry, RefusesWhatItCannotMean) {
  EXPECT_EQ(error_of([] { make_bradley_terry({.label_smoothing = 0.5}); }),
            "label_smoothing: expected a number in [0, 0.5), got 0.5");
  EXPECT_THROW(loss_of("bradley_terry", Json::object(), pairs({1.0, 2.0}, vec({1.0, 2.0}))), Error);
  Batch steps = pairs({1.0, 2.0});
  steps.value_begin = {0, 2, 2};
  EXPECT_EQ(error_of([&] { loss_of("bradley_terry", Json::object(), steps); }),
            "batch: sequence 0: expected one reward, got 2 rows of values");
  Batch other = pairs({1.0, 2.0});
  other.rejected = {2};
  EXPECT_EQ(error_of([&] { loss_of("bradley_terry", Json::object(), other); }), "batch: rejected: sequence 2 of 2");
}

}  // namespace
}  // namespace merit::objective
