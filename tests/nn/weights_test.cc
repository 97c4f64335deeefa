#include "merit/nn/weights.h"

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/formats/gguf.h"
#include "merit/formats/safetensors.h"
#include "merit/nn/read.h"
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

// The tensors of a model under their names in a folder.
std::vector<Named> take_apart(const ModelConfig& c, const Weights& w) {
  std::vector<Named> out;
  for (const NamedPart& part : named_parts(c, w)) {
    at::Tensor tensor = folder_rows(c, part, part.parameter);
    out.push_back({part.name, part.offset != 0 ? tensor.sub(part.offset) : tensor});
  }
  return out;
}

// A llama under its names in a GGUF file, which has the rows of queries and keys in another order.
std::vector<Named> take_apart_gguf(const ModelConfig& c, const Weights& w, bool pairs) {
  const std::pair<std::string, std::string> names[] = {{"model.embed_tokens", "token_embd"},
                                                       {"model.norm", "output_norm"},
                                                       {"lm_head", "output"},
                                                       {"model.layers", "blk"},
                                                       {"input_layernorm", "attn_norm"},
                                                       {"self_attn.q_proj", "attn_q"},
                                                       {"self_attn.k_proj", "attn_k"},
                                                       {"self_attn.v_proj", "attn_v"},
                                                       {"self_attn.o_proj", "attn_output"},
                                                       {"post_attention_layernorm", "ffn_norm"},
                                                       {"mlp.gate_proj", "ffn_gate"},
                                                       {"mlp.up_proj", "ffn_up"},
                                                       {"mlp.down_proj", "ffn_down"}};
  std::vector<Named> out = take_apart(c, w);
  for (Named& t : out) {
    if (pairs && (t.name.find("q_proj") != std::string::npos || t.name.find("k_proj") != std::string::npos)) {
      // [heads, 2, head_dim / 2, ...] -> [heads, head_dim / 2, 2, ...]
      const std::vector<int64_t> split = {t.tensor.size(0) / c.head_dim, 2, c.head_dim / 2,
                                          t.tensor.numel() / t.tensor.size(0)};
      t.tensor = t.tensor.reshape(split).transpose(1, 2).reshape(t.tensor.sizes()).contiguous();
    }
    for (const auto& [folder, gguf] : names) {
      const size_t at = t.name.find(folder);
      if (at != std::string::npos) t.name.replace(at, folder.size(), gguf);
    }
  }
  return out;
}

// A GGUF file of float32 tensors without metadata: the config is given. With `halves`, matrices are float16.
std::string gguf_bytes(const std::vector<Named>& tensors, bool halves = false) {
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
    const bool half = halves && t.tensor.dim() == 2;
    const at::Tensor values = half ? t.tensor.to(at::kHalf) : t.tensor;
    put(uint32_t{half});  // ggml's numbers: 0 is float32, 1 float16
    put(static_cast<uint64_t>(data.size()));
    data.append(static_cast<const char*>(values.const_data_ptr()), values.numel() * values.element_size());
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
    const std::string bytes = safetensors_bytes(take_apart(config, made));
    const formats::SafetensorsFile file(view(bytes), "model.safetensors");
    expect_equal(load_weights(config, file, at::kFloat), made);
  }
}

TEST(Weights, TurnsGgufRowsBack) {
  for (const ModelConfig& config : shapes()) {
    const Weights made = testing::random_weights(config, 2, at::kFloat);
    const std::string bytes = gguf_bytes(take_apart_gguf(config, made, true));
    const formats::GgufFile file(view(bytes), "model.gguf");
    expect_equal(load_weights(config, file, at::kFloat), made);
  }
}

TEST(Weights, QwenRowsInGgufAreAsTheyAre) {
  ModelConfig config = testing::small_config();
  config.architecture = "qwen2";
  const Weights made = testing::random_weights(config, 3, at::kFloat);
  const std::string bytes = gguf_bytes(take_apart_gguf(config, made, false));
  const formats::GgufFile file(view(bytes), "model.gguf");
  expect_equal(load_weights(config, file, at::kFloat), made);
}

TEST(Weights, ConvertsToTheComputeDtypeOnCacheLines) {
  const ModelConfig config = testing::small_config();
  const Weights made = testing::random_weights(config, 4, at::kFloat);
  const std::string bytes = safetensors_bytes(take_apart(config, made));
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

// Matrices that stay in the file, in the order of rows there, give the bits of matrices that were widened and ordered.
TEST(Weights, StoredMatricesComputeAsLoadedOnes) {
  for (const ModelConfig& config : shapes()) {
    const Weights made = testing::random_weights(config, 5, at::kFloat);
    const std::string bytes = gguf_bytes(take_apart_gguf(config, made, true), true);
    const auto file = std::make_shared<const formats::GgufFile>(view(bytes), "model.gguf");
    const Weights loaded = load_weights(config, *file, at::kFloat);
    const Weights stored = load_weights(config, *file, at::kFloat, file, true);
    ASSERT_TRUE(stored.embedding.is_stored() && stored.layers[0].qkv.matrix().is_stored());
    EXPECT_EQ(stored.vocab.is_same(stored.embedding), config.tie_embeddings);
    Rng rng(1);
    std::vector<std::vector<int32_t>> paths = testing::random_tree(rng, config.vocab_size, 6);
    std::vector<PathRequest> requests;
    for (std::vector<int32_t>& ids : paths) {
      const auto size = static_cast<int32_t>(ids.size());
      requests.push_back({.ids = ids, .logps_from = 1, .hidden_at = {size - 1}});
    }
    const auto a = read(Transformer(config, loaded), requests);
    const auto b = read(Transformer(config, stored), requests);
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_TRUE(at::equal(a[i].hidden, b[i].hidden)) << i;
      EXPECT_EQ(a[i].logps, b[i].logps) << i;
    }
  }
}

TEST(Weights, ABaseModelWithoutAHeadHasBareNames) {
  ModelConfig config = testing::small_config();
  config.num_labels = 1;
  const Weights made = testing::random_weights(config, 5, at::kFloat);
  std::vector<Named> tensors;
  for (Named& t : take_apart(config, made)) {
    if (t.name == "lm_head.weight") continue;
    tensors.push_back({t.name.substr(6), t.tensor});
  }
  const std::string bytes = safetensors_bytes(tensors);
  const formats::SafetensorsFile file(view(bytes), "model.safetensors");
  Weights loaded = load_weights(config, file, at::kFloat);
  EXPECT_TRUE(at::equal(loaded.layers[2].down.weight(), made.layers[2].down.weight()));
  EXPECT_FALSE(loaded.vocab.defined());
  const Transformer model(config, std::move(loaded));
  EXPECT_THAT([&] { model.vocab(); }, ThrowsMessage<Error>(HasSubstr("no vocabulary projection")));
}

TEST(Weights, NamesTheTensorThatIsWrong) {
  const ModelConfig config = testing::small_config();
  const Weights made = testing::random_weights(config, 6, at::kFloat);
  auto tensors = take_apart(config, made);
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

// A tensor stays in the file where it needs no change, and only there; scores are the same bits either way.
TEST(Weights, UnchangedTensorsStayInTheFile) {
  ModelConfig config = testing::small_config();
  const Weights made = testing::random_weights(config, 7, at::kFloat);
  const auto path = std::filesystem::temp_directory_path() / "merit_weights_test.safetensors";
  const std::string bytes = safetensors_bytes(take_apart(config, made));
  write_file_atomic(path, bytes);
  const auto file = std::make_shared<const formats::SafetensorsFile>(path);
  auto in_file = [&](const at::Tensor& tensor) {
    const auto* address = static_cast<const std::byte*>(tensor.const_data_ptr());
    for (const formats::TensorView& view : file->tensors()) {
      if (address >= view.bytes.data() && address < view.bytes.data() + view.bytes.size()) return true;
    }
    return false;
  };
  const Weights mapped = load_weights(config, *file, at::kFloat, file);
  expect_equal(mapped, made);
  EXPECT_TRUE(in_file(mapped.embedding.dense()));  // rows of it are copied: any address will do
  EXPECT_FALSE(in_file(mapped.layers[0].qkv.weight()));
  const auto& out = file->at("model.layers.1.self_attn.o_proj.weight");
  EXPECT_EQ(in_file(mapped.layers[1].out.weight()), reinterpret_cast<uintptr_t>(out.bytes.data()) % 64 == 0);
  for (const at::Tensor& tensor : load_weights(config, *file, at::kFloat).parameters()) EXPECT_FALSE(in_file(tensor));
  EXPECT_FALSE(in_file(load_weights(config, *file, at::kDouble, file).embedding.dense()));
  config.tie_embeddings = true;  // now products read it
  const auto& embedding = file->at("model.embed_tokens.weight");
  EXPECT_EQ(in_file(load_weights(config, *file, at::kFloat, file).embedding.dense()),
            reinterpret_cast<uintptr_t>(embedding.bytes.data()) % 64 == 0);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace merit::nn
