#include "merit/nn/encoder_weights.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <array>
#include <cstring>
#include <string>

#include "merit/core/error.h"
#include "merit/formats/weights.h"

namespace merit::nn {
namespace {

// Names below the prefix; "" for what the architecture has not. Those of a layer stand behind `layer` + its number.
struct Names {
  const char* architecture;
  const char* prefix;
  const char* words;
  const char* positions;
  const char* segments;
  const char* projection;
  const char* embedding_norm;
  const char* distances;
  const char* distance_norm;
  const char* final_norm;
  const char* layer;
  std::array<const char*, 3> qkv;  // or one fused product and two ""
  const char* out;
  const char* attention_norm;
  const char* up;
  const char* down;
  const char* mlp_norm;
};

constexpr Names bert_names(const char* architecture, const char* prefix) {
  return {architecture,
          prefix,
          "embeddings.word_embeddings.weight",
          "embeddings.position_embeddings.weight",
          "embeddings.token_type_embeddings.weight",
          "embeddings.embed_proj",
          "embeddings.LayerNorm",
          "",
          "",
          "",
          "encoder.layer.",
          {"attention.self.query", "attention.self.key", "attention.self.value"},
          "attention.output.dense",
          "attention.output.LayerNorm",
          "intermediate.dense",
          "output.dense",
          "output.LayerNorm"};
}

constexpr Names deberta_names() {
  Names names = bert_names("deberta-v2", "deberta.");
  names.distances = "encoder.rel_embeddings.weight";
  names.distance_norm = "encoder.LayerNorm";
  names.qkv = {"attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"};
  return names;
}

constexpr std::array kNames = {
    bert_names("bert", "bert."),
    bert_names("roberta", "roberta."),
    bert_names("xlm-roberta", "roberta."),
    deberta_names(),
    Names{"modernbert",
          "model.",
          "embeddings.tok_embeddings.weight",
          "",
          "",
          "",
          "embeddings.norm",
          "",
          "",
          "final_norm",
          "layers.",
          {"attn.Wqkv", "", ""},
          "attn.Wo",
          "attn_norm",
          "mlp.Wi",
          "mlp.Wo",
          "mlp_norm"},
};

const Names& names_of(const std::string& architecture) {
  for (const Names& names : kNames) {
    if (architecture == names.architecture) return names;
  }
  MERIT_CHECK(false);
  return kNames[0];
}

class Loader {
 public:
  Loader(const EncoderConfig& config, const formats::WeightSource& source, at::ScalarType dtype)
      : config_(config), names_(names_of(config.architecture)), source_(source), dtype_(dtype) {
    prefix_ = source.find(std::string(names_.prefix) + names_.words) != nullptr ? names_.prefix : "";
  }

  EncoderWeights load() const {
    const int64_t hidden = config_.hidden_size, width = config_.embedding_size;
    EncoderWeights out;
    out.words = table(names_.words, config_.vocab_size, width);
    // RoBERTa has a row for every number that a position may have, those up to pad_id among them.
    if (config_.learned_positions) {
      out.positions = table(names_.positions, config_.max_positions + config_.counted_from_pad + 1, width);
    }
    if (config_.segments > 0) out.segments = table(names_.segments, config_.segments, width);
    if (width != hidden) out.projection = linear("", names_.projection, width, hidden, false);
    out.embedding_norm = norm("", names_.embedding_norm, config_.norm_bias);
    if (config_.positions == EncoderPositions::kRelative) {
      out.distances = table(names_.distances, 2 * config_.relative_span, hidden);
      if (config_.relative_norm) out.distance_norm = norm("", names_.distance_norm, true);
    }
    for (int64_t i = 0; i < config_.layers; ++i) out.layers.push_back(layer(i));
    if (config_.pre_norm) out.final_norm = norm("", names_.final_norm, config_.norm_bias);
    return out;
  }

 private:
  EncoderLayer layer(int64_t index) const {
    const std::string at = names_.layer + std::to_string(index) + ".";
    const int64_t hidden = config_.hidden_size, ffn = config_.ffn_size;
    EncoderLayer out;
    out.qkv = qkv(at);
    out.out = linear(at, names_.out, hidden, hidden, config_.attention_bias);
    if (!config_.pre_norm || index > 0) out.attention_norm = norm(at, names_.attention_norm, config_.norm_bias);
    out.up = linear(at, names_.up, hidden, config_.pre_norm ? 2 * ffn : ffn, config_.mlp_bias);
    out.down = linear(at, names_.down, ffn, hidden, config_.mlp_bias);
    out.mlp_norm = norm(at, names_.mlp_norm, config_.norm_bias);
    if (config_.positions == EncoderPositions::kRelative && !config_.relative_shared) {
      if (config_.content_to_position) {
        out.distance_key = linear(at, "attention.self.pos_key_proj", hidden, hidden, true);
      }
      if (config_.position_to_content) {
        out.distance_query = linear(at, "attention.self.pos_query_proj", hidden, hidden, true);
      }
    }
    return out;
  }

  Linear qkv(const std::string& at) const {
    const int64_t hidden = config_.hidden_size;
    if (*names_.qkv[1] == '\0') return linear(at, names_.qkv[0], hidden, 3 * hidden, config_.attention_bias);
    std::vector<at::Tensor> weights, biases;
    for (const char* name : names_.qkv) {
      weights.push_back(read(prefix_ + at + name + ".weight", {hidden, hidden}));
      if (config_.attention_bias) biases.push_back(read(prefix_ + at + name + ".bias", {hidden}));
    }
    return Linear(at::cat(weights), biases.empty() ? at::Tensor() : at::cat(biases));
  }

  at::Tensor table(const char* name, int64_t rows, int64_t columns) const {
    return read(prefix_ + name, {rows, columns});
  }
  Linear linear(const std::string& at, const char* name, int64_t in, int64_t out, bool bias) const {
    const std::string full = prefix_ + at + name;
    return Linear(read(full + ".weight", {out, in}), bias ? read(full + ".bias", {out}) : at::Tensor());
  }
  // Checkpoints that came from TensorFlow call the two gamma and beta.
  LayerNormWeights norm(const std::string& at, const char* name, bool bias) const {
    const std::string full = prefix_ + at + name;
    const bool greek = source_.find(full + ".weight") == nullptr && source_.find(full + ".gamma") != nullptr;
    const std::vector<int64_t> shape = {config_.hidden_size};
    return {read(full + (greek ? ".gamma" : ".weight"), shape),
            bias ? read(full + (greek ? ".beta" : ".bias"), shape) : at::Tensor()};
  }

  at::Tensor read(const std::string& name, const std::vector<int64_t>& shape) const {
    const formats::TensorView& view = source_.at(name);
    if (view.shape != shape) {
      fail(ErrorKind::kData, "{}: tensor {}: expected {}, got {}", source_.where(), quote(name),
           formats::shape_text(shape), formats::shape_text(view.shape));
    }
    if (view.dtype == formats::DType::kF64) {
      at::Tensor wide = at::empty(shape, at::kDouble);
      std::memcpy(wide.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
      return wide.to(dtype_);
    }
    at::Tensor values = at::empty(shape, at::kFloat);
    formats::to_float(view, {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
    return values.to(dtype_);
  }

  const EncoderConfig& config_;
  const Names& names_;
  const formats::WeightSource& source_;
  at::ScalarType dtype_;
  std::string prefix_;
};

}  // namespace

EncoderWeights load_encoder_weights(const EncoderConfig& config, const formats::WeightSource& source,
                                    at::ScalarType dtype) {
  return Loader(config, source, dtype).load();
}

}  // namespace merit::nn
