// fuzz: DEPS core
// Any text is parsed or refused with a typed error; what is parsed prints as text that parses to the same value.
#include <cstdint>
#include <cstdlib>

#include "merit/core/error.h"
#include "merit/core/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const merit::Json value = merit::parse_json(text, "fuzz");
    if (merit::parse_json(merit::dump_json(value), "fuzz") != value) std::abort();
    const merit::OrderedJson ordered = merit::parse_ordered_json(text, "fuzz");
    if (merit::parse_ordered_json(merit::dump_json(ordered), "fuzz") != ordered) std::abort();
  } catch (const merit::Error&) {
  }
  return 0;
}
