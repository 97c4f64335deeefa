#include "merit/verify/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <thread>

namespace merit::verify {
namespace {

using ::testing::HasSubstr;

Outcome number(std::string_view response, std::string_view reference, const VerifyOptions& options = {}) {
  return verify_answer(response, reference, AnswerKind::kNumber, options).outcome;
}
std::string boxed(std::string_view text) { return "\\boxed{" + std::string(text) + "}"; }

constexpr Outcome kYes = Outcome::kCorrect;
constexpr Outcome kNo = Outcome::kIncorrect;

// Of this process, so that a busy machine changes nothing.
double seconds_since(std::clock_t start) { return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC; }

// The value read from a boxed answer, as a reduced fraction; or the reason that there is none.
std::string value(std::string_view text) {
  if (const auto key = answer_key(boxed(text), AnswerKind::kNumber)) return *key;
  return verify_answer(boxed(text), "0", AnswerKind::kNumber).reason;
}
// The same of free text.
std::string last(std::string_view text) {
  if (const auto key = answer_key(text, AnswerKind::kNumber)) return *key;
  return verify_answer(text, "0", AnswerKind::kNumber).reason;
}

TEST(Numbers, F44_EqualFormsAreEqual) {
  const std::pair<const char*, const char*> pairs[] = {{"3/8", "\\frac{3}{8}"},
                                                       {"\\frac38", "\\frac{3}{8}"},
                                                       {"3\\frac{1}{4}", "3.25"},
                                                       {"1 1/4", "5/4"},
                                                       {"\\text{17}", "17"}};
  for (const auto& [a, b] : pairs) {
    EXPECT_EQ(number(boxed(a), b), kYes) << a;
    EXPECT_EQ(number(boxed(b), a), kYes) << a;
    EXPECT_EQ(number(a, b), kYes) << a << " unmarked";
    EXPECT_EQ(number(b, a), kYes) << b << " unmarked";
  }
  EXPECT_EQ(number(boxed("35\\%"), "35"), kNo);
  EXPECT_EQ(number(boxed("35\\%"), "35", {.ignore_percent = true}), kYes);
  EXPECT_EQ(number(boxed("35"), "35\\%", {.ignore_percent = true}), kYes);
  EXPECT_EQ(number(boxed("35\\%"), "0.35"), kYes);
  EXPECT_THAT(verify_answer("\\boxed{\frac{3}{8}}", "1", AnswerKind::kNumber).reason, HasSubstr("lost backslash"));
}

TEST(Numbers, F45_UnequalFormsAreNeverEqual) {
  const std::pair<const char*, const char*> pairs[] = {
      {"1/3^{80}", "1/3^{81}"},
      {"\\pm 3", "3"},
      {"9:00", "3:00"},
      {"x=1,2", "x=2,3"},
      {"6", "6\\sqrt(5)"},
      {"3x-y+1=0", "x+y-5=0"},
      {"3 x - y + 1 = 0", "0"},
      {"x = 1, y = 2", "2"},
      {"x=1, y=2", "2"},
      {"5", "5 or 6"},
      {"2\xcf\x80", "2"},
      {"6\xe2\x88\x9a"
       "5",
       "6"},
      {"5x", "5"},
  };
  for (const auto& [a, b] : pairs) {
    for (const auto& [response, reference] : {std::pair(a, b), std::pair(b, a)}) {
      EXPECT_NE(number(response, reference), kYes) << response << " against " << reference;
      EXPECT_NE(number(boxed(response), reference), kYes) << response << " boxed against " << reference;
      EXPECT_NE(number("The answer is " + std::string(response), reference), kYes) << response << " stated";
    }
  }
  EXPECT_EQ(number("1/3^{80}", "1/3^{81}"), kNo) << "both read exactly";
  const Verdict prediction = verify_answer("\\boxed{\\pm 3}", "3", AnswerKind::kNumber);
  EXPECT_EQ(prediction.outcome, Outcome::kUnknown);
  EXPECT_EQ(prediction.cause, AbstainCause::kResponse);
  EXPECT_EQ(number("6", "6\\sqrt(5)"), kNo) << "a root is a number";
  const Verdict gold = verify_answer("6", "6x", AnswerKind::kNumber);
  EXPECT_EQ(gold.outcome, Outcome::kUnknown);
  EXPECT_EQ(gold.cause, AbstainCause::kItem);
}

TEST(Numbers, F47_AnswersTheSameInEveryThread) {
  std::vector<std::thread> threads;
  std::vector<Outcome> outcomes(64, Outcome::kUnknown);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    threads.emplace_back([&, i] { outcomes[i] = number("7.5\\%", "7.5\\%"); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(outcomes, ::testing::Each(kYes));
}

TEST(Numbers, F48_GiantPowersCostNothing) {
  const std::clock_t start = std::clock();
  for (const char* giant :
       {"2^{25^{6}}", "7^{7^{7^{7}}}", "(10^{9})!", "-(2^{25^{6}})", "10^{999999999999999999999}", "1e99999"}) {
    EXPECT_EQ(number(boxed(giant), "7"), kNo) << giant;
    EXPECT_EQ(number(boxed("7"), giant), kNo) << giant;
    EXPECT_NE(number(giant, "7"), kYes) << giant;
  }
  EXPECT_NE(number(boxed("0.5^{99999999}"), "0"), kYes);
  EXPECT_NE(number(boxed("1e-99999"), "0"), kYes);
  EXPECT_EQ(number("7", "7"), kYes) << "the next item is unaffected";
  EXPECT_LT(seconds_since(start), 1);
}

TEST(Numbers, F51_OnlyTheResponseIsJudged) {
  const Verdict verdict = verify_answer("idk", "1", AnswerKind::kNumber);
  EXPECT_EQ(verdict.outcome, Outcome::kUnknown);
  EXPECT_EQ(verdict.cause, AbstainCause::kResponse);
  EXPECT_EQ(verdict.reason, "no number");
}

TEST(Numbers, ReadsTheFormsPeopleWrite) {
  const std::pair<const char*, const char*> cases[] = {
      {"18", "18"},
      {"1,234,567", "1234567"},
      {"3.50", "7/2"},
      {".5", "1/2"},
      {"5.", "5"},
      {"-5", "-5"},
      {"minus 5", "-5"},
      {"negative 1/2", "-1/2"},
      {"\xe2\x88\x92"
       "5",
       "-5"},
      {"+5", "5"},
      {"-1 1/4", "-5/4"},
      {"3\xc2\xbd", "7/2"},
      {"$5.00", "5"},
      {"\\$5", "5"},
      {"-$5", "-5"},
      {"12 apples", "12"},
      {"5cm", "5"},
      {"9 m^2", "9"},
      {"60 km/h", "60"},
      {"5 \\text{ apples}", "5"},
      {"90^\\circ", "90"},
      {"5{,}000", "5000"},
      {"1\\,000", "1000"},
      {"2^{10}", "1024"},
      {"2^{-1}", "1/2"},
      {"10^3", "1000"},
      {"1.5e3", "1500"},
      {"2.5e-1", "1/4"},
      {"5!", "120"},
      {"2(5)", "10"},
      {"3 \\times 4", "12"},
      {"3 x 4", "12"},
      {"(1+2)*3 - 4/2", "7"},
      {"-2^2", "-4"},
      {"2^{3^2}", "512"},
      {"\\left(\\frac{1}{2}\\right)", "1/2"},
      {"3 million", "3000000"},
      {"50%", "1/2"},
      {"50 percent", "1/2"},
      {"x = 5", "5"},
      {"3 + 4 = 7", "7"},
      {"\\dfrac{-3}{6}", "-1/2"},
      {"007", "7"},
      {"0/5", "0"},
      {"-0", "0"},
      {"0.1", "1/10"},
      {"1/3", "1/3"},
      {"2/4", "1/2"},
  };
  for (const auto& [text, key] : cases) EXPECT_EQ(value(text), key) << text;
}

TEST(Numbers, UndefinedOnesAreUnknown) {
  for (const char* text : {"1/0", "0^0", "(-1)!"}) {
    const Verdict verdict = verify_answer(boxed(text), "7", AnswerKind::kNumber);
    EXPECT_EQ(verdict.cause, AbstainCause::kResponse) << text;
    EXPECT_EQ(verify_answer(boxed("7"), text, AnswerKind::kNumber).cause, AbstainCause::kItem) << text;
  }
}

TEST(Numbers, AreReadAsMathematics) {
  EXPECT_EQ(number(boxed("\\sqrt{4}"), "2"), kYes);
  EXPECT_EQ(number(boxed("\\frac{\\sqrt{2}}{2}"), "\\frac{1}{\\sqrt{2}}"), kYes);
  EXPECT_EQ(number("It is 0.\\overline{3}", "1/3"), kYes);
  EXPECT_EQ(number("so 300 cm", "3 m"), kYes);
  EXPECT_EQ(number("so 300 m", "3 m"), kNo);
  EXPECT_EQ(number("There are 5 of them where $x$ is a name.", "5"), kYes) << "what is no number is passed over";
}

TEST(Numbers, SaysWhyItCannotRead) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "empty"},
      {"1,23", "more than one number"},
      {"1.2.3", "more than one number"},
      {"5 or 6", "more than one number"},
      {"1 2", "more than one number"},
      {"\\pm 3", "more than one number"},
      {"x", "no number"},
      {"3x", "a variable"},
      {"(1", "not closed"},
      {"x > 3", "a relation"},
      {"5!!", "double"},
  };
  for (const auto& [text, reason] : cases) EXPECT_THAT(value(text), HasSubstr(reason)) << text;
}

TEST(Numbers, FindsTheMarkedAnswer) {
  const std::pair<const char*, const char*> cases[] = {
      {"I try 3. \\boxed{4} Then \\boxed{5}.", "5"},
      {"\\boxed{5} and the answer is 6", "5"},
      {"work\n#### 42\n", "42"},
      {"work 3\nA: 1,200\n", "1200"},
      {"The answer is 18 dollars, as 20 - 2 = 18.", "18"},
      {"The answer is: **$1,234.50**. I hope 3 helps.", "2469/2"},
      {"**Answer:** 7", "7"},
      {"**Final Answer:**\n\n12 apples\n", "12"},
      {"Final answer: 3 + 4 = 7", "7"},
      {"The answer is 1 1/4 cups.", "5/4"},
      {"Answer: -5", "-5"},
      {"The answer is minus 5.", "-5"},
      {"The answer is 5!", "5"},
      {"The answer is below.\nSo we get 9.", "9"},
      {"The answer was 3. No: the answer is 4.", "4"},
      {"#### Step 1: add 2\nIt is 9", "9"},
  };
  for (const auto& [text, key] : cases) EXPECT_EQ(last(text), key) << text;
}

TEST(Numbers, TakesTheLastValueOfUnmarkedText) {
  const std::pair<const char*, const char*> cases[] = {
      {"7", "7"},
      {"16 - 3 - 4 = 9 duck eggs", "9"},
      {"so 3*4=12 apples.", "12"},
      {"She makes 9 * 2 = $<<9*2=18>>18 every day", "18"},
      {"They need 1 1/4 cups of flour", "5/4"},
      {"It costs about 3 million dollars", "3000000"},
      {"In 2020 there were 5 people", "5"},
      {"the sum is - 5", "-5"},
      {"- 5 apples", "5"},
      {"a 5-year-old", "5"},
      {"There are 3 CO2 bottles", "3"},
      {"Let x=5.", "5"},
      {"(about 12).", "12"},
      {"5, so 6, then 7.", "7"},
      {"9\n\nThank you!", "9"},
  };
  for (const auto& [text, key] : cases) EXPECT_EQ(last(text), key) << text;
}

TEST(Numbers, SeveralAnswersAreNone) {
  for (const char* text : {"The answer is 5 or 6.", "Answer: 5, 6", "The answer is 5 and 7", "#### 5 or 6"}) {
    EXPECT_THAT(last(text), HasSubstr("more than one")) << text;
  }
}

TEST(Numbers, CutOffBoxIsNoAnswer) {
  EXPECT_EQ(number("so 5. \\boxed{5", "5"), Outcome::kUnknown);
  EXPECT_EQ(number("\\boxed", "5"), Outcome::kUnknown);
}

TEST(Numbers, ToleranceIsRelativeAndExact) {
  EXPECT_EQ(number("3.14", "3.14159"), kNo);
  EXPECT_EQ(number("3.14", "3.14159", {.relative_tolerance = 0.001}), kYes);
  EXPECT_EQ(number("101", "100", {.relative_tolerance = 0.01}), kYes) << "exactly on the bound";
  EXPECT_EQ(number("101.0000000001", "100", {.relative_tolerance = 0.01}), kNo);
  EXPECT_EQ(number("-99", "-100", {.relative_tolerance = 0.01}), kYes);
  EXPECT_EQ(number("1e-9", "0", {.relative_tolerance = 0.5}), kNo) << "never absolute";
  EXPECT_EQ(number("1e-30", "2e-30", {.relative_tolerance = 0.01}), kNo);
}

TEST(Numbers, ReferenceMayBeASolution) {
  EXPECT_EQ(number("18", "16 - 3 = <<16-3=13>>13\n#### 18"), kYes);
  EXPECT_EQ(number("18", "She makes $18.\nA: 18"), kYes);
  EXPECT_EQ(number("18", "\\boxed{18}"), kYes);
  EXPECT_EQ(number("18", "she has 17 or 18"), Outcome::kUnknown) << "a bare reference is read whole";
}

TEST(Numbers, LongInputIsLinear) {
  const std::clock_t start = std::clock();
  for (const std::string piece :
       {"1",  "(",  "{",  "\\frac", "-",      "<<", "answer is ", "answer", "\\boxed{", "1,",     "3 + ",
        "= ", "1/", "2^", "A:\n",   "####\n", "$",  "\\text{",    "\\",     "9!",       "minus ", "x=1 "}) {
    std::string text;
    while (text.size() < (1 << 16)) text += piece;
    verify_answer(text, "7", AnswerKind::kNumber);
    verify_answer(text, "7", AnswerKind::kList);
    verify_answer(text, "2024-01-01", AnswerKind::kDate);
    verify_answer("7", text, AnswerKind::kNumber);
    ASSERT_LT(seconds_since(start), 10) << piece;  // quadratic would be minutes
  }
  EXPECT_EQ(verify_answer(std::string(2000, '7'), "7", AnswerKind::kNumber, {.max_response_bytes = 1000}).cause,
            AbstainCause::kResponse);
}

TEST(Dates, ReadsTheUsualSpellings) {
  for (const char* text :
       {"2024-03-05", "2024/3/5", "March 5, 2024", "march 5 2024", "Mar. 5th, 2024", "5 March 2024",
        "the 5th of March, 2024", "It is **Tuesday, March 5, 2024**.", "From 1 May 2023: answer is 2024-03-05."}) {
    EXPECT_EQ(answer_key(text, AnswerKind::kDate), "2024-03-05") << text;
  }
  for (const char* text :
       {"03/05/2024", "2023-02-29", "February 30, 2024", "13 2024", "2024-13-01", "12024-03-05", "May"}) {
    EXPECT_EQ(answer_key(text, AnswerKind::kDate), std::nullopt) << text;
  }
  EXPECT_EQ(answer_key("2024-02-29 plus one is 2024-03-01", AnswerKind::kDate), "2024-03-01") << "the last";
  EXPECT_EQ(verify_answer("March 5, 2024", "2024-03-05", AnswerKind::kDate).outcome, kYes);
  EXPECT_EQ(verify_answer("March 6, 2024", "2024-03-05", AnswerKind::kDate).outcome, kNo);
  EXPECT_EQ(verify_answer("soon", "2024-03-05", AnswerKind::kDate).cause, AbstainCause::kResponse);
  EXPECT_EQ(verify_answer("2024-03-05", "soon", AnswerKind::kDate).cause, AbstainCause::kItem);
}

TEST(Lists, ReadsNumbersAndWordsInOrder) {
  for (const char* text : {"3, 7, 9", "[3, 7, 9]", "3 7 9", "3 < 7 < 9", "The sorted list is 3, 7, and 9.",
                           "Sorted (3 numbers): 3, 7, 9", "Given 9, 3, 7.\nSorted: 3.0, 7, 9", "\\boxed{3, 7, 9}"}) {
    EXPECT_EQ(answer_key(text, AnswerKind::kList), "3, 7, 9") << text;
  }
  for (const char* text : {"apple, pear, plum", "Sorted: Apple, pear, and plum.", "Answer: apple pear plum"}) {
    EXPECT_EQ(answer_key(text, AnswerKind::kList), "apple, pear, plum") << text;
  }
  EXPECT_EQ(verify_answer("7, 3, 9", "3, 7, 9", AnswerKind::kList).outcome, kNo);
  EXPECT_EQ(verify_answer("3, 7", "3, 7, 9", AnswerKind::kList).outcome, kNo);
  EXPECT_EQ(verify_answer("3, 7, 9, 10", "3, 7, 9", AnswerKind::kList).outcome, kNo);
  EXPECT_EQ(verify_answer("", "3, 7, 9", AnswerKind::kList).outcome, Outcome::kUnknown);
}

TEST(Texts, ComparesWithoutCaseArticlesAndPunctuation) {
  for (const char* text :
       {"Monday", "monday.", "It is Monday.", "**Monday**", "The answer is Monday.", "\\boxed{\\text{Monday}}"}) {
    EXPECT_EQ(answer_key(text, AnswerKind::kText), "monday") << text;
  }
  for (const char* text : {"B", "(B)", "B.", "b) Paris", "The answer is (B) Paris", "\\boxed{B}"}) {
    EXPECT_EQ(answer_key(text, AnswerKind::kText), "b") << text;
  }
  EXPECT_EQ(verify_answer("Tuesday", "Monday", AnswerKind::kText).outcome, kNo);
  EXPECT_EQ(verify_answer("INCORRECT", "CORRECT", AnswerKind::kText).outcome, kNo) << "never a part of a word";
  EXPECT_EQ(verify_answer(" ", "Monday", AnswerKind::kText).cause, AbstainCause::kResponse);
}

TEST(Keys, AgreeWithVerdicts) {
  EXPECT_EQ(answer_key("1,000", AnswerKind::kNumber), answer_key("The answer is $1000.00", AnswerKind::kNumber));
  EXPECT_EQ(answer_key("\\boxed{35\\%}", AnswerKind::kNumber, {.ignore_percent = true}), "35");
  EXPECT_NE(answer_key("\\boxed{2^{25^6}}", AnswerKind::kNumber), answer_key("\\boxed{2^{25^7}}", AnswerKind::kNumber));
  EXPECT_EQ(answer_key("\\boxed{\\sqrt{9}}", AnswerKind::kMath), "3");
  EXPECT_EQ(parse_answer_kind(name_of(AnswerKind::kList)), AnswerKind::kList);
  EXPECT_EQ(parse_answer_kind("choice"), AnswerKind::kText);
  EXPECT_EQ(parse_answer_kind("arithmetic"), std::nullopt);
}

}  // namespace
}  // namespace merit::verify
