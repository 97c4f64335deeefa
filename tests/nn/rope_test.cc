#include "merit/nn/rope.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "merit/core/error.h"

namespace merit::nn {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Rope of(int64_t dim, double theta = 10000) {
  Rope rope;
  rope.dim = dim;
  rope.theta = theta;
  return rope;
}

TEST(Rope, Frequencies) {
  Rope rope = of(4);
  EXPECT_THAT(rope.frequencies(), ElementsAre(1.0, 0.01));
  rope.scaling = RopeScaling::kLinear;
  rope.factor = 4;
  EXPECT_THAT(rope.frequencies(), ElementsAre(0.25, 0.0025));
  EXPECT_TRUE(of(0).frequencies().empty());
}

TEST(Rope, Llama3) {
  // Llama 3 over 2 pi * 250 positions: the pairs turn 250 and 2.5 times in it. With low 1 and high 4 the first is kept
  // and the second is half-way: (0.01 + 0.01 / 4) / 2.
  Rope rope = of(4);
  rope.scaling = RopeScaling::kLlama3;
  rope.factor = 4;
  rope.low_freq_factor = 1;
  rope.high_freq_factor = 4;
  rope.original_positions = 1571;  // 2 pi * 250 = 1570.8
  const double turns = 1571 * 0.01 / (2 * std::numbers::pi);
  const double keep = (turns - 1) / 3;
  EXPECT_NEAR(keep, 0.5, 1e-3);
  EXPECT_NEAR(rope.frequencies()[0], 1.0, 1e-15);
  EXPECT_NEAR(rope.frequencies()[1], keep * 0.01 + (1 - keep) * 0.0025, 1e-15);
}

TEST(Rope, DynamicStretchesTheBaseByThePathsLength) {
  Rope rope = of(4);
  rope.scaling = RopeScaling::kDynamic;
  rope.factor = 2;
  rope.original_positions = 100;
  EXPECT_EQ(rope.regime(100), 0);
  EXPECT_EQ(rope.regime(101), 101);
  EXPECT_EQ(rope.regime(150), 150);
  EXPECT_THAT(rope.frequencies(0), ElementsAre(1.0, 0.01));
  // Length 150: the base is times (2 * 1.5 - 1)^(4 / 2) = 4, so the second frequency is 1 / sqrt(40000).
  EXPECT_THAT(rope.frequencies(150), ElementsAre(1.0, DoubleNear(0.005, 1e-15)));
}

TEST(Rope, LongRopeChoosesByThePathsLength) {
  Rope rope = of(4);
  rope.scaling = RopeScaling::kLongRope;
  rope.original_positions = 100;
  rope.short_factors = {1, 2};
  rope.long_factors = {4, 5};
  EXPECT_EQ(rope.regime(100), 0);
  EXPECT_EQ(rope.regime(101), rope.regime(5000));  // one set for all longer paths
  EXPECT_THAT(rope.frequencies(0), ElementsAre(1.0, 0.005));
  EXPECT_THAT(rope.frequencies(rope.regime(101)), ElementsAre(0.25, DoubleNear(0.002, 1e-18)));
}

TEST(Rope, YarnRampsBetweenKeptAndInterpolated) {
  // 8 pairs of base 10^8, so frequency i is 10^-i, over 2 pi 10^4 positions: pair i turns 10^(4 - i) times. beta_fast
  // 1000 is pair 1 and beta_slow 10 is pair 3: pairs to 1 are kept, pair 2 is half-way, pairs from 3 are interpolated.
  Rope rope = of(16, 1e8);
  rope.scaling = RopeScaling::kYarn;
  rope.factor = 4;
  rope.beta_fast = 1000;
  rope.beta_slow = 10;
  rope.truncate = false;
  rope.original_positions = 62832;
  const std::vector<double> f = rope.frequencies();
  EXPECT_NEAR(f[0], 1, 1e-15);
  EXPECT_NEAR(f[1], 0.1, 1e-6);
  EXPECT_NEAR(f[2], 0.01 * (0.5 + 0.5 / 4), 1e-7);
  EXPECT_NEAR(f[3], 0.001 / 4, 1e-8);
  EXPECT_NEAR(f[7], 1e-7 / 4, 1e-12);
  EXPECT_EQ(rope.regime(1 << 20), 0);
}

TEST(Rope, ProportionalTurnsTheFirstPairsOfAWholeHead) {
  Rope rope = of(8);
  rope.scaling = RopeScaling::kProportional;
  rope.pairs = 2;
  EXPECT_THAT(rope.frequencies(), ElementsAre(1.0, DoubleNear(0.1, 1e-15), 0.0, 0.0));
}

TEST(Rope, RefusesNumbersThatCannotBe) {
  auto refuses = [](auto&& change, const std::string& text) {
    Rope rope = of(8);
    rope.factor = 2;
    rope.original_positions = 16;
    change(rope);
    EXPECT_THAT([&] { check_rope(rope, 8, "here"); }, ThrowsMessage<Error>(HasSubstr(text)));
  };
  refuses([](Rope& r) { r.dim = 7; }, "an even part of the head size, got 7 of 8");
  refuses([](Rope& r) { r.dim = 10; }, "got 10 of 8");
  refuses([](Rope& r) { r.theta = 1; }, "base must be above 1");
  refuses([](Rope& r) { r.scaling = RopeScaling::kLinear, r.factor = 0.5; }, "factor must be at least 1");
  refuses([](Rope& r) { r.scaling = RopeScaling::kYarn, r.original_positions = 0; },
          "original_max_position_embeddings");
  refuses([](Rope& r) { r.scaling = RopeScaling::kYarn, r.beta_slow = 0; }, "beta_slow");
  refuses([](Rope& r) { r.scaling = RopeScaling::kYarn, r.attention_factor = 0; }, "attention_factor");
  refuses([](Rope& r) { r.scaling = RopeScaling::kLlama3, r.high_freq_factor = 1; }, "low_freq_factor");
  refuses([](Rope& r) { r.scaling = RopeScaling::kDynamic, r.dim = 2; }, "two pairs");
  refuses([](Rope& r) { r.scaling = RopeScaling::kLongRope, r.short_factors = {1, 1, 1}; }, "of 4 numbers, got 3");
  refuses(
      [](Rope& r) {
        r.scaling = RopeScaling::kLongRope, r.short_factors = r.long_factors = {1, 1, 0, 1};
      },
      "must be above 0");
}

}  // namespace
}  // namespace merit::nn
