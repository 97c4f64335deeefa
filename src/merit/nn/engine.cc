#include "merit/nn/engine.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "merit/core/error.h"
#include "merit/nn/pages.h"

namespace merit::nn {
namespace {

// Cosines and sines of the first positions, [positions, head_dim]. The angle is the float32 product of position and
// frequency, as the models were trained with; in float64 it is exact, for checks.
template <typename S>
void fill_angles(const std::vector<double>& frequencies, int64_t positions, at::Tensor& out) {
  auto* to = out.mutable_data_ptr<S>();
  const auto half = static_cast<int64_t>(frequencies.size());
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      const S angle = static_cast<S>(p) * static_cast<S>(frequencies[i]);
      to[p * 2 * half + i] = static_cast<S>(std::cos(static_cast<double>(angle)));
      to[p * 2 * half + half + i] = static_cast<S>(std::sin(static_cast<double>(angle)));
    }
  }
}

struct Path {
  std::vector<int32_t> pages;
  int32_t length = 0;
  bool live = false;
};

struct QueuedRow {
  int32_t token;
  int32_t depth;
  int32_t page;
  int32_t segment;  // which append call queued it
  bool wanted;
};

struct PageCopy {
  int32_t from;
  int32_t to;
  int32_t slots;
};

int64_t grain(int64_t columns) { return std::max<int64_t>(1, 32768 / columns); }

}  // namespace

class ForestState::Impl {
 public:
  explicit Impl(const Transformer& model)
      : model_(model), config_(model.config()), kernels_(kernels(model.dtype())), pool_(config_, model.dtype()) {}

  PathHandle add(Path path);
  PathHandle branch(PathHandle handle, int32_t length);
  void release(PathHandle handle);
  const Path& at(PathHandle handle) const;
  void append(PathHandle handle, std::span<const int32_t> tokens, std::span<const int32_t> wanted);
  at::Tensor run();

  int64_t queued() const { return static_cast<int64_t>(queue_.size()); }
  int64_t computed() const { return computed_; }
  int64_t pages_live() const { return pool_.live(); }

 private:
  void make_room(Path& path);
  void drop(int32_t page);
  void finish_queue();

  at::Tensor embed() const;
  void place_rows();
  void grow_angles();
  std::vector<AttentionRun> plan(std::span<const int64_t> rows) const;

  at::Tensor buffer(int64_t rows, int64_t columns) const;
  at::Tensor gather(const at::Tensor& from, std::span<const int64_t> rows) const;
  void norm(at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, at::Tensor& out) const;
  void write_keys(at::Tensor& qkv, int64_t layer);
  at::Tensor attend(const at::Tensor& query, std::span<const AttentionRun> runs, int64_t layer) const;
  at::Tensor feed_forward(const LayerWeights& layer, const at::Tensor& h) const;

  const Transformer& model_;
  const ModelConfig& config_;
  const KernelTable& kernels_;
  PagePool pool_;
  std::vector<Path> paths_;
  std::vector<PathHandle> free_paths_;

  std::vector<QueuedRow> queue_;
  std::vector<std::vector<void*>> segments_;  // the page table of each append call's path as it was then
  std::vector<PageCopy> copies_;              // to make in every layer, in order, after the rows are written
  std::vector<int32_t> dropped_;              // pages to drop when the queue has run: queued rows may need them
  int64_t computed_ = 0;

  at::Tensor angles_;
  std::vector<RowPlace> places_;
};

PathHandle ForestState::Impl::add(Path path) {
  path.live = true;
  if (free_paths_.empty()) {
    paths_.push_back(std::move(path));
    return static_cast<PathHandle>(paths_.size()) - 1;
  }
  const PathHandle handle = free_paths_.back();
  free_paths_.pop_back();
  paths_[handle] = std::move(path);
  return handle;
}

const Path& ForestState::Impl::at(PathHandle handle) const {
  MERIT_CHECK(handle >= 0 && static_cast<size_t>(handle) < paths_.size() && paths_[handle].live);
  return paths_[handle];
}

PathHandle ForestState::Impl::branch(PathHandle handle, int32_t length) {
  const Path& from = at(handle);
  if (length < 0) length = from.length;
  MERIT_CHECK(length <= from.length);
  Path path;
  path.length = length;
  path.pages.assign(from.pages.begin(), from.pages.begin() + (length + kPageTokens - 1) / kPageTokens);
  for (int32_t page : path.pages) pool_.hold(page);
  return add(std::move(path));
}

void ForestState::Impl::drop(int32_t page) {
  if (queue_.empty()) {
    pool_.drop(page);
  } else {
    dropped_.push_back(page);
  }
}

void ForestState::Impl::release(PathHandle handle) {
  for (int32_t page : at(handle).pages) drop(page);
  paths_[handle] = Path();
  free_paths_.push_back(handle);
}

// Makes the page of the path's next token writable: a new one at a block's start, an own copy where another path, or
// a queued row of a path that ended, has the page too.
void ForestState::Impl::make_room(Path& path) {
  const int32_t slot = path.length % kPageTokens;
  if (slot == 0) {
    path.pages.push_back(pool_.take());
    return;
  }
  const int32_t page = path.pages.back();
  if (pool_.references(page) == 1) return;
  path.pages.back() = pool_.take();
  copies_.push_back({page, path.pages.back(), slot});
  dropped_.push_back(page);
}

void ForestState::Impl::append(PathHandle handle, std::span<const int32_t> tokens, std::span<const int32_t> wanted) {
  const int64_t after = at(handle).length + static_cast<int64_t>(tokens.size());
  Path& path = paths_[handle];
  for (int32_t token : tokens) {
    if (token < 0 || token >= config_.vocab_size) {
      fail(ErrorKind::kData, "token id {} is outside the vocabulary of {}", token, config_.vocab_size);
    }
  }
  if (after > config_.max_positions) {
    fail(ErrorKind::kLimit, "a path of {} tokens is longer than the model's {} positions", after,
         config_.max_positions);
  }
  const auto segment = static_cast<int32_t>(segments_.size());
  size_t next = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    make_room(path);
    const bool want = next < wanted.size() && wanted[next] == static_cast<int32_t>(i);
    if (want) ++next;
    queue_.push_back({tokens[i], path.length, path.pages.back(), segment, want});
    ++path.length;
  }
  MERIT_CHECK(next == wanted.size());
  std::vector<void*>& table = segments_.emplace_back();
  for (int32_t page : path.pages) table.push_back(pool_.base(page));
}

void ForestState::Impl::finish_queue() {
  computed_ += queued();
  queue_.clear();
  segments_.clear();
  copies_.clear();
  for (int32_t page : dropped_) pool_.drop(page);
  dropped_.clear();
}

at::Tensor ForestState::Impl::buffer(int64_t rows, int64_t columns) const {
  return at::empty({rows, columns}, at::TensorOptions().dtype(model_.dtype()));
}

// The rows of `from` that are named, padded with zero rows.
at::Tensor ForestState::Impl::gather(const at::Tensor& from, std::span<const int64_t> rows) const {
  const auto count = static_cast<int64_t>(rows.size());
  at::Tensor out = buffer(padded_rows(count), from.size(1));
  const int64_t bytes = from.size(1) * static_cast<int64_t>(from.element_size());
  const auto* source = static_cast<const std::byte*>(from.const_data_ptr());
  auto* target = static_cast<std::byte*>(out.mutable_data_ptr());
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(target + i * bytes, source + rows[i] * from.stride(0) * from.element_size(), bytes);
  }
  std::memset(target + count * bytes, 0, (out.size(0) - count) * bytes);
  return out;
}

at::Tensor ForestState::Impl::embed() const {
  std::vector<int64_t> tokens;
  for (const QueuedRow& row : queue_) tokens.push_back(row.token);
  return gather(model_.weights().embedding, tokens);
}

void ForestState::Impl::place_rows() {
  places_.clear();
  for (const QueuedRow& row : queue_) places_.push_back({row.depth, pool_.base(row.page)});
}

void ForestState::Impl::grow_angles() {
  int64_t most = 0;
  for (const QueuedRow& row : queue_) most = std::max<int64_t>(most, row.depth + 1);
  if (angles_.defined() && angles_.size(0) >= most) return;
  const int64_t positions = std::min(config_.max_positions, std::max<int64_t>(256, most * 2));
  const bool exact = model_.dtype() == at::kDouble;
  angles_ = at::empty({positions, config_.head_dim}, at::TensorOptions().dtype(exact ? at::kDouble : at::kFloat));
  if (exact) {
    fill_angles<double>(config_.rope_frequencies(), positions, angles_);
  } else {
    fill_angles<float>(config_.rope_frequencies(), positions, angles_);
  }
}

// Runs of the named rows (the i-th becomes query row i) that lie on one path in one block of depths.
std::vector<AttentionRun> ForestState::Impl::plan(std::span<const int64_t> rows) const {
  std::vector<AttentionRun> runs;
  for (size_t i = 0; i < rows.size(); ++i) {
    const QueuedRow& row = queue_[rows[i]];
    if (i > 0) {
      const QueuedRow& before = queue_[rows[i - 1]];
      if (row.segment == before.segment && row.depth == before.depth + 1 && row.depth % kPageTokens != 0) {
        ++runs.back().rows;
        continue;
      }
    }
    runs.push_back({static_cast<int64_t>(i), 1, row.depth, segments_[row.segment].data()});
  }
  return runs;
}

// x += delta, out = norm(x) * weight.
void ForestState::Impl::norm(at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, at::Tensor& out) const {
  const int64_t columns = x.size(1);
  void* values = x.mutable_data_ptr();
  const void* change = delta.defined() ? delta.const_data_ptr() : nullptr;
  void* to = out.mutable_data_ptr();
  at::parallel_for(0, x.size(0), grain(columns), [&](int64_t begin, int64_t end) {
    kernels_.add_norm(values, change, weight.const_data_ptr(), to, columns, config_.rms_eps, begin, end);
  });
}

void ForestState::Impl::write_keys(at::Tensor& qkv, int64_t layer) {
  const RopeArgs args = {qkv.mutable_data_ptr(),    config_.heads,  pool_.shape(),
                         pool_.layer_offset(layer), places_.data(), angles_.const_data_ptr()};
  at::parallel_for(0, queued(), grain(qkv.size(1)),
                   [&](int64_t begin, int64_t end) { kernels_.rope(args, begin, end); });
  for (const PageCopy& copy : copies_) pool_.copy(copy.from, copy.to, layer, copy.slots);
}

at::Tensor ForestState::Impl::attend(const at::Tensor& query, std::span<const AttentionRun> runs, int64_t layer) const {
  at::Tensor out = buffer(query.size(0), config_.q_size());
  const AttentionArgs args = {query.const_data_ptr(), query.stride(0), out.mutable_data_ptr(),
                              config_.heads,          pool_.shape(),   pool_.layer_offset(layer)};
  const int64_t used = runs.empty() ? 0 : runs.back().row + runs.back().rows;
  const int64_t row_bytes = config_.q_size() * static_cast<int64_t>(out.element_size());
  std::memset(static_cast<std::byte*>(args.out) + used * row_bytes, 0, (out.size(0) - used) * row_bytes);
  // Runs differ much in cost, so threads take them one at a time.
  const auto jobs = static_cast<int64_t>(runs.size()) * config_.kv_heads;
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min<int64_t>(at::get_num_threads(), jobs), 1, [&](int64_t, int64_t) {
    for (int64_t job = next++; job < jobs; job = next++) {
      kernels_.attention(args, runs[job / config_.kv_heads], job % config_.kv_heads);
    }
  });
  return out;
}

at::Tensor ForestState::Impl::feed_forward(const LayerWeights& layer, const at::Tensor& h) const {
  const at::Tensor both = layer.gate_up.forward(h);
  at::Tensor active = buffer(h.size(0), config_.ffn_size);
  void* to = active.mutable_data_ptr();
  at::parallel_for(0, h.size(0), grain(config_.ffn_size), [&](int64_t begin, int64_t end) {
    kernels_.gated_silu(both.const_data_ptr(), to, config_.ffn_size, begin, end);
  });
  return layer.down.forward(active);
}

at::Tensor ForestState::Impl::run() {
  std::vector<int64_t> all;
  std::vector<int64_t> wanted;
  for (int64_t i = 0; i < queued(); ++i) {
    all.push_back(i);
    if (queue_[i].wanted) wanted.push_back(i);
  }
  if (all.empty()) return buffer(0, config_.hidden_size);
  grow_angles();
  place_rows();
  std::vector<AttentionRun> runs = plan(all);
  at::Tensor x = embed();
  at::Tensor h = buffer(x.size(0), x.size(1));
  at::Tensor delta;
  const Weights& weights = model_.weights();
  for (int64_t i = 0; i < config_.layers; ++i) {
    const LayerWeights& layer = weights.layers[i];
    norm(x, delta, layer.attention_norm, h);
    at::Tensor query = layer.qkv.forward(h);
    write_keys(query, i);
    if (i + 1 == config_.layers) {
      // Nothing reads the last layer but its keys and values, and the rows asked for.
      if (wanted.empty()) break;
      runs = plan(wanted);
      query = gather(query, wanted);
      x = gather(x, wanted);
      h = buffer(x.size(0), x.size(1));
    }
    norm(x, layer.out.forward(attend(query, runs, i)), layer.mlp_norm, h);
    delta = feed_forward(layer, h);
  }
  finish_queue();
  if (wanted.empty()) return buffer(0, config_.hidden_size);
  norm(x, delta, weights.final_norm, h);
  return h.slice(0, 0, static_cast<int64_t>(wanted.size()));
}

ForestState::ForestState(const Transformer& model) : impl_(std::make_unique<Impl>(model)) {}
ForestState::~ForestState() = default;

PathHandle ForestState::root() { return impl_->add({}); }
PathHandle ForestState::branch(PathHandle path, int32_t length) { return impl_->branch(path, length); }
void ForestState::release(PathHandle path) { impl_->release(path); }
int32_t ForestState::length(PathHandle path) const { return impl_->at(path).length; }

void ForestState::append(PathHandle path, std::span<const int32_t> tokens, std::span<const int32_t> wanted) {
  impl_->append(path, tokens, wanted);
}

void ForestState::append_one(PathHandle path, int32_t token) {
  const int32_t first = 0;
  impl_->append(path, {&token, 1}, {&first, 1});
}

at::Tensor ForestState::run() { return impl_->run(); }
int64_t ForestState::queued() const { return impl_->queued(); }
int64_t ForestState::tokens_computed() const { return impl_->computed(); }
int64_t ForestState::pages_live() const { return impl_->pages_live(); }

}  // namespace merit::nn
