#include "merit/objective/objective.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "merit/objective/sft.h"
#include "tests/objective/objective_support.h"

namespace merit::objective {
namespace {

using namespace testing;

TEST(Objectives, NamesAreDistinctAndFindable) {
  std::set<std::string> names;
  for (const Objective& objective : objectives()) {
    EXPECT_TRUE(names.insert(objective.name).second) << objective.name;
    EXPECT_EQ(&find_objective(objective.name), &objective);
    EXPECT_NE(objective.make(Json::object())->needs(), 0u) << objective.name;
    EXPECT_FALSE(objective.paper.empty() || objective.formula.empty()) << objective.name;
  }
}

TEST(Objectives, AnUnknownNameNamesTheClosest) {
  EXPECT_EQ(error_of([] { find_objective("bradley_tery"); }),
            "no objective \"bradley_tery\"; did you mean bradley_terry?");
}

TEST(Objectives, AnUnknownOptionNamesTheClosest) {
  EXPECT_EQ(error_of([] {
              find_objective("bradley_terry").make({{"label_smoothin", 0.1}});
            }),
            "bradley_terry: no option \"label_smoothin\"; did you mean label_smoothing?");
}

TEST(Options, TextAndTypedValuesMeanTheSame) {
  const Objective& objective = find_objective("bradley_terry");
  Batch batch = reward_batch({1.0, 0.5});
  batch.chosen = {0};
  batch.rejected = {1};
  const double expected = loss_of(*objective.make({{"label_smoothing", 0.25}}), batch);
  EXPECT_EQ(loss_of(*objective.make({{"label_smoothing", "0.25"}}), batch), expected);
  EXPECT_EQ(loss_of(*objective.make({{"label_smoothing", nullptr}}), batch),
            loss_of(*objective.make(Json::object()), batch));
}

TEST(Options, OutOfRangeOrOfAnotherTypeIsRefused) {
  const Objective& objective = find_objective("bradley_terry");
  const auto refused = [&](Json value) {
    return error_of([&] { objective.make({{"label_smoothing", std::move(value)}}); });
  };
  EXPECT_EQ(refused(0.5), "bradley_terry.label_smoothing: expected number in [0, 0.5), got \"0.5\"");
  for (const Json& value : {Json("0.1x"), Json(""), Json("nan"), Json(true), Json::array({0.1}), Json(-1)}) {
    EXPECT_NE(refused(value), "");
  }
  EXPECT_EQ(error_of([] {
              find_objective("sft").make({{"loss_type", "nl"}});
            }),
            "sft.loss_type: expected one of nll, dft, got \"nl\"");
}

TEST(Sft, HandDerivedTokenMean) {
  // (1 + 2 + 3) / 3 whatever the split into sequences.
  EXPECT_DOUBLE_EQ(loss_of("sft", Json::object(), token_batch({{-1, -2}, {-3}})), 2.0);
  EXPECT_DOUBLE_EQ(loss_of("sft", Json::object(), token_batch({{-1, -2, -3}})), 2.0);
}

TEST(Sft, DftWeighsATokenByItsProbability) {
  // p = 1/2: ln 2 / 2; p = 1/4: 2 ln 2 / 4.
  const Batch batch = token_batch({{std::log(0.5), std::log(0.25)}});
  EXPECT_NEAR(loss_of("sft", {{"loss_type", "dft"}}, batch), std::log(2.0) / 2, 1e-15);
  // The weight has no gradient: -p / T.
  const at::Tensor gradient = gradient_of(*find_objective("sft").make({{"loss_type", "dft"}}), batch, &Batch::logps);
  EXPECT_NEAR(gradient[0].item<double>(), -0.25, 1e-15);
  EXPECT_NEAR(gradient[1].item<double>(), -0.125, 1e-15);
}

TEST(Sft, GradientMatchesFiniteDifferences) {
  expect_gradient(*find_objective("sft").make(Json::object()), three_pairs(), &Batch::logps);
}

TEST(Sft, F31_TheStepsNormaliserIsTheSameForEverySplit) {
  const auto loss = find_objective("sft").make(Json::object());
  const Batch first = token_batch({{-4}}), second = token_batch({{0, 0, 0}});
  EXPECT_DOUBLE_EQ(loss_of(*loss, token_batch({{-4}, {0, 0, 0}})), 1.0);
  // Accumulated: the sum of losses * weight over micro-batches, over the weight of the whole step.
  double sum = 0, weight = 0;
  for (const Batch* batch : {&first, &second}) {
    weight += loss->weights(*batch)[0].sum().item<double>();
    const Result result = (*loss)(*batch);
    sum += (result.terms[0].losses * result.terms[0].weight).sum().item<double>();
  }
  EXPECT_DOUBLE_EQ(sum / weight, 1.0);
}

TEST(Batch, F27_AnEmptyCompletionIsRefused) {
  EXPECT_EQ(error_of([] {
              loss_of("sft", Json::object(), token_batch({{-1}, {}}));
            }),
            "batch: sequence 1: token_begin gives 0 rows, expected 1 or more");
}

TEST(Batch, WhatIsMissingIsNamed) {
  Batch batch = token_batch({{-1}});
  batch.logps = at::Tensor();
  EXPECT_EQ(error_of([&] { loss_of("sft", Json::object(), batch); }),
            "batch: logps is missing, and the objective needs it");
  batch.logps = vec({-1, -2});
  EXPECT_EQ(error_of([&] { loss_of("sft", Json::object(), batch); }),
            "batch: logps: expected [1], got 2 values in 1 dimensions");
}

TEST(Total, ATermWithoutWeightCountsNothing) {
  Result result;
  result.terms.push_back({Item::kRow, vec({1, 2}), vec({0, 0})});
  EXPECT_EQ(total(result).item<double>(), 0.0);
  result.terms.push_back({Item::kRow, vec({1, 4}), vec({3, 1})});
  EXPECT_DOUBLE_EQ(total(result).item<double>(), 1.75);
}

TEST(Loss, StateOfAStatelessObjectiveIsEmpty) {
  const auto loss = find_objective("sft").make(Json::object());
  EXPECT_TRUE(loss->save().empty());
  EXPECT_EQ(error_of([&] { loss->load({{"mean", vec({0})}}); }), "objective state \"mean\": this objective keeps none");
}

}  // namespace
}  // namespace merit::objective
