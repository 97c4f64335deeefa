// A bidirectional encoder: every token sees every other of its sequence. Sources: BERT (Devlin et al. 2019), RoBERTa
// (Liu et al. 2019), DeBERTa-v3 (He et al. 2021, 2023), ModernBERT (Warner et al. 2024).
//
// Sequences share nothing but the pass they run in. The products of a layer take the rows of all sequences at once,
// padded to a multiple of 16 rows, so a row does not know its neighbours (linear.h); all else runs one sequence at a
// time. Nothing is padded to another's length, and a sequence's bits are the same alone and in company.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "merit/nn/encoder_config.h"
#include "merit/nn/encoder_weights.h"
#include "merit/nn/read.h"

namespace merit::nn {

struct EncoderInput {
  std::vector<int32_t> ids;
  int32_t second_from = -1;  // the tokens from here on are the second text of a pair (token type 1); -1: none
};

// Immutable and thread-safe.
class EncoderModel {
 public:
  EncoderModel(EncoderConfig config, EncoderWeights weights);
  // A Hugging Face folder. `dtype`: kFloat, kBFloat16, or kDouble for checks. Error(kData) names a tensor that is
  // missing or of another shape.
  static std::shared_ptr<const EncoderModel> load(const std::filesystem::path& path, at::ScalarType dtype = at::kFloat);

  const EncoderConfig& config() const { return config_; }
  const EncoderWeights& weights() const { return weights_; }
  at::ScalarType dtype() const { return weights_.dtype(); }

  // The last layer's states, sequence after sequence: [tokens of all, hidden] in the compute dtype, differentiable with
  // respect to weights() where gradients are on. Error(kData) naming the sequence's index: an empty one, one longer
  // than the model's positions, an id outside the vocabulary, a second text for a model without token types.
  at::Tensor forward(std::span<const EncoderInput> inputs) const;

 private:
  EncoderConfig config_;
  EncoderWeights weights_;
  std::vector<at::Tensor> distance_keys_;     // [layers] of [heads, head_dim, 2 * relative_span], computed once
  std::vector<at::Tensor> distance_queries_;  // likewise
};

// As read() of a Transformer: hidden states at the positions asked for, each distinct sequence computed once. An
// encoder has no log-probabilities: Error(kUnsupported) for a request of them.
std::vector<PathResult> read(const EncoderModel& model, std::span<const PathRequest> requests,
                             const ReadOptions& options = {}, ReadStats* stats = nullptr);

}  // namespace merit::nn
