#include "merit/nn/engine.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <vector>

#include "merit/core/error.h"
#include "merit/nn/feed_forward.h"
#include "merit/nn/pages.h"
#include "merit/nn/rope_angles.h"

namespace merit::nn {
namespace {

struct Path {
  std::vector<int32_t> pages;
  int32_t length = 0;
  int64_t regime = 0;
  bool live = false;
};

struct QueuedRow {
  int32_t token;
  int32_t depth;
  int32_t page;
  int32_t segment;  // which append call queued it
  int64_t regime;
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
      : model_(model),
        config_(model.config()),
        kernels_(kernels(model.dtype())),
        pool_(config_, model.dtype()),
        angles_(config_.rope, config_.max_positions, model.dtype()) {
    if (config_.local_rope) local_angles_.emplace(*config_.local_rope, config_.max_positions, model.dtype());
  }

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
  std::vector<AttentionRun> plan(std::span<const int64_t> rows) const;

  at::Tensor buffer(int64_t rows, int64_t columns) const;
  at::Tensor gather(const at::Tensor& from, std::span<const int64_t> rows) const;
  const at::Tensor& norm(at::Tensor& x, const at::Tensor& delta, const NormWeights& weights, at::Tensor& out) const;
  void norm_heads(at::Tensor& qkv, const LayerWeights& layer) const;
  void write_keys(at::Tensor& qkv, int64_t layer);
  at::Tensor attend(const at::Tensor& query, std::span<const AttentionRun> runs, int64_t layer) const;
  at::Tensor added(at::Tensor x, const NormWeights& post) const;

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

  RopeAngles angles_;
  std::optional<RopeAngles> local_angles_;
  std::vector<RowPlace> places_;
  std::vector<const void*> row_angles_;        // of each queued row
  std::vector<const void*> row_local_angles_;  // in sliding layers, where they turn by others
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
  path.regime = from.regime;
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
    queue_.push_back({tokens[i], path.length, path.pages.back(), segment, path.regime, want});
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
  at::Tensor tokens = at::empty({queued()}, at::kLong);
  std::vector<int64_t> depths;
  for (int64_t i = 0; i < queued(); ++i) {
    tokens.mutable_data_ptr<int64_t>()[i] = queue_[i].token;
    depths.push_back(queue_[i].depth);
  }
  at::Tensor x = pad_rows(model_.weights().embedding.gather(tokens));
  if (config_.embedding_scale != 1) x.mul_(embedding_scale(config_, model_.dtype()));
  if (config_.learned_positions) x.add_(gather(model_.weights().positions, depths));
  return x;
}

void ForestState::Impl::place_rows() {
  places_.clear();
  row_angles_.clear();
  row_local_angles_.clear();
  angles_.begin();
  if (local_angles_) local_angles_->begin();
  for (const QueuedRow& row : queue_) {
    places_.push_back({row.depth, pool_.base(row.page)});
    if (angles_.pairs() > 0) row_angles_.push_back(angles_.at(row.regime, row.depth));
    if (local_angles_) row_local_angles_.push_back(local_angles_->at(0, row.depth));
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

// x += delta; returns norm(x), in `out`, or x itself where the model has no norm here.
const at::Tensor& ForestState::Impl::norm(at::Tensor& x, const at::Tensor& delta, const NormWeights& weights,
                                          at::Tensor& out) const {
  const bool normed = weights.weight.defined();
  if (!normed && !delta.defined()) return x;
  const int64_t columns = x.size(1);
  NormArgs args;
  args.x = x.mutable_data_ptr();
  args.delta = delta.defined() ? delta.const_data_ptr() : nullptr;
  args.weight = normed ? weights.weight.const_data_ptr() : nullptr;
  args.bias = weights.bias.defined() ? weights.bias.const_data_ptr() : nullptr;
  args.out = out.mutable_data_ptr();
  args.stride = args.columns = columns;
  args.eps = config_.norm_eps;
  args.centred = config_.norm == NormKind::kLayer;
  at::parallel_for(0, x.size(0), grain(columns), [&](int64_t begin, int64_t end) { kernels_.norm(args, begin, end); });
  return normed ? out : x;
}

// Queries and keys of whole rows, in place.
void ForestState::Impl::norm_heads(at::Tensor& qkv, const LayerWeights& layer) const {
  const bool whole = config_.qk_norm == QkNorm::kWhole;
  NormArgs args;
  args.stride = qkv.size(1);
  args.eps = config_.norm_eps;
  auto run = [&](const at::Tensor& weight, int64_t first, int64_t heads) {
    args.x = args.out = static_cast<std::byte*>(qkv.mutable_data_ptr()) + first * qkv.element_size();
    args.weight = weight.const_data_ptr();
    args.groups = whole ? 1 : heads;
    args.columns = whole ? heads * config_.head_dim : config_.head_dim;
    at::parallel_for(0, queued(), grain(heads * config_.head_dim),
                     [&](int64_t begin, int64_t end) { kernels_.norm(args, begin, end); });
  };
  run(layer.query_norm.weight, 0, config_.heads);
  run(layer.key_norm.weight, config_.q_size(), config_.kv_heads);
}

void ForestState::Impl::write_keys(at::Tensor& qkv, int64_t layer) {
  if (config_.qk_norm != QkNorm::kNone) norm_heads(qkv, model_.weights().layers[layer]);
  const bool local = local_angles_ && config_.is_sliding(layer);
  const RopeArgs args = {
      qkv.mutable_data_ptr(),        config_.heads,  pool_.shape(),
      pool_.layer_offset(layer),     places_.data(), local ? row_local_angles_.data() : row_angles_.data(),
      config_.rope_of(layer).dim / 2};
  at::parallel_for(0, queued(), grain(qkv.size(1)),
                   [&](int64_t begin, int64_t end) { kernels_.rope(args, begin, end); });
  for (const PageCopy& copy : copies_) pool_.copy(copy.from, copy.to, layer, copy.slots);
}

at::Tensor ForestState::Impl::attend(const at::Tensor& query, std::span<const AttentionRun> runs, int64_t layer) const {
  at::Tensor out = buffer(query.size(0), config_.q_size());
  AttentionArgs args = {query.const_data_ptr(), query.stride(0), out.mutable_data_ptr(),
                        config_.heads,          pool_.shape(),   pool_.layer_offset(layer)};
  args.scale = config_.score_scale();
  args.softcap = config_.attention_softcap;
  // A window as long as any path is none.
  if (config_.is_sliding(layer) && config_.window < config_.max_positions) {
    args.window = static_cast<int32_t>(config_.window);
  }
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

// What a block adds to the residual.
at::Tensor ForestState::Impl::added(at::Tensor x, const NormWeights& post) const {
  if (post.weight.defined()) norm(x, {}, post, x);
  if (config_.residual_scale != 1) x.mul_(config_.residual_scale);
  return x;
}

at::Tensor ForestState::Impl::run() {
  std::vector<int64_t> all;
  std::vector<int64_t> wanted;
  for (int64_t i = 0; i < queued(); ++i) {
    all.push_back(i);
    if (queue_[i].wanted) wanted.push_back(i);
  }
  if (all.empty()) return buffer(0, config_.hidden_size);
  place_rows();
  std::vector<AttentionRun> runs = plan(all);
  at::Tensor x = embed();
  at::Tensor h = buffer(x.size(0), x.size(1));
  at::Tensor delta;
  int64_t rows = queued();
  const Weights& weights = model_.weights();
  for (int64_t i = 0; i < config_.layers; ++i) {
    const LayerWeights& layer = weights.layers[i];
    at::Tensor query = layer.qkv.forward(norm(x, delta, layer.attention_norm, h));
    write_keys(query, i);
    if (i + 1 == config_.layers) {
      // Nothing reads the last layer but its keys and values, and the rows asked for.
      if (wanted.empty()) break;
      runs = plan(wanted);
      query = gather(query, wanted);
      x = gather(x, wanted);
      h = buffer(x.size(0), x.size(1));
      rows = static_cast<int64_t>(wanted.size());
    }
    at::Tensor attended = added(layer.out.forward(attend(query, runs, i)), layer.attention_post_norm);
    const at::Tensor& in = norm(x, config_.parallel ? at::Tensor() : attended, layer.mlp_norm, h);
    delta = added(feed_forward(config_, layer, i, in, rows), layer.mlp_post_norm);
    if (config_.parallel) delta.add_(attended);
  }
  finish_queue();
  if (wanted.empty()) return buffer(0, config_.hidden_size);
  norm(x, delta, weights.final_norm, h);
  return h.slice(0, 0, static_cast<int64_t>(wanted.size()));
}

ForestState::ForestState(const Transformer& model) : impl_(std::make_unique<Impl>(model)) {}
ForestState::~ForestState() = default;

PathHandle ForestState::root(int64_t regime) {
  Path path;
  path.regime = regime;
  return impl_->add(std::move(path));
}
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
