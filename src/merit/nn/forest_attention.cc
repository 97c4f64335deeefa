#include "merit/nn/forest_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace merit::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kBlockRows = 128;  // query rows whose scores are held at once

struct Span {
  int64_t begin;
  int64_t end;
};

// The rows of a block of one node, and the keys they see: those of depths [first, first + keys).
struct Block {
  Span rows;
  int64_t depth;  // of the first row
  int64_t first;
  int64_t keys;
};

// The keys of one node's rows: where the depths [first, ..) of its path lie.
struct NodeKeys {
  int64_t first = 0;
  std::vector<Span> spans;  // in order of depth
};

NodeKeys keys_of(const Forest& forest, const ForestNode& node, int64_t window) {
  NodeKeys keys;
  if (window > 0) keys.first = std::max<int64_t>(0, node.depth + 1 - window);
  keys.spans.push_back({node.begin, node.begin + node.length});
  for (int32_t up = node.parent; up >= 0; up = forest.nodes[up].parent) {
    const ForestNode& above = forest.nodes[up];
    if (above.depth + above.length <= keys.first) break;
    keys.spans.push_back({above.begin + std::max<int64_t>(0, keys.first - above.depth), above.begin + above.length});
  }
  std::reverse(keys.spans.begin(), keys.spans.end());
  return keys;
}

std::vector<Block> blocks_of(const ForestNode& node, const NodeKeys& keys, int64_t window) {
  std::vector<Block> blocks;
  for (int64_t row = 0; row < node.length; row += kBlockRows) {
    const int64_t end = std::min<int64_t>(node.length, row + kBlockRows);
    const int64_t depth = node.depth + row;
    const int64_t first = window > 0 ? std::max(keys.first, depth + 1 - window) : 0;
    blocks.push_back({{node.begin + row, node.begin + end}, depth, first, node.depth + end - first});
  }
  return blocks;
}

// [rows, kv_heads, d] of the spans -> [kv_heads, keys, d]
at::Tensor gather(const at::Tensor& x, const NodeKeys& keys) {
  std::vector<at::Tensor> parts;
  for (const Span& span : keys.spans) parts.push_back(x.slice(0, span.begin, span.end));
  return at::cat(parts, 0).transpose(0, 1).contiguous();
}

// 0 where row i of the block sees key j, -infinity elsewhere: [rows, keys].
at::Tensor mask_of(const Block& block, int64_t window, at::ScalarType dtype) {
  const int64_t rows = block.rows.end - block.rows.begin;
  at::Tensor mask = at::full({rows, block.keys}, -std::numeric_limits<double>::infinity(), at::kFloat);
  float* values = mask.mutable_data_ptr<float>();
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t depth = block.depth + i;
    const int64_t from = window > 0 ? std::max<int64_t>(0, depth + 1 - window - block.first) : 0;
    std::fill(values + i * block.keys + from, values + i * block.keys + depth + 1 - block.first, 0.0f);
  }
  return mask.to(dtype);
}

// What forward and backward share: the tensors laid out by key-value head.
class Work {
 public:
  Work(const at::Tensor& query, const at::Tensor& key, const ForestAttention& options)
      : options_(options), kv_heads_(key.size(1)), group_(query.size(1) / key.size(1)), dim_(query.size(2)) {}

  // [tokens, heads, d] -> [kv_heads, group * rows, d]
  at::Tensor rows(const at::Tensor& x, const Span& span) const {
    return x.slice(0, span.begin, span.end)
        .reshape({span.end - span.begin, kv_heads_, group_, dim_})
        .permute({1, 2, 0, 3})
        .reshape({kv_heads_, group_ * (span.end - span.begin), dim_});
  }
  // The way back.
  void put(const at::Tensor& x, const Span& span, at::Tensor& to) const {
    const int64_t count = span.end - span.begin;
    to.slice(0, span.begin, span.end)
        .view({count, kv_heads_, group_, dim_})
        .copy_(x.view({kv_heads_, group_, count, dim_}).permute({2, 0, 1, 3}));
  }
  // Scores under the mask [kv_heads, group * rows, keys]; `bent` is tanh(s / softcap) where there is a cap.
  at::Tensor scores(const at::Tensor& q, const at::Tensor& k, const Block& block, at::Tensor* bent = nullptr) const {
    at::Tensor s = at::bmm(q, k.transpose(1, 2)).mul_(options_.scale);
    if (options_.softcap > 0) {
      s = at::tanh(s / options_.softcap);
      if (bent) *bent = s;
      s = s * options_.softcap;
    }
    const int64_t count = block.rows.end - block.rows.begin;
    s.view({kv_heads_ * group_, count, block.keys}).add_(mask_of(block, options_.window, s.scalar_type()));
    return s;
  }
  // Keys of the node that the block sees.
  static at::Tensor seen(const at::Tensor& keys, const NodeKeys& node, const Block& block) {
    return keys.narrow(1, block.first - node.first, block.keys);
  }

 private:
  const ForestAttention& options_;
  int64_t kv_heads_, group_, dim_;
};

struct Plan : torch::CustomClassHolder {
  Plan(std::shared_ptr<const Forest> forest, const ForestAttention& options)
      : forest(std::move(forest)), options(options) {}
  std::shared_ptr<const Forest> forest;
  ForestAttention options;
};

class Function : public torch::autograd::Function<Function> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value, const c10::intrusive_ptr<Plan>& plan) {
    const Work work(query, key, plan->options);
    const int64_t tokens = query.size(0);
    at::Tensor out = at::empty(query.sizes(), query.options());
    std::vector<at::Tensor> sums;  // log-sum-exp of each block's rows
    for (const ForestNode& node : plan->forest->nodes) {
      const NodeKeys keys = keys_of(*plan->forest, node, plan->options.window);
      const at::Tensor k = gather(key, keys), v = gather(value, keys);
      for (const Block& block : blocks_of(node, keys, plan->options.window)) {
        at::Tensor s = work.scores(work.rows(query, block.rows), Work::seen(k, keys, block), block);
        const at::Tensor lse = at::logsumexp(s, {-1}, true);
        work.put(at::bmm(s.sub_(lse).exp_(), Work::seen(v, keys, block)), block.rows, out);
        sums.push_back(lse);
      }
    }
    variable_list saved = {query, key, value, out};
    saved.insert(saved.end(), sums.begin(), sums.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return out.view({tokens, query.size(1) * query.size(2)});
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &query = saved[0], &key = saved[1], &value = saved[2], &out = saved[3];
    const auto plan = c10::static_intrusive_pointer_cast<Plan>(context->saved_data["plan"].toCapsule());
    const Work work(query, key, plan->options);
    const at::Tensor grad = grads[0].reshape(query.sizes());
    at::Tensor d_query = at::empty(query.sizes(), query.options());
    at::Tensor d_key = at::zeros(key.sizes(), key.options());
    at::Tensor d_value = at::zeros(value.sizes(), value.options());
    size_t next = 4;
    for (const ForestNode& node : plan->forest->nodes) {
      const NodeKeys keys = keys_of(*plan->forest, node, plan->options.window);
      const at::Tensor k = gather(key, keys), v = gather(value, keys);
      at::Tensor dk = at::zeros(k.sizes(), k.options()), dv = at::zeros(v.sizes(), v.options());
      for (const Block& block : blocks_of(node, keys, plan->options.window)) {
        const at::Tensor q = work.rows(query, block.rows), g = work.rows(grad, block.rows);
        const at::Tensor seen_k = Work::seen(k, keys, block), seen_v = Work::seen(v, keys, block);
        at::Tensor bent;
        const at::Tensor p = work.scores(q, seen_k, block, &bent).sub_(saved[next++]).exp_();
        Work::seen(dv, keys, block).add_(at::bmm(p.transpose(1, 2), g));
        const at::Tensor dot = (g * work.rows(out, block.rows)).sum(-1, true);
        at::Tensor ds = at::bmm(g, seen_v.transpose(1, 2)).sub_(dot).mul_(p).mul_(plan->options.scale);
        if (bent.defined()) ds.mul_(1 - bent * bent);
        work.put(at::bmm(ds, seen_k), block.rows, d_query);
        Work::seen(dk, keys, block).add_(at::bmm(ds.transpose(1, 2), q));
      }
      int64_t at = 0;
      for (const Span& span : keys.spans) {
        const int64_t count = span.end - span.begin;
        d_key.slice(0, span.begin, span.end).add_(dk.narrow(1, at, count).transpose(0, 1));
        d_value.slice(0, span.begin, span.end).add_(dv.narrow(1, at, count).transpose(0, 1));
        at += count;
      }
    }
    return {d_query, d_key, d_value, at::Tensor()};
  }
};

}  // namespace

at::Tensor forest_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            std::shared_ptr<const Forest> forest, const ForestAttention& options) {
  const at::ScalarType dtype = query.scalar_type();
  const at::ScalarType wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
  return Function::apply(query.to(wide), key.to(wide), value.to(wide),
                         c10::make_intrusive<Plan>(std::move(forest), options))
      .to(dtype);
}

}  // namespace merit::nn
