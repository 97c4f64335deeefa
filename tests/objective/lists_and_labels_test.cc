#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "merit/objective/labelled_values.h"
#include "merit/objective/plackett_luce.h"
#include "merit/objective/token_divergence.h"
#include "tests/objective/objective_support.h"

namespace merit::objective {
namespace {

using namespace testing;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
double ls(double x) { return -std::log1p(std::exp(-x)); }

Batch rows(const std::vector<std::vector<double>>& values, const std::vector<std::vector<double>>& targets) {
  const auto matrix = [](const std::vector<std::vector<double>>& from) {
    std::vector<double> flat;
    for (const auto& row : from) flat.insert(flat.end(), row.begin(), row.end());
    return vec(flat).view({static_cast<int64_t>(from.size()), -1});
  };
  Batch batch;
  batch.values = matrix(values);
  batch.value_targets = matrix(targets);
  batch.value_begin = {0, static_cast<int64_t>(values.size())};
  return batch;
}

TEST(AttributeRegression, MeanOverTheLabelsThatAreThere) {
  // Squared errors 1, 4 and 9; one label is missing, one row has none.
  const Batch batch = rows({{1, 2}, {3, 0}, {9, 9}}, {{0, 4}, {kNaN, 3}, {kNaN, kNaN}});
  EXPECT_NEAR(loss_of("attribute_regression", Json::object(), batch), 14.0 / 3, 1e-14);
  EXPECT_NEAR(metric((*find_objective("attribute_regression").make(Json::object()))(batch), "mse"), 14.0 / 3, 1e-14);
}

TEST(AttributeRegression, GradientMatchesFiniteDifferencesAndIsZeroWithoutLabel) {
  const Batch batch = rows({{1, 2}, {3, 0}}, {{0, 4}, {kNaN, 3}});
  const auto loss = find_objective("attribute_regression").make(Json::object());
  expect_gradient(*loss, batch, &Batch::values);
  EXPECT_EQ(gradient_of(*loss, batch, &Batch::values)[1][0].item<double>(), 0);
}

TEST(AttributeRegression, WithoutAnyLabelTheLossIsZero) {
  EXPECT_EQ(loss_of("attribute_regression", Json::object(), rows({{1}}, {{kNaN}})), 0);
}

TEST(StepLabels, OneOutputIsBinaryCrossEntropy) {
  // -logsigmoid(2), -logsigmoid(-1) for a bad step, a soft label of 1/4 at 0, and a step without label.
  const Batch batch = rows({{2}, {1}, {0}, {5}}, {{1}, {0}, {.25}, {kNaN}});
  EXPECT_NEAR(loss_of("step_labels", Json::object(), batch), (-ls(2) - ls(-1) + std::log(2)) / 3, 1e-14);
  const Result result = (*find_objective("step_labels").make(Json::object()))(batch);
  EXPECT_NEAR(metric(result, "accuracy"), 2.0 / 3, 1e-15);
  expect_gradient(*find_objective("step_labels").make(Json::object()), batch, &Batch::values);
}

TEST(StepLabels, SeveralOutputsAreClasses) {
  // softmax(0, ln 3) = 1/4, 3/4.
  const Batch batch = rows({{0, std::log(3)}, {0, std::log(3)}, {7, 0}}, {{1}, {0}, {kNaN}});
  EXPECT_NEAR(loss_of("step_labels", Json::object(), batch), (std::log(4.0 / 3) + std::log(4)) / 2, 1e-14);
  const auto loss = find_objective("step_labels").make(Json::object());
  EXPECT_NEAR(metric((*loss)(batch), "accuracy"), .5, 1e-15);
  expect_gradient(*loss, batch, &Batch::values);
}

TEST(StepLabels, TwoClassesAreOneLogitOfTheirDifference) {
  EXPECT_NEAR(loss_of("step_labels", Json::object(), rows({{.3, 1.1}, {2, -1}}, {{1}, {0}})),
              loss_of("step_labels", Json::object(), rows({{.8}, {-3}}, {{1}, {0}})), 1e-14);
}

TEST(StepLabels, ExtremeLogitsStayFinite) {
  EXPECT_NEAR(loss_of("step_labels", Json::object(), rows({{-1000}}, {{1}})), 1000, 1e-9);
}

TEST(StepLabels, ALabelThatIsNoneIsNamed) {
  EXPECT_EQ(error_of([] {
              loss_of("step_labels", Json::object(), rows({{0}, {0}}, {{1}, {-1}}));
            }),
            "batch: value_targets: row 1: expected a number in 0 to 1, got -1");
  EXPECT_EQ(error_of([] {
              loss_of("step_labels", Json::object(), rows({{0, 0}}, {{2}}));
            }),
            "batch: value_targets: row 0: expected a class of 0 to 1, got 2");
}

Batch list_of(const std::vector<double>& rewards) {
  Batch batch = reward_batch(rewards);
  batch.lists.emplace_back();
  for (size_t s = 0; s < rewards.size(); ++s) batch.lists[0].push_back(static_cast<int64_t>(s));
  return batch;
}

TEST(PlackettLuce, HandDerived) {
  // exp of the rewards 3, 2, 1: 3/6 * 2/3 = 1/3.
  const Batch batch = list_of({std::log(3), std::log(2), 0});
  EXPECT_NEAR(loss_of("plackett_luce", Json::object(), batch), std::log(3), 1e-14);
  EXPECT_NEAR(loss_of("plackett_luce", {{"top", 1}}, batch), std::log(2), 1e-14);
}

TEST(PlackettLuce, ATwoListIsBradleyTerry) {
  Batch batch = list_of({.7, -.4});
  batch.chosen = {0};
  batch.rejected = {1};
  EXPECT_NEAR(loss_of("plackett_luce", Json::object(), batch), loss_of("bradley_terry", Json::object(), batch), 1e-15);
}

TEST(PlackettLuce, PolicyScoresOfTwoAreDpo) {
  Batch batch = three_pairs();
  for (size_t p = 0; p < 3; ++p) batch.lists.push_back({batch.chosen[p], batch.rejected[p]});
  EXPECT_NEAR(loss_of("plackett_luce", {{"score", "policy"}}, batch), loss_of("dpo", Json::object(), batch), 1e-14);
  batch.lists = {{0, 3, 5}, {2, 1}};
  expect_gradient(*find_objective("plackett_luce").make({{"score", "policy"}}), batch, &Batch::logps);
}

TEST(PlackettLuce, ProbabilitiesOfAllOrdersAddToOne) {
  double sum = 0;
  std::vector<double> rewards = {-1, .3, .9};
  do {
    sum += std::exp(-loss_of("plackett_luce", Json::object(), list_of(rewards)));
  } while (std::next_permutation(rewards.begin(), rewards.end()));
  EXPECT_NEAR(sum, 1, 1e-14);
}

TEST(PlackettLuce, GradientMatchesFiniteDifferencesWhereListsShareSequences) {
  // A tree: the same sequence in two lists.
  Batch batch = reward_batch({.3, -1.2, 2, .1});
  batch.lists = {{2, 0, 1}, {0, 3}};
  expect_gradient(*find_objective("plackett_luce").make(Json::object()), batch, &Batch::values);
}

TEST(PlackettLuce, MetricsByHand) {
  // Scores 2, 3, 1 for a list that should fall: first does not win; pairs -, +, +.
  const Result result = (*find_objective("plackett_luce").make(Json::object()))(list_of({2, 3, 1}));
  EXPECT_EQ(metric(result, "accuracy"), 0);
  EXPECT_NEAR(metric(result, "kendall_tau"), 1.0 / 3, 1e-15);
}

TEST(PlackettLuce, AListOfOneIsRefused) {
  EXPECT_EQ(error_of([] { loss_of("plackett_luce", Json::object(), list_of({1})); }),
            "batch: list 0: expected two sequences or more, got 1");
}

// D_c = 1, D_r = -1, K_c = 0.5, K_r = 2.
Batch divergent() {
  Batch batch = with_pairs(token_batch({{-1, -1}, {-2}}, {{-2, -1}, {-1}}));
  batch.divergence = vec({.2, .3, 2});
  return batch;
}

TEST(Tdpo, HandDerived) {
  // tdpo1: 2 - 1.5; tdpo2: 2 - alpha * 1.5.
  EXPECT_NEAR(loss_of("tdpo", {{"loss_type", "tdpo1"}, {"beta", 1}}, divergent()), -ls(.5), 1e-14);
  EXPECT_NEAR(loss_of("tdpo", {{"beta", 1}}, divergent()), -ls(2 - .75), 1e-14);
  const Result result = (*find_objective("tdpo").make(Json::object()))(divergent());
  EXPECT_EQ(metric(result, "seq_kl/chosen"), .5);
  EXPECT_EQ(metric(result, "seq_kl/rejected"), 2);
}

TEST(Tdpo, WithoutDivergencesItIsDpo) {
  Batch batch = three_pairs();
  batch.divergence = batch.logps * 0;
  EXPECT_NEAR(loss_of("tdpo", Json::object(), batch), loss_of("dpo", Json::object(), batch), 1e-15);
  batch = divergent();
  EXPECT_NEAR(loss_of("tdpo", {{"alpha", 0}}, batch), loss_of("dpo", Json::object(), batch), 1e-15);
}

TEST(Tdpo, GradientsMatchFiniteDifferences) {
  const auto first = find_objective("tdpo").make({{"loss_type", "tdpo1"}});
  expect_gradient(*first, divergent(), &Batch::logps);
  expect_gradient(*first, divergent(), &Batch::divergence);
  expect_gradient(*find_objective("tdpo").make(Json::object()), divergent(), &Batch::logps);
}

TEST(Tdpo, TheSecondLossHoldsTheChosensDivergenceFixed) {
  // d/dK_r = alpha beta (1 - sigmoid(z)), z = 1.25 at beta 1.
  const auto loss = find_objective("tdpo").make({{"beta", 1}});
  const at::Tensor gradient = gradient_of(*loss, divergent(), &Batch::divergence);
  EXPECT_EQ(gradient[0].item<double>(), 0);
  EXPECT_NEAR(gradient[2].item<double>(), .5 / (1 + std::exp(1.25)), 1e-15);
}

TEST(Gkd, IsTheTokenMeanOfDivergences) {
  Batch batch = token_batch({{-1, -1, -1}, {-1}});
  batch.divergence = vec({.1, .2, .3, 1});
  EXPECT_NEAR(loss_of("gkd", Json::object(), batch), .4, 1e-15);
  const auto loss = find_objective("gkd").make({{"beta", .3}});
  expect_gradient(*loss, batch, &Batch::divergence);
  EXPECT_EQ(loss->divergence()->beta, .3);
  EXPECT_TRUE(loss->divergence()->teacher);
  EXPECT_EQ(error_of([] {
              find_objective("gkd").make({{"beta", 1.5}});
            }),
            "gkd.beta: expected number in [0, 1], got \"1.5\"");
}

}  // namespace
}  // namespace merit::objective
