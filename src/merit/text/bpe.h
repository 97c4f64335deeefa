// Byte-pair encoding (Sennrich et al. 2016): a word's characters, joined pair by pair in the order of the merges, the
// leftmost pair first among equals.
#pragma once

#include <atomic>
#include <functional>

#include "merit/text/tokenizer_model.h"

namespace merit::text {

struct BpeOptions {
  std::string unk_token;                  // "" for none
  std::string continuing_subword_prefix;  // before all characters of a word but the first
  std::string end_of_word_suffix;         // behind the last
  bool fuse_unk = false;                  // unknown characters in a row are one token
  bool byte_fallback = false;             // unknown characters become tokens <0xXX>
  bool ignore_merges = false;             // a word that is a token is that token
};

struct Merge {
  std::string left, right;
};

// "left right". Error(kData) naming where() for anything else; there are too many merges to name each in advance.
Merge parse_merge(std::string_view text, const std::function<std::string()>& where);

class Bpe final : public TokenModel {
 public:
  // Error(kData) for a merge whose sides or result are not in the vocabulary.
  Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options, const std::string& where);

  void tokenize(std::string_view word, Forbidden forbidden, std::vector<TokenId>& ids,
                std::vector<uint32_t>* lengths) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::optional<TokenId> unk() const override;
  OrderedJson to_json() const override;
  bool can_take_raw_bytes() const override;
  void take_raw_bytes() override;

 private:
  struct Symbols;
  struct Joined {
    uint32_t rank;
    TokenId id;
  };
  struct Entry {
    uint64_t pair;
    Joined joined;
  };
  static constexpr uint32_t kNoRank = 0xffffffff;

  Joined find_merge(TokenId left, TokenId right) const;
  TokenId find_word(std::string_view word) const;
  bool is_whole(TokenId id, std::string_view word) const;
  void split(std::string_view word, Symbols& symbols) const;
  void split_bytes(std::string_view word, Symbols& symbols) const;
  void merge_short(Symbols& symbols, Forbidden forbidden) const;
  void merge_long(Symbols& symbols, Forbidden forbidden) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  TokenId unk_ = Vocabulary::kNone;
  std::vector<std::pair<TokenId, TokenId>> merges_;  // by rank
  std::vector<Entry> table_;                         // open addressing over merges
  uint64_t seed_ = 0;
  bool raw_bytes_ = false;
  std::vector<TokenId> byte_ids_;               // [256]
  std::unique_ptr<Vocabulary> raw_vocabulary_;  // tokens as raw bytes
  // By id: whether merging the token's own characters gives the token. 0 not asked yet, 1 yes, 2 no.
  mutable std::vector<std::atomic<uint8_t>> whole_;
};

}  // namespace merit::text
