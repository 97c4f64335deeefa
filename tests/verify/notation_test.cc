// Notations that answers are written in, each against a second spelling of the same thing and a near miss.
#include <gtest/gtest.h>

#include "merit/verify/answer.h"

namespace merit::verify {
namespace {

struct Case {
  const char* a;
  const char* same;
  const char* other;
};

Verdict check(std::string_view reference, std::string_view answer) {
  return verify_answer("\\boxed{" + std::string(answer) + "}", reference, AnswerKind::kMath);
}

void expect(std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    for (const auto& [reference, answer] : {std::pair(c.a, c.same), std::pair(c.same, c.a)}) {
      const Verdict v = check(reference, answer);
      EXPECT_EQ(v.outcome, Outcome::kCorrect) << reference << " and " << answer << ": " << v.rule << ", " << v.reason;
    }
    for (const auto& [reference, answer] : {std::pair(c.a, c.other), std::pair(c.other, c.a)}) {
      const Verdict v = check(reference, answer);
      EXPECT_EQ(v.outcome, Outcome::kIncorrect) << reference << " and " << answer << ": " << v.rule << ", " << v.reason;
    }
  }
}

TEST(Notation, Numbers) {
  expect({{"\\frac13", "0.\\overline{3}", "0.3"},
          {"\\frac13", "0.(3)", "0.33"},
          {"\\frac13", "0.333...", "0.333"},
          {"\\frac16", "0.1666\\ldots", "0.1666"},
          {"\\frac17", "0.142857142857...", "0.142857142857"},
          {"31", "0x1F", "0x1E"},
          {"2\\frac12", "2 1/2", "2 1/3"},
          {"\\frac16", "\\frac{\\frac12}{3}", "\\frac{1}{\\frac{2}{3}}"},
          {"1500", "1.5\\times10^3", "1.5\\times10^4"},
          {"3-4i", "\\overline{3+4i}", "3+4i"},
          {"\\frac{\\pi^2}{6}", "\\zeta(2)", "\\zeta(4)"}});
}

TEST(Notation, Quantities) {
  expect({{"150\\text{ min}", "2\\text{ hours } 30\\text{ minutes}", "2\\text{ hours } 20\\text{ minutes}"},
          {"66\\text{ in}", "5\\text{ ft } 6\\text{ in}", "5\\text{ ft } 7\\text{ in}"},
          {"100^\\circ\\text{C}", "212^\\circ\\text{F}", "100^\\circ\\text{F}"},
          {"\\$5", "500\\text{ cents}", "5\\text{ cents}"},
          {"3\\text{ dozen}", "36", "35"},
          {"1\\text{ gal}", "4\\text{ qt}", "3\\text{ qt}"},
          {"2\\text{ years}", "24\\text{ months}", "20\\text{ months}"},
          {"72\\text{ km/h}", "20\\text{ m/s}", "20\\text{ km/h}"},
          {"9\\text{ a.m.}", "9:00\\text{ AM}", "9:00\\text{ PM}"},
          {"12\\text{ PM}", "12:00\\text{ p.m.}", "12\\text{ AM}"},
          {"3{:}30", "3:30", "3:31"},
          {"\\text{March 5, 2024}", "2024-03-05", "2024-03-06"},
          {"3:4", "\\frac{6}{8}", "\\frac43"}});
}

TEST(Notation, Structures) {
  expect({{"-2", "\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}", "2"},
          {"-2", "\\det\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "-3"},
          {"(1,2)", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}2\\\\1\\end{pmatrix}"},
          {"x=1,y=2", "\\begin{cases}x+y=3\\\\x-y=-1\\end{cases}", "\\begin{cases}x+y=3\\\\x-y=1\\end{cases}"},
          {"x+y=3, 2x=2", "y=2, x=1", "y=1, x=2"},
          {"(x,y)=(1,2)", "x=1,y=2", "x=2,y=1"},
          {"x \\equiv 3 \\pmod 5", "x \\equiv 8 \\pmod{5}", "x \\equiv 4 \\pmod 5"},
          {"3 \\pmod 5", "3", "4"},
          {"\\frac{dy}{dx}=2x", "2x", "3x"},
          {"A, C", "\\text{C, A}", "\\text{A, B}"},
          {"\\text{B and C}", "C, B", "B"},
          {"\\text{Yes}", "yes", "no"},
          {"\\text{no solution}", "\\emptyset", "\\{0\\}"}});
}

TEST(Notation, AnswersInTheirTexts) {
  struct Text {
    const char* reference;
    const char* response;
    Outcome outcome;
  };
  const Text cases[] = {
      {"5", "I think so.\n<answer>5</answer>", Outcome::kCorrect},
      {"5", "<answer>6</answer> <answer> 5 apples </answer> or 7", Outcome::kCorrect},
      {"5", "It is 5. <answer>5", Outcome::kUnknown},  // cut off
      {"B", "The correct option is (B).", Outcome::kCorrect},
      {"B", "The best choice is **C**", Outcome::kIncorrect},
      {"2, 3", "So x = 2 or x = 3", Outcome::kCorrect},
      {"3", "So x = 2 or x = 3", Outcome::kIncorrect},
      {"(1,2)", "The point is (1, 2).", Outcome::kCorrect},
      {"2", "The point is (1, 2).", Outcome::kIncorrect},
      {"10:30 AM", "The train leaves at 10:30 a.m.", Outcome::kCorrect},
      {"10:30 AM", "The train leaves at 10:30 p.m.", Outcome::kIncorrect},
      {"2024-03-05", "The answer is March 5, 2024.", Outcome::kCorrect},
      {"3", "The answer is three.", Outcome::kCorrect},
      {"3", "The answer is four.", Outcome::kIncorrect},
      {"3", "\\boxed{\\text{3 apples}}", Outcome::kCorrect},
      {"x_1=2, x_2=3", "\\boxed{3, 2}", Outcome::kCorrect},
      {"\\mathbb{R}", "\\boxed{\\text{all real numbers}}", Outcome::kCorrect},
      {"3", "\\boxed{\\operatorname{Re}(3+4i)}", Outcome::kCorrect},
      {"y'=2x", "\\boxed{2x}", Outcome::kCorrect},
      {"f'(x)=2x", "\\boxed{f'(x)=3x}", Outcome::kIncorrect},
  };
  for (const Text& c : cases) {
    const Verdict v = verify_answer(c.response, c.reference, AnswerKind::kMath);
    EXPECT_EQ(v.outcome, c.outcome) << c.reference << " and " << c.response << ": " << v.extracted << ", " << v.reason;
  }
}

TEST(Notation, SystemsThatAreNotLinearAreNotGuessed) {
  // The same two points; and equations that differ one by one.
  EXPECT_EQ(check("x^2+y^2=2, x=y", "x^2=1, x=y").outcome, Outcome::kUnknown);
  EXPECT_EQ(check("x^2+y^2=2, x=y", "y=x, x^2+y^2=2").outcome, Outcome::kCorrect);
}

}  // namespace
}  // namespace merit::verify
