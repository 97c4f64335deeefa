// tool: DEPS text
// Renders chat templates: JSON lines in, one line out for each. In: {"template": source} compiles the template for
// the lines after it; {"inputs": {...}, "date": "YYYY-MM-DD"} renders. Out: {"text", "content", "generation"} with
// ranges in bytes, or {"error", "kind"}.
#include <iostream>
#include <optional>

#include "merit/core/error.h"
#include "merit/core/json.h"
#include "merit/text/template.h"

namespace {

merit::OrderedJson to_json(const std::vector<merit::text::ByteRange>& ranges) {
  merit::OrderedJson out = merit::OrderedJson::array();
  for (const merit::text::ByteRange& range : ranges) out.push_back({range.begin, range.end});
  return out;
}

}  // namespace

int main() {
  std::optional<merit::text::ChatTemplate> compiled;
  std::string line;
  while (std::getline(std::cin, line)) {
    merit::OrderedJson reply;
    try {
      const merit::OrderedJson request = merit::parse_ordered_json(line, "stdin");
      if (request.contains("template")) {
        compiled.reset();
        compiled = merit::text::ChatTemplate::compile(request.at("template").get<std::string>(), "template");
        reply["compiled"] = true;
      } else if (!compiled) {
        reply = {{"error", "no template"}, {"kind", -1}};
      } else {
        const merit::text::Rendered rendered =
            compiled->render(request.at("inputs"), merit::text::fixed_clock(request.value("date", "2024-07-26")));
        reply = {{"text", rendered.text},
                 {"content", to_json(rendered.content)},
                 {"generation", to_json(rendered.generation)}};
      }
    } catch (const merit::Error& e) {
      reply = {{"error", e.what()}, {"kind", static_cast<int>(e.kind())}};
    }
    std::cout << merit::dump_json(reply) << "\n" << std::flush;
  }
}
