#include "merit/nn/forest_forward.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>

#include <limits>
#include <map>
#include <memory>

#include "merit/nn/feed_forward.h"
#include "merit/nn/forest_attention.h"
#include "merit/nn/recompute.h"
#include "merit/nn/rope_angles.h"
#include "merit/nn/train_ops.h"

namespace merit::nn {
namespace {

// Pieces of the last dimension, each normalised by itself: x [.., width].
at::Tensor norm(const ModelConfig& config, const at::Tensor& x, const NormWeights& weights) {
  if (!weights.weight.defined()) return x;
  if (config.norm == NormKind::kRms) return rms_norm(x, weights.weight, config.norm_eps);
  const at::Tensor wide = x.to(weights.weight.scalar_type());
  return at::layer_norm(wide, weights.weight.sizes(), weights.weight, weights.bias, config.norm_eps)
      .to(x.scalar_type());
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

// One layer's way through the model, and what layers share.
class Pass {
 public:
  Pass(const ModelConfig& config, const Weights& weights, const Forest& forest, at::ScalarType dtype,
       const ForwardOptions& options)
      : config_(config),
        weights_(weights),
        forest_(std::make_shared<const Forest>(forest)),
        dtype_(dtype),
        options_(options) {
    angles_ = angles(config.rope, forest, dtype);
    if (config.local_rope) {
      // One table for all regimes: no local rope has any.
      Forest plain = forest;
      for (ForestNode& node : plain.nodes) node.regime = 0;
      local_angles_ = angles(*config.local_rope, plain, dtype);
    }
  }

  at::Tensor embed() const;
  at::Tensor block(int64_t number, const at::Tensor& x) const;

 private:
  at::Tensor product(const Linear& linear, const at::Tensor& x, const MatrixPlace& place) const {
    static const Adapter kNone;
    return adapted_product(linear, x, (options_.adapter ? *options_.adapter : kNone).at(place));
  }
  at::Tensor attention(const LayerWeights& layer, int64_t number, const at::Tensor& qkv) const;
  at::Tensor dense(const Linear& gate_up, const Linear& down, const at::Tensor& h, MatrixPlace up,
                   MatrixPlace out) const {
    return product(down, activated(product(gate_up, h, up), config_.activation, config_.gated), out);
  }
  at::Tensor sparse(const LayerWeights& layer, int64_t number, const at::Tensor& h) const;

  const ModelConfig& config_;
  const Weights& weights_;
  std::shared_ptr<const Forest> forest_;
  at::ScalarType dtype_;
  ForwardOptions options_;
  Angles angles_;
  Angles local_angles_;
};

at::Tensor Pass::attention(const LayerWeights& layer, int64_t number, const at::Tensor& qkv) const {
  const int64_t tokens = qkv.size(0);
  const int64_t q = config_.q_size();
  const int64_t kv = config_.kv_size();
  auto heads = [&](const at::Tensor& x, int64_t count) { return x.reshape({tokens, count, config_.head_dim}); };
  at::Tensor query = qkv.slice(1, 0, q);
  at::Tensor key = qkv.slice(1, q, q + kv);
  if (config_.qk_norm == QkNorm::kHead) {
    query = heads(query, config_.heads);
    key = heads(key, config_.kv_heads);
  }
  const bool sliding = config_.is_sliding(number);
  const Angles& turn = sliding && config_.local_rope ? local_angles_ : angles_;
  query = rotate(heads(norm(config_, query, layer.query_norm), config_.heads), turn);
  key = rotate(heads(norm(config_, key, layer.key_norm), config_.kv_heads), turn);
  const at::Tensor value = heads(qkv.slice(1, q + kv, q + 2 * kv), config_.kv_heads);
  return forest_attention(query, key, value, forest_,
                          {config_.score_scale(), config_.attention_softcap, sliding ? config_.window : 0});
}

at::Tensor Pass::sparse(const LayerWeights& layer, int64_t number, const at::Tensor& h) const {
  const ModelConfig& config = config_;
  const at::Tensor logits = product(layer.router, h, {Slot::kRouter, number});
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
    const auto e_number = static_cast<int64_t>(e);
    const at::Tensor got = dense(expert.gate_up, expert.down, at::index_select(h, 0, index),
                                 {Slot::kExpertGateUp, number, e_number}, {Slot::kExpertDown, number, e_number});
    out = at::index_add(out, 0, index, got * weight.unsqueeze(1));
  }
  return out;
}

at::Tensor Pass::block(int64_t number, const at::Tensor& x) const {
  const LayerWeights& layer = weights_.layers[static_cast<size_t>(number)];
  const at::Tensor qkv = product(layer.qkv, norm(config_, x, layer.attention_norm), {Slot::kQkv, number});
  const at::Tensor attended =
      norm(config_, product(layer.out, attention(layer, number, qkv), {Slot::kOut, number}), layer.attention_post_norm);
  const bool plain = config_.residual_scale == 1;
  const at::Tensor middle = x + (plain ? attended : attended * config_.residual_scale);
  const at::Tensor in = norm(config_, config_.parallel ? x : middle, layer.mlp_norm);
  const at::Tensor fed = norm(
      config_,
      config_.is_sparse(number) ? sparse(layer, number, in)
                                : dense(layer.gate_up, layer.down, in, {Slot::kGateUp, number}, {Slot::kDown, number}),
      layer.mlp_post_norm);
  return middle + (plain ? fed : fed * config_.residual_scale);
}

at::Tensor Pass::embed() const {
  const auto tokens = static_cast<int64_t>(forest_->tokens.size());
  at::Tensor ids = at::empty({tokens}, at::kLong);
  at::Tensor depths = at::empty({tokens}, at::kLong);
  for (const ForestNode& node : forest_->nodes) {
    for (int64_t i = 0; i < node.length; ++i) {
      ids.mutable_data_ptr<int64_t>()[node.begin + i] = forest_->tokens[node.begin + i];
      depths.mutable_data_ptr<int64_t>()[node.begin + i] = node.depth + i;
    }
  }
  at::Tensor x = weights_.embedding.gather(ids).to(dtype_);
  if (config_.embedding_scale != 1) x = x * embedding_scale(config_, dtype_);
  return config_.learned_positions ? x + at::index_select(weights_.positions, 0, depths).to(dtype_) : x;
}

}  // namespace

at::Tensor forest_forward(const ModelConfig& config, const Weights& weights, const Forest& forest, at::ScalarType dtype,
                          const ForwardOptions& options) {
  const auto pass = std::make_shared<const Pass>(config, weights, forest, dtype, options);
  at::Tensor x = pass->embed();
  const bool recompute = options.recompute && c10::GradMode::is_enabled();
  if (recompute && !x.requires_grad()) x = x.detach().requires_grad_(true);
  for (int64_t i = 0; i < config.layers; ++i) {
    x = recompute ? recomputed(x, [pass, i](const at::Tensor& in) { return pass->block(i, in); }) : pass->block(i, x);
  }
  return norm(config, x, weights.final_norm);
}

}  // namespace merit::nn
