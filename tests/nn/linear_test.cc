#include "merit/nn/linear.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include "merit/core/error.h"
#include "tests/nn/random_tensor.h"

namespace merit::nn {
namespace {

TEST(Linear, MultipliesByHand) {
  // Two features to three: y0 = x0 + 2 x1, y1 = 3 x0, y2 = -x1, plus 10, 20, 30.
  const at::Tensor weight = at::tensor({1.0, 2.0, 3.0, 0.0, 0.0, -1.0}, at::kDouble).view({3, 2});
  const Linear linear(weight, at::tensor({10.0, 20.0, 30.0}, at::kDouble));
  const at::Tensor x = pad_rows(at::tensor({5.0, 7.0}, at::kDouble).view({1, 2}));
  ASSERT_EQ(x.size(0), 16);
  const at::Tensor y = linear.forward(x);
  EXPECT_EQ(y.sizes(), (std::vector<int64_t>{16, 3}));
  const double* row = y.const_data_ptr<double>();
  EXPECT_THAT(std::vector<double>(row, row + 3), testing::ElementsAre(29, 35, 23));
  EXPECT_THAT(std::vector<double>(row + 3, row + 6), testing::ElementsAre(10, 20, 30));  // a row of padding
}

TEST(Linear, PaddedRowsIsTheNextMultipleOfSixteen) {
  EXPECT_EQ(padded_rows(0), 0);
  EXPECT_EQ(padded_rows(1), 16);
  EXPECT_EQ(padded_rows(16), 16);
  EXPECT_EQ(padded_rows(17), 32);
  const at::Tensor x = random_tensor({32, 3}, 1);
  EXPECT_EQ(pad_rows(x).data_ptr(), x.data_ptr());
}

TEST(Linear, RowKeepsItsBitsInEveryBatchAndType) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const Linear linear(random_tensor({192, 576}, 2, 0.1, dtype), random_tensor({192}, 3, 1.0, dtype));
    const at::Tensor x = random_tensor({160, 576}, 4, 1.0, dtype);
    const at::Tensor all = linear.forward(x);
    for (const int64_t rows : {16, 32, 80, 144}) {
      for (const int64_t begin : {int64_t{0}, int64_t{5}, 160 - rows}) {
        if (begin + rows > 160) continue;
        EXPECT_TRUE(at::equal(linear.forward(x.narrow(0, begin, rows)), all.narrow(0, begin, rows)))
            << c10::toString(dtype) << " rows " << rows << " from " << begin;
      }
    }
  }
}

TEST(Linear, RefusesWeightsItCannotKeepItsPromiseFor) {
  const auto message = [](auto&& make) {
    try {
      make();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message([] { Linear(random_tensor({1, 8}, 1)); }), testing::HasSubstr("at least 2 rows"));
  EXPECT_THAT(message([] { Linear(random_tensor({4, 8}, 1, 1.0, at::kHalf)); }), testing::HasSubstr("Half"));
  EXPECT_THAT(message([] {
                Linear(random_tensor({4, 8}, 1), random_tensor({3}, 1));
              }),
              testing::HasSubstr("expected a bias of 4"));
}

}  // namespace
}  // namespace merit::nn
