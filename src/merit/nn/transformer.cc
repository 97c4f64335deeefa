#include "merit/nn/transformer.h"

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/formats/gguf.h"
#include "merit/formats/weights.h"

namespace merit::nn {

Transformer::Transformer(ModelConfig config, Weights weights)
    : config_(std::move(config)), weights_(std::move(weights)) {}

const at::Tensor& Transformer::vocab_weight() const {
  if (!weights_.vocab.defined()) {
    fail(ErrorKind::kUnsupported, "the model has no vocabulary projection (lm_head): it cannot give log-probabilities");
  }
  return weights_.vocab;
}

ModelConfig load_config(const std::filesystem::path& path, const formats::WeightSource& source) {
  if (const auto* gguf = dynamic_cast<const formats::GgufFile*>(&source)) return config_from_gguf(*gguf);
  const std::filesystem::path file = path / "config.json";
  return config_from_hf(parse_json(read_file(file, uint64_t{1} << 26), file.string()), file.string());
}

std::shared_ptr<const Transformer> Transformer::load(const std::filesystem::path& path, const LoadOptions& options) {
  const auto source = formats::open_weights(path);
  ModelConfig config = load_config(path, *source);
  Weights weights = load_weights(config, *source, options.dtype);
  return std::make_shared<const Transformer>(std::move(config), std::move(weights));
}

}  // namespace merit::nn
