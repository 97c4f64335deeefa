// A sentence-transformers folder: a text becomes one vector. modules.json names the steps: a model, a pooling of its
// last states, dense layers, a normalisation. Source: Reimers and Gurevych 2019, and the folders of that package.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "merit/nn/encoder_model.h"
#include "merit/nn/head_layers.h"
#include "merit/text/tokenizer.h"

namespace merit::nn {

enum class PoolingMode { kCls, kMax, kMean, kMeanSqrtLength, kWeightedMean, kLastToken };

// states [tokens, hidden] of one sequence -> [hidden] float32, sums in float64 from the first token to the last.
at::Tensor pool_states(const at::Tensor& states, PoolingMode mode);

// Immutable and thread-safe.
class SentenceEncoder {
 public:
  // Error(kUnsupported) names a module, a pooling mode or a setting that is not computed, Error(kData) what is
  // malformed: modules out of order, sizes that do not fit each other.
  static std::shared_ptr<const SentenceEncoder> load(const std::filesystem::path& folder,
                                                     at::ScalarType dtype = at::kFloat);
  // Whether the folder is one: it has a modules.json.
  static bool is_folder(const std::filesystem::path& folder);

  // One row a text, [texts, dimension] float32. A text is cut to max_tokens, its special tokens counted.
  at::Tensor embed(std::span<const std::string> texts, const ReadOptions& options = {}) const;

  int64_t dimension() const;
  int64_t max_tokens() const { return max_tokens_; }
  const std::vector<PoolingMode>& pooling() const { return pooling_; }
  const EncoderModel& model() const { return *model_; }

 private:
  SentenceEncoder(std::shared_ptr<const EncoderModel> model, text::Tokenizer tokenizer);
  void add_module(const std::string& type, const std::filesystem::path& folder);
  void add_pooling(const std::filesystem::path& folder);
  void add_dense(const std::filesystem::path& folder);

  std::shared_ptr<const EncoderModel> model_;
  text::Tokenizer tokenizer_;
  int64_t max_tokens_ = 0;
  std::vector<PoolingMode> pooling_;  // one after the other, as the vector holds them
  std::vector<DenseLayer> layers_;
  bool normalise_ = false;
};

}  // namespace merit::nn
