#include "merit/train/policy.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/all.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linear.h>

#include <algorithm>

#include "merit/core/error.h"
#include "merit/core/rng.h"
#include "merit/formats/weights.h"
#include "merit/nn/convert.h"
#include "merit/nn/forest_forward.h"
#include "merit/nn/vocab_ops.h"

namespace merit::train {
namespace {

at::Tensor index_of(const std::vector<int64_t>& values) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<int64_t>());
  return out;
}

// transformers' initialisation of a new head: normal, deviation 0.02.
at::Tensor new_head(int64_t outputs, int64_t hidden, uint64_t seed, at::ScalarType dtype) {
  at::Tensor head = at::empty({outputs, hidden}, at::kDouble);
  Rng rng(seed, 0x68656164);
  for (int64_t i = 0; i < head.numel(); ++i) head.mutable_data_ptr<double>()[i] = 0.02 * rng.normal();
  return head.to(dtype);
}

// The rows of the forest that hold each token of each sequence.
std::vector<std::vector<int64_t>> rows_of(const nn::Forest& forest) {
  std::vector<std::vector<int64_t>> rows(forest.leaves.size());
  for (size_t path = 0; path < rows.size(); ++path) {
    for (const int32_t node : forest.path_nodes(static_cast<int32_t>(path))) {
      const nn::ForestNode& n = forest.nodes[static_cast<size_t>(node)];
      for (int32_t i = 0; i < n.length; ++i) rows[path].push_back(n.begin + i);
    }
  }
  return rows;
}

// Error(kNumeric) naming the items whose hidden states are not finite, and the first parameter that is not, if one is.
void check_finite(const at::Tensor& hidden, const std::vector<std::vector<int64_t>>& rows,
                  const std::vector<const Example*>& owners, std::span<const Parameter> parameters) {
  const at::Tensor fine = at::isfinite(hidden.detach()).all(-1);
  if (fine.all().item<bool>()) return;
  std::string items, tensor = "the activations";
  const bool* good = fine.const_data_ptr<bool>();
  const Example* last = nullptr;
  int named = 0;
  for (size_t s = 0; s < rows.size() && named < 3; ++s) {
    const bool bad = std::any_of(rows[s].begin(), rows[s].end(), [&](int64_t row) { return !good[row]; });
    if (!bad || owners[s] == last) continue;
    last = owners[s];
    items += (named++ > 0 ? ", " : "") + quote(last->id);
  }
  for (const Parameter& parameter : parameters) {
    if (at::isfinite(parameter.value.detach()).all().item<bool>()) continue;
    tensor = "the parameter " + quote(parameter.name, 200);
    break;
  }
  fail(ErrorKind::kNumeric, "{}: not finite in items {}; a lower learning rate or float32 may help", tensor, items);
}

}  // namespace

Policy::Policy(const reward::Model& model, const PolicyOptions& options)
    : path_(model.path()),
      base_identity_(model.identity()),
      encoding_hash_(model.encoding_hash()),
      options_(options),
      config_(model.config()) {
  if (model.is_encoder()) {
    fail(ErrorKind::kUnsupported, "{}: an encoder ({}) is not trained here; use a language model", path_,
         config_.architecture);
  }
  if (nn::is_adapter_folder(path_)) {
    fail(ErrorKind::kUnsupported, "{} is an adapter: merit model convert writes it merged into its base, to train on",
         path_);
  }
  const bool full = options.tune == Tune::kFull;
  const auto source = formats::open_weights(path_);
  const at::ScalarType held = full && options.dtype == at::kBFloat16 ? at::kFloat : options.dtype;
  const bool stored = options.stored && !full && !options.lora.dora && held != at::kDouble;
  weights_ = nn::load_weights(config_, *source, held, stored ? source : nullptr, stored);
  const at::ScalarType learned = held == at::kDouble ? at::kDouble : at::kFloat;
  if (full) {
    for (const nn::NamedPart& part : nn::named_parts(config_, weights_)) {
      const bool known = std::any_of(parameters_.begin(), parameters_.end(),
                                     [&](const Parameter& p) { return p.value.is_same(part.parameter); });
      if (!known) parameters_.push_back({part.name, part.parameter});
    }
  } else {
    adapter_ = nn::make_adapter(config_, weights_, options.lora);
    for (auto& [place, pieces] : adapter_.pieces) {
      for (nn::LoraPiece& piece : pieces) {
        parameters_.push_back({piece.module + ".lora_A", piece.a});
        parameters_.push_back({piece.module + ".lora_B", piece.b});
        if (piece.magnitude.defined())
          parameters_.push_back({piece.module + ".lora_magnitude_vector", piece.magnitude});
      }
    }
  }
  if (options.outputs > 0) {
    head_ = new_head(options.outputs, config_.hidden_size, options.seed, learned);
    parameters_.push_back({"score.weight", head_});
  }
  for (const Parameter& parameter : parameters_) parameter.value.set_requires_grad(true);
}

int64_t Policy::trainable() const {
  int64_t total = 0;
  for (const Parameter& parameter : parameters_) total += parameter.value.numel();
  return total;
}

nn::VocabProjection Policy::vocab() const {
  if (!weights_.vocab.defined()) {
    fail(ErrorKind::kUnsupported, "{}: the model has no vocabulary projection, so it has no log-probabilities", path_);
  }
  nn::Matrix matrix = weights_.vocab;
  if (!matrix.is_stored() && matrix.dtype() != options_.dtype) matrix = nn::Matrix(matrix.dense().to(options_.dtype));
  return {matrix, config_.logit_scale, config_.logit_softcap};
}

objective::Batch Policy::forward(std::span<const Example* const> examples, objective::Needs needs,
                                 bool recompute) const {
  objective::Batch batch = structure_of(examples, needs);
  nn::ForestBuilder builder;
  std::vector<const Sequence*> sequences;
  std::vector<const Example*> owners;
  for (const Example* example : examples) {
    owners.insert(owners.end(), example->sequences.size(), example);
    for (const Sequence& sequence : example->sequences) {
      builder.add(sequence.ids, {}, config_.rope_regime(static_cast<int64_t>(sequence.ids.size())));
      sequences.push_back(&sequence);
    }
  }
  const nn::Forest forest = builder.build();
  const auto rows = rows_of(forest);
  const nn::ForwardOptions how = {adapter_.pieces.empty() ? nullptr : &adapter_, recompute};
  const at::Tensor hidden = nn::forest_forward(config_, weights_, forest, options_.dtype, how);
  check_finite(hidden, rows, owners, parameters_);

  std::vector<int64_t> from, ids, prompt_from, prompt_ids, read;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const Sequence& sequence = *sequences[s];
    for (const int32_t t : sequence.learned) {
      from.push_back(rows[s][static_cast<size_t>(t) - 1]);
      ids.push_back(sequence.ids[static_cast<size_t>(t)]);
    }
    for (int32_t t = 1; t < sequence.boundary; ++t) {
      prompt_from.push_back(rows[s][static_cast<size_t>(t) - 1]);
      prompt_ids.push_back(sequence.ids[static_cast<size_t>(t)]);
    }
    for (const int32_t t : sequence.read_at) read.push_back(rows[s][static_cast<size_t>(t)]);
  }
  const auto predict = [&](const std::vector<int64_t>& at, const std::vector<int64_t>& targets) {
    return nn::vocab_quantities_with_grad(at::index_select(hidden, 0, index_of(at)), vocab(), index_of(targets));
  };
  if (needs & (objective::kLogps | objective::kSumsq)) {
    const nn::VocabQuantities quantities = predict(from, ids);
    batch.logps = quantities.logp;
    batch.sumsq = quantities.sumsq.detach();
  }
  if (needs & objective::kPromptLogps) batch.prompt_logps = predict(prompt_from, prompt_ids).logp;
  if (needs & objective::kValues) {
    MERIT_CHECK(head_.defined());
    batch.values = at::linear(at::index_select(hidden, 0, index_of(read)).to(head_.scalar_type()), head_);
  }
  return batch;
}

void Policy::save(const std::filesystem::path& folder) const {
  const at::NoGradGuard no_grad;
  if (options_.tune == Tune::kLora) {
    nn::save_adapter(folder, config_, adapter_, options_.lora, std::filesystem::absolute(path_).string(), head_);
    if (!head_.defined()) return;
    const std::string identity = reward::adapted_identity(base_identity_, folder);
    nn::save_head(folder, nn::ScalarHead(head_.detach().to(at::kFloat), {},
                                         {.base_identity = identity, .encoding_hash = encoding_hash_}));
    return;
  }
  std::optional<nn::ScalarHead> head;
  if (head_.defined()) head.emplace(head_.detach().to(at::kFloat), at::Tensor(), nn::HeadRecord());
  nn::Weights weights = weights_;
  nn::write_model_folder(nn::Transformer(config_, std::move(weights)), path_, folder,
                         {.dtype = "float32", .head = head ? &*head : nullptr});
}

}  // namespace merit::train
