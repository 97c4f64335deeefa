// The "Precompiled" normalizer: SentencePiece's character map, a double-array trie of UTF-8 keys with the texts that
// stand for them. `tokenizers` applies it to grapheme clusters of up to 5 bytes as a whole, else to each character, and
// takes the shortest key that begins there; SentencePiece itself takes the longest key at each place.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "merit/text/normalizer.h"
#include "merit/text/tokenizer_regex.h"

namespace merit::text {

// How the map is applied: as SentencePiece does if `longest_match`; then what `kept` matches stays as it is.
struct PrecompiledOptions {
  bool longest_match = false;
  std::optional<Regex> kept;
};

// From base64. Error(kData) if it is no such map.
std::unique_ptr<const Normalizer> make_precompiled(const std::string& base64, PrecompiledOptions options,
                                                   const std::string& where);

}  // namespace merit::text
