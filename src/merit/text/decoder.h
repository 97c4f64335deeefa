// Decoders of tokenizer.json: how the tokens of a text become the text. Types: ByteLevel, Metaspace, WordPiece,
// BPEDecoder, Replace, Fuse, Strip, ByteFallback, CTC, Sequence. Immutable and thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "merit/core/json.h"

namespace merit::text {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Changes the pieces of text; what they are joined to is the decoded text.
  virtual void apply(std::vector<std::string>& pieces) const = 0;
};

// From the "decoder" member; null gives nullptr. Error(kUnsupported) for an unknown type or member.
std::unique_ptr<const Decoder> make_decoder(const Json& json, const std::string& where);

}  // namespace merit::text
