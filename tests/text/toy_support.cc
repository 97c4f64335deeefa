#include "tests/text/toy_support.h"

#include "merit/core/json.h"

namespace merit::text {

namespace {

// The byte-level alphabet: printable Latin-1 stands for itself, the rest for U+0100 on.
std::vector<std::string> byte_alphabet() {
  std::vector<std::string> out;
  int next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool plain = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    const int c = plain ? b : next++;
    std::string s;
    if (c < 0x80) {
      s += static_cast<char>(c);
    } else {
      s += static_cast<char>(0xC0 | (c >> 6));
      s += static_cast<char>(0x80 | (c & 0x3F));
    }
    out.push_back(s);
  }
  return out;
}

}  // namespace

Tokenizer toy_tokenizer(const std::vector<std::pair<std::string, std::string>>& merges, bool with_bos, bool adds_bos) {
  OrderedJson vocab = OrderedJson::object();
  int id = 0;
  for (const std::string& s : byte_alphabet()) vocab[s] = id++;
  OrderedJson merge_list = OrderedJson::array();
  for (const auto& [a, b] : merges) {
    vocab[a + b] = id++;
    merge_list.push_back(OrderedJson::array({a, b}));
  }
  OrderedJson added = OrderedJson::array();
  int bos = 0;
  for (const char* token : {"<s>", "</s>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"}) {
    const bool special = std::string(token).find("think") == std::string::npos;
    if (std::string(token) == "<s>") bos = id;
    added.push_back({{"id", id++},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  }
  OrderedJson json;
  json["version"] = "1.0";
  json["truncation"] = nullptr;
  json["padding"] = nullptr;
  json["added_tokens"] = added;
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  json["post_processor"] = nullptr;
  if (adds_bos) {
    const OrderedJson special = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
    const OrderedJson a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    const OrderedJson b = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
    json["post_processor"] = {{"type", "TemplateProcessing"},
                              {"single", OrderedJson::array({special, a})},
                              {"pair", OrderedJson::array({special, a, b})},
                              {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {bos}}, {"tokens", {"<s>"}}}}}}};
  }
  json["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  json["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"vocab", vocab},
                   {"merges", merge_list}};
  Json config = Json::object();
  config["eos_token"] = "</s>";
  config["bos_token"] = with_bos ? Json("<s>") : Json(nullptr);
  return parse_tokenizer_json(json.dump(), config, "toy");
}

}  // namespace merit::text
