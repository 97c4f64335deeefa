// GGUF files: tokenizer.ggml.* metadata, of the kinds gpt2 (byte-level BPE), llama (SentencePiece BPE), t5 (unigram)
// and bert (WordPiece). What a kind needs and the file lacks is an error that names the key.
#include "merit/text/tokenizer_gguf.h"

#include <algorithm>

#include "merit/core/error.h"
#include "merit/formats/gguf.h"
#include "merit/text/tokenizer_pieces.h"
#include "merit/text/tokenizer_words.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

enum TokenType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

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

std::optional<TokenId> role(const formats::GgufFile& file, const char* name, size_t tokens, const std::string& where) {
  const std::string key = std::string("tokenizer.ggml.") + name + "_token_id";
  if (!file.has(key)) return std::nullopt;
  const int64_t id = file.get_int(key);
  if (id < 0 || id >= static_cast<int64_t>(tokens)) {
    fail(ErrorKind::kData, "{}: {} is {}, but there are {} tokens", where, key, id, tokens);
  }
  return static_cast<TokenId>(id);
}

// What is there for every kind.
struct Common {
  const formats::GgufFile& file;
  std::string where;
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
  SpecialIds special;

  Common(const formats::GgufFile& f, const std::string& w) : file(f), where(w) {
    tokens = file.get_strings("tokenizer.ggml.tokens");
    types.assign(tokens.size(), kNormal);
    if (file.has("tokenizer.ggml.token_type")) types = file.get_ints("tokenizer.ggml.token_type");
    if (types.size() != tokens.size()) {
      fail(ErrorKind::kData, "{}: {} tokens, but {} token types", where, tokens.size(), types.size());
    }
    for (const std::string& token : tokens) {
      if (!is_valid_utf8(token)) fail(ErrorKind::kData, "{}: token {} is not UTF-8", where, quote(token));
    }
    special = {id("bos"), id("eos"), id("padding"), id("unknown")};
  }
  std::optional<TokenId> id(const char* name) const { return role(file, name, tokens.size(), where); }
  TokenId need(const char* name) const {
    if (const std::optional<TokenId> found = id(name)) return *found;
    fail(ErrorKind::kData, "{}: tokenizer.ggml.{}_token_id is missing", where, name);
  }
  // One of two ids: the first that is there.
  TokenId need(const char* name, const char* other) const {
    const std::optional<TokenId> found = id(name);
    return found ? *found : need(other);
  }
  std::vector<std::pair<std::string, TokenId>> named(std::optional<TokenId> token) const {
    if (!token) return {};
    return {{tokens[static_cast<size_t>(*token)], *token}};
  }
  // BOS and EOS around a text, as the file says or else as given.
  Json around(bool bos, bool eos) const {
    bos = file.get_bool_or("tokenizer.ggml.add_bos_token", bos);
    eos = file.get_bool_or("tokenizer.ggml.add_eos_token", eos);
    return template_step(named(bos ? special.bos : std::nullopt), named(eos ? special.eos : std::nullopt));
  }
  Tokenizer make(std::unique_ptr<TokenModel> model, PipelineJson pipeline) const {
    auto impl =
        std::make_shared<TokenizerImpl>(std::move(model), read_added(tokens, types), std::move(pipeline), where);
    impl->special = special;
    return Tokenizer(impl);
  }
};

Tokenizer load_gpt2(const Common& common) {
  const GgufWords words = gguf_words(common.file.get_string_or("tokenizer.ggml.pre", ""), common.where);
  std::vector<Merge> merges;
  const std::vector<std::string>& lines = common.file.get_strings("tokenizer.ggml.merges");
  merges.reserve(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    merges.push_back(
        parse_merge(lines[i], [&] { return fmt::format("{}: tokenizer.ggml.merges[{}]", common.where, i); }));
  }
  PipelineJson pipeline;
  pipeline.normalizer = words.normalizer;
  pipeline.pre_tokenizer = words.pre_tokenizer;
  pipeline.post_processor = common.around(words.add_bos, false);
  pipeline.decoder = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  BpeOptions options;
  options.ignore_merges = words.ignore_merges;
  return common.make(
      std::make_unique<Bpe>(vocabulary_of(common.tokens, common.where), merges, std::move(options), common.where),
      std::move(pipeline));
}

// llama and t5: what a SentencePiece model holds. The tokens that a text may name are added tokens here.
Tokenizer load_pieces(const Common& common, bool unigram) {
  const formats::GgufFile& file = common.file;
  SentencePieces pieces;
  pieces.tokens = common.tokens;
  pieces.scores = file.get_doubles("tokenizer.ggml.scores");
  if (pieces.scores.size() != pieces.tokens.size()) {
    fail(ErrorKind::kData, "{}: {} tokens, but {} scores (tokenizer.ggml.scores)", common.where, pieces.tokens.size(),
         pieces.scores.size());
  }
  if (!file.has("tokenizer.ggml.token_type")) {
    fail(ErrorKind::kData, "{}: tokenizer.ggml.token_type is missing", common.where);
  }
  for (const int64_t type : common.types) {
    // User-defined ones are added tokens already: no part of merges, and not cut out of words again.
    pieces.types.push_back(type == kUserDefined ? int{kUnused} : static_cast<int>(type));
    pieces.byte_fallback = pieces.byte_fallback || type == kByte;
  }
  pieces.unigram = unigram;
  pieces.unk_id = common.need("unknown");
  pieces.add_dummy_prefix = file.get_bool_or("tokenizer.ggml.add_space_prefix", true);
  pieces.remove_extra_whitespaces = file.get_bool_or("tokenizer.ggml.remove_extra_whitespaces", false);
  if (file.has("tokenizer.ggml.precompiled_charsmap")) {
    for (const int64_t byte : file.get_ints("tokenizer.ggml.precompiled_charsmap")) {
      pieces.charsmap += static_cast<char>(byte);
    }
  }
  PipelineJson pipeline = pieces_pipeline(pieces, PiecesReader::kSentencePiece, true);
  pipeline.post_processor = common.around(!unigram, unigram);
  return common.make(pieces_model(pieces, PiecesReader::kSentencePiece, common.where), std::move(pipeline));
}

// WordPiece with its marks turned round: a piece that begins a word has U+2581 before it, one inside a word nothing;
// names in brackets stand as they are.
Tokenizer load_bert(const Common& common) {
  const std::string mark = kWordMark;
  std::vector<std::string> tokens = common.tokens;
  bool upper = false;
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::string& token = tokens[i];
    const bool bracketed = token.size() > 1 && token.front() == '[' && token.back() == ']';
    if (common.types[i] != kNormal || bracketed) continue;
    token = token.compare(0, mark.size(), mark) == 0 ? token.substr(mark.size()) : "##" + token;
    upper = upper || std::any_of(token.begin(), token.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  }
  PipelineJson pipeline;
  // The file does not say whether text is made lower case. A vocabulary with capitals was made for text that keeps
  // them.
  pipeline.normalizer = {{"type", "BertNormalizer"},
                         {"clean_text", true},
                         {"handle_chinese_chars", true},
                         {"strip_accents", nullptr},
                         {"lowercase", !upper}};
  pipeline.pre_tokenizer = {{"type", "BertPreTokenizer"}};
  pipeline.decoder = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  pipeline.post_processor =
      template_step(common.named(common.need("cls", "bos")), common.named(common.need("seperator", "eos")));
  const std::string unk = tokens[static_cast<size_t>(common.need("unknown"))];
  auto model = std::make_unique<WordPieceModel>(vocabulary_of(tokens, common.where), unk, "##", 100, common.where);
  return common.make(std::move(model), std::move(pipeline));
}

}  // namespace

Tokenizer load_tokenizer(const formats::GgufFile& file, const std::string& where) {
  const std::string model = file.get_string("tokenizer.ggml.model");
  if (model != "gpt2" && model != "llama" && model != "t5" && model != "bert") {
    fail(ErrorKind::kUnsupported, "{}: tokenizer.ggml.model {} is not supported (gpt2, llama, t5 and bert are)", where,
         quote(model));
  }
  const Common common(file, where);
  if (model == "gpt2") return load_gpt2(common);
  if (model == "bert") return load_bert(common);
  return load_pieces(common, model == "t5");
}

}  // namespace merit::text
