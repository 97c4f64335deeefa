#include "merit/task/task.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "merit/core/error.h"
#include "merit/core/hash.h"
#include "merit/core/strings.h"
#include "merit/task/families.h"

namespace merit::task {
namespace {

using Maker = void (*)(Rng&, int, Problem&);

struct Family {
  const char* name;
  Maker make;
};

constexpr Family kFamilies[] = {
    {"arithmetic", make_arithmetic},
    {"word_problems", make_word_problem},
    {"sequences", make_sequence},
    {"sorting", make_sorting},
    {"dates", make_date},
    {"units", make_unit},
};
constexpr int kMaxDifficulty = 5;
// Draws in a row that gave a prompt seen before: then the family is taken to be exhausted.
constexpr int kMaxRepeats = 1000;

const Family& family_of(std::string_view name) {
  for (const Family& family : kFamilies) {
    if (name == family.name) return family;
  }
  const std::string near = closest(name, families());
  fail(ErrorKind::kUsage, "family: expected one of {}, got {}{}", join(families(), ", "), quote(name),
       near.empty() ? "" : fmt::format("; did you mean {}?", near));
}

void check_difficulty(int difficulty) {
  if (difficulty < 1 || difficulty > kMaxDifficulty) {
    fail(ErrorKind::kUsage, "difficulty: expected 1 to {}, got {}", kMaxDifficulty, difficulty);
  }
}

const char* short_answer_request(verify::AnswerKind kind) {
  switch (kind) {
    case verify::AnswerKind::kMath:
      break;  // no family asks for more than a number
    case verify::AnswerKind::kNumber:
      return " Answer with the number only.";
    case verify::AnswerKind::kText:
      return " Answer with one word only.";
    case verify::AnswerKind::kDate:
      return " Answer with the date only.";
    case verify::AnswerKind::kList:
      return " Answer with the list only.";
  }
  return "";
}

}  // namespace

const std::vector<std::string>& families() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Family& family : kFamilies) list.emplace_back(family.name);
    return list;
  }();
  return names;
}

Problem make_problem(uint64_t seed, std::string_view family, int difficulty, uint64_t index) {
  const Family& maker = family_of(family);
  check_difficulty(difficulty);
  Problem problem;
  problem.id = fmt::format("{}-{}-{}-{}", family, difficulty, seed, index);
  problem.family = family;
  problem.difficulty = difficulty;
  Rng rng(seed, hash64(fmt::format("{}/{}/{}", family, difficulty, index)));
  maker.make(rng, difficulty, problem);
  return problem;
}

std::vector<Problem> make_problems(const TaskOptions& options) {
  const std::vector<std::string>& names = options.families.empty() ? families() : options.families;
  if (options.difficulties.empty()) fail(ErrorKind::kUsage, "difficulty: expected at least one of 1 to 5, got none");
  for (const std::string& name : names) family_of(name);
  for (const int difficulty : options.difficulties) check_difficulty(difficulty);

  struct Source {
    const std::string* family;
    int difficulty;
    uint64_t next = 0;
  };
  std::vector<Source> sources;
  for (const int difficulty : options.difficulties) {
    for (const std::string& name : names) sources.push_back({&name, difficulty});
  }
  std::vector<Problem> problems;
  std::unordered_set<std::string> prompts;
  for (size_t turn = 0; problems.size() < options.count; ++turn) {
    Source& source = sources[turn % sources.size()];
    int repeats = 0;
    Problem problem = make_problem(options.seed, *source.family, source.difficulty, source.next++);
    while (!prompts.insert(problem.prompt).second) {
      if (++repeats > kMaxRepeats) {
        fail(ErrorKind::kUsage,
             "count: {} of difficulty {} holds too few distinct problems for {} in all; ask for fewer, or for more "
             "families or difficulties",
             *source.family, source.difficulty, options.count);
      }
      problem = make_problem(options.seed, *source.family, source.difficulty, source.next++);
    }
    if (options.short_answers) problem.prompt += short_answer_request(problem.kind);
    problems.push_back(std::move(problem));
  }
  return problems;
}

OrderedJson to_row(const Problem& problem, bool as_messages) {
  OrderedJson row;
  row["id"] = problem.id;
  if (as_messages) {
    row["prompt"] = OrderedJson::array({{{"role", "user"}, {"content", problem.prompt}}});
  } else {
    row["prompt"] = problem.prompt;
  }
  row["answer"] = problem.answer;
  row["answer_kind"] = verify::name_of(problem.kind);
  row["family"] = problem.family;
  row["difficulty"] = problem.difficulty;
  return row;
}

}  // namespace merit::task
