#include "merit/nn/transformer.h"

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/formats/gguf.h"
#include "merit/formats/weights.h"
#include "merit/nn/adapter_file.h"

namespace merit::nn {

Transformer::Transformer(ModelConfig config, Weights weights)
    : config_(std::move(config)), weights_(std::move(weights)) {}

VocabProjection Transformer::vocab() const {
  if (!weights_.vocab.defined()) {
    fail(ErrorKind::kUnsupported, "the model has no vocabulary projection (lm_head): it cannot give log-probabilities");
  }
  return {weights_.vocab, config_.logit_scale, config_.logit_softcap};
}

std::vector<ProductShape> product_shapes(const ModelConfig& c) {
  std::vector<ProductShape> shapes = {{c.hidden_size, c.q_size() + 2 * c.kv_size()}, {c.q_size(), c.hidden_size}};
  const int64_t up = c.gated ? 2 : 1;
  bool dense = false;
  for (int64_t i = 0; i < c.layers; ++i) dense = dense || !c.is_sparse(i);
  if (dense) shapes.insert(shapes.end(), {{c.hidden_size, up * c.ffn_size}, {c.ffn_size, c.hidden_size}});
  if (c.experts > 0) {
    shapes.insert(
        shapes.end(),
        {{c.hidden_size, c.experts}, {c.hidden_size, up * c.expert_ffn_size}, {c.expert_ffn_size, c.hidden_size}});
  }
  return shapes;
}

ModelConfig load_config(const std::filesystem::path& path, const formats::WeightSource& source) {
  if (const auto* gguf = dynamic_cast<const formats::GgufFile*>(&source)) return config_from_gguf(*gguf);
  const std::filesystem::path file = path / "config.json";
  return config_from_hf(parse_json(read_file(file, uint64_t{1} << 26), file.string()), file.string());
}

std::shared_ptr<const Transformer> Transformer::load(const std::filesystem::path& path, const LoadOptions& options) {
  const std::filesystem::path base = base_of(path);
  const auto source = formats::open_weights(base);
  ModelConfig config = load_config(base, *source);
  // An adapter is merged into weights of their own.
  const bool adapted = is_adapter_folder(path);
  const bool in_file = !adapted && (options.mapped || options.stored);
  Weights weights = load_weights(config, *source, options.dtype, in_file ? source : nullptr, in_file && options.stored);
  if (adapted) merge_adapter(load_adapter(path, config, weights).adapter, weights);
  return std::make_shared<const Transformer>(std::move(config), std::move(weights));
}

}  // namespace merit::nn
