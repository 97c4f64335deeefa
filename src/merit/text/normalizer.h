// Normalizers of tokenizer.json: how a text is changed before it is cut. Types: NFC, NFD, NFKC, NFKD, Lowercase, Strip,
// StripAccents, Prepend, Replace, Nmt, BertNormalizer, ByteLevel, Precompiled (a SentencePiece character map),
// Sequence. Immutable and thread-safe.
#pragma once

#include <memory>

#include "merit/core/json.h"
#include "merit/text/tokenizer_buffer.h"

namespace merit::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Writes the normalized text, or returns false if it is the text as it stands.
  virtual bool apply(View in, AlignedText& out, Budget& budget) const = 0;
};

// From the "normalizer" member; null gives nullptr. Error(kUnsupported) for an unknown type or member.
std::unique_ptr<const Normalizer> make_normalizer(const Json& json, const std::string& where);

// The byte-level alphabet (GPT-2): a printable character for every byte.
const std::string& byte_level_char(unsigned char byte);
// The byte that character c stands for, or -1.
int byte_level_byte(char32_t c);

}  // namespace merit::text
