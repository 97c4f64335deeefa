// GSM8K's published model solutions against the verdicts published with them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "merit/core/json.h"
#include "merit/verify/answer.h"

namespace merit::verify {
namespace {

std::string shared_file(const std::string& name) {
  const char* folder = std::getenv("MERIT_SHARED_DATA");
  const std::filesystem::path path = std::filesystem::path(folder == nullptr ? "../shared/data" : folder) / name;
  return std::filesystem::exists(path) ? path.string() : "";
}

TEST(Gsm8k, AgreesWithThePublishedVerdicts) {
  const std::string path = shared_file("gsm8k_model_solutions.jsonl");
  if (path.empty()) GTEST_SKIP() << "gsm8k_model_solutions.jsonl is not here (MERIT_SHARED_DATA)";
  std::ifstream in(path);
  size_t total = 0;
  size_t differ = 0;
  size_t unscorable = 0;
  for (std::string line; std::getline(in, line);) {
    const Json row = parse_json(line, path);
    for (const char* model : {"6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"}) {
      const std::string solution = row[model]["solution"];
      const std::string truth = row["ground_truth"];
      const Verdict verdict = verify_answer(solution, truth, AnswerKind::kNumber);
      ++total;
      unscorable += verdict.cause == AbstainCause::kItem;
      const bool published = row[model]["is_correct"];
      if ((verdict.outcome == Outcome::kCorrect) != published) {
        ++differ;
        std::cout << "differs: " << model << " published=" << published << " ours=" << name_of(verdict.outcome) << " "
                  << verdict.extracted << " (" << verdict.reason << "): ..."
                  << solution.substr(solution.size() > 60 ? solution.size() - 60 : 0) << " | "
                  << truth.substr(truth.size() > 20 ? truth.size() - 20 : 0) << "\n";
      }
    }
  }
  std::cout << "gsm8k: " << total - differ << " of " << total << " verdicts agree\n";
  EXPECT_EQ(total, 5276u);
  EXPECT_EQ(unscorable, 0u);
  EXPECT_LE(differ, 5u);
}

TEST(Gsm8k, ReadsEveryReferenceOfTheTrainingSet) {
  const std::string path = shared_file("gsm8k_train.jsonl");
  if (path.empty()) GTEST_SKIP() << "gsm8k_train.jsonl is not here (MERIT_SHARED_DATA)";
  std::ifstream in(path);
  size_t total = 0;
  for (std::string line; std::getline(in, line); ++total) {
    const std::string answer = parse_json(line, path)["answer"];
    EXPECT_EQ(verify_answer(answer, answer, AnswerKind::kNumber).outcome, Outcome::kCorrect) << answer;
  }
  EXPECT_EQ(total, 7473u);
}

}  // namespace
}  // namespace merit::verify
