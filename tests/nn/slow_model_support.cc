#include "slow_model_support.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <numeric>

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

void rms(double* x, size_t n, const Row& w, double eps) {
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += x[i] * x[i];
  for (size_t i = 0; i < n; ++i) x[i] *= w[i] / std::sqrt(squares / static_cast<double>(n) + eps);
}

Row norm(const ModelConfig& c, Row x, const NormWeights& weights) {
  if (!weights.weight.defined()) return x;
  const Row w = values(weights.weight);
  if (c.norm == NormKind::kRms) {
    rms(x.data(), x.size(), w, c.norm_eps);
    return x;
  }
  const Row bias = values(weights.bias);
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
  double spread = 0;
  for (double v : x) spread += (v - mean) * (v - mean) / static_cast<double>(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = (x[i] - mean) / std::sqrt(spread + c.norm_eps) * w[i] + bias[i];
  return x;
}

void turn(double* head, const Rope& rope, int64_t regime, size_t position) {
  const std::vector<double> frequencies = rope.frequencies(regime);
  const auto half = static_cast<int64_t>(frequencies.size());
  for (int64_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * frequencies[i];
    const double cosine = std::cos(angle) * rope.attention_factor;
    const double sine = std::sin(angle) * rope.attention_factor;
    const double a = head[i];
    const double b = head[i + half];
    head[i] = a * cosine - b * sine;
    head[i + half] = b * cosine + a * sine;
  }
}

// Norms and turns the queries and keys of one row.
void prepare(const ModelConfig& c, const LayerWeights& layer, int64_t number, int64_t regime, size_t t, Row& qkv) {
  double* keys = qkv.data() + c.q_size();
  if (c.qk_norm == QkNorm::kWhole) {
    rms(qkv.data(), c.q_size(), values(layer.query_norm.weight), c.norm_eps);
    rms(keys, c.kv_size(), values(layer.key_norm.weight), c.norm_eps);
  }
  for (int64_t h = 0; h < c.heads + c.kv_heads; ++h) {
    double* head = qkv.data() + h * c.head_dim;
    const NormWeights& own = h < c.heads ? layer.query_norm : layer.key_norm;
    if (c.qk_norm == QkNorm::kHead) rms(head, c.head_dim, values(own.weight), c.norm_eps);
    turn(head, c.rope_of(number), c.local_rope && c.is_sliding(number) ? 0 : regime, t);
  }
}

Row attend(const ModelConfig& c, const Rows& qkv, size_t t, int64_t window) {
  Row out(c.q_size(), 0.0);
  const size_t first = window > 0 && t + 1 > static_cast<size_t>(window) ? t + 1 - window : 0;
  for (int64_t h = 0; h < c.heads; ++h) {
    const double* q = qkv[t].data() + h * c.head_dim;
    const int64_t kv = h / (c.heads / c.kv_heads);
    Row weights(t + 1);
    double total = 0;
    double top = -INFINITY;
    for (size_t s = first; s <= t; ++s) {
      const double* k = qkv[s].data() + c.q_size() + kv * c.head_dim;
      for (int64_t d = 0; d < c.head_dim; ++d) weights[s] += q[d] * k[d];
      weights[s] *= c.score_scale();
      if (c.attention_softcap > 0) weights[s] = c.attention_softcap * std::tanh(weights[s] / c.attention_softcap);
      top = std::max(top, weights[s]);
    }
    for (size_t s = first; s <= t; ++s) total += weights[s] = std::exp(weights[s] - top);
    for (size_t s = first; s <= t; ++s) {
      const double* v = qkv[s].data() + c.q_size() + c.kv_size() + kv * c.head_dim;
      for (int64_t d = 0; d < c.head_dim; ++d) out[h * c.head_dim + d] += weights[s] / total * v[d];
    }
  }
  return out;
}

double activated(Activation kind, double x) {
  switch (kind) {
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGelu:
      return x / 2 * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Activation::kRelu:
      return std::max(0.0, x);
  }
  return x;
}

Row expert(const ModelConfig& c, const Linear& gate_up, const Linear& down, const Row& h) {
  const Row in = multiply(gate_up, h);
  Row active(down.in_features());
  for (size_t i = 0; i < active.size(); ++i) {
    active[i] = activated(c.activation, in[i]) * (c.gated ? in[active.size() + i] : 1);
  }
  return multiply(down, active);
}

Row feed_forward(const ModelConfig& c, const LayerWeights& layer, bool sparse, const Row& h) {
  if (!sparse) return expert(c, layer.gate_up, layer.down, h);
  Row p = multiply(layer.router, h);
  double total = 0;
  for (double& v : p) total += v = std::exp(v);
  std::vector<size_t> best(p.size());
  std::iota(best.begin(), best.end(), 0);
  std::sort(best.begin(), best.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
  best.resize(c.experts_used);
  if (c.experts_normalised) {
    total = 0;
    for (size_t e : best) total += p[e];
  }
  Row out(h.size(), 0.0);
  for (size_t e : best) {
    const Row got = expert(c, layer.experts[e].gate_up, layer.experts[e].down, h);
    for (size_t i = 0; i < out.size(); ++i) out[i] += p[e] / total * got[i];
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
  c.rope.dim = c.head_dim;
  return c;
}

std::vector<NamedConfig> all_shapes() {
  std::vector<NamedConfig> all;
  auto add = [&](const char* name, auto&& change) {
    ModelConfig c = small_config();
    change(c);
    all.push_back({name, c});
  };
  add("plain", [](ModelConfig&) {});
  add("biases, tied", [](ModelConfig& c) { c.qkv_bias = c.out_bias = c.mlp_bias = c.tie_embeddings = true; });
  add("odd sizes, linear", [](ModelConfig& c) {
    c.hidden_size = 19;
    c.heads = c.kv_heads = 3;
    c.head_dim = c.rope.dim = 6;
    c.ffn_size = 23;
    c.rope.scaling = RopeScaling::kLinear;
    c.rope.factor = 4;
  });
  add("llama3", [](ModelConfig& c) {
    c.rope.scaling = RopeScaling::kLlama3;
    c.rope.factor = 8;
    c.rope.original_positions = 32;
  });
  add("yarn, part of a head", [](ModelConfig& c) {
    c.rope.dim = 4;
    c.rope.scaling = RopeScaling::kYarn;
    c.rope.factor = 4;
    c.rope.attention_factor = 1.1;
    c.rope.original_positions = 64;
  });
  add("dynamic", [](ModelConfig& c) {
    c.rope.scaling = RopeScaling::kDynamic;
    c.rope.factor = 2;
    c.rope.original_positions = 24;
  });
  add("longrope, window", [](ModelConfig& c) {
    c.rope.scaling = RopeScaling::kLongRope;
    c.rope.attention_factor = 1.2;
    c.rope.original_positions = 24;
    c.rope.short_factors = {1, 1.1, 1.2, 1.3};
    c.rope.long_factors = {2, 3, 4, 5};
    c.window = 11;
  });
  add("gemma 2", [](ModelConfig& c) {
    c.post_norm = true;
    c.activation = Activation::kGeluTanh;
    c.embedding_scale = 4.9;
    c.attention_scale = 0.3;
    c.attention_softcap = 2;
    c.logit_softcap = 3;
    c.window = 7;
    c.sliding = {true, false, true};
  });
  add("gemma 3", [](ModelConfig& c) {
    c.post_norm = true;
    c.qk_norm = QkNorm::kHead;
    c.window = 20;
    c.sliding = {true, true, false};
    c.local_rope = c.rope;
    c.local_rope->theta = 100;
    c.rope.scaling = RopeScaling::kLinear;
    c.rope.factor = 8;
  });
  add("olmo 2", [](ModelConfig& c) {
    c.pre_norm = false;
    c.post_norm = true;
    c.qk_norm = QkNorm::kWhole;
  });
  add("gpt-neox", [](ModelConfig& c) {
    c.norm = NormKind::kLayer;
    c.qkv_bias = c.out_bias = c.mlp_bias = c.parallel = true;
    c.gated = false;
    c.activation = Activation::kGelu;
    c.rope.dim = 2;
  });
  add("gpt-2", [](ModelConfig& c) {
    c.norm = NormKind::kLayer;
    c.qkv_bias = c.out_bias = c.mlp_bias = c.learned_positions = true;
    c.gated = false;
    c.activation = Activation::kGeluTanh;
    c.rope = Rope();
  });
  add("experts, scales", [](ModelConfig& c) {
    c.experts = 5;
    c.experts_used = 2;
    c.expert_ffn_size = 21;
    c.residual_scale = 0.4;
    c.logit_scale = 0.25;
  });
  add("experts not normalised, in two layers", [](ModelConfig& c) {
    c.experts = 4;
    c.experts_used = 3;
    c.expert_ffn_size = 16;
    c.experts_normalised = false;
    c.sparse = {true, false, true};
    c.activation = Activation::kRelu;
  });
  return all;
}

Weights random_weights(const ModelConfig& c, uint64_t seed, at::ScalarType dtype) {
  Rng rng(seed, 0);
  const at::ScalarType norm_type = dtype == at::kDouble ? at::kDouble : at::kFloat;
  auto matrix = [&](int64_t out, int64_t in) {
    return random_tensor({out, in}, 0, 1 / std::sqrt(static_cast<double>(in)), rng, dtype);
  };
  auto norm = [&](int64_t size) {
    NormWeights n;
    n.weight = random_tensor({size}, 1, 0.1, rng, norm_type);
    if (c.norm == NormKind::kLayer) n.bias = random_tensor({size}, 0, 0.1, rng, norm_type);
    return n;
  };
  auto linear = [&](int64_t out, int64_t in, bool bias) {
    at::Tensor weight = matrix(out, in);
    return Linear(weight, bias ? random_tensor({out}, 0, 0.2, rng, dtype) : at::Tensor());
  };
  const int64_t up = c.gated ? 2 : 1;
  Weights w;
  w.embedding = Matrix(random_tensor({c.vocab_size, c.hidden_size}, 0, 1, rng, dtype));
  if (c.learned_positions) w.positions = random_tensor({c.max_positions, c.hidden_size}, 0, 0.5, rng, dtype);
  for (int64_t i = 0; i < c.layers; ++i) {
    LayerWeights layer;
    if (c.pre_norm) layer.attention_norm = norm(c.hidden_size);
    layer.qkv = linear(c.q_size() + 2 * c.kv_size(), c.hidden_size, c.qkv_bias);
    if (c.qk_norm != QkNorm::kNone) {
      const bool whole = c.qk_norm == QkNorm::kWhole;
      layer.query_norm.weight = random_tensor({whole ? c.q_size() : c.head_dim}, 1, 0.1, rng, norm_type);
      layer.key_norm.weight = random_tensor({whole ? c.kv_size() : c.head_dim}, 1, 0.1, rng, norm_type);
    }
    layer.out = linear(c.hidden_size, c.q_size(), c.out_bias);
    if (c.pre_norm) layer.mlp_norm = norm(c.hidden_size);
    if (c.post_norm) layer.attention_post_norm = norm(c.hidden_size);
    if (c.post_norm) layer.mlp_post_norm = norm(c.hidden_size);
    if (c.is_sparse(i)) {
      layer.router = linear(c.experts, c.hidden_size, false);
      for (int64_t e = 0; e < c.experts; ++e) {
        Linear gate_up = linear(up * c.expert_ffn_size, c.hidden_size, false);
        layer.experts.push_back({std::move(gate_up), linear(c.hidden_size, c.expert_ffn_size, false)});
      }
    } else {
      layer.gate_up = linear(up * c.ffn_size, c.hidden_size, c.mlp_bias);
      layer.down = linear(c.hidden_size, c.ffn_size, c.mlp_bias);
    }
    w.layers.push_back(std::move(layer));
  }
  w.final_norm = norm(c.hidden_size);
  w.vocab = c.tie_embeddings ? w.embedding : Matrix(matrix(c.vocab_size, c.hidden_size));
  return w;
}

std::vector<std::vector<double>> slow_hidden(const ModelConfig& c, const Weights& weights,
                                             const std::vector<int32_t>& ids) {
  const int64_t regime = c.rope_regime(static_cast<int64_t>(ids.size()));
  const Row embedding = values(weights.embedding.dense());
  const Row positions = c.learned_positions ? values(weights.positions) : Row();
  Rows x;
  for (size_t t = 0; t < ids.size(); ++t) {
    Row& row =
        x.emplace_back(embedding.begin() + ids[t] * c.hidden_size, embedding.begin() + (ids[t] + 1) * c.hidden_size);
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = row[i] * c.embedding_scale + (c.learned_positions ? positions[t * row.size() + i] : 0);
    }
  }
  for (int64_t i = 0; i < c.layers; ++i) {
    const LayerWeights& layer = weights.layers[i];
    Rows qkv;
    for (size_t t = 0; t < x.size(); ++t) {
      qkv.push_back(multiply(layer.qkv, norm(c, x[t], layer.attention_norm)));
      prepare(c, layer, i, regime, t, qkv[t]);
    }
    for (size_t t = 0; t < x.size(); ++t) {
      const Row before = x[t];
      Row a =
          norm(c, multiply(layer.out, attend(c, qkv, t, c.is_sliding(i) ? c.window : 0)), layer.attention_post_norm);
      for (double& v : a) v *= c.residual_scale;
      add(x[t], a);
      Row m = norm(c, feed_forward(c, layer, c.is_sparse(i), norm(c, c.parallel ? before : x[t], layer.mlp_norm)),
                   layer.mlp_post_norm);
      for (double& v : m) v *= c.residual_scale;
      add(x[t], m);
    }
  }
  for (Row& row : x) row = norm(c, row, weights.final_norm);
  return x;
}

std::vector<double> slow_logps(const ModelConfig& c, const Weights& weights,
                               const std::vector<std::vector<double>>& hidden, const std::vector<int32_t>& ids) {
  std::vector<double> logps;
  const Linear vocab(weights.vocab);
  for (size_t t = 1; t < ids.size(); ++t) {
    Row logits = multiply(vocab, hidden[t - 1]);
    for (double& z : logits) {
      z *= c.logit_scale;
      if (c.logit_softcap > 0) z = c.logit_softcap * std::tanh(z / c.logit_softcap);
    }
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
    handles.push_back(node.parent < 0 ? state.root(node.regime) : state.branch(handles[node.parent]));
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
