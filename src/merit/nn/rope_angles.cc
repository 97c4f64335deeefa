#include "merit/nn/rope_angles.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

namespace merit::nn {
namespace {

constexpr size_t kMostTables = 24;

template <typename S>
void fill(const Rope& rope, int64_t regime, int64_t positions, at::Tensor& out) {
  const std::vector<double> frequencies = rope.frequencies(regime);
  auto* to = out.mutable_data_ptr<S>();
  const auto factor = static_cast<S>(rope.attention_factor);
  for (int64_t p = 0; p < positions; ++p, to += rope.dim) {
    for (size_t i = 0; i < frequencies.size(); ++i) {
      const S angle = static_cast<S>(p) * static_cast<S>(frequencies[i]);
      to[i] = static_cast<S>(std::cos(static_cast<double>(angle))) * factor;
      to[frequencies.size() + i] = static_cast<S>(std::sin(static_cast<double>(angle))) * factor;
    }
  }
}

}  // namespace

at::Tensor angle_table(const Rope& rope, int64_t regime, int64_t positions, at::ScalarType dtype) {
  at::Tensor out = at::empty({positions, rope.dim}, at::TensorOptions().dtype(dtype));
  if (dtype == at::kDouble) {
    fill<double>(rope, regime, positions, out);
  } else {
    fill<float>(rope, regime, positions, out);
  }
  return out;
}

RopeAngles::RopeAngles(const Rope& rope, int64_t max_positions, at::ScalarType compute_dtype)
    : rope_(rope), max_positions_(max_positions), dtype_(compute_dtype == at::kDouble ? at::kDouble : at::kFloat) {}

void RopeAngles::begin() {
  outgrown_.clear();
  if (tables_.size() > kMostTables) tables_.clear();
}

const void* RopeAngles::at(int64_t regime, int64_t position) {
  at::Tensor& table = tables_[regime];
  if (!table.defined() || table.size(0) <= position) {
    if (table.defined()) outgrown_.push_back(table);
    const int64_t positions = std::min(max_positions_, std::max<int64_t>(256, (position + 1) * 2));
    table = angle_table(rope_, regime, positions, dtype_);
  }
  return static_cast<const std::byte*>(table.const_data_ptr()) + position * table.stride(0) * table.element_size();
}

}  // namespace merit::nn
