// Closed forms rewritten as quotients of polynomials in atoms, in one way for many spellings: symbols, pi, primes and
// what else stands under radicals (x^(1/2)), e^(i pi r), exponentials, logarithms, and functions that stay opaque. sin,
// cos and their kin become exponentials, so that every identity of sums and multiples of angles is one of polynomials;
// roots of unity are reduced by cyclotomic polynomials, and square roots of primes are Gauss sums among them. Two
// expressions with the same form are equal wherever both are defined. Internal to the checker.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "merit/verify/budget.h"
#include "merit/verify/expr.h"
#include "merit/verify/poly.h"

namespace merit::verify {

struct Form {
  Poly top;
  Poly bottom{Exact(1)};  // not 0; one term only if it is 1
};

struct Atom {
  enum class Kind : uint8_t {
    kUnity,  // e^(i pi), exponents in [0, 1)
    kPi,
    kPrime,    // number: a prime, or a number whose factors were not worth finding; exponents in (0, 1)
    kSymbol,   // name
    kExp,      // e^base, base one term of coefficient 1
    kLn,       // ln(base)
    kRadical,  // base, a sum, under fractional exponents
    kAbs,      // |base|
    kOpaque,   // name(base / bottom, ...): a function we know nothing of but that equal arguments give equal values
  };
  Kind kind;
  std::string name;
  Exact number;
  std::vector<Poly> base;
};

// The factors of a whole number above 0 and how often each divides it: primes, and at most one number of more than 62
// bits whose own factors were not worth finding.
std::vector<std::pair<Exact, int>> factors_of(Exact n, Budget& budget);

// One comparison's atoms. Undecided where a form would need what is not known or more work than is allowed.
class Forms {
 public:
  explicit Forms(Budget& budget);

  Form from(const Expr& e);
  // Zero for certain: the difference of two forms, or one of them. False: not known to be zero.
  bool is_zero(const Form& f);
  Form subtract(const Form& a, const Form& b) { return add(a, Form{negate(b.top), b.bottom}); }
  const Atom& atom(uint32_t id) const { return atoms_[id]; }

  // An expression of the same value.
  Expr to_expr(const Form& f) const;
  Expr to_expr(const Poly& p) const;

  Form add(const Form& a, const Form& b);
  Form multiply(const Form& a, const Form& b);
  Form invert(const Form& a);

 private:
  uint32_t atom_id(Atom::Kind kind, std::string name, Exact number, std::vector<Poly> base);
  Poly one(uint32_t atom, int64_t top = 1, int64_t bottom = 1);
  Form form(Poly p) { return Form{std::move(p), Poly(Exact(1))}; }

  Poly settle(std::vector<Term> terms);
  void settle_term(Term& term) const;
  Poly product(const Poly& a, const Poly& b);
  Poly power(const Poly& p, int64_t exponent);
  Form whole_power(const Form& f, int64_t exponent);
  Form rational_power(const Form& f, const Exact& exponent, const Expr& base);
  Poly number_power(const Exact& value, int64_t top, int64_t bottom);
  Form monomial_power(const Term& term, int64_t top, int64_t bottom);
  bool is_real(const Monomial& m) const;
  Exact content(const Poly& p) const;

  Form call(const Expr& e);
  Form exponential(const Form& f);
  Form logarithm(const Form& f, const Expr& of);
  Poly log_of_poly(const Poly& p, const Expr* of);
  Poly log_of_number(const Exact& value);
  Form sine(const Form& f);
  Form cosine(const Form& f);
  Form hyperbolic(const Form& f, bool sine);
  std::optional<Form> inverse_angle(const Expr& e);
  Form absolute(const Expr& e);
  std::optional<Form> real_part(const Form& f, bool imaginary);
  Form factorial(const Expr& e);
  Form binomial(const Expr& e);
  Form series(const Expr& e);
  Form opaque(const std::string& name, const std::vector<Expr>& arguments);
  std::optional<int64_t> whole(const Expr& e);

  Poly clear_radicals(const Poly& p);
  Poly reduce_unity(const Poly& p);

  Budget& budget_;
  std::vector<Atom> atoms_;
  int depth_ = 0;
};

}  // namespace merit::verify
