// tool: DEPS report
// A selection report over made-up problems, for tests that look at the page in a browser.
// Usage: report_sample OUT.html [plain|gain|hostile]
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/rng.h"
#include "merit/report/selection_report.h"
#include "merit/search/selection.h"

namespace {

using merit::search::SelectionCandidate;
using merit::search::SelectionGroup;

const char* const kHostile =
    "</script></style><script>document.title='forged'</script><img src=x onerror=\"document.title='forged'\">"
    "\x01\x7f\x80\xff \u202Ereversed\u202C \u05E9\u05DC\u05D5\u05DD &amp; \"quotes\" 'more' ]]> --> \U0001F98A";

SelectionGroup made_up(uint64_t index, double strength, bool hostile) {
  static const char* const kFamilies[] = {"arithmetic", "dates", "sequences", "sorting", "units"};
  merit::Rng rng(17, index);
  SelectionGroup group;
  group.slice = hostile && index % 7 == 0 ? kHostile : kFamilies[index % 5];
  group.id = group.slice.substr(0, 12) + "-" + std::to_string(index);
  int64_t a = rng.between(11, 99), b = rng.between(11, 99);
  group.prompt = "A shop sells " + std::to_string(a) + " lamps on Monday and " + std::to_string(b) +
                 " lamps on Tuesday. How many lamps does it sell in the two days together? End with the number.";
  group.reference = std::to_string(a + b);
  double ease = rng.uniform();
  for (int c = 0; c < 8; ++c) {
    bool right = rng.uniform() < 0.15 + 0.55 * ease * ease;
    int64_t answer = right ? a + b : a + b + rng.between(1, 3) * (rng.below(2) ? 10 : -1);
    SelectionCandidate candidate;
    candidate.right = right;
    candidate.key = rng.below(20) == 0 && !right ? "" : std::to_string(answer);
    candidate.score = rng.below(60) == 0 ? NAN : rng.normal() + (right ? strength : 0) - 0.5;
    candidate.text = "On Monday " + std::to_string(a) + ", on Tuesday " + std::to_string(b) + ".\n" +
                     std::to_string(a) + " + " + std::to_string(b) + " = " + std::to_string(answer) +
                     "\nThe answer is " + candidate.key + ".";
    if (hostile) candidate.text = kHostile + candidate.text;
    if (hostile && index == 3) candidate.text.append(200000, 'x');
    group.candidates.push_back(std::move(candidate));
  }
  return group;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: report_sample OUT.html [plain|gain|hostile]\n", stderr);
    return 2;
  }
  std::string kind = argc > 2 ? argv[2] : "plain";
  bool hostile = kind == "hostile";
  try {
    std::vector<SelectionGroup> groups;
    for (uint64_t i = 0; i < 160; ++i) groups.push_back(made_up(i, kind == "gain" ? 1.1 : 0.12, hostile));
    merit::search::SelectionSummary summary = merit::search::summarise(groups, {.seed = 1});
    merit::report::SelectionEvidence evidence;
    evidence.scorer = hostile ? kHostile : "R";
    evidence.model = "SmolLM2-135M-Instruct";
    evidence.data = "made-up sums";
    evidence.data_hash = "0123456789abcdef0123456789abcdef";
    evidence.version = "0.1.0";
    evidence.seed = 1;
    evidence.read = 164;
    evidence.dropped = {{"reference is not a number", 4}};
    evidence.facts = {{"temperature", "0.8"}, {"command", "merit select --n 8"}};
    evidence.scale = kind == "gain" ? merit::report::ScoreScale::kLogOdds : merit::report::ScoreScale::kUnitless;
    merit::write_file_atomic(argv[1], merit::report::selection_report(groups, summary, evidence));
    std::fputs(merit::report::accuracy_table(summary).render().c_str(), stdout);
    std::fputs(merit::report::slice_table(summary).render({.max_width = 120}).c_str(), stdout);
    std::puts(merit::report::verdict_sentence(summary, evidence.scorer).c_str());
  } catch (const merit::Error& error) {
    std::fprintf(stderr, "report_sample: %s\n", error.what());
    return 1;
  }
}
