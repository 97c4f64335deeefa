// SentencePiece models: the pieces, their scores and kinds, and how text is prepared, as the ModelProto message of
// google/sentencepiece (sentencepiece_model.proto) holds them. Parsed here by field number and bounded; members that
// change ids and that merit does not do are refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace merit::text {

struct SentencePieces {
  enum Type { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

  std::vector<std::string> tokens;  // by id
  std::vector<double> scores;       // of each token
  std::vector<int> types;           // of each token
  bool unigram = false;             // else byte-pair encoding
  bool byte_fallback = false;
  int64_t unk_id = 0, bos_id = 1, eos_id = 2;  // below 0: none
  std::string unk_piece = "<unk>", bos_piece = "<s>", eos_piece = "</s>";
  std::string charsmap;  // the precompiled character map, as its bytes; "" for none
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
};

// Error(kData) naming `where` for bytes that are no such message, a piece that is no UTF-8 or too long, or no pieces;
// Error(kUnsupported) for word and character models, white space as a suffix or unescaped, and changes on decoding.
SentencePieces parse_sentencepiece(std::string_view bytes, const std::string& where);

}  // namespace merit::text
