// The published pipelines behind the names of tokenizer.ggml.pre.
#include <algorithm>

#include "merit/core/error.h"
#include "merit/text/tokenizer_gguf.h"
#include "merit/text/word_patterns.h"

namespace merit::text {
namespace {

// Steps before the byte-level alphabet.
constexpr const char* kDigits = R"({"type": "Digits", "individual_digits": true})";
constexpr const char* kGpt2 =
    R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})";
constexpr const char* kBytes =
    R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false})";

Json split(const char* pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}
Json sequence(std::vector<Json> steps) { return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}}; }
Json step(const char* json) { return Json::parse(json); }

}  // namespace

GgufWords gguf_words(const std::string& pre, const std::string& where) {
  const auto is = [&](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), pre) != names.end();
  };
  if (is({"gpt-2", "phi-2", "roberta-bpe"})) return {step(kGpt2)};
  if (is({"mpt", "olmo"})) return {step(kGpt2), {{"type", "NFC"}}};
  if (is({"smollm", "starcoder", "refact", "command-r", "codeshell"})) {
    return {sequence({step(kDigits), step(kGpt2)})};
  }
  if (is({"llama-bpe", "llama3", "llama-v3"})) {
    return {sequence({split(kLlama3Words), step(kBytes)}), nullptr, true, true};
  }
  if (is({"dbrx"})) return {sequence({split(kLlama3Words), step(kBytes)})};
  if (is({"gpt-4o"})) return {sequence({split(kGpt4oWords), step(kBytes)})};
  if (is({"llama4"})) return {sequence({split(kGpt4oWords), step(kBytes)}), nullptr, false, true};
  if (is({"tekken"})) return {sequence({split(kTekkenWords), step(kBytes)}), nullptr, true, true};
  if (is({"falcon"})) {
    return {sequence({Json{{"type", "Punctuation"}, {"behavior", "Contiguous"}}, step(kGpt2),
                      Json{{"type", "Digits"}, {"individual_digits", false}}, split("[0-9][0-9][0-9]")})};
  }
  if (is({"bloom"})) {
    return {sequence({split(" ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"), step(kBytes)})};
  }
  if (is({"qwen2"})) return {sequence({split(kQwen2Words), step(kBytes)}), {{"type", "NFC"}}};
  if (is({"deepseek-r1-qwen"})) {
    return {sequence({split(kQwen2Words), step(kBytes)}), {{"type", "NFC"}}, false, true};
  }
  if (is({"deepseek-coder"})) {
    return {sequence({split(R"([\r\n])"), split(R"(\s?\p{L}+)"), split(R"(\s?\p{P}+)"),
                      split("[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+"),
                      step(kDigits), step(kBytes)}),
            nullptr, false, true};
  }
  if (is({"deepseek-v3"})) {
    return {sequence({split(R"(\p{N}{1,3})"),
                      split("[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"),
                      split(R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
                            R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"),
                      step(kBytes)}),
            nullptr, false, true};
  }
  fail(ErrorKind::kUnsupported,
       "{}: pre-tokenizer {} (tokenizer.ggml.pre) is not known; use the model's Hugging Face folder, whose "
       "tokenizer.json says it in full",
       where, quote(pre));
}

}  // namespace merit::text
