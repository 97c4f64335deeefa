#include "merit/train/adamw.h"

#include <ATen/Functions.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "merit/core/error.h"

namespace merit::train {
namespace {

Parameter parameter(const char* name, std::initializer_list<double> values) {
  return {name, at::tensor(std::vector<double>(values), at::kDouble).set_requires_grad(true)};
}

// First step: the moments, corrected, are g and g^2, so the move is the rate times g / (|g| + eps).
TEST(AdamW, TwoStepsByHand) {
  const Parameter p = parameter("p", {1.0});
  AdamW optimiser({p}, {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8});
  p.value.mutable_grad() = at::full({1}, 4.0, at::kDouble);
  optimiser.step(0.1);
  EXPECT_NEAR(p.value.item<double>(), 1.0 - 0.1, 1e-8);
  EXPECT_FALSE(p.value.grad().defined());
  // m = 0.9 * 0.4 + 0.1 * -2 = 0.16, over 1 - 0.81; v = 0.99 * 0.16 + 0.01 * 4 = 0.1984, over 1 - 0.9801.
  p.value.mutable_grad() = at::full({1}, -2.0, at::kDouble);
  optimiser.step(0.1);
  EXPECT_NEAR(p.value.item<double>(), 0.9 - 0.1 * (0.16 / 0.19) / std::sqrt(0.1984 / 0.0199), 1e-8);
  EXPECT_EQ(optimiser.steps(), 2);
}

TEST(AdamW, MatricesDecayAndVectorsDoNot) {
  Parameter matrix{"m", at::full({1, 1}, 2.0, at::kDouble).set_requires_grad(true)};
  const Parameter vector = parameter("v", {2.0});
  AdamW optimiser({matrix, vector}, {.weight_decay = 0.5});
  for (const at::Tensor& t : {matrix.value, vector.value}) t.mutable_grad() = at::ones_like(t.detach());
  optimiser.step(0.1);
  EXPECT_NEAR(matrix.value.item<double>(), 2.0 * (1 - 0.1 * 0.5) - 0.1, 1e-8);
  EXPECT_NEAR(vector.value.item<double>(), 2.0 - 0.1, 1e-8);
}

TEST(AdamW, ANormAboveTheLimitIsScaledToIt) {
  const Parameter a = parameter("a", {0, 0}), b = parameter("b", {0});
  AdamW optimiser({a, b}, {});
  a.value.mutable_grad() = at::tensor(std::vector<double>{1, 2}, at::kDouble);
  b.value.mutable_grad() = at::tensor(std::vector<double>{2}, at::kDouble);
  const double norm = optimiser.gradient_norm();
  EXPECT_DOUBLE_EQ(norm, 3);
  optimiser.clip(norm, 1.5);
  EXPECT_DOUBLE_EQ(optimiser.gradient_norm(), 1.5);
  optimiser.clip(1.5, 0);  // 0: never
  EXPECT_DOUBLE_EQ(optimiser.gradient_norm(), 1.5);
}

TEST(AdamW, AGradientThatIsNotFiniteNamesItsTensor) {
  const Parameter a = parameter("fine", {0}), b = parameter("layers.3.bad", {0});
  AdamW optimiser({a, b}, {});
  a.value.mutable_grad() = at::ones({1}, at::kDouble);
  b.value.mutable_grad() = at::full({1}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  EXPECT_THAT([&] { optimiser.gradient_norm(); },
              ::testing::ThrowsMessage<Error>(::testing::HasSubstr("gradient of \"layers.3.bad\" is not finite")));
}

TEST(AdamW, ALoadedStateGoesOnAsTheSavedOne) {
  const auto run = [](int first, int second) {
    Parameter p = parameter("p", {1, -2});
    auto optimiser = std::make_unique<AdamW>(std::vector{p}, AdamWOptions{});
    for (int i = 0; i < first + second; ++i) {
      if (i == first) {
        nn::NamedTensors kept;
        for (const auto& [name, value] : optimiser->save()) kept.emplace_back(name, value.clone());
        p = parameter("p", {0, 0});
        optimiser = std::make_unique<AdamW>(std::vector{p}, AdamWOptions{});
        optimiser->load({kept.begin(), kept.end()}, "state");
      }
      p.value.mutable_grad() = at::tensor(std::vector<double>{1.0 + i, 3.0 - i}, at::kDouble);
      optimiser->step(0.01);
    }
    return p.value.detach().clone();
  };
  EXPECT_TRUE(at::equal(run(3, 4), run(7, 0)));
  AdamW other({parameter("q", {1})}, {});
  EXPECT_THAT([&] { other.load({}, "file"); },
              ::testing::ThrowsMessage<Error>(::testing::HasSubstr("file: tensor \"value.q\" is missing")));
}

TEST(Schedule, ByHand) {
  const auto at = [](const char* kind, int64_t step) { return Schedule{kind, 1.0, 2, 12}.at(step); };
  for (const char* kind : {"linear", "constant", "cosine", "warmup_stable_decay"}) {
    EXPECT_EQ(at(kind, 0), 0.0);
    EXPECT_EQ(at(kind, 1), 0.5);
    EXPECT_EQ(at(kind, 2), 1.0);
  }
  EXPECT_DOUBLE_EQ(at("linear", 7), 0.5);
  EXPECT_DOUBLE_EQ(at("linear", 12), 0.0);
  EXPECT_DOUBLE_EQ(at("constant", 11), 1.0);
  EXPECT_DOUBLE_EQ(at("cosine", 7), 0.5);
  EXPECT_DOUBLE_EQ(at("cosine", 2 + 10 / 4), 0.5 * (1 + std::cos(std::acos(-1.0) * 0.2)));
  EXPECT_DOUBLE_EQ((Schedule{"warmup_stable_decay", 1.0, 0, 40}.at(36)), 1.0);  // the last tenth is 4 steps
  EXPECT_DOUBLE_EQ((Schedule{"warmup_stable_decay", 1.0, 0, 40}.at(38)), 0.5);
  EXPECT_THAT([&] { at("step", 3); }, ::testing::ThrowsMessage<Error>(::testing::HasSubstr("got \"step\"")));
}

}  // namespace
}  // namespace merit::train
