// Score heads in files of their own.
#include <string_view>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/formats/safetensors.h"
#include "merit/nn/adapter_file.h"
#include "merit/nn/head.h"
#include "merit/nn/head_published.h"

namespace merit::nn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecordFile = "merit_head.json";
constexpr const char* kWeightFile = "head.safetensors";
constexpr const char* kSchema = "merit.head/1";
constexpr uint64_t kMaxJsonBytes = uint64_t{64} << 20;

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
  record.appended = static_cast<int32_t>(get_int_or(json, "appended", -1, where));
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
  return ScalarHead(read_head_tensor(weight, 2), bias ? read_head_tensor(*bias, 1) : at::Tensor(), std::move(record));
}

constexpr const char* kAdapterFile = "adapter_model.safetensors";
constexpr const char* kAdapterHead = "base_model.model.score.weight";

// The head among an adapter's tensors.
ScalarHead load_adapter_head(const fs::path& folder) {
  const formats::SafetensorsFile weights(folder / kAdapterFile);
  const formats::TensorView* weight = weights.find(kAdapterHead);
  if (weight == nullptr) {
    fail(ErrorKind::kData,
         "{}: the adapter has no score head (base_model.model.score.weight): it is a language model's, or was saved "
         "without modules_to_save = [\"score\"]",
         weights.where());
  }
  return ScalarHead(read_head_tensor(*weight, 2), {}, HeadRecord());
}

}  // namespace

void save_head(const fs::path& folder, const ScalarHead& head) {
  if (!head.layers().empty()) {
    fail(ErrorKind::kUnsupported, "{}: a head of several layers is written with its model alone", folder.string());
  }
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
  if (head.record().appended >= 0) json["appended"] = head.record().appended;
  json["hidden_size"] = head.hidden_size();
  json["outputs"] = head.outputs();
  json["identity"] = head.identity();
  write_file_atomic(folder / kRecordFile, dump_json(json) + "\n");
}

ScalarHead load_head(const fs::path& folder) {
  if (fs::exists(folder / kRecordFile)) return load_own(folder);
  return is_adapter_folder(folder) ? load_adapter_head(folder) : load_published_head(folder);
}

bool has_head(const fs::path& folder) {
  if (fs::exists(folder / kRecordFile)) return true;
  if (!is_adapter_folder(folder)) return has_published_head(folder);
  return fs::exists(folder / kAdapterFile) && formats::SafetensorsFile(folder / kAdapterFile).find(kAdapterHead);
}

}  // namespace merit::nn
