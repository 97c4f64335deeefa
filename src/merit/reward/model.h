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
#include "merit/nn/config.h"
#include "merit/text/encoder.h"

namespace merit::nn {
class Transformer;
}

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
  // Reads shape, tokenizer, template and encoding record of a Hugging Face folder or GGUF file.
  Model(const std::filesystem::path& path, const ModelOptions& options);
  ~Model();

  const std::string& path() const { return path_; }
  const nn::ModelConfig& config() const { return config_; }
  const text::Encoder& encoder() const { return *encoder_; }
  at::ScalarType dtype() const { return options_.dtype; }
  int64_t max_length() const { return max_length_; }
  // Loads the weights at the first call and checks that this machine keeps the promise of equal bits.
  const nn::Transformer& transformer() const;

  // Hash of the tensors' names, types, shapes and of the first and last 4 KiB of each.
  const std::string& identity() const { return identity_; }
  // Hash of the encoding record's identity fields.
  const std::string& encoding_hash() const { return encoding_hash_; }

  // The candidate behind its group's prompt, as token ids, with the group's `tools` and `documents`. Fails as a value.
  Result<text::Encoded> encode(const data::Group& group, const data::Candidate& candidate) const;
  Result<text::Encoded> encode_prompt(const data::Group& group) const;

 private:
  text::EncodeContext context_of(const data::Group& group) const;

  std::string path_;
  ModelOptions options_;
  nn::ModelConfig config_;
  int64_t max_length_ = 0;
  std::unique_ptr<const text::Encoder> encoder_;
  std::string identity_;
  std::string encoding_hash_;
  mutable std::once_flag loaded_;
  mutable std::shared_ptr<const nn::Transformer> transformer_;
};

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
