#include "merit/objective/dpo.h"

#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "merit/objective/dpo_losses.h"
#include "tests/objective/objective_support.h"

namespace merit::objective {
namespace {

using namespace testing;

double sg(double x) { return 1 / (1 + std::exp(-x)); }
double ls(double x) { return -std::log1p(std::exp(-x)); }
double sq(double x) { return x * x; }

// One pair of one-token answers whose log-ratios are D_c and D_r.
Batch one_pair(double chosen, double rejected) {
  return with_pairs(token_batch({{-2 + chosen}, {-3 + rejected}}, {{-2}, {-3}}));
}

std::unique_ptr<Loss> dpo_of(const Json& settings = Json::object()) { return find_objective("dpo").make(settings); }

TEST(Dpo, F30_EveryLossTypeIsTheOneAskedFor) {
  // beta 0.5, margin 1.5.
  const Batch batch = one_pair(1.0, -0.5);
  const auto expect = [&](const char* type, double value, double gradient) {
    const auto loss = dpo_of({{"loss_type", type}, {"beta", 0.5}});
    EXPECT_NEAR(loss_of(*loss, batch), value, 1e-6) << type;
    EXPECT_NEAR(gradient_of(*loss, batch, &Batch::logps)[0].item<double>(), gradient, 1e-6) << type;
  };
  expect("sigmoid", 0.386871, -0.160411);
  expect("hinge", 0.25, -0.5);
  expect("ipo", 0.25, 1.0);
  EXPECT_THAT(error_of([] {
                dpo_of({{"loss_type", "hing"}});
              }),
              ::testing::StartsWith("dpo.loss_type: expected one of sigmoid, hinge, ipo, "));
}

// With beta 1/2, D_c = 1, D_r = -1/2: beta D_c = .5, beta D_r = -.25, beta d = .75, 1/(2 beta) = 1.
TEST(Dpo, EveryLossByHand) {
  const std::map<std::string, double> expected = {
      {"sigmoid", -ls(.75)},
      {"hinge", .25},
      {"ipo", sq(1.5 - 1)},
      {"exo_pair", sg(.75) * (ls(.75) - std::log(.9)) + sg(-.75) * (ls(-.75) - std::log(.1))},
      {"nca_pair", -ls(.5) - ls(-.5) / 2 - ls(.25) / 2},
      {"robust", (-.9 * ls(.75) + .1 * ls(-.75)) / .8},
      {"bco_pair", -ls(.5) - ls(.25)},
      {"sppo_hard", sq(1 - 1) + sq(-.5 + 1)},
      {"aot", -.9 * ls(.75) - .1 * ls(-.75)},  // one pair: nothing to sort
      {"aot_unpaired", -.9 * ls(.75) - .1 * ls(-.75)},
      {"apo_zero", 1 - sg(.5) + sg(-.25)},
      {"apo_down", sg(.5) + 1 - sg(.75)},
      {"discopop", (1 - sg(15)) * -ls(.75) + sg(15) * std::exp(-.75)},  // .75 / .05 = 15
      {"sft", 1},                                                       // -(-2 + 1)
      {"sigmoid_norm", -ls(.75)},
  };
  for (const DpoLoss& type : dpo_losses()) {
    Json settings = {{"loss_type", type.name}, {"beta", 0.5}};
    if (type.smooths) settings["label_smoothing"] = 0.1;
    EXPECT_NEAR(loss_of("dpo", settings, one_pair(1.0, -0.5)), expected.at(type.name), 1e-14) << type.name;
  }
}

TEST(Dpo, EveryLossAndDivergenceMatchesFiniteDifferences) {
  Batch batch = three_pairs();
  batch.sumsq = vec({.3, .2, .5, .1, .4, .3, .2, .6, .3, .2, .5, .4, .1});
  for (const DpoLoss& type : dpo_losses()) {
    SCOPED_TRACE(type.name);
    Json settings = {{"loss_type", type.name}, {"beta", 0.3}, {"ld_alpha", 0.4}, {"use_weighting", false}};
    if (type.smooths) settings["label_smoothing"] = 0.1;
    expect_gradient(*dpo_of(settings), batch, &Batch::logps);
    if (!type.takes_divergence) continue;
    for (const char* divergence : {"forward_kl", "js_divergence", "alpha_divergence"}) {
      SCOPED_TRACE(divergence);
      settings["f_divergence_type"] = divergence;
      expect_gradient(*dpo_of(settings), batch, &Batch::logps);
    }
  }
}

TEST(Dpo, ScoresOfDivergencesByHand) {
  // D_c = 1, D_r = -1/2, beta 1, sigmoid.
  const auto loss = [](Json settings) {
    settings["beta"] = 1;
    return loss_of("dpo", settings, one_pair(1.0, -0.5));
  };
  EXPECT_NEAR(loss({{"f_divergence_type", "forward_kl"}}), -ls((1 - std::exp(-1)) - (1 - std::exp(.5))), 1e-14);
  EXPECT_NEAR(loss({{"f_divergence_type", "js_divergence"}}), -ls(ls(1) - ls(-.5)), 1e-14);
  // alpha 1/2: (e^{-D/2} - 1) / (-1/2).
  EXPECT_NEAR(loss({{"f_divergence_type", "alpha_divergence"}}), -ls(2 * (1 - std::exp(-.5)) - 2 * (1 - std::exp(.25))),
              1e-14);
}

TEST(Dpo, AlphaDivergenceHasItsLimits) {
  const auto loss = [](const char* type, double alpha) {
    return loss_of("dpo", {{"f_divergence_type", type}, {"f_alpha_divergence_coef", alpha}}, three_pairs());
  };
  EXPECT_NEAR(loss("alpha_divergence", 0), loss("forward_kl", 0.5), 1e-14);
  EXPECT_EQ(loss("alpha_divergence", 1), loss("reverse_kl", 0.5));
  EXPECT_NEAR(loss("alpha_divergence", 1 + 1e-5), loss("reverse_kl", 0.5), 1e-5);
  // The exponent's cap keeps value and gradient finite.
  const auto wild = dpo_of({{"f_divergence_type", "alpha_divergence"}, {"f_alpha_divergence_coef", 3}});
  EXPECT_TRUE(std::isfinite(loss_of(*wild, one_pair(-500, 500))));
  EXPECT_TRUE(std::isfinite(gradient_of(*wild, one_pair(-500, 500), &Batch::logps)[0].item<double>()));
}

TEST(Dpo, LengthsDivideWhereTheLossSaysSo) {
  // D_c = 1 + 2 over two tokens, D_r = 1 over one: the sum has margin 2, the mean 0.5.
  const Batch batch = with_pairs(token_batch({{-1, -1}, {-1}}, {{-2, -3}, {-2}}));
  EXPECT_NEAR(loss_of("dpo", {{"beta", 1}}, batch), -ls(2), 1e-14);
  EXPECT_NEAR(loss_of("dpo", {{"beta", 1}, {"loss_type", "sigmoid_norm"}}, batch), -ls(.5), 1e-14);
  EXPECT_NEAR(loss_of("dpo", {{"beta", 1}, {"loss_type", "ipo"}}, batch), 0, 1e-14);  // 0.5 - 1/2
}

TEST(Dpo, LdAlphaWeighsTokensPastTheShorterLength) {
  // Chosen ratios 1, 2, 4 against one token of 0: 1 + alpha (2 + 4).
  const Batch batch = with_pairs(token_batch({{-1, -1, -1}, {-1}}, {{-2, -3, -5}, {-1}}));
  EXPECT_NEAR(loss_of("dpo", {{"beta", 1}, {"ld_alpha", 0.5}}, batch), -ls(4), 1e-14);
  EXPECT_NEAR(loss_of("dpo", {{"beta", 1}, {"ld_alpha", 0}}, batch), -ls(1), 1e-14);
  EXPECT_EQ(loss_of("dpo", {{"ld_alpha", 1}}, three_pairs()), loss_of("dpo", Json::object(), three_pairs()));
}

TEST(Dpo, ASequenceOfTwoPairsHasALengthRuleInEach) {
  // The same chosen against rejected of one and of two tokens: 1 + 0.5 * 6, and 1 + 2 + 0.5 * 4.
  Batch batch = token_batch({{-1, -1, -1}, {-1}, {-1, -1}}, {{-2, -3, -5}, {-1}, {-1, -1}});
  batch.chosen = {0, 0};
  batch.rejected = {1, 2};
  EXPECT_NEAR(loss_of("dpo", {{"beta", 1}, {"ld_alpha", 0.5}}, batch), (-ls(4) - ls(5)) / 2, 1e-14);
}

TEST(Dpo, WpoWeighsAPairByThePolicysProbabilityOfIt) {
  // Chosen: mean of ln(.5/.25), ln(.5/1) = 0, so weight 1; rejected: ln(.25/.5), weight 1/2.
  Batch batch = with_pairs(token_batch({{std::log(.5), std::log(.5)}, {std::log(.25)}}, {{-1, -1}, {-1}}));
  batch.sumsq = vec({.25, 1, .5});
  const double plain = loss_of("dpo", Json::object(), batch);
  const auto weighted = dpo_of({{"use_weighting", true}});
  EXPECT_NEAR(loss_of(*weighted, batch), plain / 2, 1e-14);
  EXPECT_TRUE(weighted->needs() & kSumsq);
  // The weight has no gradient.
  const at::Tensor gradient = gradient_of(*weighted, batch, &Batch::logps);
  const at::Tensor unweighted = gradient_of(*dpo_of(), batch, &Batch::logps);
  EXPECT_NEAR((gradient - unweighted / 2).abs().max().item<double>(), 0, 1e-15);
}

TEST(Dpo, WeightedListOfLossesIsTheWeightedSum) {
  // MPO.
  const Batch batch = three_pairs();
  const double sum = 0.8 * loss_of("dpo", {{"loss_type", "sigmoid"}}, batch) +
                     0.2 * loss_of("dpo", {{"loss_type", "bco_pair"}}, batch) +
                     loss_of("dpo", {{"loss_type", "sft"}}, batch);
  const Json typed = {{"loss_type", {"sigmoid", "bco_pair", "sft"}}, {"loss_weights", {0.8, 0.2, 1.0}}};
  EXPECT_NEAR(loss_of("dpo", typed, batch), sum, 1e-14);
  const Json text = {{"loss_type", "sigmoid,bco_pair,sft"}, {"loss_weights", "0.8, 0.2, 1"}};
  EXPECT_NEAR(loss_of("dpo", text, batch), sum, 1e-14);
  expect_gradient(*dpo_of(typed), batch, &Batch::logps);
}

TEST(Dpo, SftIsAMeanOverTokensOfChosenOnly) {
  // Chosen tokens of three_pairs: 2.05 + 2 + 3.2 over 3 + 1 + 4.
  EXPECT_NEAR(loss_of("dpo", {{"loss_type", "sft"}}, three_pairs()), 7.25 / 8, 1e-14);
  EXPECT_EQ(dpo_of({{"loss_type", "sft"}})->needs(), kLogps | kPairs);
}

TEST(Dpo, AotComparesSortedWithSorted) {
  // Policy differences 3, 1 and reference differences 2, 0 in crossed order: sorted pairs (1, 0), (3, 2).
  const Batch batch = with_pairs(token_batch({{-1}, {-1}, {-4}, {-2}}, {{-1}, {-1}, {-1}, {-3}}));
  EXPECT_NEAR(loss_of("dpo", {{"loss_type", "aot"}, {"beta", 1}}, batch), -ls(1), 1e-14);
  // Log-ratios: chosen 0, 0; rejected -3, 1.
  EXPECT_NEAR(loss_of("dpo", {{"loss_type", "aot_unpaired"}, {"beta", 1}}, batch), (-ls(3) - ls(-1)) / 2, 1e-14);
  EXPECT_EQ(dpo_of({{"loss_type", "aot"}})->coupling(), Coupling::kBatch);
  EXPECT_EQ(dpo_of()->coupling(), Coupling::kNone);
}

TEST(Dpo, AotUnpairedDoesNotSeeThePairing) {
  Batch batch = three_pairs();
  const auto loss = dpo_of({{"loss_type", "aot_unpaired"}});
  const Result paired = (*loss)(batch);
  std::swap(batch.rejected[0], batch.rejected[2]);
  const Result other = (*loss)(batch);
  // A loss stands at the pair of its chosen sequence.
  EXPECT_NEAR((paired.terms[0].losses - other.terms[0].losses).abs().max().item<double>(), 0, 1e-15);
}

TEST(Dpo, F38_PolicyAsReferenceCostsLn2ForEveryPair) {
  Batch batch = three_pairs();
  batch.ref_logps = batch.logps.clone();
  const Result result = (*dpo_of())(batch);
  for (int64_t p = 0; p < 3; ++p) EXPECT_EQ(result.terms[0].losses[p].item<double>(), std::log(2.0));
  EXPECT_EQ(metric(result, "rewards/margins"), 0);
}

TEST(Dpo, F37_IdenticalAnswersTeachNothing) {
  const Batch batch = with_pairs(token_batch({{-1, -2}, {-1, -2}}, {{-2, -1}, {-2, -1}}));
  EXPECT_NEAR(loss_of("dpo", Json::object(), batch), std::log(2.0), 1e-15);
  Batch shared = token_batch({{-1, -2}}, {{-2, -1}});
  shared.chosen = {0};
  shared.rejected = {0};
  EXPECT_EQ(gradient_of(*dpo_of(), shared, &Batch::logps).abs().max().item<double>(), 0);
}

TEST(Dpo, SwappingThePairNegatesTheMargin) {
  Batch batch = three_pairs();
  const Result a = (*dpo_of())(batch);
  std::swap(batch.chosen, batch.rejected);
  const Result b = (*dpo_of())(batch);
  EXPECT_NEAR(metric(a, "rewards/margins"), -metric(b, "rewards/margins"), 1e-15);
  // -logsigmoid(z) - -logsigmoid(-z) = -z.
  EXPECT_NEAR(total(a).item<double>() - total(b).item<double>(), -metric(a, "rewards/margins"), 1e-14);
}

TEST(Dpo, NeighboursChangeNothing) {
  const Batch all = three_pairs();
  Batch second = all;
  second.chosen = {1};
  second.rejected = {4};
  const auto loss = dpo_of({{"ld_alpha", 0.3}});
  EXPECT_EQ((*loss)(all).terms[0].losses[1].item<double>(), (*loss)(second).terms[0].losses[0].item<double>());
}

TEST(Dpo, MetricsUnderTrlsNames) {
  const Result result = (*dpo_of({{"beta", 0.5}, {"f_divergence_type", "forward_kl"}}))(one_pair(1.0, -0.5));
  EXPECT_NEAR(metric(result, "rewards/chosen"), .5, 1e-15);  // beta D, whatever the divergence
  EXPECT_NEAR(metric(result, "rewards/rejected"), -.25, 1e-15);
  EXPECT_NEAR(metric(result, "rewards/margins"), .75, 1e-15);
  EXPECT_EQ(metric(result, "rewards/accuracies"), 1);
  EXPECT_EQ(metric(result, "logps/chosen"), -1);
  EXPECT_EQ(metric(result, "logps/rejected"), -3.5);
  // A tie is not a win.
  EXPECT_EQ(metric((*dpo_of())(one_pair(1, 1)), "rewards/accuracies"), 0);
}

TEST(Dpo, OptionsThatContradictAreRefused) {
  const auto refused = [](const Json& settings) { return error_of([&] { dpo_of(settings); }); };
  EXPECT_EQ(refused({{"loss_type", "exo_pair"}}),
            "dpo.label_smoothing: loss_type exo_pair needs a value above 0; 1e-3 is usual");
  EXPECT_EQ(refused({{"label_smoothing", 0.1}}),
            "dpo.label_smoothing: only exo_pair, robust, aot and aot_unpaired read it; use one of them");
  EXPECT_EQ(refused({{"loss_type", "apo_zero"}, {"f_divergence_type", "forward_kl"}}),
            "dpo.f_divergence_type: loss_type apo_zero is defined for reverse_kl only");
  EXPECT_EQ(refused({{"loss_type", "aot"}, {"use_weighting", true}}),
            "dpo.use_weighting: loss_type aot sorts the batch, so a pair has no weight");
  EXPECT_EQ(refused({{"loss_type", "sigmoid,sft"}, {"loss_weights", {1}}}),
            "dpo.loss_weights: expected one weight for each of 2 loss types, got 1");
  EXPECT_EQ(refused({{"beta", 0}}), "dpo.beta: expected number above 0, got \"0\"");
}

}  // namespace
}  // namespace merit::objective
