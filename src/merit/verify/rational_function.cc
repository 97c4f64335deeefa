#include "merit/verify/rational_function.h"

#include <flint/fmpz_poly.h>
#include <flint/fmpz_poly_factor.h>

#include <algorithm>

namespace merit::verify {
namespace {

constexpr size_t kMaxDegree = 12;
constexpr size_t kMaxBits = 256;

void trim_zeros(Coefficients& p) {
  while (!p.empty() && p.back().is_zero()) p.pop_back();
}

// The quotient; the remainder stays in `a`.
Coefficients divide(Coefficients& a, const Coefficients& b) {
  Coefficients quotient;
  trim_zeros(a);
  while (a.size() >= b.size()) {
    const size_t shift = a.size() - b.size();
    const Exact factor = a.back() / b.back();
    if (quotient.size() <= shift) quotient.resize(shift + 1, Exact(0));
    quotient[shift] = factor;
    for (size_t k = 0; k < b.size(); ++k) a[shift + k] += -(factor * b[k]);
    a.back() = Exact(0);
    trim_zeros(a);
  }
  return quotient;
}

struct Factored {
  Coefficients factor;  // monic
  int64_t times;
};

std::optional<std::vector<Factored>> factors(const Coefficients& p, Budget& budget) {
  Exact common(1);
  for (const Exact& c : p) {
    if (c.bits() > kMaxBits) return std::nullopt;
    fmpz_lcm(fmpq_numref(common.raw()), common.top_raw(), c.bottom_raw());
  }
  if (common.bits() > kMaxBits) return std::nullopt;
  budget.spend(50'000);
  fmpz_poly_t whole;
  fmpz_poly_factor_t found;
  fmpz_poly_init(whole);
  fmpz_poly_factor_init(found);
  for (size_t k = 0; k < p.size(); ++k)
    fmpz_poly_set_coeff_fmpz(whole, static_cast<slong>(k), (p[k] * common).top_raw());
  fmpz_poly_factor(found, whole);
  std::vector<Factored> out;
  for (slong i = 0; i < found->num; ++i) {
    Factored one{{}, found->exp[i]};
    for (slong k = 0; k < fmpz_poly_length(found->p + i); ++k) {
      Exact c;
      fmpz_poly_get_coeff_fmpz(fmpq_numref(c.raw()), found->p + i, k);
      one.factor.push_back(std::move(c));
    }
    const Exact lead = one.factor.back();
    for (Exact& c : one.factor) c = c / lead;
    out.push_back(std::move(one));
  }
  fmpz_poly_factor_clear(found);
  fmpz_poly_clear(whole);
  return out;
}

// Gaussian elimination; the matrix is square and regular.
std::vector<Exact> solve(std::vector<std::vector<Exact>> m, std::vector<Exact> right) {
  const size_t n = right.size();
  for (size_t col = 0; col < n; ++col) {
    size_t pivot = col;
    while (pivot < n && m[pivot][col].is_zero()) ++pivot;
    if (pivot == n) throw Undecided{"partial fractions that are not found"};
    std::swap(m[pivot], m[col]);
    std::swap(right[pivot], right[col]);
    for (size_t row = 0; row < n; ++row) {
      if (row == col || m[row][col].is_zero()) continue;
      const Exact factor = m[row][col] / m[col][col];
      for (size_t k = col; k < n; ++k) m[row][k] += -(factor * m[col][k]);
      right[row] += -(factor * right[col]);
    }
  }
  for (size_t k = 0; k < n; ++k) right[k] = right[k] / m[k][k];
  return right;
}

Expr over(Expr a, Expr b) { return binary(Op::kDiv, std::move(a), std::move(b)); }
Expr times(Expr a, Expr b) { return binary(Op::kMul, std::move(a), std::move(b)); }
Expr plus(Expr a, Expr b) { return binary(Op::kAdd, std::move(a), std::move(b)); }
Expr root(Exact a) { return binary(Op::kRoot, number_expr(std::move(a)), number_expr(2)); }
Expr log_abs(Expr a) { return call("ln", {call("abs", {std::move(a)})}); }

Expr of_quadratic(const Quadratic& f, const Expr& x) {
  // b/2 ln(x^2 + p x + q) + (c - b p / 2) times the integral of 1 / (x^2 + p x + q)
  const Expr base = plus(plus(binary(Op::kPow, x, number_expr(2)), times(number_expr(f.p), x)), number_expr(f.q));
  const Exact discriminant = f.p * f.p - Exact(4) * f.q;
  Expr inverse;
  if (discriminant.sign() < 0) {
    const Expr width = root(-discriminant);
    inverse = over(times(number_expr(2), call("atan", {over(plus(times(number_expr(2), x), number_expr(f.p)), width)})),
                   width);
  } else {
    const Expr width = root(discriminant);
    const Expr shifted = plus(times(number_expr(2), x), number_expr(f.p));
    inverse = over(log_abs(over(plus(shifted, unary(Op::kNeg, width)), plus(shifted, width))), width);
  }
  return plus(times(number_expr(f.b / Exact(2)), log_abs(base)),
              times(number_expr(f.c - f.b * f.p / Exact(2)), std::move(inverse)));
}

}  // namespace

Region common(const Region& a, const Region& b) {
  if (a.everywhere) return b;
  if (b.everywhere) return a;
  if (!a.from || !b.from) return Region::unknown();
  return *a.from < *b.from ? b : a;
}

Coefficients multiply_polynomials(const Coefficients& a, const Coefficients& b) {
  if (a.empty() || b.empty()) return {};
  Coefficients out(a.size() + b.size() - 1, Exact(0));
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b.size(); ++j) out[i + j] += a[i] * b[j];
  }
  return out;
}

std::optional<PartialFractions> partial_fractions(const Coefficients& top, const Coefficients& bottom, Budget& budget) {
  Coefficients rest = top, under = bottom;
  trim_zeros(rest);
  trim_zeros(under);
  if (under.empty() || under.size() > kMaxDegree + 1 || rest.size() > 4 * kMaxDegree) return std::nullopt;
  PartialFractions out;
  out.whole = divide(rest, under);
  const size_t n = under.size() - 1;
  if (n == 0 || rest.empty()) return out;
  const auto found = factors(under, budget);
  if (!found) return std::nullopt;
  // One column for each unknown: the denominator over the fraction's own.
  std::vector<Coefficients> columns;
  for (const Factored& f : *found) {
    if (f.factor.size() > 3 || (f.factor.size() == 3 && f.times > 1)) return std::nullopt;
    Coefficients own = {Exact(1)};
    for (int64_t power = 1; power <= f.times; ++power) {
      own = multiply_polynomials(own, f.factor);
      Coefficients dividend = under;
      Coefficients column = divide(dividend, own);
      columns.push_back(column);
      if (f.factor.size() == 3) {
        column.insert(column.begin(), Exact(0));
        columns.push_back(column);
      }
    }
  }
  budget.spend(n * n * n * 8);
  std::vector<std::vector<Exact>> matrix(n, std::vector<Exact>(n, Exact(0)));
  rest.resize(n, Exact(0));
  for (size_t col = 0; col < n; ++col) {
    for (size_t row = 0; row < columns[col].size() && row < n; ++row) matrix[row][col] = columns[col][row];
  }
  const std::vector<Exact> solution = solve(std::move(matrix), std::move(rest));
  size_t next = 0;
  for (const Factored& f : *found) {
    if (f.factor.size() == 3) {
      out.quadratics.push_back({f.factor[1], f.factor[0], solution[next + 1], solution[next]});
      next += 2;
      continue;
    }
    for (int64_t power = 1; power <= f.times; ++power, ++next) {
      if (!solution[next].is_zero()) out.poles.push_back({-f.factor[0], power, solution[next]});
    }
  }
  return out;
}

std::optional<RationalPrimitive> rational_primitive(const Coefficients& top, const Coefficients& bottom,
                                                    const std::string& name, Budget& budget) {
  const auto parts = partial_fractions(top, bottom, budget);
  if (!parts) return std::nullopt;
  const Expr x = symbol_expr(name);
  Expr out = number_expr(0);
  Region region;
  for (size_t k = 0; k < parts->whole.size(); ++k) {
    const auto next = static_cast<int64_t>(k) + 1;
    out =
        plus(std::move(out), times(number_expr(parts->whole[k] / Exact(next)), binary(Op::kPow, x, number_expr(next))));
  }
  for (const Pole& pole : parts->poles) {
    const Expr u = plus(x, number_expr(-pole.root));
    region = common(region, Region::right_of(pole.root));
    if (pole.power == 1) {
      out = plus(std::move(out), times(number_expr(pole.coefficient), log_abs(u)));
    } else {
      const Exact up(1 - pole.power);
      out = plus(std::move(out), times(number_expr(pole.coefficient / up), binary(Op::kPow, u, number_expr(up))));
    }
  }
  for (const Quadratic& f : parts->quadratics) {
    out = plus(std::move(out), of_quadratic(f, x));
    if ((f.p * f.p - Exact(4) * f.q).sign() >= 0) region = Region::unknown();
  }
  return RationalPrimitive{std::move(out), std::move(region)};
}

}  // namespace merit::verify
