// Laws that hold for every verdict of the strict profile, on random expressions and their rewritings.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "merit/core/rng.h"
#include "merit/verify/ball.h"
#include "merit/verify/compare.h"
#include "merit/verify/parser.h"

namespace merit::verify {
namespace {

// A random expression, and a second spelling of the same value by rules that hold wherever both sides are defined.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed, 0) {}

  std::string constant(int depth) {
    const std::string n = std::to_string(1 + random_.below(12));
    if (depth == 0) return n;
    const auto sub = [&] { return constant(depth - 1); };
    switch (random_.below(9)) {
      case 0:
        return "(" + sub() + "+" + sub() + ")";
      case 1:
        return "(" + sub() + "-" + sub() + ")";
      case 2:
        return sub() + "\\cdot " + sub();
      case 3:
        return "\\frac{" + sub() + "}{" + n + "}";
      case 4:
        return "\\sqrt{" + n + "}";
      case 5:
        return "\\sqrt[3]{" + sub() + "}";
      case 6:
        return "\\cos\\frac{" + n + "\\pi}{" + std::to_string(1 + random_.below(12)) + "}";
      case 7:
        return "\\ln " + n;
      default:
        return "(" + sub() + ")^2";
    }
  }

  std::string expression(int depth) {
    if (depth == 0)
      return random_.below(3) == 0 ? std::to_string(1 + random_.below(9)) : std::string(1, "xyt"[random_.below(3)]);
    const auto sub = [&] { return expression(depth - 1); };
    switch (random_.below(8)) {
      case 0:
        return "(" + sub() + "+" + sub() + ")";
      case 1:
        return "(" + sub() + "-" + sub() + ")";
      case 2:
        return "(" + sub() + ")(" + sub() + ")";
      case 3:
        return "\\frac{" + sub() + "}{" + sub() + "}";
      case 4:
        return "(" + sub() + ")^{" + std::to_string(1 + random_.below(3)) + "}";
      case 5:
        return "\\sin(" + sub() + ")";
      case 6:
        return "e^{" + sub() + "}";
      default:
        return "|" + sub() + "|";
    }
  }

  std::string rewritten(const std::string& e) {
    switch (random_.below(7)) {
      case 0:
        return "(" + e + ")+5-5";
      case 1:
        return "\\frac{7(" + e + ")}{7}";
      case 2:
        return "-(-(" + e + "))";
      case 3:
        return "(" + e + ")(\\sin^2(3)+\\cos^2(3))";
      case 4:
        return "\\frac{(" + e + ")\\sqrt{2}}{\\sqrt2}";
      case 5:
        return "\\frac12(" + e + ")+(" + e + ")\\cdot 0.5";
      default:
        return "(" + e + ")(\\sqrt3-1)(\\sqrt3+1)/2";
    }
  }

  uint64_t below(uint64_t n) { return random_.below(n); }

 private:
  Rng random_;
};

Expr parsed(const std::string& text) {
  Parsed p = parse_math(text);
  EXPECT_TRUE(p.ok) << text << ": " << p.reason;
  return std::move(p.expr);
}

Decision compared(const std::string& a, const std::string& b) {
  Budget budget;
  return compare_answers(parsed(a), parsed(b), {}, budget);
}

// What 333 bits say at points of their own: 1 differ, 0 no difference seen, -1 never defined on both sides.
int differ_in_high_precision(const std::string& a, const std::string& b) {
  const Expr x = parsed(a), y = parsed(b);
  int seen = -1;
  for (int64_t k = 1; k <= 12; ++k) {
    Budget budget(100'000'000);
    const Point point = {{"x", Exact(17 * k - 60, 31)}, {"y", Exact(101 - 23 * k, 43)}, {"t", Exact(11 * k, 29)}};
    Ball p, q;
    try {
      if (evaluate(x, point, true, 333, budget, p) != Defined::kYes ||
          evaluate(y, point, true, 333, budget, q) != Defined::kYes)
        continue;
    } catch (const Undecided&) {
      continue;
    }
    if (!acb_overlaps(p.get(), q.get())) return 1;
    seen = 0;
  }
  return seen;
}

TEST(MathProperties, EqualThingsAreNeverProvedDifferent) {
  size_t proved = 0, total = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Generator g(seed);
    const std::string a = seed % 2 == 0 ? g.constant(2) : g.expression(2);
    const std::string b = g.rewritten(a);
    const Decision decision = compared(a, b);
    EXPECT_FALSE(decision.different()) << a << " and " << b << " by " << decision.rule;
    ++total;
    proved += decision.equal() ? 1 : 0;
  }
  EXPECT_GE(proved, total * 9 / 10) << "and most are proved equal";
}

TEST(MathProperties, VerdictsAgreeWithHighPrecision) {
  for (uint64_t seed = 1000; seed < 1300; ++seed) {
    Generator g(seed);
    const std::string a = seed % 2 == 0 ? g.constant(2) : g.expression(2);
    const std::string b = seed % 2 == 0 ? g.constant(2) : g.expression(2);
    const Decision decision = compared(a, b);
    const int differs = differ_in_high_precision(a, b);
    if (decision.equal()) {
      EXPECT_NE(differs, 1) << a << " and " << b << " by " << decision.rule;
    }
    if (decision.different() && differs != -1) {
      EXPECT_EQ(differs, 1) << a << " and " << b << " by " << decision.rule;
    }
  }
}

TEST(MathProperties, Reflexive) {
  for (uint64_t seed = 2000; seed < 2200; ++seed) {
    Generator g(seed);
    const std::string a = seed % 2 == 0 ? g.constant(2) : g.expression(3);
    const Decision decision = compared(a, a);
    EXPECT_FALSE(decision.different()) << a;
    // Only what is nowhere defined, or too large, is not equal to itself.
    EXPECT_TRUE(decision.equal() || !decision.reason.empty()) << a;
  }
  for (const char* a :
       {"\\{1,2\\}", "(1,2)", "[0,1)", "x<3", "x+y=1", "\\begin{pmatrix}1&2\\end{pmatrix}", "5\\text{ cm}", "35\\%",
        "\\text{even}", "1\\pm\\sqrt2", "2:3", "9:00", "\\mathbb{Z}", "(-\\infty,1)\\cup(2,3]", "x=1,y=2"}) {
    EXPECT_TRUE(compared(a, a).equal()) << a;
  }
}

TEST(MathProperties, SymmetricAndTransitiveExceptForReadings) {
  // Values, structures and relations, some of them equal; what only a reading equates is marked as such.
  const std::vector<std::string> pool = {"1",
                                         "\\frac22",
                                         "1.0",
                                         "100\\%",
                                         "\\sin^2x+\\cos^2x",
                                         "2",
                                         "\\sqrt4",
                                         "\\sqrt2+\\sqrt3",
                                         "\\sqrt{5+2\\sqrt6}",
                                         "x",
                                         "y",
                                         "|x|",
                                         "\\sqrt{x^2}",
                                         "x+1",
                                         "\\frac{x^2-1}{x-1}",
                                         "\\{1,2\\}",
                                         "\\{2,1\\}",
                                         "1, 2",
                                         "(1,2)",
                                         "(2,1)",
                                         "[1,2]",
                                         "(1,2]",
                                         "1<x<2",
                                         "\\{x \\mid 1<x<2\\}",
                                         "x=1",
                                         "1=x",
                                         "2x=2",
                                         "y=1",
                                         "x>1",
                                         "1<x",
                                         "x \\ge 1",
                                         "(1,\\infty)",
                                         "x+y=1",
                                         "2x+2y=2",
                                         "y=1-x",
                                         "1\\text{ m}",
                                         "100\\text{ cm}",
                                         "1\\text{ s}",
                                         "\\pm1",
                                         "1,-1",
                                         "\\{-1,1\\}",
                                         "x=\\pm1",
                                         "x^2=1",
                                         "\\text{B}",
                                         "B",
                                         "1:2",
                                         "2:4",
                                         "\\begin{pmatrix}1\\\\2\\end{pmatrix}",
                                         "e^{\\ln 2}",
                                         "2i",
                                         "\\sqrt{-4}",
                                         "\\pi",
                                         "3.14",
                                         "\\infty",
                                         "\\int_0^1 2x\\,dx",
                                         "\\lim_{x\\to 0}\\frac{\\sin x}{x}",
                                         "\\sum_{k=1}^{\\infty}\\frac{1}{2^k}",
                                         "\\frac{d}{dx}\\frac{x^2}{2}",
                                         "\\begin{vmatrix}1&0\\\\0&1\\end{vmatrix}",
                                         "x=1,y=2",
                                         "\\begin{cases}x+y=3\\\\x-y=-1\\end{cases}",
                                         "1 \\pmod 5",
                                         "6 \\pmod 5",
                                         "\\begin{cases}x&x\\ge0\\\\-x&x<0\\end{cases}",
                                         "\\begin{cases}-x&x<0\\\\x&x\\ge0\\end{cases}",
                                         "\\emptyset",
                                         "\\{\\}"};
  std::vector<std::vector<Decision>> table(pool.size());
  for (size_t i = 0; i < pool.size(); ++i) {
    for (size_t j = 0; j < pool.size(); ++j) table[i].push_back(compared(pool[i], pool[j]));
  }
  const auto reading = [](const Decision& d) {
    return std::string_view(d.rule).starts_with("reading") || std::string_view(d.rule) == "relation for a set";
  };
  for (size_t i = 0; i < pool.size(); ++i) {
    EXPECT_TRUE(table[i][i].equal()) << pool[i];
    for (size_t j = 0; j < pool.size(); ++j) {
      if (reading(table[i][j]) || reading(table[j][i])) continue;
      EXPECT_EQ(table[i][j].answer, table[j][i].answer) << pool[i] << " and " << pool[j];
      for (size_t k = 0; k < pool.size(); ++k) {
        if (!table[i][j].equal() || !table[j][k].equal() || reading(table[j][k]) || reading(table[i][k])) continue;
        EXPECT_TRUE(table[i][k].equal()) << pool[i] << ", " << pool[j] << ", " << pool[k];
      }
    }
  }
}

}  // namespace
}  // namespace merit::verify
