#include "merit/nn/row_invariance.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>

#include <array>
#include <cstring>
#include <vector>

#include "merit/core/error.h"
#include "merit/nn/linear.h"

namespace merit::nn {
namespace {

constexpr int64_t kRows = 128;
struct Batch {
  int64_t begin;
  int64_t rows;
};
// Each batch is a slice of the 128 rows; the first and the last row of the whole are among them.
constexpr std::array<Batch, 4> kBatches = {{{0, 16}, {112, 16}, {16, 48}, {64, 64}}};

// Values in [-0.5, 0.5) from a multiplicative hash of the index: any that use the whole mantissa will do.
at::Tensor pseudo_random(int64_t rows, int64_t columns, uint64_t salt, at::ScalarType dtype) {
  at::Tensor out = at::empty({rows, columns}, at::kFloat);
  float* values = out.data_ptr<float>();
  const int64_t count = rows * columns;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t hash = (static_cast<uint64_t>(i) + salt) * 0x9E3779B97F4A7C15u;
    values[i] = static_cast<float>(static_cast<int32_t>(hash >> 32)) * 0x1p-32f;
  }
  return out.to(dtype);
}

void check_shape(at::ScalarType dtype, const ProductShape& shape, const Product& product) {
  const at::Tensor weight = pseudo_random(shape.out, shape.in, 0x51ED, dtype);
  const at::Tensor x = pseudo_random(kRows, shape.in, 0xC0FFEE, dtype);
  const at::Tensor all = product(x, weight);
  const size_t row_bytes = static_cast<size_t>(shape.out) * all.element_size();
  for (const Batch& batch : kBatches) {
    const at::Tensor part = product(x.narrow(0, batch.begin, batch.rows), weight).contiguous();
    const at::Tensor expected = all.narrow(0, batch.begin, batch.rows);
    if (std::memcmp(part.data_ptr(), expected.data_ptr(), row_bytes * static_cast<size_t>(batch.rows)) == 0) continue;
    fail(ErrorKind::kNumeric,
         "matrix products on this machine are not row-invariant: {} [{} x {}] gives other bits for {} rows than for {} "
         "(largest difference {:.3g}), so scores would depend on their batch; use another compute dtype, another "
         "number of threads or another libtorch build",
         c10::toString(dtype), shape.out, shape.in, batch.rows, kRows,
         part.to(at::kDouble).sub(expected.to(at::kDouble)).abs().max().item().toDouble());
  }
}

}  // namespace

void check_row_invariance(at::ScalarType dtype, std::span<const ProductShape> shapes) {
  check_row_invariance(dtype, shapes, [](const at::Tensor& x, const at::Tensor& w) { return at::linear(x, w); });
}

void check_row_invariance(at::ScalarType dtype, std::span<const ProductShape> shapes, const Product& product) {
  std::vector<ProductShape> done;
  for (const ProductShape& shape : shapes) {
    bool known = false;
    for (const ProductShape& other : done) known = known || (other.in == shape.in && other.out == shape.out);
    if (known) continue;
    check_shape(dtype, shape, product);
    done.push_back(shape);
  }
}

}  // namespace merit::nn
