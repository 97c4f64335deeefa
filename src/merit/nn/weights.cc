#include "merit/nn/weights.h"

#include <ATen/ops/empty.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>

#include <cstring>

#include "merit/core/error.h"
#include "merit/formats/gguf.h"
#include "merit/nn/weight_names.h"

namespace merit::nn {
namespace {

template <typename To>
void convert(const float* from, int64_t count, To* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<To>(from[i]);
}

void store(const float* from, int64_t count, at::Tensor& tensor, int64_t offset) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      std::memcpy(tensor.mutable_data_ptr<float>() + offset, from, sizeof(float) * count);
      return;
    case at::kBFloat16:
      convert(from, count, tensor.mutable_data_ptr<at::BFloat16>() + offset);
      return;
    case at::kDouble:
      convert(from, count, tensor.mutable_data_ptr<double>() + offset);
      return;
    default:
      MERIT_CHECK(false);
  }
}

class Loader {
 public:
  Loader(const ModelConfig& config, const formats::WeightSource& source, at::ScalarType dtype)
      : config_(config), source_(source), dtype_(dtype) {
    const bool gguf = dynamic_cast<const formats::GgufFile*>(&source) != nullptr;
    container_ = gguf ? Container::kGguf : Container::kHuggingFace;
    interleaved_ = gguf && find_architecture(config.architecture)->gguf_interleaved_rope;
    // A base model without a head on top is saved without the "model." in front.
    bare_ = !gguf && !source.find("model.embed_tokens.weight") && source.find("embed_tokens.weight");
  }

  Weights load() {
    Weights w;
    const ModelConfig& c = config_;
    w.embedding = matrix({{Part::kEmbedding, c.vocab_size}}, c.hidden_size, 0);
    for (int64_t i = 0; i < c.layers; ++i) {
      LayerWeights layer;
      layer.attention_norm = vector({{Part::kAttentionNorm, c.hidden_size}}, i, false);
      layer.qkv = product({{Part::kQuery, c.q_size()}, {Part::kKey, c.kv_size()}, {Part::kValue, c.kv_size()}},
                          c.hidden_size, i, c.qkv_bias);
      layer.out = product({{Part::kOut, c.hidden_size}}, c.q_size(), i, c.out_bias);
      layer.mlp_norm = vector({{Part::kMlpNorm, c.hidden_size}}, i, false);
      layer.gate_up = product({{Part::kGate, c.ffn_size}, {Part::kUp, c.ffn_size}}, c.hidden_size, i, c.mlp_bias);
      layer.down = product({{Part::kDown, c.hidden_size}}, c.ffn_size, i, c.mlp_bias);
      w.layers.push_back(std::move(layer));
    }
    w.final_norm = vector({{Part::kFinalNorm, c.hidden_size}}, 0, false);
    if (c.tie_embeddings) {
      w.vocab = w.embedding;
    } else if (source_.find(name_of(Part::kVocab, 0, false)) || c.num_labels == 0) {
      w.vocab = matrix({{Part::kVocab, c.vocab_size}}, c.hidden_size, 0);
    }
    return w;
  }

 private:
  struct Piece {
    Part part;
    int64_t rows;
  };

  std::string name_of(Part part, int64_t layer, bool bias) const {
    std::string name = weight_name(container_, part, layer, bias);
    if (bare_ && name.starts_with("model.")) name.erase(0, 6);
    return name;
  }

  at::Tensor allocate(at::IntArrayRef shape) const {
    try {
      at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype_));
      MERIT_CHECK(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 64 == 0);
      return tensor;
    } catch (const c10::Error&) {
      fail(ErrorKind::kLimit, "{}: not enough memory for the weights", source_.where());
    }
  }

  // Copies the tensor's rows behind `offset` elements of `out`, a slice at a time so that no second copy of a large
  // matrix is ever held.
  void fill(Part part, int64_t layer, bool bias, std::vector<int64_t> shape, at::Tensor& out, int64_t offset) const {
    const formats::TensorView& view = source_.at(name_of(part, layer, bias));
    if (view.shape != shape) {
      fail(ErrorKind::kData, "{}: tensor {} must have shape {}, got {}", source_.where(), quote(view.name),
           formats::shape_text(shape), formats::shape_text(view.shape));
    }
    const int64_t width = shape.size() == 2 ? shape[1] : 1;
    const bool interleaved = interleaved_ && (part == Part::kQuery || part == Part::kKey);
    const int64_t slice = interleaved ? config_.head_dim : std::max<int64_t>(1, (int64_t{1} << 20) / width);
    std::vector<float> buffer;
    std::vector<float> ordered;
    for (int64_t begin = 0; begin < shape[0]; begin += slice) {
      const int64_t end = std::min(shape[0], begin + slice);
      buffer.resize(static_cast<size_t>((end - begin) * width));
      formats::to_float(formats::rows(view, begin, end), buffer);
      if (interleaved) {
        // Row 2 j + half of a head there is row half * head_dim / 2 + j here.
        ordered.resize(buffer.size());
        for (int64_t row = 0; row < slice; ++row) {
          const int64_t to = (row % 2) * (slice / 2) + row / 2;
          std::memcpy(ordered.data() + to * width, buffer.data() + row * width, sizeof(float) * width);
        }
        buffer.swap(ordered);
      }
      store(buffer.data(), static_cast<int64_t>(buffer.size()), out, offset + begin * width);
    }
  }

  at::Tensor matrix(const std::vector<Piece>& pieces, int64_t width, int64_t layer) const {
    int64_t rows = 0;
    for (const Piece& piece : pieces) rows += piece.rows;
    at::Tensor out = allocate({rows, width});
    int64_t offset = 0;
    for (const Piece& piece : pieces) {
      fill(piece.part, layer, false, {piece.rows, width}, out, offset);
      offset += piece.rows * width;
    }
    return out;
  }

  at::Tensor vector(const std::vector<Piece>& pieces, int64_t layer, bool bias) const {
    int64_t size = 0;
    for (const Piece& piece : pieces) size += piece.rows;
    at::Tensor out = allocate({size});
    int64_t offset = 0;
    for (const Piece& piece : pieces) {
      fill(piece.part, layer, bias, {piece.rows}, out, offset);
      offset += piece.rows;
    }
    return out;
  }

  Linear product(const std::vector<Piece>& pieces, int64_t width, int64_t layer, bool bias) const {
    return Linear(matrix(pieces, width, layer), bias ? vector(pieces, layer, true) : at::Tensor());
  }

  const ModelConfig& config_;
  const formats::WeightSource& source_;
  at::ScalarType dtype_;
  Container container_;
  bool interleaved_ = false;
  bool bare_ = false;
};

}  // namespace

std::vector<at::Tensor> Weights::parameters() const {
  std::vector<at::Tensor> all;
  auto add = [&](const at::Tensor& tensor) {
    if (tensor.defined()) all.push_back(tensor);
  };
  add(embedding);
  for (const LayerWeights& layer : layers) {
    add(layer.attention_norm);
    for (const Linear* linear : {&layer.qkv, &layer.out}) {
      add(linear->weight());
      add(linear->bias());
    }
    add(layer.mlp_norm);
    for (const Linear* linear : {&layer.gate_up, &layer.down}) {
      add(linear->weight());
      add(linear->bias());
    }
  }
  add(final_norm);
  if (vocab.defined() && !vocab.is_same(embedding)) add(vocab);
  return all;
}

Weights load_weights(const ModelConfig& config, const formats::WeightSource& source, at::ScalarType dtype) {
  if (dtype != at::kFloat && dtype != at::kBFloat16 && dtype != at::kDouble) {
    fail(ErrorKind::kUsage, "{}: the compute dtype must be float32, bfloat16 or float64", source.where());
  }
  return Loader(config, source, dtype).load();
}

}  // namespace merit::nn
