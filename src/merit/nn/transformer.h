// A decoder-only transformer: a shape and its weights, immutable after loading, shared by any number of readers and
// growers (engine.h runs it). Llama: pre-norm blocks, RMSNorm, rotary positions, grouped-query attention, gated SiLU.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>

#include "merit/nn/config.h"
#include "merit/nn/weights.h"

namespace merit::nn {

// The shape of the model at `path`, whose weights `source` is.
ModelConfig load_config(const std::filesystem::path& path, const formats::WeightSource& source);

struct LoadOptions {
  at::ScalarType dtype = at::kFloat;  // compute dtype: kFloat, kBFloat16, or kDouble for checks
};

class Transformer {
 public:
  // Takes weights that fit the config (weights.h checks them at loading).
  Transformer(ModelConfig config, Weights weights);

  // A Hugging Face folder or a GGUF file. Error(kData) names a tensor that is missing or of another shape.
  static std::shared_ptr<const Transformer> load(const std::filesystem::path& path, const LoadOptions& options = {});

  const ModelConfig& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  at::ScalarType dtype() const { return weights_.dtype(); }
  // The vocabulary projection, [vocab, hidden] in the compute dtype: logits are hidden @ vocab_weight^T.
  // Error(kUnsupported) for a model that has none.
  const at::Tensor& vocab_weight() const;

 private:
  ModelConfig config_;
  Weights weights_;
};

}  // namespace merit::nn
