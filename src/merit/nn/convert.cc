#include "merit/nn/convert.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <functional>
#include <optional>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/formats/safetensors.h"
#include "merit/nn/adapter_file.h"
#include "merit/nn/architectures.h"
#include "merit/nn/head.h"
#include "merit/nn/transformer.h"
#include "merit/nn/weights.h"
#include "merit/text/encoding_record.h"
#include "merit/text/tokenizer.h"

namespace merit::nn {
namespace {

formats::DType dtype_named(const std::string& name) {
  if (name == "float32") return formats::DType::kF32;
  if (name == "bfloat16") return formats::DType::kBF16;
  if (name == "float16") return formats::DType::kF16;
  fail(ErrorKind::kUsage, "dtype {} cannot be written: float32, bfloat16 and float16 can", quote(name));
}

template <typename To>
void emit_as(const float* values, int64_t count, const formats::ByteSink& sink) {
  constexpr int64_t kPiece = 1 << 16;
  std::vector<To> piece;
  for (int64_t done = 0; done < count; done += kPiece) {
    piece.clear();
    for (int64_t i = done; i < std::min(count, done + kPiece); ++i) piece.push_back(static_cast<To>(values[i]));
    sink(std::as_bytes(std::span(piece)));
  }
}

formats::TensorToWrite entry(std::string name, std::vector<int64_t> shape, std::function<at::Tensor()> value,
                             formats::DType dtype) {
  formats::TensorToWrite out{std::move(name), dtype, std::move(shape), {}};
  out.produce = [value = std::move(value), dtype](const formats::ByteSink& sink) {
    const at::Tensor tensor = value();
    const auto* values = tensor.const_data_ptr<float>();
    if (dtype == formats::DType::kBF16) return emit_as<at::BFloat16>(values, tensor.numel(), sink);
    if (dtype == formats::DType::kF16) return emit_as<at::Half>(values, tensor.numel(), sink);
    sink(std::as_bytes(std::span(values, tensor.numel())));
  };
  return out;
}

std::vector<formats::TensorToWrite> entries(const Transformer& model, const ScalarHead* head, formats::DType dtype) {
  const ModelConfig& config = model.config();
  std::vector<formats::TensorToWrite> out;
  for (const NamedPart& part : named_parts(config, model.weights())) {
    if (head && model.weights().vocab.defined() && part.parameter.is_same(model.weights().vocab.dense()) &&
        !config.tie_embeddings)
      continue;
    std::vector<int64_t> shape = part.parameter.sizes().vec();
    shape[0] = part.rows.count;
    if (part.layout == Layout::kColumns) std::swap(shape[0], shape[1]);
    auto value = [config, part] {
      const at::Tensor rows = folder_rows(config, part, part.parameter);
      return part.offset != 0 ? rows.sub(part.offset) : rows;
    };
    out.push_back(entry(part.name, std::move(shape), value, dtype));
  }
  if (head) {
    const at::Tensor weight = head->weight().to(at::kFloat).contiguous();
    out.push_back(entry(
        "score.weight", weight.sizes().vec(), [weight] { return weight; }, dtype));
  }
  return out;
}

OrderedJson generation_config(const OrderedJson& config) {
  OrderedJson out;
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (!config[key].is_null()) out[key] = config[key];
  }
  return out;
}

}  // namespace

void convert_to_folder(const std::filesystem::path& from, const std::filesystem::path& to,
                       const ConvertOptions& options) {
  const auto model = Transformer::load(from);
  std::optional<ScalarHead> own;
  const bool has_own = is_adapter_folder(from) ? has_head(from) : model->config().num_labels > 0;
  if (!options.head && has_own) own = load_head(from);
  write_model_folder(*model, from, to, {options.dtype, own ? &*own : options.head});
}

void write_model_folder(const Transformer& model, const std::filesystem::path& from, const std::filesystem::path& to,
                        const ConvertOptions& options) {
  const formats::DType dtype = dtype_named(options.dtype);
  if (architecture_of(model.config().architecture, from.string()).remote_code) {
    fail(ErrorKind::kUnsupported, "{}: transformers has no classes of its own for {}, so no folder of it is written",
         quote(from.string()), model.config().architecture);
  }
  const std::filesystem::path base = base_of(from);
  const text::Tokenizer tokenizer = text::load_tokenizer(base);
  const text::EncodingRecord record = text::load_encoding(base.string(), tokenizer);
  const ScalarHead* head = options.head;
  if (head && (!head->layers().empty() || head->record().pooling != "last" || head->record().appended >= 0)) {
    fail(ErrorKind::kUnsupported,
         "{}: a head of several layers or another pooling has no place in a transformers folder", quote(from.string()));
  }
  if (head && head->bias().defined() && head->bias().count_nonzero().item().toLong() != 0) {
    fail(ErrorKind::kUnsupported, "{}: a head with a bias has no place in a transformers folder", quote(from.string()));
  }

  write_model_safetensors(to, entries(model, head, dtype));
  write_file_atomic(to / "tokenizer.json", tokenizer.to_tokenizer_json().dump());
  OrderedJson tokenizer_config = tokenizer.tokenizer_config_json();
  if (!record.chat_template.empty()) tokenizer_config["chat_template"] = record.chat_template;
  write_file_atomic(to / "tokenizer_config.json", tokenizer_config.dump(2) + "\n");
  text::save_encoding(record, to.string());
  ModelConfig shape = model.config();
  shape.num_labels = head ? head->outputs() : 0;
  const OrderedJson config = to_hf_config(shape, options.dtype);
  write_file_atomic(to / "generation_config.json", generation_config(config).dump(2) + "\n");
  // Last: a folder with a config.json is a whole one.
  write_file_atomic(to / "config.json", config.dump(2) + "\n");
}

}  // namespace merit::nn
