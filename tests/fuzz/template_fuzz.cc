// fuzz: DEPS text
// Any bytes as a template, rendered with a conversation: text, or a typed error, within the bounds.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "merit/core/error.h"
#include "merit/core/strings.h"
#include "merit/text/template.h"

namespace {

const merit::OrderedJson& inputs() {
  static const merit::OrderedJson kInputs = merit::parse_ordered_json(
      R"({"messages": [{"role": "system", "content": "s\n"}, {"role": "user", "content": "größe <b> 🦊"},
          {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5, "y": [null, true]}}}]}],
          "tools": [{"type": "function", "function": {"name": "f"}}], "documents": null, "add_generation_prompt": true,
          "bos_token": "<s>", "n": 3})",
      "inputs");
  return kInputs;
}

void check(const std::vector<merit::text::ByteRange>& ranges, size_t size) {
  size_t last = 0;
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].begin >= ranges[i].end || ranges[i].end > size || (i > 0 && ranges[i].begin <= last)) std::abort();
    last = ranges[i].end;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string source(reinterpret_cast<const char*>(data), size);
    const auto compiled = merit::text::ChatTemplate::compile(source, "fuzz");
    const merit::text::Rendered rendered = compiled.render(inputs(), merit::text::fixed_clock("2024-07-26"));
    if (!merit::is_utf8(rendered.text)) std::abort();
    check(rendered.content, rendered.text.size());
    check(rendered.assistant, rendered.text.size());
    check(rendered.generation, rendered.text.size());
  } catch (const merit::Error&) {
  }
  return 0;
}
