// The "Precompiled" normalizer: SentencePiece's character map, a double-array trie of UTF-8 keys with the texts that
// stand for them. Applied to grapheme clusters of up to 5 bytes as a whole, else to each character.
#pragma once

#include <memory>
#include <string>

#include "merit/text/normalizer.h"

namespace merit::text {

// From base64. Error(kData) if it is no such map.
std::unique_ptr<const Normalizer> make_precompiled(const std::string& base64, const std::string& where);

}  // namespace merit::text
