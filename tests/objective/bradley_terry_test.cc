#include "merit/objective/bradley_terry.h"

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "merit/core/error.h"

namespace merit::objective {
namespace {

at::Tensor vec(std::vector<double> values) { return at::tensor(values, at::kDouble); }

double loss_of(std::vector<double> chosen, std::vector<double> rejected, BradleyTerryOptions options = {},
               at::Tensor margin = {}) {
  return bradley_terry(vec(chosen), vec(rejected), margin, options).loss.item<double>();
}

TEST(BradleyTerry, EqualRewardsCostLn2) { EXPECT_NEAR(loss_of({3.0}, {3.0}), std::log(2.0), 1e-15); }

TEST(BradleyTerry, HandDerivedMean) {
  // log(1 + e^-1) = 0.313261687..., log(1 + e^2) = 2.126928011...
  EXPECT_NEAR(loss_of({1.0, 0.0}, {0.0, 2.0}), (0.31326168751822286 + 2.1269280110429727) / 2, 1e-14);
}

TEST(BradleyTerry, MarginIsTakenFromTheDifference) {
  EXPECT_NEAR(loss_of({1.5}, {0.0}, {}, vec({0.5})), loss_of({1.0}, {0.0}), 1e-15);
}

TEST(BradleyTerry, SmoothingAndCentringByHand) {
  // 0.9 * 0.3132617 + 0.1 * 1.3132617 = 0.4132617; centring: 0.01 * (1 + 0)^2.
  EXPECT_NEAR(loss_of({1.0}, {0.0}, {.label_smoothing = 0.1, .center_rewards_coefficient = 0.01}),
              0.31326168751822286 + 0.1 + 0.01, 1e-14);
}

TEST(BradleyTerry, ExtremeMarginsStayFinite) {
  EXPECT_NEAR(loss_of({-1000.0}, {1000.0}), 2000.0, 1e-9);
  EXPECT_EQ(loss_of({1000.0}, {-1000.0}), 0.0);
}

TEST(BradleyTerry, SwappingThePairNegatesTheMargin) {
  const auto a = bradley_terry(vec({1.0, 2.0}), vec({0.5, 4.0}), {}, {});
  const auto b = bradley_terry(vec({0.5, 4.0}), vec({1.0, 2.0}), {}, {});
  EXPECT_DOUBLE_EQ(a.margin, -b.margin);
  EXPECT_DOUBLE_EQ(a.accuracy, 0.5);
}

TEST(BradleyTerry, F66_TiesAreNotWins) {
  const auto result = bradley_terry(vec({1.0, 2.0}), vec({1.0, 0.0}), {}, {});
  EXPECT_DOUBLE_EQ(result.accuracy, 0.5);
  EXPECT_DOUBLE_EQ(result.ties, 0.5);
}

TEST(BradleyTerry, GradientMatchesFiniteDifferences) {
  const BradleyTerryOptions options{.label_smoothing = 0.2, .center_rewards_coefficient = 0.3};
  std::vector<double> chosen = {0.3, -1.2, 2.0}, rejected = {0.1, 0.4, 1.0};
  at::Tensor c = vec(chosen).requires_grad_(true), r = vec(rejected).requires_grad_(true);
  bradley_terry(c, r, vec({0.1, 0.0, 0.5}), options).loss.backward();
  const double h = 1e-6;
  for (size_t i = 0; i < chosen.size(); ++i) {
    for (bool of_chosen : {true, false}) {
      auto& side = of_chosen ? chosen : rejected;
      const double keep = side[i];
      side[i] = keep + h;
      const double up = loss_of(chosen, rejected, options, vec({0.1, 0.0, 0.5}));
      side[i] = keep - h;
      const double down = loss_of(chosen, rejected, options, vec({0.1, 0.0, 0.5}));
      side[i] = keep;
      const double expected = (up - down) / (2 * h);
      EXPECT_NEAR((of_chosen ? c : r).grad()[static_cast<int64_t>(i)].item<double>(), expected, 1e-8);
    }
  }
}

TEST(BradleyTerry, RefusesWhatItCannotMean) {
  EXPECT_THROW(loss_of({}, {}), Error);
  EXPECT_THROW(loss_of({1.0, 2.0}, {1.0}), Error);
  EXPECT_THROW(loss_of({1.0}, {1.0}, {.label_smoothing = 0.5}), Error);
  EXPECT_THROW(loss_of({1.0}, {1.0}, {}, vec({1.0, 2.0})), Error);
}

}  // namespace
}  // namespace merit::objective
