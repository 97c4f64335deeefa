#include "merit/nn/pages.h"

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "merit/core/error.h"

namespace merit::nn {
namespace {

constexpr int64_t kSlabBytes = int64_t{16} << 20;

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

void PagePool::Free::operator()(std::byte* p) const { std::free(p); }

PagePool::PagePool(const ModelConfig& config, at::ScalarType dtype) {
  shape_ = {config.kv_heads, config.head_dim, round_up(config.head_dim, kPageTokens)};
  element_bytes_ = static_cast<int64_t>(c10::elementSize(dtype));
  layer_bytes_ = round_up(shape_.elements() * element_bytes_, 64);
  page_bytes_ = layer_bytes_ * config.layers;
}

int32_t PagePool::take() {
  if (free_.empty()) {
    const int64_t count = std::max<int64_t>(1, kSlabBytes / page_bytes_);
    std::unique_ptr<std::byte, Free> slab(static_cast<std::byte*>(std::aligned_alloc(64, count * page_bytes_)));
    if (!slab)
      fail(ErrorKind::kLimit, "not enough memory for the keys and values of {} tokens", (live() + 1) * kPageTokens);
    for (int64_t i = 0; i < count; ++i) {
      free_.push_back(static_cast<int32_t>(base_.size()));
      base_.push_back(slab.get() + i * page_bytes_);
      references_.push_back(0);
    }
    slabs_.push_back(std::move(slab));
  }
  const int32_t page = free_.back();
  free_.pop_back();
  references_[page] = 1;
  return page;
}

void PagePool::drop(int32_t page) {
  MERIT_CHECK(references_[page] > 0);
  if (--references_[page] == 0) free_.push_back(page);
}

void PagePool::copy(int32_t from, int32_t to, int64_t layer, int32_t slots) const {
  const std::byte* source = base_[from] + layer_offset(layer);
  std::byte* target = base_[to] + layer_offset(layer);
  const int64_t row = kPageTokens * element_bytes_;
  for (int64_t i = 0; i < shape_.kv_heads * shape_.head_dim; ++i) {
    std::memcpy(target + i * row, source + i * row, slots * element_bytes_);
  }
  const int64_t head = kPageTokens * shape_.value_stride * element_bytes_;
  source += shape_.key_elements() * element_bytes_;
  target += shape_.key_elements() * element_bytes_;
  for (int64_t h = 0; h < shape_.kv_heads; ++h) {
    std::memcpy(target + h * head, source + h * head, slots * shape_.value_stride * element_bytes_);
  }
}

}  // namespace merit::nn
