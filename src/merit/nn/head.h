// Scalar heads: a reward is a weight row times the hidden state at one position.
//
// Products are row dot products in float32 (float64 for float64 states) with a fixed order of additions, never a
// single-column matrix product, so a score has the same bits whatever it is computed with. Where a sequence ends is
// never guessed from its ids: the caller names the position (a pad token that equals the EOS token, or padding on the
// left, cannot move it).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace merit::nn {

// What a head was fitted on and how it is to be fed; stored beside its weights as merit_head.json.
struct HeadRecord {
  std::string base_identity;  // of the model whose hidden states it reads; "" if unknown
  std::string encoding_hash;  // of the encoding record it was fitted with; "" if unknown
  std::string pooling = "last";
  std::string activation = "none";  // a raw value; nothing else is defined
  std::string name = "reward";
};

// Immutable and thread-safe.
class ScalarHead {
 public:
  // weight [k, H], bias [k] or undefined; kept as float32 (float64 stays). Error(kData) for other shapes, values that
  // are not finite, or a record with a pooling or activation that is not defined.
  ScalarHead(at::Tensor weight, at::Tensor bias, HeadRecord record);

  // One raw value per row and output: pooled [n, H] -> [n, k] float32, or float64 for float64 rows. No gradient.
  // Error(kNumeric) naming the row if a value is not finite.
  at::Tensor score(const at::Tensor& pooled) const;

  int64_t outputs() const { return weight_.size(0); }
  int64_t hidden_size() const { return weight_.size(1); }
  const at::Tensor& weight() const { return weight_; }
  const at::Tensor& bias() const { return bias_; }  // undefined if there is none
  const HeadRecord& record() const { return record_; }
  // XXH3-128 of weights, bias and record.
  std::string identity() const;

  // Refuses, as Error(kData) naming both sides, a model or an encoding other than the head was fitted with. Fields that
  // are unknown ("") on either side are not compared.
  void check_fits(int64_t hidden_size, const std::string& base_identity, const std::string& encoding_hash) const;

 private:
  at::Tensor weight_;
  at::Tensor bias_;
  HeadRecord record_;
};

// hidden [rows, H], positions [n] int64 -> [n, H]: the states the head reads. Error(kData) for a position outside.
at::Tensor pool_positions(const at::Tensor& hidden, const at::Tensor& positions);

// Writes merit_head.json and head.safetensors ("score.weight" [k, H], "score.bias" [k]).
void save_head(const std::filesystem::path& folder, const ScalarHead& head);

// Reads a folder that save_head wrote, or a Hugging Face sequence-classification folder (one linear head named as
// peers name it: score, v_head, value_head, regression_head, score_head, reward_head, classifier, out_proj; a
// "value_head_prefix" in config.json decides). Error(kData): no score head (a causal language model), more than one, a
// head that is not linear, a shape that disagrees with the configuration, extra tensors in a head folder.
ScalarHead load_head(const std::filesystem::path& folder);
// Whether load_head would find a head: merit_head.json, or a known name among the weights.
bool has_head(const std::filesystem::path& folder);

}  // namespace merit::nn
