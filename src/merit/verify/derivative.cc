// Derivatives of closed forms, by the rules of calculus.
#include "merit/verify/calculus.h"

namespace merit::verify {
namespace {

Expr minus(Expr a) { return unary(Op::kNeg, std::move(a)); }
Expr over(Expr a, Expr b) { return binary(Op::kDiv, std::move(a), std::move(b)); }
Expr plus(Expr a, Expr b) { return binary(Op::kAdd, std::move(a), std::move(b)); }
Expr raised(Expr a, int64_t n) { return binary(Op::kPow, std::move(a), number_expr(n)); }
Expr root(Expr a) { return binary(Op::kRoot, std::move(a), number_expr(2)); }
Expr of(const char* name, const Expr& u) { return call(name, {u}); }
bool is_zero(const Expr& e) { return e.op == Op::kNumber && e.number.is_zero(); }
Expr product(Expr a, Expr b) {
  if (is_zero(a) || is_zero(b)) return number_expr(0);
  if (a == number_expr(1)) return b;
  if (b == number_expr(1)) return a;
  return binary(Op::kMul, std::move(a), std::move(b));
}

class Derivative {
 public:
  Derivative(const std::string& x, Budget& budget) : x_(x), budget_(budget) {}

  Expr of_expr(const Expr& e) {
    budget_.spend(200);
    if (!is_free(e, x_)) return number_expr(0);
    switch (e.op) {
      case Op::kSymbol:
        return number_expr(1);
      case Op::kAdd: {
        Expr out = number_expr(0);
        for (const Expr& kid : e.kids) {
          Expr one = of_expr(kid);
          if (!is_zero(one)) out = is_zero(out) ? std::move(one) : plus(std::move(out), std::move(one));
        }
        return out;
      }
      case Op::kNeg:
        return minus(of_expr(e.kids[0]));
      case Op::kPercent:
        return product(number_expr(Exact(1, 100)), of_expr(e.kids[0]));
      case Op::kMul: {
        Expr out = number_expr(0);
        for (size_t k = 0; k < e.kids.size(); ++k) {
          Expr one = of_expr(e.kids[k]);
          for (size_t j = 0; j < e.kids.size(); ++j) {
            if (j != k) one = product(std::move(one), e.kids[j]);
          }
          if (!is_zero(one)) out = is_zero(out) ? std::move(one) : plus(std::move(out), std::move(one));
        }
        return out;
      }
      case Op::kDiv: {
        const Expr& a = e.kids[0];
        const Expr& b = e.kids[1];
        if (!is_free(b, x_)) return over(of_expr(a), b);
        return over(plus(product(of_expr(a), b), minus(product(a, of_expr(b)))), raised(b, 2));
      }
      case Op::kPow:
        return of_power(e.kids[0], e.kids[1], e);
      case Op::kRoot: {
        // a^(1/n): a' / (n root^(n-1))
        const auto n = e.kids[1].op == Op::kNumber ? e.kids[1].number.integer() : std::nullopt;
        if (!n) throw Undecided{"a root of no whole index"};
        return over(of_expr(e.kids[0]), product(number_expr(*n), raised(e, *n - 1)));
      }
      case Op::kCall:
        return of_call(e);
      default:
        throw Undecided{"a derivative that is not known"};
    }
  }

 private:
  Expr of_power(const Expr& a, const Expr& b, const Expr& whole) {
    if (!is_free(b, x_)) {
      return product(product(b, binary(Op::kPow, a, plus(b, number_expr(-1)))), of_expr(a));
    }
    Expr growth = product(of_expr(b), a.op == Op::kEuler ? number_expr(1) : of("ln", a));
    if (is_free(a, x_)) growth = plus(std::move(growth), over(product(b, of_expr(a)), a));
    return product(whole, std::move(growth));
  }

  Expr of_call(const Expr& e) {
    if (e.name == "sum" && !is_free(e.kids[1], x_) && !is_free(e.kids[2], x_)) {
      Expr out = e;
      out.kids[3] = of_expr(e.kids[3]);
      return out;
    }
    if (e.name == "int" && !is_free(e.kids[3], x_)) {
      // The fundamental theorem.
      Expr up = product(substitute(e.kids[3], e.kids[0].name, e.kids[2]), of_expr(e.kids[2]));
      Expr down = product(substitute(e.kids[3], e.kids[0].name, e.kids[1]), of_expr(e.kids[1]));
      return plus(std::move(up), minus(std::move(down)));
    }
    if (e.name == "log" && e.kids.size() == 2 && !is_free(e.kids[1], x_)) {
      return over(of_expr(e.kids[0]), product(e.kids[0], of("ln", e.kids[1])));
    }
    if (e.kids.size() != 1) throw Undecided{"a derivative that is not known"};
    return product(outer(e.name, e.kids[0], e), of_expr(e.kids[0]));
  }

  // f'(u) of a function by its name.
  static Expr outer(const std::string& name, const Expr& u, const Expr& whole) {
    const auto inverse = [](Expr e) { return over(number_expr(1), std::move(e)); };
    const auto one_plus = [&](int64_t sign) {
      return plus(number_expr(1), sign > 0 ? raised(u, 2) : minus(raised(u, 2)));
    };
    if (name == "sin") return of("cos", u);
    if (name == "cos") return minus(of("sin", u));
    if (name == "tan") return inverse(raised(of("cos", u), 2));
    if (name == "cot") return minus(inverse(raised(of("sin", u), 2)));
    if (name == "sec") return product(whole, of("tan", u));
    if (name == "csc") return minus(product(whole, of("cot", u)));
    if (name == "sinh") return of("cosh", u);
    if (name == "cosh") return of("sinh", u);
    if (name == "tanh") return inverse(raised(of("cosh", u), 2));
    if (name == "exp") return whole;
    if (name == "ln" || name == "log") return inverse(u);
    if (name == "asin") return inverse(root(one_plus(-1)));
    if (name == "acos") return minus(inverse(root(one_plus(-1))));
    if (name == "atan") return inverse(one_plus(1));
    if (name == "acot") return minus(inverse(one_plus(1)));
    if (name == "asinh") return inverse(root(one_plus(1)));
    if (name == "acosh") return inverse(root(plus(raised(u, 2), number_expr(-1))));
    if (name == "atanh") return inverse(one_plus(-1));
    if (name == "abs") return over(u, whole);
    throw Undecided{"a derivative that is not known"};
  }

  const std::string& x_;
  Budget& budget_;
};

}  // namespace

Expr derivative(const Expr& e, const std::string& x, Budget& budget) { return Derivative(x, budget).of_expr(e); }

}  // namespace merit::verify
