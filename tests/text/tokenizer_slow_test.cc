// Folders without tokenizer.json, and SentencePiece models written out byte by byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "merit/core/file.h"
#include "merit/text/sentencepiece.h"
#include "merit/text/tokenizer_pieces.h"
#include "tests/text/tokenizer_support.h"

namespace merit::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string bytes_field(int field, const std::string& bytes) {
  return varint(static_cast<uint64_t>(field) << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string number_field(int field, uint64_t value) {
  return varint(static_cast<uint64_t>(field) << 3) + varint(value);
}
std::string piece(const std::string& token, float score, int type = SentencePieces::kNormal) {
  std::string real(4, '\0');
  std::memcpy(real.data(), &score, 4);
  return bytes_field(1,
                     bytes_field(1, token) + varint(2 << 3 | 5) + real + number_field(3, static_cast<uint64_t>(type)));
}

// BPE: ab before bc, by their scores; ids <unk> 0, <s> 1, </s> 2, mark 3, a 4, b 5, c 6, ab 7, bc 8, mark-a 9.
std::string model(const std::string& normalizer = "", uint64_t type = 2) {
  return piece("<unk>", 0, SentencePieces::kUnknown) + piece("<s>", 0, SentencePieces::kControl) +
         piece("</s>", 0, SentencePieces::kControl) + piece(kWordMark, -4) + piece("a", -5) + piece("b", -6) +
         piece("c", -7) + piece("ab", -2) + piece("bc", -1) + piece(std::string(kWordMark) + "a", -3) +
         bytes_field(2, number_field(3, type)) + bytes_field(3, normalizer);
}

class SlowFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("merit_slow_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const char* name, const std::string& text) { write_file_atomic(folder_ / name, text); }
  std::string error() {
    return error_of([&] { load_tokenizer(folder_); }).what();
  }
  std::filesystem::path folder_;
};

TEST(SentencePiece, ReadsPiecesAndSettings) {
  const SentencePieces p = parse_sentencepiece(model(number_field(3, 0) + bytes_field(2, "map")), "m");
  EXPECT_EQ(p.tokens.size(), 10u);
  EXPECT_EQ(p.tokens[7], "ab");
  EXPECT_EQ(p.scores[8], -1.0);
  EXPECT_EQ(p.types[1], SentencePieces::kControl);
  EXPECT_FALSE(p.unigram);
  EXPECT_FALSE(p.add_dummy_prefix);
  EXPECT_TRUE(p.remove_extra_whitespaces);
  EXPECT_EQ(p.charsmap, "map");
}

TEST(SentencePiece, MergesGoByScoreOrById) {
  const SentencePieces p = parse_sentencepiece(model(), "m");
  std::vector<std::string> spelled;
  for (const Merge& m : merges_by_score(p, "m")) spelled.push_back(m.left + "+" + m.right);
  const std::string mark = kWordMark;
  EXPECT_THAT(spelled, ElementsAre("b+c", "a+b", mark + "+a"));
  spelled.clear();
  for (const Merge& m : merges_by_id(p.tokens, "m")) spelled.push_back(m.left + "+" + m.right);
  EXPECT_THAT(spelled, ElementsAre("a+b", "b+c", mark + "+a"));
}

TEST(SentencePiece, WhatIsNoModelIsRefusedWithThePlace) {
  const auto message = [](const std::string& bytes) {
    return std::string(error_of([&] { parse_sentencepiece(bytes, "m"); }).what());
  };
  EXPECT_THAT(message(""), HasSubstr("no pieces"));
  EXPECT_THAT(message("{\"a\": 1}"), HasSubstr("no SentencePiece model"));
  EXPECT_THAT(message(model().substr(0, 100)), HasSubstr("are left"));
  EXPECT_THAT(message(piece("a", 0)), HasSubstr("no trainer_spec"));
  EXPECT_THAT(message(model("", 4)), HasSubstr("model type 4"));
  EXPECT_THAT(message(model(number_field(5, 0))), HasSubstr("escape_whitespaces"));
  EXPECT_THAT(message(piece("\xff", 0)), HasSubstr("not UTF-8"));
  EXPECT_THAT(message(piece("a", 0, 9)), HasSubstr("unknown type 9"));
  EXPECT_THAT(message(piece("a", INFINITY)), HasSubstr("not finite"));
  EXPECT_THAT(message(piece(std::string(2000, 'a'), 0)), HasSubstr("the limit is 1024"));
  EXPECT_THAT(message(model() + bytes_field(2, number_field(40, 77))), HasSubstr("unk_id is 77"));
  EXPECT_THAT(message(model() + bytes_field(5, bytes_field(2, "x"))), HasSubstr("denormalizer"));
}

TEST_F(SlowFolder, AModelIsReadByItsOwnSettings) {
  write("tokenizer.model", model());
  const Tokenizer tokenizer = load_tokenizer(folder_);
  // " abc": a space goes before the text, the best scores join first: bc, then mark-a.
  EXPECT_THAT(tokenizer.encode("abc"), ElementsAre(9, 8));
  EXPECT_THAT(tokenizer.encode("  a  b "), ElementsAre(9, 3, 5));  // extra spaces go
  EXPECT_THAT(tokenizer.encode("a<s>a"), ElementsAre(9, 1, 9));
  EXPECT_THAT(tokenizer.encode("z"), ElementsAre(3, 0));
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{9, 8}), "abc");
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_FALSE(tokenizer.adds_bos());
}

TEST_F(SlowFolder, F2_TheLlamaClassTakesThePrefixRuleFromItsConfiguration) {
  write("tokenizer.model", model());
  const auto ids = [&](const char* more) {
    write("tokenizer_config.json", std::string("{\"tokenizer_class\": \"LlamaTokenizer\"") + more + "}");
    return load_tokenizer(folder_).encode("a<s>a");
  };
  EXPECT_THAT(ids(""), ElementsAre(9, 1, 4));
  EXPECT_THAT(ids(", \"legacy\": true"), ElementsAre(9, 1, 9));
  EXPECT_THAT(ids(", \"add_prefix_space\": false"), ElementsAre(4, 1, 4));
  EXPECT_THAT(ids(", \"add_bos_token\": true, \"add_eos_token\": true"), ElementsAre(1, 9, 1, 4, 2));
  EXPECT_THAT(ids(", \"add_bos_token\": true, \"bos_token\": null"), ElementsAre(9, 1, 4));
}

TEST_F(SlowFolder, VocabAndMergesByClass) {
  write("vocab.json", R"({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3, "1": 4, "11": 5})");
  write("merges.txt", "#version: 0.2\na b\n1 1\n");
  write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer"})");
  EXPECT_THAT(load_tokenizer(folder_).encode("ab11<|endoftext|>"), ElementsAre(2, 5, 3));
  EXPECT_EQ(load_tokenizer(folder_).eos_id(), 3);
  write("tokenizer_config.json", R"({"tokenizer_class": "Qwen2TokenizerFast", "additional_special_tokens": ["<x>"]})");
  EXPECT_THAT(load_tokenizer(folder_).encode("ab11<x>"), ElementsAre(2, 4, 4, 6));
  EXPECT_FALSE(load_tokenizer(folder_).bos_id().has_value());
  write("merges.txt", "a b\n\n1 1\n");
  EXPECT_THAT(error(), HasSubstr("merges.txt:2: expected two tokens"));
  std::filesystem::remove(folder_ / "merges.txt");
  EXPECT_THAT(error(), HasSubstr("no merges.txt"));
  write("merges.txt", "a c\n");
  EXPECT_THAT(error(), HasSubstr("\"c\" is not in the vocabulary"));
  write("vocab.json", R"({"a": -1})");
  EXPECT_THAT(error(), HasSubstr("expected 0 to"));
}

TEST_F(SlowFolder, VocabTxtIsWordPiece) {
  write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\n##c\n");
  write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer"})");
  EXPECT_THAT(load_tokenizer(folder_).encode("ABC z[MASK]"), ElementsAre(2, 5, 6, 1, 4, 3));
  write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer", "do_lower_case": false})");
  EXPECT_THAT(load_tokenizer(folder_).encode("ABC abc"), ElementsAre(2, 1, 5, 6, 3));
  write("vocab.txt", "[PAD]\n[UNK]\n");
  EXPECT_THAT(load_tokenizer(folder_).encode(""), ElementsAre(3, 2));  // roles stand behind the vocabulary
  write("vocab.txt", "[UNK]\na\na\n");
  EXPECT_THAT(error(), HasSubstr("stands twice"));
}

TEST_F(SlowFolder, AddedTokensHaveTheirListedIds) {
  write("tokenizer.model", model());
  write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer", "pad_token": "<pad>"})");
  write("added_tokens.json", R"({"<pad>": 10, "tok": 11})");
  const Tokenizer tokenizer = load_tokenizer(folder_);
  EXPECT_THAT(tokenizer.encode("<pad>tok"), ElementsAre(10, 11));
  EXPECT_TRUE(tokenizer.is_special(10));
  EXPECT_FALSE(tokenizer.is_special(11));
  write("added_tokens.json", R"({"tok": 12})");
  EXPECT_THAT(error(), HasSubstr("listed with id 12, but the next free id is 10"));
}

TEST_F(SlowFolder, F3_UnknownClassesAreNamed) {
  EXPECT_THAT(error(), HasSubstr("no tokenizer_class"));
  write("tokenizer.model", model());
  write("tokenizer_config.json", R"({"tokenizer_class": "MysteryTokenizer"})");
  EXPECT_THAT(error(), HasSubstr("\"MysteryTokenizer\" is not known"));
}

}  // namespace
}  // namespace merit::text
