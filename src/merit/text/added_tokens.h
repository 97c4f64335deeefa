// Added tokens: texts that are tokens by themselves and are cut out before the rest is normalized and split. Among
// those that begin at one place the longest counts, and the leftmost place comes first. Immutable; thread-safe.
#pragma once

#include <span>
#include <vector>

#include "merit/text/normalizer.h"
#include "merit/text/tokenizer.h"
#include "merit/text/tokenizer_buffer.h"

namespace merit::text {

// A part of a text: an added token (id), or text still to be tokenized (kNone).
struct Cut {
  static constexpr TokenId kNone = -1;
  TokenId id;
  size_t begin, end;
};

class AddedTokens {
 public:
  // The longest text an added token may have.
  static constexpr size_t kMaxLength = 4096;

  // Of `tokens` those whose `normalized` is as given, as the normalizer (may be nullptr) spells them.
  AddedTokens(const std::vector<AddedToken>& tokens, bool normalized, const Normalizer* normalizer,
              const std::string& where);

  bool empty() const { return tokens_.empty(); }
  // Cuts the text; `plain` are ranges of the original in which only tokens of white space that are not special count.
  void cut(View view, std::span<const ByteRange> plain, Budget& budget, std::vector<Cut>& out) const;

 private:
  struct Token {
    TokenId id;
    bool single_word, lstrip, rstrip;
    bool everywhere;  // in plain ranges too
  };
  struct Node {
    uint32_t first_edge = 0;
    uint32_t edges = 0;
    int32_t token = -1;
  };
  struct Edge {
    unsigned char byte;
    uint32_t node;
  };

  void build(std::vector<std::pair<std::string, int32_t>> patterns);
  int32_t longest_at(View view, size_t begin, std::span<const ByteRange> plain, Budget& budget, size_t& end) const;

  std::vector<Token> tokens_;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::vector<uint32_t> roots_;  // [256] the node behind a first byte, 0 for none
};

}  // namespace merit::text
