#include "merit/verify/expr.h"

#include <algorithm>

namespace merit::verify {

Expr number_expr(Exact value) {
  Expr e;
  e.number = std::move(value);
  return e;
}

Expr symbol_expr(std::string name) {
  Expr e;
  e.op = Op::kSymbol;
  e.name = std::move(name);
  return e;
}

Expr unary(Op op, Expr a, std::string name) {
  Expr e;
  e.op = op;
  e.name = std::move(name);
  e.kids.push_back(std::move(a));
  return e;
}

Expr binary(Op op, Expr a, Expr b, std::string name) {
  Expr e = unary(op, std::move(a), std::move(name));
  e.kids.push_back(std::move(b));
  return e;
}

Expr call(std::string name, std::vector<Expr> arguments) {
  Expr e;
  e.op = Op::kCall;
  e.name = std::move(name);
  e.kids = std::move(arguments);
  return e;
}

bool is_binder(const Expr& e) {
  return e.op == Op::kCall && e.kids.size() == 4 &&
         (e.name == "sum" || e.name == "prod" || e.name == "int" || e.name == "lim");
}

bool is_scalar(const Expr& e) {
  if (e.op >= Op::kTuple || e.op == Op::kPlusMinus || e.op == Op::kQuantity) return false;
  return std::all_of(e.kids.begin(), e.kids.end(), is_scalar);
}

bool contains(const Expr& e, Op op) {
  return e.op == op || std::any_of(e.kids.begin(), e.kids.end(), [&](const Expr& kid) { return contains(kid, op); });
}

namespace {
void collect(const Expr& e, std::vector<std::string>& names) {
  if (e.op == Op::kSymbol) names.push_back(e.name);
  if (is_binder(e)) {
    std::vector<std::string> inside;
    for (size_t k = 1; k < e.kids.size(); ++k) collect(e.kids[k], inside);
    for (std::string& name : inside) {
      if (name != e.kids[0].name) names.push_back(std::move(name));
    }
    return;
  }
  for (const Expr& kid : e.kids) collect(kid, names);
}
}  // namespace

std::vector<std::string> symbols_of(const Expr& e) {
  std::vector<std::string> names;
  collect(e, names);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Expr substitute(const Expr& e, const std::string& symbol, const Expr& by) {
  if (e.op == Op::kSymbol && e.name == symbol) return by;
  if (is_binder(e) && e.kids[0].name == symbol) return e;
  Expr out = e;
  for (Expr& kid : out.kids) kid = substitute(kid, symbol, by);
  return out;
}

}  // namespace merit::verify
