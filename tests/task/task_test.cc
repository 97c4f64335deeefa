#include "merit/task/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "merit/core/error.h"
#include "tests/task/solver_support.h"

namespace merit::task {
namespace {

using ::testing::HasSubstr;

Error refusal(const TaskOptions& options) {
  try {
    make_problems(options);
  } catch (const Error& e) {
    return e;
  }
  return Error(ErrorKind::kNumeric, "no error was thrown");
}

TEST(Task, AnIndependentSolverFindsEveryAnswer) {
  size_t solved = 0;
  for (const std::string& family : families()) {
    for (int difficulty = 1; difficulty <= 5; ++difficulty) {
      for (uint64_t index = 0; index < 300; ++index) {
        const Problem problem = make_problem(11, family, difficulty, index);
        ASSERT_EQ(problem.answer, solve(problem.prompt)) << problem.prompt;
        ++solved;
      }
    }
  }
  EXPECT_EQ(solved, 9000u);
}

TEST(Task, TheCheckerAcceptsEveryAnswerAndNoNeighbours) {
  for (const std::string& family : families()) {
    for (int difficulty = 1; difficulty <= 5; ++difficulty) {
      const Problem first = make_problem(3, family, difficulty, 0);
      for (uint64_t index = 0; index < 100; ++index) {
        const Problem problem = make_problem(3, family, difficulty, index);
        for (const std::string& response : {problem.answer, "The answer is " + problem.answer + "."}) {
          EXPECT_EQ(verify::verify_answer(response, problem.answer, problem.kind).outcome, verify::Outcome::kCorrect)
              << family << " " << response;
        }
        if (problem.answer != first.answer && problem.kind == first.kind) {
          EXPECT_EQ(verify::verify_answer(first.answer, problem.answer, problem.kind).outcome,
                    verify::Outcome::kIncorrect)
              << family << " " << first.answer << " against " << problem.answer;
        }
      }
    }
  }
}

TEST(Task, AProblemDependsOnItsCoordinatesOnly) {
  const Problem a = make_problem(7, "arithmetic", 3, 5);
  make_problem(8, "dates", 1, 0);
  const Problem b = make_problem(7, "arithmetic", 3, 5);
  EXPECT_EQ(a.prompt, b.prompt);
  EXPECT_EQ(a.id, "arithmetic-3-7-5");
  EXPECT_NE(make_problem(8, "arithmetic", 3, 5).prompt, a.prompt);
  EXPECT_NE(make_problem(7, "arithmetic", 3, 6).prompt, a.prompt);
  EXPECT_NE(make_problem(7, "arithmetic", 5, 5).prompt, a.prompt);
}

TEST(Task, PromptsAndIdsAreDistinct) {
  TaskOptions options;
  options.count = 3000;
  options.difficulties = {1, 2, 3, 4, 5};
  std::set<std::string> prompts;
  std::set<std::string> ids;
  for (const Problem& problem : make_problems(options)) {
    prompts.insert(problem.prompt);
    ids.insert(problem.id);
  }
  EXPECT_EQ(prompts.size(), 3000u);
  EXPECT_EQ(ids.size(), 3000u);
}

TEST(Task, AShorterFileIsTheStartOfALongerOne) {
  TaskOptions options;
  options.families = {"arithmetic", "dates"};
  options.count = 200;
  const std::vector<Problem> longer = make_problems(options);
  options.count = 37;
  const std::vector<Problem> shorter = make_problems(options);
  for (size_t i = 0; i < shorter.size(); ++i) EXPECT_EQ(shorter[i].id, longer[i].id);
  EXPECT_EQ(shorter[0].family, "arithmetic");
  EXPECT_EQ(shorter[1].family, "dates");
}

TEST(Task, EasyArithmeticIsEasy) {
  for (uint64_t index = 0; index < 500; ++index) {
    const int64_t answer = std::stoll(make_problem(0, "arithmetic", 1, index).answer);
    EXPECT_GE(answer, 2);
    EXPECT_LE(answer, 81);
  }
}

TEST(Task, RowsHaveTheReadersFields) {
  Problem problem = make_problem(0, "dates", 5, 0);
  problem.prompt = "p";
  problem.answer = "Monday";
  EXPECT_EQ(
      dump_json(to_row(problem, false)),
      R"({"id":"dates-5-0-0","prompt":"p","answer":"Monday","answer_kind":"text","family":"dates","difficulty":5})");
  EXPECT_EQ(dump_json(to_row(problem, true)["prompt"]), R"([{"role":"user","content":"p"}])");
}

TEST(Task, ShortAnswerRequestIsAnOption) {
  TaskOptions options;
  options.families = {"arithmetic"};
  options.count = 1;
  EXPECT_TRUE(make_problems(options)[0].prompt.ends_with("? Answer with the number only."));
  options.short_answers = false;
  EXPECT_TRUE(make_problems(options)[0].prompt.ends_with("?"));
}

TEST(Task, RefusesWhatItCannotMake) {
  TaskOptions options;
  options.families = {"arithmetics"};
  EXPECT_EQ(refusal(options).kind(), ErrorKind::kUsage);
  EXPECT_THAT(refusal(options).what(), HasSubstr("did you mean arithmetic?"));
  options.families = {"arithmetic"};
  for (const int difficulty : {0, 6}) {
    options.difficulties = {difficulty};
    EXPECT_THAT(refusal(options).what(), HasSubstr("expected 1 to 5"));
  }
  options.difficulties = {1};
  options.count = 100'000;
  EXPECT_THAT(refusal(options).what(), HasSubstr("too few distinct problems"));
  options.difficulties = {};
  EXPECT_EQ(refusal(options).kind(), ErrorKind::kUsage);
}

}  // namespace
}  // namespace merit::task
