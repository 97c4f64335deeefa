// Score heads in files: merit's own folders, and the names peers give theirs.
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/formats/safetensors.h"
#include "merit/nn/head.h"

namespace merit::nn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecordFile = "merit_head.json";
constexpr const char* kWeightFile = "head.safetensors";
constexpr const char* kSchema = "merit.head/1";
constexpr uint64_t kMaxJsonBytes = uint64_t{64} << 20;

// The attribute that holds the linear head: transformers and OpenRLHF; Starling, GRM; TRL; UltraRM, Eurus; Beaver;
// others; DeBERTa-like classifiers; OpenAssistant's Pythia models.
constexpr std::array<std::string_view, 8> kNames = {"score",      "v_head",      "value_head", "regression_head",
                                                    "score_head", "reward_head", "classifier", "out_proj"};

at::Tensor read_tensor(const formats::TensorView& view, int dimensions) {
  if (static_cast<int>(view.shape.size()) != dimensions) {
    fail(ErrorKind::kData, "tensor {}: expected {} dimensions, got {}", quote(view.name), dimensions,
         formats::shape_text(view.shape));
  }
  // The one type that would lose bits in float32.
  if (view.dtype == formats::DType::kF64) {
    at::Tensor out = at::empty(view.shape, at::kDouble);
    std::copy(view.bytes.begin(), view.bytes.end(), static_cast<std::byte*>(out.data_ptr()));
    return out;
  }
  at::Tensor out = at::empty(view.shape, at::kFloat);
  formats::to_float(view, {out.data_ptr<float>(), static_cast<size_t>(out.numel())});
  return out;
}

formats::TensorToWrite to_write(const std::string& name, const at::Tensor& values) {
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes());
  const bool wide = values.scalar_type() == at::kDouble;
  return {name, wide ? formats::DType::kF64 : formats::DType::kF32, values.sizes().vec(),
          [bytes](const formats::ByteSink& sink) { sink(bytes); }};
}

ScalarHead load_own(const fs::path& folder) {
  const fs::path file = folder / kRecordFile;
  const std::string where = file.string();
  const Json json = parse_json(read_file(file, kMaxJsonBytes), where);
  const std::string schema = get_string(json, "schema", where);
  if (schema != kSchema) {
    fail(ErrorKind::kUnsupported, "{}: expected schema {}, got {}", where, quote(kSchema), quote(schema));
  }
  HeadRecord record;
  record.base_identity = get_string(json, "base_identity", where);
  record.encoding_hash = get_string(json, "encoding_hash", where);
  record.pooling = get_string(json, "pooling", where);
  record.activation = get_string(json, "activation", where);
  record.name = get_string(json, "name", where);
  const int64_t outputs = get_int(json, "outputs", where);
  const int64_t hidden = get_int(json, "hidden_size", where);
  const formats::SafetensorsFile weights(folder / kWeightFile);
  for (const formats::TensorView& tensor : weights.tensors()) {
    if (tensor.name == "score.weight" || tensor.name == "score.bias") continue;
    fail(ErrorKind::kData, "{}: expected score.weight and score.bias alone, got {}", weights.where(),
         quote(tensor.name));
  }
  const formats::TensorView& weight = weights.at("score.weight");
  if (weight.shape != std::vector<int64_t>{outputs, hidden}) {
    fail(ErrorKind::kData, "{}: score.weight: {} says [{}, {}], got {}", weights.where(), kRecordFile, outputs, hidden,
         formats::shape_text(weight.shape));
  }
  const formats::TensorView* bias = weights.find("score.bias");
  return ScalarHead(read_tensor(weight, 2), bias ? read_tensor(*bias, 1) : at::Tensor(), std::move(record));
}

// Name prefix -> the tensors under it, for every known head name that the weights have.
std::map<std::string, std::vector<std::string>> heads_in(const formats::WeightSource& weights,
                                                         const std::string& extra_name) {
  std::map<std::string, std::vector<std::string>> found;
  for (const formats::TensorView& tensor : weights.tensors()) {
    const size_t dot = tensor.name.find('.');
    if (dot == std::string::npos) continue;
    const std::string prefix = tensor.name.substr(0, dot);
    if (std::find(kNames.begin(), kNames.end(), prefix) == kNames.end() && prefix != extra_name) continue;
    found[prefix].push_back(tensor.name.substr(dot + 1));
  }
  return found;
}

// The number of labels a configuration states, or none.
std::optional<int64_t> stated_labels(const Json& config, const std::string& where) {
  if (config.contains("num_labels")) return get_int(config, "num_labels", where);
  if (config.contains("id2label") && config["id2label"].is_object()) {
    return static_cast<int64_t>(config["id2label"].size());
  }
  return std::nullopt;
}

ScalarHead load_foreign(const fs::path& folder) {
  const auto weights = formats::open_weights(folder);
  Json config = Json::object();
  const fs::path file = folder / "config.json";
  if (fs::is_directory(folder)) config = parse_json(read_file(file, kMaxJsonBytes), file.string());
  const std::string stated = get_string_or(config, "value_head_prefix", "", file.string());
  const auto found = heads_in(*weights, stated);
  if (found.empty()) {
    fail(ErrorKind::kData,
         "{}: no score head: none of score.weight, v_head.weight and the like among {} tensors; a language model gives "
         "no reward by itself: train a head, or name a folder that has one",
         weights->where(), weights->tensors().size());
  }
  if (found.size() > 1 && !found.contains(stated)) {
    fail(ErrorKind::kData, "{}: expected one score head, got {} and {}; keep one", weights->where(),
         quote(found.begin()->first), quote(std::next(found.begin())->first));
  }
  const auto& [prefix, parts] = found.contains(stated) ? *found.find(stated) : *found.begin();
  for (const std::string& part : parts) {
    if (part == "weight" || part == "bias") continue;
    fail(ErrorKind::kUnsupported, "{}: expected a linear score head, got a tensor {}", weights->where(),
         quote(prefix + "." + part));
  }
  const formats::TensorView& weight = weights->at(prefix + ".weight");
  const formats::TensorView* bias = weights->find(prefix + ".bias");
  HeadRecord record;
  record.name = prefix;
  ScalarHead head(read_tensor(weight, 2), bias ? read_tensor(*bias, 1) : at::Tensor(), std::move(record));
  const int64_t hidden = get_int_or(config, "hidden_size", head.hidden_size(), file.string());
  const int64_t labels = stated_labels(config, file.string()).value_or(head.outputs());
  if (hidden != head.hidden_size() || labels != head.outputs()) {
    fail(ErrorKind::kData, "{}: {}: the configuration says [{}, {}], got {}", weights->where(), quote(weight.name),
         labels, hidden, formats::shape_text(weight.shape));
  }
  return head;
}

}  // namespace

void save_head(const fs::path& folder, const ScalarHead& head) {
  fs::create_directories(folder);
  std::vector<formats::TensorToWrite> tensors = {to_write("score.weight", head.weight())};
  if (head.bias().defined()) tensors.push_back(to_write("score.bias", head.bias()));
  formats::write_safetensors(folder / kWeightFile, tensors, {{"format", "pt"}});
  OrderedJson json;
  json["schema"] = kSchema;
  json["name"] = head.record().name;
  json["base_identity"] = head.record().base_identity;
  json["encoding_hash"] = head.record().encoding_hash;
  json["pooling"] = head.record().pooling;
  json["activation"] = head.record().activation;
  json["hidden_size"] = head.hidden_size();
  json["outputs"] = head.outputs();
  json["identity"] = head.identity();
  write_file_atomic(folder / kRecordFile, dump_json(json) + "\n");
}

ScalarHead load_head(const fs::path& folder) {
  return fs::exists(folder / kRecordFile) ? load_own(folder) : load_foreign(folder);
}

bool has_head(const fs::path& folder) {
  if (fs::exists(folder / kRecordFile)) return true;
  std::string stated;
  const fs::path file = folder / "config.json";
  if (fs::exists(file)) {
    stated = get_string_or(parse_json(read_file(file, kMaxJsonBytes), file.string()), "value_head_prefix", "",
                           file.string());
  }
  return !heads_in(*formats::open_weights(folder), stated).empty();
}

}  // namespace merit::nn
