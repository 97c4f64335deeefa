#include "merit/nn/forest_forward.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros_like.h>

#include <limits>
#include <map>

#include "merit/nn/feed_forward.h"
#include "merit/nn/rope_angles.h"

namespace merit::nn {
namespace {

// Pieces of the last dimension, each normalised by itself: x [.., width].
at::Tensor norm(const ModelConfig& config, at::Tensor x, const NormWeights& weights) {
  if (!weights.weight.defined()) return x;
  const at::ScalarType dtype = x.scalar_type();
  x = x.to(weights.weight.scalar_type());
  if (config.norm == NormKind::kLayer) x = x - x.mean(-1, true);
  x = x * at::rsqrt(x.square().mean(-1, true) + config.norm_eps) * weights.weight;
  if (weights.bias.defined()) x = x + weights.bias;
  return x.to(dtype);
}

struct Angles {
  at::Tensor cosine;  // [tokens, 1, dim / 2]
  at::Tensor sine;
};

Angles angles(const Rope& rope, const Forest& forest, at::ScalarType dtype) {
  if (rope.dim == 0) return {};
  const at::ScalarType table_type = dtype == at::kDouble ? at::kDouble : at::kFloat;
  std::map<int64_t, int64_t> positions;  // by regime
  for (const ForestNode& node : forest.nodes) {
    int64_t& most = positions[node.regime];
    most = std::max<int64_t>(most, node.depth + node.length);
  }
  std::map<int64_t, at::Tensor> tables;
  for (const auto& [regime, count] : positions) tables[regime] = angle_table(rope, regime, count, table_type);
  std::vector<at::Tensor> rows;
  for (const ForestNode& node : forest.nodes) {
    rows.push_back(tables[node.regime].slice(0, node.depth, node.depth + node.length));
  }
  const at::Tensor all = at::cat(rows, 0).to(dtype).unsqueeze(1);
  return {all.slice(2, 0, rope.dim / 2), all.slice(2, rope.dim / 2)};
}

// x [tokens, heads, head_dim]
at::Tensor rotate(const at::Tensor& x, const Angles& angles) {
  if (!angles.cosine.defined()) return x;
  const int64_t half = angles.cosine.size(2);
  const at::Tensor a = x.slice(2, 0, half);
  const at::Tensor b = x.slice(2, half, 2 * half);
  return at::cat({a * angles.cosine - b * angles.sine, b * angles.cosine + a * angles.sine, x.slice(2, 2 * half)}, 2);
}

// 0 where the row's path holds the column, at most window - 1 tokens before (window 0: at any depth), -infinity
// elsewhere: [tokens, tokens].
at::Tensor ancestor_mask(const Forest& forest, int64_t window, at::ScalarType dtype) {
  const auto tokens = static_cast<int64_t>(forest.tokens.size());
  at::Tensor mask = at::full({tokens, tokens}, -std::numeric_limits<double>::infinity(), at::kDouble);
  auto* values = mask.mutable_data_ptr<double>();
  for (const ForestNode& node : forest.nodes) {
    for (int32_t i = 0; i < node.length; ++i) {
      double* row = values + (node.begin + i) * tokens;
      const int64_t depth = node.depth + i;
      const int64_t first = window > 0 ? depth - window + 1 : 0;
      for (int32_t j = 0; j <= i; ++j) {
        if (node.depth + j >= first) row[node.begin + j] = 0;
      }
      for (int32_t up = node.parent; up >= 0; up = forest.nodes[up].parent) {
        const ForestNode& above = forest.nodes[up];
        for (int32_t j = 0; j < above.length; ++j) {
          if (above.depth + j >= first) row[above.begin + j] = 0;
        }
      }
    }
  }
  return mask.to(dtype);
}

// What layers of one kind share.
struct Context {
  Angles turn;
  at::Tensor mask;
};

at::Tensor attention(const ModelConfig& config, const LayerWeights& layer, const at::Tensor& qkv,
                     const Context& context) {
  const int64_t tokens = qkv.size(0);
  const int64_t q = config.q_size();
  const int64_t kv = config.kv_size();
  const int64_t group = config.heads / config.kv_heads;
  auto heads = [&](const at::Tensor& x, int64_t count) { return x.reshape({tokens, count, config.head_dim}); };
  at::Tensor query = qkv.slice(1, 0, q);
  at::Tensor key = qkv.slice(1, q, q + kv);
  if (config.qk_norm == QkNorm::kHead) {
    query = heads(query, config.heads);
    key = heads(key, config.kv_heads);
  }
  query = heads(norm(config, query, layer.query_norm), config.heads);
  key = heads(norm(config, key, layer.key_norm), config.kv_heads);
  query = rotate(query, context.turn).transpose(0, 1);
  key = rotate(key, context.turn).transpose(0, 1).repeat_interleave(group, 0);
  const at::Tensor value =
      heads(qkv.slice(1, q + kv, q + 2 * kv), config.kv_heads).transpose(0, 1).repeat_interleave(group, 0);
  at::Tensor scores = at::matmul(query, key.transpose(1, 2)) * config.score_scale();
  if (config.attention_softcap > 0) {
    scores = at::tanh(scores / config.attention_softcap) * config.attention_softcap;
  }
  const at::Tensor weights = at::softmax(scores + context.mask, -1);
  return at::matmul(weights, value).transpose(0, 1).reshape({tokens, q});
}

at::Tensor product(const Linear& linear, const at::Tensor& x) { return at::linear(x, linear.weight(), linear.bias()); }

at::Tensor activated(const at::Tensor& x, Activation kind) {
  switch (kind) {
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
  }
  return x;
}

at::Tensor dense(const ModelConfig& config, const Linear& gate_up, const Linear& down, const at::Tensor& h) {
  const at::Tensor in = product(gate_up, h);
  const int64_t columns = down.in_features();
  const at::Tensor active = activated(in.slice(1, 0, columns), config.activation);
  return product(down, config.gated ? active * in.slice(1, columns) : active);
}

at::Tensor sparse(const ModelConfig& config, const LayerWeights& layer, const at::Tensor& h) {
  const at::Tensor logits = product(layer.router, h);
  const at::Tensor chosen_by = logits.detach().to(at::kDouble).contiguous();
  // 0 for the experts a row goes to; -infinity for the others, if only the former share the probability.
  at::Tensor others = at::full(logits.sizes(), -std::numeric_limits<double>::infinity(), at::kDouble);
  std::vector<std::vector<int64_t>> rows(static_cast<size_t>(config.experts));
  for (int64_t row = 0; row < h.size(0); ++row) {
    const std::span<const double> line(chosen_by.const_data_ptr<double>() + row * config.experts,
                                       static_cast<size_t>(config.experts));
    for (const ExpertChoice& choice : choose_experts(line, config.experts_used, config.experts_normalised)) {
      others.mutable_data_ptr<double>()[row * config.experts + choice.expert] = 0;
      rows[static_cast<size_t>(choice.expert)].push_back(row);
    }
  }
  const at::Tensor probabilities =
      at::softmax(config.experts_normalised ? logits + others.to(logits.scalar_type()) : logits, -1);
  at::Tensor out = at::zeros_like(h);
  for (size_t e = 0; e < rows.size(); ++e) {
    if (rows[e].empty()) continue;
    at::Tensor index = at::empty({static_cast<int64_t>(rows[e].size())}, at::kLong);
    std::copy(rows[e].begin(), rows[e].end(), index.mutable_data_ptr<int64_t>());
    const at::Tensor weight = at::index_select(probabilities.select(1, static_cast<int64_t>(e)), 0, index);
    const ExpertWeights& expert = layer.experts[e];
    const at::Tensor got = dense(config, expert.gate_up, expert.down, at::index_select(h, 0, index));
    out = at::index_add(out, 0, index, got * weight.unsqueeze(1));
  }
  return out;
}

at::Tensor block(const ModelConfig& config, const LayerWeights& layer, int64_t number, const at::Tensor& x,
                 const Context& context) {
  const at::Tensor qkv = product(layer.qkv, norm(config, x, layer.attention_norm));
  const at::Tensor attended =
      norm(config, product(layer.out, attention(config, layer, qkv, context)), layer.attention_post_norm);
  const at::Tensor middle = x + attended * config.residual_scale;
  const at::Tensor in = norm(config, config.parallel ? x : middle, layer.mlp_norm);
  const at::Tensor fed =
      config.is_sparse(number) ? sparse(config, layer, in) : dense(config, layer.gate_up, layer.down, in);
  return middle + norm(config, fed, layer.mlp_post_norm) * config.residual_scale;
}

at::Tensor embed(const ModelConfig& config, const Weights& weights, const Forest& forest) {
  const auto tokens = static_cast<int64_t>(forest.tokens.size());
  at::Tensor ids = at::empty({tokens}, at::kLong);
  at::Tensor depths = at::empty({tokens}, at::kLong);
  for (const ForestNode& node : forest.nodes) {
    for (int64_t i = 0; i < node.length; ++i) {
      ids.mutable_data_ptr<int64_t>()[node.begin + i] = forest.tokens[node.begin + i];
      depths.mutable_data_ptr<int64_t>()[node.begin + i] = node.depth + i;
    }
  }
  at::Tensor x = at::index_select(weights.embedding.dense(), 0, ids);
  if (config.embedding_scale != 1) x = x * embedding_scale(config, weights.dtype());
  return config.learned_positions ? x + at::index_select(weights.positions, 0, depths) : x;
}

}  // namespace

at::Tensor forest_forward(const ModelConfig& config, const Weights& weights, const Forest& forest) {
  const at::ScalarType dtype = weights.dtype();
  const Context full = {angles(config.rope, forest, dtype), ancestor_mask(forest, 0, dtype)};
  Context sliding = full;
  if (config.window > 0) sliding.mask = ancestor_mask(forest, config.window, dtype);
  if (config.local_rope) {
    // One table for all regimes: no local rope has any.
    Forest plain = forest;
    for (ForestNode& node : plain.nodes) node.regime = 0;
    sliding.turn = angles(*config.local_rope, plain, dtype);
  }
  at::Tensor x = embed(config, weights, forest);
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const auto number = static_cast<int64_t>(i);
    x = block(config, weights.layers[i], number, x, config.is_sliding(number) ? sliding : full);
  }
  return norm(config, x, weights.final_norm);
}

}  // namespace merit::nn
