#include "merit/nn/head.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <cmath>
#include <utility>

#include "merit/core/error.h"
#include "merit/core/hash.h"

namespace merit::nn {
namespace {

at::Tensor kept(const at::Tensor& values) {
  const at::ScalarType type = values.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return values.detach().to(type).contiguous().clone();
}

void check_finite(const at::Tensor& values, const char* what) {
  const at::Tensor wide = values.to(at::kDouble);
  for (int64_t i = 0; i < wide.numel(); ++i) {
    if (!std::isfinite(wide.const_data_ptr<double>()[i])) {
      fail(ErrorKind::kData, "score head: {} {} is not finite", what, i);
    }
  }
}

std::string_view bytes_of(const at::Tensor& values) {
  return {static_cast<const char*>(values.const_data_ptr()), values.nbytes()};
}

}  // namespace

ScalarHead::ScalarHead(at::Tensor weight, at::Tensor bias, HeadRecord record, std::vector<DenseLayer> layers)
    : record_(std::move(record)) {
  if (weight.dim() != 2 || weight.size(0) < 1 || weight.size(1) < 1) {
    fail(ErrorKind::kData, "score head: expected a weight [outputs, hidden], got {} dimensions of {} values",
         weight.dim(), weight.numel());
  }
  if (bias.defined() && (bias.dim() != 1 || bias.size(0) != weight.size(0))) {
    fail(ErrorKind::kData, "score head: expected a bias of {} values, got {}", weight.size(0), bias.numel());
  }
  if (record_.pooling != "last" && record_.pooling != "first" && record_.pooling != "mean") {
    fail(ErrorKind::kData, "score head: expected pooling \"last\", \"first\" or \"mean\", got {}",
         quote(record_.pooling));
  }
  if (record_.activation != "none") {
    fail(ErrorKind::kData, "score head: expected activation \"none\", got {}", quote(record_.activation));
  }
  weight_ = kept(weight);
  check_finite(weight_, "weight");
  if (bias.defined()) {
    bias_ = kept(bias);
    check_finite(bias_, "bias");
  }
  for (DenseLayer& layer : layers) {
    const auto& next = &layer == &layers.back() ? weight_ : (&layer + 1)->weight;
    if (layer.weight.dim() != 2 || layer.out_features() != next.size(1)) {
      fail(ErrorKind::kData, "score head: a layer gives {} values, the next reads {}", layer.weight.size(0),
           next.size(1));
    }
    for (at::Tensor* values : {&layer.weight, &layer.bias, &layer.norm_weight, &layer.norm_bias}) {
      if (!values->defined()) continue;
      *values = kept(*values);
      check_finite(*values, "layer weight");
    }
    layers_.push_back(std::move(layer));
  }
}

at::Tensor ScalarHead::score(const at::Tensor& pooled) const {
  if (pooled.dim() != 2 || pooled.size(1) != hidden_size()) {
    fail(ErrorKind::kData, "score head: expected hidden states [n, {}], got a width of {}", hidden_size(),
         pooled.dim() == 2 ? pooled.size(1) : -1);
  }
  at::Tensor rows = kept(pooled);
  for (const DenseLayer& layer : layers_) rows = apply_layer(layer, rows);
  const at::Tensor scores = apply_layer({.weight = weight_, .bias = bias_}, rows);
  const at::Tensor wide = scores.to(at::kDouble);
  for (int64_t i = 0; i < wide.numel(); ++i) {
    const double value = wide.const_data_ptr<double>()[i];
    if (std::isfinite(value)) continue;
    fail(ErrorKind::kNumeric, "score of row {}: expected a finite value, got {}; the hidden states are at fault",
         i / outputs(), value);
  }
  return scores;
}

std::string ScalarHead::identity() const {
  Hasher hasher;
  hasher.update(fmt::format("{} {} {}\n{}\n{}\n{}\n{}\n", outputs(), hidden_size(),
                            c10::toString(weight_.scalar_type()), record_.base_identity, record_.encoding_hash,
                            record_.pooling, record_.activation));
  hasher.update(bytes_of(weight_));
  if (bias_.defined()) hasher.update(bytes_of(bias_));
  if (record_.appended >= 0) hasher.update(fmt::format("appended {}\n", record_.appended));
  for (const DenseLayer& layer : layers_) {
    hasher.update(fmt::format("layer {} {} {} {}\n", layer.out_features(), layer.in_features(),
                              static_cast<int>(layer.activation), layer.norm_eps));
    for (const at::Tensor* values : {&layer.weight, &layer.bias, &layer.norm_weight, &layer.norm_bias}) {
      if (values->defined()) hasher.update(bytes_of(*values));
    }
  }
  return hasher.hex();
}

void ScalarHead::check_fits(int64_t hidden_size, const std::string& base_identity,
                            const std::string& encoding_hash) const {
  if (hidden_size != this->hidden_size()) {
    fail(ErrorKind::kData, "score head {}: it reads {} values a position, the model gives {}; use its own model",
         quote(record_.name), this->hidden_size(), hidden_size);
  }
  const auto differ = [](const std::string& a, const std::string& b) { return !a.empty() && !b.empty() && a != b; };
  if (differ(record_.base_identity, base_identity)) {
    fail(ErrorKind::kData, "score head {}: fitted on model {}, this is model {}; use the model it was fitted on",
         quote(record_.name), quote(record_.base_identity), quote(base_identity));
  }
  if (differ(record_.encoding_hash, encoding_hash)) {
    fail(ErrorKind::kData,
         "score head {}: fitted with encoding {}, this model folder encodes as {}; use the same record",
         quote(record_.name), quote(record_.encoding_hash), quote(encoding_hash));
  }
}

at::Tensor pool_positions(const at::Tensor& hidden, const at::Tensor& positions) {
  const at::Tensor index = positions.to(at::kLong).contiguous();
  for (int64_t i = 0; i < index.numel(); ++i) {
    const int64_t position = index.const_data_ptr<int64_t>()[i];
    if (position < 0 || position >= hidden.size(0)) {
      fail(ErrorKind::kData, "pooled position {}: expected 0 to {}, got {}", i, hidden.size(0) - 1, position);
    }
  }
  return at::index_select(hidden, 0, index);
}

at::Tensor pool_rows(const at::Tensor& hidden, const std::string& pooling) {
  if (pooling != "mean") {
    MERIT_CHECK(hidden.size(0) == 1);
    return hidden;
  }
  const at::Tensor rows = kept(hidden);
  const int64_t width = rows.size(1);
  at::Tensor out = at::empty({1, width}, at::kDouble);
  const at::Tensor wide = rows.to(at::kDouble);
  for (int64_t i = 0; i < width; ++i) {
    double sum = 0;
    for (int64_t r = 0; r < rows.size(0); ++r) sum += wide.const_data_ptr<double>()[r * width + i];
    out.mutable_data_ptr<double>()[i] = sum / static_cast<double>(rows.size(0));
  }
  return out.to(rows.scalar_type());
}

}  // namespace merit::nn
