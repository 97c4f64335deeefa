// When is a form zero? Relations among roots of unity, square roots of primes and radicals are used here.
#include <flint/fmpq_poly.h>
#include <flint/fmpz_poly.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "merit/verify/normal_form.h"

namespace merit::verify {
namespace {

constexpr int64_t kMaxOrder = 360;

// The remainder by the cyclotomic polynomial of order n.
class Cyclotomic {
 public:
  explicit Cyclotomic(int64_t order) {
    fmpz_poly_init(whole_);
    fmpz_poly_cyclotomic(whole_, static_cast<ulong>(order));
    fmpq_poly_init(modulus_);
    fmpq_poly_set_fmpz_poly(modulus_, whole_);
    fmpq_poly_init(value_);
  }
  ~Cyclotomic() {
    fmpz_poly_clear(whole_);
    fmpq_poly_clear(modulus_);
    fmpq_poly_clear(value_);
  }
  Cyclotomic(const Cyclotomic&) = delete;
  Cyclotomic& operator=(const Cyclotomic&) = delete;

  bool vanishes(const std::vector<Exact>& coefficients) {
    fmpq_poly_zero(value_);
    for (size_t k = 0; k < coefficients.size(); ++k) {
      if (!coefficients[k].is_zero()) fmpq_poly_set_coeff_fmpq(value_, static_cast<slong>(k), coefficients[k].raw());
    }
    fmpq_poly_rem(value_, value_, modulus_);
    return fmpq_poly_is_zero(value_);
  }

 private:
  fmpz_poly_t whole_;
  fmpq_poly_t modulus_;
  fmpq_poly_t value_;
};

int legendre(int64_t a, int64_t p) {
  a %= p;
  if (a == 0) return 0;
  int64_t result = 1;
  for (int64_t e = (p - 1) / 2, b = a; e > 0; e >>= 1, b = b * b % p) {
    if (e & 1) result = result * b % p;
  }
  return result == 1 ? 1 : -1;
}

}  // namespace

// Radicals under negative exponents are multiplied away: what is not zero changes nothing about being zero.
Poly Forms::clear_radicals(const Poly& p) {
  std::map<uint32_t, int64_t> lowest;
  for (const Term& term : p.terms) {
    for (const Factor& f : term.monomial) {
      const Atom::Kind kind = atoms_[f.atom].kind;
      if ((kind == Atom::Kind::kRadical || kind == Atom::Kind::kAbs) && f.top < 0) {
        int64_t& low = lowest[f.atom];
        low = std::min<int64_t>(low, -((-f.top + f.bottom - 1) / f.bottom));
      }
    }
  }
  Poly out = p;
  for (const auto& [atom, low] : lowest) {
    if (-low > 8) throw Undecided{"an exponent that is too large"};
    for (Term& term : out.terms) term.monomial = times(term.monomial, {make_factor(atom, -low, 1)});
  }
  return lowest.empty() ? out : settle(std::move(out.terms));
}

// Zero if the sum vanishes once roots of unity are reduced; otherwise the sum as it was.
Poly Forms::reduce_unity(const Poly& p) {
  int64_t order = 2;  // exponents of e^(i pi) are whole multiples of 2 / order
  for (const Term& term : p.terms) {
    if (!term.monomial.empty() && term.monomial[0].atom == 0)
      order = std::lcm(order, int64_t{2} * term.monomial[0].bottom);
    if (order > kMaxOrder) throw Undecided{"roots of unity of too high an order"};
  }
  if (order <= 4) return p;
  // The square roots of primes that are sums of roots of unity of this order.
  std::vector<std::pair<uint32_t, int64_t>> roots;
  int64_t extended = order;
  for (const Term& term : p.terms) {
    for (const Factor& f : term.monomial) {
      const Atom& a = atoms_[f.atom];
      if (a.kind != Atom::Kind::kPrime || f.bottom != 2) continue;
      const auto prime = a.number.integer();
      if (!prime || (*prime != 2 && order % *prime != 0)) continue;
      if (std::find(roots.begin(), roots.end(), std::pair(f.atom, *prime)) != roots.end()) continue;
      roots.emplace_back(f.atom, *prime);
      extended = std::lcm(extended, *prime == 2 ? int64_t{8} : *prime % 4 == 1 ? *prime : 4 * *prime);
      if (extended > kMaxOrder) throw Undecided{"roots of unity of too high an order"};
    }
  }
  // zeta = e^(2 pi i / extended); one polynomial in zeta for each other part.
  std::map<Monomial, std::vector<Exact>> parts;
  for (const Term& term : p.terms) {
    Monomial rest = term.monomial;
    int64_t step = 0;
    if (!rest.empty() && rest[0].atom == 0) {
      step = rest[0].top * (extended / 2 / rest[0].bottom);
      rest.erase(rest.begin());
    }
    std::vector<std::pair<int64_t, int>> sum = {{step, 1}};
    for (const auto& [atom, prime] : roots) {
      const auto found = std::find(rest.begin(), rest.end(), Factor{atom, 1, 2});
      if (found == rest.end()) continue;
      rest.erase(found);
      std::vector<std::pair<int64_t, int>> gauss;
      if (prime == 2) {
        gauss = {{extended / 8, 1}, {extended - extended / 8, 1}};
      } else {
        const int64_t turn = prime % 4 == 1 ? 0 : extended - extended / 4;  // times -i
        for (int64_t k = 1; k < prime; ++k) gauss.emplace_back(turn + k * (extended / prime), legendre(k, prime));
      }
      std::vector<std::pair<int64_t, int>> product;
      budget_.spend(sum.size() * gauss.size() * 4);
      for (const auto& [a, x] : sum) {
        for (const auto& [b, y] : gauss) product.emplace_back((a + b) % extended, x * y);
      }
      sum = std::move(product);
    }
    std::vector<Exact>& coefficients = parts[rest];
    coefficients.resize(static_cast<size_t>(extended));
    budget_.spend(static_cast<uint64_t>(extended) + sum.size() * 4);
    for (const auto& [at, sign] : sum) {
      coefficients[static_cast<size_t>(at % extended)] += sign > 0 ? term.coefficient : -term.coefficient;
    }
  }
  budget_.spend(static_cast<uint64_t>(extended * extended) / 8 * parts.size());
  Cyclotomic cyclotomic(extended);
  for (const auto& [rest, coefficients] : parts) {
    if (!cyclotomic.vanishes(coefficients)) return p;
  }
  return {};
}

bool Forms::is_zero(const Form& f) {
  if (f.top.is_zero()) return true;
  const Poly cleared = clear_radicals(f.top);
  return cleared.is_zero() || reduce_unity(cleared).is_zero();
}

}  // namespace merit::verify
