// Mathematical answers: what is equal, what is not, and why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <thread>

#include "merit/verify/answer.h"

namespace merit::verify {
namespace {

using ::testing::HasSubstr;

struct Pair {
  const char* reference;
  const char* answer;
};

Verdict check(std::string_view reference, std::string_view answer, const VerifyOptions& options = {}) {
  return verify_answer("\\boxed{" + std::string(answer) + "}", reference, AnswerKind::kMath, options);
}
Verdict free_text(std::string_view reference, std::string_view response) {
  return verify_answer(response, reference, AnswerKind::kMath);
}

void expect_equal(std::initializer_list<Pair> pairs) {
  for (const Pair& p : pairs) {
    const Verdict verdict = check(p.reference, p.answer);
    EXPECT_EQ(verdict.outcome, Outcome::kCorrect) << p.reference << " and " << p.answer << ": " << verdict.reason;
    EXPECT_FALSE(verdict.rule.empty()) << p.reference;
  }
}
void expect_different(std::initializer_list<Pair> pairs) {
  for (const Pair& p : pairs) {
    const Verdict verdict = check(p.reference, p.answer);
    EXPECT_EQ(verdict.outcome, Outcome::kIncorrect) << p.reference << " and " << p.answer << ": " << verdict.reason;
    EXPECT_FALSE(verdict.rule.empty()) << p.reference;
  }
}
// Equal or different, never by chance: neither side proves the other.
void expect_unknown(std::initializer_list<Pair> pairs) {
  for (const Pair& p : pairs) {
    const Verdict verdict = check(p.reference, p.answer);
    EXPECT_EQ(verdict.outcome, Outcome::kUnknown) << p.reference << " and " << p.answer << ": " << verdict.rule;
    EXPECT_FALSE(verdict.reason.empty()) << p.reference;
  }
}

double seconds_since(std::clock_t start) { return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC; }

// ---- The field's cases

TEST(Math, F44_EqualFormsAreEqual) {
  expect_equal({{"3/8", "\\frac{3}{8}"},
                {"\\frac38", "\\frac{3}{8}"},
                {"3\\frac{1}{4}", "3.25"},
                {"1 1/4", "5/4"},
                {"\\text{17}", "17"},
                {"35\\%", "0.35"},
                {"\\tfrac{1}{2}", "0.5"},
                {"\\frac1{72}", "1/72"},
                {"\\dfrac{3}{8}", "\\left(\\frac{3}{8}\\right)"},
                {"-\\frac12", "\\frac{-1}{2}"}});
  expect_different({{"35\\%", "35"}, {"35", "35\\%"}});
  const VerifyOptions ignore{.ignore_percent = true};
  EXPECT_EQ(check("35\\%", "35", ignore).outcome, Outcome::kCorrect);
  EXPECT_EQ(check("35", "35\\%", ignore).outcome, Outcome::kCorrect);
  EXPECT_THAT(verify_answer("\\boxed{\frac{3}{8}}", "1", AnswerKind::kMath).reason, HasSubstr("lost backslash"));
}

TEST(Math, F45_UnequalFormsAreNeverEqual) {
  expect_different({{"1/3^{80}", "1/3^{81}"},
                    {"\\pm 3", "3"},
                    {"9:00", "3:00"},
                    {"6", "6\\sqrt(5)"},
                    {"3x-y+1=0", "x+y-5=0"},
                    {"x=1,2", "x=2,3"},
                    {"10^{-40}", "2 \\cdot 10^{-40}"},
                    {"e^{-300}", "e^{-301}"},
                    {"1", "1, 2"},
                    {"(1, 2)", "1"},
                    {"x = 1", "y = 1"},
                    {"2x+1=0", "3x+1=0"}});
  for (const auto& [a, b] : {Pair{"\\pm 3", "3"}, Pair{"x=1,2", "x=2,3"}, Pair{"6\\sqrt(5)", "6"}}) {
    EXPECT_NE(check(b, a).outcome, Outcome::kCorrect) << a;
  }
  const Verdict answer = check("3", "\\foo{3}");
  EXPECT_EQ(answer.outcome, Outcome::kUnknown);
  EXPECT_EQ(answer.cause, AbstainCause::kResponse) << "the floor";
  const Verdict gold = check("\\foo{3}", "3");
  EXPECT_EQ(gold.outcome, Outcome::kUnknown);
  EXPECT_EQ(gold.cause, AbstainCause::kItem) << "not scorable";
  EXPECT_EQ(check("\\foo{3}", "\\foo{3}").outcome, Outcome::kUnknown) << "what is not read equals nothing";
}

TEST(Math, F46_EquationsAndIntervals) {
  expect_equal({{"2x+6y=4", "y=-x/3+2/3"},
                {"y=-x/3+2/3", "2x+6y=4"},
                {"0<x<5", "(0,5)"},
                {"0\\le x<5", "[0,5)"},
                {"x > 3", "(3, \\infty)"},
                {"x \\ne 2", "(-\\infty,2)\\cup(2,\\infty)"},
                {"2x+4=0", "x=-2"},
                {"2x<6", "x<3"},
                {"-x>-1", "x<1"},
                {"x^2=4", "x=\\pm 2"},
                {"x^2 - 4 > 0", "x < -2 \\text{ or } x > 2"}});
  expect_different({{"(0,5)", "0<x<5"},
                    {"0<x<5", "[0,5]"},
                    {"0<x<5", "(0,5]"},
                    {"0<x<5", "(0,6)"},
                    {"x<3", "x\\le 3"},
                    {"x<3", "x>3"},
                    {"x+y=1", "x+y=2"},
                    {"x^2+y^2=4", "x^2+y^2=9"}});
  EXPECT_EQ(check("(0,5)", "0<x<5", {.relation_for_set = true}).outcome, Outcome::kCorrect);
}

TEST(Math, F47_AnswersTheSameInEveryThread) {
  const Pair pairs[] = {{"7.5\\%", "7.5\\%"},
                        {"\\cos\\frac{\\pi}{7}", "\\sin\\frac{5\\pi}{14}"},
                        {"\\ln 2+\\ln 3", "\\ln 6"},
                        {"\\sqrt[3]{2+\\sqrt5}+\\sqrt[3]{2-\\sqrt5}", "1"}};
  std::vector<std::thread> threads;
  std::vector<int> correct(64, 0);
  for (size_t i = 0; i < correct.size(); ++i) {
    threads.emplace_back([&, i] {
      for (size_t k = 0; k < 8; ++k) {
        const Pair& p = pairs[(i + k) % 4];
        correct[i] += check(p.reference, p.answer).outcome == Outcome::kCorrect ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(correct, ::testing::Each(8));
}

TEST(Math, F48_GiantPowersCostNothing) {
  const std::clock_t start = std::clock();
  expect_different({{"7", "2^{25^{6}}"},
                    {"7", "7^{7^{7^{7}}}"},
                    {"7", "(10^{9})!"},
                    {"7", "((10^{9})!)!"},
                    {"7", "10^{10^{10^{10^{10}}}}"},
                    {"7", "1e99999"},
                    {"7", "-(2^{25^{6}})"}});
  EXPECT_EQ(check("7", "7").outcome, Outcome::kCorrect) << "the next item is unaffected";
  EXPECT_LT(seconds_since(start), 0.5);
}

TEST(Math, F51_OnlyTheResponseIsJudged) {
  const Verdict verdict = free_text("1", "idk");
  EXPECT_NE(verdict.outcome, Outcome::kCorrect);
}

// ---- Kinds of mathematics

TEST(Math, Numbers) {
  expect_equal({{"1,000,000", "10^6"},
                {"1000", "1\\,000"},
                {"10{,}000", "10000"},
                {"16386.20", "\\$16,\\!386.20"},
                {"0.\\overline{3}", "1/3"},
                {"0.1\\overline{6}", "1/6"},
                {"1.5e3", "1500"},
                {"120", "5!"},
                {"10", "\\binom{5}{2}"},
                {"3", "\\lfloor 3.7 \\rfloor"},
                {"4", "\\lceil \\pi \\rceil"},
                {"55", "\\sum_{k=1}^{10} k"},
                {"1 million", "1000000"},
                {"\\frac{10\\sqrt{10.5}}{27}", "\\frac{5\\sqrt{42}}{27}"}});
  expect_different({{"1000", "100"}, {"0.333", "1/3"}, {"3.14", "\\pi"}, {"\\log 100", "2"}, {"5", "-5"}});
}

TEST(Math, RadicalsAndAlgebraicNumbers) {
  expect_equal({{"2\\sqrt2", "\\sqrt{8}"},
                {"\\frac{\\sqrt2}{2}", "\\frac{1}{\\sqrt2}"},
                {"\\sqrt2-1", "\\frac{1}{1+\\sqrt2}"},
                {"\\sqrt2+\\sqrt3", "\\sqrt{5+2\\sqrt6}"},
                {"1", "\\sqrt[3]{2+\\sqrt5}+\\sqrt[3]{2-\\sqrt5}"},
                {"2", "(2\\sqrt2)^{2/3}"},
                {"-2", "\\sqrt[3]{-8}"},
                {"2i", "\\sqrt{-4}"},
                {"\\frac{1+\\sqrt5}{4}", "\\cos\\frac{\\pi}{5}"},
                {"-\\frac12", "\\cos\\frac{2\\pi}{7}+\\cos\\frac{4\\pi}{7}+\\cos\\frac{6\\pi}{7}"},
                {"\\frac{\\sqrt{10-2\\sqrt5}}{4}", "\\sin\\frac{\\pi}{5}"},
                {"2-\\sqrt3", "\\tan 15^\\circ"}});
  expect_different({{"\\sqrt2+\\sqrt3", "\\sqrt{5}"}, {"\\frac{1+\\sqrt5}{2}", "1.618"}, {"\\sqrt{16}", "-4"}});
  EXPECT_EQ(check("\\sqrt2+\\sqrt3", "\\sqrt{5+2\\sqrt6}").rule, "separation bound");
  // sqrt(60,000,001) - 2 sqrt(15,000,000) is about 6.5e-5: only the digits tell the two apart.
  expect_different({{"\\sqrt{60000001}", "2\\sqrt{15000000}"}});
}

TEST(Math, Expressions) {
  expect_equal({{"(x+1)^2", "x^2+2x+1"},
                {"x+1", "\\frac{x^2-1}{x-1}"},
                {"\\frac{x+2}{7}", "\\frac{x}{7}+\\frac27"},
                {"\\frac{1}{3x^{2/3}}", "\\frac{1}{3\\sqrt[3]{x}^2}"},
                {"|x|", "\\sqrt{x^2}"},
                {"|x-1|", "|1-x|"},
                {"2\\cdot 2^x", "2^{x+1}"},
                {"4^x", "2^{2x}"},
                {"\\frac{n(n+1)}{2}", "\\binom{n+1}{2}"},
                {"3\\ln 2", "\\ln 8"},
                {"3", "\\log_2 8"},
                {"\\frac32", "\\log_4 8"},
                {"\\frac12", "\\ln\\sqrt e"},
                {"1", "\\sin^2 x+\\cos^2 x"},
                {"2\\sin x\\cos x", "\\sin 2x"},
                {"\\sec^2 y", "\\tan^2(y)+1"},
                {"4\\cos^3 x-3\\cos x", "\\cos 3x"},
                {"1", "\\cosh^2 x-\\sinh^2 x"},
                {"-1", "e^{i\\pi}"},
                {"2i", "(1+i)^2"},
                {"\\frac{\\pi}{4}", "\\arctan 1"},
                {"\\sqrt{\\pi}", "\\Gamma(1/2)"},
                {"f(x)=x^2", "x^2"}});
  expect_different({{"x^2+2x+2", "(x+1)^2"},
                    {"x", "y"},
                    {"x", "|x|"},
                    {"x", "\\sqrt{x^2}"},
                    {"(a+5)(b+2)", "(+5)(b+2)"},
                    {"\\sin x", "\\cos x"},
                    {"x+2n+1", "x+1"}});
}

TEST(Math, Structures) {
  expect_equal({{"\\{1,2,3\\}", "\\{3,2,1\\}"},
                {"1, 2, 3", "3, 1, 2"},
                {"\\{1,2\\}", "x = 1 \\text{ or } x = 2"},
                {"1\\pm\\sqrt{19}", "1-\\sqrt{19}, 1+\\sqrt{19}"},
                {"(1, \\frac92)", "(1, 4.5)"},
                {"(x,y)=(1,2)", "(1,2)"},
                {"[0,1)\\cup(1,2]", "[0,2]\\setminus\\{1\\}"},
                {"(-\\infty,3)\\cup(3,\\infty)", "\\mathbb{R}\\setminus\\{3\\}"},
                {"\\emptyset", "\\{\\}"},
                {"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\left[\\begin{array}{cc}1&2\\\\3&4\\end{array}\\right]"},
                {"2:3", "4:6"},
                {"\\text{(B)}", "B"},
                {"B", "\\textbf{(B)}\\ 12"},
                {"\\text{Monday}", "monday"}});
  expect_different({{"(1,2)", "(2,1)"},
                    {"[0,1)", "(0,1)"},
                    {"[0,1)", "[0,2)"},
                    {"\\{1,2\\}", "\\{1,2,3\\}"},
                    {"\\{1,2,3\\}", "\\{1,2\\}"},
                    {"5", "\\{5\\}"},
                    {"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&5\\end{pmatrix}"},
                    {"2:3", "3:2"},
                    {"\\text{Monday}", "Tuesday"},
                    {"B", "C"}});
}

TEST(Math, UnitsAndAngles) {
  expect_equal({{"1\\text{ m}", "100\\text{ cm}"},
                {"60\\text{ km/h}", "60"},
                {"60", "60\\text{ km/h}"},
                {"15\\mbox{ cm}^2", "15"},
                {"15\\text{ cm}^2", "0.0015\\text{ m}^2"},
                {"90^\\circ", "\\frac{\\pi}{2}"},
                {"90^\\circ", "90"},
                {"30^\\circ", "\\arcsin\\frac12"},
                {"12 apples", "12"},
                {"5\\text{ m}", "5m"}});
  expect_different({{"10\\text{ cm}", "10\\text{ m}"}, {"10\\text{ cm}", "10\\text{ s}"}, {"90^\\circ", "\\pi"}});
  EXPECT_EQ(check("10\\text{ cm}", "10\\text{ m}", {.ignore_units = true}).outcome, Outcome::kCorrect);
  EXPECT_EQ(check("60\\text{ km/h}", "60").rule, "reading: unit left out");
}

TEST(Math, UndecidedIsUnknown) {
  expect_unknown({{"7", "0^0"},
                  {"7", "1/0"},
                  {"7", "\\frac{1}{\\sqrt{3+2\\sqrt2}-1-\\sqrt2}"},
                  {"7", "x^{"},
                  {"7", "\\int"},
                  {"7", "\\sum_{k=1}^{\\infty} \\frac{1}{k^2+1}"}});
  const Verdict gold = check("1/0", "1/0");
  EXPECT_EQ(gold.outcome, Outcome::kUnknown);
  EXPECT_EQ(gold.cause, AbstainCause::kItem);
}

TEST(Math, FindsTheAnswer) {
  const Pair cases[] = {
      {"\\frac12", "So $x = \\frac12$."},
      {"18", "She makes 9 * 2 = $<<9*2=18>>18\n#### 18"},
      {"18", "The answer is $18 dollars, as 20 - 2 = 18."},
      {"x^2", "Therefore \\(f(x) = x^2\\)"},
      {"(1,2)", "The answer is $(1,2)$."},
      {"\\{1,2\\}", "so \\boxed{1} and \\boxed{2}."},
      {"\\sqrt2", "The answer is \\sqrt{2}."},
      {"2\\pi", "**Final Answer:** \\[ 2\\pi \\]"},
      {"7", "I tried $3$. It is 7 apples."},
      {"5", "After a while there are 5."},
      {"\\text{even}", "The answer is even."},
      {"x+1", "x+1"},
  };
  for (const Pair& c : cases) {
    const Verdict verdict = free_text(c.reference, c.answer);
    EXPECT_EQ(verdict.outcome, Outcome::kCorrect) << c.answer << ": " << verdict.extracted << " " << verdict.reason;
  }
}

TEST(Math, KeysAgreeWithVerdicts) {
  EXPECT_EQ(answer_key("\\boxed{x = \\frac{7}{2}}", AnswerKind::kMath), answer_key("3.5", AnswerKind::kMath));
  EXPECT_NE(answer_key("\\boxed{\\sqrt2}", AnswerKind::kMath), answer_key("\\boxed{\\sqrt3}", AnswerKind::kMath));
  EXPECT_EQ(answer_key("\\boxed{\\foo}", AnswerKind::kMath), std::nullopt);
  EXPECT_EQ(parse_answer_kind("math"), AnswerKind::kMath);
}

}  // namespace
}  // namespace merit::verify
