// The model in training: its weights, what of them learns, and the forward pass that gives an objective its tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "merit/nn/adapter_file.h"
#include "merit/nn/head.h"
#include "merit/nn/transformer.h"
#include "merit/objective/objective.h"
#include "merit/train/adamw.h"
#include "merit/train/examples.h"

namespace merit::train {

enum class Tune { kFull, kLora };

struct PolicyOptions {
  Tune tune = Tune::kLora;
  nn::AdapterOptions lora;
  at::ScalarType dtype = at::kFloat;  // of the pass; with bfloat16 what learns stays float32
  // The base stays as its file has it (quantised, or in 16 bits) and is widened where it is used; LoRA only.
  bool stored = false;
  int64_t outputs = 0;  // of a score head that learns too; 0: none
  uint64_t seed = 0;    // of new parameters
};

class Policy {
 public:
  // Loads the weights of the model, which encodes the same text. Error(kUnsupported) for an encoder.
  Policy(const reward::Model& model, const PolicyOptions& options);

  // What learns, in a fixed order, by the names of the Hugging Face folder or of PEFT.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  int64_t trainable() const;  // values
  const nn::ModelConfig& config() const { return config_; }

  // The batch of these examples: its structure and what `needs` asks of the model, with gradients where grad mode is
  // on. Reference log-probs are the caller's. With `recompute` a layer keeps its input alone and runs again in
  // backward.
  objective::Batch forward(std::span<const Example* const> examples, objective::Needs needs, bool recompute) const;

  // Writes the result: an adapter in PEFT's layout with its head, or of a full run a Hugging Face folder.
  void save(const std::filesystem::path& folder) const;

 private:
  nn::VocabProjection vocab() const;

  std::string path_;
  std::string base_identity_;
  std::string encoding_hash_;
  PolicyOptions options_;
  nn::ModelConfig config_;
  nn::Weights weights_;
  nn::Adapter adapter_;
  at::Tensor head_;  // [outputs, hidden] or undefined
  std::vector<Parameter> parameters_;
};

}  // namespace merit::train
