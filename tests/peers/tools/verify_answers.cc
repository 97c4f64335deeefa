// tool: DEPS verify
// Verdicts of answers: JSON lines {"reference", "response", "kind", "profile"} on standard input, a verdict a line out.
// With an argument N every item is checked N times, and the processor's seconds for all items once go to standard
// error.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/verify/answer.h"

namespace {

struct Item {
  std::string reference;
  std::string response;
  merit::verify::AnswerKind kind;
  merit::verify::VerifyOptions options;
};

}  // namespace

int main(int argc, char** argv) {
  using namespace merit;
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 1;
  std::vector<Item> items;
  for (std::string line; std::getline(std::cin, line);) {
    const Json row = parse_json(line, "standard input");
    Item item{row.at("reference"), row.at("response"), verify::AnswerKind::kMath, {}};
    if (row.contains("kind")) item.kind = *verify::parse_answer_kind(row["kind"].get<std::string>());
    if (row.contains("profile") && row["profile"] == "math-verify") item.options.profile = verify::Profile::kMathVerify;
    items.push_back(std::move(item));
  }
  std::vector<verify::Verdict> verdicts(items.size());
  const std::clock_t start = std::clock();
  for (int k = 0; k < repeats; ++k) {
    for (size_t i = 0; i < items.size(); ++i) {
      verdicts[i] = verify::verify_answer(items[i].response, items[i].reference, items[i].kind, items[i].options);
    }
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  if (argc > 1) std::fprintf(stderr, "%.9f\n", seconds / repeats);
  for (const verify::Verdict& v : verdicts) {
    std::cout << dump_json(Json{{"outcome", verify::name_of(v.outcome)},
                                {"cause", verify::name_of(v.cause)},
                                {"extracted", v.extracted},
                                {"rule", v.rule},
                                {"reason", v.reason}})
              << "\n";
  }
}
