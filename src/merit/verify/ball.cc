#include "merit/verify/ball.h"

#include <acb_calc.h>
#include <acb_hypgeom.h>
#include <arb_hypgeom.h>

#include <algorithm>

#include "merit/verify/calculus.h"

namespace merit::verify {
namespace {

constexpr int64_t kMaxSum = 5000;
constexpr int64_t kLargeExponent = 60;  // arguments of exp, sin and the like beyond 2^60 are not worth the digits

bool large(const Ball& x) {
  return arf_cmpabs_2exp_si(arb_midref(x.real()), kLargeExponent) > 0 ||
         arf_cmpabs_2exp_si(arb_midref(x.imaginary()), kLargeExponent) > 0 || !acb_is_finite(x.get());
}

// Between -i and i, where arctan and arsinh have no cuts.
bool near_the_real_line(const Ball& x) {
  mag_t height;
  mag_init(height);
  arb_get_mag(height, x.imaginary());
  const bool near = mag_cmp_2exp_si(height, 0) < 0;
  mag_clear(height);
  return near;
}

class Evaluator {
 public:
  Evaluator(const Point& point, bool real, long precision, Budget& budget, const Binding* binding)
      : point_(point), real_(real), precision_(precision), budget_(budget), binding_(binding) {}

  Defined run(const Expr& e, Ball& out) {
    budget_.spend(16 + static_cast<uint64_t>(precision_) / 16);
    acb_zero(out.get());
    const Defined defined = value(e, out);
    if (defined == Defined::kYes && !acb_is_finite(out.get())) return Defined::kVague;
    return defined;
  }

 private:
  Defined value(const Expr& e, Ball& out) {
    switch (e.op) {
      case Op::kNumber:
      case Op::kBased:
        set(out, e.number);
        return Defined::kYes;
      case Op::kSymbol:
        return symbol(e.name, out);
      case Op::kPi:
        arb_const_pi(out.real(), precision_);
        return Defined::kYes;
      case Op::kEuler:
        arb_const_e(out.real(), precision_);
        return Defined::kYes;
      case Op::kImaginary:
        if (real_) return Defined::kVague;
        acb_onei(out.get());
        return Defined::kYes;
      case Op::kAdd:
      case Op::kMul:
        return fold(e, out);
      case Op::kNeg: {
        const Defined defined = run(e.kids[0], out);
        acb_neg(out.get(), out.get());
        return defined;
      }
      case Op::kPercent: {
        const Defined defined = run(e.kids[0], out);
        acb_div_ui(out.get(), out.get(), 100, precision_);
        return defined;
      }
      case Op::kDiv:
        return quotient(e, out);
      case Op::kPow:
        return power(e, out);
      case Op::kRoot:
        return root(e, out);
      case Op::kCall:
        return function(e, out);
      default:
        return Defined::kVague;
    }
  }

  void set(Ball& out, const Exact& number) { arb_set_fmpq(out.real(), number.raw(), precision_); }

  Defined symbol(const std::string& name, Ball& out) {
    if (binding_ != nullptr && binding_->name == name) {
      out = binding_->value;
      return Defined::kYes;
    }
    for (auto it = point_.rbegin(); it != point_.rend(); ++it) {
      if (it->first != name) continue;
      set(out, it->second);
      return Defined::kYes;
    }
    return Defined::kVague;
  }

  Defined fold(const Expr& e, Ball& out) {
    Ball kid;
    for (size_t i = 0; i < e.kids.size(); ++i) {
      const Defined defined = run(e.kids[i], i == 0 ? out : kid);
      if (defined != Defined::kYes) return defined;
      if (i == 0) continue;
      if (e.op == Op::kAdd) {
        acb_add(out.get(), out.get(), kid.get(), precision_);
      } else {
        acb_mul(out.get(), out.get(), kid.get(), precision_);
      }
    }
    return Defined::kYes;
  }

  Defined quotient(const Expr& e, Ball& out) {
    Ball bottom;
    Defined defined = run(e.kids[1], bottom);
    if (defined != Defined::kYes) return defined;
    if (acb_is_zero(bottom.get())) return Defined::kNo;
    if (acb_contains_zero(bottom.get())) return Defined::kVague;
    defined = run(e.kids[0], out);
    acb_div(out.get(), out.get(), bottom.get(), precision_);
    return defined;
  }

  // ---- Powers and roots

  // base ^ (top / bottom), bottom > 1; the base is in `out`.
  Defined rational_power(Ball& out, const Exact& exponent) {
    if (acb_is_zero(out.get())) return exponent.sign() > 0 ? Defined::kYes : Defined::kNo;
    Ball e;
    set(e, exponent);
    if (out.is_real()) {
      if (arb_contains_zero(out.real())) return Defined::kVague;
      if (arb_is_negative(out.real())) {
        const bool odd = fmpz_is_odd(exponent.bottom_raw());
        if (!odd && real_) return Defined::kNo;
        if (odd) {
          arb_neg(out.real(), out.real());
          arb_pow(out.real(), out.real(), e.real(), precision_);
          if (fmpz_is_odd(exponent.top_raw())) arb_neg(out.real(), out.real());
          return Defined::kYes;
        }
        acb_pow(out.get(), out.get(), e.get(), precision_);
        return Defined::kYes;
      }
      arb_pow(out.real(), out.real(), e.real(), precision_);
      return Defined::kYes;
    }
    if (acb_contains_zero(out.get())) return Defined::kVague;
    // Near the cut of the negative numbers the ball would hold both sides.
    if (arb_contains_zero(out.imaginary()) && !arb_is_positive(out.real())) return Defined::kVague;
    acb_pow(out.get(), out.get(), e.get(), precision_);
    return Defined::kYes;
  }

  Defined whole_power(Ball& out, const Exact& exponent) {
    if (fmpz_bits(exponent.top_raw()) > 4096) return Defined::kVague;
    if (exponent.sign() <= 0 && acb_contains_zero(out.get())) {
      return acb_is_zero(out.get()) ? Defined::kNo : Defined::kVague;
    }
    const uint64_t bits = fmpz_bits(exponent.top_raw());
    budget_.spend(bits * (static_cast<uint64_t>(precision_) / 64 + bits / 64));
    acb_pow_fmpz(out.get(), out.get(), exponent.top_raw(), precision_);
    return Defined::kYes;
  }

  // Whether the radicand is nowhere negative on a real binding: it rises or falls, and neither end is negative.
  bool nowhere_negative(const Expr& radicand) {
    if (binding_ == nullptr || !real_ || !binding_->value.is_real()) return false;
    Ball slope, end;
    if (run(derivative(radicand, binding_->name, budget_), slope) != Defined::kYes || acb_contains_zero(slope.get()))
      return false;
    arf_t bound;
    arf_init(bound);
    bool out = true;
    for (const bool high : {false, true}) {
      Exact at;
      (high ? arb_get_ubound_arf : arb_get_lbound_arf)(bound, binding_->value.real(), 256);
      arf_get_fmpq(at.raw(), bound);
      Point point = point_;
      point.emplace_back(binding_->name, std::move(at));
      out &= Evaluator(point, real_, precision_, budget_, nullptr).run(radicand, end) == Defined::kYes &&
             end.is_real() && arb_is_nonnegative(end.real());
    }
    arf_clear(bound);
    return out;
  }
  // x^r for x from 0 up to the largest number of the ball.
  void power_from_zero(Ball& x, const Exact& r) {
    Ball top, exponent;
    arf_t bound;
    arf_init(bound);
    arb_get_ubound_arf(bound, x.real(), precision_);
    arb_set_arf(top.real(), bound);
    arf_clear(bound);
    set(exponent, r);
    arb_pow(top.real(), top.real(), exponent.real(), precision_);
    arb_zero(x.real());
    arb_union(x.real(), x.real(), top.real(), precision_);
  }
  // The value of `radicand` is in `out`.
  Defined root_of(const Expr& radicand, const Exact& r, Ball& out) {
    const bool at_zero = out.is_real() && !arb_is_exact(out.real()) && arb_contains_zero(out.real());
    if (at_zero && r.sign() > 0 && nowhere_negative(radicand)) {
      power_from_zero(out, r);
      return Defined::kYes;
    }
    return rational_power(out, r);
  }

  Defined power(const Expr& e, Ball& out) {
    const Expr& exponent = e.kids[1];
    const Expr* number = exponent.op == Op::kNeg ? &exponent.kids[0] : &exponent;
    if (number->op == Op::kNumber) {
      const Defined defined = run(e.kids[0], out);
      if (defined != Defined::kYes) return defined;
      const Exact value = number == &exponent ? number->number : -number->number;
      return value.is_integer() ? whole_power(out, value) : root_of(e.kids[0], value, out);
    }
    Ball x;
    Defined defined = run(exponent, x);
    if (defined != Defined::kYes) return defined;
    if (e.kids[0].op == Op::kEuler) {
      if (large(x)) return Defined::kVague;
      acb_exp(out.get(), x.get(), precision_);
      return Defined::kYes;
    }
    defined = run(e.kids[0], out);
    if (defined != Defined::kYes) return defined;
    if (x.is_real() && arb_is_int(x.real())) {
      Exact whole;
      fmpz_t z;
      fmpz_init(z);
      const bool small = arb_get_unique_fmpz(z, x.real());
      if (small) fmpz_set(fmpq_numref(whole.raw()), z);
      fmpz_clear(z);
      return small ? whole_power(out, whole) : Defined::kVague;
    }
    if (large(x) || acb_contains_zero(out.get())) return Defined::kVague;
    if (!(out.is_real() && arb_is_positive(out.real()))) {
      if (real_) return out.is_real() && arb_is_negative(out.real()) ? Defined::kNo : Defined::kVague;
      if (arb_contains_zero(out.imaginary()) && !out.is_real()) return Defined::kVague;
    }
    acb_pow(out.get(), out.get(), x.get(), precision_);
    return Defined::kYes;
  }

  Defined root(const Expr& e, Ball& out) {
    if (e.kids[1].op != Op::kNumber) return Defined::kVague;
    const auto index = e.kids[1].number.integer();
    if (!index || *index < 2 || *index > 1000) return Defined::kVague;
    const Defined defined = run(e.kids[0], out);
    if (defined != Defined::kYes) return defined;
    if (*index == 2 && out.is_real() && arb_is_nonnegative(out.real())) {
      arb_sqrt(out.real(), out.real(), precision_);
      return Defined::kYes;
    }
    return root_of(e.kids[0], Exact(1, *index), out);
  }

  // ---- Functions

  Defined function(const Expr& e, Ball& out) {
    const std::string& name = e.name;
    if (name == "sum" || name == "prod") return series(e, out);
    if (name == "int" && e.kids.size() == 4) return integral(e, out);
    if (name.starts_with("f:") || name == "det" || e.kids.empty() || e.kids.size() > 2) return several(e, out);
    const Defined defined = run(e.kids[0], out);
    if (defined != Defined::kYes) return defined;
    if (e.kids.size() == 2) return binary_function(e, out);
    if (large(out)) return Defined::kVague;
    const acb_ptr x = out.get();
    if (name == "sin") return acb_sin(x, x, precision_), Defined::kYes;
    if (name == "cos") return acb_cos(x, x, precision_), Defined::kYes;
    if (name == "exp") return acb_exp(x, x, precision_), Defined::kYes;
    if (name == "sinh") return acb_sinh(x, x, precision_), Defined::kYes;
    if (name == "cosh") return acb_cosh(x, x, precision_), Defined::kYes;
    if (name == "tanh") return acb_tanh(x, x, precision_), Defined::kYes;
    if (name == "atan") return acb_atan(x, x, precision_), Defined::kYes;
    if (name == "asinh") return acb_asinh(x, x, precision_), Defined::kYes;
    if (name == "tan") return acb_tan(x, x, precision_), Defined::kYes;
    if (name == "cot") return acb_cot(x, x, precision_), Defined::kYes;
    if (name == "sec") return acb_sec(x, x, precision_), Defined::kYes;
    if (name == "csc") return acb_csc(x, x, precision_), Defined::kYes;
    if (name == "sech") return acb_sech(x, x, precision_), Defined::kYes;
    if (name == "csch") return acb_csch(x, x, precision_), Defined::kYes;
    if (name == "coth") return acb_coth(x, x, precision_), Defined::kYes;
    if (name == "ln" || name == "log") return logarithm(out);
    const bool wide = binding_ != nullptr && !out.is_real();  // these are not analytic
    if (wide && (name == "abs" || name == "re" || name == "im")) return Defined::kVague;
    if (wide && (name == "atan" || name == "asinh") && !near_the_real_line(out)) return Defined::kVague;
    if (name == "abs") {
      arb_t a;
      arb_init(a);
      acb_abs(a, x, precision_);
      acb_set_arb(x, a);
      arb_clear(a);
      return Defined::kYes;
    }
    if (name == "asin" || name == "acos") {
      const Defined inside = inverse_function(name, out);
      if (inside == Defined::kYes && acb_is_finite(out.get())) return inside;
      // Up to the ends of [-1, 1] both are continuous and smaller than 4.
      const Expr square = binary(Op::kPow, e.kids[0], number_expr(2));
      if (!nowhere_negative(binary(Op::kAdd, number_expr(1), unary(Op::kNeg, square)))) return inside;
      acb_zero(x);
      arb_add_error_2exp_si(out.real(), 2);
      return Defined::kYes;
    }
    if (name == "acosh" || name == "atanh") return inverse_function(name, out);
    if (name == "re") return arb_zero(acb_imagref(x)), Defined::kYes;
    if (name == "im") {
      arb_swap(acb_realref(x), acb_imagref(x));
      arb_zero(acb_imagref(x));
      return Defined::kYes;
    }
    return real_function(name, out);
  }

  Defined logarithm(Ball& x) {
    if (acb_is_zero(x.get())) return Defined::kNo;
    if (acb_contains_zero(x.get())) return Defined::kVague;
    if (real_ && !x.is_real() && binding_ == nullptr) return Defined::kVague;
    if (real_ && x.is_real() && arb_is_negative(x.real())) return Defined::kNo;
    if (!x.is_real() && arb_contains_zero(x.imaginary()) && !arb_is_positive(x.real())) return Defined::kVague;
    acb_log(x.get(), x.get(), precision_);
    return Defined::kYes;
  }

  Defined inverse_function(const std::string& name, Ball& x) {
    if (!x.is_real()) return Defined::kVague;
    arb_t one;
    arb_init(one);
    arb_abs(one, x.real());
    arb_sub_ui(one, one, 1, precision_);
    const bool outside = arb_is_positive(one);
    const bool inside = arb_is_nonpositive(one);
    arb_clear(one);
    const bool wants_inside = name != "acosh";
    if (wants_inside ? outside : (inside && !arb_is_one(x.real()))) return real_ ? Defined::kNo : Defined::kVague;
    if (wants_inside ? !inside : !outside) return Defined::kVague;
    if (name == "asin") arb_asin(x.real(), x.real(), precision_);
    if (name == "acos") arb_acos(x.real(), x.real(), precision_);
    if (name == "acosh") arb_acosh(x.real(), x.real(), precision_);
    if (name == "atanh") arb_atanh(x.real(), x.real(), precision_);
    return Defined::kYes;
  }

  Defined real_function(const std::string& name, Ball& x) {
    if (!x.is_real()) return Defined::kVague;
    const arb_ptr r = x.real();
    if (name == "floor" || name == "ceil") {
      if (name == "floor") arb_floor(r, r, precision_);
      if (name == "ceil") arb_ceil(r, r, precision_);
      return arb_is_exact(r) ? Defined::kYes : Defined::kVague;
    }
    if (name == "sign") {
      if (arb_contains_zero(r) && !arb_is_zero(r)) return Defined::kVague;
      arb_set_si(r, arf_sgn(arb_midref(r)));
      return Defined::kYes;
    }
    if (name == "acot") {
      arb_t half;
      arb_init(half);
      arb_const_pi(half, precision_);
      arb_mul_2exp_si(half, half, -1);
      arb_atan(r, r, precision_);
      arb_sub(r, half, r, precision_);
      arb_clear(half);
      return Defined::kYes;
    }
    if (name == "factorial" || name == "gamma") {
      budget_.spend(2000);
      if (name == "factorial") arb_add_ui(r, r, 1, precision_);
      if (arb_is_nonpositive(r) && arb_is_int(r)) return Defined::kNo;
      if (arf_cmpabs_2exp_si(arb_midref(r), 45) > 0) return Defined::kVague;
      arb_gamma(r, r, precision_);
      return Defined::kYes;
    }
    if (precision_ > 512) return Defined::kVague;
    budget_.spend(20'000);
    if (name == "erf") return arb_hypgeom_erf(r, r, precision_), Defined::kYes;
    if (name == "zeta" && arf_cmp_si(arb_midref(r), 1) > 0) return arb_zeta(r, r, precision_), Defined::kYes;
    return Defined::kVague;
  }

  Defined binary_function(const Expr& e, Ball& x) {
    if (e.name == "log") {
      Ball base;
      Defined defined = run(e.kids[1], base);
      if (defined != Defined::kYes) return defined;
      if (acb_is_one(base.get())) return Defined::kNo;
      defined = logarithm(x);
      if (defined != Defined::kYes) return defined;
      defined = logarithm(base);
      if (defined != Defined::kYes) return defined;
      if (acb_contains_zero(base.get())) return Defined::kVague;
      acb_div(x.get(), x.get(), base.get(), precision_);
      return Defined::kYes;
    }
    if (e.name == "binom") {
      if (e.kids[1].op != Op::kNumber) return Defined::kVague;
      const auto k = e.kids[1].number.integer();
      if (!k || *k < 0 || *k > 1000) return Defined::kVague;
      budget_.spend(static_cast<uint64_t>(*k) * 4 + 10);
      // n (n - 1) ... (n - k + 1) / k!
      Ball factor = x;
      acb_one(x.get());
      for (int64_t j = 0; j < *k; ++j) {
        acb_mul(x.get(), x.get(), factor.get(), precision_);
        acb_div_ui(x.get(), x.get(), static_cast<ulong>(j + 1), precision_);
        acb_sub_ui(factor.get(), factor.get(), 1, precision_);
      }
      return Defined::kYes;
    }
    return several(e, x);
  }

  // max and min; what has no balls is vague.
  Defined several(const Expr& e, Ball& out) {
    if (e.name != "max" && e.name != "min") return Defined::kVague;
    Ball kid;
    for (size_t i = 0; i < e.kids.size(); ++i) {
      const Defined defined = run(e.kids[i], i == 0 ? out : kid);
      if (defined != Defined::kYes) return defined;
      if (!(i == 0 ? out : kid).is_real()) return Defined::kVague;
      if (i == 0) continue;
      if (e.name == "max") arb_max(out.real(), out.real(), kid.real(), precision_);
      if (e.name == "min") arb_min(out.real(), out.real(), kid.real(), precision_);
    }
    return Defined::kYes;
  }

  std::optional<int64_t> whole(const Expr& e) {
    Ball x;
    if (run(e, x) != Defined::kYes || !x.is_real() || !arb_is_int(x.real())) return std::nullopt;
    if (arf_cmpabs_2exp_si(arb_midref(x.real()), 40) > 0) return std::nullopt;
    return arf_get_si(arb_midref(x.real()), ARF_RND_NEAR);
  }

  Defined series(const Expr& e, Ball& out) {
    const auto from = whole(e.kids[1]);
    const auto to = whole(e.kids[2]);
    if (!from || !to || *to - *from > kMaxSum) return Defined::kVague;
    const bool sum = e.name == "sum";
    if (sum) {
      acb_zero(out.get());
    } else {
      acb_one(out.get());
    }
    Point inner = point_;
    inner.emplace_back(e.kids[0].name, Exact(0));
    Ball term;
    for (int64_t k = *from; k <= *to; ++k) {
      inner.back().second = Exact(k);
      Evaluator evaluator(inner, real_, precision_, budget_, binding_);
      const Defined defined = evaluator.run(e.kids[3], term);
      if (defined != Defined::kYes) return defined;
      if (sum) acb_add(out.get(), out.get(), term.get(), precision_);
      if (!sum) acb_mul(out.get(), out.get(), term.get(), precision_);
    }
    return Defined::kYes;
  }

  // The integrand for Arb, which asks for balls that cover the way and more.
  struct Integrand {
    const Expr& body;
    const std::string& variable;
    Evaluator& from;
    const char* undecided = nullptr;  // no exception goes through foreign code
  };
  static int integrand(acb_ptr out, const acb_t x, void* data, slong, slong precision) {
    Integrand& f = *static_cast<Integrand*>(data);
    Binding binding{f.variable, {}};
    acb_set(binding.value.get(), x);
    Ball value;
    Defined defined = Defined::kVague;
    try {
      if (f.undecided == nullptr) {
        defined = Evaluator(f.from.point_, f.from.real_, precision, f.from.budget_, &binding).run(f.body, value);
      }
    } catch (const Undecided& why) {
      f.undecided = why.reason;
    }
    if (defined == Defined::kYes) {
      acb_swap(out, value.get());
    } else {
      acb_indeterminate(out);
    }
    return 0;
  }

  Defined integral(const Expr& e, Ball& out) {
    if (binding_ != nullptr) return Defined::kVague;
    Ball a, b;
    if (run(e.kids[1], a) != Defined::kYes || run(e.kids[2], b) != Defined::kYes) return Defined::kVague;
    acb_calc_integrate_opt_t options;
    acb_calc_integrate_opt_init(options);
    options->eval_limit = 1500;
    options->depth_limit = 60;
    constexpr slong kGoal = 40;  // bits; a difference is all that is looked for
    mag_t tolerance;
    mag_init(tolerance);
    mag_set_ui_2exp_si(tolerance, 1, -kGoal);
    Integrand f{e.kids[3], e.kids[0].name, *this};
    acb_calc_integrate(out.get(), integrand, &f, a.get(), b.get(), kGoal, tolerance, options, 64);
    mag_clear(tolerance);
    if (f.undecided != nullptr) throw Undecided{f.undecided};
    return Defined::kYes;
  }

  const Point& point_;
  bool real_;
  long precision_;
  Budget& budget_;
  const Binding* binding_;
};

}  // namespace

Defined evaluate(const Expr& e, const Point& point, bool real, long precision, Budget& budget, Ball& out,
                 const Binding* binding) {
  clean_caches_at_thread_exit();
  return Evaluator(point, real, precision, budget, binding).run(e, out);
}

std::optional<int> sign_of(const Expr& e, Budget& budget) {
  for (const long precision : {64L, 256L, 1024L}) {
    Ball x;
    if (evaluate(e, {}, false, precision, budget, x) != Defined::kYes) continue;
    if (!x.is_real()) return std::nullopt;
    if (arb_is_zero(x.real())) return 0;
    if (!arb_contains_zero(x.real())) return arb_is_positive(x.real()) ? 1 : -1;
  }
  return std::nullopt;
}

std::optional<double> approximation(const Expr& e, Budget& budget) {
  Ball x;
  if (evaluate(e, {}, false, 96, budget, x) != Defined::kYes || !x.is_real()) return std::nullopt;
  if (mag_cmp_2exp_si(arb_radref(x.real()), -40) > 0) return std::nullopt;
  return arf_get_d(arb_midref(x.real()), ARF_RND_NEAR);
}

}  // namespace merit::verify
