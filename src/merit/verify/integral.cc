// Definite integrals by antiderivatives: sums of x^r, x^n e^(lambda x) (and with it sin, cos and their kin), x^r ln x,
// roots of linear and of some quadratic polynomials, and rational functions whose denominators have factors of degree 1
// and 2. F(b) - F(a) is the integral where F is continuous from a to b, which balls prove.
#include <algorithm>
#include <cmath>
#include <map>

#include "merit/verify/ball.h"
#include "merit/verify/calculus.h"
#include "merit/verify/rational_function.h"
#include "merit/verify/scalar.h"

namespace merit::verify {
namespace {

Expr minus(Expr a) { return unary(Op::kNeg, std::move(a)); }
Expr plus(Expr a, Expr b) { return binary(Op::kAdd, std::move(a), std::move(b)); }
Expr times(Expr a, Expr b) { return binary(Op::kMul, std::move(a), std::move(b)); }
Expr over(Expr a, Expr b) { return binary(Op::kDiv, std::move(a), std::move(b)); }
Expr raised(Expr a, const Exact& r) { return binary(Op::kPow, std::move(a), number_expr(r)); }
Expr root(const Exact& a) { return binary(Op::kRoot, number_expr(a), number_expr(2)); }

struct Primitive {
  Expr value;
  Region region;
};
Primitive sum_of(Primitive a, Primitive b) {
  return {plus(std::move(a.value), std::move(b.value)), common(a.region, b.region)};
}
Primitive somewhere(Expr value) { return {std::move(value), Region::unknown()}; }

class Antiderivative {
 public:
  Antiderivative(const std::string& x, Budget& budget) : x_(x), budget_(budget), forms_(budget) {}

  std::optional<Primitive> of(const Expr& e) {
    budget_.spend(200);
    if (!is_free(e, x_)) return Primitive{times(e, symbol_expr(x_)), {}};
    switch (e.op) {
      case Op::kAdd: {
        std::optional<Primitive> out;
        for (const Expr& kid : e.kids) {
          auto one = of(kid);
          if (!one) return by_form(e);
          out = out ? sum_of(std::move(*out), std::move(*one)) : std::move(*one);
        }
        return out;
      }
      case Op::kNeg: {
        auto inner = of(e.kids[0]);
        if (inner) inner->value = minus(std::move(inner->value));
        return inner;
      }
      case Op::kMul: {
        Expr constant = number_expr(1), rest = number_expr(1);
        for (const Expr& kid : e.kids) {
          Expr& part = is_free(kid, x_) ? rest : constant;
          part = part == number_expr(1) ? kid : times(std::move(part), kid);
        }
        auto inner = constant == number_expr(1) ? by_form(e) : of(rest);
        if (inner) inner->value = times(std::move(constant), std::move(inner->value));
        return inner;
      }
      case Op::kDiv:
        if (!is_free(e.kids[1], x_)) {
          auto inner = of(e.kids[0]);
          if (inner) inner->value = over(std::move(inner->value), e.kids[1]);
          return inner;
        }
        return angle(e);
      default:
        return angle(e);
    }
  }

 private:
  // tan u, cot u, and 1 / cos^2 u and the like, for a linear u.
  std::optional<Primitive> angle(const Expr& e) {
    const Expr* f = &e;
    int64_t power = 1;
    if (f->op == Op::kDiv && f->kids[0] == number_expr(1)) {
      f = &f->kids[1];
      power = -1;
    }
    if (f->op == Op::kPow && f->kids[1] == number_expr(2)) {
      f = &f->kids[0];
      power *= 2;
    }
    if (f->op != Op::kCall || f->kids.size() != 1) return by_form(e);
    const Expr& u = f->kids[0];
    const Expr slope = derivative(u, x_, budget_);
    if (is_free(slope, x_)) return by_form(e);
    const auto out = [&](Expr value) { return somewhere(over(std::move(value), slope)); };
    const auto log_of = [&](const char* name) { return call("ln", {call("abs", {call(name, {u})})}); };
    if (power == 1 && f->name == "tan") return out(minus(log_of("cos")));
    if (power == 1 && f->name == "cot") return out(log_of("sin"));
    if ((power == 2 && f->name == "sec") || (power == -2 && f->name == "cos")) return out(call("tan", {u}));
    if ((power == 2 && f->name == "csc") || (power == -2 && f->name == "sin")) return out(minus(call("cot", {u})));
    return by_form(e);
  }

  bool has_x(const Monomial& m) const {
    return std::any_of(m.begin(), m.end(), [&](const Factor& f) { return has_x(f.atom); });
  }
  bool has_x(uint32_t id) const {
    const Atom& a = forms_.atom(id);
    if (a.kind == Atom::Kind::kSymbol) return a.name == x_;
    return std::any_of(a.base.begin(), a.base.end(), [&](const Poly& p) {
      return std::any_of(p.terms.begin(), p.terms.end(), [&](const Term& t) { return has_x(t.monomial); });
    });
  }

  // A coefficient's constant part, and what depends on x and is no power of it.
  struct Kernel {
    Monomial constant;
    Monomial rest;
    auto operator<=>(const Kernel&) const = default;
  };
  struct Power {
    Exact exponent;  // of x
    Exact coefficient;
  };

  std::optional<Primitive> by_form(const Expr& e) {
    const Form f = forms_.from(e);
    if (!f.bottom.is_one()) {
      const auto top = rational_polynomial(f.top, x_, forms_);
      const auto bottom = rational_polynomial(f.bottom, x_, forms_);
      if (!top || !bottom) return std::nullopt;
      auto value = rational_primitive(*top, *bottom, x_, budget_);
      if (!value) return std::nullopt;
      return Primitive{std::move(value->value), value->region};
    }
    std::map<Kernel, std::vector<Power>> parts;
    for (const Term& term : f.top.terms) {
      Kernel kernel;
      Exact exponent(0);
      for (const Factor& factor : term.monomial) {
        const Atom& a = forms_.atom(factor.atom);
        if (a.kind == Atom::Kind::kSymbol && a.name == x_) {
          exponent = Exact(factor.top, factor.bottom);
        } else {
          (has_x(factor.atom) ? kernel.rest : kernel.constant).push_back(factor);
        }
      }
      parts[kernel].push_back({exponent, term.coefficient});
    }
    std::optional<Primitive> out;
    for (const auto& [kernel, powers] : parts) {
      auto one = of_part(kernel.rest, powers);
      if (!one) return std::nullopt;
      if (!kernel.constant.empty()) {
        one->value = times(forms_.to_expr(Poly(Term{kernel.constant, Exact(1)})), std::move(one->value));
      }
      out = out ? sum_of(std::move(*out), std::move(*one)) : std::move(*one);
    }
    return out ? std::move(*out) : Primitive{number_expr(0), {}};
  }

  // The integral of kernel * sum of the powers.
  std::optional<Primitive> of_part(const Monomial& kernel, const std::vector<Power>& powers) {
    if (kernel.empty()) return sum(powers, [&](const Exact& r) { return of_power(r); });
    if (std::all_of(kernel.begin(), kernel.end(),
                    [&](const Factor& f) { return forms_.atom(f.atom).kind == Atom::Kind::kExp; })) {
      if (const auto rate = linear_rate(kernel)) {
        return sum(powers, [&](const Exact& r) { return of_exponential(r, *rate); });
      }
      return of_chain(kernel, powers);
    }
    if (kernel.size() != 1) return std::nullopt;
    const Atom& a = forms_.atom(kernel[0].atom);
    if (a.kind == Atom::Kind::kLn && kernel[0].top == 1 && kernel[0].bottom == 1) {
      return sum(powers, [&](const Exact& r) { return of_logarithm(r, a.base[0]); });
    }
    if (a.kind == Atom::Kind::kRadical) return of_radical(a.base[0], Exact(kernel[0].top, kernel[0].bottom), powers);
    return std::nullopt;
  }

  template <typename Each>
  std::optional<Primitive> sum(const std::vector<Power>& powers, Each&& each) {
    std::optional<Primitive> out;
    for (const Power& power : powers) {
      auto one = each(power.exponent);
      if (!one) return std::nullopt;
      one->value = times(number_expr(power.coefficient), std::move(one->value));
      out = out ? sum_of(std::move(*out), std::move(*one)) : std::move(*one);
    }
    return out;
  }

  std::optional<Primitive> of_power(const Exact& r) {
    const Expr x = symbol_expr(x_);
    if (r == Exact(-1)) return Primitive{call("ln", {call("abs", {x})}), Region::right_of(0)};
    const Exact next = r + Exact(1);
    return Primitive{over(raised(x, next), number_expr(next)),
                     r.is_integer() && r.sign() >= 0 ? Region{} : Region::right_of(0)};
  }

  // lambda of a product of e^(c x).
  std::optional<Expr> linear_rate(const Monomial& kernel) {
    Poly rate;
    for (const Factor& f : kernel) {
      Term term = forms_.atom(f.atom).base[0].terms[0];
      const auto at =
          std::find_if(term.monomial.begin(), term.monomial.end(), [&](const Factor& m) { return has_x(m.atom); });
      if (at == term.monomial.end() || at->top != 1 || at->bottom != 1) return std::nullopt;
      const Atom& a = forms_.atom(at->atom);
      if (a.kind != Atom::Kind::kSymbol) return std::nullopt;
      term.monomial.erase(at);
      if (has_x(term.monomial)) return std::nullopt;
      term.coefficient *= Exact(f.top, f.bottom);
      rate = merit::verify::add(rate, Poly(std::move(term)), budget_);
    }
    if (rate.is_zero()) return std::nullopt;
    return forms_.to_expr(rate);
  }

  // x^n e^(lambda x), by parts n times.
  std::optional<Primitive> of_exponential(const Exact& r, const Expr& rate) {
    const auto n = r.integer();
    if (!n || *n < 0 || *n > 12) return std::nullopt;
    const Expr x = symbol_expr(x_);
    Expr e;
    e.op = Op::kEuler;
    Expr factor = number_expr(0);
    Exact coefficient(1);
    for (int64_t k = 0; k <= *n; ++k) {
      Expr one = over(number_expr(coefficient), raised(rate, Exact(k + 1)));
      if (k < *n) one = times(std::move(one), raised(x, Exact(*n - k)));
      factor = plus(std::move(factor), std::move(one));
      coefficient *= Exact(k - *n);
    }
    return Primitive{times(std::move(factor), binary(Op::kPow, std::move(e), times(rate, x))), {}};
  }

  // c x^(m-1) e^(a x^m)
  std::optional<Primitive> of_chain(const Monomial& kernel, const std::vector<Power>& powers) {
    if (kernel.size() != 1 || powers.size() != 1) return std::nullopt;
    const Factor& f = kernel[0];
    const Monomial& base = forms_.atom(f.atom).base[0].terms[0].monomial;
    Exact m(0);
    Monomial rest;
    for (const Factor& factor : base) {
      const Atom& a = forms_.atom(factor.atom);
      if (a.kind == Atom::Kind::kSymbol && a.name == x_) {
        m = Exact(factor.top, factor.bottom);
      } else {
        rest.push_back(factor);
      }
    }
    if (has_x(rest) || m.is_zero() || !(powers[0].exponent == m - Exact(1))) return std::nullopt;
    const Expr slope = times(number_expr(m * Exact(f.top, f.bottom)), forms_.to_expr(Poly(Term{rest, Exact(1)})));
    Expr value = forms_.to_expr(Poly(Term{kernel, powers[0].coefficient}));
    return Primitive{over(std::move(value), slope), m.is_integer() && m.sign() > 0 ? Region{} : Region::right_of(0)};
  }

  // x^r ln x and ln(a x + b)
  std::optional<Primitive> of_logarithm(const Exact& r, const Poly& of) {
    const auto p = rational_polynomial(of, x_, forms_);
    if (!p || p->size() != 2) return std::nullopt;
    const Expr x = symbol_expr(x_);
    const Expr u = forms_.to_expr(of);
    const Expr log = call("ln", {u});
    if (!(*p)[0].is_zero()) {
      if (!r.is_zero()) return std::nullopt;
      return somewhere(over(times(u, plus(log, number_expr(-1))), number_expr((*p)[1])));
    }
    if (!(*p)[1].is_one()) return std::nullopt;
    if (r == Exact(-1)) return Primitive{over(raised(log, Exact(2)), number_expr(2)), Region::right_of(0)};
    const Exact next = r + Exact(1);
    return Primitive{times(over(raised(x, next), number_expr(next)), plus(log, number_expr(-next.inverse()))),
                     Region::right_of(0)};
  }

  // Q(x) P(x)^r
  std::optional<Primitive> of_radical(const Poly& base, const Exact& r, const std::vector<Power>& powers) {
    const auto p = rational_polynomial(base, x_, forms_);
    if (!p || p->size() < 2 || p->size() > 3) return std::nullopt;
    std::vector<Exact> q;
    for (const Power& power : powers) {
      const auto n = power.exponent.integer();
      if (!n || *n < 0 || *n > 8) return std::nullopt;
      if (q.size() <= static_cast<size_t>(*n)) q.resize(static_cast<size_t>(*n) + 1, Exact(0));
      q[static_cast<size_t>(*n)] += power.coefficient;
    }
    const Expr u = forms_.to_expr(base);
    if (p->size() == 2) return of_linear_root(*p, r, q, u);
    const Exact &a = (*p)[0], &b = (*p)[1], &c = (*p)[2];
    const Exact twice_c = c + c;
    if (q.size() == 2 && q[0] * twice_c == b * q[1]) {  // Q is a multiple of P'
      const Exact next = r + Exact(1);
      if (next.is_zero()) return std::nullopt;
      return somewhere(times(number_expr(q[1] / twice_c / next), raised(u, next)));
    }
    if (q.size() != 1 || !b.is_zero() || a.sign() <= 0) return std::nullopt;
    // 1 / sqrt(a - c x^2) and its inverse
    const Expr x = symbol_expr(x_);
    const Expr scale = root(c.abs());
    Expr inverse = over(call(c.sign() < 0 ? "asin" : "asinh", {over(times(scale, x), root(a))}), scale);
    if (r == Exact(1, 2)) {
      inverse = over(plus(times(x, binary(Op::kRoot, u, number_expr(2))), times(number_expr(a), std::move(inverse))),
                     number_expr(2));
    } else if (!(r == Exact(-1, 2))) {
      return std::nullopt;
    }
    return somewhere(times(number_expr(q[0]), std::move(inverse)));
  }

  // In powers of u = a x + b.
  std::optional<Primitive> of_linear_root(const std::vector<Exact>& p, const Exact& r, const std::vector<Exact>& q,
                                          const Expr& u) {
    const std::vector<Exact> x_of_u = {-p[0] / p[1], p[1].inverse()};
    std::vector<Exact> in_u = {Exact(0)};
    for (size_t k = q.size(); k-- > 0;) {  // Horner
      in_u = multiply_polynomials(in_u, x_of_u);
      in_u[0] += q[k];
    }
    Expr out = number_expr(0);
    for (size_t k = 0; k < in_u.size(); ++k) {
      const Exact next = r + Exact(static_cast<int64_t>(k) + 1);
      out = plus(std::move(out), times(number_expr(in_u[k] / next / p[1]), raised(u, next)));
    }
    return somewhere(std::move(out));
  }

  const std::string& x_;
  Budget& budget_;
  Forms forms_;
};

bool is_infinite(const Expr& e) { return e.op == Op::kInfinity || (e.op == Op::kNeg && e.kids[0].op == Op::kInfinity); }

// A rational number at the place or a little below (sign -1) or above it.
std::optional<Exact> beside(const Expr& e, int sign, Budget& budget) {
  if (auto exact = exact_value(e, budget)) return exact;
  const auto near = approximation(e, budget);
  if (!near || !(std::abs(*near) < 1e9)) return std::nullopt;
  return Exact(static_cast<int64_t>(*near * 1e9) + 10 * sign, 1'000'000'000);
}

// Exact where it can be, so that a ball ends where the way ends.
void set_radius(arb_ptr ball, const Exact& radius) {
  const auto top = radius.top().integer();
  const slong shift = static_cast<slong>(fmpz_val2(radius.bottom_raw()));
  if (top && *top < (1 << 30) && radius.bottom() == Exact(2).power(shift)) {
    mag_set_ui_2exp_si(arb_radref(ball), static_cast<ulong>(*top), -shift);
    return;
  }
  arb_t size;
  arb_init(size);
  arb_set_fmpq(size, radius.raw(), 128);
  arb_add_error(ball, size);
  arb_clear(size);
}

// Whether balls that cover the way from a to b show a finite value everywhere.
bool is_continuous(const Expr& e, const std::string& x, const Exact& a, const Exact& b, Budget& budget) {
  std::vector<std::pair<Exact, Exact>> left = {{a, b}};
  for (int steps = 0; !left.empty(); ++steps) {
    if (steps > 300) return false;
    const auto [low, high] = left.back();
    left.pop_back();
    const Exact middle = (low + high) / Exact(2), half = (high - low) / Exact(2);
    Binding binding{x, {}};
    arb_set_fmpq(binding.value.real(), middle.raw(), 128);
    set_radius(binding.value.real(), half);
    Ball value;
    if (evaluate(e, {}, true, 96, budget, value, &binding) == Defined::kYes ||
        (contains(e, Op::kImaginary) && evaluate(e, {}, false, 96, budget, value, &binding) == Defined::kYes)) {
      continue;
    }
    if (half < Exact(1, 1'000'000)) return false;
    left.emplace_back(low, middle);
    left.emplace_back(middle, high);
  }
  return true;
}

}  // namespace

std::optional<Expr> integral(const Expr& e, const std::string& x, const Expr& from, const Expr& to, Budget& budget) {
  std::optional<Primitive> primitive;
  try {
    primitive = Antiderivative(x, budget).of(e);
  } catch (const Undecided&) {
    return std::nullopt;
  }
  if (!primitive) return std::nullopt;
  const Expr& f = primitive->value;
  if (to.op == Op::kInfinity && !is_infinite(from) && primitive->region.from) {
    const auto above = sign_of(plus(from, number_expr(-*primitive->region.from)), budget);
    if (!above || *above <= 0) return std::nullopt;
  } else if (!primitive->region.everywhere) {
    if (is_infinite(from) || is_infinite(to)) return std::nullopt;
    if (!symbols_of(from).empty() || !symbols_of(to).empty() || symbols_of(f) != std::vector<std::string>{x})
      return std::nullopt;
    const auto order = sign_of(plus(to, minus(from)), budget);
    if (!order) return std::nullopt;
    const auto a = beside(*order >= 0 ? from : to, -1, budget), b = beside(*order >= 0 ? to : from, 1, budget);
    if (!a || !b || !is_continuous(f, x, *a, *b, budget)) return std::nullopt;
  }
  const auto at = [&](const Expr& end) {
    return is_infinite(end) ? limit(f, x, end, 0, budget) : substitute(f, x, end);
  };
  return plus(at(to), minus(at(from)));
}

}  // namespace merit::verify
