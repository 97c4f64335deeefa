#include "merit/nn/encoder_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/formats/weights.h"

namespace merit::nn {
namespace {

constexpr int64_t kQueryBlock = 128;  // queries of a windowed layer taken at once
constexpr uint64_t kMaxJsonBytes = uint64_t{64} << 20;

at::Tensor apply(DenseActivation activation, const at::Tensor& x) {
  switch (activation) {
    case DenseActivation::kNone:
      return x;
    case DenseActivation::kTanh:
      return at::tanh(x);
    case DenseActivation::kRelu:
      return at::relu(x);
    case DenseActivation::kSilu:
      return at::silu(x);
    case DenseActivation::kGelu:
      return at::gelu(x);
    case DenseActivation::kGeluTanh:
      return at::gelu(x, "tanh");
  }
  return x;
}

at::Tensor norm(const LayerNormWeights& weights, const at::Tensor& x, double eps) {
  if (!weights.weight.defined()) return x;
  return at::layer_norm(x, {x.size(1)}, weights.weight, weights.bias, eps);
}

// DeBERTa's bucket of each difference query - key in -(length - 1) .. length - 1, in float32 as the reference: near
// ones by themselves, far ones in logarithmic buckets. May lie outside the table, whose ends stand for all beyond.
std::vector<int64_t> distance_places(const EncoderConfig& config, int64_t length) {
  const int64_t half = config.relative_span / 2;
  std::vector<int64_t> places;
  for (int64_t difference = 1 - length; difference < length; ++difference) {
    int64_t place = difference;
    if (config.relative_buckets && std::abs(difference) > half) {
      const float ratio = std::log(static_cast<float>(std::abs(difference)) / static_cast<float>(half)) /
                          std::log(static_cast<float>(static_cast<double>(config.relative_max - 1) / half));
      place = static_cast<int64_t>(std::ceil(ratio * static_cast<float>(half - 1))) + half;
      if (difference < 0) place = -place;
    }
    places.push_back(place);
  }
  return places;
}

at::Tensor long_tensor(const std::vector<int64_t>& values) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<int64_t>());
  return out;
}

// Cosines and sines of positions 0 .. length - 1: two of [length, head_dim], each half the same, in float32 (float64
// for float64). The angle is rounded as the models were trained with; see engine.cc.
std::pair<at::Tensor, at::Tensor> rotations(double theta, int64_t length, int64_t dim, at::ScalarType dtype) {
  const bool wide = dtype == at::kDouble;
  at::Tensor cosines = at::empty({length, dim}, at::kDouble), sines = at::empty({length, dim}, at::kDouble);
  for (int64_t p = 0; p < length; ++p) {
    for (int64_t i = 0; i < dim / 2; ++i) {
      const double power = static_cast<double>(2 * i) / static_cast<double>(dim);
      const double frequency = wide ? std::pow(theta, -power) : static_cast<float>(1.0 / std::pow(theta, power));
      const double angle = wide ? p * frequency : static_cast<float>(p) * static_cast<float>(frequency);
      for (const int64_t at : {i, i + dim / 2}) {
        cosines.mutable_data_ptr<double>()[p * dim + at] = std::cos(angle);
        sines.mutable_data_ptr<double>()[p * dim + at] = std::sin(angle);
      }
    }
  }
  const at::ScalarType type = wide ? at::kDouble : at::kFloat;
  return {cosines.to(type), sines.to(type)};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosines, const at::Tensor& sines) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor wide = x.to(cosines.scalar_type());
  const at::Tensor turned = at::cat({-wide.slice(-1, half), wide.slice(-1, 0, half)}, -1);
  return (wide * cosines + turned * sines).to(x.scalar_type());
}

// The table of distances after one product, [heads, head_dim, 2 * span].
at::Tensor distance_heads(const at::Tensor& projected, int64_t heads) {
  return projected.view({projected.size(0), heads, -1}).permute({1, 2, 0}).contiguous();
}

// One forward pass.
class Pass {
 public:
  Pass(const EncoderConfig& config, const EncoderWeights& weights, std::span<const EncoderInput> inputs)
      : config_(config), weights_(weights), inputs_(inputs) {
    for (const EncoderInput& input : inputs) {
      begins_.push_back(rows_);
      rows_ += static_cast<int64_t>(input.ids.size());
      longest_ = std::max(longest_, static_cast<int64_t>(input.ids.size()));
    }
    if (config.positions == EncoderPositions::kRelative) places_ = distance_places(config, longest_);
  }

  at::Tensor embed() const {
    std::vector<int64_t> ids, positions, segments;
    for (const EncoderInput& input : inputs_) {
      int64_t position = config_.counted_from_pad;
      for (size_t i = 0; i < input.ids.size(); ++i) {
        const bool counts = config_.counted_from_pad < 0 || input.ids[i] != config_.counted_from_pad;
        ids.push_back(input.ids[i]);
        positions.push_back(counts ? ++position : config_.counted_from_pad);
        segments.push_back(input.second_from >= 0 && static_cast<int64_t>(i) >= input.second_from ? 1 : 0);
      }
    }
    // Rows of padding are token 0 and are read by no one.
    for (std::vector<int64_t>* rows : {&ids, &positions, &segments}) rows->resize(padded_rows(rows_), 0);
    at::Tensor x = at::embedding(weights_.words, long_tensor(ids));
    if (weights_.segments.defined()) x = x + at::embedding(weights_.segments, long_tensor(segments));
    if (weights_.positions.defined()) x = x + at::embedding(weights_.positions, long_tensor(positions));
    if (config_.embedding_size != config_.hidden_size) x = weights_.projection.forward(x);
    return norm(weights_.embedding_norm, x, config_.norm_eps);
  }

  // Keys and queries of the distances for a layer; undefined where the layer has none.
  void set_distances(at::Tensor keys, at::Tensor queries) {
    distance_keys_ = std::move(keys);
    distance_queries_ = std::move(queries);
  }

  at::Tensor layer(const at::Tensor& x, int64_t index) {
    const EncoderLayer& layer = weights_.layers[index];
    const double eps = config_.norm_eps;
    const auto attention = [&](const at::Tensor& h) {
      const at::Tensor qkv = layer.qkv.forward(h);
      return layer.out.forward(each(qkv, [&](const at::Tensor& rows) { return attend(rows, index); }));
    };
    const auto feed_forward = [&](const at::Tensor& h) {
      return layer.down.forward(each(layer.up.forward(h), [&](const at::Tensor& rows) {
        if (!config_.pre_norm) return apply(config_.activation, rows);
        return apply(config_.activation, rows.slice(1, 0, config_.ffn_size)) * rows.slice(1, config_.ffn_size);
      }));
    };
    if (config_.pre_norm) {
      const at::Tensor y = x + attention(norm(layer.attention_norm, x, eps));
      return y + feed_forward(norm(layer.mlp_norm, y, eps));
    }
    const at::Tensor y = norm(layer.attention_norm, attention(x) + x, eps);
    return norm(layer.mlp_norm, feed_forward(y) + y, eps);
  }

  at::Tensor finish(const at::Tensor& x) const {
    return norm(weights_.final_norm, x, config_.norm_eps).slice(0, 0, rows_);
  }

 private:
  // What `f` makes of each sequence's rows by itself, and zeros for the rows of padding. An elementwise function of
  // libtorch may round an element differently by its place among all, so none but sums and products sees all rows.
  at::Tensor each(const at::Tensor& x, const std::function<at::Tensor(const at::Tensor&)>& f) const {
    std::vector<at::Tensor> parts;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      parts.push_back(f(x.narrow(0, begins_[i], static_cast<int64_t>(inputs_[i].ids.size()))));
    }
    if (x.size(0) > rows_) parts.push_back(at::zeros({x.size(0) - rows_, parts[0].size(1)}, x.options()));
    return parts.size() == 1 ? parts[0] : at::cat(parts);
  }

  // qkv [length, 3 * hidden] of one sequence -> [length, hidden]
  at::Tensor attend(const at::Tensor& qkv, int64_t index) {
    const int64_t length = qkv.size(0), dim = config_.head_dim();
    const at::Tensor split = qkv.view({length, 3, config_.heads, dim}).permute({1, 2, 0, 3}).contiguous();
    at::Tensor query = split[0], key = split[1];
    const at::Tensor value = split[2];
    at::Tensor out;
    if (config_.positions == EncoderPositions::kRotary) {
      const auto [cosines, sines] = rotations_of(config_.rope_theta[index]);
      query = rotate(query, cosines.slice(0, 0, length), sines.slice(0, 0, length));
      key = rotate(key, cosines.slice(0, 0, length), sines.slice(0, 0, length));
      out = windowed(query, key, value, config_.windows[index]);
    } else if (config_.positions == EncoderPositions::kRelative) {
      const int64_t parts = 1 + config_.content_to_position + config_.position_to_content;
      const double scale = 1 / std::sqrt(static_cast<double>(dim * parts));
      out = softmax_attention(query, key, value, distance_bias(query, key, scale), scale);
    } else {
      out = softmax_attention(query, key, value, {}, 1 / std::sqrt(static_cast<double>(dim)));
    }
    return out.permute({1, 0, 2}).reshape({length, config_.hidden_size});
  }

  static at::Tensor softmax_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                      const at::Tensor& mask, double scale) {
    const auto batched = [](const at::Tensor& x) { return x.unsqueeze(0); };
    return at::scaled_dot_product_attention(batched(query), batched(key), batched(value),
                                            mask.defined() ? c10::optional<at::Tensor>(mask) : c10::nullopt, 0.0, false,
                                            scale)
        .squeeze(0);
  }

  at::Tensor windowed(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, int64_t window) const {
    const int64_t length = query.size(1);
    const double scale = 1 / std::sqrt(static_cast<double>(query.size(2)));
    if (window == 0 || length <= window + 1) return softmax_attention(query, key, value, {}, scale);
    std::vector<at::Tensor> blocks;
    for (int64_t begin = 0; begin < length; begin += kQueryBlock) {
      const int64_t end = std::min(begin + kQueryBlock, length);
      const int64_t first = std::max<int64_t>(0, begin - window), last = std::min(length, end + window);
      const at::Tensor apart = at::arange(begin, end).unsqueeze(1) - at::arange(first, last).unsqueeze(0);
      blocks.push_back(softmax_attention(query.slice(1, begin, end), key.slice(1, first, last),
                                         value.slice(1, first, last), apart.abs().le(window), scale));
    }
    return at::cat(blocks, 1);
  }

  // What distances add to the scores, [1, heads, length, length]: the query with the key of the distance to each token,
  // and each token's key with the query of its distance from here (He et al. 2021, equation 4).
  at::Tensor distance_bias(const at::Tensor& query, const at::Tensor& key, double scale) const {
    const int64_t length = query.size(1), middle = longest_ - 1, span = config_.relative_span;
    std::vector<int64_t> content, position;
    for (int64_t i = 0; i < length; ++i) {
      for (int64_t j = 0; j < length; ++j) {
        const int64_t place = places_[static_cast<size_t>(middle + i - j)];
        content.push_back(std::clamp<int64_t>(span + place, 0, 2 * span - 1));
        position.push_back(std::clamp<int64_t>(span - place, 0, 2 * span - 1));
      }
    }
    const auto index = [&](const std::vector<int64_t>& places) {
      return long_tensor(places).view({1, length, length}).expand({config_.heads, length, length});
    };
    at::Tensor bias = at::zeros({config_.heads, length, length}, query.options());
    if (distance_keys_.defined()) bias = bias + at::gather(at::matmul(query, distance_keys_), 2, index(content));
    if (distance_queries_.defined()) {
      // Row i, column j of the gathered is the key of token i with the distance of j from it, read as j - i.
      bias = bias + at::gather(at::matmul(key, distance_queries_), 2, index(position)).transpose(1, 2);
    }
    return (bias * scale).unsqueeze(0).contiguous();
  }

  const std::pair<at::Tensor, at::Tensor>& rotations_of(double theta) {
    for (const auto& [known, tables] : rotations_) {
      if (known == theta) return tables;
    }
    rotations_.emplace_back(theta, rotations(theta, longest_, config_.head_dim(), weights_.dtype()));
    return rotations_.back().second;
  }

  const EncoderConfig& config_;
  const EncoderWeights& weights_;
  std::span<const EncoderInput> inputs_;
  std::vector<int64_t> begins_;
  int64_t rows_ = 0;
  int64_t longest_ = 0;
  std::vector<int64_t> places_;  // by difference query - key, from 1 - longest_
  at::Tensor distance_keys_, distance_queries_;
  std::vector<std::pair<double, std::pair<at::Tensor, at::Tensor>>> rotations_;
};

void check(const EncoderConfig& config, std::span<const EncoderInput> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto size = static_cast<int64_t>(inputs[i].ids.size());
    if (size == 0) fail(ErrorKind::kData, "sequence {}: an empty sequence has nothing to read", i);
    if (size > config.max_positions) {
      fail(ErrorKind::kData, "sequence {}: {} tokens, the model has {} positions; truncate it first", i, size,
           config.max_positions);
    }
    for (const int32_t id : inputs[i].ids) {
      if (id >= 0 && id < config.vocab_size) continue;
      fail(ErrorKind::kData, "sequence {}: id {} is outside the vocabulary of {}", i, id, config.vocab_size);
    }
    if (inputs[i].second_from >= 0 && inputs[i].second_from < size && config.segments == 1) {
      fail(ErrorKind::kData, "sequence {}: the model has one token type, and a second text needs another", i);
    }
  }
}

// Keys and queries of the distances of a layer, from the table or as they were computed before.
std::pair<at::Tensor, at::Tensor> project_distances(const EncoderConfig& config, const EncoderWeights& weights,
                                                    const EncoderLayer& layer) {
  const at::Tensor table = norm(weights.distance_norm, weights.distances, config.norm_eps);
  const int64_t rows = table.size(0), spare = padded_rows(rows) - rows;
  const at::Tensor padded = spare == 0 ? table : at::cat({table, at::zeros({spare, table.size(1)}, table.options())});
  const auto heads = [&](const at::Tensor& projected) {
    return distance_heads(projected.slice(0, 0, rows).contiguous(), config.heads);
  };
  at::Tensor keys, queries;
  if (config.relative_shared) {
    const at::Tensor both = layer.qkv.forward(padded);
    queries = both.slice(1, 0, config.hidden_size);
    keys = both.slice(1, config.hidden_size, 2 * config.hidden_size);
  } else {
    if (config.position_to_content) queries = layer.distance_query.forward(padded);
    if (config.content_to_position) keys = layer.distance_key.forward(padded);
  }
  return {config.content_to_position ? heads(keys) : at::Tensor(),
          config.position_to_content ? heads(queries) : at::Tensor()};
}

}  // namespace

EncoderModel::EncoderModel(EncoderConfig config, EncoderWeights weights)
    : config_(std::move(config)), weights_(std::move(weights)) {
  if (config_.positions != EncoderPositions::kRelative) return;
  const at::NoGradGuard no_grad;
  for (const EncoderLayer& layer : weights_.layers) {
    auto [keys, queries] = project_distances(config_, weights_, layer);
    distance_keys_.push_back(std::move(keys));
    distance_queries_.push_back(std::move(queries));
  }
}

std::shared_ptr<const EncoderModel> EncoderModel::load(const std::filesystem::path& path, at::ScalarType dtype) {
  const std::filesystem::path file = path / "config.json";
  EncoderConfig config =
      encoder_config_from_hf(parse_json(read_file(file, kMaxJsonBytes), file.string()), file.string());
  EncoderWeights weights = load_encoder_weights(config, *formats::open_weights(path), dtype);
  return std::make_shared<const EncoderModel>(std::move(config), std::move(weights));
}

at::Tensor EncoderModel::forward(std::span<const EncoderInput> inputs) const {
  check(config_, inputs);
  if (inputs.empty()) return at::empty({0, config_.hidden_size}, weights_.words.options());
  Pass pass(config_, weights_, inputs);
  at::Tensor x = pass.embed();
  for (int64_t i = 0; i < config_.layers; ++i) {
    if (config_.positions == EncoderPositions::kRelative) {
      auto [keys, queries] = at::GradMode::is_enabled()
                                 ? project_distances(config_, weights_, weights_.layers[static_cast<size_t>(i)])
                                 : std::pair(distance_keys_[i], distance_queries_[i]);
      pass.set_distances(std::move(keys), std::move(queries));
    }
    x = pass.layer(x, i);
  }
  return pass.finish(x);
}

}  // namespace merit::nn
