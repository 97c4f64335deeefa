#include "merit/train/fit_head.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "merit/core/error.h"
#include "merit/core/rng.h"

namespace merit::train {
namespace {

// One feature, one pair with difference 2 after scaling by the deviation 1: features +1 and -1.
// The optimum of log(1 + e^{-2w}) + l2/2 w^2 has 2 / (1 + e^{2w}) = l2 w.
TEST(FitHead, ReachesTheOptimumOfOnePair) {
  const std::vector<Pair> pairs = {{0, 1, 0}};
  const FittedHead fitted = fit_head(at::tensor({1.0, -1.0}, at::kDouble).unsqueeze(1), pairs, {.l2 = 0.5});
  const double w = fitted.weight.item<double>();
  EXPECT_NEAR(2.0 / (1.0 + std::exp(2.0 * w)), 0.5 * w, 1e-7);
  EXPECT_NEAR(fitted.loss, std::log1p(std::exp(-2.0 * w)), 1e-12);
  EXPECT_EQ(fitted.accuracy, 1.0);
  EXPECT_FALSE(fitted.cv_accuracy.has_value());
}

TEST(FitHead, ScaleAndOffsetOfAFeatureChangeNothing) {
  std::vector<Pair> pairs;
  at::Tensor a = at::zeros({40, 2}, at::kDouble), b = at::zeros({40, 2}, at::kDouble);
  Rng rng(3);
  for (size_t i = 0; i < 40; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      const double value = rng.normal() + (i % 2 == 0 && j == 0 ? 1.0 : 0.0);
      a[static_cast<int64_t>(i)][j] = value;
      b[static_cast<int64_t>(i)][j] = 1000.0 * value + 5.0;
    }
    if (i % 2 == 1) pairs.push_back({i - 1, i, i / 2});
  }
  const FittedHead first = fit_head(a, pairs, {.l2 = 0.1});
  const FittedHead second = fit_head(b, pairs, {.l2 = 0.1});
  EXPECT_NEAR(first.loss, second.loss, 1e-9);
  EXPECT_NEAR(first.weight[0][0].item<double>(), 1000.0 * second.weight[0][0].item<double>(), 1e-5);
}

TEST(FitHead, CrossValidationTellsSignalFromNoise) {
  Rng rng(5);
  std::vector<Pair> pairs;
  at::Tensor signal = at::zeros({400, 8}, at::kDouble), noise = at::zeros({400, 8}, at::kDouble);
  for (size_t i = 0; i < 400; ++i) {
    for (int64_t j = 0; j < 8; ++j) {
      noise[static_cast<int64_t>(i)][j] = rng.normal();
      signal[static_cast<int64_t>(i)][j] = rng.normal() + (i % 2 == 0 && j == 2 ? 3.0 : 0.0);
    }
    if (i % 2 == 1) pairs.push_back({i - 1, i, i / 2});
  }
  const auto good = fit_head(signal, pairs, {}).cv_accuracy;
  const auto bad = fit_head(noise, pairs, {}).cv_accuracy;
  ASSERT_TRUE(good && bad);
  EXPECT_GT(good->interval.low, 0.9);  // Phi(3 / sqrt 2) = 0.983
  EXPECT_TRUE(bad->interval.contains(0.5));
  EXPECT_EQ(good->n, 200u);
}

TEST(FitHead, SameInputSameBits) {
  const std::vector<Pair> pairs = {{0, 1, 0}, {2, 1, 1}};
  const at::Tensor x = at::tensor({0.3, -1.0, 2.0, 0.7, 0.1, -0.4}, at::kDouble).view({3, 2});
  EXPECT_TRUE(fit_head(x, pairs, {}).weight.equal(fit_head(x, pairs, {}).weight));
}

TEST(FitHead, RefusesNothingAndNaN) {
  EXPECT_THROW(fit_head(at::zeros({2, 1}), {}, {}), Error);
  const std::vector<Pair> pairs = {{0, 1, 0}};
  EXPECT_THROW(fit_head(at::tensor({1.0, std::nan("")}).unsqueeze(1), pairs, {}), Error);
}

data::Group group_with(std::vector<std::optional<double>> labels) {
  data::Group group;
  for (const auto& label : labels) {
    data::Candidate candidate;
    candidate.label = label;
    group.candidates.push_back(candidate);
  }
  return group;
}

TEST(Pairs, EveryDifferenceOnceAndUnlabelledNever) {
  const std::vector<data::Group> groups = {group_with({1, 0, 1}), group_with({0, 0}), group_with({std::nullopt, 2, 1})};
  const auto pairs = pairs_of(groups, {{0, 1, 2}, {3, 4}, {-1, 5, 6}});
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(pairs[0].chosen, 0u);
  EXPECT_EQ(pairs[0].rejected, 1u);
  EXPECT_EQ(pairs[1].chosen, 2u);
  EXPECT_EQ(pairs[2].chosen, 5u);
  EXPECT_EQ(pairs[2].group, 2u);
}

TEST(Pairs, CandidatesLeftOutMakeNoPair) {
  const std::vector<data::Group> groups = {group_with({1, 0})};
  EXPECT_TRUE(pairs_of(groups, {{0, -1}}).empty());
}

}  // namespace
}  // namespace merit::train
