#include "merit/nn/linear.h"

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "merit/core/error.h"

namespace merit::nn {
namespace {

constexpr int64_t kPanelValues = int64_t{1} << 21;  // widened at once: 8 MB of float32

void check_dtype(at::ScalarType dtype) {
  if (dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kDouble) return;
  fail(ErrorKind::kData, "linear layer: expected float32, bfloat16 or float64 weights, got {}", c10::toString(dtype));
}

}  // namespace

at::Tensor pad_rows(const at::Tensor& x) {
  const int64_t missing = padded_rows(x.size(0)) - x.size(0);
  if (missing == 0) return x;
  std::vector<int64_t> pad(static_cast<size_t>(2 * x.dim()), 0);  // innermost dimension first
  pad.back() = missing;
  return at::constant_pad_nd(x, pad, 0);
}

bool multiplies_bfloat16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return true;
#endif
}

Matrix::Matrix(at::Tensor dense) : dense_(std::move(dense)), dtype_(dense_.scalar_type()) {
  check_dtype(dtype_);
  if (dense_.dim() != 2 || dense_.size(0) < 2) {
    fail(ErrorKind::kData,
         "linear layer: expected a weight of at least 2 rows [out, in], got {} dimensions of {} values", dense_.dim(),
         dense_.numel());
  }
  dense_ = dense_.contiguous();
}

Matrix::Matrix(std::shared_ptr<const StoredRows> stored, at::ScalarType dtype)
    : stored_(std::move(stored)), dtype_(dtype) {
  MERIT_CHECK(dtype_ == at::kFloat || dtype_ == at::kBFloat16);
  MERIT_CHECK(stored_->rows() >= 2);
}

int64_t Matrix::in_features() const { return stored_ ? stored_->columns() : dense_.size(1); }
int64_t Matrix::out_features() const { return stored_ ? stored_->rows() : dense_.size(0); }

const at::Tensor& Matrix::dense() const {
  MERIT_CHECK(dense_.defined());
  return dense_;
}

template <typename Use>
void Matrix::each_panel(Use&& use) const {
  const int64_t out = out_features(), in = in_features();
  // Whole quanta of rows, so that panels meet the product's own blocking.
  const int64_t step = std::max<int64_t>(64, kPanelValues / in / 64 * 64);
  at::Tensor buffer = at::empty({std::min(step, out), in}, at::kFloat);
  for (int64_t begin = 0; begin < out; begin += step) {
    const int64_t end = std::min(out, begin + step);
    const at::Tensor panel = buffer.narrow(0, 0, end - begin);
    if (stored_) {
      float* values = panel.mutable_data_ptr<float>();
      at::parallel_for(begin, end, 16, [&](int64_t first, int64_t last) {
        stored_->widen(first, last, values + (first - begin) * in);
        if (dtype_ == at::kFloat) return;
        for (float* v = values + (first - begin) * in; v != values + (last - begin) * in; ++v) *v = at::BFloat16(*v);
      });
    } else {
      panel.copy_(dense_.narrow(0, begin, end - begin));
    }
    use(begin, end, panel);
  }
}

at::Tensor Matrix::multiply_wide(const at::Tensor& x, const at::Tensor& bias) const {
  MERIT_CHECK(x.dim() == 2 && x.size(0) % kRowQuantum == 0 && x.size(1) == in_features() && x.scalar_type() == dtype_);
  if (!stored_ && dtype_ != at::kBFloat16) {
    return at::linear(x, dense_, bias.defined() ? c10::optional<at::Tensor>(bias) : c10::nullopt);
  }
  // bfloat16 values are exact in float32: a product of bfloat16 values with float32 sums and results.
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor wide_bias = bias.defined() ? bias.to(at::kFloat) : bias;
  at::Tensor y = at::empty({x.size(0), out_features()}, at::kFloat);
  each_panel([&](int64_t begin, int64_t end, const at::Tensor& panel) {
    at::Tensor part = y.narrow(1, begin, end - begin);
    if (bias.defined()) {
      at::addmm_out(part, wide_bias.narrow(0, begin, end - begin), wide, panel.t());
    } else {
      at::mm_out(part, wide, panel.t());
    }
  });
  return y;
}

at::Tensor Matrix::multiply(const at::Tensor& x, const at::Tensor& bias) const {
  const bool direct = !stored_ && dtype_ == at::kBFloat16 && multiplies_bfloat16();
  if (!direct) return multiply_wide(x, bias).to(dtype_);
  MERIT_CHECK(x.dim() == 2 && x.size(0) % kRowQuantum == 0 && x.scalar_type() == dtype_);
  return at::linear(x, dense_, bias.defined() ? c10::optional<at::Tensor>(bias) : c10::nullopt);
}

at::Tensor Matrix::multiply_back(const at::Tensor& y) const {
  MERIT_CHECK(y.scalar_type() == dtype_);
  const bool direct = !stored_ && dtype_ == at::kBFloat16 && multiplies_bfloat16();
  return direct ? at::mm(y, dense_)
                : multiply_back_wide(y.to(dtype_ == at::kDouble ? at::kDouble : at::kFloat)).to(dtype_);
}

at::Tensor Matrix::multiply_back_wide(const at::Tensor& y) const {
  MERIT_CHECK(y.dim() == 2 && y.size(1) == out_features());
  if (!stored_ && dtype_ != at::kBFloat16) return at::mm(y, dense_);
  at::Tensor x = at::zeros({y.size(0), in_features()}, at::kFloat);
  each_panel(
      [&](int64_t begin, int64_t end, const at::Tensor& panel) { x.addmm_(y.narrow(1, begin, end - begin), panel); });
  return x;
}

at::Tensor Matrix::gather(const at::Tensor& ids) const {
  if (!stored_) return at::index_select(dense_, 0, ids);
  const int64_t in = in_features();
  at::Tensor rows = at::empty({ids.size(0), in}, at::kFloat);
  const int64_t* id = ids.const_data_ptr<int64_t>();
  float* out = rows.mutable_data_ptr<float>();
  for (int64_t i = 0; i < ids.size(0); ++i) stored_->widen(id[i], id[i] + 1, out + i * in);
  return rows.to(dtype_);
}

Linear::Linear(Matrix weight, at::Tensor bias) : matrix_(std::move(weight)), bias_(std::move(bias)) {
  const int64_t out = matrix_.out_features();
  if (bias_.defined() && (bias_.dim() != 1 || bias_.size(0) != out || bias_.scalar_type() != matrix_.dtype())) {
    fail(ErrorKind::kData, "linear layer: expected a bias of {} values of type {}, got {} of type {}", out,
         c10::toString(matrix_.dtype()), bias_.numel(), c10::toString(bias_.scalar_type()));
  }
}

}  // namespace merit::nn
