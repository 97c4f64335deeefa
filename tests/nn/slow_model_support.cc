#include "slow_model_support.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "merit/nn/engine.h"

namespace merit::nn::testing {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

at::Tensor random_tensor(at::IntArrayRef shape, double mean, double deviation, Rng& rng, at::ScalarType dtype) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < tensor.numel(); ++i) tensor.mutable_data_ptr<double>()[i] = mean + deviation * rng.normal();
  return tensor.to(dtype);
}

Row values(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.detach().to(at::kDouble).contiguous();
  return Row(plain.const_data_ptr<double>(), plain.const_data_ptr<double>() + plain.numel());
}

Row multiply(const Linear& linear, const Row& x) {
  const Row w = values(linear.weight());
  Row y = linear.bias().defined() ? values(linear.bias()) : Row(linear.out_features(), 0.0);
  for (size_t o = 0; o < y.size(); ++o) {
    for (size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
  }
  return y;
}

Row rms_norm(const Row& x, const at::Tensor& weight, double eps) {
  const Row w = values(weight);
  double squares = 0;
  for (double v : x) squares += v * v;
  Row y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] / std::sqrt(squares / static_cast<double>(x.size()) + eps) * w[i];
  return y;
}

void turn(double* head, int64_t dim, size_t position, const std::vector<double>& frequencies) {
  for (int64_t i = 0; i < dim / 2; ++i) {
    const double angle = static_cast<double>(position) * frequencies[i];
    const double a = head[i];
    const double b = head[i + dim / 2];
    head[i] = a * std::cos(angle) - b * std::sin(angle);
    head[i + dim / 2] = b * std::cos(angle) + a * std::sin(angle);
  }
}

Row attend(const ModelConfig& c, const Rows& qkv, size_t t) {
  Row out(c.q_size(), 0.0);
  for (int64_t h = 0; h < c.heads; ++h) {
    const double* q = qkv[t].data() + h * c.head_dim;
    const int64_t kv = h / (c.heads / c.kv_heads);
    Row weights(t + 1);
    double total = 0;
    double top = -INFINITY;
    for (size_t s = 0; s <= t; ++s) {
      const double* k = qkv[s].data() + c.q_size() + kv * c.head_dim;
      for (int64_t d = 0; d < c.head_dim; ++d) weights[s] += q[d] * k[d];
      weights[s] /= std::sqrt(static_cast<double>(c.head_dim));
      top = std::max(top, weights[s]);
    }
    for (double& w : weights) total += w = std::exp(w - top);
    for (size_t s = 0; s <= t; ++s) {
      const double* v = qkv[s].data() + c.q_size() + c.kv_size() + kv * c.head_dim;
      for (int64_t d = 0; d < c.head_dim; ++d) out[h * c.head_dim + d] += weights[s] / total * v[d];
    }
  }
  return out;
}

void add(Row& x, const Row& y) {
  for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

}  // namespace

ModelConfig small_config() {
  ModelConfig c;
  c.vocab_size = 50;
  c.hidden_size = 24;
  c.layers = 3;
  c.heads = 6;
  c.kv_heads = 2;
  c.head_dim = 8;
  c.ffn_size = 40;
  c.max_positions = 512;
  return c;
}

Weights random_weights(const ModelConfig& c, uint64_t seed, at::ScalarType dtype) {
  Rng rng(seed, 0);
  auto matrix = [&](int64_t out, int64_t in) {
    return random_tensor({out, in}, 0, 1 / std::sqrt(static_cast<double>(in)), rng, dtype);
  };
  auto norm = [&] { return random_tensor({c.hidden_size}, 1, 0.1, rng, dtype); };
  auto linear = [&](int64_t out, int64_t in, bool bias) {
    at::Tensor weight = matrix(out, in);
    return Linear(weight, bias ? random_tensor({out}, 0, 0.2, rng, dtype) : at::Tensor());
  };
  Weights w;
  w.embedding = random_tensor({c.vocab_size, c.hidden_size}, 0, 1, rng, dtype);
  for (int64_t i = 0; i < c.layers; ++i) {
    LayerWeights layer;
    layer.attention_norm = norm();
    layer.qkv = linear(c.q_size() + 2 * c.kv_size(), c.hidden_size, c.qkv_bias);
    layer.out = linear(c.hidden_size, c.q_size(), c.out_bias);
    layer.mlp_norm = norm();
    layer.gate_up = linear(2 * c.ffn_size, c.hidden_size, c.mlp_bias);
    layer.down = linear(c.hidden_size, c.ffn_size, c.mlp_bias);
    w.layers.push_back(std::move(layer));
  }
  w.final_norm = norm();
  w.vocab = c.tie_embeddings ? w.embedding : matrix(c.vocab_size, c.hidden_size);
  return w;
}

std::vector<std::vector<double>> slow_hidden(const ModelConfig& c, const Weights& weights,
                                             const std::vector<int32_t>& ids) {
  const std::vector<double> frequencies = c.rope_frequencies();
  const Row embedding = values(weights.embedding);
  Rows x;
  for (int32_t id : ids)
    x.emplace_back(embedding.begin() + id * c.hidden_size, embedding.begin() + (id + 1) * c.hidden_size);
  for (const LayerWeights& layer : weights.layers) {
    Rows qkv;
    for (size_t t = 0; t < x.size(); ++t) {
      qkv.push_back(multiply(layer.qkv, rms_norm(x[t], layer.attention_norm, c.rms_eps)));
      for (int64_t h = 0; h < c.heads + c.kv_heads; ++h)
        turn(qkv[t].data() + h * c.head_dim, c.head_dim, t, frequencies);
    }
    for (size_t t = 0; t < x.size(); ++t) {
      add(x[t], multiply(layer.out, attend(c, qkv, t)));
      const Row both = multiply(layer.gate_up, rms_norm(x[t], layer.mlp_norm, c.rms_eps));
      Row active(c.ffn_size);
      for (int64_t i = 0; i < c.ffn_size; ++i) active[i] = both[i] / (1 + std::exp(-both[i])) * both[c.ffn_size + i];
      add(x[t], multiply(layer.down, active));
    }
  }
  for (Row& row : x) row = rms_norm(row, weights.final_norm, c.rms_eps);
  return x;
}

std::vector<double> slow_logps(const Weights& weights, const std::vector<std::vector<double>>& hidden,
                               const std::vector<int32_t>& ids) {
  std::vector<double> logps;
  const Linear vocab(weights.vocab);
  for (size_t t = 1; t < ids.size(); ++t) {
    const Row logits = multiply(vocab, hidden[t - 1]);
    const double top = *std::max_element(logits.begin(), logits.end());
    double total = 0;
    for (double z : logits) total += std::exp(z - top);
    logps.push_back(logits[ids[t]] - top - std::log(total));
  }
  return logps;
}

std::vector<std::vector<int32_t>> random_tree(Rng& rng, int64_t vocab, size_t most_paths) {
  std::vector<std::vector<int32_t>> paths;
  auto extend = [&](std::vector<int32_t> path) {
    const uint64_t length = rng.below(3) == 0 ? 1 : 1 + rng.below(24);
    for (uint64_t i = 0; i < length; ++i) path.push_back(static_cast<int32_t>(rng.below(vocab)));
    return path;
  };
  auto walk = [&](auto&& self, const std::vector<int32_t>& prefix, int depth) -> void {
    const uint64_t branches = 1 + rng.below(8);
    for (uint64_t b = 0; b < branches && paths.size() < most_paths; ++b) {
      const std::vector<int32_t> path = extend(prefix);
      const bool leaf = depth == 6 || rng.below(2) == 0;
      if (leaf || rng.below(4) == 0) paths.push_back(path);
      if (!leaf) self(self, path, depth + 1);
    }
  };
  while (paths.size() < most_paths) walk(walk, {}, 1);
  paths.push_back(paths[rng.below(paths.size())]);
  return paths;
}

std::vector<int32_t> random_cuts(Rng& rng, size_t length) {
  std::vector<int32_t> cuts;
  for (size_t depth = 1; depth < length; ++depth) {
    if (rng.below(5) == 0) cuts.push_back(static_cast<int32_t>(depth));
  }
  return cuts;
}

at::Tensor grow(const Transformer& model, const Forest& forest, int64_t budget) {
  ForestState state(model);
  std::vector<PathHandle> handles;
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < forest.nodes.size(); ++i) {
    const ForestNode& node = forest.nodes[i];
    handles.push_back(node.parent < 0 ? state.root() : state.branch(handles[node.parent]));
    for (int32_t done = 0; done < node.length;) {
      const auto take = static_cast<int32_t>(std::min<int64_t>(budget - state.queued(), node.length - done));
      std::vector<int32_t> all(take);
      for (int32_t j = 0; j < take; ++j) all[j] = j;
      state.append(handles.back(), forest.tokens_of(static_cast<int32_t>(i)).subspan(done, take), all);
      done += take;
      if (state.queued() == budget) parts.push_back(state.run().clone());
    }
  }
  parts.push_back(state.run().clone());
  return at::cat(parts, 0);
}

at::Tensor rows_of(const at::Tensor& hidden, const Forest& forest, int32_t path) {
  std::vector<at::Tensor> parts;
  for (int32_t node : forest.path_nodes(path)) {
    const ForestNode& n = forest.nodes[node];
    parts.push_back(hidden.slice(0, n.begin, n.begin + n.length));
  }
  return at::cat(parts, 0);
}

}  // namespace merit::nn::testing
