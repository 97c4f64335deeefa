// Limits: by continuity, which balls prove, or by power series around the place. With x = a + t or x = 1 / t every part
// becomes t^order (c0 + c1 t + ...), with coefficients in normal form; the lowest term that is not 0 decides.
#include <algorithm>

#include "merit/verify/ball.h"
#include "merit/verify/calculus.h"

namespace merit::verify {
namespace {

constexpr size_t kTerms = 8;
constexpr const char* kLogT = "\\ln t";  // a symbol among the coefficients: t^k (ln t)^n goes to 0 for k > 0
constexpr int64_t kTinyOrder = 1 << 20;  // smaller than every power: e^(-1/t)

struct Series {
  int64_t order = 0;
  std::vector<Form> terms;  // of t^order, t^(order + 1), ...

  bool tiny() const { return order == kTinyOrder; }
};

Expr infinity(bool positive) {
  Expr e;
  e.op = Op::kInfinity;
  return positive ? e : unary(Op::kNeg, std::move(e));
}

class Expansion {
 public:
  Expansion(const std::string& x, Series variable, int side, Budget& budget)
      : x_(x), variable_(std::move(variable)), side_(side), budget_(budget), forms_(budget) {}

  Expr run(const Expr& e) {
    const Form whole = forms_.from(e);
    if (forms_.is_zero(whole)) return number_expr(0);
    Series s = of(e);
    if (s.tiny()) return number_expr(0);
    normalise(s);
    if (s.order > 0) return number_expr(0);
    if (s.order == 0) return free_of_log(s.terms[0]);
    const auto sign = sign_of(forms_.to_expr(s.terms[0]), budget_);
    if (!sign || *sign == 0) throw Undecided{"a limit that is not known"};
    const bool odd = s.order % 2 != 0;
    if (odd && side_ == 0) throw Undecided{"a limit that does not exist"};
    return infinity((*sign > 0) != (odd && side_ < 0));
  }

 private:
  Form number(const Exact& value) { return Form{Poly(value), Poly(Exact(1))}; }
  Form form_of(const Expr& e) { return forms_.from(e); }
  Expr free_of_log(const Form& f) {
    Expr e = forms_.to_expr(f);
    if (is_free(e, kLogT)) throw Undecided{"a limit that is not known"};
    return e;
  }
  Series constant(Form f) {
    Series s;
    s.terms.push_back(std::move(f));
    s.terms.resize(kTerms, number(0));
    return s;
  }
  Series constant(const Expr& e) { return constant(form_of(e)); }

  // A coefficient that is not 0 for certain.
  void require_nonzero(const Form& f) {
    const Expr e = forms_.to_expr(f);
    Ball value;
    if (symbols_of(e).empty()) {
      if (evaluate(e, {}, false, 128, budget_, value) == Defined::kYes && !acb_contains_zero(value.get())) return;
      throw Undecided{"a limit that is not known"};
    }
    for (const Poly* p : {&f.top, &f.bottom}) {
      for (const Term& term : p->terms) {
        for (const Factor& factor : term.monomial) {
          if (forms_.atom(factor.atom).kind != Atom::Kind::kSymbol) throw Undecided{"a limit that is not known"};
        }
      }
    }
  }

  // Terms that are 0 in front are left out.
  void normalise(Series& s) {
    size_t zeros = 0;
    while (zeros < s.terms.size() && forms_.is_zero(s.terms[zeros])) ++zeros;
    if (zeros == s.terms.size()) throw Undecided{"a limit beyond the terms that are looked at"};
    s.terms.erase(s.terms.begin(), s.terms.begin() + static_cast<std::ptrdiff_t>(zeros));
    s.order += static_cast<int64_t>(zeros);
    require_nonzero(s.terms[0]);
  }

  // The coefficients of 1, t, t^2, ... of a series without negative powers.
  std::vector<Form> taylor(const Series& s) {
    std::vector<Form> out;
    if (s.tiny()) return constant(number(0)).terms;
    size_t skip = 0;
    for (int64_t k = s.order; k < 0; ++k, ++skip) {
      if (skip >= s.terms.size() || !forms_.is_zero(s.terms[skip])) throw Undecided{"a limit that is not known"};
    }
    for (int64_t k = 0; k < s.order && out.size() < kTerms; ++k) out.push_back(number(0));
    for (size_t k = skip; k < s.terms.size() && out.size() < kTerms; ++k) out.push_back(s.terms[k]);
    if (out.empty()) throw Undecided{"a limit that is not known"};
    return out;
  }

  Series add(const Series& a, const Series& b) {
    if (a.tiny()) return b;
    if (b.tiny()) return a;
    const int64_t end =
        std::min(a.order + static_cast<int64_t>(a.terms.size()), b.order + static_cast<int64_t>(b.terms.size()));
    Series out;
    out.order = std::min(a.order, b.order);
    for (int64_t k = out.order; k < end; ++k) {
      const bool in_a = k >= a.order, in_b = k >= b.order;
      if (in_a && in_b) {
        out.terms.push_back(
            forms_.add(a.terms[static_cast<size_t>(k - a.order)], b.terms[static_cast<size_t>(k - b.order)]));
      } else {
        out.terms.push_back(in_a   ? a.terms[static_cast<size_t>(k - a.order)]
                            : in_b ? b.terms[static_cast<size_t>(k - b.order)]
                                   : number(0));
      }
    }
    if (out.terms.empty()) throw Undecided{"a limit beyond the terms that are looked at"};
    return out;
  }

  Series multiply(const Series& a, const Series& b) {
    if (a.tiny() || b.tiny()) return tiny();
    Series out;
    out.order = a.order + b.order;
    const size_t count = std::min(a.terms.size(), b.terms.size());
    for (size_t n = 0; n < count; ++n) {
      Form sum = number(0);
      for (size_t k = 0; k <= n; ++k) sum = forms_.add(sum, forms_.multiply(a.terms[k], b.terms[n - k]));
      out.terms.push_back(std::move(sum));
    }
    return out;
  }
  Series scale(Series s, const Form& by) {
    for (Form& term : s.terms) term = forms_.multiply(term, by);
    return s;
  }
  static Series tiny() {
    Series s;
    s.order = kTinyOrder;
    return s;
  }

  // s^r: with s = c t^m (1 + u), c^r t^(m r) (1 + u)^r
  Series power(Series s, const Exact& r) {
    if (s.tiny()) {
      if (r.sign() <= 0) throw Undecided{"a limit that is not known"};
      return s;
    }
    normalise(s);
    const Exact order = Exact(s.order) * r;
    const auto whole = order.integer();
    if (!whole || std::abs(*whole) > 1000) throw Undecided{"a limit of a fractional order"};
    const auto q = r.bottom().integer();
    const bool even_root = q && *q % 2 == 0;
    if (even_root && s.order != 0 && side_ <= 0) throw Undecided{"a root that depends on the side"};
    Series out = constant(binary(Op::kPow, forms_.to_expr(s.terms[0]), number_expr(r)));
    const Form lead_power = out.terms[0];
    const Form inverse = forms_.invert(s.terms[0]);
    std::vector<Form> u = s.terms;
    for (Form& term : u) term = forms_.multiply(term, inverse);
    out.terms.assign(1, number(1));
    for (size_t n = 1; n < u.size(); ++n) {
      Form sum = number(0);
      for (size_t k = 1; k <= n; ++k) {
        const Exact weight =
            (r * Exact(static_cast<int64_t>(k)) - Exact(static_cast<int64_t>(n - k))) / Exact(static_cast<int64_t>(n));
        sum = forms_.add(sum, forms_.multiply(forms_.multiply(u[k], number(weight)), out.terms[n - k]));
      }
      out.terms.push_back(std::move(sum));
    }
    out.order = *whole;
    return scale(std::move(out), lead_power);
  }

  // 1 / e, where e may grow beyond every power.
  Series reciprocal(const Expr& e) {
    if (e.op == Op::kPow && is_free(e.kids[1], x_)) return of(binary(Op::kPow, e.kids[0], unary(Op::kNeg, e.kids[1])));
    if (e.op == Op::kCall && e.name == "exp") return of(call("exp", {unary(Op::kNeg, e.kids[0])}));
    if (e.op == Op::kMul) {
      Series out = reciprocal(e.kids[0]);
      for (size_t k = 1; k < e.kids.size(); ++k) out = multiply(out, reciprocal(e.kids[k]));
      return out;
    }
    return power(of(e), Exact(-1));
  }

  // From the derivative's coefficients: first + integral.
  std::vector<Form> integrated(const Form& first, const std::vector<Form>& rate) {
    std::vector<Form> out = {first};
    for (size_t k = 0; k < rate.size() && out.size() < kTerms; ++k) {
      out.push_back(forms_.multiply(rate[k], number(Exact(1, static_cast<int64_t>(k) + 1))));
    }
    return out;
  }
  std::vector<Form> rate_of(const std::vector<Form>& u) {
    std::vector<Form> out;
    for (size_t k = 1; k < u.size(); ++k) out.push_back(forms_.multiply(u[k], number(Exact(static_cast<int64_t>(k)))));
    return out;
  }
  Series series(std::vector<Form> terms) {
    Series s;
    s.terms = std::move(terms);
    return s;
  }

  Series exponential(const Series& s) {
    if (s.tiny()) return constant(number(1));
    Series w = s;
    while (w.order < 0 && !w.terms.empty() && forms_.is_zero(w.terms[0])) {
      w.terms.erase(w.terms.begin());
      ++w.order;
    }
    if (w.order < 0) {
      if (w.terms.empty() || side_ == 0) throw Undecided{"a limit that is not known"};
      const auto sign = sign_of(forms_.to_expr(w.terms[0]), budget_);
      const bool turned = side_ < 0 && w.order % 2 != 0;
      if (!sign || *sign == 0 || (*sign > 0) != turned) throw Undecided{"a limit of what grows beyond every power"};
      return tiny();
    }
    const std::vector<Form> u = taylor(w);
    std::vector<Form> out = {form_of(call("exp", {free_of_log(u[0])}))};
    for (size_t n = 1; n < u.size(); ++n) {
      Form sum = number(0);
      for (size_t k = 1; k <= n; ++k) {
        const Exact weight(static_cast<int64_t>(k), static_cast<int64_t>(n));
        sum = forms_.add(sum, forms_.multiply(forms_.multiply(u[k], number(weight)), out[n - k]));
      }
      out.push_back(std::move(sum));
    }
    return series(std::move(out));
  }

  Series logarithm(Series s) {
    if (s.tiny()) throw Undecided{"a logarithm of what vanishes"};
    normalise(s);
    // ln(c t^m (1 + u)) = ln c + m ln t + ln(1 + u)
    Form first = form_of(call("ln", {free_of_log(s.terms[0])}));
    if (s.order != 0) {
      if (side_ <= 0) throw Undecided{"a logarithm of what vanishes"};
      first = forms_.add(first, forms_.multiply(number(Exact(s.order)), form_of(symbol_expr(kLogT))));
      s.order = 0;
    }
    const Series rate = multiply(series(rate_of(s.terms)), power(s, Exact(-1)));
    return series(integrated(first, rate.terms));
  }

  // sin(u0 + w) and cos(u0 + w), each the other's rate.
  Series wave(const std::string& name, const Series& s) {
    const std::vector<Form> u = taylor(s);
    const Expr start = free_of_log(u[0]);
    std::vector<Form> sine = {form_of(call("sin", {start}))}, cosine = {form_of(call("cos", {start}))};
    for (size_t n = 1; n < u.size(); ++n) {
      Form a = number(0), b = number(0);
      for (size_t k = 1; k <= n; ++k) {
        const Form weight = forms_.multiply(u[k], number(Exact(static_cast<int64_t>(k), static_cast<int64_t>(n))));
        a = forms_.add(a, forms_.multiply(weight, cosine[n - k]));
        b = forms_.subtract(b, forms_.multiply(weight, sine[n - k]));
      }
      sine.push_back(std::move(a));
      cosine.push_back(std::move(b));
    }
    return series(name == "sin" ? std::move(sine) : std::move(cosine));
  }

  // f(u) with f' = (c + s u^2)^r: arctan, arcsin and the like.
  Series inverse_function(const std::string& name, const Expr& argument) {
    Series u = of(argument);
    if (name == "atan" && !u.tiny()) {
      normalise(u);
      if (u.order < 0) {
        const auto sign = sign_of(forms_.to_expr(u.terms[0]), budget_);
        if (!sign || side_ == 0) throw Undecided{"a limit that is not known"};
        const bool positive = (*sign > 0) != (side_ < 0 && u.order % 2 != 0);
        Expr half;
        half.op = Op::kPi;
        half = binary(Op::kMul, number_expr(Exact(positive ? 1 : -1, 2)), std::move(half));
        const Series inner = inverse_function("atan", binary(Op::kDiv, number_expr(1), argument));
        return add(constant(half), scale(inner, number(-1)));
      }
    }
    const std::vector<Form> t = taylor(u);
    const bool rising = name == "atan" || name == "asinh";
    Series square = multiply(series(t), series(t));
    if (!rising) square = scale(std::move(square), number(-1));
    const Series inside = add(constant(number(1)), square);
    const Series rate =
        multiply(series(rate_of(t)), power(inside, name == "atan" || name == "atanh" ? Exact(-1) : Exact(-1, 2)));
    return series(integrated(form_of(call(name, {free_of_log(t[0])})), taylor(rate)));
  }

  Series of(const Expr& e) {
    budget_.spend(500);
    if (!is_free(e, x_)) return constant(e);
    switch (e.op) {
      case Op::kSymbol:
        return variable_;
      case Op::kAdd:
      case Op::kMul: {
        Series out = of(e.kids[0]);
        for (size_t k = 1; k < e.kids.size(); ++k)
          out = e.op == Op::kAdd ? add(out, of(e.kids[k])) : multiply(out, of(e.kids[k]));
        return out;
      }
      case Op::kNeg:
        return scale(of(e.kids[0]), number(-1));
      case Op::kPercent:
        return scale(of(e.kids[0]), number(Exact(1, 100)));
      case Op::kDiv:
        return multiply(of(e.kids[0]), reciprocal(e.kids[1]));
      case Op::kRoot: {
        const auto n = e.kids[1].op == Op::kNumber ? e.kids[1].number.integer() : std::nullopt;
        if (!n || *n < 2) throw Undecided{"a root of no whole index"};
        return power(of(e.kids[0]), Exact(1, *n));
      }
      case Op::kPow: {
        if (is_free(e.kids[1], x_)) {
          const Series exponent = of(e.kids[1]);
          if (e.kids[0].op == Op::kEuler) return exponential(exponent);
          return exponential(multiply(exponent, logarithm(of(e.kids[0]))));
        }
        const Form exponent = form_of(e.kids[1]);
        if (!exponent.bottom.is_one() || !exponent.top.is_constant()) {
          return exponential(scale(logarithm(of(e.kids[0])), exponent));
        }
        const Exact r = exponent.top.constant();
        if (r.is_zero()) return constant(number(1));
        return power(of(e.kids[0]), r);
      }
      case Op::kCall:
        return function(e);
      default:
        throw Undecided{"a limit that is not known"};
    }
  }

  Series function(const Expr& e) {
    if (e.kids.size() == 2 && e.name == "log")
      return multiply(logarithm(of(e.kids[0])), power(logarithm(of(e.kids[1])), Exact(-1)));
    if (e.kids.size() != 1) throw Undecided{"a limit that is not known"};
    const std::string& name = e.name;
    const Expr& x = e.kids[0];
    const auto inverse = [&](const char* of_name) { return power(wave(of_name, of(x)), Exact(-1)); };
    if (name == "sin" || name == "cos") return wave(name, of(x));
    if (name == "tan") return multiply(wave("sin", of(x)), inverse("cos"));
    if (name == "cot") return multiply(wave("cos", of(x)), inverse("sin"));
    if (name == "sec") return inverse("cos");
    if (name == "csc") return inverse("sin");
    if (name == "exp") return exponential(of(x));
    if (name == "ln" || name == "log") return logarithm(of(x));
    if (name == "atan" || name == "asin" || name == "asinh" || name == "atanh") return inverse_function(name, x);
    if (name == "sinh" || name == "cosh" || name == "tanh") {
      const Series up = exponential(of(x)), down = exponential(scale(of(x), number(-1)));
      const Series sine = add(up, scale(down, number(-1))), cosine = add(up, down);
      if (name == "tanh") return multiply(sine, power(cosine, Exact(-1)));
      return scale(name == "sinh" ? sine : cosine, number(Exact(1, 2)));
    }
    if (name == "abs") {
      Series s = of(x);
      if (s.tiny()) return s;
      normalise(s);
      const auto sign = sign_of(forms_.to_expr(s.terms[0]), budget_);
      const bool odd = s.order % 2 != 0;
      if (!sign || *sign == 0 || (odd && side_ == 0)) throw Undecided{"a limit that depends on the side"};
      return (*sign > 0) != (odd && side_ < 0) ? s : scale(std::move(s), number(-1));
    }
    throw Undecided{"a limit that is not known"};
  }

  const std::string& x_;
  Series variable_;
  int side_;  // of t: 1, -1, or 0 for both
  Budget& budget_;
  Forms forms_;
};

// Whether the value stays finite and defined in a ball around the place: then it is continuous there.
bool is_continuous(const Expr& e, const std::string& x, const Expr& where, Budget& budget) {
  Ball ball, value;
  if (evaluate(where, {}, true, 128, budget, ball) != Defined::kYes || !ball.is_real()) return false;
  mag_t width;
  mag_init(width);
  mag_set_ui_2exp_si(width, 1, -24);
  arb_add_error_mag(ball.real(), width);
  mag_clear(width);
  const Binding binding{x, ball};
  return evaluate(e, {}, true, 128, budget, value, &binding) == Defined::kYes;
}

}  // namespace

Expr limit(const Expr& e, const std::string& x, const Expr& where, int side, Budget& budget) {
  const bool minus = where.op == Op::kNeg && where.kids[0].op == Op::kInfinity;
  const bool infinite = minus || where.op == Op::kInfinity;
  if (!infinite && is_free(where, x)) throw Undecided{"a limit at no place"};
  if (!is_free(e, x)) return e;
  if (!infinite && is_continuous(e, x, where, budget)) return substitute(e, x, where);
  // x = a + t, or x = 1 / t with t > 0 (x = -1 / t for minus infinity)
  const auto number = [](const Exact& value) { return Form{Poly(value), Poly(Exact(1))}; };
  Series variable;
  variable.order = infinite ? -1 : 0;
  variable.terms.assign(kTerms, number(0));
  if (infinite) {
    variable.terms[0] = number(minus ? -1 : 1);
    return Expansion(x, std::move(variable), 1, budget).run(e);
  }
  // x - a is called x: then the place is 0.
  variable.terms[1] = number(1);
  const Expr moved = substitute(e, x, binary(Op::kAdd, symbol_expr(x), where));
  return Expansion(x, std::move(variable), side, budget).run(moved);
}

}  // namespace merit::verify
