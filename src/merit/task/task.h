// Seeded problems with exact answers, so that everything can be tried and trained without a data set. A problem is a
// pure function of (seed, family, difficulty, index). Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "merit/core/json.h"
#include "merit/verify/answer.h"

namespace merit::task {

struct Problem {
  std::string id;  // "arithmetic-1-7-0": family, difficulty, seed, index
  std::string family;
  int difficulty = 1;
  std::string prompt;
  std::string answer;
  verify::AnswerKind kind = verify::AnswerKind::kNumber;
};

// "arithmetic", "word_problems", "sequences", "sorting", "dates", "units".
const std::vector<std::string>& families();

// Error(kUsage) for an unknown family (naming the nearest) or a difficulty outside 1 .. 5.
Problem make_problem(uint64_t seed, std::string_view family, int difficulty, uint64_t index);

struct TaskOptions {
  uint64_t seed = 0;
  std::vector<std::string> families;  // empty: all
  std::vector<int> difficulties = {1};
  uint64_t count = 100;
  // Appends "Answer with the number only." (or what the kind needs), so that small models answer in few tokens.
  bool short_answers = true;
};

// `count` problems with distinct prompts, dealt in turn over the families and difficulties. Error(kUsage) for bad
// options or if the families do not hold that many distinct problems.
std::vector<Problem> make_problems(const TaskOptions& options);

// {"id", "prompt", "answer", "answer_kind", "family", "difficulty"}; the prompt as text, or as one user message.
OrderedJson to_row(const Problem& problem, bool as_messages);

}  // namespace merit::task
