// Unigram language model (Kudo 2018): of all ways to cut a word into tokens, the one with the largest sum of scores.
#pragma once

#include "merit/text/sentencepiece.h"
#include "merit/text/tokenizer_model.h"

namespace merit::text {

// A score as the reference reads its decimal text in a tokenizer.json: the digits as a double, divided by a power of
// ten; not the nearest double. Two cuts of a text whose scores are equal on paper are told apart by the last bit.
double score_as_read(double nearest);

class Unigram final : public TokenModel {
 public:
  // scores[i], a log probability, of tokens[i], whose id is i; unk is -1 for none.
  Unigram(std::vector<std::string> tokens, std::vector<double> scores, int64_t unk, bool byte_fallback,
          const std::string& where);
  // As SentencePiece itself cuts: only normal and user-defined pieces, these at a score of their own, the sums in
  // float32, and what is unknown stays unknown.
  Unigram(const SentencePieces& pieces, const std::string& where);
  // Error(kData) for an unknown character if there is no unk.
  void tokenize(std::string_view word, Forbidden forbidden, std::vector<TokenId>& ids,
                std::vector<uint32_t>* lengths) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::optional<TokenId> unk() const override { return unk_ < 0 ? std::nullopt : std::optional(unk_); }
  OrderedJson to_json() const override;

 private:
  struct Best {
    double score = 0;
    TokenId id = Vocabulary::kNone;
    uint32_t start = 0;
    bool reached = false;
  };
  void build_trie(const std::vector<std::string>& tokens, const std::vector<bool>& found, const std::string& where);
  void add_piece(std::string_view piece, TokenId id, std::vector<TokenId>& ids, std::vector<uint32_t>* lengths) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;  // as the file has them
  std::vector<double> gains_;   // of each token on a path
  TokenId unk_;
  bool own_rules_ = false;  // SentencePiece's
  bool byte_fallback_;
  double unk_score_ = 0;
  std::vector<TokenId> byte_ids_;  // [256] of <0xXX>, or kNone
  // Trie over the tokens' bytes: children by (node, byte) in a hash table.
  std::vector<std::pair<uint64_t, uint32_t>> edges_;
  std::vector<TokenId> ends_;  // by node
  uint32_t child(uint32_t node, unsigned char byte) const;
};

}  // namespace merit::text
