// A language model as rewards use it: how text enters it (at once) and its weights (when first needed).
#pragma once

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "merit/core/content.h"
#include "merit/core/result.h"
#include "merit/data/group.h"
#include "merit/nn/encoder_config.h"
#include "merit/nn/read.h"
#include "merit/text/encoder.h"

namespace merit::nn {
class EncoderModel;
class Transformer;
}  // namespace merit::nn

namespace merit::reward {

struct ModelOptions {
  at::ScalarType dtype = at::kFloat;
  int64_t max_length = 0;  // tokens a sequence; 0: what the record says, else the model's positions
  bool stored = true;      // matrices as the file has them (transformer.h): for reading; sampling is faster without
};

// "float32" | "bfloat16" | "float64", and "auto": bfloat16 where the processor multiplies it in hardware, else float32.
at::ScalarType parse_dtype(const std::string& name);
// "float32" | "bfloat16" | "float64".
std::string dtype_name(at::ScalarType dtype);

// Immutable but for the loading of weights, which is thread-safe.
class Model {
 public:
  // Reads shape, tokenizer, template and encoding record of a Hugging Face folder or GGUF file, or of the base of a
  // PEFT adapter, which is merged into the weights.
  Model(const std::filesystem::path& path, const ModelOptions& options);
  ~Model();

  const std::string& path() const { return path_; }
  // Of an encoder: the sizes that it shares with decoders.
  const nn::ModelConfig& config() const { return config_; }
  // BERT and its kin: hidden states of whole sequences, and nothing else.
  bool is_encoder() const { return encoder_config_.has_value(); }
  // Whether the model has a token type for the second text of a pair.
  bool tells_texts_apart() const { return is_encoder() && encoder_config_->segments > 1; }
  const text::Encoder& encoder() const { return *encoder_; }
  at::ScalarType dtype() const { return options_.dtype; }
  int64_t max_length() const { return max_length_; }
  // Loads the weights at the first call and checks that this machine keeps the promise of equal bits.
  // Error(kUnsupported) for an encoder.
  const nn::Transformer& transformer() const;
  // nn::read of the model, whichever it is.
  std::vector<nn::PathResult> read(std::span<const nn::PathRequest> paths, const nn::ReadOptions& options,
                                   nn::ReadStats* stats) const;

  // Hash of the tensors' names, types, shapes and of the first and last 4 KiB of each.
  const std::string& identity() const { return identity_; }
  // Hash of the encoding record's identity fields.
  const std::string& encoding_hash() const { return encoding_hash_; }

  // The candidate behind its group's prompt, as token ids, with the group's `tools` and `documents`. Fails as a value.
  // An encoder without a chat template reads the two as a pair of texts (pair_text.h).
  Result<text::Encoded> encode(const data::Group& group, const data::Candidate& candidate) const;
  Result<text::Encoded> encode_prompt(const data::Group& group) const;

 private:
  void load() const;
  text::EncodeContext context_of(const data::Group& group) const;

  std::string path_;
  ModelOptions options_;
  nn::ModelConfig config_;
  std::optional<nn::EncoderConfig> encoder_config_;
  int64_t max_length_ = 0;
  std::unique_ptr<const text::Encoder> encoder_;
  std::string identity_;
  std::string encoding_hash_;
  mutable std::once_flag loaded_;
  mutable std::shared_ptr<const nn::Transformer> transformer_;  // or, of an encoder,
  mutable std::shared_ptr<const nn::EncoderModel> bidirectional_;
};

// The identity of a model with the adapter in `folder` (nn/adapter_file.h) on it.
std::string adapted_identity(const std::string& base_identity, const std::filesystem::path& folder);

// Each path loaded once, so that rewards on one model share it.
class ModelPool {
 public:
  explicit ModelPool(ModelOptions options) : options_(options) {}
  std::shared_ptr<const Model> get(const std::filesystem::path& path);
  // Loads the weights of every model in the pool, so that the first read does not pay for it.
  void load() const;
  // Path -> identity and encoding of every model in the pool.
  std::map<std::string, std::string> identities() const;

 private:
  ModelOptions options_;
  std::map<std::string, std::shared_ptr<const Model>> models_;
};

}  // namespace merit::reward
