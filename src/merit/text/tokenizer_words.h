// The models that look words up: WordPiece (Schuster and Nakajima 2012; longest piece first) and WordLevel.
#pragma once

#include "merit/text/tokenizer_model.h"

namespace merit::text {

class WordPieceModel final : public TokenModel {
 public:
  // Error(kData) if unk is not in the vocabulary.
  WordPieceModel(Vocabulary vocabulary, std::string unk, std::string prefix, int64_t longest, const std::string& where);
  void tokenize(std::string_view word, Forbidden forbidden, std::vector<TokenId>& ids,
                std::vector<uint32_t>* lengths) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::optional<TokenId> unk() const override { return unk_; }
  OrderedJson to_json() const override;

 private:
  Vocabulary vocabulary_;
  std::string unk_token_, prefix_;
  int64_t longest_;           // characters; a longer word is unknown
  size_t longest_token_ = 0;  // bytes
  TokenId unk_;
};

class WordLevelModel final : public TokenModel {
 public:
  WordLevelModel(Vocabulary vocabulary, std::string unk);
  // Error(kData) for an unknown word if the vocabulary has no unk.
  void tokenize(std::string_view word, Forbidden forbidden, std::vector<TokenId>& ids,
                std::vector<uint32_t>* lengths) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::optional<TokenId> unk() const override { return unk_ < 0 ? std::nullopt : std::optional(unk_); }
  OrderedJson to_json() const override;

 private:
  Vocabulary vocabulary_;
  std::string unk_token_;
  TokenId unk_;
};

}  // namespace merit::text
