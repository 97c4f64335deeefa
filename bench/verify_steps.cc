// bench: DEPS verify
// How well step checking finds what solutions claim: against the calculator marks and final labels of GSM8K's model
// solutions, and against errors planted in its training solutions.
//   verify_steps [FOLDER OF THE SHARED DATA] [--show]
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/core/rng.h"
#include "merit/verify/steps.h"

namespace {

using namespace merit;

struct Count {
  size_t right = 0, found = 0, wanted = 0;
  void print(const char* what) const {
    std::printf("%s: precision %.4f (%zu of %zu), recall %.4f (%zu of %zu)\n", what,
                static_cast<double>(right) / static_cast<double>(found), right, found,
                static_cast<double>(right) / static_cast<double>(wanted), right, wanted);
  }
};

// The marks of a line: <<expression=value>>.
std::vector<std::string> marks_of(std::string_view line) {
  std::vector<std::string> out;
  for (size_t at = line.find("<<"); at != std::string_view::npos; at = line.find("<<", at + 2)) {
    const size_t end = line.find(">>", at);
    if (end == std::string_view::npos) break;
    out.emplace_back(line.substr(at + 2, end - at - 2));
  }
  return out;
}

// A claim is a mark's if the mark, checked as a line, claims the same values.
bool same_claim(const verify::Claim& claim, const std::string& mark) {
  const auto steps = verify::check_steps(mark);
  if (steps.empty() || steps[0].claims.empty()) return false;
  const verify::Claim& other = steps[0].claims.back();
  const auto equal = [](const std::string& a, const std::string& b) {
    const auto check = verify::check_steps("(" + a + ") * 1 = " + b);
    return a == b || (!check.empty() && !check[0].claims.empty() && !check[0].wrong());
  };
  return equal(claim.right, other.right) && equal(claim.left, other.left);
}

void count_marks(const std::string& solution, Count& count, bool show) {
  for (const verify::Step& step : verify::check_steps(solution)) {
    std::vector<std::string> marks;
    for (const std::string& mark : marks_of(step.text)) {
      const auto own = verify::check_steps(mark);
      if (!own.empty() && !own[0].claims.empty()) marks.push_back(mark);  // not <<5=5>>
    }
    count.wanted += marks.size();
    count.found += step.claims.size();
    for (const verify::Claim& claim : step.claims) {
      for (size_t k = 0; k < marks.size(); ++k) {
        if (!same_claim(claim, marks[k])) continue;
        marks.erase(marks.begin() + static_cast<std::ptrdiff_t>(k));
        ++count.right;
        break;
      }
    }
    if (show && !marks.empty())
      std::printf("missed %s in: %.*s\n", marks[0].c_str(), static_cast<int>(step.text.size()), step.text.data());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "../shared/data";
  const bool show = argc > 2 && std::strcmp(argv[2], "--show") == 0;
  Count marks, labels, planted;
  std::ifstream solutions(folder + "/gsm8k_model_solutions.jsonl");
  for (std::string line; std::getline(solutions, line);) {
    const Json row = parse_json(line, "solutions");
    for (const char* model : {"6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"}) {
      const std::string solution = row[model]["solution"];
      const bool correct = row[model]["is_correct"];
      count_marks(solution, marks, show);
      const bool flagged = verify::first_wrong_step(verify::check_steps(solution)).has_value();
      labels.found += flagged ? 1 : 0;
      labels.wanted += correct ? 0 : 1;
      labels.right += flagged && !correct ? 1 : 0;
    }
  }
  // One value behind a mark is changed in half of the training solutions: the step it stands in is the wrong one.
  std::ifstream train(folder + "/gsm8k_train.jsonl");
  Rng random(8, 0);
  for (std::string line; std::getline(train, line);) {
    std::string answer = parse_json(line, "train")["answer"];
    std::vector<size_t> ends;
    for (size_t at = answer.find(">>"); at != std::string::npos; at = answer.find(">>", at + 2)) {
      if (at + 2 < answer.size() && answer[at + 2] >= '1' && answer[at + 2] <= '8') ends.push_back(at + 2);
    }
    std::optional<size_t> wanted;
    if (!ends.empty() && random.below(2) == 0) {
      const size_t at = ends[random.below(ends.size())];
      ++answer[at];
      size_t step = 0;
      for (const verify::Step& s : verify::check_steps(answer)) {
        if (s.text.data() + s.text.size() - answer.data() > static_cast<std::ptrdiff_t>(at)) break;
        ++step;
      }
      wanted = step;
    }
    const auto found = verify::first_wrong_step(verify::check_steps(answer));
    planted.wanted += wanted ? 1 : 0;
    planted.found += found ? 1 : 0;
    planted.right += wanted && found == wanted ? 1 : 0;
    if (show && found != wanted) {
      const auto steps = verify::check_steps(answer);
      const size_t k = found ? *found : *wanted;
      std::printf("%s: %.*s\n", found ? (wanted ? "other step" : "false alarm") : "not found",
                  static_cast<int>(steps[k].text.size()), steps[k].text.data());
    }
  }
  if (marks.wanted == 0) {
    std::printf("bench-steps: the shared data is not in %s\n", folder.c_str());
    return 1;
  }
  marks.print("claims in the text against the calculator marks");
  labels.print("a wrong step against a wrong final answer");
  planted.print("first wrong step of planted errors");
}
