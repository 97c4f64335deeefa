#include "merit/nn/linear.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <cstring>
#include <memory>
#include <utility>

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

// Rows of a tensor, widened as a file's would be.
class TensorRows : public StoredRows {
 public:
  explicit TensorRows(at::Tensor values) : values_(std::move(values)) {}
  int64_t rows() const override { return values_.size(0); }
  int64_t columns() const override { return values_.size(1); }
  void widen(int64_t begin, int64_t end, float* out) const override {
    std::memcpy(out, values_.const_data_ptr<float>() + begin * columns(), sizeof(float) * (end - begin) * columns());
  }

 private:
  at::Tensor values_;  // [rows, columns] float32
};

TEST(Matrix, StoredRowsGiveTheBitsOfTheirTensor) {
  // The second is wider than a panel of 2^21 values, in panels of 960 rows and a rest.
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{96, 576}, {3000, 2176}}) {
    const at::Tensor values = random_tensor({out, in}, 2, 0.1, at::kFloat);
    const at::Tensor x = random_tensor({48, in}, 4, 1.0, at::kFloat);
    const at::Tensor bias = random_tensor({out}, 5, 1.0, at::kFloat);
    const Matrix dense(values), stored(std::make_shared<TensorRows>(values), at::kFloat);
    EXPECT_TRUE(at::equal(stored.multiply(x), dense.multiply(x))) << out;
    EXPECT_TRUE(at::equal(stored.multiply(x, bias), dense.multiply(x, bias))) << out;
    for (const int64_t rows : {16, 32}) {
      EXPECT_TRUE(
          at::equal(stored.multiply(x.narrow(0, 16, rows), bias), stored.multiply(x, bias).narrow(0, 16, rows)));
    }
    const at::Tensor ids = at::tensor({3, 0, 3}, at::kLong);
    EXPECT_TRUE(at::equal(stored.gather(ids), dense.gather(ids)));
  }
}

TEST(Matrix, BFloat16SumsInFloat32AndRoundsOnce) {
  const at::Tensor values = random_tensor({96, 576}, 2, 0.1, at::kFloat);
  const at::Tensor x = random_tensor({32, 576}, 4, 1.0, at::kBFloat16);
  const at::Tensor bias = random_tensor({96}, 5, 1.0, at::kBFloat16);
  const at::Tensor exact =
      at::linear(x.to(at::kDouble), values.to(at::kBFloat16).to(at::kDouble), bias.to(at::kDouble));
  const Matrix dense(values.to(at::kBFloat16)), stored(std::make_shared<TensorRows>(values), at::kBFloat16);
  for (const Matrix* matrix : {&dense, &stored}) {
    const at::Tensor y = matrix->multiply(x, bias);
    ASSERT_EQ(y.scalar_type(), at::kBFloat16);
    // Half a unit in the last of 8 bits, and float32's rounding of 576 products.
    const at::Tensor error = y.to(at::kDouble).sub(exact).abs();
    EXPECT_LE(error.sub(exact.abs().mul(0x1p-8)).max().item().toDouble(), 1e-5);
    EXPECT_EQ(matrix->multiply_wide(x).scalar_type(), at::kFloat);
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
