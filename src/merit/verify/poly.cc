#include "merit/verify/poly.h"

#include <algorithm>
#include <numeric>

namespace merit::verify {
namespace {

constexpr int64_t kMaxExponent = 1 << 20;
constexpr size_t kMaxTerms = 4000;

void check(const Exact& value) {
  if (value.bits() > Budget::kMaxBits) throw Undecided{"a number of too many digits"};
}

uint64_t cost(const Poly& p) {
  uint64_t words = 0;
  for (const Term& term : p.terms) words += 8 + term.coefficient.words();
  return words;
}

}  // namespace

Poly::Poly(Exact constant) {
  if (!constant.is_zero()) terms.push_back({{}, std::move(constant)});
}

Poly::Poly(Term term) {
  if (!term.coefficient.is_zero()) terms.push_back(std::move(term));
}

bool Poly::operator==(const Poly& other) const {
  if (terms.size() != other.terms.size()) return false;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (terms[i].monomial != other.terms[i].monomial || !(terms[i].coefficient == other.terms[i].coefficient))
      return false;
  }
  return true;
}

Factor make_factor(uint32_t atom, int64_t top, int64_t bottom) {
  const int64_t divisor = std::gcd(top, bottom);
  if (divisor > 1) {
    top /= divisor;
    bottom /= divisor;
  }
  if (top > kMaxExponent || top < -kMaxExponent || bottom > kMaxExponent)
    throw Undecided{"an exponent that is too large"};
  return {atom, static_cast<int32_t>(top), static_cast<int32_t>(bottom)};
}

Monomial times(const Monomial& a, const Monomial& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  Monomial out;
  out.reserve(a.size() + b.size());
  size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (j == b.size() || (i < a.size() && a[i].atom < b[j].atom)) {
      out.push_back(a[i++]);
    } else if (i == a.size() || b[j].atom < a[i].atom) {
      out.push_back(b[j++]);
    } else {
      const int64_t top = int64_t{a[i].top} * b[j].bottom + int64_t{b[j].top} * a[i].bottom;
      if (top != 0) out.push_back(make_factor(a[i].atom, top, int64_t{a[i].bottom} * b[j].bottom));
      ++i;
      ++j;
    }
  }
  return out;
}

Monomial power(const Monomial& m, int64_t top, int64_t bottom) {
  Monomial out;
  if (top == 0) return out;
  for (const Factor& f : m) out.push_back(make_factor(f.atom, f.top * top, f.bottom * bottom));
  return out;
}

Poly negate(Poly p) {
  for (Term& term : p.terms) term.coefficient = -term.coefficient;
  return p;
}

Poly scale(Poly p, const Exact& by) {
  if (by.is_zero()) return {};
  for (Term& term : p.terms) {
    term.coefficient *= by;
    check(term.coefficient);
  }
  return p;
}

Poly add(const Poly& a, const Poly& b, Budget& budget) {
  budget.spend(cost(a) + cost(b));
  Poly out;
  out.terms.reserve(a.terms.size() + b.terms.size());
  size_t i = 0, j = 0;
  while (i < a.terms.size() || j < b.terms.size()) {
    if (j == b.terms.size() || (i < a.terms.size() && a.terms[i].monomial < b.terms[j].monomial)) {
      out.terms.push_back(a.terms[i++]);
    } else if (i == a.terms.size() || b.terms[j].monomial < a.terms[i].monomial) {
      out.terms.push_back(b.terms[j++]);
    } else {
      Exact sum = a.terms[i].coefficient + b.terms[j].coefficient;
      check(sum);
      if (!sum.is_zero()) out.terms.push_back({a.terms[i].monomial, std::move(sum)});
      ++i;
      ++j;
    }
  }
  if (out.terms.size() > kMaxTerms) throw Undecided{"too many terms"};
  return out;
}

Poly multiply(const Poly& a, const Poly& b, Budget& budget) {
  if (a.is_one()) return b;
  if (b.is_one()) return a;
  if (a.terms.size() == 1 && b.terms.size() == 1) {
    Exact product = a.terms[0].coefficient * b.terms[0].coefficient;
    check(product);
    return Poly(Term{times(a.terms[0].monomial, b.terms[0].monomial), std::move(product)});
  }
  if (a.terms.size() * b.terms.size() > 40 * kMaxTerms) throw Undecided{"too many terms"};
  budget.spend(4 * (a.terms.size() * cost(b) + b.terms.size() * cost(a)));
  std::vector<Term> terms;
  terms.reserve(a.terms.size() * b.terms.size());
  for (const Term& x : a.terms) {
    for (const Term& y : b.terms) terms.push_back({times(x.monomial, y.monomial), x.coefficient * y.coefficient});
  }
  return collect(std::move(terms), budget);
}

Poly collect(std::vector<Term> terms, Budget& budget) {
  budget.spend(terms.size() * 4);
  std::sort(terms.begin(), terms.end(), [](const Term& x, const Term& y) { return x.monomial < y.monomial; });
  Poly out;
  for (Term& term : terms) {
    if (!out.terms.empty() && out.terms.back().monomial == term.monomial) {
      out.terms.back().coefficient += term.coefficient;
    } else {
      if (!out.terms.empty() && out.terms.back().coefficient.is_zero()) out.terms.pop_back();
      out.terms.push_back(std::move(term));
    }
    check(out.terms.back().coefficient);
  }
  if (!out.terms.empty() && out.terms.back().coefficient.is_zero()) out.terms.pop_back();
  if (out.terms.size() > kMaxTerms) throw Undecided{"too many terms"};
  return out;
}

}  // namespace merit::verify
