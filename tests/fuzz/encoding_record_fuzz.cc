// fuzz: DEPS text
// Any bytes as an encoding record: a record that writes and reads back as itself, or a typed error.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "merit/core/error.h"
#include "merit/text/encoding_record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using merit::text::EncodingRecord;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const EncodingRecord record = EncodingRecord::from_json(merit::parse_json(text, "fuzz"), "fuzz");
    const std::string written = record.to_json().dump();
    const EncodingRecord back = EncodingRecord::from_json(merit::parse_json(written, "fuzz"), "fuzz");
    if (difference(record, back) || back.to_json().dump() != written) std::abort();
  } catch (const merit::Error&) {
  }
  return 0;
}
