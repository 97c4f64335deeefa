#include "merit/objective/unpaired.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/objective/objective_support.h"

namespace merit::objective {
namespace {

using namespace testing;

double sg(double x) { return 1 / (1 + std::exp(-x)); }
double ls(double x) { return -std::log1p(std::exp(-x)); }

// Log-ratios 1 (desirable), -2 (not), 3 (desirable) in sequences 0 .. 2 and 0.5, 1.5 in mismatched ones 3, 4.
Batch labelled() {
  Batch batch = token_batch({{-1}, {-3, -1}, {-1}, {-1}, {-1}}, {{-2}, {-1, -1}, {-4}, {-1.5}, {-2.5}});
  batch.label = vec({1, 0, 1, 0, 0});
  batch.mismatched = {3, 4};
  return batch;
}

TEST(Kto, HandDerived) {
  // z = (0.5 + 1.5) / 2 = 1, beta 1/2.
  const double desirable = (1 - sg(0)) + (1 - sg(1)), undesirable = 1 - sg(1.5);
  EXPECT_NEAR(loss_of("kto", {{"beta", .5}}, labelled()), (desirable + undesirable) / 3, 1e-14);
  // Weights multiply losses and do not enter the normaliser, as in TRL.
  EXPECT_NEAR(loss_of("kto", {{"beta", .5}, {"desirable_weight", 2}, {"undesirable_weight", 3}}, labelled()),
              (2 * desirable + 3 * undesirable) / 3, 1e-14);
}

TEST(Kto, TheBaselineIsNeverNegative) {
  Batch batch = labelled();
  batch.ref_logps = batch.ref_logps.clone();
  batch.ref_logps[4] = 5;  // mismatched ratio -6: the mean is below 0
  EXPECT_NEAR(loss_of("kto", {{"beta", .5}}, batch), ((1 - sg(.5)) + (1 - sg(1.5)) + (1 - sg(1))) / 3, 1e-14);
  EXPECT_EQ(metric((*find_objective("kto").make(Json::object()))(batch), "kl"), 0);
}

TEST(Kto, ApoZeroUnpairedHasNoBaseline) {
  Batch batch = labelled();
  const auto loss = find_objective("kto").make({{"beta", .5}, {"loss_type", "apo_zero_unpaired"}});
  const double expected = ((1 - sg(.5)) + (1 - sg(1.5)) + sg(-1)) / 3;
  EXPECT_NEAR(loss_of(*loss, batch), expected, 1e-14);
  EXPECT_EQ(loss->coupling(), Coupling::kNone);
  EXPECT_FALSE(loss->needs() & kMismatched);
}

TEST(Kto, TheBaselineHasNoGradient) {
  const auto loss = find_objective("kto").make(Json::object());
  const at::Tensor gradient = gradient_of(*loss, labelled(), &Batch::logps);
  EXPECT_EQ(gradient[4].item<double>(), 0);
  EXPECT_EQ(gradient[5].item<double>(), 0);
}

TEST(Kto, GradientMatchesFiniteDifferences) {
  // Of the labelled sequences: the baseline is a constant, so the mismatched ones are left out of the differences.
  const auto loss = find_objective("kto").make({{"loss_type", "apo_zero_unpaired"}, {"undesirable_weight", 1.5}});
  expect_gradient(*loss, labelled(), &Batch::logps);
  Batch batch = labelled();
  batch.logps = batch.logps.clone();
  batch.logps[5] = -20;  // z = 0 in a neighbourhood
  expect_gradient(*find_objective("kto").make(Json::object()), batch, &Batch::logps);
}

TEST(Kto, F38_PolicyAsReferenceHasKlZeroAndHalfLosses) {
  Batch batch = labelled();
  batch.ref_logps = batch.logps.clone();
  const Result result = (*find_objective("kto").make(Json::object()))(batch);
  EXPECT_EQ(metric(result, "kl"), 0);
  EXPECT_EQ(total(result).item<double>(), 0.5);
}

TEST(Kto, MetricsUnderTrlsNames) {
  const Result result = (*find_objective("kto").make({{"beta", .5}}))(labelled());
  EXPECT_EQ(metric(result, "kl"), 1);
  EXPECT_EQ(metric(result, "rewards/chosen"), 1);     // .5 * (1 + 3) / 2
  EXPECT_EQ(metric(result, "rewards/rejected"), -1);  // .5 * -2
  EXPECT_EQ(metric(result, "rewards/margins"), 2);
  EXPECT_EQ(metric(result, "logps/chosen"), -1);
  EXPECT_EQ(metric(result, "logps/rejected"), -4);
}

TEST(Kto, OneLabelOnlyHasNoMarginAndNoNaN) {
  Batch batch = labelled();
  batch.label = vec({1, 1, 1, 0, 0});
  const Result result = (*find_objective("kto").make(Json::object()))(batch);
  EXPECT_TRUE(std::isfinite(total(result).item<double>()));
  for (const Metric& one : result.metrics) EXPECT_NE(one.name, "rewards/margins");
}

TEST(Kto, BadLabelsAndAMissingBaselineAreNamed) {
  Batch batch = labelled();
  batch.label = vec({1, 2, 1, 0, 0});
  EXPECT_EQ(error_of([&] { loss_of("kto", Json::object(), batch); }),
            "batch: sequence 1: expected a label of 0 or 1, got 2");
  batch = labelled();
  batch.mismatched.clear();
  EXPECT_EQ(error_of([&] { loss_of("kto", Json::object(), batch); }),
            "batch: kto's baseline needs mismatched sequences, got none; loss_type apo_zero_unpaired does without");
}

// Log-ratios 1 (desirable), -2 (not), 3 (desirable).
Batch without_mismatched() {
  Batch batch = token_batch({{-1}, {-3, -1}, {-1}}, {{-2}, {-1, -1}, {-4}});
  batch.label = vec({1, 0, 1});
  return batch;
}

TEST(Bco, HandDerivedWithTheRunningMean) {
  const auto loss = find_objective("bco").make({{"beta", .5}});
  // Never updated: delta 0.
  EXPECT_NEAR(loss_of(*loss, without_mismatched()), (-ls(.5) - ls(1.5) - ls(1)) / 3, 1e-14);
  // Rewards .5, -1, 1.5: mean 1/3. Then three more of mean 0: mean 1/6 over six.
  loss->update(without_mismatched());
  double delta = 1.0 / 3;
  EXPECT_NEAR(loss_of(*loss, without_mismatched()), (-ls(.5 - delta) - ls(1.5 - delta) - ls(delta + 1)) / 3, 1e-14);
  Batch still = without_mismatched();
  still.ref_logps = still.logps.clone();
  loss->update(still);
  delta = 1.0 / 6;
  EXPECT_NEAR(loss_of(*loss, without_mismatched()), (-ls(.5 - delta) - ls(1.5 - delta) - ls(delta + 1)) / 3, 1e-14);
  EXPECT_NEAR(metric((*loss)(without_mismatched()), "delta"), delta, 1e-15);
}

TEST(Bco, AShiftOfEveryLogRatioChangesNothing) {
  const auto loss = find_objective("bco").make(Json::object()), shifted = find_objective("bco").make(Json::object());
  Batch batch = without_mismatched(), moved = batch;
  moved.ref_logps = batch.ref_logps - vec({6, 3, 3, 6});  // by 6 a sequence
  loss->update(batch);
  shifted->update(moved);
  EXPECT_NEAR(loss_of(*shifted, moved), loss_of(*loss, batch), 1e-14);
  EXPECT_NEAR(metric((*shifted)(moved), "delta") - metric((*loss)(batch), "delta"), .6, 1e-14);
}

TEST(Bco, StateIsSavedAndLoaded) {
  const auto loss = find_objective("bco").make(Json::object()), other = find_objective("bco").make(Json::object());
  loss->update(without_mismatched());
  other->load(loss->save());
  EXPECT_EQ(loss_of(*other, without_mismatched()), loss_of(*loss, without_mismatched()));
  other->update(without_mismatched());
  loss->update(without_mismatched());
  EXPECT_EQ(other->save().at("mean").item<double>(), loss->save().at("mean").item<double>());
  EXPECT_EQ(error_of([&] { other->load({}); }), "objective state: bco expects the scalars mean and count");
}

TEST(Bco, GradientMatchesFiniteDifferences) {
  const auto loss = find_objective("bco").make({{"beta", .7}});
  loss->update(without_mismatched());
  expect_gradient(*loss, without_mismatched(), &Batch::logps);
}

}  // namespace
}  // namespace merit::objective
