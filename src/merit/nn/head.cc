#include "merit/nn/head.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <cmath>
#include <utility>

#include "merit/core/error.h"
#include "merit/core/hash.h"

namespace merit::nn {
namespace {

constexpr int kLanes = 8;

// Eight running sums by position, then the sums in order, all in float64.
template <typename T>
double row_dot(const T* x, const double* w, int64_t n) {
  double sums[kLanes] = {};
  const int64_t whole = n / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) sums[l] += static_cast<double>(x[i + l]) * w[i + l];
  }
  for (int64_t i = whole; i < n; ++i) sums[i - whole] += static_cast<double>(x[i]) * w[i];
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

template <typename T>
at::Tensor score_rows(const at::Tensor& pooled, const at::Tensor& weight, const at::Tensor& bias) {
  const int64_t rows = pooled.size(0), outputs = weight.size(0), size = weight.size(1);
  at::Tensor out = at::empty({rows, outputs}, pooled.scalar_type());
  const at::Tensor wide = weight.to(at::kDouble).contiguous();
  const at::Tensor offset = bias.defined() ? bias.to(at::kDouble).contiguous() : at::Tensor();
  at::parallel_for(0, rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t k = 0; k < outputs; ++k) {
        const double dot =
            row_dot(pooled.const_data_ptr<T>() + r * size, wide.const_data_ptr<double>() + k * size, size);
        const double value = offset.defined() ? dot + offset.const_data_ptr<double>()[k] : dot;
        out.data_ptr<T>()[r * outputs + k] = static_cast<T>(value);
      }
    }
  });
  for (int64_t i = 0; i < out.numel(); ++i) {
    if (std::isfinite(out.const_data_ptr<T>()[i])) continue;
    fail(ErrorKind::kNumeric, "score of row {}: expected a finite value, got {}; the hidden states are at fault",
         i / outputs, out.const_data_ptr<T>()[i]);
  }
  return out;
}

at::Tensor kept(const at::Tensor& values) {
  const at::ScalarType type = values.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return values.detach().to(type).contiguous().clone();
}

void check_finite(const at::Tensor& values, const char* what) {
  const at::Tensor wide = values.to(at::kDouble);
  for (int64_t i = 0; i < wide.numel(); ++i) {
    if (!std::isfinite(wide.const_data_ptr<double>()[i])) {
      fail(ErrorKind::kData, "score head: {} {} is not finite", what, i);
    }
  }
}

std::string_view bytes_of(const at::Tensor& values) {
  return {static_cast<const char*>(values.const_data_ptr()), values.nbytes()};
}

}  // namespace

ScalarHead::ScalarHead(at::Tensor weight, at::Tensor bias, HeadRecord record) : record_(std::move(record)) {
  if (weight.dim() != 2 || weight.size(0) < 1 || weight.size(1) < 1) {
    fail(ErrorKind::kData, "score head: expected a weight [outputs, hidden], got {} dimensions of {} values",
         weight.dim(), weight.numel());
  }
  if (bias.defined() && (bias.dim() != 1 || bias.size(0) != weight.size(0))) {
    fail(ErrorKind::kData, "score head: expected a bias of {} values, got {}", weight.size(0), bias.numel());
  }
  if (record_.pooling != "last" || record_.activation != "none") {
    fail(ErrorKind::kData, "score head: expected pooling \"last\" and activation \"none\", got {} and {}",
         quote(record_.pooling), quote(record_.activation));
  }
  weight_ = kept(weight);
  check_finite(weight_, "weight");
  if (bias.defined()) {
    bias_ = kept(bias);
    check_finite(bias_, "bias");
  }
}

at::Tensor ScalarHead::score(const at::Tensor& pooled) const {
  if (pooled.dim() != 2 || pooled.size(1) != hidden_size()) {
    fail(ErrorKind::kData, "score head: expected hidden states [n, {}], got a width of {}", hidden_size(),
         pooled.dim() == 2 ? pooled.size(1) : -1);
  }
  const at::Tensor rows = kept(pooled);
  return rows.scalar_type() == at::kDouble ? score_rows<double>(rows, weight_, bias_)
                                           : score_rows<float>(rows, weight_, bias_);
}

std::string ScalarHead::identity() const {
  Hasher hasher;
  hasher.update(fmt::format("{} {} {}\n{}\n{}\n{}\n{}\n", outputs(), hidden_size(),
                            c10::toString(weight_.scalar_type()), record_.base_identity, record_.encoding_hash,
                            record_.pooling, record_.activation));
  hasher.update(bytes_of(weight_));
  if (bias_.defined()) hasher.update(bytes_of(bias_));
  return hasher.hex();
}

void ScalarHead::check_fits(int64_t hidden_size, const std::string& base_identity,
                            const std::string& encoding_hash) const {
  if (hidden_size != this->hidden_size()) {
    fail(ErrorKind::kData, "score head {}: it reads {} values a position, the model gives {}; use its own model",
         quote(record_.name), this->hidden_size(), hidden_size);
  }
  const auto differ = [](const std::string& a, const std::string& b) { return !a.empty() && !b.empty() && a != b; };
  if (differ(record_.base_identity, base_identity)) {
    fail(ErrorKind::kData, "score head {}: fitted on model {}, this is model {}; use the model it was fitted on",
         quote(record_.name), quote(record_.base_identity), quote(base_identity));
  }
  if (differ(record_.encoding_hash, encoding_hash)) {
    fail(ErrorKind::kData,
         "score head {}: fitted with encoding {}, this model folder encodes as {}; use the same record",
         quote(record_.name), quote(record_.encoding_hash), quote(encoding_hash));
  }
}

at::Tensor pool_positions(const at::Tensor& hidden, const at::Tensor& positions) {
  const at::Tensor index = positions.to(at::kLong).contiguous();
  for (int64_t i = 0; i < index.numel(); ++i) {
    const int64_t position = index.const_data_ptr<int64_t>()[i];
    if (position < 0 || position >= hidden.size(0)) {
      fail(ErrorKind::kData, "pooled position {}: expected 0 to {}, got {}", i, hidden.size(0) - 1, position);
    }
  }
  return at::index_select(hidden, 0, index);
}

}  // namespace merit::nn
