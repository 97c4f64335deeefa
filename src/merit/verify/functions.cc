// Functions of the normal form: exponentials, logarithms, angles, and what stays opaque.
#include <algorithm>
#include <cmath>

#include "merit/verify/ball.h"
#include "merit/verify/calculus.h"
#include "merit/verify/normal_form.h"

namespace merit::verify {
namespace {

constexpr int64_t kMaxSeries = 2000;
constexpr int64_t kMaxFactorial = 2000;

Term unit_term(Monomial m) { return Term{std::move(m), Exact(1)}; }
const Factor kHalfTurnRoot{0, 1, 2};  // i = e^(i pi / 2)

}  // namespace

// e^f: a product of one factor a term.
Form Forms::exponential(const Form& f) {
  if (!f.bottom.is_one()) throw Undecided{"an exponential of a quotient"};
  Form out = form(Poly(Exact(1)));
  for (const Term& term : f.top.terms) {
    const auto top = term.coefficient.top().integer();
    const auto bottom = term.coefficient.bottom().integer();
    if (!top || !bottom || std::abs(*top) > 100'000 || *bottom > 100'000)
      throw Undecided{"an exponent that is too large"};
    const Monomial& m = term.monomial;
    if (m.size() == 2 && m[0] == kHalfTurnRoot && m[1] == Factor{1, 1, 1}) {
      // e^(i pi r), of period 2
      const int64_t reduced = ((*top % (2 * *bottom)) + 2 * *bottom) % (2 * *bottom);
      if (reduced != 0) out = multiply(out, form(settle({unit_term({make_factor(0, reduced, *bottom)})})));
      continue;
    }
    if (m.size() == 1 && atoms_[m[0].atom].kind == Atom::Kind::kLn && m[0].top == 1 && m[0].bottom == 1) {
      const Poly base = atoms_[m[0].atom].base[0];
      if (base.is_constant()) {
        out = multiply(out, form(number_power(base.constant(), *top, *bottom)));
      } else if (*bottom == 1) {
        out = multiply(out, whole_power(form(base), *top));
      } else if (base.terms.size() == 1) {
        out = multiply(out, monomial_power(base.terms[0], *top, *bottom));
      } else {
        const uint32_t id = atom_id(Atom::Kind::kRadical, "", {}, {base});
        out = multiply(out, form(settle({unit_term({make_factor(id, *top, *bottom)})})));
      }
      continue;
    }
    const uint32_t id = atom_id(Atom::Kind::kExp, "", {}, {Poly(unit_term(m))});
    out = multiply(out, form(one(id, *top, *bottom)));
  }
  return out;
}

Poly Forms::log_of_number(const Exact& value) {
  Poly out;
  for (const bool numerator : {true, false}) {
    const Exact part = numerator ? value.top() : value.bottom();
    if (part.is_one()) continue;
    Poly prime_logs;
    for (const auto& [prime, times_in] : factors_of(part, budget_)) {
      const uint32_t id = atom_id(Atom::Kind::kLn, "", {}, {Poly(prime)});
      prime_logs = merit::verify::add(prime_logs, Poly(Term{{make_factor(id, 1, 1)}, Exact(times_in)}), budget_);
    }
    out = merit::verify::add(out, numerator ? prime_logs : negate(std::move(prime_logs)), budget_);
  }
  return out;
}

Poly Forms::log_of_poly(const Poly& p, const Expr* of) {
  if (p.is_zero()) throw Undecided{"a logarithm of zero"};
  Poly out;
  if (p.terms.size() == 1) {
    const Term& term = p.terms[0];
    if (term.coefficient.sign() < 0) {
      if (of == nullptr || !symbols_of(*of).empty()) throw Undecided{"a logarithm of what may be negative"};
      out = Poly(unit_term({kHalfTurnRoot, make_factor(1, 1, 1)}));  // i pi
    }
    out = merit::verify::add(out, log_of_number(term.coefficient.abs()), budget_);
    for (const Factor& f : term.monomial) {
      const Atom a = atoms_[f.atom];
      const Exact exponent(f.top, f.bottom);
      Poly part;
      if (a.kind == Atom::Kind::kUnity) {
        throw Undecided{"a logarithm of a complex value"};
      } else if (a.kind == Atom::Kind::kExp) {
        if (!is_real({f})) throw Undecided{"a logarithm of a complex value"};
        part = a.base[0];
      } else if (a.kind == Atom::Kind::kPrime) {
        part = log_of_number(a.number);
      } else if (a.kind == Atom::Kind::kAbs || a.kind == Atom::Kind::kRadical) {
        part = log_of_poly(a.base[0], nullptr);
      } else {
        part = one(atom_id(Atom::Kind::kLn, "", {}, {one(f.atom)}));
      }
      out = merit::verify::add(out, scale(std::move(part), exponent), budget_);
    }
    return out;
  }
  const Exact outside = content(p);
  Poly inside = scale(p, outside.inverse());
  if (of != nullptr && symbols_of(*of).empty()) {
    const auto sign = sign_of(*of, budget_);
    if (!sign || *sign == 0) throw Undecided{"a logarithm of a value of unknown sign"};
    // cos(pi/4) is a root of a number: half the logarithm of the square.
    const Poly square = product(p, p);
    if (*sign > 0 && square.is_constant()) return scale(log_of_number(square.constant()), Exact(1, 2));
    if (*sign < 0) {
      inside = negate(std::move(inside));
      out = Poly(unit_term({kHalfTurnRoot, make_factor(1, 1, 1)}));
    }
  }
  out = merit::verify::add(out, log_of_number(outside), budget_);
  return merit::verify::add(out, one(atom_id(Atom::Kind::kLn, "", {}, {inside})), budget_);
}

Form Forms::logarithm(const Form& f, const Expr& of) {
  if (f.bottom.is_one()) return form(log_of_poly(f.top, &of));
  const Poly top = log_of_poly(f.top, nullptr);
  return form(merit::verify::add(top, negate(log_of_poly(f.bottom, nullptr)), budget_));
}

// (e^(if) - e^(-if)) / 2i and (e^(if) + e^(-if)) / 2
Form Forms::sine(const Form& f) {
  const Form turn = form(Poly(unit_term({kHalfTurnRoot})));
  const Form wave = exponential(multiply(f, turn));
  Form out = subtract(wave, invert(wave));
  return multiply(out, form(Poly(Term{{kHalfTurnRoot}, Exact(-1, 2)})));
}
Form Forms::cosine(const Form& f) {
  const Form turn = form(Poly(unit_term({kHalfTurnRoot})));
  const Form wave = exponential(multiply(f, turn));
  return multiply(add(wave, invert(wave)), form(Poly(Exact(1, 2))));
}
Form Forms::hyperbolic(const Form& f, bool sine) {
  const Form wave = exponential(f);
  return multiply(sine ? subtract(wave, invert(wave)) : add(wave, invert(wave)), form(Poly(Exact(1, 2))));
}

// arcsin, arccos or arctan of a constant that is one of a whole fraction of a turn: found by its digits, then proved.
std::optional<Form> Forms::inverse_angle(const Expr& e) {
  if (!symbols_of(e).empty()) return std::nullopt;
  const auto value = approximation(e, budget_);
  if (!value) return std::nullopt;
  for (const int64_t parts : {12, 10, 16, 7, 9, 15, 24, 60}) {
    const double steps = *value / M_PI * static_cast<double>(parts);
    const double nearest = std::round(steps);
    if (std::abs(steps - nearest) > 1e-9) continue;
    const Exact turn(static_cast<int64_t>(nearest), parts);
    const Form angle = form(scale(one(1), turn));
    const Form s = sine(angle);
    const Form c = cosine(angle);
    const Form argument = from(e.kids[0]);
    const bool proved = e.name == "asin"   ? is_zero(subtract(s, argument))
                        : e.name == "acos" ? is_zero(subtract(c, argument))
                                           : is_zero(subtract(s, multiply(c, argument)));
    if (proved) return angle;
    return std::nullopt;
  }
  return std::nullopt;
}

// Of a sum of real terms and i times real terms; nothing for others.
std::optional<Form> Forms::real_part(const Form& f, bool imaginary) {
  if (!f.bottom.is_one()) return std::nullopt;
  Poly out;
  for (const Term& term : f.top.terms) {
    Monomial rest = term.monomial;
    const bool turned = !rest.empty() && rest[0] == kHalfTurnRoot;
    if (turned) rest.erase(rest.begin());
    if (!is_real(rest)) return std::nullopt;
    if (turned == imaginary) out = merit::verify::add(out, Poly(Term{std::move(rest), term.coefficient}), budget_);
  }
  return form(std::move(out));
}

Form Forms::absolute(const Expr& e) {
  const Form f = from(e);
  if (symbols_of(e).empty()) {
    const auto sign = sign_of(e, budget_);
    if (sign) return *sign < 0 ? Form{negate(f.top), f.bottom} : f;
    // |a + bi|: the root of a square, where the parts are plain.
    if (f.bottom.is_one()) {
      Poly re, im;
      for (const Term& term : f.top.terms) {
        Monomial rest = term.monomial;
        const bool turned = !rest.empty() && rest[0] == kHalfTurnRoot;
        if (turned) rest.erase(rest.begin());
        if (!is_real(rest)) throw Undecided{"the size of a complex value"};
        Poly& part = turned ? im : re;
        part = merit::verify::add(part, Poly(Term{std::move(rest), term.coefficient}), budget_);
      }
      const Poly square = merit::verify::add(product(re, re), product(im, im), budget_);
      if (square.terms.size() == 1) return monomial_power(square.terms[0], 1, 2);
      const Exact outside = content(square);
      const uint32_t id = atom_id(Atom::Kind::kRadical, "", {}, {scale(square, outside.inverse())});
      return form(product(number_power(outside, 1, 2), one(id, 1, 2)));
    }
    throw Undecided{"the size of a complex value"};
  }
  const auto of_poly = [&](const Poly& p) {
    if (p.terms.size() == 1) {
      Poly out(p.terms[0].coefficient.abs());
      for (const Factor& x : p.terms[0].monomial) {
        const Atom& a = atoms_[x.atom];
        if (!is_real({x})) throw Undecided{"the size of a complex value"};
        const bool positive =
            a.kind != Atom::Kind::kSymbol && a.kind != Atom::Kind::kOpaque && a.kind != Atom::Kind::kLn;
        const bool even = x.bottom % 2 != 0 && x.top % 2 == 0;
        const bool root = x.bottom % 2 == 0;  // where it is defined it is not negative
        if (positive || even || root) {
          out = product(out, Poly(unit_term({x})));
        } else {
          const uint32_t id = atom_id(Atom::Kind::kAbs, "", {}, {one(x.atom)});
          out = product(out, settle({unit_term({make_factor(id, x.top, x.bottom)})}));
        }
      }
      return out;
    }
    for (const Term& term : p.terms) {
      if (!is_real(term.monomial)) throw Undecided{"the size of a complex value"};
    }
    const Exact outside = content(p);
    Poly inside = scale(p, outside.inverse());
    if (inside.terms.back().coefficient.sign() < 0) inside = negate(std::move(inside));
    return scale(one(atom_id(Atom::Kind::kAbs, "", {}, {inside})), outside);
  };
  const Form top = form(of_poly(f.top));
  return f.bottom.is_one() ? top : multiply(top, invert(form(of_poly(f.bottom))));
}

Form Forms::factorial(const Expr& e) {
  const Form f = from(e.kids[0]);
  const bool gamma = e.name == "gamma";
  if (f.bottom.is_one() && f.top.is_constant()) {
    const Exact value = gamma ? f.top.constant() - Exact(1) : f.top.constant();
    if (value.is_integer()) {
      const auto n = value.integer();
      if (!n || *n < 0) throw Undecided{"a factorial of no natural number"};
      if (*n > kMaxFactorial) throw Undecided{"a number of too many digits"};
      Exact out(1);
      fmpz_fac_ui(fmpq_numref(out.raw()), static_cast<ulong>(*n));
      return form(Poly(std::move(out)));
    }
    if (gamma && (value + value).is_integer() && value.sign() > 0 && value < Exact(200)) {
      // gamma(n + 1/2) = (n - 1/2) (n - 3/2) ... (1/2) pi^(1/2)
      Exact out(1);
      for (Exact k = value; k.sign() > 0; k = k - Exact(1)) out *= k;
      return form(scale(one(1, 1, 2), out));
    }
    if (gamma && value == Exact(-1, 2)) return form(one(1, 1, 2));
  }
  return opaque("factorial", e.kids);
}

Form Forms::binomial(const Expr& e) {
  if (e.kids.size() != 2) throw Undecided{"a function of other arguments"};
  const auto k = whole(e.kids[1]);
  if (!k || *k < 0 || *k > 500) {
    const auto n = whole(e.kids[0]);
    if (n && *n >= 0 && k && *k > *n) return form(Poly());
    return opaque("binom", e.kids);
  }
  const Form n = from(e.kids[0]);
  if (!n.bottom.is_one() || (!n.top.is_constant() && *k > 12)) return opaque("binom", e.kids);
  Form out = form(Poly(Exact(1)));
  for (int64_t j = 0; j < *k; ++j) {
    Form factor = subtract(n, form(Poly(Exact(j))));
    factor.top = scale(std::move(factor.top), Exact(1, j + 1));
    out = multiply(out, factor);
  }
  return out;
}

Form Forms::series(const Expr& e) {
  const auto first = whole(e.kids[1]);
  const auto last = whole(e.kids[2]);
  if (!first || !last) throw Undecided{"a sum without whole bounds"};
  if (*last - *first > kMaxSeries) throw Undecided{"a sum of too many terms"};
  Form out = form(Poly(Exact(e.name == "sum" ? 0 : 1)));
  for (int64_t k = *first; k <= *last; ++k) {
    const Form term = from(substitute(e.kids[3], e.kids[0].name, number_expr(Exact(k))));
    out = e.name == "sum" ? add(out, term) : multiply(out, term);
  }
  return out;
}

Form Forms::opaque(const std::string& name, const std::vector<Expr>& arguments) {
  std::vector<Poly> base;
  for (const Expr& argument : arguments) {
    Form f = from(argument);
    base.push_back(std::move(f.top));
    base.push_back(std::move(f.bottom));
  }
  return form(one(atom_id(Atom::Kind::kOpaque, name, {}, std::move(base))));
}

Form Forms::call(const Expr& e) {
  const std::string& name = e.name;
  if (name == "sum" || name == "prod") return series(e);
  if (name == "lim" || name == "deriv") throw Undecided{"a limit or a derivative that is not known"};
  if (e.kids.empty()) throw Undecided{"a function without arguments"};
  const Expr& x = e.kids[0];
  if (name == "log" && e.kids.size() == 2) {
    return multiply(logarithm(from(x), x), invert(logarithm(from(e.kids[1]), e.kids[1])));
  }
  if (name == "binom") return binomial(e);
  if (name == "max" || name == "min" || name == "gcd" || name == "lcm" || name == "mod") {
    std::vector<Exact> values;
    for (const Expr& kid : e.kids) {
      const Form f = from(kid);
      if (!f.bottom.is_one() || !f.top.is_constant()) return opaque(name, e.kids);
      values.push_back(f.top.constant());
    }
    Exact out = values[0];
    for (size_t i = 1; i < values.size(); ++i) {
      const Exact& v = values[i];
      if (name == "max") {
        out = out < v ? v : out;
      } else if (name == "min") {
        out = v < out ? v : out;
      } else if (!out.is_integer() || !v.is_integer()) {
        return opaque(name, e.kids);
      } else if (name == "gcd") {
        fmpz_gcd(fmpq_numref(out.raw()), out.top_raw(), v.top_raw());
      } else if (name == "lcm") {
        fmpz_lcm(fmpq_numref(out.raw()), out.top_raw(), v.top_raw());
      } else {
        if (v.is_zero()) throw Undecided{"a division by zero"};
        fmpz_mod(fmpq_numref(out.raw()), out.top_raw(), v.top_raw());
      }
    }
    return form(Poly(std::move(out)));
  }
  if (e.kids.size() != 1 || name.starts_with("f:")) return opaque(name, e.kids);
  if (name == "ln" || name == "log") return logarithm(from(x), x);
  if (name == "exp") return exponential(from(x));
  if (name == "sin") return sine(from(x));
  if (name == "cos") return cosine(from(x));
  if (name == "tan") return multiply(sine(from(x)), invert(cosine(from(x))));
  if (name == "cot") return multiply(cosine(from(x)), invert(sine(from(x))));
  if (name == "sec") return invert(cosine(from(x)));
  if (name == "csc") return invert(sine(from(x)));
  if (name == "sinh" || name == "cosh") return hyperbolic(from(x), name == "sinh");
  if (name == "tanh") return multiply(hyperbolic(from(x), true), invert(hyperbolic(from(x), false)));
  if (name == "coth") return multiply(hyperbolic(from(x), false), invert(hyperbolic(from(x), true)));
  if (name == "sech") return invert(hyperbolic(from(x), false));
  if (name == "csch") return invert(hyperbolic(from(x), true));
  if (name == "abs") return absolute(x);
  if ((name == "re" || name == "im") && symbols_of(x).empty()) {
    if (auto part = real_part(from(x), name == "im")) return std::move(*part);
  }
  if (name == "zeta") {
    const auto n = whole(x);
    if (n && *n > 0 && *n <= 40 && *n % 2 == 0) return from(zeta_of_even(*n));
  }
  if (name == "factorial" || name == "gamma") return factorial(e);
  if (name == "asin" || name == "acos" || name == "atan") {
    if (auto angle = inverse_angle(e)) return std::move(*angle);
    if (name == "acos") {  // pi/2 - asin
      const Form half = form(scale(one(1), Exact(1, 2)));
      return subtract(half, opaque("asin", e.kids));
    }
    return opaque(name, e.kids);
  }
  if (name == "floor" || name == "ceil" || name == "sign") {
    Ball value;
    if (symbols_of(x).empty() && evaluate(e, {}, false, 128, budget_, value) == Defined::kYes && value.is_real() &&
        arb_is_exact(value.real()) && arb_is_int(value.real())) {
      Exact out;
      arb_get_unique_fmpz(fmpq_numref(out.raw()), value.real());
      return form(Poly(std::move(out)));
    }
  }
  return opaque(name, e.kids);
}

}  // namespace merit::verify
