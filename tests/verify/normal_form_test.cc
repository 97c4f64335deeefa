// The normal form alone, without the balls that run before it: it may say nothing, and must never call zero what is
// not.
#include "merit/verify/normal_form.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "merit/core/rng.h"
#include "merit/verify/ball.h"
#include "merit/verify/parser.h"

namespace merit::verify {
namespace {

Expr parsed(const std::string& text) {
  Parsed p = parse_math(text);
  EXPECT_TRUE(p.ok) << text << ": " << p.reason;
  return std::move(p.expr);
}

bool form_is_zero(const std::string& text) {
  Budget budget(100'000'000);
  Forms forms(budget);
  try {
    return forms.is_zero(forms.from(parsed(text)));
  } catch (const Undecided&) {
    return false;
  }
}

// 333 bits leave no doubt of a number of this size.
bool is_surely_not_zero(const std::string& text) {
  Budget budget(100'000'000);
  Ball value;
  const Point point = {{"x", Exact(17, 31)}, {"y", Exact(-101, 43)}};
  const Defined defined = evaluate(parsed(text), point, false, 333, budget, value);
  return defined == Defined::kYes && !acb_contains_zero(value.get());
}

TEST(NormalForm, KnownIdentitiesAreZero) {
  for (const char* text :
       {"4\\cos\\frac{\\pi}{5}-1-\\sqrt5", "\\cos\\frac{\\pi}{5}-\\cos\\frac{2\\pi}{5}-\\frac12", "\\sqrt{12}-2\\sqrt3",
        "\\cos\\frac{\\pi}{7}-\\cos\\frac{2\\pi}{7}+\\cos\\frac{3\\pi}{7}-\\frac12",
        "\\sin\\frac{\\pi}{12}-\\frac{\\sqrt6-\\sqrt2}{4}", "\\frac{1}{\\sqrt2+1}-\\sqrt2+1", "\\ln 12-2\\ln 2-\\ln 3",
        "\\sin^2 x+\\cos^2 x-1", "\\sin(x+y)-\\sin x\\cos y-\\cos x\\sin y", "e^{x+y}-e^x e^y",
        "(x+y)^3-x^3-3x^2y-3xy^2-y^3", "\\frac{x^2-1}{x-1}-x-1"}) {
    EXPECT_TRUE(form_is_zero(text)) << text;
    EXPECT_FALSE(is_surely_not_zero(text)) << text;
  }
}

TEST(NormalForm, NearMissesAreNot) {
  for (const char* text :
       {"4\\cos\\frac{\\pi}{5}-1-\\sqrt6", "\\cos\\frac{\\pi}{5}+\\cos\\frac{2\\pi}{5}-\\frac12", "\\sqrt{12}-3\\sqrt2",
        "\\cos\\frac{\\pi}{7}-\\cos\\frac{2\\pi}{7}-\\cos\\frac{3\\pi}{7}-\\frac12", "\\sqrt2+\\sqrt3-\\sqrt5",
        "\\sqrt{10}-\\pi", "\\ln 13-2\\ln 2-\\ln 3", "\\sin^2 x-\\cos^2 x-1",
        "\\cos(x+y)-\\cos x\\cos y-\\sin x\\sin y", "e^{xy}-e^x e^y", "(x+y)^3-x^3-y^3",
        "\\sin\\frac{\\pi}{12}-\\frac{\\sqrt6+\\sqrt2}{4}", "\\sqrt[3]{2}+\\sqrt[3]{4}-\\sqrt[3]{6}"}) {
    EXPECT_FALSE(form_is_zero(text)) << text;
    EXPECT_TRUE(is_surely_not_zero(text)) << text;
  }
}

// Small sums of cosines, square roots and rationals with small coefficients, many of which vanish or nearly do.
TEST(NormalForm, WhatItCallsZeroIsZeroInHighPrecision) {
  size_t zero = 0;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    Rng random(seed, 3);
    const auto order = std::vector<uint64_t>{3, 4, 5, 6, 8, 10, 12}[random.below(7)];
    std::string text = std::to_string(random.between(-2, 2));
    for (int term = 0; term < 3; ++term) {
      const std::string sign = random.below(2) == 0 ? "+" : "-";
      const std::string half = random.below(2) == 0 ? "2" : "1";
      const std::string what = random.below(3) == 0 ? "\\sqrt{" + std::to_string(random.between(1, 8)) + "}"
                                                    : "\\cos\\frac{" + std::to_string(random.below(2 * order)) +
                                                          "\\pi}{" + std::to_string(order) + "}";
      text += sign + half + "\\cdot " + what;
    }
    const bool claimed = form_is_zero(text), not_zero = is_surely_not_zero(text);
    EXPECT_FALSE(claimed && not_zero) << text;
    EXPECT_TRUE(claimed || not_zero) << text << ": zero, and not seen to be";
    zero += claimed;
  }
  EXPECT_GT(zero, 30u) << "too few vanish to say anything";
}

}  // namespace
}  // namespace merit::verify
