#include "merit/nn/weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "merit/core/error.h"
#include "merit/formats/gguf.h"
#include "merit/nn/architectures.h"

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

bool same_type(formats::DType stored, at::ScalarType dtype) {
  return (stored == formats::DType::kF32 && dtype == at::kFloat) ||
         (stored == formats::DType::kBF16 && dtype == at::kBFloat16) ||
         (stored == formats::DType::kF64 && dtype == at::kDouble);
}

// A matrix in the pages of a file: pieces one after the other, the rows of each in the file's order or another.
class FileRows : public StoredRows {
 public:
  struct Piece {
    formats::TensorView view;
    std::vector<int64_t> file_row;  // of each row of the piece; empty: as they are
  };
  FileRows(std::vector<Piece> pieces, std::shared_ptr<const formats::WeightSource> files)
      : pieces_(std::move(pieces)), files_(std::move(files)) {
    for (const Piece& piece : pieces_) rows_ += piece.view.shape[0];
  }

  int64_t rows() const override { return rows_; }
  int64_t columns() const override { return pieces_.front().view.shape[1]; }
  void widen(int64_t begin, int64_t end, float* out) const override {
    const int64_t width = columns();
    int64_t first = 0;  // of the piece
    for (const Piece& piece : pieces_) {
      const int64_t from = std::max<int64_t>(begin - first, 0);
      const int64_t to = std::min(end - first, piece.view.shape[0]);
      if (from < to) widen_piece(piece, from, to, out + (first + from - begin) * width);
      first += piece.view.shape[0];
    }
  }

 private:
  void widen_piece(const Piece& piece, int64_t from, int64_t to, float* out) const {
    const auto width = static_cast<size_t>(columns());
    if (piece.file_row.empty()) {
      formats::to_float(formats::rows(piece.view, from, to), {out, static_cast<size_t>(to - from) * width});
      return;
    }
    for (int64_t row = from; row < to; ++row, out += width) {
      const int64_t at = piece.file_row[static_cast<size_t>(row)];
      formats::to_float(formats::rows(piece.view, at, at + 1), {out, width});
    }
  }

  std::vector<Piece> pieces_;
  std::shared_ptr<const formats::WeightSource> files_;
  int64_t rows_ = 0;
};

// Which tensor of the file: a row of the table, and what its placeholders stand for.
struct Place {
  int64_t layer = 0;
  int64_t expert = 0;
  bool bias = false;
};

class Loader {
 public:
  Loader(const ModelConfig& config, const formats::WeightSource& source, at::ScalarType dtype,
         std::shared_ptr<const formats::WeightSource> files, bool stored)
      : config_(config), source_(source), dtype_(dtype), files_(std::move(files)) {
    stored_ = stored && (dtype == at::kFloat || (dtype == at::kBFloat16 && !multiplies_bfloat16()));
    const Architecture& architecture = architecture_of(config.architecture, source.where());
    const bool gguf = dynamic_cast<const formats::GgufFile*>(&source) != nullptr;
    names_ = gguf ? architecture.gguf_names : architecture.hf_names;
    offset_ = gguf ? 0 : architecture.norm_offset;
    // A base model without a head on top is saved without its own name in front.
    const std::string embedding = weight_name(rows_of(Slot::kEmbedding).front()->pattern);
    const size_t dot = embedding.find('.');
    if (!gguf && !source.find(embedding) && source.find(embedding.substr(dot + 1))) {
      bare_ = embedding.substr(0, dot + 1);
    }
  }

  Weights load() {
    Weights w;
    const ModelConfig& c = config_;
    w.embedding = matrix(Slot::kEmbedding, c.hidden_size, {});
    if (c.learned_positions) w.positions = tensor(Slot::kPositions, c.hidden_size, {});
    for (int64_t i = 0; i < c.layers; ++i) w.layers.push_back(load_layer(i));
    w.final_norm = norm(Slot::kFinalNorm, 0);
    if (c.tie_embeddings) {
      w.vocab = w.embedding;
    } else if (has(Slot::kVocab)) {
      w.vocab = matrix(Slot::kVocab, c.hidden_size, {});
    }
    return w;
  }

 private:
  LayerWeights load_layer(int64_t i) {
    const ModelConfig& c = config_;
    LayerWeights layer;
    if (c.pre_norm) {
      layer.attention_norm = norm(Slot::kAttentionNorm, i);
      layer.mlp_norm = norm(Slot::kMlpNorm, i);
    }
    if (c.post_norm) {
      layer.attention_post_norm = norm(Slot::kAttentionPostNorm, i);
      layer.mlp_post_norm = norm(Slot::kMlpPostNorm, i);
    }
    layer.qkv = product(Slot::kQkv, c.hidden_size, {i}, c.qkv_bias);
    if (c.qk_norm != QkNorm::kNone) {
      layer.query_norm.weight = vector(Slot::kQueryNorm, {i}, norm_type(), offset_);
      layer.key_norm.weight = vector(Slot::kKeyNorm, {i}, norm_type(), offset_);
    }
    layer.out = product(Slot::kOut, c.q_size(), {i}, c.out_bias);
    if (c.is_sparse(i)) {
      layer.router = product(Slot::kRouter, c.hidden_size, {i}, false);
      for (int64_t e = 0; e < c.experts; ++e) {
        layer.experts.push_back({product(Slot::kExpertGateUp, c.hidden_size, {i, e}, false),
                                 product(Slot::kExpertDown, c.expert_ffn_size, {i, e}, false)});
      }
    } else {
      layer.gate_up = product(Slot::kGateUp, c.hidden_size, {i}, c.mlp_bias);
      layer.down = product(Slot::kDown, c.ffn_size, {i}, c.mlp_bias);
    }
    return layer;
  }

  at::ScalarType norm_type() const { return dtype_ == at::kDouble ? at::kDouble : at::kFloat; }

  NormWeights norm(Slot slot, int64_t layer) {
    NormWeights n;
    n.weight = vector(slot, {layer}, norm_type(), offset_);
    if (config_.norm == NormKind::kLayer) n.bias = vector(slot, {layer, 0, true}, norm_type(), 0);
    return n;
  }

  std::string name_of(const WeightName& row, const Place& place) const {
    std::string name = weight_name(row.pattern, place.layer, place.expert, place.bias);
    if (!bare_.empty() && name.starts_with(bare_)) name.erase(0, bare_.size());
    return name;
  }

  // The table's rows of a slot, one a piece: of several names for one piece, the one the file has.
  std::vector<const WeightName*> rows_of(Slot slot, const Place& place = {}) const {
    std::vector<const WeightName*> rows;
    for (const WeightName& row : names_) {
      if (row.slot != slot) continue;
      auto same = std::find_if(rows.begin(), rows.end(), [&](const WeightName* r) { return r->piece == row.piece; });
      if (same == rows.end()) {
        rows.push_back(&row);
      } else if (!source_.find(name_of(**same, place)) && source_.find(name_of(row, place))) {
        *same = &row;
      }
    }
    MERIT_CHECK(!rows.empty());
    return rows;
  }

  bool has(Slot slot) const { return source_.find(name_of(*rows_of(slot).front(), {})) != nullptr; }

  at::Tensor allocate(at::IntArrayRef shape, at::ScalarType dtype) const {
    try {
      at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
      MERIT_CHECK(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 64 == 0);
      return tensor;
    } catch (const c10::Error&) {
      fail(ErrorKind::kLimit, "{}: not enough memory for the weights", source_.where());
    }
  }

  // The tensor, its shape checked against [rows, width] as its layout has it (width 0: a vector), and of a stack the
  // expert's part.
  formats::TensorView view_of(const WeightName& row, const Place& place, int64_t rows, int64_t width) const {
    formats::TensorView view = source_.at(name_of(row, place));
    std::vector<int64_t> shape = {rows};
    if (width > 0) shape.push_back(width);
    if (width > 0 && row.layout == Layout::kColumns) shape = {width, rows};
    if (row.layout == Layout::kStacked) shape.insert(shape.begin(), config_.experts);
    if (view.shape != shape) {
      fail(ErrorKind::kData, "{}: tensor {} must have shape {}, got {}", source_.where(), quote(view.name),
           formats::shape_text(shape), formats::shape_text(view.shape));
    }
    if (row.layout != Layout::kStacked) return view;
    view.shape = {config_.experts * rows, width};
    return formats::rows(view, place.expert * rows, (place.expert + 1) * rows);
  }

  // The rows of `view`, a slice at a time so that no second copy of a large matrix is ever held.
  template <typename Take>
  void slices(const formats::TensorView& view, const Take& take) const {
    const int64_t width = view.shape.size() == 2 ? view.shape[1] : 1;
    // A quantised vector is cut at whole blocks only.
    const int64_t step = view.shape.size() == 1 ? view.shape[0] : std::max<int64_t>(1, (int64_t{1} << 20) / width);
    std::vector<float> buffer;
    for (int64_t begin = 0; begin < view.shape[0]; begin += step) {
      const formats::TensorView part = formats::rows(view, begin, std::min(view.shape[0], begin + step));
      take(part, begin, width, buffer);
      if (files_) source_.release(part);
    }
  }

  void fill(const WeightName& row, const formats::TensorView& view, int64_t first, at::Tensor& out) const {
    const bool transposed = row.layout == Layout::kColumns && view.shape.size() == 2;
    const bool reordered =
        row.layout == Layout::kRopePairs || row.layout == Layout::kHeadTriples || row.layout == Layout::kGroups;
    const bool same = same_type(view.dtype, out.scalar_type()) && !transposed && !reordered;
    slices(view, [&](const formats::TensorView& part, int64_t begin, int64_t width, std::vector<float>& buffer) {
      if (same) {
        auto* to = static_cast<std::byte*>(out.mutable_data_ptr()) + (first + begin) * width * out.element_size();
        std::memcpy(to, part.bytes.data(), part.bytes.size());
        return;
      }
      buffer.resize(static_cast<size_t>(part.numel()));
      formats::to_float(part, buffer);
      if (transposed) {
        const at::Tensor columns = at::from_blob(buffer.data(), {part.shape[0], width}, at::kFloat);
        out.slice(1, begin, begin + part.shape[0]).copy_(columns.t());
      } else if (reordered) {
        for (int64_t r = 0; r < part.shape[0]; ++r) {
          const int64_t to = first + row_in_slot(config_, row.layout, begin + r);
          store(buffer.data() + r * width, width, out, to * width);
        }
      } else {
        store(buffer.data(), part.numel(), out, (first + begin) * width);
      }
    });
  }

  // A tensor in the file's own pages, if it needs no change.
  at::Tensor mapped(const WeightName& row, const formats::TensorView& view) const {
    if (!files_ || row.piece != Piece::kWhole || !same_type(view.dtype, dtype_)) return {};
    if (row.layout != Layout::kRows && row.layout != Layout::kStacked) return {};
    // Rows of the embedding are copied one by one; the vocabulary operator widens bfloat16 rows before it multiplies.
    const bool by_rows = row.slot == Slot::kPositions || (row.slot == Slot::kEmbedding && !config_.tie_embeddings) ||
                         (dtype_ == at::kBFloat16 && (row.slot == Slot::kEmbedding || row.slot == Slot::kVocab));
    const auto address = reinterpret_cast<uintptr_t>(view.bytes.data());
    if (address % (by_rows ? c10::elementSize(dtype_) : 64) != 0) return {};
    return at::from_blob(
        const_cast<std::byte*>(view.bytes.data()), view.shape, [files = files_](void*) {},
        at::TensorOptions().dtype(dtype_));
  }

  // The matrix as it stands in the file, if it is to stay there.
  std::shared_ptr<const FileRows> in_file(Slot slot, int64_t width, const Place& place) const {
    if (!stored_) return nullptr;
    std::map<int64_t, FileRows::Piece> pieces;  // by their first row
    for (const WeightName* row : rows_of(slot, place)) {
      const RowRange range = piece_rows(config_, slot, row->piece);
      FileRows::Piece piece{view_of(*row, place, range.count, width), {}};
      const formats::DTypeInfo& type = formats::info(piece.view.dtype);
      const bool narrow = type.block_bytes < type.block * static_cast<int64_t>(sizeof(float));
      if (!narrow || row->layout == Layout::kColumns) return nullptr;
      if (row->layout != Layout::kRows && row->layout != Layout::kStacked) {
        piece.file_row.resize(static_cast<size_t>(range.count));
        for (int64_t r = 0; r < range.count; ++r) {
          piece.file_row[static_cast<size_t>(row_in_slot(config_, row->layout, r))] = r;
        }
      }
      pieces.emplace(range.begin, std::move(piece));
    }
    std::vector<FileRows::Piece> in_order;
    for (auto& [begin, piece] : pieces) in_order.push_back(std::move(piece));
    return std::make_shared<const FileRows>(std::move(in_order), files_);
  }

  Matrix matrix(Slot slot, int64_t width, const Place& place) const {
    if (auto rows = in_file(slot, width, place)) return Matrix(std::move(rows), dtype_);
    return Matrix(tensor(slot, width, place));
  }

  at::Tensor tensor(Slot slot, int64_t width, const Place& place) const {
    const int64_t rows = piece_rows(config_, slot, Piece::kWhole).count;
    at::Tensor out;
    for (const WeightName* row : rows_of(slot, place)) {
      const RowRange range = piece_rows(config_, slot, row->piece);
      const formats::TensorView view = view_of(*row, place, range.count, width);
      if (at::Tensor in_place = mapped(*row, view); in_place.defined()) return in_place;
      if (!out.defined()) out = allocate({rows, width}, dtype_);
      fill(*row, view, range.begin, out);
    }
    return out;
  }

  at::Tensor vector(Slot slot, const Place& place, at::ScalarType dtype, double offset) const {
    at::Tensor out = allocate({piece_rows(config_, slot, Piece::kWhole).count}, dtype);
    for (const WeightName* row : rows_of(slot, place)) {
      const RowRange range = piece_rows(config_, slot, row->piece);
      fill(*row, view_of(*row, place, range.count, 0), range.begin, out);
    }
    return offset != 0 ? out.add_(offset) : out;
  }

  Linear product(Slot slot, int64_t width, const Place& place, bool bias) const {
    Place bias_place = place;
    bias_place.bias = true;
    return Linear(matrix(slot, width, place), bias ? vector(slot, bias_place, dtype_, 0) : at::Tensor());
  }

  const ModelConfig& config_;
  const formats::WeightSource& source_;
  at::ScalarType dtype_;
  std::shared_ptr<const formats::WeightSource> files_;
  bool stored_ = false;
  std::span<const WeightName> names_;
  double offset_ = 0;
  std::string bare_;
};

struct Parameter {
  Slot slot;
  int64_t layer;
  int64_t expert;
  at::Tensor weight;
  at::Tensor bias;
};

// Every slot the model has, in a fixed order.
std::vector<Parameter> all_parameters(const Weights& w) {
  std::vector<Parameter> all;
  auto add = [&](Slot slot, int64_t layer, int64_t expert, const at::Tensor& weight, const at::Tensor& bias) {
    if (weight.defined()) all.push_back({slot, layer, expert, weight, bias});
  };
  auto add_norm = [&](Slot slot, int64_t i, const NormWeights& n) { add(slot, i, 0, n.weight, n.bias); };
  auto add_linear = [&](Slot slot, int64_t i, int64_t e, const Linear& l) {
    if (l.matrix().defined()) add(slot, i, e, l.weight(), l.bias());
  };
  add(Slot::kEmbedding, 0, 0, w.embedding.dense(), {});
  add(Slot::kPositions, 0, 0, w.positions, {});
  for (size_t l = 0; l < w.layers.size(); ++l) {
    const auto i = static_cast<int64_t>(l);
    const LayerWeights& layer = w.layers[l];
    add_norm(Slot::kAttentionNorm, i, layer.attention_norm);
    add_linear(Slot::kQkv, i, 0, layer.qkv);
    add_norm(Slot::kQueryNorm, i, layer.query_norm);
    add_norm(Slot::kKeyNorm, i, layer.key_norm);
    add_linear(Slot::kOut, i, 0, layer.out);
    add_norm(Slot::kAttentionPostNorm, i, layer.attention_post_norm);
    add_norm(Slot::kMlpNorm, i, layer.mlp_norm);
    add_linear(Slot::kGateUp, i, 0, layer.gate_up);
    add_linear(Slot::kDown, i, 0, layer.down);
    add_linear(Slot::kRouter, i, 0, layer.router);
    for (size_t e = 0; e < layer.experts.size(); ++e) {
      add_linear(Slot::kExpertGateUp, i, static_cast<int64_t>(e), layer.experts[e].gate_up);
      add_linear(Slot::kExpertDown, i, static_cast<int64_t>(e), layer.experts[e].down);
    }
    add_norm(Slot::kMlpPostNorm, i, layer.mlp_post_norm);
  }
  add_norm(Slot::kFinalNorm, 0, w.final_norm);
  if (w.vocab.defined() && !w.vocab.is_same(w.embedding)) add(Slot::kVocab, 0, 0, w.vocab.dense(), {});
  return all;
}

bool is_norm(Slot slot) {
  return slot == Slot::kAttentionNorm || slot == Slot::kQueryNorm || slot == Slot::kKeyNorm ||
         slot == Slot::kAttentionPostNorm || slot == Slot::kMlpNorm || slot == Slot::kMlpPostNorm ||
         slot == Slot::kFinalNorm;
}

}  // namespace

std::vector<at::Tensor> Weights::parameters() const {
  std::vector<at::Tensor> all;
  for (const Parameter& p : all_parameters(*this)) {
    all.push_back(p.weight);
    if (p.bias.defined()) all.push_back(p.bias);
  }
  return all;
}

Weights load_weights(const ModelConfig& config, const formats::WeightSource& source, at::ScalarType dtype,
                     std::shared_ptr<const formats::WeightSource> files, bool stored) {
  MERIT_CHECK(!stored || files);
  if (dtype != at::kFloat && dtype != at::kBFloat16 && dtype != at::kDouble) {
    fail(ErrorKind::kUsage, "{}: the compute dtype must be float32, bfloat16 or float64", source.where());
  }
  return Loader(config, source, dtype, std::move(files), stored).load();
}

double embedding_scale(const ModelConfig& config, at::ScalarType dtype) {
  const double exact = config.embedding_scale;
  return dtype == at::kBFloat16 ? static_cast<double>(static_cast<float>(at::BFloat16(static_cast<float>(exact))))
                                : exact;
}

std::vector<NamedPart> named_parts(const ModelConfig& config, const Weights& weights) {
  const Architecture& architecture = architecture_of(config.architecture, "config");
  std::vector<NamedPart> parts;
  for (const Parameter& p : all_parameters(weights)) {
    std::vector<Piece> done;  // a piece may have several names; the first is the one written
    for (const WeightName& row : architecture.hf_names) {
      if (row.slot != p.slot || std::find(done.begin(), done.end(), row.piece) != done.end()) continue;
      done.push_back(row.piece);
      const RowRange rows = piece_rows(config, p.slot, row.piece);
      const double offset = is_norm(p.slot) ? architecture.norm_offset : 0;
      parts.push_back({weight_name(row.pattern, p.layer, p.expert), p.weight, rows, row.layout, offset});
      if (p.bias.defined()) {
        const Layout layout = row.layout == Layout::kColumns ? Layout::kRows : row.layout;
        parts.push_back({weight_name(row.pattern, p.layer, p.expert, true), p.bias, rows, layout, 0});
      }
    }
    MERIT_CHECK(!done.empty());
  }
  return parts;
}

at::Tensor folder_rows(const ModelConfig& config, const NamedPart& part, const at::Tensor& like) {
  const at::Tensor rows = like.slice(0, part.rows.begin, part.rows.begin + part.rows.count);
  if (part.layout == Layout::kRows) return rows.contiguous();
  if (part.layout == Layout::kColumns) return rows.t().contiguous();
  at::Tensor order = at::empty({part.rows.count}, at::kLong);
  for (int64_t r = 0; r < part.rows.count; ++r) {
    order.mutable_data_ptr<int64_t>()[r] = row_in_slot(config, part.layout, r);
  }
  return at::index_select(rows, 0, order);
}

}  // namespace merit::nn
