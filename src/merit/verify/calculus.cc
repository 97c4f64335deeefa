#include "merit/verify/calculus.h"

#include <algorithm>

#include "merit/verify/scalar.h"

namespace merit::verify {
namespace {

constexpr const char* kBound = "\\bound";  // every variable of an integral that stays

bool is_calculus(const Expr& e) {
  if (e.op != Op::kCall) return false;
  if (e.name == "lim" || e.name == "deriv" || e.name == "int") return true;
  return (e.name == "sum" || e.name == "prod") && e.kids.size() == 4 && e.kids[2].op == Op::kInfinity;
}

constexpr uint64_t kNodeCost = 100;  // what is to come of an expression that has grown here
uint64_t size_of(const Expr& e) {
  uint64_t size = 1;
  for (const Expr& kid : e.kids) size += size_of(kid);
  return size;
}

int64_t whole(const Expr& e, Budget& budget, const char* reason) {
  const auto value = exact_value(e, budget);
  const auto n = value ? value->integer() : std::nullopt;
  if (!n) throw Undecided{reason};
  return *n;
}

Expr closed(const Expr& e, Budget& budget) {
  const std::string& x = e.kids[0].name;
  if (e.name == "deriv") {
    Expr out = e.kids[1];
    for (int64_t n = whole(e.kids[2], budget, "a derivative of no whole order"); n > 0; --n)
      out = derivative(out, x, budget);
    return out;
  }
  if (e.name == "lim") {
    return limit(e.kids[2], x, e.kids[1], static_cast<int>(whole(e.kids[3], budget, "a limit from no side")), budget);
  }
  if (e.name == "int") {
    if (auto value = integral(e.kids[3], x, e.kids[1], e.kids[2], budget)) return std::move(*value);
    Expr out = e;
    out.kids[3] = substitute(e.kids[3], x, symbol_expr(kBound));
    out.kids[0] = symbol_expr(kBound);
    return out;
  }
  const int64_t from = whole(e.kids[1], budget, "a sum without whole bounds");
  return e.name == "sum" ? infinite_sum(e.kids[3], x, from, budget) : infinite_product(e.kids[3], x, from, budget);
}

}  // namespace

bool is_free(const Expr& e, const std::string& symbol) {
  if (e.op == Op::kSymbol) return e.name == symbol;
  if (is_binder(e) && e.kids[0].name == symbol) return false;
  return std::any_of(e.kids.begin(), e.kids.end(), [&](const Expr& kid) { return is_free(kid, symbol); });
}

bool has_calculus(const Expr& e) { return is_calculus(e) || std::any_of(e.kids.begin(), e.kids.end(), has_calculus); }

Expr without_calculus(const Expr& e, Budget& budget) {
  if (!has_calculus(e)) return e;
  Expr out = e;
  for (Expr& kid : out.kids) kid = without_calculus(kid, budget);
  if (!is_calculus(out)) return out;
  out = closed(out, budget);
  budget.spend(kNodeCost * size_of(out));
  return out;
}

std::optional<std::vector<Exact>> rational_polynomial(const Poly& p, const std::string& x, const Forms& forms) {
  std::vector<Exact> out;
  for (const Term& term : p.terms) {
    int64_t exponent = 0;
    if (term.monomial.size() > 1) return std::nullopt;
    if (term.monomial.size() == 1) {
      const Factor& f = term.monomial[0];
      const Atom& a = forms.atom(f.atom);
      if (a.kind != Atom::Kind::kSymbol || a.name != x || f.bottom != 1 || f.top < 0 || f.top > 64) return std::nullopt;
      exponent = f.top;
    }
    if (out.size() <= static_cast<size_t>(exponent)) out.resize(static_cast<size_t>(exponent) + 1, Exact(0));
    out[static_cast<size_t>(exponent)] += term.coefficient;
  }
  return out;
}

}  // namespace merit::verify
