#include "tests/reward/tiny_model_support.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <span>
#include <vector>

#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/core/rng.h"
#include "merit/formats/safetensors.h"

namespace merit::test {
namespace {

constexpr int64_t kHidden = 32, kLayers = 2, kHeads = 4, kKvHeads = 2, kFfn = 48;

// GPT-2's stand-in for a byte: itself if printable in Latin-1, else a character from U+0100 on.
std::string stand_in(int byte, int& next) {
  const bool visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  const int code = visible ? byte : 256 + next++;
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

int64_t write_tokenizer(const std::filesystem::path& folder) {
  OrderedJson vocab = OrderedJson::object(), added = OrderedJson::array();
  for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    const size_t id = vocab.size();
    vocab[special] = id;
    added.push_back({{"id", id},
                     {"content", special},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  int next = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const size_t id = vocab.size();
    vocab[stand_in(byte, next)] = id;
  }
  const OrderedJson byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const OrderedJson model = {{"type", "BPE"},
                             {"dropout", nullptr},
                             {"unk_token", nullptr},
                             {"continuing_subword_prefix", nullptr},
                             {"end_of_word_suffix", nullptr},
                             {"fuse_unk", false},
                             {"byte_fallback", false},
                             {"ignore_merges", false},
                             {"vocab", vocab},
                             {"merges", OrderedJson::array()}};
  const OrderedJson tokenizer = {{"version", "1.0"},          {"truncation", nullptr}, {"padding", nullptr},
                                 {"added_tokens", added},     {"normalizer", nullptr}, {"pre_tokenizer", byte_level},
                                 {"post_processor", nullptr}, {"decoder", byte_level}, {"model", model}};
  write_file_atomic(folder / "tokenizer.json", dump_json(tokenizer));
  const char* chat_template =
      "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  write_file_atomic(folder / "tokenizer_config.json", dump_json(OrderedJson{{"bos_token", "<|im_start|>"},
                                                                            {"eos_token", "<|im_end|>"},
                                                                            {"pad_token", "<|im_end|>"},
                                                                            {"add_bos_token", false},
                                                                            {"chat_template", chat_template},
                                                                            {"tokenizer_class", "GPT2Tokenizer"}}));
  return static_cast<int64_t>(vocab.size());
}

}  // namespace

std::filesystem::path write_tiny_model(uint64_t seed) {
  const auto folder = std::filesystem::path(testing::TempDir()) / fmt::format("merit_tiny_model_{}_{}", seed, getpid());
  const int64_t vocab = write_tokenizer(folder);
  const OrderedJson config = {{"architectures", {"LlamaForCausalLM"}},
                              {"model_type", "llama"},
                              {"vocab_size", vocab},
                              {"hidden_size", kHidden},
                              {"num_hidden_layers", kLayers},
                              {"num_attention_heads", kHeads},
                              {"num_key_value_heads", kKvHeads},
                              {"intermediate_size", kFfn},
                              {"max_position_embeddings", 256},
                              {"rms_norm_eps", 1e-5},
                              {"rope_theta", 10000.0},
                              {"tie_word_embeddings", true},
                              {"hidden_act", "silu"},
                              {"bos_token_id", 1},
                              {"eos_token_id", 2}};
  write_file_atomic(folder / "config.json", dump_json(config));

  Rng rng(seed);
  std::vector<formats::TensorToWrite> tensors;
  std::vector<std::shared_ptr<std::vector<float>>> values;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    auto data = std::make_shared<std::vector<float>>(static_cast<size_t>(count), 1.0f);
    if (shape.size() > 1) {
      for (float& value : *data) value = static_cast<float>(0.2 * rng.normal());
    }
    tensors.push_back({name, formats::DType::kF32, std::move(shape),
                       [data](const formats::ByteSink& sink) { sink(std::as_bytes(std::span(*data))); }});
  };
  const int64_t kv = kHidden / kHeads * kKvHeads;
  add("model.embed_tokens.weight", {vocab, kHidden});
  add("model.norm.weight", {kHidden});
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string at = fmt::format("model.layers.{}.", i);
    add(at + "input_layernorm.weight", {kHidden});
    add(at + "post_attention_layernorm.weight", {kHidden});
    add(at + "self_attn.q_proj.weight", {kHidden, kHidden});
    add(at + "self_attn.k_proj.weight", {kv, kHidden});
    add(at + "self_attn.v_proj.weight", {kv, kHidden});
    add(at + "self_attn.o_proj.weight", {kHidden, kHidden});
    add(at + "mlp.gate_proj.weight", {kFfn, kHidden});
    add(at + "mlp.up_proj.weight", {kFfn, kHidden});
    add(at + "mlp.down_proj.weight", {kHidden, kFfn});
  }
  formats::write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  return folder;
}

}  // namespace merit::test
