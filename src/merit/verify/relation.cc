#include "merit/verify/relation.h"

#include <algorithm>

#include "merit/core/hash.h"
#include "merit/verify/ball.h"
#include "merit/verify/normal_form.h"

namespace merit::verify {
namespace {

Decision unknown(std::string reason) { return {Answer::kUnknown, "", std::move(reason)}; }
Expr difference(const Expr& a, const Expr& b) { return binary(Op::kAdd, a, unary(Op::kNeg, b)); }

struct Statement {
  Expr side;  // side R 0
  char relation;
};

// Greater is written as less.
std::vector<Statement> statements(const Expr& e) {
  std::vector<Statement> out;
  for (size_t k = 0; k + 1 < e.kids.size(); ++k) {
    if (!is_scalar(e.kids[k]) || !is_scalar(e.kids[k + 1])) throw Undecided{"a relation that is not read"};
    const char sign = e.name[k] == '~' ? '=' : e.name[k];
    const bool turned = sign == '>' || sign == 'g';
    out.push_back(
        {turned ? difference(e.kids[k + 1], e.kids[k]) : difference(e.kids[k], e.kids[k + 1]), sign == '>'   ? '<'
                                                                                               : sign == 'g' ? 'l'
                                                                                                             : sign});
  }
  return out;
}

// A point on the curve e = 0: the other symbols at random, one symbol solved for (of degree 1 or 2).
std::optional<Point> point_on(const Expr& e, const std::vector<std::string>& symbols, int round, Budget& budget,
                              Expr& solved, std::string& symbol) {
  for (size_t pick = 0; pick < symbols.size(); ++pick) {
    symbol = symbols[(pick + static_cast<size_t>(round)) % symbols.size()];
    Forms forms(budget);
    const Form f = forms.from(e);
    int degree = 0;
    bool plain = true;
    for (const Term& term : f.top.terms) {
      for (const Factor& factor : term.monomial) {
        const Atom& a = forms.atom(factor.atom);
        if (a.kind == Atom::Kind::kSymbol && a.name == symbol) {
          plain &= factor.bottom == 1 && factor.top >= 1 && factor.top <= 2;
          degree = std::max(degree, factor.top);
        } else if (a.kind != Atom::Kind::kSymbol && a.kind != Atom::Kind::kPrime && a.kind != Atom::Kind::kPi) {
          plain = false;
        }
      }
    }
    if (!plain || degree == 0) continue;
    Point point;
    Expr fixed = e;
    for (const std::string& other : symbols) {
      if (other == symbol) continue;
      const uint64_t h = hash64(other, static_cast<uint64_t>(round) + 77);
      const Exact value = Exact(static_cast<int64_t>(h % 2001) - 1000, 1 + static_cast<int64_t>(h % 13) * 60);
      point.emplace_back(other, value);
      fixed = substitute(fixed, other, number_expr(value));
    }
    const auto at = [&](int64_t x) { return substitute(fixed, symbol, number_expr(Exact(x))); };
    const Expr c0 = at(0);
    if (degree == 1) {
      solved = binary(Op::kDiv, unary(Op::kNeg, c0), difference(at(1), c0));
      return point;
    }
    // a = (e(1) + e(-1)) / 2 - e(0), b = (e(1) - e(-1)) / 2
    const auto half = [](Expr x) { return binary(Op::kDiv, std::move(x), number_expr(2)); };
    const Expr a = difference(half(binary(Op::kAdd, at(1), at(-1))), c0);
    const Expr b = half(difference(at(1), at(-1)));
    Expr four_ac = binary(Op::kMul, number_expr(4), a);
    four_ac.kids.push_back(c0);
    const Expr root = binary(Op::kRoot, difference(binary(Op::kPow, b, number_expr(2)), four_ac), number_expr(2));
    solved = binary(Op::kDiv, difference(root, b), binary(Op::kMul, number_expr(2), a));
    return point;
  }
  return std::nullopt;
}

// A point of one curve that is not on the other.
bool leaves(const Expr& from, const Expr& other, const std::vector<std::string>& symbols, Budget& budget) {
  for (int round = 0; round < 6; ++round) {
    Expr solved;
    std::string symbol;
    const auto point = point_on(from, symbols, round, budget, solved, symbol);
    if (!point) return false;
    Ball check;
    if (evaluate(solved, {}, true, 128, budget, check) != Defined::kYes || !check.is_real()) continue;
    Expr there = substitute(other, symbol, solved);
    Ball value;
    if (evaluate(there, *point, true, 192, budget, value) == Defined::kYes && !acb_contains_zero(value.get()))
      return true;
  }
  return false;
}

Decision compare_statements(const Statement& a, const Statement& b, Budget& budget) {
  if (a.relation != b.relation) return {Answer::kDifferent, "relations", "different relations"};
  const std::vector<std::string> symbols = symbols_of(binary(Op::kAdd, a.side, b.side));
  const bool directed = a.relation == '<' || a.relation == 'l';
  try {
    Forms forms(budget);
    const Form x = forms.from(a.side), y = forms.from(b.side);
    if (!x.top.is_zero() && !y.top.is_zero()) {
      // Quotients: only where the denominators are constants or the relation is an equation.
      if (!directed || (x.bottom.is_one() && y.bottom.is_one())) {
        for (const Term& lead : y.top.terms) {
          if (lead.monomial != x.top.terms.back().monomial) continue;
          const Exact ratio = lead.coefficient / x.top.terms.back().coefficient;
          if (directed && ratio.sign() < 0) continue;
          Form scaled{scale(x.top, ratio), Poly(Exact(1))};
          if (forms.is_zero(forms.subtract(scaled, Form{y.top, Poly(Exact(1))})))
            return {Answer::kEqual, "relations", "proportional"};
        }
        // x = y / 2 against 1/x = 2/y and the like: a single power of a symbol apart.
        if (!directed && x.top.terms.size() == y.top.terms.size()) {
          const Monomial shift = times(y.top.terms.back().monomial, power(x.top.terms.back().monomial, -1, 1));
          const Exact ratio = y.top.terms.back().coefficient / x.top.terms.back().coefficient;
          const Form moved =
              forms.multiply(Form{x.top, Poly(Exact(1))}, Form{Poly(Term{shift, ratio}), Poly(Exact(1))});
          if (forms.is_zero(forms.subtract(moved, Form{y.top, Poly(Exact(1))})))
            return {Answer::kEqual, "relations", "proportional"};
        }
      }
    }
  } catch (const Undecided&) {
    // no normal form: a point may still tell them apart
  }
  if (leaves(a.side, b.side, symbols, budget) || leaves(b.side, a.side, symbols, budget)) {
    return {Answer::kDifferent, "relations", "a point satisfies only one of them"};
  }
  if (directed) {
    // Inequalities with one boundary that look at opposite sides of it.
    for (int round = 0; round < 6; ++round) {
      Point point;
      for (const std::string& name : symbols) {
        const uint64_t h = hash64(name, static_cast<uint64_t>(round) + 991);
        point.emplace_back(name, Exact(static_cast<int64_t>(h % 2001) - 1000, 1 + static_cast<int64_t>(h % 7) * 100));
      }
      Ball x, y;
      if (evaluate(a.side, point, true, 128, budget, x) != Defined::kYes ||
          evaluate(b.side, point, true, 128, budget, y) != Defined::kYes)
        continue;
      if (!x.is_real() || !y.is_real() || arb_contains_zero(x.real()) || arb_contains_zero(y.real())) continue;
      if (arb_is_negative(x.real()) != arb_is_negative(y.real()))
        return {Answer::kDifferent, "relations", "a point satisfies only one of them"};
    }
  }
  return unknown("relations that are not known to be the same");
}

}  // namespace

Decision compare_relations(const Expr& a, const Expr& b, Budget& budget) {
  if (a == b) return {Answer::kEqual, "same form", "equal"};
  std::vector<Statement> x = statements(a), y = statements(b);
  if (x.size() != y.size()) return unknown("chains of different length");
  if (x.size() > 1 && x[0].relation != y[0].relation) std::reverse(y.begin(), y.end());
  Decision out{Answer::kEqual, "relations", "equal"};
  bool forward = true;
  for (const bool turned : {false, true}) {
    if (turned) std::reverse(y.begin(), y.end());
    out = {Answer::kEqual, "relations", "equal"};
    forward = true;
    for (size_t k = 0; k < x.size(); ++k) {
      const Decision one = compare_statements(x[k], y[k], budget);
      if (one.equal()) continue;
      forward = false;
      if (out.answer != Answer::kDifferent) out = one;
    }
    if (forward || x.size() == 1) return out;
  }
  // A chain says that all of its parts hold: parts that differ need not make the whole differ.
  return x.size() == 1 ? out : unknown("chains that are not known to be the same");
}

}  // namespace merit::verify
