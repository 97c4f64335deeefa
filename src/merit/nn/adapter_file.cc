#include "merit/nn/adapter_file.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/hash.h"
#include "merit/core/json.h"
#include "merit/core/rng.h"
#include "merit/nn/architectures.h"
#include "merit/nn/tensor_file.h"

namespace merit::nn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kWeightFile = "adapter_model.safetensors";
constexpr const char* kPrefix = "base_model.model.";

// A matrix of the layers that an adapter can stand on.
struct Module {
  MatrixPlace place;
  std::string name;
  RowRange rows;
  Layout layout;
  std::string last() const { return name.substr(name.rfind('.') + 1); }
};

bool in_layers(Slot slot) {
  return slot == Slot::kQkv || slot == Slot::kOut || slot == Slot::kGateUp || slot == Slot::kDown ||
         slot == Slot::kExpertGateUp || slot == Slot::kExpertDown;
}

std::vector<Module> modules_of(const ModelConfig& config) {
  const Architecture& architecture = architecture_of(config.architecture, "config");
  std::vector<Module> modules;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    std::set<std::tuple<Slot, int64_t, Piece>> done;
    for (const WeightName& row : architecture.hf_names) {
      const bool of_expert = row.slot == Slot::kExpertGateUp || row.slot == Slot::kExpertDown;
      const bool of_dense = row.slot == Slot::kGateUp || row.slot == Slot::kDown;
      if (!in_layers(row.slot) || row.layout == Layout::kStacked) continue;
      if ((of_expert && !config.is_sparse(layer)) || (of_dense && config.is_sparse(layer))) continue;
      for (int64_t e = 0; e < (of_expert ? config.experts : 1); ++e) {
        if (!done.insert({row.slot, e, row.piece}).second) continue;
        std::string name = weight_name(row.pattern, layer, e);
        name.resize(name.size() - std::string(".weight").size());
        modules.push_back({{row.slot, layer, e}, std::move(name), piece_rows(config, row.slot, row.piece), row.layout});
      }
    }
  }
  return modules;
}

bool fits(const Module& module, const std::string& target) {
  return module.name == target || module.name.ends_with("." + target);
}

// Rows of B in the folder's order, and back.
at::Tensor row_order(const ModelConfig& config, const LoraPiece& piece) {
  at::Tensor order = at::empty({piece.rows.count}, at::kLong);
  const bool same = piece.layout == Layout::kRows || piece.layout == Layout::kColumns;
  for (int64_t r = 0; r < piece.rows.count; ++r) {
    order.mutable_data_ptr<int64_t>()[r] = same ? r : row_in_slot(config, piece.layout, r);
  }
  return order;
}
at::Tensor to_folder(const ModelConfig& config, const LoraPiece& piece, const at::Tensor& rows) {
  return at::index_select(rows.detach(), 0, row_order(config, piece));
}
at::Tensor from_folder(const ModelConfig& config, const LoraPiece& piece, const at::Tensor& rows) {
  at::Tensor out = at::empty_like(rows);
  out.index_copy_(0, row_order(config, piece), rows);
  return out;
}

double scale_of(double alpha, int64_t rank, bool stabilised) {
  return stabilised ? alpha / std::sqrt(static_cast<double>(rank)) : alpha / static_cast<double>(rank);
}

at::Tensor row_norms(const at::Tensor& rows) { return rows.norm(2, 1); }

at::ScalarType adapter_type(const Weights& weights) {
  return weights.dtype() == at::kDouble ? at::kDouble : at::kFloat;
}

std::string names_of(const std::vector<Module>& modules) {
  std::set<std::string> names;
  for (const Module& module : modules) names.insert(module.last());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Settings of PEFT that change what an adapter computes, and the values at which they do not.
void refuse_settings(const Json& json, const std::string& where) {
  const auto off = [&](const char* key) {
    const auto it = json.find(key);
    if (it == json.end() || it->is_null() || *it == false || *it == 0 || *it == 0.0 || it->empty()) return;
    fail(ErrorKind::kUnsupported, "{}: {} = {} is not computed here", where, key, quote(it->dump()));
  };
  for (const char* key : {"lora_bias", "layer_replication", "use_qalora", "trainable_token_indices",
                          "target_parameters", "exclude_modules", "arrow_config", "alora_invocation_tokens"}) {
    off(key);
  }
  const std::string bias = get_string_or(json, "bias", "none", where);
  if (bias != "none") fail(ErrorKind::kUnsupported, "{}: bias = {} is not computed here", where, quote(bias));
}

// A number that a pattern gives to some modules ({"q_proj": 8}), else `usual`.
double pattern_value(const Json& json, const char* key, const std::string& module, double usual) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_object()) return usual;
  for (const auto& [name, value] : it->items()) {
    if (value.is_number() && (module == name || module.ends_with("." + name))) return value.get<double>();
  }
  return usual;
}

Json read_config(const fs::path& folder) {
  const fs::path file = folder / kConfigFile;
  return parse_json(read_file(file, uint64_t{1} << 24), file.string());
}

class Reader {
 public:
  explicit Reader(const fs::path& folder) : where_((folder / kWeightFile).string()) {
    if (!fs::exists(where_)) {
      fail(ErrorKind::kIo, "{}: expected {} beside {}", folder.string(), kWeightFile, kConfigFile);
    }
    tensors_ = load_tensors(where_);
  }
  // Undefined if it is not there.
  at::Tensor take(const std::string& name) {
    auto node = tensors_.extract(kPrefix + name);
    return node.empty() ? at::Tensor() : std::move(node.mapped());
  }
  at::Tensor take(const std::string& name, at::IntArrayRef shape) {
    at::Tensor tensor = take(name);
    if (!tensor.defined()) fail(ErrorKind::kData, "{}: tensor {} is missing", where_, quote(kPrefix + name, 200));
    check(name, tensor, shape);
    return tensor;
  }
  void check(const std::string& name, const at::Tensor& tensor, at::IntArrayRef shape) const {
    const auto sizes = tensor.sizes();
    bool same = sizes.size() == shape.size();
    for (size_t i = 0; same && i < shape.size(); ++i) same = shape[i] < 0 || shape[i] == sizes[i];
    if (same) return;
    fail(ErrorKind::kData, "{}: tensor {}: expected shape [{}], got [{}]", where_, quote(kPrefix + name, 200),
         fmt::join(shape, ", "), fmt::join(sizes, ", "));
  }
  void expect_empty() const {
    if (tensors_.empty()) return;
    fail(ErrorKind::kUnsupported, "{}: {} tensors have no place in the model, the first is {}", where_, tensors_.size(),
         quote(tensors_.begin()->first));
  }

 private:
  std::string where_;
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace

const Linear& linear_at(const Weights& weights, const MatrixPlace& place) {
  const LayerWeights& layer = weights.layers.at(static_cast<size_t>(place.layer));
  switch (place.slot) {
    case Slot::kQkv:
      return layer.qkv;
    case Slot::kOut:
      return layer.out;
    case Slot::kGateUp:
      return layer.gate_up;
    case Slot::kDown:
      return layer.down;
    case Slot::kExpertGateUp:
      return layer.experts.at(static_cast<size_t>(place.expert)).gate_up;
    case Slot::kExpertDown:
      return layer.experts.at(static_cast<size_t>(place.expert)).down;
    default:
      MERIT_CHECK(false);
      return layer.qkv;
  }
}

Adapter make_adapter(const ModelConfig& config, const Weights& weights, const AdapterOptions& options) {
  if (options.rank < 1 || options.rank > 4096) {
    fail(ErrorKind::kUsage, "lora rank: expected 1 to 4096, got {}", options.rank);
  }
  const std::vector<Module> modules = modules_of(config);
  for (const std::string& target : options.targets) {
    if (std::any_of(modules.begin(), modules.end(), [&](const Module& m) { return fits(m, target); })) continue;
    fail(ErrorKind::kUsage, "lora target {}: the model has no such matrix; it has {}", quote(target),
         names_of(modules));
  }
  const at::ScalarType type = adapter_type(weights);
  Adapter adapter;
  for (const Module& module : modules) {
    const bool wanted = options.targets.empty() || std::any_of(options.targets.begin(), options.targets.end(),
                                                               [&](const std::string& t) { return fits(module, t); });
    if (!wanted) continue;
    const Linear& linear = linear_at(weights, module.place);
    LoraPiece piece{module.name, module.rows, module.layout, {}, {}, {}, 1};
    piece.scale = scale_of(options.alpha, options.rank, options.rank_stabilised);
    piece.a = at::empty({options.rank, linear.in_features()}, at::kDouble);
    const double bound = 1.0 / std::sqrt(static_cast<double>(linear.in_features()));
    Rng rng(options.seed, hash64(module.name));
    for (int64_t i = 0; i < piece.a.numel(); ++i) {
      piece.a.mutable_data_ptr<double>()[i] = (2 * rng.uniform() - 1) * bound;
    }
    piece.a = piece.a.to(type);
    piece.b = at::zeros({module.rows.count, options.rank}, type);
    if (options.dora) {
      piece.magnitude = row_norms(linear.weight().detach().narrow(0, module.rows.begin, module.rows.count).to(type));
    }
    adapter.pieces[module.place].push_back(std::move(piece));
  }
  return adapter;
}

bool is_adapter_folder(const fs::path& folder) { return fs::exists(folder / kConfigFile); }

fs::path base_of(const fs::path& path) {
  if (!is_adapter_folder(path)) return path;
  fs::path base = get_string_or(read_config(path), "base_model_name_or_path", "", (path / kConfigFile).string());
  if (base.empty() || !fs::exists(base)) {
    fail(ErrorKind::kIo, "{}: the adapter's base model {} is not here; base_model_name_or_path in {} names it",
         path.string(), quote(base.string(), 200), kConfigFile);
  }
  return base;
}

AdapterFolder load_adapter(const fs::path& folder, const ModelConfig& config, const Weights& weights) {
  const Json json = read_config(folder);
  const std::string where = (folder / kConfigFile).string();
  const std::string type = get_string(json, "peft_type", where);
  if (type != "LORA") fail(ErrorKind::kUnsupported, "{}: expected peft_type LORA, got {}", where, quote(type));
  refuse_settings(json, where);
  const double alpha = get_double(json, "lora_alpha", where);
  const bool stabilised = get_bool_or(json, "use_rslora", false, where);
  const bool dora = get_bool_or(json, "use_dora", false, where);
  AdapterFolder out;
  out.base = get_string_or(json, "base_model_name_or_path", "", where);
  out.task = get_string_or(json, "task_type", "", where);
  Reader reader(folder);
  const at::ScalarType dtype = adapter_type(weights);
  for (const Module& module : modules_of(config)) {
    at::Tensor a = reader.take(module.name + ".lora_A.weight");
    if (!a.defined()) continue;
    const Linear& linear = linear_at(weights, module.place);
    reader.check(module.name + ".lora_A.weight", a, {-1, linear.in_features()});
    LoraPiece piece{module.name, module.rows, module.layout, a.to(dtype), {}, {}, 1};
    piece.b = from_folder(config, piece,
                          reader.take(module.name + ".lora_B.weight", {module.rows.count, a.size(0)}).to(dtype));
    if (dora) {
      piece.magnitude = from_folder(config, piece,
                                    reader.take(module.name + ".lora_magnitude_vector", {module.rows.count}).to(dtype));
    }
    piece.scale = scale_of(pattern_value(json, "alpha_pattern", module.name, alpha), a.size(0), stabilised);
    out.adapter.pieces[module.place].push_back(std::move(piece));
  }
  out.head = reader.take("score.weight");
  if (out.head.defined()) reader.check("score.weight", out.head, {-1, config.hidden_size});
  reader.expect_empty();
  if (out.task == "SEQ_CLS" && !out.head.defined()) {
    fail(ErrorKind::kData,
         "{}: task_type is SEQ_CLS and the score head is missing (base_model.model.score.weight): it was saved without "
         "it; save again with modules_to_save = [\"score\"]",
         where);
  }
  if (out.adapter.pieces.empty() && !out.head.defined()) {
    fail(ErrorKind::kData, "{}: no tensor of the adapter fits the model", folder.string());
  }
  return out;
}

void save_adapter(const fs::path& folder, const ModelConfig& config, const Adapter& adapter,
                  const AdapterOptions& options, const std::string& base, const at::Tensor& head) {
  NamedTensors tensors;
  std::set<std::string> targets;
  bool transposed = false;
  for (const auto& [place, pieces] : adapter.pieces) {
    for (const LoraPiece& piece : pieces) {
      const std::string name = kPrefix + piece.module;
      targets.insert(piece.module.substr(piece.module.rfind('.') + 1));
      transposed = transposed || piece.layout == Layout::kColumns;
      tensors.emplace_back(name + ".lora_A.weight", piece.a.detach());
      tensors.emplace_back(name + ".lora_B.weight", to_folder(config, piece, piece.b));
      if (piece.magnitude.defined()) {
        tensors.emplace_back(name + ".lora_magnitude_vector", to_folder(config, piece, piece.magnitude));
      }
    }
  }
  if (head.defined()) tensors.emplace_back(std::string(kPrefix) + "score.weight", head.detach());
  fs::create_directories(folder);
  save_tensors(folder / kWeightFile, tensors, {{"format", "pt"}});
  OrderedJson json = {{"peft_type", "LORA"},
                      {"task_type", head.defined() ? "SEQ_CLS" : "CAUSAL_LM"},
                      {"base_model_name_or_path", base},
                      {"r", options.rank},
                      {"lora_alpha", options.alpha},
                      {"lora_dropout", 0.0},
                      {"bias", "none"},
                      {"use_rslora", options.rank_stabilised},
                      {"use_dora", options.dora},
                      {"fan_in_fan_out", transposed},
                      {"target_modules", targets},
                      {"modules_to_save", head.defined() ? OrderedJson({"score"}) : OrderedJson(nullptr)},
                      {"inference_mode", true}};
  write_file_atomic(folder / kConfigFile, json.dump(2) + "\n");
}

void merge_adapter(const Adapter& adapter, Weights& weights) {
  const at::NoGradGuard no_grad;
  for (const auto& [place, pieces] : adapter.pieces) {
    at::Tensor weight = linear_at(weights, place).weight();
    for (const LoraPiece& piece : pieces) {
      at::Tensor rows = weight.narrow(0, piece.rows.begin, piece.rows.count);
      at::Tensor merged = rows.to(piece.b.scalar_type()) + at::mm(piece.b, piece.a) * piece.scale;
      if (piece.magnitude.defined()) merged = merged * (piece.magnitude / row_norms(merged)).unsqueeze(1);
      rows.copy_(merged);
    }
  }
}

}  // namespace merit::nn
