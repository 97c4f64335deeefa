// Sums of products of atoms with rational exponents and exact coefficients: what every closed form is rewritten into.
// Internal to the checker.
#pragma once

#include <cstdint>
#include <vector>

#include "merit/verify/budget.h"
#include "merit/verify/exact.h"

namespace merit::verify {

// atom ^ (top / bottom), in lowest terms, bottom > 0, top != 0
struct Factor {
  uint32_t atom;
  int32_t top;
  int32_t bottom;

  auto operator<=>(const Factor&) const = default;
};
// Sorted by atom, each once.
using Monomial = std::vector<Factor>;

struct Term {
  Monomial monomial;
  Exact coefficient;  // not 0
};

// Sorted by monomial, each once. No terms: 0.
struct Poly {
  std::vector<Term> terms;

  Poly() = default;
  explicit Poly(Exact constant);
  explicit Poly(Term term);

  bool is_zero() const { return terms.empty(); }
  bool is_constant() const { return terms.empty() || (terms.size() == 1 && terms[0].monomial.empty()); }
  bool is_one() const { return terms.size() == 1 && terms[0].monomial.empty() && terms[0].coefficient.is_one(); }
  // Of a constant one.
  Exact constant() const { return terms.empty() ? Exact(0) : terms[0].coefficient; }
  bool operator==(const Poly& other) const;
};

// top / bottom in lowest terms; Undecided beyond 20 bits, so that products of exponents never overflow.
Factor make_factor(uint32_t atom, int64_t top, int64_t bottom);
Monomial times(const Monomial& a, const Monomial& b);
// Every exponent times top / bottom.
Monomial power(const Monomial& m, int64_t top, int64_t bottom);

Poly negate(Poly p);
Poly scale(Poly p, const Exact& by);
Poly add(const Poly& a, const Poly& b, Budget& budget);
// The plain product: what atoms are worth is the caller's business.
Poly multiply(const Poly& a, const Poly& b, Budget& budget);
// Terms in any order, with repetitions, into a polynomial.
Poly collect(std::vector<Term> terms, Budget& budget);

}  // namespace merit::verify
