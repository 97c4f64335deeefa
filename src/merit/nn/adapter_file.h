// Adapters as PEFT has them: made, read, written and merged. Layout: adapter_config.json and
// adapter_model.safetensors with base_model.model.<module>.lora_A.weight [rank, in], .lora_B.weight [out, rank],
// .lora_magnitude_vector [out] (DoRA), and of a reward model its head as base_model.model.score.weight.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "merit/nn/adapter.h"
#include "merit/nn/config.h"
#include "merit/nn/weights.h"

namespace merit::nn {

class ScalarHead;

struct AdapterOptions {
  int64_t rank = 16;
  double alpha = 32;
  bool rank_stabilised = false;  // scale = alpha / sqrt(rank)
  bool dora = false;
  // Last parts of module names ("q_proj", "v_proj"); empty: every matrix of the layers, the router left out.
  std::vector<std::string> targets;
  uint64_t seed = 0;
};

// A new adapter: A uniform on +-1 / sqrt(in) (PEFT's Kaiming initialisation), a function of the seed and the module's
// name alone; B zero, so the model starts as it is. float32, or float64 of a float64 model. Error(kUsage) naming the
// targets there are if none, or one of those given, fits.
Adapter make_adapter(const ModelConfig& config, const Weights& weights, const AdapterOptions& options);

// What a folder says beside its tensors.
struct AdapterFolder {
  Adapter adapter;
  std::string base;  // base_model_name_or_path
  at::Tensor head;   // [k, hidden] or undefined
  std::string task;  // "CAUSAL_LM" or "SEQ_CLS"
};

bool is_adapter_folder(const std::filesystem::path& folder);
// The model that `path` stands on: the base of an adapter folder (its base_model_name_or_path), else the path itself.
// Error(kIo) for a base that is not here.
std::filesystem::path base_of(const std::filesystem::path& path);

// Error(kUnsupported) for another peft_type or a setting that has an effect merit does not compute; Error(kData) for a
// tensor that is missing, left over, or of another shape than the model has.
AdapterFolder load_adapter(const std::filesystem::path& folder, const ModelConfig& config, const Weights& weights);

// `head` [k, hidden] is written if defined, and named in modules_to_save: a reward adapter without its head is none.
void save_adapter(const std::filesystem::path& folder, const ModelConfig& config, const Adapter& adapter,
                  const AdapterOptions& options, const std::string& base, const at::Tensor& head);

// W += scale B A in place, in float32 (float64), with the magnitudes applied. The weights must be their own tensors:
// neither stored nor mapped.
void merge_adapter(const Adapter& adapter, Weights& weights);

// The matrix at a place.
const Linear& linear_at(const Weights& weights, const MatrixPlace& place);

}  // namespace merit::nn
