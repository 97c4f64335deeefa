#include "merit/text/tokenizer_pieces.h"

#include <algorithm>
#include <numeric>

#include "merit/core/error.h"
#include "merit/text/tokenizer_unigram.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

void check_work(const std::vector<std::string>& tokens, const std::string& where) {
  uint64_t work = 0;
  for (const std::string& token : tokens) work += uint64_t{token.size()} * token.size();
  if (work > 1'000'000'000) fail(ErrorKind::kLimit, "{}: the pieces are too long to be cut in every way", where);
}

// The merges that make tokens[id], by where it is cut, of pieces that `part` takes.
template <typename Part>
void cut(const std::vector<std::string>& tokens, size_t id, const Vocabulary& vocabulary, Part part,
         std::vector<Merge>& out) {
  const std::string& token = tokens[id];
  for (size_t i = code_point_at(token, 0).length; i < token.size(); i += code_point_at(token, i).length) {
    const std::string_view left = std::string_view(token).substr(0, i), right = std::string_view(token).substr(i);
    const TokenId a = vocabulary.find(left), b = vocabulary.find(right);
    if (a >= 0 && b >= 0 && part(a) && part(b)) out.push_back({std::string(left), std::string(right)});
  }
}

std::string to_base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k) {
      three = three << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? kDigits[three >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

// User-defined pieces as one pattern, the longest first.
std::string user_pattern(const SentencePieces& pieces) {
  std::vector<std::string> defined;
  for (size_t i = 0; i < pieces.tokens.size(); ++i) {
    if (pieces.types[i] == SentencePieces::kUserDefined) defined.push_back(pieces.tokens[i]);
  }
  const auto characters = [](const std::string& s) {
    return std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  };
  std::stable_sort(defined.begin(), defined.end(),
                   [&](const std::string& a, const std::string& b) { return characters(a) > characters(b); });
  std::string pattern;
  for (const std::string& piece : defined) {
    if (!pattern.empty()) pattern += '|';
    for (const char c : piece) {
      if (std::string_view("()[]{}?*+-|^$\\.&~# \t\n\r\v\f").find(c) != std::string_view::npos) pattern += '\\';
      pattern += c;
    }
  }
  return pattern;
}

}  // namespace

Json replace_step(const char* kind, const std::string& pattern, const std::string& content) {
  return {{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
}

Json metaspace_step(const char* scheme, bool split) {
  return {{"type", "Metaspace"}, {"replacement", kWordMark}, {"prepend_scheme", scheme}, {"split", split}};
}

Json sequence_step(const char* member, std::vector<Json> steps) {
  return {{"type", "Sequence"}, {member, std::move(steps)}};
}

Json precompiled_step(const std::string& charsmap, const std::string* kept) {
  Json step = {{"type", "Precompiled"}, {"precompiled_charsmap", to_base64(charsmap)}};
  if (kept) step["longest_match"] = true;
  if (kept && !kept->empty()) step["kept"] = *kept;
  return step;
}

Json template_step(const std::vector<std::pair<std::string, TokenId>>& before,
                   const std::vector<std::pair<std::string, TokenId>>& after) {
  if (before.empty() && after.empty()) return nullptr;
  Json single = Json::array(), pair = Json::array(), specials = Json::object();
  const auto add = [&](const std::vector<std::pair<std::string, TokenId>>& tokens) {
    for (const auto& [token, id] : tokens) {
      specials[token] = {{"id", token}, {"ids", {id}}, {"tokens", {token}}};
      single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
      pair.push_back(single.back());
    }
  };
  add(before);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  pair.push_back(single.back());
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  add(after);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", specials}};
}

Vocabulary vocabulary_of(const std::vector<std::string>& tokens, const std::string& where) {
  std::vector<TokenId> ids(tokens.size());
  std::iota(ids.begin(), ids.end(), 0);
  return Vocabulary(tokens, ids, where);
}

std::vector<Merge> merges_by_score(const SentencePieces& pieces, const std::string& where) {
  check_work(pieces.tokens, where);
  const Vocabulary vocabulary = vocabulary_of(pieces.tokens, where);
  const auto normal = [&](TokenId id) { return pieces.types[static_cast<size_t>(id)] == SentencePieces::kNormal; };
  std::vector<size_t> order(pieces.tokens.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return pieces.scores[a] > pieces.scores[b]; });
  std::vector<Merge> merges;
  for (const size_t id : order) {
    if (normal(static_cast<TokenId>(id))) cut(pieces.tokens, id, vocabulary, normal, merges);
  }
  return merges;
}

std::vector<Merge> merges_by_id(const std::vector<std::string>& tokens, const std::string& where) {
  check_work(tokens, where);
  const Vocabulary vocabulary = vocabulary_of(tokens, where);
  std::vector<Merge> merges;
  for (size_t id = 0; id < tokens.size(); ++id)
    cut(
        tokens, id, vocabulary, [](TokenId) { return true; }, merges);
  return merges;
}

PipelineJson pieces_pipeline(const SentencePieces& pieces, PiecesReader reader, bool every_text) {
  const bool prefix = pieces.add_dummy_prefix, own = reader == PiecesReader::kSentencePiece;
  const std::string user = user_pattern(pieces);
  std::vector<Json> normal, before, decoded;
  if (!pieces.charsmap.empty()) normal.push_back(precompiled_step(pieces.charsmap, own ? &user : nullptr));
  if (pieces.remove_extra_whitespaces) {
    normal.push_back(replace_step("Regex", own ? "\\A +" : "\\A +| +\\z", ""));
    normal.push_back(replace_step("Regex", " {2,}", " "));
  }
  normal.push_back(replace_step("String", " ", kWordMark));
  // SentencePiece takes its own mark from the end too.
  if (pieces.remove_extra_whitespaces && own) {
    normal.push_back(replace_step("Regex", std::string("(?:") + kWordMark + ")+\\z", ""));
  }
  // The Metaspace step sets no mark before one; SentencePiece does.
  if (prefix && every_text) normal.push_back(replace_step("Regex", std::string("\\A") + kWordMark, "\u2581\u2581"));
  if (prefix) before.push_back(metaspace_step(every_text ? "always" : "first", false));
  // The unigram model finds user-defined pieces by itself.
  if (!user.empty() && !(own && pieces.unigram)) {
    before.push_back({{"type", "Split"}, {"pattern", {{"Regex", user}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  decoded.push_back(replace_step("String", kWordMark, " "));
  if (pieces.byte_fallback) decoded.push_back({{"type", "ByteFallback"}});
  if (prefix || pieces.byte_fallback) decoded.push_back({{"type", "Fuse"}});
  if (prefix) decoded.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  PipelineJson pipeline;
  pipeline.normalizer = sequence_step("normalizers", std::move(normal));
  if (!before.empty()) pipeline.pre_tokenizer = sequence_step("pretokenizers", std::move(before));
  pipeline.decoder = sequence_step("decoders", std::move(decoded));
  return pipeline;
}

std::unique_ptr<TokenModel> pieces_model(const SentencePieces& pieces, PiecesReader reader, const std::string& where) {
  if (pieces.unigram && reader == PiecesReader::kSentencePiece) return std::make_unique<Unigram>(pieces, where);
  if (pieces.unigram) {
    return std::make_unique<Unigram>(pieces.tokens, pieces.scores, pieces.unk_id, pieces.byte_fallback, where);
  }
  BpeOptions options;
  options.unk_token = pieces.tokens[static_cast<size_t>(pieces.unk_id)];
  options.fuse_unk = true;
  options.byte_fallback = pieces.byte_fallback;
  // A user-defined piece is cut out as a word, and is that piece.
  options.ignore_merges =
      std::find(pieces.types.begin(), pieces.types.end(), SentencePieces::kUserDefined) != pieces.types.end();
  return std::make_unique<Bpe>(vocabulary_of(pieces.tokens, where), merges_by_score(pieces, where), std::move(options),
                               where);
}

}  // namespace merit::text
