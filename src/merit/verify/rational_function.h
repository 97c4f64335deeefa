// Quotients of polynomials in one symbol with rational coefficients (lowest first). Internal to the checker.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "merit/verify/budget.h"
#include "merit/verify/expr.h"

namespace merit::verify {

using Coefficients = std::vector<Exact>;

Coefficients multiply_polynomials(const Coefficients& a, const Coefficients& b);

// c / (x - root)^power
struct Pole {
  Exact root;
  int64_t power;
  Exact coefficient;
};
// (b x + c) / (x^2 + p x + q), which has no rational root
struct Quadratic {
  Exact p, q;
  Exact b, c;
};
// The quotient as a polynomial and fractions. Nothing where the denominator has other factors, or is of a degree above
// 12.
struct PartialFractions {
  Coefficients whole;
  std::vector<Pole> poles;
  std::vector<Quadratic> quadratics;
};
std::optional<PartialFractions> partial_fractions(const Coefficients& top, const Coefficients& bottom, Budget& budget);

// Where a function is known to be continuous.
struct Region {
  bool everywhere = true;     // on the whole real line; else
  std::optional<Exact> from;  // right of this number

  static Region right_of(Exact x) { return {false, std::move(x)}; }
  static Region unknown() { return {false, std::nullopt}; }
};
Region common(const Region& a, const Region& b);

struct RationalPrimitive {
  Expr value;
  Region region;
};
std::optional<RationalPrimitive> rational_primitive(const Coefficients& top, const Coefficients& bottom,
                                                    const std::string& x, Budget& budget);

}  // namespace merit::verify
