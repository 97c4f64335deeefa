#include "merit/nn/row_invariance.h"

#include <ATen/ops/linear.h>
#include <gmock/gmock.h>

#include <chrono>
#include <vector>

#include "merit/core/error.h"

namespace merit::nn {
namespace {

// SmolLM2-135M's products.
const std::vector<ProductShape> kShapes = {{576, 960}, {576, 576}, {576, 3072}, {1536, 576}};

TEST(RowInvariance, HoldsHereInEveryComputeType) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    EXPECT_NO_THROW(check_row_invariance(dtype, kShapes)) << c10::toString(dtype);
  }
}

TEST(RowInvariance, AProductThatKnowsItsNeighboursIsRefused) {
  // For more than 32 rows the sums run from the other end: equal but for rounding.
  const Product faulty = [](const at::Tensor& x, const at::Tensor& weight) {
    if (x.size(0) <= 32) return at::linear(x, weight);
    return at::linear(x.flip(1).contiguous(), weight.flip(1).contiguous());
  };
  try {
    check_row_invariance(at::kFloat, kShapes, faulty);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumeric);
    EXPECT_THAT(error.what(), testing::HasSubstr("[960 x 576] gives other bits for 16 rows than for 128"));
    EXPECT_THAT(error.what(), testing::HasSubstr("use another compute dtype"));
  }
}

TEST(RowInvariance, RepeatedShapesCostNothing) {
  const std::vector<ProductShape> many(1000, ProductShape{576, 960});
  const auto start = std::chrono::steady_clock::now();
  check_row_invariance(at::kFloat, many);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));  // 1,000 checks would take 10
}

}  // namespace
}  // namespace merit::nn
