// Scalar heads: a reward is a weight row times the hidden state at one position, or times what a few dense layers make
// of it.
//
// Products are row dot products with a fixed order of additions (head_layers.h), never a single-column matrix product,
// so a score has the same bits whatever it is computed with. Where a sequence ends is
// never guessed from its ids: the caller names the position (a pad token that equals the EOS token, or padding on the
// left, cannot move it).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "merit/nn/head_layers.h"

namespace merit::nn {

// What a head was fitted on and how it is to be fed; stored beside its weights as merit_head.json.
struct HeadRecord {
  std::string base_identity;        // of the model whose hidden states it reads; "" if unknown
  std::string encoding_hash;        // of the encoding record it was fitted with; "" if unknown
  std::string pooling = "last";     // the states it reads: of the last token, of the "first", or the "mean" of all
  std::string activation = "none";  // a raw value; nothing else is defined
  std::string name = "reward";
  int32_t appended = -1;  // a token that is set behind the text, unless it ends the text already, and read; -1: none
};

// Immutable and thread-safe.
class ScalarHead {
 public:
  // weight [k, H], bias [k] or undefined; kept as float32 (float64 stays). Error(kData) for other shapes, values that
  // are not finite, or a record with a pooling or activation that is not defined.
  // `layers` stand before it, each reading the one before.
  ScalarHead(at::Tensor weight, at::Tensor bias, HeadRecord record, std::vector<DenseLayer> layers = {});

  // One raw value per row and output: pooled [n, H] -> [n, k] float32, or float64 for float64 rows. No gradient.
  // Error(kNumeric) naming the row if a value is not finite.
  at::Tensor score(const at::Tensor& pooled) const;

  int64_t outputs() const { return weight_.size(0); }
  int64_t hidden_size() const { return layers_.empty() ? weight_.size(1) : layers_.front().in_features(); }
  const at::Tensor& weight() const { return weight_; }
  const at::Tensor& bias() const { return bias_; }  // undefined if there is none
  const std::vector<DenseLayer>& layers() const { return layers_; }
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
  std::vector<DenseLayer> layers_;
};

// hidden [rows, H], positions [n] int64 -> [n, H]: the states the head reads. Error(kData) for a position outside.
at::Tensor pool_positions(const at::Tensor& hidden, const at::Tensor& positions);

// hidden [n, H]: the states of one sequence that the pooling reads -> [1, H]: the row itself, or for "mean" the mean of
// the rows, summed in float64 from the first on.
at::Tensor pool_rows(const at::Tensor& hidden, const std::string& pooling);

// Writes merit_head.json and head.safetensors ("score.weight" [k, H], "score.bias" [k]). Error(kUnsupported) for a head
// with layers, which lives in its model's folder alone.
void save_head(const std::filesystem::path& folder, const ScalarHead& head);

// Reads a folder that save_head wrote, or a model folder with its head as one of the published layouts of docs/heads.md
// (head_published.h). Error(kData): no score head (a causal language model), more than one, a shape that disagrees with
// the configuration, extra tensors in a head folder. Error(kUnsupported) names a layout that is no scalar head.
ScalarHead load_head(const std::filesystem::path& folder);
// Whether load_head would find a head: merit_head.json, or a known name among the weights.
bool has_head(const std::filesystem::path& folder);

}  // namespace merit::nn
