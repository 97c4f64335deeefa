#include "merit/verify/scalar.h"

#include <algorithm>
#include <cmath>

#include "merit/core/hash.h"
#include "merit/verify/ball.h"
#include "merit/verify/calculus.h"
#include "merit/verify/normal_form.h"

namespace merit::verify {
namespace {

constexpr uint64_t kCalculusWork = Budget::kDefault / 4;  // its results have to be compared too
constexpr double kMaxSeparation = 12'000;

Decision equal_by(const char* rule) { return {Answer::kEqual, rule, "equal"}; }
Decision different_by(const char* rule) { return {Answer::kDifferent, rule, "different"}; }
Decision unknown(std::string reason) { return {Answer::kUnknown, "", std::move(reason)}; }

void check(const Exact& value) {
  if (value.bits() > Budget::kMaxBits) throw Undecided{"a number of too many digits"};
}

std::optional<Exact> exact_power(const Exact& base, const Exact& exponent) {
  const auto n = exponent.integer();
  if (!exponent.is_integer()) return std::nullopt;
  if (base.is_zero()) {
    if (exponent.sign() <= 0) throw Undecided{"a power of zero"};
    return base;
  }
  if (base.is_one()) return base;
  if (!n || static_cast<uint64_t>(std::abs(*n)) > Budget::kMaxBits ||
      base.bits() * static_cast<uint64_t>(std::abs(*n)) > Budget::kMaxBits) {
    return std::nullopt;  // its size is bounded by balls, its digits are never written out
  }
  return base.power(*n);
}

// A lower bound of log2 |e| that costs nothing, for what is too large to be written or to be a ball: towers of powers,
// factorials, and products of numbers from 1 on. Nothing if it may be below 1.
std::optional<double> log_at_least(const Expr& e) {
  constexpr double kTop = 1e300;
  switch (e.op) {
    case Op::kNumber: {
      const Exact size = e.number.abs();
      if (size < Exact(1)) return std::nullopt;
      const double bits =
          static_cast<double>(fmpz_bits(size.top_raw())) - static_cast<double>(fmpz_bits(size.bottom_raw()));
      return size.is_integer() ? bits - 1 : std::max(0.0, bits - 1);
    }
    case Op::kNeg:
      return log_at_least(e.kids[0]);
    case Op::kMul: {
      double sum = 0;
      for (const Expr& kid : e.kids) {
        const auto one = log_at_least(kid);
        if (!one) return std::nullopt;
        sum += *one;
      }
      return std::min(sum, kTop);
    }
    case Op::kPow: {
      if (e.kids[1].op == Op::kNeg || (e.kids[1].op == Op::kNumber && e.kids[1].number.sign() < 0)) return std::nullopt;
      const auto base = log_at_least(e.kids[0]);
      const auto exponent = log_at_least(e.kids[1]);
      if (!base || !exponent || contains(e.kids[1], Op::kNeg)) return std::nullopt;
      return std::min(*base * std::exp2(std::min(*exponent, 1000.0)), kTop);
    }
    case Op::kCall: {
      if (e.name != "factorial") return std::nullopt;
      const auto n = log_at_least(e.kids[0]);
      if (!n || *n < 4) return std::nullopt;
      return std::min((*n - 2) * std::exp2(std::min(*n, 1000.0)), kTop);  // n! > (n / e)^n
    }
    default:
      return std::nullopt;
  }
}

// Far larger than a number that could be written out.
bool is_beyond(const Expr& e, const std::optional<Exact>& other) {
  const auto size = log_at_least(e);
  return other && size && *size > static_cast<double>(other->bits()) + 1;
}

bool has_imaginary(const Expr& e) { return contains(e, Op::kImaginary); }

// The same symbols get the same values in every comparison. `round` chooses the region.
Point sample(const std::vector<std::string>& symbols, int round) {
  Point point;
  for (const std::string& name : symbols) {
    const uint64_t h = hash64(name, static_cast<uint64_t>(round) + 1);
    const auto part = static_cast<int64_t>(h % 997);
    Exact value;
    switch (round % 6) {
      case 0:
        value = Exact(1) + Exact(part, 499);  // 1 .. 3
        break;
      case 1:
        value = Exact(part + 1, 1000);  // 0 .. 1
        break;
      case 2:
        value = Exact(-part - 1, 500);  // -2 .. 0
        break;
      case 3:
        value = Exact(2 + part % 9);
        break;
      case 4:
        value = Exact(part - 498, 311);  // -1.6 .. 1.6
        break;
      default:
        value = Exact(3) + Exact(part, 101);  // 3 .. 13
    }
    point.emplace_back(name, std::move(value));
  }
  return point;
}

class Comparison {
 public:
  Comparison(const Expr& a, const Expr& b, Budget& budget) : a_(a), b_(b), budget_(budget) {
    symbols_ = symbols_of(binary(Op::kAdd, a, b));
    real_ = !symbols_.empty() && !has_imaginary(a) && !has_imaginary(b);
  }

  Decision run() {
    if (const auto decision = probe(0, 64)) return *decision;
    if (symbols_.empty() && undefined_) return unknown("a value is not defined");
    try {
      if (same_form()) return established("normal form");
    } catch (const Undecided& why) {
      reason_ = why.reason;
    }
    if (symbols_.empty()) return constant();
    for (int round = 1; round < 12; ++round) {
      if (const auto decision = probe(round, 128)) return *decision;
    }
    for (int round = 0; round < 3; ++round) {
      if (const auto decision = probe(round, 1024)) return *decision;
    }
    return unknown(reason_.empty() ? "no proof that they are equal, nor that they differ" : reason_);
  }

 private:
  // A difference at one point where both are defined.
  std::optional<Decision> probe(int round, long precision) {
    const Point point = sample(symbols_, round);
    Ball x, y;
    const Defined first = evaluate(a_, point, real_, precision, budget_, x);
    if (first != Defined::kYes) {
      undefined_ |= first == Defined::kNo;
      return std::nullopt;
    }
    const Defined second = evaluate(b_, point, real_, precision, budget_, y);
    if (second != Defined::kYes) {
      undefined_ |= second == Defined::kNo;
      return std::nullopt;
    }
    defined_ = true;
    if (!acb_overlaps(x.get(), y.get())) return different_by("balls");
    return std::nullopt;
  }

  bool same_form() {
    Forms forms(budget_);
    return forms.is_zero(forms.subtract(forms.from(a_), forms.from(b_)));
  }

  // Equality holds where both are defined: there must be such a place.
  Decision established(const char* rule) {
    for (int round = 0; round < 6 && !defined_; ++round) {
      if (const auto decision = probe(round, 256)) return *decision;
      if (symbols_.empty() && round > 0) break;
    }
    const bool division = contains(a_, Op::kDiv) || contains(b_, Op::kDiv);
    if (!defined_ && (undefined_ || division)) return unknown("nowhere known to be defined");
    return equal_by(rule);
  }

  Decision constant() {
    for (const long precision : {256L, 1024L}) {
      if (const auto decision = probe(0, precision)) return *decision;
    }
    const Expr difference = binary(Op::kAdd, a_, unary(Op::kNeg, b_));
    const auto bits = separation_bits(difference, budget_);
    if (bits && *bits < kMaxSeparation) {
      const long precision = static_cast<long>(*bits) + 128;
      Ball x;
      if (evaluate(difference, {}, false, precision, budget_, x) == Defined::kYes && x.is_real()) {
        if (!arb_contains_zero(x.real())) return different_by("balls");
        mag_t size;
        mag_init(size);
        arb_get_mag(size, x.real());
        const bool below = mag_cmp_2exp_si(size, -static_cast<long>(*bits) - 2) < 0;
        mag_clear(size);
        if (below) return equal_by("separation bound");
      }
    } else if (const auto decision = probe(0, 4096)) {
      return *decision;
    }
    return unknown(reason_.empty() ? "no proof that they are equal, nor that they differ" : reason_);
  }

  const Expr& a_;
  const Expr& b_;
  Budget& budget_;
  std::vector<std::string> symbols_;
  bool real_ = false;
  bool defined_ = false;
  bool undefined_ = false;
  std::string reason_;
};

}  // namespace

std::optional<Exact> exact_value(const Expr& e, Budget& budget) {
  budget.spend(2);
  switch (e.op) {
    case Op::kNumber:
    case Op::kBased:
      return e.number;
    case Op::kAdd:
    case Op::kMul: {
      Exact out(e.op == Op::kAdd ? 0 : 1);
      for (const Expr& kid : e.kids) {
        const auto value = exact_value(kid, budget);
        if (!value) return std::nullopt;
        budget.spend(out.words() * value->words());
        if (e.op == Op::kAdd) {
          out += *value;
        } else {
          out *= *value;
        }
        check(out);
      }
      return out;
    }
    case Op::kNeg: {
      auto value = exact_value(e.kids[0], budget);
      return value ? std::optional(-*value) : std::nullopt;
    }
    case Op::kPercent: {
      auto value = exact_value(e.kids[0], budget);
      return value ? std::optional(*value * Exact(1, 100)) : std::nullopt;
    }
    case Op::kDiv: {
      const auto top = exact_value(e.kids[0], budget);
      const auto bottom = top ? exact_value(e.kids[1], budget) : std::nullopt;
      if (!bottom) return std::nullopt;
      if (bottom->is_zero()) throw Undecided{"a division by zero"};
      return *top / *bottom;
    }
    case Op::kPow: {
      const auto base = exact_value(e.kids[0], budget);
      const auto exponent = base ? exact_value(e.kids[1], budget) : std::nullopt;
      if (!exponent) return std::nullopt;
      budget.spend(100);
      return exact_power(*base, *exponent);
    }
    default:
      return std::nullopt;
  }
}

namespace {
// Of values without limits, derivatives and the like.
Decision compare_closed(const Expr& a, const Expr& b, Budget& budget) {
  if (a.op == Op::kInfinity || b.op == Op::kInfinity) {
    return a.op == b.op ? equal_by("infinity") : different_by("infinity");
  }
  const auto minus_infinity = [](const Expr& e) { return e.op == Op::kNeg && e.kids[0].op == Op::kInfinity; };
  if (minus_infinity(a) || minus_infinity(b)) {
    return minus_infinity(a) == minus_infinity(b) ? equal_by("infinity") : different_by("infinity");
  }
  const auto x = exact_value(a, budget);
  const auto y = exact_value(b, budget);
  if (x && y) return *x == *y ? equal_by("exact") : different_by("exact");
  if (is_beyond(a, y) || is_beyond(b, x)) return different_by("size");
  return Comparison(a, b, budget).run();
}

}  // namespace

Decision compare_scalars(const Expr& a, const Expr& b, Budget& budget) {
  try {
    if (!has_calculus(a) && !has_calculus(b)) return compare_closed(a, b, budget);
    const uint64_t share = std::min(budget.left(), kCalculusWork);
    Budget own(share);
    const Expr x = without_calculus(a, own), y = without_calculus(b, own);
    budget.spend(share - own.left());
    return compare_closed(x, y, budget);
  } catch (const Undecided& why) {
    return unknown(why.reason);
  }
}

}  // namespace merit::verify
