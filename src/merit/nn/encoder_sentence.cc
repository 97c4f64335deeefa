#include "merit/nn/encoder_sentence.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/formats/weights.h"

namespace merit::nn {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxJsonBytes = uint64_t{64} << 20;
constexpr double kNormEps = 1e-12;

struct ModeName {
  PoolingMode mode;
  const char* flag;  // in a Pooling module's config.json
  const char* name;  // in newer ones, as the value of "pooling_mode"
};

// In the order in which several modes follow each other in the vector.
constexpr std::array kModes = {
    ModeName{PoolingMode::kCls, "pooling_mode_cls_token", "cls"},
    ModeName{PoolingMode::kMax, "pooling_mode_max_tokens", "max"},
    ModeName{PoolingMode::kMean, "pooling_mode_mean_tokens", "mean"},
    ModeName{PoolingMode::kMeanSqrtLength, "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
    ModeName{PoolingMode::kWeightedMean, "pooling_mode_weightedmean_tokens", "weightedmean"},
    ModeName{PoolingMode::kLastToken, "pooling_mode_lasttoken", "lasttoken"},
};

Json read_json(const fs::path& file) { return parse_json(read_file(file, kMaxJsonBytes), file.string()); }

DenseActivation torch_activation(const std::string& name, const std::string& where) {
  const std::string last = name.substr(name.rfind('.') + 1);
  if (last == "Identity") return DenseActivation::kNone;
  if (last == "Tanh") return DenseActivation::kTanh;
  if (last == "ReLU") return DenseActivation::kRelu;
  if (last == "SiLU") return DenseActivation::kSilu;
  if (last == "GELU") return DenseActivation::kGelu;
  fail(ErrorKind::kUnsupported,
       "{}: activation_function {} is not computed; expected Identity, Tanh, ReLU, SiLU or GELU", where, quote(name));
}

at::Tensor float_tensor(const formats::WeightSource& source, const char* name, const std::vector<int64_t>& shape) {
  const formats::TensorView& view = source.at(name);
  if (view.shape != shape) {
    fail(ErrorKind::kData, "{}: tensor {}: expected {}, got {}", source.where(), quote(name),
         formats::shape_text(shape), formats::shape_text(view.shape));
  }
  at::Tensor out = at::empty(shape, at::kFloat);
  formats::to_float(view, {out.mutable_data_ptr<float>(), static_cast<size_t>(out.numel())});
  return out;
}

void normalise_rows(at::Tensor& rows) {
  for (int64_t r = 0; r < rows.size(0); ++r) {
    float* row = rows.mutable_data_ptr<float>() + r * rows.size(1);
    double squares = 0;
    for (int64_t i = 0; i < rows.size(1); ++i) squares += static_cast<double>(row[i]) * row[i];
    const double length = std::max(std::sqrt(squares), kNormEps);
    for (int64_t i = 0; i < rows.size(1); ++i) row[i] = static_cast<float>(row[i] / length);
  }
}

}  // namespace

at::Tensor pool_states(const at::Tensor& states, PoolingMode mode) {
  MERIT_CHECK(states.dim() == 2 && states.size(0) > 0);
  const at::Tensor rows = states.to(at::kFloat).contiguous();
  const int64_t tokens = rows.size(0), width = rows.size(1);
  if (mode == PoolingMode::kCls) return rows[0].clone();
  if (mode == PoolingMode::kLastToken) return rows[tokens - 1].clone();
  at::Tensor out = at::empty({width}, at::kFloat);
  const auto* from = rows.const_data_ptr<float>();
  const auto count = static_cast<double>(tokens);
  for (int64_t i = 0; i < width; ++i) {
    double sum = 0;
    float most = -std::numeric_limits<float>::infinity();
    for (int64_t t = 0; t < tokens; ++t) {
      const float value = from[t * width + i];
      sum += mode == PoolingMode::kWeightedMean ? static_cast<double>(t + 1) * value : static_cast<double>(value);
      most = std::max(most, value);
    }
    double pooled = sum / count;
    if (mode == PoolingMode::kMax) pooled = most;
    if (mode == PoolingMode::kMeanSqrtLength) pooled = sum / std::sqrt(count);
    if (mode == PoolingMode::kWeightedMean) pooled = sum / (count * (count + 1) / 2);
    out.mutable_data_ptr<float>()[i] = static_cast<float>(pooled);
  }
  return out;
}

bool SentenceEncoder::is_folder(const fs::path& folder) { return fs::exists(folder / "modules.json"); }

SentenceEncoder::SentenceEncoder(std::shared_ptr<const EncoderModel> model, text::Tokenizer tokenizer)
    : model_(std::move(model)), tokenizer_(std::move(tokenizer)), max_tokens_(model_->config().max_positions) {}

std::shared_ptr<const SentenceEncoder> SentenceEncoder::load(const fs::path& folder, at::ScalarType dtype) {
  const std::string where = (folder / "modules.json").string();
  const Json modules = read_json(where);
  if (!modules.is_array() || modules.empty()) fail(ErrorKind::kData, "{}: expected a list of modules", where);
  std::shared_ptr<SentenceEncoder> out;
  for (const Json& module : modules) {
    const std::string full = get_string(module, "type", where);
    const std::string type = full.substr(full.rfind('.') + 1);
    const std::string path = get_string(module, "path", where);
    if (path.find("..") != std::string::npos || path.starts_with('/')) {
      fail(ErrorKind::kData, "{}: expected a path inside the folder, got {}", where, quote(path));
    }
    const fs::path at = path.empty() ? folder : folder / path;
    if ((type == "Transformer") != (out == nullptr)) {
      fail(ErrorKind::kData, "{}: expected one Transformer, and that first, got {}", where, quote(full));
    }
    if (out != nullptr) {
      out->add_module(type, at);
      continue;
    }
    out.reset(new SentenceEncoder(EncoderModel::load(at, dtype), text::load_tokenizer(at)));
    const fs::path settings = at / "sentence_bert_config.json";
    if (!fs::exists(settings)) continue;
    const Json json = read_json(settings);
    if (get_bool_or(json, "do_lower_case", false, settings.string())) {
      fail(ErrorKind::kUnsupported, "{}: do_lower_case is not computed; let the tokenizer lower the case",
           settings.string());
    }
    if (json.contains("max_seq_length") && !json["max_seq_length"].is_null()) {
      const int64_t most = get_int(json, "max_seq_length", settings.string());
      if (most < 1) fail(ErrorKind::kData, "{}: max_seq_length: expected at least 1, got {}", settings.string(), most);
      out->max_tokens_ = std::min(out->max_tokens_, most);
    }
  }
  if (out->pooling_.empty()) fail(ErrorKind::kData, "{}: expected a Pooling module", where);
  return out;
}

void SentenceEncoder::add_module(const std::string& type, const fs::path& folder) {
  if (type != "Pooling" && pooling_.empty()) {
    fail(ErrorKind::kData, "{}: expected a Pooling module before {}", folder.string(), quote(type));
  }
  if (normalise_) fail(ErrorKind::kUnsupported, "{}: expected no module behind Normalize", folder.string());
  if (type == "Pooling") return add_pooling(folder);
  if (type == "Dense") return add_dense(folder);
  if (type != "Normalize") {
    fail(ErrorKind::kUnsupported, "{}: module {} is not computed; expected Pooling, Dense or Normalize",
         folder.string(), quote(type));
  }
  normalise_ = true;
}

void SentenceEncoder::add_pooling(const fs::path& folder) {
  const std::string where = (folder / "config.json").string();
  const Json json = read_json(where);
  if (!pooling_.empty()) fail(ErrorKind::kData, "{}: a second Pooling module", where);
  for (const auto& [key, value] : json.items()) {
    const bool known =
        std::any_of(kModes.begin(), kModes.end(), [&](const ModeName& mode) { return key == mode.flag; });
    if (key.starts_with("pooling_mode_") && !known && value != false) {
      fail(ErrorKind::kUnsupported, "{}: {} is not computed", where, quote(key));
    }
  }
  std::vector<std::string> named;
  if (json.contains("pooling_mode")) {
    if (json["pooling_mode"].is_string()) named.push_back(json["pooling_mode"]);
    if (json["pooling_mode"].is_array()) named = json["pooling_mode"].get<std::vector<std::string>>();
  }
  for (const ModeName& mode : kModes) {
    const bool listed = std::find(named.begin(), named.end(), mode.name) != named.end();
    if (listed || get_bool_or(json, mode.flag, false, where)) pooling_.push_back(mode.mode);
  }
  const std::string_view width =
      json.contains("embedding_dimension") ? "embedding_dimension" : "word_embedding_dimension";
  const int64_t size = get_int(json, std::string(width), where);
  if (pooling_.empty() || named.size() > pooling_.size() || size != model_->config().hidden_size) {
    fail(ErrorKind::kData, "{}: expected pooling modes that are known and {} {}", where, width,
         model_->config().hidden_size);
  }
}

void SentenceEncoder::add_dense(const fs::path& folder) {
  const std::string where = (folder / "config.json").string();
  const Json json = read_json(where);
  const int64_t in = get_int(json, "in_features", where), out = get_int(json, "out_features", where);
  if (in != dimension() || out < 1) {
    fail(ErrorKind::kData, "{}: expected in_features {} and out_features from 1, got {} and {}", where, dimension(), in,
         out);
  }
  const auto weights = formats::open_weights(folder);
  DenseLayer layer;
  layer.weight = float_tensor(*weights, "linear.weight", {out, in});
  if (get_bool_or(json, "bias", true, where)) layer.bias = float_tensor(*weights, "linear.bias", {out});
  layer.activation = torch_activation(get_string_or(json, "activation_function", "Tanh", where), where);
  layers_.push_back(std::move(layer));
}

int64_t SentenceEncoder::dimension() const {
  if (!layers_.empty()) return layers_.back().out_features();
  return static_cast<int64_t>(pooling_.size()) * model_->config().hidden_size;
}

at::Tensor SentenceEncoder::embed(std::span<const std::string> texts, const ReadOptions& options) const {
  const auto room = max_tokens_ - static_cast<int64_t>(tokenizer_.with_special({}).size());
  std::vector<PathRequest> requests;
  for (const std::string& text : texts) {
    std::vector<text::TokenId> ids = tokenizer_.encode(text, {.add_special_tokens = false});
    if (static_cast<int64_t>(ids.size()) > room) ids.resize(static_cast<size_t>(std::max<int64_t>(room, 0)));
    PathRequest& request = requests.emplace_back();
    request.ids = tokenizer_.with_special(ids);
    request.hidden_at.resize(request.ids.size());
    std::iota(request.hidden_at.begin(), request.hidden_at.end(), 0);
  }
  std::vector<at::Tensor> rows;
  for (const PathResult& result : read(*model_, requests, options)) {
    std::vector<at::Tensor> parts;
    for (const PoolingMode mode : pooling_) parts.push_back(pool_states(result.hidden, mode));
    rows.push_back(at::cat(parts));
  }
  if (rows.empty()) return at::empty({0, dimension()}, at::kFloat);
  at::Tensor out = at::stack(rows);
  for (const DenseLayer& layer : layers_) out = apply_layer(layer, out);
  if (normalise_) normalise_rows(out);
  return out;
}

}  // namespace merit::nn
