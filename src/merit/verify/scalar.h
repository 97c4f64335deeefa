// Are two closed forms equal? Exact arithmetic first, then balls that prove a difference, then normal forms and, for
// real algebraic numbers, a separation bound that prove equality. Internal to the checker.
#pragma once

#include <optional>
#include <string>

#include "merit/verify/budget.h"
#include "merit/verify/expr.h"

namespace merit::verify {

enum class Answer : uint8_t { kEqual, kDifferent, kUnknown };

struct Decision {
  Answer answer = Answer::kUnknown;
  const char* rule = "";  // what decided
  std::string reason;     // one clause for people

  bool equal() const { return answer == Answer::kEqual; }
  bool different() const { return answer == Answer::kDifferent; }
};

// Two values are equal if they agree wherever both are defined; symbols are real unless i occurs. Total: ends within
// the budget. Symmetric in what it answers.
Decision compare_scalars(const Expr& a, const Expr& b, Budget& budget);

// The value of pure arithmetic; nothing for anything else. Undecided: a division by zero, or too many digits.
std::optional<Exact> exact_value(const Expr& e, Budget& budget);

// The bits that a difference of real algebraic numbers needs to be told from 0: if e is not 0 then |e| > 2^-bits
// (C. Burnikel, S. Funke, K. Mehlhorn, S. Schirra, S. Schmitt: A separation bound for real algebraic expressions, 2001:
// e = U / L for algebraic integers of degree at most D whose conjugates are at most u and l, so |e| >= 1 / (u^(D-1)
// l)). Nothing for what is not such a number.
std::optional<double> separation_bits(const Expr& e, Budget& budget);

}  // namespace merit::verify
