// A decoder-only transformer: a shape and its weights, immutable after loading, shared by any number of readers and
// growers (engine.h runs it).
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>

#include "merit/nn/config.h"
#include "merit/nn/row_invariance.h"
#include "merit/nn/vocab_ops.h"
#include "merit/nn/weights.h"

namespace merit::nn {

// The shape of the model at `path`, whose weights `source` is.
ModelConfig load_config(const std::filesystem::path& path, const formats::WeightSource& source);

// The matrix products of a model: what the promise of equal bits rests on (row_invariance.h).
std::vector<ProductShape> product_shapes(const ModelConfig& config);

struct LoadOptions {
  at::ScalarType dtype = at::kFloat;  // compute dtype: kFloat, kBFloat16, or kDouble for checks
  // Leave tensors that need no change in the mapped file. They are read-only: false for parameters that will be changed
  // in place.
  bool mapped = true;
  // Leave matrices in the file's narrower type and widen them where they are used, with the same bits: the file's
  // memory instead of the widened one's and nothing to load, for 1% of a long pass; steps of few rows pay more.
  bool stored = false;
};

class Transformer {
 public:
  // Takes weights that fit the config (weights.h checks them at loading).
  Transformer(ModelConfig config, Weights weights);

  // A Hugging Face folder, a GGUF file, or a PEFT adapter, which is merged into its base. Error(kData) names a tensor
  // that is missing or of another shape.
  static std::shared_ptr<const Transformer> load(const std::filesystem::path& path, const LoadOptions& options = {});

  const ModelConfig& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  at::ScalarType dtype() const { return weights_.dtype(); }
  // What makes logits of hidden states. Error(kUnsupported) for a model that has none.
  VocabProjection vocab() const;

 private:
  ModelConfig config_;
  Weights weights_;
};

}  // namespace merit::nn
