// Limits, derivatives, definite integrals, infinite sums and products, piecewise functions: decided where exact
// arithmetic decides, unknown elsewhere. The values are textbook ones.
#include <gtest/gtest.h>

#include "merit/verify/answer.h"

namespace merit::verify {
namespace {

struct Pair {
  const char* a;
  const char* b;
};

Verdict check(std::string_view reference, std::string_view answer) {
  return verify_answer("\\boxed{" + std::string(answer) + "}", reference, AnswerKind::kMath);
}
// Both ways round.
void expect(Outcome outcome, std::initializer_list<Pair> pairs) {
  for (const Pair& p : pairs) {
    for (const auto& [reference, answer] : {Pair{p.a, p.b}, Pair{p.b, p.a}}) {
      const Verdict verdict = check(reference, answer);
      EXPECT_EQ(verdict.outcome, outcome)
          << reference << " and " << answer << ": " << verdict.rule << ", " << verdict.reason;
    }
  }
}
constexpr Outcome kYes = Outcome::kCorrect;
constexpr Outcome kNo = Outcome::kIncorrect;

TEST(Calculus, Derivatives) {
  expect(kYes, {{"3x^2", "\\frac{d}{dx} x^3"},
                {"2x\\cos(x^2)", "\\frac{d}{dx} \\sin(x^2)"},
                {"\\frac{1}{x}", "\\frac{d}{dx} \\ln x"},
                {"6x", "\\frac{d^2}{dx^2} x^3"},
                {"\\frac{d}{dx}(x e^x)", "(x+1)e^x"},
                {"\\frac{1}{2\\sqrt{x}}", "\\frac{d}{dx}\\sqrt{x}"},
                {"\\sec^2 x", "\\frac{d}{dx}\\tan x"},
                {"2^x\\ln 2", "\\frac{d}{dx} 2^x"},
                {"\\frac{\\partial}{\\partial x}(x^2 y)", "2xy"},
                {"\\frac{1}{1+x^2}", "\\frac{\\mathrm{d}}{\\mathrm{d}x}\\arctan x"}});
  expect(kNo, {{"2x^2", "\\frac{d}{dx} x^3"}, {"\\sin x", "\\frac{d}{dx}\\cos x"}});
}

TEST(Calculus, DefiniteIntegrals) {
  expect(kYes, {{"\\frac13", "\\int_0^1 x^2 \\, dx"},
                {"2", "\\int_0^{\\pi} \\sin x\\,dx"},
                {"\\ln 2", "\\int_1^2 \\frac{dx}{x}"},
                {"\\frac{\\pi}{4}", "\\int_0^1 \\frac{1}{1+x^2}\\,dx"},
                {"\\frac{\\pi}{4}", "\\int_0^1 \\sqrt{1-x^2}\\,dx"},
                {"1", "\\int_0^1 x e^x\\,dx"},
                {"\\frac{\\pi}{2}", "\\int_0^{\\pi}\\sin^2 x\\,dx"},
                {"\\ln\\frac43", "\\int_1^2 \\frac{1}{x(x+1)}\\,dx"},
                {"2", "\\int_0^1 \\frac{1}{\\sqrt{x}}\\,dx"},
                {"\\frac{t^2}{2}", "\\int_0^t x\\,dx"},
                {"1", "\\int_0^{\\infty} e^{-x}\\,dx"},
                {"1", "\\int_1^{\\infty} \\frac{1}{x^2}\\,dx"},
                {"\\pi", "\\int_{-\\infty}^{\\infty} \\frac{1}{1+x^2}\\,dx"},
                {"2\\ln2-1", "\\int_1^2 \\ln x\\,dx"},
                {"\\frac{e-1}{2}", "\\int_0^1 x e^{x^2}\\,dx"},
                {"\\frac12\\ln 2", "\\int_0^{\\pi/4}\\tan x\\,dx"},
                {"\\int_0^1 e^{-x^2}\\,dx", "\\int_0^1 e^{-t^2}\\,dt"}});
  expect(
      kNo,
      {{"\\frac12", "\\int_0^1 x^2\\,dx"}, {"0.7468", "\\int_0^1 e^{-x^2}\\,dx"}, {"1", "\\int_0^1\\sin(x^2)\\,dx"}});
  // Never through a pole, though -1/x and ln|x| have values at both ends.
  expect(Outcome::kUnknown, {{"-2", "\\int_{-1}^1 \\frac{1}{x^2}\\,dx"}, {"0", "\\int_{-1}^1 \\frac1x\\,dx"}});
}

TEST(Calculus, Limits) {
  expect(kYes, {{"1", "\\lim_{x\\to 0}\\frac{\\sin x}{x}"},
                {"\\frac12", "\\lim_{x\\to 0}\\frac{1-\\cos x}{x^2}"},
                {"4", "\\lim_{x\\to 2}\\frac{x^2-4}{x-2}"},
                {"\\frac23", "\\lim_{x\\to\\infty}\\frac{2x^2+1}{3x^2-x}"},
                {"e", "\\lim_{n\\to\\infty}\\left(1+\\frac1n\\right)^n"},
                {"\\frac12", "\\lim_{x\\to\\infty}(\\sqrt{x^2+x}-x)"},
                {"0", "\\lim_{x\\to\\infty}\\frac{x^5}{e^x}"},
                {"0", "\\lim_{x\\to 0^+} x\\ln x"},
                {"\\infty", "\\lim_{x\\to 0^+}\\frac1x"},
                {"-\\infty", "\\lim_{x\\to 0^-}\\frac1x"},
                {"\\infty", "\\lim_{x\\to 0}\\frac{1}{x^2}"},
                {"\\frac{\\pi}{2}", "\\lim_{x\\to\\infty}\\arctan x"},
                {"5", "\\lim_{x\\to 2}(x^2+1)"},
                {"a", "\\lim_{x\\to 0}\\frac{\\sin(ax)}{x}"},
                {"1", "\\lim_{x\\to 0^+}\\frac{|x|}{x}"},
                {"\\frac14", "\\lim_{x\\to 4}\\frac{\\sqrt{x}-2}{x-4}"}});
  expect(kNo, {{"0", "\\lim_{x\\to 0}\\frac{\\sin x}{x}"}, {"2", "\\lim_{x\\to 2}\\frac{x^2-4}{x-2}"}});
  expect(Outcome::kUnknown, {{"1", "\\lim_{x\\to 0}\\frac{|x|}{x}"},
                             {"\\infty", "\\lim_{x\\to 0}\\frac1x"},
                             {"0", "\\lim_{x\\to\\infty}\\sin x"}});
}

TEST(Calculus, InfiniteSumsAndProducts) {
  expect(kYes, {{"2", "\\sum_{k=0}^{\\infty}\\frac{1}{2^k}"},
                {"\\frac23", "\\sum_{k=0}^{\\infty}\\left(-\\frac12\\right)^k"},
                {"2", "\\sum_{k=1}^{\\infty}\\frac{k}{2^k}"},
                {"6", "\\sum_{k=1}^{\\infty}\\frac{k^2}{2^k}"},
                {"1", "\\sum_{n=1}^{\\infty}\\frac{1}{n(n+1)}"},
                {"\\frac34", "\\sum_{n=2}^{\\infty}\\frac{1}{n^2-1}"},
                {"\\frac{\\pi^2}{6}", "\\sum_{k=1}^{\\infty}\\frac{1}{k^2}"},
                {"\\frac{\\pi^4}{90}", "\\sum_{k=1}^{\\infty}\\frac{1}{k^4}"},
                {"\\frac{\\pi^2}{8}", "\\sum_{k=0}^{\\infty}\\frac{1}{(2k+1)^2}"},
                {"e", "\\sum_{k=0}^{\\infty}\\frac{1}{k!}"},
                {"e^x-1", "\\sum_{k=1}^{\\infty}\\frac{x^k}{k!}"},
                {"\\frac12", "\\prod_{k=2}^{\\infty}\\left(1-\\frac{1}{k^2}\\right)"},
                {"\\frac{\\pi}{2}", "\\prod_{k=1}^{\\infty}\\frac{4k^2}{4k^2-1}"}});
  expect(kNo,
         {{"1", "\\sum_{k=0}^{\\infty}\\frac{1}{2^k}"}, {"\\frac{\\pi^2}{8}", "\\sum_{k=1}^{\\infty}\\frac{1}{k^2}"}});
  expect(Outcome::kUnknown, {{"7", "\\sum_{k=1}^{\\infty}\\frac1k"},
                             {"-1", "\\sum_{k=0}^{\\infty} 2^k"},
                             {"1", "\\prod_{k=1}^{\\infty}\\frac{k+1}{k}"}});
}

TEST(Calculus, PiecewiseFunctions) {
  const char* f = "\\begin{cases} x^2+2x+1 & x \\ge 0 \\\\ 1-x & x < 0 \\end{cases}";
  expect(kYes, {{f, "\\begin{cases} (x+1)^2 & \\text{if } x \\ge 0 \\\\ -x+1 & \\text{if } x < 0 \\end{cases}"},
                {f, "\\begin{cases} 1-x, & 0 > x \\\\ (1+x)^2, & x \\ge 0 \\end{cases}"},
                {f, "\\begin{cases} (x+1)^2 & x \\ge 0 \\\\ 1-x & \\text{otherwise} \\end{cases}"},
                {f, "f(x)=\\begin{cases} (x+1)^2 & x \\ge 0 \\\\ 1-x & x<0 \\end{cases}"}});
  expect(kNo, {{f, "\\begin{cases} (x+1)^2 & x \\ge 0 \\\\ 1+x & x < 0 \\end{cases}"},
               {f, "\\begin{cases} (x+1)^2 & x \\ge 1 \\\\ 1-x & x < 1 \\end{cases}"},
               {f, "x^2+2x+1"}});
  // The same function, with the place where the pieces meet given to the other one: not proved, and no difference.
  expect(Outcome::kUnknown, {{"\\begin{cases} x & x \\ge 0 \\\\ -x & x < 0 \\end{cases}",
                              "\\begin{cases} x & x > 0 \\\\ -x & x \\le 0 \\end{cases}"}});
}

}  // namespace
}  // namespace merit::verify
