#include <algorithm>
#include <cmath>
#include <vector>

#include "merit/verify/ball.h"
#include "merit/verify/normal_form.h"
#include "merit/verify/scalar.h"

namespace merit::verify {
namespace {

struct Bound {
  double u = 0;  // log2 of a bound of the numerator's conjugates
  double l = 0;  // log2 of one of the denominator's
};

double log_sum(double a, double b) { return std::max(a, b) + std::log2(1 + std::exp2(-std::abs(a - b))); }
double log_of(const Exact& n) { return n.is_zero() ? 0 : static_cast<double>(fmpz_bits(n.top_raw())); }

class Separation {
 public:
  explicit Separation(Budget& budget) : budget_(budget) {}

  std::optional<double> run(const Expr& e) {
    const auto bound = visit(e);
    if (!bound || degree_ > 1000) return std::nullopt;
    return (degree_ - 1) * bound->u + bound->l + 1;
  }

 private:
  using Maybe = std::optional<Bound>;

  Maybe number(const Exact& value) { return Bound{log_of(value.top()), log_of(value.bottom())}; }

  Maybe visit(const Expr& e) {
    budget_.spend(4);
    switch (e.op) {
      case Op::kNumber:
      case Op::kBased:
        return number(e.number);
      case Op::kNeg:
        return visit(e.kids[0]);
      case Op::kPercent: {
        auto bound = visit(e.kids[0]);
        if (bound) bound->l += 7;
        return bound;
      }
      case Op::kAdd:
      case Op::kMul: {
        auto out = visit(e.kids[0]);
        for (size_t i = 1; out && i < e.kids.size(); ++i) {
          const auto next = visit(e.kids[i]);
          if (!next) return std::nullopt;
          out->u = e.op == Op::kAdd ? log_sum(out->u + next->l, out->l + next->u) : out->u + next->u;
          out->l += next->l;
        }
        return out;
      }
      case Op::kDiv: {
        const auto top = visit(e.kids[0]);
        const auto bottom = top ? visit(e.kids[1]) : std::nullopt;
        if (!bottom) return std::nullopt;
        return Bound{top->u + bottom->l, top->l + bottom->u};
      }
      case Op::kRoot:
        if (e.kids[1].op != Op::kNumber) return std::nullopt;
        return root(e.kids[0], e.kids[1].number, e);
      case Op::kPow: {
        const auto exponent = exact_value(e.kids[1], budget_);
        if (!exponent) return std::nullopt;
        const auto top = exponent->top().integer();
        if (!top || std::abs(*top) > 200) return std::nullopt;
        auto out = exponent->is_integer() ? visit(e.kids[0]) : root(e.kids[0], exponent->bottom(), e);
        if (!out) return std::nullopt;
        out->u *= static_cast<double>(std::abs(*top));
        out->l *= static_cast<double>(std::abs(*top));
        if (*top < 0) std::swap(out->u, out->l);
        return out;
      }
      case Op::kCall:
        return angle(e);
      default:
        return std::nullopt;
    }
  }

  // The k-th root of U / L is the root of U L^(k-1) over L, or U over the root of U^(k-1) L.
  Maybe root(const Expr& base, const Exact& index, const Expr& whole) {
    const auto k = index.integer();
    if (!k || *k < 2 || *k > 16) return std::nullopt;
    const auto sign = sign_of(base, budget_);
    if (!sign || (*sign < 0 && *k % 2 == 0)) return std::nullopt;
    const auto inside = visit(base);
    if (!inside) return std::nullopt;
    const auto degree = static_cast<double>(*k);
    adjoin(whole.op == Op::kRoot ? whole : binary(Op::kRoot, base, number_expr(index)), degree);
    if (inside->u >= inside->l) return Bound{(inside->u + (degree - 1) * inside->l) / degree, inside->l};
    return Bound{inside->u, ((degree - 1) * inside->u + inside->l) / degree};
  }

  // 2 sin and 2 cos of pi p / q are algebraic integers between -2 and 2, as are their conjugates.
  Maybe angle(const Expr& e) {
    if (e.kids.size() != 1 || (e.name != "sin" && e.name != "cos" && e.name != "tan")) return std::nullopt;
    Forms forms(budget_);
    const Form f = forms.from(e.kids[0]);
    if (!f.bottom.is_one() || f.top.terms.size() > 1) return std::nullopt;
    if (f.top.terms.empty()) return Bound{1, 1};
    const Term& term = f.top.terms[0];
    if (term.monomial != Monomial{{1, 1, 1}}) return std::nullopt;
    const auto q = term.coefficient.bottom().integer();
    if (!q || *q > 60) return std::nullopt;
    adjoin(binary(Op::kRoot, number_expr(-1), number_expr(Exact(*q * 2))), static_cast<double>(*q * 2));
    return Bound{1, 1};
  }

  // A radical that occurs again adds no degree.
  void adjoin(Expr radical, double degree) {
    if (std::find(radicals_.begin(), radicals_.end(), radical) != radicals_.end()) return;
    radicals_.push_back(std::move(radical));
    degree_ *= degree;
  }

  Budget& budget_;
  std::vector<Expr> radicals_;
  double degree_ = 1;
};

}  // namespace

std::optional<double> separation_bits(const Expr& e, Budget& budget) { return Separation(budget).run(e); }

}  // namespace merit::verify
