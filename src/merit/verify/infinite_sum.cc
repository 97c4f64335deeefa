// Infinite sums and products with a closed form: P(k) r^k with |r| < 1, c r^k / k!, and rational functions of k, whose
// partial fractions telescope or add up to values of the zeta function; products of rational functions as values of the
// gamma function.
#include <bernoulli.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "merit/verify/ball.h"
#include "merit/verify/calculus.h"
#include "merit/verify/rational_function.h"

namespace merit::verify {
namespace {

constexpr int64_t kMaxStart = 1000;
constexpr size_t kMaxDegree = 8;

Expr plus(Expr a, Expr b) { return binary(Op::kAdd, std::move(a), std::move(b)); }
Expr times(Expr a, Expr b) { return binary(Op::kMul, std::move(a), std::move(b)); }
Expr minus(Expr a) { return unary(Op::kNeg, std::move(a)); }

class Sum {
 public:
  Sum(const Expr& term, const std::string& k, int64_t from, Budget& budget)
      : term_(term), k_(k), from_(from), budget_(budget), forms_(budget) {}

  Expr run() {
    if (std::abs(from_) > kMaxStart) throw Undecided{"a sum that starts too far out"};
    const Form f = forms_.from(term_);
    if (f.top.is_zero()) return number_expr(0);
    const auto top = rational_polynomial(f.top, k_, forms_), bottom = rational_polynomial(f.bottom, k_, forms_);
    if (top && bottom && !bottom->empty()) return of_rational(*top, *bottom);
    if (auto quotient = of_laurent(f)) return std::move(*quotient);
    if (auto e = of_exponential()) return std::move(*e);
    return of_geometric();
  }

 private:
  Expr at(const Expr& e, int64_t k) { return substitute(e, k_, number_expr(k)); }
  Form ratio(const Expr& e) {
    const Expr next = substitute(e, k_, plus(symbol_expr(k_), number_expr(1)));
    Form f = forms_.multiply(forms_.from(next), forms_.invert(forms_.from(e)));
    // What the denominator's first term has besides powers of k is divided out of all.
    Monomial common;
    for (const Factor& factor : f.bottom.terms[0].monomial) {
      if (forms_.atom(factor.atom).kind != Atom::Kind::kSymbol) common.push_back(factor);
    }
    if (common.empty()) return f;
    const Form inverse{Poly(Term{power(common, -1, 1), Exact(1)}), Poly(Exact(1))};
    return {forms_.multiply(Form{f.top, Poly(Exact(1))}, inverse).top,
            forms_.multiply(Form{f.bottom, Poly(Exact(1))}, inverse).top};
  }
  bool is_below_one(const Expr& r) {
    Ball value;
    if (!symbols_of(r).empty() || evaluate(r, {}, false, 128, budget_, value) != Defined::kYes) return false;
    arb_t size;
    arb_init(size);
    acb_abs(size, value.get(), 128);
    arb_sub_ui(size, size, 1, 128);
    const bool below = arb_is_negative(size);
    arb_clear(size);
    return below;
  }
  // The terms from the start up to the one before k = 0, or minus those from 0 on that are left out.
  Expr start_terms(const Expr& e) {
    Expr out = number_expr(0);
    for (int64_t k = from_; k < 0; ++k) out = plus(std::move(out), at(e, k));
    for (int64_t k = 0; k < from_; ++k) out = plus(std::move(out), minus(at(e, k)));
    return out;
  }

  // The term is a quotient of polynomials in k with one term below: x^-2 is a monomial of the form.
  std::optional<Expr> of_laurent(const Form& f) {
    if (!f.bottom.is_one()) return std::nullopt;
    int64_t lowest = 0;
    for (const Term& term : f.top.terms) {
      for (const Factor& factor : term.monomial) {
        const Atom& a = forms_.atom(factor.atom);
        if (a.kind != Atom::Kind::kSymbol || a.name != k_ || factor.bottom != 1) return std::nullopt;
        lowest = std::min<int64_t>(lowest, factor.top);
      }
    }
    if (lowest == 0 || lowest < -static_cast<int64_t>(kMaxDegree)) return std::nullopt;
    Coefficients bottom(static_cast<size_t>(-lowest) + 1, Exact(0)), top;
    bottom.back() = Exact(1);
    for (const Term& term : f.top.terms) {
      const int64_t exponent = (term.monomial.empty() ? 0 : term.monomial[0].top) - lowest;
      if (exponent > 40) return std::nullopt;
      if (top.size() <= static_cast<size_t>(exponent)) top.resize(static_cast<size_t>(exponent) + 1, Exact(0));
      top[static_cast<size_t>(exponent)] += term.coefficient;
    }
    return of_rational(top, bottom);
  }

  // c r^k / k!: c e^r
  std::optional<Expr> of_exponential() {
    const Expr scaled = times(term_, call("factorial", {symbol_expr(k_)}));
    const Form f = forms_.from(scaled);
    for (const Poly* p : {&f.top, &f.bottom}) {
      for (const Term& term : p->terms) {
        for (const Factor& factor : term.monomial) {
          if (forms_.atom(factor.atom).kind == Atom::Kind::kOpaque) return std::nullopt;
        }
      }
    }
    const Expr r = forms_.to_expr(ratio(scaled));
    if (is_free(r, k_) || from_ < 0) return std::nullopt;
    return plus(times(at(scaled, 0), call("exp", {r})), start_terms(term_));
  }

  // P(k) r^k: r is the ratio of neighbours far out.
  Expr of_geometric() {
    const Form f = ratio(term_);
    const auto top = leading(f.top), bottom = leading(f.bottom);
    if (!top || !bottom) throw Undecided{"a sum that is not known"};
    const Expr r = forms_.to_expr(forms_.multiply(*top, forms_.invert(*bottom)));
    if (!is_below_one(r)) throw Undecided{"a sum that is not known to converge"};
    const Form p = forms_.multiply(forms_.from(term_), forms_.from(binary(Op::kPow, r, minus(symbol_expr(k_)))));
    if (!p.bottom.is_one()) throw Undecided{"a sum that is not known"};
    // The sums of k^n r^k from 0 on: S(n) (1 - r) = [n = 0] + r times the sum of binom(n, j) S(j) below n.
    std::vector<Expr> sums;
    const auto power_sum = [&](size_t n) {
      while (sums.size() <= n) {
        Expr inner = number_expr(sums.empty() ? 1 : 0);
        Exact choose(1);
        for (size_t j = 0; j < sums.size(); ++j) {
          inner = plus(std::move(inner), times(times(number_expr(choose), r), sums[j]));
          choose *= Exact(static_cast<int64_t>(sums.size() - j), static_cast<int64_t>(j) + 1);
        }
        sums.push_back(binary(Op::kDiv, std::move(inner), plus(number_expr(1), minus(r))));
      }
      return sums[n];
    };
    Expr out = start_terms(term_);
    for (const Term& term : p.top.terms) {
      Term rest{{}, term.coefficient};
      int64_t n = 0;
      for (const Factor& factor : term.monomial) {
        const Atom& a = forms_.atom(factor.atom);
        if (a.kind == Atom::Kind::kSymbol && a.name == k_) {
          if (factor.bottom != 1 || factor.top < 0 || factor.top > static_cast<int64_t>(kMaxDegree))
            throw Undecided{"a sum that is not known"};
          n = factor.top;
        } else {
          rest.monomial.push_back(factor);
        }
      }
      const Expr c = forms_.to_expr(Poly(std::move(rest)));
      if (is_free(c, k_)) throw Undecided{"a sum that is not known"};
      out = plus(std::move(out), times(c, power_sum(static_cast<size_t>(n))));
    }
    return out;
  }
  // The coefficient of the highest power of k, if k stands in plain powers only.
  std::optional<Form> leading(const Poly& p) {
    int64_t highest = INT64_MIN;
    Poly out;
    for (const Term& term : p.terms) {
      Term rest{{}, term.coefficient};
      int64_t exponent = 0;
      for (const Factor& factor : term.monomial) {
        const Atom& a = forms_.atom(factor.atom);
        if (a.kind == Atom::Kind::kSymbol && a.name == k_) {
          if (factor.bottom != 1) return std::nullopt;
          exponent = factor.top;
        } else {
          rest.monomial.push_back(factor);
        }
      }
      if (is_free(forms_.to_expr(Poly(rest)), k_)) return std::nullopt;
      if (exponent > highest) out = Poly();
      if (exponent >= highest) out = merit::verify::add(out, Poly(std::move(rest)), budget_);
      highest = std::max(highest, exponent);
    }
    if (out.is_zero()) return std::nullopt;
    return Form{std::move(out), Poly(Exact(1))};
  }

  // Sums of c / (k - root)^power.
  Expr of_rational(const Coefficients& top, const Coefficients& bottom) {
    const auto parts = partial_fractions(top, bottom, budget_);
    if (!parts || !parts->quadratics.empty()) throw Undecided{"a sum that is not known"};
    if (std::any_of(parts->whole.begin(), parts->whole.end(), [](const Exact& c) { return !c.is_zero(); }))
      throw Undecided{"a sum that does not converge"};
    // Simple poles, by the class of their roots modulo 1: their coefficients must add up to 0.
    std::map<std::string, std::vector<Pole>> classes;
    Expr out = number_expr(0);
    for (const Pole& pole : parts->poles) {
      const Exact first = Exact(from_) - pole.root;  // the first denominator
      if (first.is_integer() && first.sign() <= 0) throw Undecided{"a sum with a term that is not defined"};
      if (Exact(kMaxStart) < first.abs()) throw Undecided{"a sum that starts too far out"};
      if (pole.power == 1) {
        classes[(first - first.floor()).to_string()].push_back({first, 1, pole.coefficient});
      } else {
        out = plus(std::move(out), times(number_expr(pole.coefficient), zeta_sum(first, pole.power)));
      }
    }
    for (const auto& [name, poles] : classes) {
      Exact total(0), sum(0);
      Exact lowest = poles[0].root;
      for (const Pole& pole : poles) lowest = pole.root < lowest ? pole.root : lowest;
      for (const Pole& pole : poles) {
        total += pole.coefficient;
        // Against the lowest: the terms in between are missing.
        for (Exact j = lowest; j < pole.root; j += Exact(1)) {
          budget_.spend(sum.words() * 4 + 20);
          sum += -(pole.coefficient / j);
        }
      }
      if (!total.is_zero()) throw Undecided{"a sum that is not known to converge"};
      out = plus(std::move(out), number_expr(sum));
    }
    return out;
  }

  // 1 / a^p + 1 / (a + 1)^p + ... for a whole a or half of an odd one.
  Expr zeta_sum(const Exact& first, int64_t p) {
    const Exact twice = first + first;
    if (!twice.is_integer() || p > 20) throw Undecided{"a sum that is not known"};
    Expr out = p % 2 == 0 ? zeta_of_even(p) : call("zeta", {number_expr(p)});
    Exact start(1);
    if (!first.is_integer()) {
      out = times(number_expr(Exact(2).power(p) - Exact(1)), std::move(out));
      start = Exact(1, 2);
    }
    Exact correction(0);
    for (Exact j = start; j < first; j += Exact(1)) correction += -j.power(-p);
    for (Exact j = first; j < start; j += Exact(1)) correction += j.power(-p);
    budget_.spend(correction.words() * 100);
    return plus(std::move(out), number_expr(correction));
  }
  const Expr& term_;
  const std::string& k_;
  int64_t from_;
  Budget& budget_;
  Forms forms_;
};

}  // namespace

// (-1)^(n+1) B(2n) (2 pi)^(2n) / (2 (2n)!)
Expr zeta_of_even(int64_t n) {
  Exact b;
  bernoulli_fmpq_ui(b.raw(), static_cast<ulong>(n));
  Exact factorial(1);
  for (int64_t k = 2; k <= n; ++k) factorial *= Exact(k);
  Expr pi;
  pi.op = Op::kPi;
  return times(number_expr(b.abs() * Exact(2).power(n - 1) / factorial),
               binary(Op::kPow, std::move(pi), number_expr(n)));
}

Expr infinite_sum(const Expr& term, const std::string& k, int64_t from, Budget& budget) {
  return Sum(term, k, from, budget).run();
}

Expr infinite_product(const Expr& factor, const std::string& k, int64_t from, Budget& budget) {
  Forms forms(budget);
  Form f = forms.from(factor);
  // Negative powers of k are the denominator's.
  const Form shift = forms.from(binary(Op::kPow, symbol_expr(k), number_expr(static_cast<int64_t>(kMaxDegree))));
  f = Form{forms.multiply(f, shift).top, forms.multiply(Form{f.bottom, Poly(Exact(1))}, shift).top};
  const auto top = rational_polynomial(f.top, k, forms), bottom = rational_polynomial(f.bottom, k, forms);
  if (!top || !bottom || bottom->empty() || top->size() != bottom->size() || !(top->back() == bottom->back()))
    throw Undecided{"a product that is not known"};
  // Of the product of (k - a) / (k - b): gamma(from - b) ... / gamma(from - a) ..., if the a and the b have one sum.
  Exact total(0);
  Expr out = number_expr(1);
  std::vector<Exact> above, below;
  for (const auto& [p, list, sign] : {std::tuple(&*top, &above, 1), std::tuple(&*bottom, &below, -1)}) {
    const auto parts = partial_fractions({Exact(1)}, *p, budget);
    if (!parts || !parts->quadratics.empty()) throw Undecided{"a product that is not known"};
    Coefficients rest = *p;
    std::map<std::string, std::pair<Exact, int64_t>> roots;
    for (const Pole& pole : parts->poles) {
      auto& [root, times_in] = roots.try_emplace(pole.root.to_string(), pole.root, 0).first->second;
      times_in = std::max(times_in, pole.power);
    }
    for (const auto& [name, root] : roots) {
      const Exact first = Exact(from) - root.first;
      if (first.sign() <= 0 || Exact(kMaxStart) < first) throw Undecided{"a product that is not known"};
      for (int64_t n = 0; n < root.second; ++n) {
        list->push_back(first);
        total += sign > 0 ? first : -first;
      }
    }
  }
  if (!total.is_zero() || above.size() != below.size()) throw Undecided{"a product that is not known to converge"};
  const auto cancel = [&](const Exact& x) {
    const auto same = std::find(above.begin(), above.end(), x);
    if (same == above.end()) return false;
    above.erase(same);
    return true;
  };
  std::erase_if(below, cancel);
  for (const Exact& x : below) out = times(std::move(out), call("gamma", {number_expr(x)}));
  for (const Exact& x : above) out = binary(Op::kDiv, std::move(out), call("gamma", {number_expr(x)}));
  return out;
}

}  // namespace merit::verify
