// fuzz: DEPS core formats text
// Any bytes as a GGUF file give a tokenizer or a typed error; a tokenizer encodes and decodes.
#include <cstdint>
#include <string_view>

#include "merit/core/error.h"
#include "merit/formats/gguf.h"
#include "merit/text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const merit::formats::GgufFile file({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
    const merit::text::Tokenizer tokenizer = merit::text::load_tokenizer(file, "fuzz");
    tokenizer.decode(tokenizer.encode("ab <s>ab 12 \xc3\xa9 \n"));
    tokenizer.to_tokenizer_json();
  } catch (const merit::Error&) {
  }
  return 0;
}
