// fuzz: DEPS core text
// Any bytes as a tokenizer.json are loaded or refused with a typed error; a loaded one encodes and decodes texts with
// and without the safe mode, its ranges lie in the text, and what it writes it reads again.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "merit/core/error.h"
#include "merit/text/tokenizer.h"

namespace {

using namespace merit;
using namespace merit::text;

constexpr std::string_view kTexts[] = {"ab <s>ab 12 \xc3\xa9\xe4\xb8\xad\xf0\x9f\xa6\x8a  \n", "\xff<s>\xe2\x82"};

void use(const Tokenizer& tokenizer) {
  for (const std::string_view text : kTexts) {
    const std::vector<ByteRange> plain = {{1, 5}};
    for (const bool safe : {false, true}) {
      EncodeOptions options;
      if (safe) options.plain = plain;
      const Tokenized tokenized = tokenizer.encode_with_offsets(text, options);
      if (tokenized.ids.size() != tokenized.ranges.size()) std::abort();
      for (const ByteRange& range : tokenized.ranges) {
        if (range.begin > range.end || range.end > text.size()) std::abort();
      }
      tokenizer.decode(tokenized.ids, safe);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const Tokenizer tokenizer = parse_tokenizer_json({reinterpret_cast<const char*>(data), size}, nullptr, "fuzz");
    use(tokenizer);
    parse_tokenizer_json(dump_json(tokenizer.to_tokenizer_json()), nullptr, "again");
  } catch (const Error&) {
  }
  return 0;
}
