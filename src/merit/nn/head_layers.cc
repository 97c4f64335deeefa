#include "merit/nn/head_layers.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "merit/core/error.h"

namespace merit::nn {
namespace {

constexpr int kLanes = 8;

// Eight running sums by position, then the sums in order, all in float64.
template <typename X, typename W>
double row_dot(const X* x, const W* w, int64_t n) {
  double sums[kLanes] = {};
  const int64_t whole = n / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) sums[l] += static_cast<double>(x[i + l]) * static_cast<double>(w[i + l]);
  }
  for (int64_t i = whole; i < n; ++i) sums[i - whole] += static_cast<double>(x[i]) * static_cast<double>(w[i]);
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

void normalise(const DenseLayer& layer, std::vector<double>& row) {
  const auto size = static_cast<double>(row.size());
  double mean = 0, variance = 0;
  for (const double value : row) mean += value;
  mean /= size;
  for (const double value : row) variance += (value - mean) * (value - mean);
  const double scale = 1 / std::sqrt(variance / size + layer.norm_eps);
  const at::Tensor weight = layer.norm_weight.to(at::kDouble);
  const at::Tensor bias = layer.norm_bias.defined() ? layer.norm_bias.to(at::kDouble) : at::Tensor();
  for (size_t i = 0; i < row.size(); ++i) {
    row[i] = (row[i] - mean) * scale * weight.const_data_ptr<double>()[i];
    if (bias.defined()) row[i] += bias.const_data_ptr<double>()[i];
  }
}

template <typename X, typename W>
at::Tensor apply(const DenseLayer& layer, const at::Tensor& rows) {
  const int64_t in = layer.in_features(), out = layer.out_features();
  at::Tensor result = at::empty({rows.size(0), out}, rows.scalar_type());
  const X* from = rows.const_data_ptr<X>();
  const W* weight = layer.weight.const_data_ptr<W>();
  const W* bias = layer.bias.defined() ? layer.bias.const_data_ptr<W>() : nullptr;
  X* to = result.mutable_data_ptr<X>();
  std::vector<double> row(static_cast<size_t>(out));
  for (int64_t r = 0; r < rows.size(0); ++r) {
    at::parallel_for(0, out, std::max<int64_t>(1, 262'144 / in), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const double dot = row_dot(from + r * in, weight + k * in, in);
        row[k] = activate(layer.activation, bias != nullptr ? dot + static_cast<double>(bias[k]) : dot);
      }
    });
    if (layer.norm_weight.defined()) normalise(layer, row);
    for (int64_t k = 0; k < out; ++k) to[r * out + k] = static_cast<X>(row[k]);
  }
  return result;
}

}  // namespace

at::Tensor apply_layer(const DenseLayer& layer, const at::Tensor& rows) {
  MERIT_CHECK(rows.dim() == 2 && rows.size(1) == layer.in_features() && rows.is_contiguous());
  MERIT_CHECK(layer.weight.is_contiguous());
  const bool wide_weight = layer.weight.scalar_type() == at::kDouble;
  if (rows.scalar_type() == at::kDouble) {
    return wide_weight ? apply<double, double>(layer, rows) : apply<double, float>(layer, rows);
  }
  return wide_weight ? apply<float, double>(layer, rows) : apply<float, float>(layer, rows);
}

}  // namespace merit::nn
