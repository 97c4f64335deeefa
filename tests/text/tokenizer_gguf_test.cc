#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "merit/formats/gguf.h"
#include "tests/text/tokenizer_support.h"

namespace merit::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string le(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}
std::string text(const std::string& value) { return le(uint64_t{value.size()}) + value; }

// The metadata of a model: key to the bytes of type and value.
struct Gguf {
  std::vector<std::pair<std::string, std::string>> entries;

  Gguf& string(const std::string& key, const std::string& value) {
    entries.emplace_back(key, le(uint32_t{8}) + text(value));
    return *this;
  }
  Gguf& number(const std::string& key, uint32_t value) {
    entries.emplace_back(key, le(uint32_t{4}) + le(value));
    return *this;
  }
  Gguf& boolean(const std::string& key, bool value) {
    entries.emplace_back(key, le(uint32_t{7}) + le(uint8_t{value}));
    return *this;
  }
  Gguf& strings(const std::string& key, const std::vector<std::string>& values) {
    std::string bytes = le(uint32_t{9}) + le(uint32_t{8}) + le(uint64_t{values.size()});
    for (const std::string& value : values) bytes += text(value);
    entries.emplace_back(key, bytes);
    return *this;
  }
  Gguf& numbers(const std::string& key, const std::vector<int32_t>& values) {
    std::string bytes = le(uint32_t{9}) + le(uint32_t{5}) + le(uint64_t{values.size()});
    for (const int32_t value : values) bytes += le(value);
    entries.emplace_back(key, bytes);
    return *this;
  }
  Tokenizer load() const {
    std::string bytes = "GGUF" + le(uint32_t{3}) + le(uint64_t{0}) + le(uint64_t{entries.size()});
    for (const auto& [key, value] : entries) bytes += text(key) + value;
    bytes.resize((bytes.size() + 31) / 32 * 32);
    const formats::GgufFile file({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}, "m.gguf");
    return load_tokenizer(file, "m.gguf");
  }
};

// Ids: control <s> 0, control <e> 1, a 2, b 3, ab 4, 1 5, user-defined <t> 6.
Gguf model(const std::string& pre) {
  Gguf file;
  file.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", pre);
  file.strings("tokenizer.ggml.tokens", {"<s>", "<e>", "a", "b", "ab", "1", "<t>"});
  file.numbers("tokenizer.ggml.token_type", {3, 3, 1, 1, 1, 1, 4});
  file.strings("tokenizer.ggml.merges", {"a b"});
  file.number("tokenizer.ggml.bos_token_id", 0).number("tokenizer.ggml.eos_token_id", 1);
  return file;
}

TEST(TokenizerGguf, TokensMergesAndTypes) {
  const Tokenizer tokenizer = model("smollm").load();
  EXPECT_THAT(tokenizer.encode("ab11<s><t>ba"), ElementsAre(4, 5, 5, 0, 6, 3, 2));
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_FALSE(tokenizer.pad_id().has_value());
  EXPECT_FALSE(tokenizer.adds_bos());
  EXPECT_TRUE(tokenizer.is_special(0));
  EXPECT_FALSE(tokenizer.is_special(6));
  EXPECT_EQ(tokenizer.vocab_size(), 7u);
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{0, 4, 5}), "<s>ab1");
}

TEST(TokenizerGguf, BosAndEosAsTheFileSaysElseAsItsKindDoes) {
  EXPECT_THAT(model("llama-bpe").load().encode("ab"), ElementsAre(0, 4));
  Gguf said = model("llama-bpe");
  said.boolean("tokenizer.ggml.add_bos_token", false).boolean("tokenizer.ggml.add_eos_token", true);
  EXPECT_THAT(said.load().encode("ab"), ElementsAre(4, 1));
  EXPECT_TRUE(said.load().adds_eos());
}

TEST(TokenizerGguf, EveryKnownKindWritesAFolderOfTheSameIds) {
  for (const char* pre : {"gpt-2", "phi-2", "smollm", "starcoder", "refact", "command-r", "codeshell", "llama-bpe",
                          "llama3", "llama-v3", "qwen2", "deepseek-r1-qwen", "deepseek-coder", "deepseek-v3"}) {
    const Tokenizer tokenizer = model(pre).load();
    const std::string json = dump_json(tokenizer.to_tokenizer_json());
    const Tokenizer again =
        parse_tokenizer_json(json, Json::parse(dump_json(tokenizer.tokenizer_config_json())), "again");
    EXPECT_EQ(again.encode("ab 1ab1<s>b"), tokenizer.encode("ab 1ab1<s>b")) << pre;
    EXPECT_EQ(again.bos_id(), tokenizer.bos_id());
    EXPECT_EQ(again.adds_bos(), tokenizer.adds_bos()) << pre;
  }
}

TEST(TokenizerGguf, F3_UnknownKindsAreRefusedByName) {
  const Error pre = error_of([] { model("guess-1").load(); });
  EXPECT_EQ(pre.kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(pre.what(), HasSubstr("\"guess-1\""));
  EXPECT_EQ(error_of([] { model("default").load(); }).kind(), ErrorKind::kUnsupported);
  Gguf rwkv;
  rwkv.string("tokenizer.ggml.model", "rwkv");
  EXPECT_THAT(error_of([&] { rwkv.load(); }).what(), HasSubstr("\"rwkv\""));
}

TEST(TokenizerGguf, InconsistentMetadataIsRefused) {
  const auto message = [](Gguf file) { return std::string(error_of([&] { file.load(); }).what()); };
  Gguf types = model("smollm");
  types.entries[3].second = le(uint32_t{9}) + le(uint32_t{5}) + le(uint64_t{1}) + le(int32_t{1});
  EXPECT_THAT(message(types), HasSubstr("7 tokens, but 1 token types"));
  Gguf merge = model("smollm");
  merge.entries[4].second = le(uint32_t{9}) + le(uint32_t{8}) + le(uint64_t{1}) + text("ab");
  EXPECT_THAT(message(merge), HasSubstr("merges[0]: expected two tokens"));
  Gguf bos = model("smollm");
  bos.entries[5].second = le(uint32_t{4}) + le(uint32_t{7});
  EXPECT_THAT(message(bos), HasSubstr("bos_token_id is 7, but there are 7 tokens"));
  Gguf none;
  none.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "smollm");
  EXPECT_THAT(message(none), HasSubstr("tokenizer.ggml.tokens"));
}

}  // namespace
}  // namespace merit::text
