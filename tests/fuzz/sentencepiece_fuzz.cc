// fuzz: DEPS core text
// Any bytes as a SentencePiece model are refused with a typed error or give a tokenizer that encodes and decodes, and
// whose tokenizer.json is read again.
#include <cstdint>
#include <string_view>

#include "merit/core/error.h"
#include "merit/text/tokenizer_pieces.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merit::text;
  try {
    const SentencePieces pieces = parse_sentencepiece({reinterpret_cast<const char*>(data), size}, "fuzz");
    const auto reader = size / 2 % 2 == 0 ? PiecesReader::kSentencePiece : PiecesReader::kTransformers;
    const Tokenizer tokenizer(std::make_shared<TokenizerImpl>(pieces_model(pieces, reader, "fuzz"),
                                                              std::vector<AddedToken>{},
                                                              pieces_pipeline(pieces, reader, size % 2 == 0), "fuzz"));
    tokenizer.decode(tokenizer.encode("abc  <s>ab 12 \xc3\xa9\xf0\x9f\xa6\x8a \n"));
    merges_by_id(pieces.tokens, "fuzz");
    parse_tokenizer_json(merit::dump_json(tokenizer.to_tokenizer_json()), nullptr, "again");
  } catch (const merit::Error&) {
  }
  return 0;
}
