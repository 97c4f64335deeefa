// Memory for keys and values: pages of kPageTokens tokens, counted references, all layers of a page in one piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "merit/nn/config.h"
#include "merit/nn/kernels.h"

namespace merit::nn {

// Not thread-safe. Grows as needed and keeps what it has; Error(kLimit) when the system has no more memory.
class PagePool {
 public:
  PagePool(const ModelConfig& config, at::ScalarType dtype);

  int32_t take();  // a page with one reference, its content undefined
  void hold(int32_t page) { ++references_[page]; }
  void drop(int32_t page);  // the page is free when its last reference goes
  int32_t references(int32_t page) const { return references_[page]; }

  const PageShape& shape() const { return shape_; }
  void* base(int32_t page) const { return base_[page]; }
  int64_t layer_offset(int64_t layer) const { return layer * layer_bytes_; }  // bytes from a page's base
  // Copies the first `slots` tokens of a layer.
  void copy(int32_t from, int32_t to, int64_t layer, int32_t slots) const;
  int64_t live() const { return static_cast<int64_t>(base_.size() - free_.size()); }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };

  PageShape shape_;
  int64_t element_bytes_;
  int64_t layer_bytes_;
  int64_t page_bytes_;
  std::vector<std::unique_ptr<std::byte, Free>> slabs_;
  std::vector<std::byte*> base_;
  std::vector<int32_t> references_;
  std::vector<int32_t> free_;
};

}  // namespace merit::nn
