#include "merit/nn/head_published.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/formats/weights.h"
#include "merit/nn/encoder_config.h"

namespace merit::nn {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxJsonBytes = uint64_t{64} << 20;
constexpr double kNormalizerEps = 1e-8;

// The attribute that holds a decoder's head: transformers and OpenRLHF; Starling, GRM, InternLM2; TRL; UltraRM, Eurus;
// Beaver; others; OpenAssistant's Pythia models.
constexpr std::array<std::string_view, 8> kNames = {"score",      "v_head",      "value_head", "regression_head",
                                                    "score_head", "reward_head", "classifier", "out_proj"};

// Parts of heads that mix several objectives (ArmoRM, QRM).
constexpr std::array<std::string_view, 3> kGated = {"gating", "regression_layer", "reward_transform_matrix"};

struct Folder {
  std::shared_ptr<const formats::WeightSource> weights;
  Json config = Json::object();
  std::string config_file;

  explicit Folder(const fs::path& path) : weights(formats::open_weights(path)) {
    if (!fs::is_directory(path)) return;
    config_file = (path / "config.json").string();
    config = parse_json(read_file(config_file, kMaxJsonBytes), config_file);
  }

  std::string text_or(const char* key, const std::string& fallback) const {
    return config.contains(key) && !config[key].is_null() ? get_string(config, key, config_file) : fallback;
  }
  bool flag_or(const char* key, bool fallback) const {
    return config.contains(key) && !config[key].is_null() ? get_bool(config, key, config_file) : fallback;
  }
  // Whether the class that the weights were written by ends so.
  bool is_class(std::string_view ending) const {
    const auto classes = config.find("architectures");
    return classes != config.end() && classes->is_array() && !classes->empty() && (*classes)[0].is_string() &&
           (*classes)[0].get_ref<const std::string&>().ends_with(ending);
  }
  at::Tensor read(const std::string& name, int dimensions) const {
    return read_head_tensor(weights->at(name), dimensions);
  }
  at::Tensor read_bias(const std::string& prefix) const {
    const formats::TensorView* bias = weights->find(prefix + ".bias");
    return bias == nullptr ? at::Tensor() : read_head_tensor(*bias, 1);
  }
  bool has(const std::string& name) const { return weights->find(name) != nullptr; }
};

// The number of labels a configuration states, or none.
std::optional<int64_t> stated_labels(const Folder& folder) {
  const Json& config = folder.config;
  if (config.contains("num_labels")) return get_int(config, "num_labels", folder.config_file);
  if (config.contains("id2label") && config["id2label"].is_object()) {
    return static_cast<int64_t>(config["id2label"].size());
  }
  return std::nullopt;
}

DenseLayer layer_at(const Folder& folder, const std::string& prefix, DenseActivation activation) {
  DenseLayer layer;
  layer.weight = folder.read(prefix + ".weight", 2);
  layer.bias = folder.read_bias(prefix);
  layer.activation = activation;
  return layer;
}

// The head of these parts, with the shapes that the configuration states.
ScalarHead finish(const Folder& folder, const std::string& prefix, at::Tensor weight, at::Tensor bias,
                  HeadRecord record, std::vector<DenseLayer> layers) {
  const int64_t read = layers.empty() ? weight.size(1) : layers.front().in_features();
  const int64_t hidden = get_int_or(folder.config, "hidden_size", read, folder.config_file);
  const int64_t labels = stated_labels(folder).value_or(weight.size(0));
  if (hidden != read || labels != weight.size(0)) {
    fail(ErrorKind::kData, "{}: {}: the configuration says [{}, {}], got [{}, {}]", folder.weights->where(),
         quote(prefix + ".weight"), labels, hidden, weight.size(0), read);
  }
  if (folder.is_class("ForTokenClassification") && labels == 2) {
    weight = weight.slice(0, 1, 2).sub(weight.slice(0, 0, 1));
    if (bias.defined()) bias = bias.slice(0, 1, 2).sub(bias.slice(0, 0, 1));
  }
  return ScalarHead(std::move(weight), std::move(bias), std::move(record), std::move(layers));
}

// ---- encoders

ScalarHead encoder_head(const Folder& folder) {
  const EncoderConfig config = encoder_config_from_hf(folder.config, folder.config_file);
  const bool tokens = folder.is_class("ForTokenClassification");
  const std::string name = folder.has("classifier.out_proj.weight") ? "classifier.out_proj" : "classifier";
  HeadRecord record;
  record.name = name;
  record.pooling = tokens ? "last" : "first";
  std::vector<DenseLayer> layers;
  if (config.architecture == "modernbert") {
    const std::string pooling = folder.text_or("classifier_pooling", "cls");
    if (pooling != "cls" && pooling != "mean") {
      fail(ErrorKind::kUnsupported, "{}: classifier_pooling {} is not computed; expected cls or mean",
           folder.config_file, quote(pooling));
    }
    if (!tokens && pooling == "mean") record.pooling = "mean";
    layers.push_back(layer_at(folder, "head.dense",
                              dense_activation(folder.text_or("classifier_activation", "gelu"), folder.config_file)));
    layers.back().norm_weight = folder.read("head.norm.weight", 1);
    layers.back().norm_bias = folder.read_bias("head.norm");
    layers.back().norm_eps = config.norm_eps;
  } else if (tokens) {
    // Straight on the states.
  } else if (config.architecture == "deberta-v2") {
    layers.push_back(layer_at(folder, "pooler.dense",
                              dense_activation(folder.text_or("pooler_hidden_act", "gelu"), folder.config_file)));
  } else {
    const std::string dense = config.architecture == "bert" ? "bert.pooler.dense" : "classifier.dense";
    layers.push_back(layer_at(folder, dense, DenseActivation::kTanh));
  }
  return finish(folder, name, folder.read(name + ".weight", 2), folder.read_bias(name), std::move(record),
                std::move(layers));
}

// ---- decoders

// Name prefix -> the tensors under it, for every known head name that the weights have.
std::map<std::string, std::vector<std::string>> heads_in(const Folder& folder, const std::string& stated) {
  std::map<std::string, std::vector<std::string>> found;
  for (const formats::TensorView& tensor : folder.weights->tensors()) {
    const size_t dot = tensor.name.find('.');
    if (dot == std::string::npos) continue;
    const std::string prefix = tensor.name.substr(0, dot);
    if (std::find(kNames.begin(), kNames.end(), prefix) == kNames.end() && prefix != stated) continue;
    found[prefix].push_back(tensor.name.substr(dot + 1));
  }
  return found;
}

void refuse_gated(const Folder& folder) {
  for (const formats::TensorView& tensor : folder.weights->tensors()) {
    for (const std::string_view part : kGated) {
      if (!tensor.name.starts_with(part)) continue;
      fail(ErrorKind::kUnsupported, "{}: expected a head of one value, got {} of a head that weighs several objectives",
           folder.weights->where(), quote(tensor.name));
    }
  }
}

// The places of the dense layers in a Sequential, "0", "2", ... with an activation between each two; empty for one
// layer.
std::vector<int> layer_places(const Folder& folder, const std::string& prefix, const std::vector<std::string>& parts,
                              const std::string& inner) {
  std::vector<int> places;
  for (const std::string& part : parts) {
    std::string_view rest = part;
    rest.remove_prefix(std::min(inner.size(), part.starts_with(inner) ? inner.size() : 0));
    if (part.starts_with(inner) && (rest == "weight" || rest == "bias")) continue;
    int place = -1;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), place);
    const std::string_view tail(end, rest.data() + rest.size());
    if (!part.starts_with(inner) || error != std::errc() || place < 0 || place > 64 || place % 2 != 0 ||
        (tail != ".weight" && tail != ".bias")) {
      fail(ErrorKind::kUnsupported, "{}: expected a score head of dense layers, got a tensor {}",
           folder.weights->where(), quote(prefix + "." + part));
    }
    if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
  }
  std::sort(places.begin(), places.end());
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i] == static_cast<int>(2 * i)) continue;
    fail(ErrorKind::kData, "{}: the layers of {} have a gap before {}", folder.weights->where(), quote(prefix),
         places[i]);
  }
  return places;
}

// Beaver: scores less the mean and over the deviation of those in training, as the score's type says; a cost is better
// the lower it is, so its negative is the reward.
void apply_normalizer(const Folder& folder, at::Tensor& weight, at::Tensor& bias) {
  const std::string type = folder.text_or("score_type", "reward");
  double scale = 1, shift = 0;
  if (folder.flag_or("do_normalize", false) && type != "critic") {
    const auto value = [&](const char* name) {
      const at::Tensor values = folder.read(std::string("normalizer.") + name, 1);
      if (values.numel() != 1) {
        fail(ErrorKind::kUnsupported, "{}: normalizer.{}: expected one value, got {}", folder.weights->where(), name,
             values.numel());
      }
      return values.to(at::kDouble).const_data_ptr<double>()[0];
    };
    scale = 1 / (std::sqrt(value("var")) + kNormalizerEps);
    if (type == "reward") shift = value("mean");
  }
  if (type == "cost") scale = -scale;
  if (scale == 1 && shift == 0) return;
  weight = weight.to(at::kDouble).mul(scale);
  const at::Tensor offset = bias.defined() ? bias.to(at::kDouble) : at::empty({weight.size(0)}, at::kDouble).zero_();
  bias = offset.sub(shift).mul(scale);
}

ScalarHead decoder_head(const Folder& folder) {
  refuse_gated(folder);
  const std::string stated = folder.text_or("value_head_prefix", "");
  const auto found = heads_in(folder, stated);
  if (found.empty()) {
    fail(ErrorKind::kData,
         "{}: no score head: none of score.weight, v_head.weight and the like among {} tensors; a language model gives "
         "no reward by itself: train a head, or name a folder that has one",
         folder.weights->where(), folder.weights->tensors().size());
  }
  if (found.size() > 1 && !found.contains(stated)) {
    fail(ErrorKind::kData, "{}: expected one score head, got {} and {}; keep one", folder.weights->where(),
         quote(found.begin()->first), quote(std::next(found.begin())->first));
  }
  const auto& [name, parts] = found.contains(stated) ? *found.find(stated) : *found.begin();
  const bool summary = parts[0].starts_with("summary.");  // TRL's value head, and GRM's
  const std::vector<int> places = layer_places(folder, name, parts, summary ? "summary." : "");
  const std::string prefix = name + (summary ? ".summary" : "");
  // A Sequential's activations are not in the file: GRM and INF-ORM have ReLU.
  if (!places.empty() && !summary && !folder.is_class("INFORMForSequenceClassification")) {
    fail(ErrorKind::kUnsupported,
         "{}: expected a linear score head, got the layers of {}, whose activation is not known",
         folder.weights->where(), quote(name));
  }
  std::string last = prefix;
  std::vector<DenseLayer> layers;
  for (const int place : places) {
    last = prefix + "." + std::to_string(place);
    if (place != places.back()) layers.push_back(layer_at(folder, last, DenseActivation::kRelu));
  }
  at::Tensor weight = folder.read(last + ".weight", 2), bias = folder.read_bias(last);
  if (name == "score_head") apply_normalizer(folder, weight, bias);
  HeadRecord record;
  record.name = name;
  // OpenAssistant's configurations say; all others read the last token.
  if (name == "out_proj") record.pooling = folder.text_or("pooling", "last");
  if (folder.config.contains("reward_token_id")) {
    record.appended = static_cast<int32_t>(get_int(folder.config, "reward_token_id", folder.config_file));
  }
  return finish(folder, last, std::move(weight), std::move(bias), std::move(record), std::move(layers));
}

}  // namespace

at::Tensor read_head_tensor(const formats::TensorView& view, int dimensions) {
  if (static_cast<int>(view.shape.size()) != dimensions) {
    fail(ErrorKind::kData, "tensor {}: expected {} dimensions, got {}", quote(view.name), dimensions,
         formats::shape_text(view.shape));
  }
  // The one type that would lose bits in float32.
  if (view.dtype == formats::DType::kF64) {
    at::Tensor out = at::empty(view.shape, at::kDouble);
    std::memcpy(out.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
    return out;
  }
  at::Tensor out = at::empty(view.shape, at::kFloat);
  formats::to_float(view, {out.mutable_data_ptr<float>(), static_cast<size_t>(out.numel())});
  return out;
}

ScalarHead load_published_head(const fs::path& path) {
  const Folder folder(path);
  if (!is_encoder_config(folder.config)) return decoder_head(folder);
  if (has_published_head(path)) return encoder_head(folder);
  fail(ErrorKind::kData, "{}: no score head: an encoder without classifier.weight gives no reward by itself",
       folder.weights->where());
}

bool has_published_head(const fs::path& path) {
  const Folder folder(path);
  if (is_encoder_config(folder.config)) {
    return folder.has("classifier.weight") || folder.has("classifier.out_proj.weight");
  }
  return !heads_in(folder, folder.text_or("value_head_prefix", "")).empty();
}

}  // namespace merit::nn
