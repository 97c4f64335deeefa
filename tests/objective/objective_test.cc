#include "merit/objective/objective.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "merit/objective/sft.h"
#include "tests/objective/objective_support.h"

namespace merit::objective {
namespace {

using namespace testing;

// The loss of a step of several micro-batches, as a trainer accumulates it.
double accumulated(const Loss& loss, const std::vector<Batch>& parts) {
  std::vector<double> sum, weight;
  for (const Batch& part : parts) {
    const std::vector<at::Tensor> weights = loss.weights(part);
    const Result result = loss(part);
    sum.resize(weights.size());
    weight.resize(weights.size());
    for (size_t t = 0; t < weights.size(); ++t) {
      sum[t] += (result.terms[t].losses * result.terms[t].weight).sum().item<double>();
      weight[t] += weights[t].sum().item<double>();
    }
  }
  double total = 0;
  for (size_t t = 0; t < sum.size(); ++t) total += sum[t] / weight[t];
  return total;
}

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
  EXPECT_DOUBLE_EQ(loss_of("sft", Json::object(), token_batch({{-4}, {0, 0, 0}})), 1.0);
  EXPECT_DOUBLE_EQ(
      accumulated(*find_objective("sft").make(Json::object()), {token_batch({{-4}}), token_batch({{0, 0, 0}})}), 1.0);
}

// three_pairs with everything that any objective without coupling reads.
Batch everything() {
  Batch batch = three_pairs();
  batch.sumsq = vec({.3, .2, .5, .1, .4, .3, .2, .6, .3, .2, .5, .4, .1});
  batch.divergence = vec({.1, .2, .3, .4, .5, .6, .7, .8, .9, 1, 1.1, 1.2, 1.3});
  batch.prompt_begin = {0, 2, 2, 3, 4, 5, 7};
  batch.prompt_logps = vec({-1, -.4, -2, -.3, -1.5, -.7, -.2});
  batch.value_begin = {0, 1, 2, 3, 4, 5, 6};
  batch.values = vec({.3, -1.2, 2, .1, .4, 1}).unsqueeze(1);
  batch.value_targets = vec({1, 0, std::nan(""), .5, 1, 0}).unsqueeze(1);
  batch.label = vec({1, 0, 1, 0, 0, 1});
  batch.lists = {{0, 3}, {4, 1}, {2, 5}};
  return batch;
}

TEST(Objectives, F31_WithoutCouplingASplitChangesNothing) {
  const Batch whole = everything();
  const std::vector<Batch> parts = {part_of(whole, {3, 0}), part_of(whole, {1, 4, 5, 2})};
  const std::map<std::string, std::vector<Json>> more = {
      {"dpo", {{{"loss_type", "sigmoid,sft"}, {"loss_weights", "1,0.5"}, {"use_weighting", true}, {"ld_alpha", 0.5}}}},
      {"kto", {{{"loss_type", "apo_zero_unpaired"}}}},
      {"plackett_luce", {{{"score", "policy"}}}},
  };
  int compared = 0;
  for (const Objective& objective : objectives()) {
    std::vector<Json> settings = {Json::object()};
    if (const auto found = more.find(objective.name); found != more.end()) {
      settings.insert(settings.end(), found->second.begin(), found->second.end());
    }
    for (const Json& one : settings) {
      const auto loss = objective.make(one);
      if (loss->coupling() != Coupling::kNone) continue;
      EXPECT_NEAR(accumulated(*loss, parts), loss_of(*loss, whole), 1e-13) << objective.name << " " << one;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 14);
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
