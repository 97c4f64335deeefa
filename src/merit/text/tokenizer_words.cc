#include "merit/text/tokenizer_words.h"

#include <algorithm>

#include "merit/core/error.h"
#include "merit/text/unicode.h"

namespace merit::text {

WordPieceModel::WordPieceModel(Vocabulary vocabulary, std::string unk, std::string prefix, int64_t longest,
                               const std::string& where)
    : vocabulary_(std::move(vocabulary)), unk_token_(std::move(unk)), prefix_(std::move(prefix)), longest_(longest) {
  unk_ = vocabulary_.find(unk_token_);
  if (unk_ < 0) fail(ErrorKind::kData, "{}: unk_token {} is not in the vocabulary", where, quote(unk_token_));
  for (size_t id = 0; id < vocabulary_.ids(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (vocabulary_.has(token)) longest_token_ = std::max(longest_token_, vocabulary_.token(token).size());
  }
  // The work on a word is its length times the longest token's.
  if (longest_ < 0 || longest_ > 4096) {
    fail(ErrorKind::kLimit, "{}: max_input_chars_per_word is {}; expected 0 to 4096", where, longest_);
  }
}

void WordPieceModel::tokenize(std::string_view word, Forbidden forbidden, std::vector<TokenId>& ids,
                              std::vector<uint32_t>* lengths) const {
  const size_t first = ids.size();
  const auto unknown = [&] {
    ids.resize(first);
    ids.push_back(unk_);
    if (!lengths) return;
    lengths->clear();
    lengths->push_back(static_cast<uint32_t>(word.size()));
  };
  const auto characters =
      std::count_if(word.begin(), word.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  if (characters > longest_) return unknown();
  std::string piece;
  for (size_t begin = 0; begin < word.size();) {
    TokenId found = Vocabulary::kNone;
    size_t end = std::min(word.size(), begin + longest_token_);
    while (end < word.size() && end > begin && (static_cast<unsigned char>(word[end]) & 0xc0) == 0x80) --end;
    for (; end > begin; end = previous_boundary(word, end)) {
      piece.assign(begin > 0 ? prefix_ : "").append(word, begin, end - begin);
      found = vocabulary_.find(piece);
      if (found >= 0 && !forbidden(found)) break;
      found = Vocabulary::kNone;
    }
    if (found < 0) return unknown();
    ids.push_back(found);
    if (lengths) lengths->push_back(static_cast<uint32_t>(end - begin));
    begin = end;
  }
}

OrderedJson WordPieceModel::to_json() const {
  OrderedJson json;
  json["type"] = "WordPiece";
  json["unk_token"] = unk_token_;
  json["continuing_subword_prefix"] = prefix_;
  json["max_input_chars_per_word"] = longest_;
  json["vocab"] = vocabulary_json(vocabulary_);
  return json;
}

WordLevelModel::WordLevelModel(Vocabulary vocabulary, std::string unk)
    : vocabulary_(std::move(vocabulary)), unk_token_(std::move(unk)), unk_(vocabulary_.find(unk_token_)) {}

void WordLevelModel::tokenize(std::string_view word, Forbidden forbidden, std::vector<TokenId>& ids,
                              std::vector<uint32_t>* lengths) const {
  TokenId id = vocabulary_.find(word);
  if (id < 0 || forbidden(id)) id = unk_;
  if (id < 0) {
    fail(ErrorKind::kData, "tokenizer: word {} is not in the vocabulary, which has no unk_token", quote(word));
  }
  ids.push_back(id);
  if (lengths) lengths->push_back(static_cast<uint32_t>(word.size()));
}

OrderedJson WordLevelModel::to_json() const {
  OrderedJson json;
  json["type"] = "WordLevel";
  json["vocab"] = vocabulary_json(vocabulary_);
  json["unk_token"] = unk_token_;
  return json;
}

}  // namespace merit::text
