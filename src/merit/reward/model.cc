#include "merit/reward/model.h"

#include <algorithm>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/hash.h"
#include "merit/core/json.h"
#include "merit/formats/gguf.h"
#include "merit/formats/safetensors.h"
#include "merit/formats/weights.h"
#include "merit/nn/adapter_file.h"
#include "merit/nn/encoder_model.h"
#include "merit/nn/linear.h"
#include "merit/nn/row_invariance.h"
#include "merit/nn/transformer.h"
#include "merit/reward/pair_text.h"

namespace merit::reward {
namespace fs = std::filesystem;
namespace {

std::string hash_of_weights(const formats::WeightSource& source) {
  Hasher hasher;
  for (const formats::TensorView& tensor : source.tensors()) {
    hasher.update(tensor.name);
    hasher.update(fmt::format(" {} ", static_cast<int>(tensor.dtype)));
    for (const int64_t size : tensor.shape) hasher.update(fmt::format("{},", size));
    const std::string_view bytes(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    const size_t edge = std::min<size_t>(4096, bytes.size());
    hasher.update(bytes.substr(0, edge));
    hasher.update(bytes.substr(bytes.size() - edge));
  }
  return hasher.hex();
}

std::string hash_of_encoding(text::EncodingRecord record) {
  record.max_length = 0;  // a default, not identity
  record.derived = false;
  record.reasons.clear();
  return hash_hex(dump_json(record.to_json()));
}

}  // namespace

at::ScalarType parse_dtype(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float64") return at::kDouble;
  if (name == "auto") return nn::multiplies_bfloat16() ? at::kBFloat16 : at::kFloat;
  fail(ErrorKind::kUsage, "dtype: expected auto, float32, bfloat16 or float64, got {}", quote(name));
}

std::string dtype_name(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kDouble ? "float64" : "float32";
}

std::string adapted_identity(const std::string& base_identity, const fs::path& folder) {
  const formats::SafetensorsFile tensors(folder / "adapter_model.safetensors");
  const std::string file = folder / "adapter_config.json";
  const Json config = parse_json(read_file(file), file);
  std::string scale;
  for (const char* key : {"lora_alpha", "alpha_pattern", "use_rslora", "use_dora"}) {
    scale += config.contains(key) ? config[key].dump() + " " : "- ";
  }
  return hash_hex(base_identity + " " + hash_of_weights(tensors) + " " + scale);
}

Model::Model(const fs::path& given, const ModelOptions& options) : path_(given.string()), options_(options) {
  if (!fs::exists(given)) {
    fail(ErrorKind::kIo,
         "cannot open the model {}: no such file or folder; expected a Hugging Face folder, a GGUF file or a PEFT "
         "adapter",
         path_);
  }
  const fs::path path = nn::base_of(given);
  if (!fs::is_directory(path)) {
    config_ = nn::config_from_gguf(formats::GgufFile(path));
  } else {
    const std::string file = path / "config.json";
    const Json json = parse_json(read_file(file), file);
    if (nn::is_encoder_config(json)) encoder_config_ = nn::encoder_config_from_hf(json, file);
    config_ = encoder_config_ ? nn::sizes_of(*encoder_config_) : nn::config_from_hf(json, file);
  }
  const text::Tokenizer tokenizer = text::load_tokenizer(path);
  const text::EncodingRecord record = text::load_encoding(path.string(), tokenizer);
  encoder_ = std::make_unique<text::Encoder>(tokenizer, record);
  identity_ = hash_of_weights(*formats::open_weights(path));
  const bool adapted = nn::is_adapter_folder(given);
  if (adapted) identity_ = adapted_identity(identity_, given);
  if (adapted && encoder_config_) fail(ErrorKind::kUnsupported, "{}: an adapter of an encoder is not read", path_);
  encoding_hash_ = hash_of_encoding(record);
  max_length_ = options.max_length > 0 ? options.max_length : record.max_length;
  if (max_length_ <= 0) max_length_ = config_.max_positions;
  // Derived from a number of positions of which RoBERTa leaves some unused.
  if (options.max_length <= 0 && record.derived && config_.max_positions > 0) {
    max_length_ = std::min(max_length_, config_.max_positions);
  }
  if (config_.max_positions > 0 && max_length_ > config_.max_positions) {
    fail(ErrorKind::kUsage, "max_length {} is more than the {} positions of {}", max_length_, config_.max_positions,
         path_);
  }
}

Model::~Model() = default;

void Model::load() const {
  std::call_once(loaded_, [this] {
    nn::check_row_invariance(options_.dtype,
                             encoder_config_ ? nn::product_shapes(*encoder_config_) : nn::product_shapes(config_));
    if (encoder_config_) {
      bidirectional_ = nn::EncoderModel::load(path_, options_.dtype);
    } else {
      transformer_ = nn::Transformer::load(path_, {.dtype = options_.dtype, .stored = options_.stored});
    }
  });
}

const nn::Transformer& Model::transformer() const {
  if (encoder_config_) {
    fail(ErrorKind::kUnsupported,
         "{}: an encoder ({}) neither samples nor gives log-probabilities; use a language model", path_,
         config_.architecture);
  }
  load();
  return *transformer_;
}

std::vector<nn::PathResult> Model::read(std::span<const nn::PathRequest> paths, const nn::ReadOptions& options,
                                        nn::ReadStats* stats) const {
  load();
  return encoder_config_ ? nn::read(*bidirectional_, paths, options, stats)
                         : nn::read(*transformer_, paths, options, stats);
}

text::EncodeContext Model::context_of(const data::Group& group) const {
  text::EncodeContext context;
  const auto column = [&](const char* name) {
    const auto it = group.columns.find(name);
    return it != group.columns.end() && it->is_array() ? *it : OrderedJson(nullptr);
  };
  context.tools = column("tools");
  context.documents = column("documents");
  const auto variables = group.columns.find("chat_template_kwargs");
  if (variables != group.columns.end() && variables->is_object()) context.variables = *variables;
  context.max_length = static_cast<int>(max_length_);
  return context;
}

Result<text::Encoded> Model::encode(const data::Group& group, const data::Candidate& candidate) const {
  const Content none = std::string();
  if (encoder_config_ && encoder_->record().chat_template.empty()) {
    return encode_pair(*encoder_, group.prompt ? *group.prompt : none, candidate.content, max_length_);
  }
  return encoder_->encode(group.prompt ? *group.prompt : none, candidate.content, context_of(group));
}

Result<text::Encoded> Model::encode_prompt(const data::Group& group) const {
  const Content none = std::string();
  return encoder_->encode_prompt(group.prompt ? *group.prompt : none, context_of(group));
}

std::shared_ptr<const Model> ModelPool::get(const fs::path& path) {
  std::error_code ignored;
  const fs::path canonical = fs::weakly_canonical(path, ignored);
  auto& model = models_[canonical.empty() ? path.string() : canonical.string()];
  if (model == nullptr) model = std::make_shared<const Model>(path, options_);
  return model;
}

void ModelPool::load() const {
  for (const auto& [path, model] : models_) model->read({}, {}, nullptr);  // loads, whichever kind it is
}

std::map<std::string, std::string> ModelPool::identities() const {
  std::map<std::string, std::string> out;
  for (const auto& [path, model] : models_) out[path] = model->identity() + "+" + model->encoding_hash();
  return out;
}

}  // namespace merit::reward
