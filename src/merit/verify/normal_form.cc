#include "merit/verify/normal_form.h"

#include <flint/ulong_extras.h>

#include <algorithm>

#include "merit/verify/ball.h"

namespace merit::verify {
namespace {

constexpr uint32_t kUnityId = 0;
constexpr uint32_t kPiId = 1;
constexpr int64_t kMaxWholePower = 4096;
constexpr size_t kMaxAtoms = 200;

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

}  // namespace

std::vector<std::pair<Exact, int>> factors_of(Exact n, Budget& budget) {
  std::vector<std::pair<Exact, int>> out;
  const auto divide_out = [&](uint64_t p) {
    int times = 0;
    while (fmpz_divisible_si(n.top_raw(), static_cast<slong>(p))) {
      fmpz_divexact_ui(fmpq_numref(n.raw()), n.top_raw(), p);
      ++times;
    }
    if (times > 0) out.emplace_back(Exact(static_cast<int64_t>(p)), times);
  };
  budget.spend(100);
  for (uint64_t p = 2; p < 1000 && fmpz_bits(n.top_raw()) > 62; p += 1 + (p & 1)) {
    budget.spend(n.words());
    divide_out(p);
  }
  if (n.is_one()) return out;
  if (fmpz_bits(n.top_raw()) <= 62) {
    n_factor_t found;
    n_factor_init(&found);
    const ulong left = fmpz_get_ui(n.top_raw());
    budget.spend(left > 1'000'000'000'000 ? 20'000 : 200);
    n_factor(&found, left, 1);
    for (int k = 0; k < found.num; ++k) {
      out.emplace_back(Exact(static_cast<int64_t>(found.p[k])), found.exp[k]);
    }
    return out;
  }
  Exact root;
  budget.spend(n.words() * n.words());
  const int exponent = fmpz_is_perfect_power(fmpq_numref(root.raw()), n.top_raw());
  if (exponent > 1) {
    out.emplace_back(std::move(root), exponent);
  } else {
    out.emplace_back(std::move(n), 1);
  }
  return out;
}

Forms::Forms(Budget& budget) : budget_(budget) {
  clean_caches_at_thread_exit();
  atoms_.reserve(16);
  atom_id(Atom::Kind::kUnity, "", {}, {});
  atom_id(Atom::Kind::kPi, "", {}, {});
}

uint32_t Forms::atom_id(Atom::Kind kind, std::string name, Exact number, std::vector<Poly> base) {
  for (uint32_t id = 0; id < atoms_.size(); ++id) {
    const Atom& a = atoms_[id];
    budget_.spend(1);
    if (a.kind == kind && a.number == number && a.name == name && a.base == base) return id;
  }
  if (atoms_.size() >= kMaxAtoms) throw Undecided{"too many parts"};
  atoms_.push_back({kind, std::move(name), std::move(number), std::move(base)});
  return static_cast<uint32_t>(atoms_.size() - 1);
}

Poly Forms::one(uint32_t atom, int64_t top, int64_t bottom) {
  if (top == 0) return Poly(Exact(1));
  return Poly(Term{{make_factor(atom, top, bottom)}, Exact(1)});
}

bool Forms::is_real(const Monomial& m) const {
  return std::all_of(m.begin(), m.end(), [&](const Factor& f) {
    const Atom& a = atoms_[f.atom];
    if (a.kind == Atom::Kind::kUnity) return false;
    if (a.kind == Atom::Kind::kExp) return is_real(a.base[0].terms[0].monomial);
    return true;
  });
}

// ---- Arithmetic of polynomials whose atoms have values

// Whole parts of the exponents of primes and of e^(i pi) go into the coefficient.
void Forms::settle_term(Term& term) const {
  for (size_t i = 0; i < term.monomial.size();) {
    Factor& f = term.monomial[i];
    const Atom& a = atoms_[f.atom];
    if (a.kind == Atom::Kind::kPrime || a.kind == Atom::Kind::kUnity) {
      const int64_t whole = floor_div(f.top, f.bottom);
      if (whole != 0) {
        if (a.kind == Atom::Kind::kUnity) {
          if (whole % 2 != 0) term.coefficient = -term.coefficient;
        } else {
          if (static_cast<uint64_t>(std::abs(whole)) * a.number.bits() > Budget::kMaxBits) {
            throw Undecided{"a number of too many digits"};
          }
          term.coefficient *= a.number.power(whole);
        }
        f.top = static_cast<int32_t>(f.top - whole * f.bottom);
      }
      if (f.top == 0) {
        term.monomial.erase(term.monomial.begin() + static_cast<std::ptrdiff_t>(i));
        continue;
      }
    }
    ++i;
  }
}

Poly Forms::settle(std::vector<Term> terms) {
  std::vector<Poly> expanded;
  for (Term& term : terms) {
    settle_term(term);
    // Radicals and absolute values to whole powers are their sums again.
    for (size_t i = 0; i < term.monomial.size(); ++i) {
      const Factor f = term.monomial[i];
      const Atom& a = atoms_[f.atom];
      int64_t whole = f.top / f.bottom;
      if (a.kind == Atom::Kind::kAbs) whole -= whole % 2;
      if ((a.kind != Atom::Kind::kRadical && a.kind != Atom::Kind::kAbs) || whole <= 0) continue;
      const Poly base = a.base[0];
      Term rest = term;
      rest.monomial = times(rest.monomial, {make_factor(f.atom, -whole, 1)});
      term.coefficient = Exact(0);
      expanded.push_back(product(Poly(std::move(rest)), power(base, whole)));
      break;
    }
  }
  terms.erase(std::remove_if(terms.begin(), terms.end(), [](const Term& t) { return t.coefficient.is_zero(); }),
              terms.end());
  Poly out = collect(std::move(terms), budget_);
  for (const Poly& more : expanded) out = merit::verify::add(out, more, budget_);
  return out;
}

namespace {
struct DepthGuard {
  explicit DepthGuard(int& depth) : depth(depth) {
    if (++depth > 200) throw Undecided{"nested too deep"};
  }
  ~DepthGuard() { --depth; }
  int& depth;
};
}  // namespace

Poly Forms::product(const Poly& a, const Poly& b) {
  const DepthGuard guard(depth_);
  if (a.is_one()) return b;
  if (b.is_one()) return a;
  Poly plain = merit::verify::multiply(a, b, budget_);
  for (const Term& term : plain.terms) {
    for (const Factor& f : term.monomial) {
      const Atom::Kind kind = atoms_[f.atom].kind;
      if (kind == Atom::Kind::kPrime || kind == Atom::Kind::kUnity || kind == Atom::Kind::kRadical ||
          kind == Atom::Kind::kAbs) {
        return settle(std::move(plain.terms));
      }
    }
  }
  return plain;
}

Poly Forms::power(const Poly& p, int64_t exponent) {
  if (exponent == 0) return Poly(Exact(1));
  if (p.is_constant()) {
    const Exact c = p.constant();
    if (c.bits() * static_cast<uint64_t>(exponent) > Budget::kMaxBits) throw Undecided{"a number of too many digits"};
    return Poly(c.power(exponent));
  }
  if (exponent > kMaxWholePower) throw Undecided{"an exponent that is too large"};
  Poly out(Exact(1));
  Poly square = p;
  for (int64_t left = exponent;; square = product(square, square)) {
    if (left & 1) out = product(out, square);
    left >>= 1;
    if (left == 0) break;
  }
  return out;
}

Form Forms::add(const Form& a, const Form& b) {
  if (a.bottom == b.bottom) {
    Form out{merit::verify::add(a.top, b.top, budget_), a.bottom};
    if (out.top.is_zero()) out.bottom = Poly(Exact(1));
    return out;
  }
  return {merit::verify::add(product(a.top, b.bottom), product(b.top, a.bottom), budget_), product(a.bottom, b.bottom)};
}

Form Forms::multiply(const Form& a, const Form& b) {
  if (a.top == b.bottom && !a.top.is_constant()) return Form{b.top, a.bottom};
  if (b.top == a.bottom && !b.top.is_constant()) return Form{a.top, b.bottom};
  Form out{product(a.top, b.top), product(a.bottom, b.bottom)};
  if (out.bottom.terms.size() == 1 && !out.bottom.is_one()) return multiply(form(out.top), invert(form(out.bottom)));
  return out;
}

Form Forms::invert(const Form& a) {
  if (a.top.is_zero()) throw Undecided{"a division by zero"};
  if (a.top.terms.size() == 1) {
    Term term{merit::verify::power(a.top.terms[0].monomial, -1, 1), a.top.terms[0].coefficient.inverse()};
    return form(product(settle({std::move(term)}), a.bottom));
  }
  const Exact lead = a.top.terms.back().coefficient;
  return {scale(a.bottom, lead.inverse()), scale(a.top, lead.inverse())};
}

// ---- Powers

Form Forms::whole_power(const Form& f, int64_t exponent) {
  if (exponent == 0) {
    if (f.top.is_zero()) throw Undecided{"zero to the power of zero"};
    return form(Poly(Exact(1)));
  }
  if (exponent < 0) return whole_power(invert(f), -exponent);
  Form out{power(f.top, exponent), power(f.bottom, exponent)};
  if (out.bottom.terms.size() == 1 && !out.bottom.is_one()) return multiply(form(out.top), invert(form(out.bottom)));
  return out;
}

// value ^ (top / bottom) for a positive number: 12^(1/2) = 2 * 3^(1/2).
Poly Forms::number_power(const Exact& value, int64_t top, int64_t bottom) {
  Term term{{}, Exact(1)};
  for (const bool numerator : {true, false}) {
    const Exact part = numerator ? value.top() : value.bottom();
    if (part.is_one()) continue;
    for (const auto& [prime, times_in] : factors_of(part, budget_)) {
      const int64_t exponent = times_in * (numerator ? top : -top);
      const uint32_t id = atom_id(Atom::Kind::kPrime, "", prime, {});
      term.monomial = times(term.monomial, {make_factor(id, exponent, bottom)});
    }
  }
  settle_term(term);
  return Poly(std::move(term));
}

Form Forms::monomial_power(const Term& term, int64_t top, int64_t bottom) {
  Poly out(Exact(1));
  if (term.coefficient.sign() < 0) {
    if (bottom % 2 == 0) {
      // Principal: (-c)^(1/2) = i c^(1/2); only where the rest is known to be positive.
      for (const Factor& f : term.monomial) {
        const Atom::Kind kind = atoms_[f.atom].kind;
        const bool positive = kind == Atom::Kind::kPrime || kind == Atom::Kind::kPi ||
                              (kind == Atom::Kind::kExp && is_real({f})) || kind == Atom::Kind::kRadical;
        if (!positive) throw Undecided{"a root of what may be negative"};
      }
      out = settle({Term{{make_factor(kUnityId, top, bottom)}, Exact(1)}});
    } else if (top % 2 != 0) {
      out = Poly(Exact(-1));  // the real root
    }
  }
  out = product(out, number_power(term.coefficient.abs(), top, bottom));
  for (const Factor& f : term.monomial) {
    const Atom& a = atoms_[f.atom];
    const bool even = f.bottom % 2 != 0 && f.top % 2 == 0;
    if (a.kind == Atom::Kind::kUnity || (a.kind == Atom::Kind::kExp && !is_real({f}))) {
      const bool alone = term.monomial.size() == 1 && term.coefficient.is_one() && a.kind == Atom::Kind::kUnity;
      if (!alone) throw Undecided{"a root of a complex value"};
      out = product(out, settle({Term{merit::verify::power({f}, top, bottom), Exact(1)}}));
    } else if (bottom % 2 == 0 && even &&
               (a.kind == Atom::Kind::kSymbol || a.kind == Atom::Kind::kLn || a.kind == Atom::Kind::kOpaque)) {
      // (x^2)^(1/2) = |x|
      const uint32_t id = atom_id(Atom::Kind::kAbs, "", {}, {one(f.atom)});
      out = product(out, settle({Term{{make_factor(id, int64_t{f.top} * top, int64_t{f.bottom} * bottom)}, Exact(1)}}));
    } else {
      out = product(out, settle({Term{merit::verify::power({f}, top, bottom), Exact(1)}}));
    }
  }
  return form(std::move(out));
}

// The positive number that makes the coefficients whole and without a common factor, inverted.
Exact Forms::content(const Poly& p) const {
  Exact top(0), bottom(1);
  for (const Term& term : p.terms) {
    fmpz_gcd(fmpq_numref(top.raw()), top.top_raw(), term.coefficient.top_raw());
    fmpz_lcm(fmpq_numref(bottom.raw()), bottom.top_raw(), term.coefficient.bottom_raw());
  }
  return top / bottom;
}

Form Forms::rational_power(const Form& f, const Exact& exponent, const Expr& base) {
  if (const auto n = exponent.integer()) return whole_power(f, *n);
  const auto top = exponent.top().integer();
  const auto bottom = exponent.bottom().integer();
  if (!top || !bottom || std::abs(*top) > 10'000 || *bottom > 10'000) throw Undecided{"an exponent that is too large"};
  if (f.top.is_zero()) {
    if (*top < 0) throw Undecided{"a division by zero"};
    return f;
  }
  if (f.bottom.is_one() && f.top.terms.size() == 1) return monomial_power(f.top.terms[0], *top, *bottom);
  const bool constant = symbols_of(base).empty();
  if (!f.bottom.is_one()) {
    // (a / b)^r = (a b)^r / (b^2)^r, where a and b have one sign; for constants only.
    if (!constant) throw Undecided{"a root of a quotient"};
    const Form whole = form(product(f.top, f.bottom));
    const auto sign = sign_of(base, budget_);
    if (!sign || *sign <= 0) throw Undecided{"a root of what may be negative"};
    Form square = form(product(f.bottom, f.bottom));
    const uint32_t id = atom_id(Atom::Kind::kRadical, "", {}, {whole.top});
    const uint32_t under = atom_id(Atom::Kind::kRadical, "", {}, {square.top});
    return form(product(settle({Term{{make_factor(id, *top, *bottom)}, Exact(1)}}),
                        settle({Term{{make_factor(under, -*top, *bottom)}, Exact(1)}})));
  }
  const Exact outside = content(f.top);
  Poly inside = scale(f.top, outside.inverse());
  Poly factor(Exact(1));
  if (constant) {
    const auto sign = sign_of(base, budget_);
    if (!sign) throw Undecided{"a root of a complex value"};
    if (*sign == 0) throw Undecided{"a root of what may be zero"};
    if (*sign < 0) {
      inside = negate(std::move(inside));
      factor = *bottom % 2 == 0 ? settle({Term{{make_factor(kUnityId, *top, *bottom)}, Exact(1)}})
                                : Poly(Exact(*top % 2 != 0 ? -1 : 1));
    }
  } else if (*bottom % 2 != 0 && inside.terms.back().coefficient.sign() < 0) {
    inside = negate(std::move(inside));  // the real root of odd index
    if (*top % 2 != 0) factor = Poly(Exact(-1));
  }
  const uint32_t id = atom_id(Atom::Kind::kRadical, "", {}, {inside});
  factor = product(factor, number_power(outside, *top, *bottom));
  return form(product(factor, settle({Term{{make_factor(id, *top, *bottom)}, Exact(1)}})));
}

// ---- Expressions

Form Forms::from(const Expr& e) {
  const DepthGuard guard(depth_);
  budget_.spend(4);
  switch (e.op) {
    case Op::kNumber:
    case Op::kBased:
      return form(Poly(e.number));
    case Op::kSymbol:
      return form(one(atom_id(Atom::Kind::kSymbol, e.name, {}, {})));
    case Op::kPi:
      return form(one(kPiId));
    case Op::kEuler:
      return exponential(form(Poly(Exact(1))));
    case Op::kImaginary:
      return form(one(kUnityId, 1, 2));
    case Op::kAdd: {
      Form out = from(e.kids[0]);
      for (size_t i = 1; i < e.kids.size(); ++i) out = add(out, from(e.kids[i]));
      return out;
    }
    case Op::kMul: {
      Form out = from(e.kids[0]);
      for (size_t i = 1; i < e.kids.size(); ++i) out = multiply(out, from(e.kids[i]));
      return out;
    }
    case Op::kNeg: {
      Form out = from(e.kids[0]);
      out.top = negate(std::move(out.top));
      return out;
    }
    case Op::kPercent: {
      Form out = from(e.kids[0]);
      out.top = scale(std::move(out.top), Exact(1, 100));
      return out;
    }
    case Op::kDiv:
      return multiply(from(e.kids[0]), invert(from(e.kids[1])));
    case Op::kRoot: {
      const auto index = whole(e.kids[1]);
      if (!index || *index < 2) throw Undecided{"a root of no whole index"};
      return rational_power(from(e.kids[0]), Exact(1, *index), e.kids[0]);
    }
    case Op::kPow: {
      const Form exponent = from(e.kids[1]);
      if (exponent.bottom.is_one() && exponent.top.is_constant()) {
        return rational_power(from(e.kids[0]), exponent.top.constant(), e.kids[0]);
      }
      if (e.kids[0].op == Op::kEuler) return exponential(exponent);
      return exponential(multiply(exponent, logarithm(from(e.kids[0]), e.kids[0])));
    }
    case Op::kCall:
      return call(e);
    default:
      throw Undecided{"not a single value"};
  }
}

std::optional<int64_t> Forms::whole(const Expr& e) {
  const Form f = from(e);
  if (!f.bottom.is_one() || !f.top.is_constant()) return std::nullopt;
  return f.top.constant().integer();
}

}  // namespace merit::verify
