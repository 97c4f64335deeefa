#include "merit/nn/forest_forward.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>

#include <cmath>
#include <limits>

namespace merit::nn {
namespace {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return x * at::rsqrt(x.square().mean(-1, true) + eps) * weight;
}

struct Angles {
  at::Tensor cosine;  // [tokens, 1, head_dim / 2]
  at::Tensor sine;
};

Angles angles(const ModelConfig& config, const Forest& forest, at::ScalarType dtype) {
  const auto tokens = static_cast<int64_t>(forest.tokens.size());
  const std::vector<double> frequencies = config.rope_frequencies();
  const auto half = static_cast<int64_t>(frequencies.size());
  at::Tensor cosine = at::empty({tokens, 1, half}, at::kDouble);
  at::Tensor sine = at::empty({tokens, 1, half}, at::kDouble);
  for (const ForestNode& node : forest.nodes) {
    for (int32_t i = 0; i < node.length; ++i) {
      for (int64_t f = 0; f < half; ++f) {
        const double exact = (node.depth + i) * frequencies[f];
        const double angle =
            dtype == at::kDouble ? exact : static_cast<float>(node.depth + i) * static_cast<float>(frequencies[f]);
        cosine.mutable_data_ptr<double>()[(node.begin + i) * half + f] = std::cos(angle);
        sine.mutable_data_ptr<double>()[(node.begin + i) * half + f] = std::sin(angle);
      }
    }
  }
  return {cosine.to(dtype), sine.to(dtype)};
}

// x [tokens, heads, head_dim]
at::Tensor rotate(const at::Tensor& x, const Angles& angles) {
  const int64_t half = x.size(2) / 2;
  const at::Tensor a = x.slice(2, 0, half);
  const at::Tensor b = x.slice(2, half);
  return at::cat({a * angles.cosine - b * angles.sine, b * angles.cosine + a * angles.sine}, 2);
}

// 0 where the row's path holds the column, -infinity elsewhere, [tokens, tokens].
at::Tensor ancestor_mask(const Forest& forest, at::ScalarType dtype) {
  const auto tokens = static_cast<int64_t>(forest.tokens.size());
  at::Tensor mask = at::full({tokens, tokens}, -std::numeric_limits<double>::infinity(), at::kDouble);
  auto* values = mask.mutable_data_ptr<double>();
  for (const ForestNode& node : forest.nodes) {
    for (int32_t i = 0; i < node.length; ++i) {
      double* row = values + (node.begin + i) * tokens;
      for (int32_t j = 0; j <= i; ++j) row[node.begin + j] = 0;
      for (int32_t up = node.parent; up >= 0; up = forest.nodes[up].parent) {
        for (int32_t j = 0; j < forest.nodes[up].length; ++j) row[forest.nodes[up].begin + j] = 0;
      }
    }
  }
  return mask.to(dtype);
}

at::Tensor attention(const ModelConfig& config, const at::Tensor& qkv, const Angles& angles, const at::Tensor& mask) {
  const int64_t tokens = qkv.size(0);
  const int64_t q = config.q_size();
  const int64_t kv = config.kv_size();
  const int64_t group = config.heads / config.kv_heads;
  auto heads = [&](int64_t begin, int64_t end, int64_t count) {
    return qkv.slice(1, begin, end).reshape({tokens, count, config.head_dim});
  };
  const at::Tensor query = rotate(heads(0, q, config.heads), angles).transpose(0, 1);
  const at::Tensor key = rotate(heads(q, q + kv, config.kv_heads), angles).transpose(0, 1).repeat_interleave(group, 0);
  const at::Tensor value = heads(q + kv, q + 2 * kv, config.kv_heads).transpose(0, 1).repeat_interleave(group, 0);
  const double scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim));
  const at::Tensor weights = at::softmax(at::matmul(query, key.transpose(1, 2)) * scale + mask, -1);
  return at::matmul(weights, value).transpose(0, 1).reshape({tokens, q});
}

at::Tensor product(const Linear& linear, const at::Tensor& x) { return at::linear(x, linear.weight(), linear.bias()); }

}  // namespace

at::Tensor forest_forward(const ModelConfig& config, const Weights& weights, const Forest& forest) {
  const auto tokens = static_cast<int64_t>(forest.tokens.size());
  at::Tensor ids = at::empty({tokens}, at::kLong);
  for (int64_t i = 0; i < tokens; ++i) ids.mutable_data_ptr<int64_t>()[i] = forest.tokens[i];
  const Angles turn = angles(config, forest, weights.dtype());
  const at::Tensor mask = ancestor_mask(forest, weights.dtype());
  at::Tensor x = at::index_select(weights.embedding, 0, ids);
  for (const LayerWeights& layer : weights.layers) {
    const at::Tensor qkv = product(layer.qkv, rms_norm(x, layer.attention_norm, config.rms_eps));
    x = x + product(layer.out, attention(config, qkv, turn, mask));
    const at::Tensor both = product(layer.gate_up, rms_norm(x, layer.mlp_norm, config.rms_eps));
    const at::Tensor active = at::silu(both.slice(1, 0, config.ffn_size)) * both.slice(1, config.ffn_size);
    x = x + product(layer.down, active);
  }
  return rms_norm(x, weights.final_norm, config.rms_eps);
}

}  // namespace merit::nn
