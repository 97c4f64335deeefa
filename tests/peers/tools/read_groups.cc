// tool: DEPS data
// Prints each group of a file as one JSON line, for the comparison with TRL: read_groups FILE
#include <cstdio>

#include "merit/data/reader.h"

int main(int argc, char** argv) {
  using namespace merit;
  if (argc != 2) return 2;
  try {
    data::Reader reader(argv[1]);
    while (std::optional<Result<data::Group>> next = reader.next()) {
      OrderedJson line;
      if (!next->ok()) {
        line["error"] = next->error().what();
      } else {
        const data::Group& group = next->value();
        line["layout"] = data::name_of(group.layout);
        line["prompt"] = to_json(*group.prompt);
        for (const data::Candidate& candidate : group.candidates) {
          line["contents"].push_back(to_json(candidate.content));
          line["labels"].push_back(candidate.label ? OrderedJson(*candidate.label) : OrderedJson());
        }
        line["columns"] = group.columns;
      }
      std::puts(dump_json(line).c_str());
    }
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
