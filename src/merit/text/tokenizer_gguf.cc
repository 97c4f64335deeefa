// GGUF files: tokenizer.ggml.* metadata. The file names its pre-tokenizer only; what each name means is the pipeline
// of the Hugging Face tokenizer that it was converted from, so ids equal those.
#include <algorithm>
#include <array>

#include "merit/core/error.h"
#include "merit/formats/gguf.h"
#include "merit/text/bpe.h"
#include "merit/text/tokenizer.h"
#include "merit/text/tokenizer_impl.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

enum TokenType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

// Steps before the byte-level alphabet.
constexpr const char* kDigits = R"({"type": "Digits", "individual_digits": true})";
constexpr const char* kGpt2 =
    R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})";
constexpr const char* kBytes =
    R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false})";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json split(const char* pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}
Json sequence(std::vector<Json> steps) { return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}}; }
Json step(const char* json) { return Json::parse(json); }

struct Kind {
  Json pre_tokenizer;
  Json normalizer = nullptr;
  bool ignore_merges = false;
  bool add_bos = false;  // where the file does not say
};

// By the value of tokenizer.ggml.pre. An unknown name is an error: another rule would give other ids in silence.
Kind kind_of(const std::string& pre, const std::string& where) {
  const auto is = [&](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), pre) != names.end();
  };
  if (is({"gpt-2", "phi-2"})) return {step(kGpt2)};
  if (is({"smollm", "starcoder", "refact", "command-r", "codeshell"})) {
    return {sequence({step(kDigits), step(kGpt2)})};
  }
  if (is({"llama-bpe", "llama3", "llama-v3"})) {
    return {sequence({split(kLlama3), step(kBytes)}), nullptr, true, true};
  }
  if (is({"qwen2"})) return {sequence({split(kQwen2), step(kBytes)}), {{"type", "NFC"}}};
  if (is({"deepseek-r1-qwen"})) {
    return {sequence({split(kQwen2), step(kBytes)}), {{"type", "NFC"}}, false, true};
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

std::vector<AddedToken> read_added(const std::vector<std::string>& tokens, const std::vector<int64_t>& types) {
  std::vector<AddedToken> added;
  for (size_t i = 0; i < types.size(); ++i) {
    const bool control = types[i] == kControl || types[i] == kUnknown;
    if (!control && types[i] != kUserDefined) continue;
    AddedToken token;
    token.content = tokens[i];
    token.id = static_cast<TokenId>(i);
    token.special = control;
    added.push_back(std::move(token));
  }
  return added;
}

// BOS and EOS as a template, as a folder writes them.
Json template_processing(const std::vector<std::string>& tokens, std::optional<TokenId> bos,
                         std::optional<TokenId> eos) {
  if (!bos && !eos) return nullptr;
  Json single = Json::array(), pair = Json::array(), specials = Json::object();
  const auto add = [&](std::optional<TokenId> id) {
    if (!id) return;
    const std::string& token = tokens[static_cast<size_t>(*id)];
    specials[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
    single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    pair.push_back(single.back());
  };
  add(bos);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  pair.push_back(single.back());
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  add(eos);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", specials}};
}

std::optional<TokenId> role(const formats::GgufFile& file, const char* name, size_t tokens, const std::string& where) {
  const std::string key = std::string("tokenizer.ggml.") + name + "_token_id";
  if (!file.has(key)) return std::nullopt;
  const int64_t id = file.get_int(key);
  if (id < 0 || id >= static_cast<int64_t>(tokens)) {
    fail(ErrorKind::kData, "{}: {} is {}, but there are {} tokens", where, key, id, tokens);
  }
  return static_cast<TokenId>(id);
}

}  // namespace

Tokenizer load_tokenizer(const formats::GgufFile& file, const std::string& where) {
  const std::string model = file.get_string("tokenizer.ggml.model");
  if (model != "gpt2") {
    fail(ErrorKind::kUnsupported,
         "{}: tokenizer model {} is not supported in GGUF files (byte-level BPE, \"gpt2\", is)", where, quote(model));
  }
  const Kind kind = kind_of(file.get_string_or("tokenizer.ggml.pre", ""), where);
  const std::vector<std::string>& tokens = file.get_strings("tokenizer.ggml.tokens");
  std::vector<int64_t> types(tokens.size(), kNormal);
  if (file.has("tokenizer.ggml.token_type")) types = file.get_ints("tokenizer.ggml.token_type");
  if (types.size() != tokens.size()) {
    fail(ErrorKind::kData, "{}: {} tokens, but {} token types", where, tokens.size(), types.size());
  }
  std::vector<TokenId> ids(tokens.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<TokenId>(i);
    if (!is_valid_utf8(tokens[i])) fail(ErrorKind::kData, "{}: token {} is not UTF-8", where, quote(tokens[i]));
  }
  std::vector<Merge> merges;
  const std::vector<std::string>& lines = file.get_strings("tokenizer.ggml.merges");
  merges.reserve(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    merges.push_back(parse_merge(lines[i], fmt::format("{}: tokenizer.ggml.merges[{}]", where, i)));
  }
  SpecialIds special = {role(file, "bos", tokens.size(), where), role(file, "eos", tokens.size(), where),
                        role(file, "padding", tokens.size(), where), role(file, "unknown", tokens.size(), where)};
  const bool add_bos = file.get_bool_or("tokenizer.ggml.add_bos_token", kind.add_bos);
  const bool add_eos = file.get_bool_or("tokenizer.ggml.add_eos_token", false);
  PipelineJson pipeline;
  pipeline.normalizer = kind.normalizer;
  pipeline.pre_tokenizer = kind.pre_tokenizer;
  pipeline.post_processor =
      template_processing(tokens, add_bos ? special.bos : std::nullopt, add_eos ? special.eos : std::nullopt);
  pipeline.decoder = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  BpeOptions options;
  options.ignore_merges = kind.ignore_merges;
  auto bpe = std::make_unique<Bpe>(Vocabulary(tokens, ids, where), merges, std::move(options), where);
  auto impl = std::make_shared<TokenizerImpl>(std::move(bpe), read_added(tokens, types), std::move(pipeline), where);
  impl->special = special;
  return Tokenizer(impl);
}

}  // namespace merit::text
