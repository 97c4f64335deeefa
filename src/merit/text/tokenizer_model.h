// Models of tokenizer.json: how one word becomes tokens. BPE, WordPiece, WordLevel, Unigram. Immutable; thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "merit/core/json.h"
#include "merit/text/tokenizer.h"
#include "merit/text/tokenizer_buffer.h"

namespace merit::text {

// Tokens by id and ids by token.
class Vocabulary {
 public:
  static constexpr TokenId kNone = -1;
  // No id is over this: more would be a hostile file.
  static constexpr TokenId kMaxId = (1 << 22) - 1;

  // tokens[i] with ids[i]. Error(kData) naming `where` for an id below 0, too large or given twice.
  Vocabulary(std::vector<std::string> tokens, const std::vector<TokenId>& ids, const std::string& where);

  TokenId find(std::string_view token) const;
  bool has(TokenId id) const {
    return id >= 0 && static_cast<size_t>(id) < known_.size() && known_[static_cast<size_t>(id)];
  }
  // Only if has(id).
  const std::string& token(TokenId id) const { return tokens_[static_cast<size_t>(id)]; }
  size_t size() const { return count_; }         // tokens
  size_t ids() const { return tokens_.size(); }  // one more than the largest id

 private:
  std::vector<std::string> tokens_;  // [ids]
  std::vector<bool> known_;          // [ids]
  struct Place {
    TokenId id = kNone;  // kNone: free
    uint32_t tag = 0;    // of the token's hash, so that another token is seldom looked at
  };
  std::vector<Place> table_;  // open addressing
  size_t mask_ = 0;
  uint64_t seed_ = 0;
  size_t count_ = 0;
};

// Ids that must not come out of a model, as text must not become a control token.
struct Forbidden {
  const std::vector<bool>* controls = nullptr;  // by id; nullptr: none
  bool operator()(TokenId id) const {
    return controls && static_cast<size_t>(id) < controls->size() && (*controls)[static_cast<size_t>(id)];
  }
};

// The object of tokens and ids. Inserts at the end without a search for each name, as ordered_json would make.
OrderedJson vocabulary_json(const Vocabulary& vocabulary);

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the ids of a word (not empty), and to `lengths`, if given, the bytes of the word that each covers.
  virtual void tokenize(std::string_view word, Forbidden forbidden, std::vector<TokenId>& ids,
                        std::vector<uint32_t>* lengths) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
  virtual std::optional<TokenId> unk() const { return std::nullopt; }
  // The "model" member that gives this model again.
  virtual OrderedJson to_json() const = 0;
  // Whether words may come as raw bytes where the vocabulary spells them in the byte-level alphabet; take_raw_bytes,
  // before the first tokenize, makes it so.
  virtual bool can_take_raw_bytes() const { return false; }
  virtual void take_raw_bytes() {}
};

// From the "model" member. Error(kUnsupported) for an unknown type or member, Error(kData) for what is inconsistent.
std::unique_ptr<TokenModel> make_model(const Json& json, const std::string& where);

}  // namespace merit::text
