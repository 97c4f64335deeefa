#include "merit/nn/convert.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <optional>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/formats/safetensors.h"
#include "merit/nn/head.h"
#include "merit/nn/transformer.h"
#include "merit/nn/weight_names.h"
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

// Rows [begin, end) of a float32 tensor as one tensor of the file.
formats::TensorToWrite entry(std::string name, const at::Tensor& tensor, int64_t begin, int64_t end,
                             formats::DType dtype) {
  const at::Tensor part = tensor.slice(0, begin, end);
  formats::TensorToWrite out{std::move(name), dtype, part.sizes().vec(), {}};
  out.produce = [part, dtype](const formats::ByteSink& sink) {
    const auto* values = part.const_data_ptr<float>();
    if (dtype == formats::DType::kBF16) return emit_as<at::BFloat16>(values, part.numel(), sink);
    if (dtype == formats::DType::kF16) return emit_as<at::Half>(values, part.numel(), sink);
    sink(std::as_bytes(std::span(values, part.numel())));
  };
  return out;
}

std::vector<formats::TensorToWrite> entries(const Transformer& model, const ScalarHead* head, formats::DType dtype) {
  const ModelConfig& c = model.config();
  std::vector<formats::TensorToWrite> out;
  auto add = [&](Part part, int64_t layer, bool bias, const at::Tensor& tensor, int64_t begin, int64_t end) {
    if (!tensor.defined()) return;
    out.push_back(entry(weight_name(Container::kHuggingFace, part, layer, bias), tensor, begin, end, dtype));
  };
  auto add_product = [&](Part part, int64_t layer, const Linear& linear, int64_t begin, int64_t end) {
    add(part, layer, false, linear.weight(), begin, end);
    add(part, layer, true, linear.bias(), begin, end);
  };
  const Weights& w = model.weights();
  add(Part::kEmbedding, 0, false, w.embedding, 0, c.vocab_size);
  for (int64_t i = 0; i < c.layers; ++i) {
    const LayerWeights& layer = w.layers[i];
    add(Part::kAttentionNorm, i, false, layer.attention_norm, 0, c.hidden_size);
    add_product(Part::kQuery, i, layer.qkv, 0, c.q_size());
    add_product(Part::kKey, i, layer.qkv, c.q_size(), c.q_size() + c.kv_size());
    add_product(Part::kValue, i, layer.qkv, c.q_size() + c.kv_size(), c.q_size() + 2 * c.kv_size());
    add_product(Part::kOut, i, layer.out, 0, c.hidden_size);
    add(Part::kMlpNorm, i, false, layer.mlp_norm, 0, c.hidden_size);
    add_product(Part::kGate, i, layer.gate_up, 0, c.ffn_size);
    add_product(Part::kUp, i, layer.gate_up, c.ffn_size, 2 * c.ffn_size);
    add_product(Part::kDown, i, layer.down, 0, c.hidden_size);
  }
  add(Part::kFinalNorm, 0, false, w.final_norm, 0, c.hidden_size);
  if (head) {
    out.push_back(entry("score.weight", head->weight().to(at::kFloat), 0, head->outputs(), dtype));
  } else if (!c.tie_embeddings) {
    add(Part::kVocab, 0, false, w.vocab, 0, c.vocab_size);
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
  const formats::DType dtype = dtype_named(options.dtype);
  const auto model = Transformer::load(from);
  const text::Tokenizer tokenizer = text::load_tokenizer(from);
  const text::EncodingRecord record = text::load_encoding(from.string());

  std::optional<ScalarHead> own;
  if (!options.head && model->config().num_labels > 0) own = load_head(from);
  const ScalarHead* head = own ? &*own : options.head;
  if (head && head->bias().defined() && head->bias().count_nonzero().item().toLong() != 0) {
    fail(ErrorKind::kUnsupported, "{}: a head with a bias has no place in a transformers folder", quote(from.string()));
  }

  write_model_safetensors(to, entries(*model, head, dtype));
  write_file_atomic(to / "tokenizer.json", tokenizer.to_tokenizer_json().dump());
  OrderedJson tokenizer_config = tokenizer.tokenizer_config_json();
  if (!record.chat_template.empty()) tokenizer_config["chat_template"] = record.chat_template;
  write_file_atomic(to / "tokenizer_config.json", tokenizer_config.dump(2) + "\n");
  text::save_encoding(record, to.string());
  ModelConfig shape = model->config();
  shape.num_labels = head ? head->outputs() : 0;
  const OrderedJson config = to_hf_config(shape, options.dtype);
  write_file_atomic(to / "generation_config.json", generation_config(config).dump(2) + "\n");
  // Last: a folder with a config.json is a whole one.
  write_file_atomic(to / "config.json", config.dump(2) + "\n");
}

}  // namespace merit::nn
