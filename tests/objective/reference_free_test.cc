#include "merit/objective/reference_free.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/objective/objective_support.h"

namespace merit::objective {
namespace {

using namespace testing;

double ls(double x) { return -std::log1p(std::exp(-x)); }

// Sums -3 and -2, means -1.5 and -2.
Batch one_pair() { return with_pairs(token_batch({{-1, -2}, {-2}})); }

// The same with a prompt of one token for the first and none for the second.
Batch one_pair_with_prompts() {
  Batch batch = one_pair();
  batch.prompt_begin = {0, 1, 1};
  batch.prompt_logps = vec({-6});
  return batch;
}

TEST(Cpo, EveryLossTypeByHand) {
  const auto loss = [](Json settings) {
    settings["beta"] = 0.5;
    settings["cpo_alpha"] = 0;
    return loss_of("cpo", settings, one_pair());
  };
  // d = -1 of sums, 0.5 of means.
  EXPECT_NEAR(loss({{"loss_type", "sigmoid"}}), -ls(-.5), 1e-14);
  EXPECT_NEAR(loss({{"loss_type", "sigmoid"}, {"label_smoothing", .1}}), -.9 * ls(-.5) - .1 * ls(.5), 1e-14);
  EXPECT_NEAR(loss({{"loss_type", "hinge"}}), 1.5, 1e-14);
  EXPECT_NEAR(loss({{"loss_type", "ipo"}}), .25, 1e-14);  // (0.5 - 1)^2
  EXPECT_NEAR(loss({{"loss_type", "simpo"}, {"simpo_gamma", .2}}), -ls(.05), 1e-14);
  // alpha 1: r = 1 - 1/p.
  EXPECT_NEAR(loss({{"loss_type", "sigmoid"}, {"alpha", 1}}), -ls(.5 * (std::exp(2) - std::exp(3))), 1e-14);
}

TEST(Cpo, AddsTheChosenCompletionsTokenMean) {
  const double pair = loss_of("cpo", {{"cpo_alpha", 0}}, one_pair());
  EXPECT_NEAR(loss_of("cpo", {{"cpo_alpha", 2}}, one_pair()), pair + 2 * 1.5, 1e-14);
  EXPECT_NEAR(loss_of("cpo", Json::object(), one_pair()), pair + 1.5, 1e-14);
  EXPECT_NEAR(metric((*find_objective("cpo").make(Json::object()))(one_pair()), "nll_loss"), 1.5, 1e-15);
}

TEST(Cpo, GradientsMatchFiniteDifferences) {
  for (const char* type : {"sigmoid", "hinge", "ipo", "simpo"}) {
    SCOPED_TRACE(type);
    for (const double alpha : {0.0, 0.3}) {
      expect_gradient(*find_objective("cpo").make({{"loss_type", type}, {"alpha", alpha}}), three_pairs(),
                      &Batch::logps);
    }
  }
}

TEST(Cpo, AlphaTendsToTheLogProb) {
  EXPECT_NEAR(loss_of("cpo", {{"alpha", 1e-7}}, three_pairs()), loss_of("cpo", Json::object(), three_pairs()), 1e-6);
}

TEST(Cpo, SmoothingThatNothingReadsIsRefused) {
  EXPECT_EQ(error_of([] {
              find_objective("cpo").make({{"loss_type", "hinge"}, {"label_smoothing", 0.1}});
            }),
            "cpo.label_smoothing: only loss_type sigmoid and simpo read it; use one of them");
}

TEST(Simpo, HandDerived) {
  // 2 * (-1.5 - -2) - 0.5 = 0.5.
  EXPECT_NEAR(loss_of("simpo", Json::object(), one_pair()), -ls(.5), 1e-14);
  EXPECT_NEAR(loss_of("simpo", {{"beta", 1}, {"simpo_gamma", 0}}, one_pair()), -ls(.5), 1e-14);
}

TEST(Simpo, IsCpoWithoutTheNll) {
  const Json shared = {{"beta", 1.7}, {"simpo_gamma", 0.9}};
  Json of_cpo = shared;
  of_cpo["loss_type"] = "simpo";
  of_cpo["cpo_alpha"] = 0;
  EXPECT_EQ(loss_of("simpo", shared, three_pairs()), loss_of("cpo", of_cpo, three_pairs()));
  expect_gradient(*find_objective("simpo").make(shared), three_pairs(), &Batch::logps);
}

TEST(Simpo, RepeatingAnAnswersTokensChangesNothing) {
  // Means, not sums: an answer twice as long of the same tokens costs the same.
  const Batch doubled = with_pairs(token_batch({{-1, -2, -1, -2}, {-2, -2}}));
  EXPECT_NEAR(loss_of("simpo", Json::object(), doubled), loss_of("simpo", Json::object(), one_pair()), 1e-15);
}

TEST(Simpo, F27_MeansOfUnequalLengthsAreFinite) {
  // The case's right lengths, 5 and 2: means -1 and -3, z = 2 * 2 - 0.5.
  const Batch batch = with_pairs(token_batch({{-1, -1, -1, -1, -1}, {-3, -3}}));
  EXPECT_NEAR(loss_of("simpo", Json::object(), batch), -ls(3.5), 1e-14);
}

TEST(Orpo, HandDerived) {
  // p_c = 1/2, p_r = 1/5: odds 1 and 1/4, log-odds ln 4.
  Batch batch = with_pairs(token_batch({{std::log(.5)}, {std::log(.2)}}));
  const double ratio = -ls(std::log(4));
  EXPECT_NEAR(ratio, std::log(1.25), 1e-15);
  EXPECT_NEAR(loss_of("orpo", {{"beta", .3}, {"nll_of_prompt", false}}, batch), .3 * ratio + std::log(2), 1e-14);
  // A prompt of two tokens joins the mean: (ln 2 + 3 + 1) / 3.
  batch.prompt_begin = {0, 2, 4};
  batch.prompt_logps = vec({-3, -1, -9, -9});
  const auto loss = find_objective("orpo").make({{"beta", .3}});
  EXPECT_NEAR(loss_of(*loss, batch), .3 * ratio + (std::log(2) + 4) / 3, 1e-14);
  const Result result = (*loss)(batch);
  EXPECT_NEAR(metric(result, "log_odds_chosen"), std::log(4), 1e-14);
  EXPECT_NEAR(metric(result, "log_odds_ratio"), -ratio, 1e-14);
  EXPECT_NEAR(metric(result, "nll_loss"), (std::log(2) + 4) / 3, 1e-14);
}

TEST(Orpo, GradientsMatchFiniteDifferences) {
  Batch batch = three_pairs();
  batch.prompt_begin = {0, 2, 2, 3, 4, 5, 7};
  batch.prompt_logps = vec({-1, -.4, -2, -.3, -1.5, -.7, -.2});
  const auto loss = find_objective("orpo").make({{"beta", .7}});
  expect_gradient(*loss, batch, &Batch::logps);
  expect_gradient(*loss, batch, &Batch::prompt_logps);
}

TEST(Orpo, SwappingThePairNegatesTheLogOdds) {
  Batch batch = one_pair_with_prompts();
  const auto loss = find_objective("orpo").make(Json::object());
  const double before = metric((*loss)(batch), "log_odds_chosen");
  std::swap(batch.chosen, batch.rejected);
  EXPECT_NEAR(metric((*loss)(batch), "log_odds_chosen"), -before, 1e-15);
}

TEST(Orpo, ACertainCompletionStaysFinite) {
  const Batch batch = with_pairs(token_batch({{0, 0}, {-1}}));
  const auto loss = find_objective("orpo").make({{"nll_of_prompt", false}});
  EXPECT_TRUE(std::isfinite(loss_of(*loss, batch)));
  EXPECT_TRUE(std::isfinite(gradient_of(*loss, batch, &Batch::logps).abs().max().item<double>()));
}

TEST(Orpo, WantsPromptLogpsOnlyWhereItReadsThem) {
  EXPECT_EQ(error_of([] { loss_of("orpo", Json::object(), one_pair()); }),
            "batch: prompt_begin must run from 0 to 0, the number of rows");
  EXPECT_GT(loss_of("orpo", {{"nll_of_prompt", false}}, one_pair()), 0);
}

}  // namespace
}  // namespace merit::objective
