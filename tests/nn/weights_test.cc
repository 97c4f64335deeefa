#include "merit/nn/weights.h"

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/formats/gguf.h"
#include "merit/formats/safetensors.h"
#include "merit/nn/transformer.h"
#include "merit/nn/weight_names.h"
#include "slow_model_support.h"

namespace merit::nn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

struct Named {
  std::string name;
  at::Tensor tensor;
};

// The tensors of a model under their names, fused ones taken apart; GGUF has q and k rows in its own order.
std::vector<Named> take_apart(const ModelConfig& c, const Weights& w, Container container) {
  std::vector<Named> out;
  auto add = [&](Part part, int64_t layer, bool bias, const at::Tensor& tensor, int64_t begin, int64_t end) {
    if (!tensor.defined()) return;
    at::Tensor piece = tensor.slice(0, begin, end);
    if (container == Container::kGguf && (part == Part::kQuery || part == Part::kKey)) {
      // [heads, 2, head_dim / 2, ...] -> [heads, head_dim / 2, 2, ...]
      std::vector<int64_t> split = {piece.size(0) / c.head_dim, 2, c.head_dim / 2, piece.numel() / piece.size(0)};
      piece = piece.reshape(split).transpose(1, 2).reshape(piece.sizes());
    }
    out.push_back({weight_name(container, part, layer, bias), piece.contiguous()});
  };
  auto add_product = [&](Part part, int64_t layer, const Linear& linear, int64_t begin, int64_t end) {
    add(part, layer, false, linear.weight(), begin, end);
    add(part, layer, true, linear.bias(), begin, end);
  };
  add(Part::kEmbedding, 0, false, w.embedding, 0, c.vocab_size);
  for (int64_t i = 0; i < c.layers; ++i) {
    const LayerWeights& layer = w.layers[i];
    add(Part::kAttentionNorm, i, false, layer.attention_norm, 0, c.hidden_size);
    add_product(Part::kQuery, i, layer.qkv, 0, c.q_size());
    add_product(Part::kKey, i, layer.qkv, c.q_size(), c.q_size() + c.kv_size());
    add_product(Part::kValue, i, layer.qkv, c.q_size() + c.kv_size(), c.q_size() + 2 * c.kv_size());
    add_product(Part::kOut, i, layer.out, 0, c.hidden_size);
    add(Part::kMlpNorm, i, false, layer.mlp_norm, 0, c.hidden_size);
    add_product(Part::kGate, i, layer.gate_up, 0, c.ffn_size);
    add_product(Part::kUp, i, layer.gate_up, c.ffn_size, 2 * c.ffn_size);
    add_product(Part::kDown, i, layer.down, 0, c.hidden_size);
  }
  add(Part::kFinalNorm, 0, false, w.final_norm, 0, c.hidden_size);
  if (!c.tie_embeddings) add(Part::kVocab, 0, false, w.vocab, 0, c.vocab_size);
  return out;
}

// A GGUF file of float32 tensors without metadata: the config is given.
std::string gguf_bytes(const std::vector<Named>& tensors) {
  std::string header("GGUF", 4), data;
  auto put = [&](auto value) { header.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  put(uint32_t{3});
  put(static_cast<uint64_t>(tensors.size()));
  put(uint64_t{0});
  for (const Named& t : tensors) {
    put(static_cast<uint64_t>(t.name.size()));
    header += t.name;
    put(static_cast<uint32_t>(t.tensor.dim()));
    for (int64_t d = t.tensor.dim() - 1; d >= 0; --d) put(static_cast<uint64_t>(t.tensor.size(d)));
    put(uint32_t{0});
    put(static_cast<uint64_t>(data.size()));
    data.append(reinterpret_cast<const char*>(t.tensor.const_data_ptr<float>()), t.tensor.numel() * sizeof(float));
    data.resize((data.size() + 31) / 32 * 32);
  }
  header.resize((header.size() + 31) / 32 * 32);
  return header + data;
}

std::string safetensors_bytes(const std::vector<Named>& tensors) {
  OrderedJson header;
  std::string data;
  for (const Named& t : tensors) {
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(t.tensor.const_data_ptr<float>()), t.tensor.numel() * sizeof(float));
    header[t.name] = {{"dtype", "F32"}, {"shape", t.tensor.sizes().vec()}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t size = text.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + text + data;
}

std::span<const std::byte> view(const std::string& bytes) { return std::as_bytes(std::span(bytes)); }

void expect_equal(const Weights& a, const Weights& b) {
  const auto left = a.parameters();
  const auto right = b.parameters();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) EXPECT_TRUE(at::equal(left[i], right[i])) << i;
}

std::vector<ModelConfig> shapes() {
  ModelConfig biased = testing::small_config();
  biased.qkv_bias = biased.out_bias = biased.mlp_bias = true;
  ModelConfig tied = testing::small_config();
  tied.tie_embeddings = true;
  return {testing::small_config(), biased, tied};
}

TEST(Weights, LoadsAFolderOfNames) {
  for (const ModelConfig& config : shapes()) {
    const Weights made = testing::random_weights(config, 1, at::kFloat);
    const std::string bytes = safetensors_bytes(take_apart(config, made, Container::kHuggingFace));
    const formats::SafetensorsFile file(view(bytes), "model.safetensors");
    expect_equal(load_weights(config, file, at::kFloat), made);
  }
}

TEST(Weights, TurnsGgufRowsBack) {
  for (const ModelConfig& config : shapes()) {
    const Weights made = testing::random_weights(config, 2, at::kFloat);
    const std::string bytes = gguf_bytes(take_apart(config, made, Container::kGguf));
    const formats::GgufFile file(view(bytes), "model.gguf");
    expect_equal(load_weights(config, file, at::kFloat), made);
  }
}

TEST(Weights, QwenRowsInGgufAreAsTheyAre) {
  ModelConfig config = testing::small_config();
  config.architecture = "qwen2";
  const Weights made = testing::random_weights(config, 3, at::kFloat);
  auto tensors = take_apart(config, made, Container::kHuggingFace);
  const auto names = take_apart(config, made, Container::kGguf);
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].name = names[i].name;
  const std::string bytes = gguf_bytes(tensors);
  const formats::GgufFile file(view(bytes), "model.gguf");
  expect_equal(load_weights(config, file, at::kFloat), made);
}

TEST(Weights, ConvertsToTheComputeDtypeOnCacheLines) {
  const ModelConfig config = testing::small_config();
  const Weights made = testing::random_weights(config, 4, at::kFloat);
  const std::string bytes = safetensors_bytes(take_apart(config, made, Container::kHuggingFace));
  const formats::SafetensorsFile file(view(bytes), "model.safetensors");
  for (at::ScalarType dtype : {at::kBFloat16, at::kDouble}) {
    const Weights loaded = load_weights(config, file, dtype);
    EXPECT_EQ(loaded.dtype(), dtype);
    EXPECT_TRUE(at::equal(loaded.layers[1].qkv.weight(), made.layers[1].qkv.weight().to(dtype)));
    for (const at::Tensor& tensor : loaded.parameters()) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 64, 0u);
    }
  }
}

TEST(Weights, ABaseModelWithoutAHeadHasBareNames) {
  ModelConfig config = testing::small_config();
  config.num_labels = 1;
  const Weights made = testing::random_weights(config, 5, at::kFloat);
  std::vector<Named> tensors;
  for (Named& t : take_apart(config, made, Container::kHuggingFace)) {
    if (t.name == "lm_head.weight") continue;
    tensors.push_back({t.name.substr(6), t.tensor});
  }
  const std::string bytes = safetensors_bytes(tensors);
  const formats::SafetensorsFile file(view(bytes), "model.safetensors");
  Weights loaded = load_weights(config, file, at::kFloat);
  EXPECT_TRUE(at::equal(loaded.layers[2].down.weight(), made.layers[2].down.weight()));
  EXPECT_FALSE(loaded.vocab.defined());
  const Transformer model(config, std::move(loaded));
  EXPECT_THAT([&] { model.vocab_weight(); }, ThrowsMessage<Error>(HasSubstr("no vocabulary projection")));
}

TEST(Weights, NamesTheTensorThatIsWrong) {
  const ModelConfig config = testing::small_config();
  const Weights made = testing::random_weights(config, 6, at::kFloat);
  auto tensors = take_apart(config, made, Container::kHuggingFace);
  const std::string whole = safetensors_bytes(tensors);
  ModelConfig other = config;
  other.ffn_size = 41;
  const formats::SafetensorsFile file(view(whole), "model.safetensors");
  EXPECT_THAT([&] { load_weights(other, file, at::kFloat); },
              ThrowsMessage<Error>(AllOf(HasSubstr("model.layers.0.mlp.gate_proj.weight"), HasSubstr("[41, 24]"),
                                         HasSubstr("[40, 24]"))));
  std::erase_if(tensors, [](const Named& t) { return t.name == "model.layers.1.self_attn.k_proj.weight"; });
  const std::string part = safetensors_bytes(tensors);
  const formats::SafetensorsFile missing(view(part), "model.safetensors");
  EXPECT_THAT([&] { load_weights(config, missing, at::kFloat); },
              ThrowsMessage<Error>(HasSubstr("model.layers.1.self_attn.k_proj.weight")));
}

}  // namespace
}  // namespace merit::nn
