#include "merit/verify/real_set.h"

#include <algorithm>

#include "merit/verify/ball.h"
#include "merit/verify/normal_form.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxEnds = 64;

int infinity_sign(const Expr& e) {
  if (e.op == Op::kInfinity) return 1;
  return e.op == Op::kNeg && e.kids[0].op == Op::kInfinity ? -1 : 0;
}

Expr difference(const Expr& a, const Expr& b) { return binary(Op::kAdd, a, unary(Op::kNeg, b)); }

// Coefficients of e as a polynomial in the symbol, lowest first; nothing unless its degree is at most 2 and they are
// rational, or its degree is 1 and they are constants.
std::optional<std::vector<Expr>> coefficients(const Expr& e, const std::string& symbol, Budget& budget) {
  Forms forms(budget);
  const Form f = forms.from(e);
  if (!f.bottom.is_one()) return std::nullopt;
  int64_t degree = 0;
  std::vector<Exact> rational(3);
  bool plain = true;
  for (const Term& term : f.top.terms) {
    int64_t power = 0;
    for (const Factor& factor : term.monomial) {
      const Atom& a = forms.atom(factor.atom);
      if (a.kind == Atom::Kind::kSymbol && a.name == symbol) {
        if (factor.bottom != 1 || factor.top < 1 || factor.top > 2) return std::nullopt;
        power = factor.top;
      } else {
        plain = false;
        // The symbol inside a function is no polynomial.
        if (a.kind != Atom::Kind::kPrime && a.kind != Atom::Kind::kPi && a.kind != Atom::Kind::kLn) {
          if (a.kind != Atom::Kind::kExp) return std::nullopt;
        }
        for (const Poly& base : a.base) {
          if (!base.is_constant()) return std::nullopt;
        }
      }
    }
    degree = std::max(degree, power);
    if (term.monomial.size() == (power > 0 ? 1 : 0)) rational[static_cast<size_t>(power)] = term.coefficient;
  }
  if (plain) {
    std::vector<Expr> out;
    for (int64_t k = 0; k <= degree; ++k) out.push_back(number_expr(rational[static_cast<size_t>(k)]));
    return out;
  }
  if (degree != 1) return std::nullopt;
  const Expr at_zero = substitute(e, symbol, number_expr(0));
  return std::vector<Expr>{at_zero, difference(substitute(e, symbol, number_expr(1)), at_zero)};
}

std::vector<Expr> roots_of(const std::vector<Expr>& c) {
  if (c.size() == 2) return {binary(Op::kDiv, unary(Op::kNeg, c[0]), c[1])};
  const Exact a = c[2].number, b = c[1].number;
  const Exact discriminant = b * b - Exact(4) * a * c[0].number;
  if (discriminant.sign() < 0) return {};
  const Expr middle = number_expr(-b / (Exact(2) * a));
  if (discriminant.is_zero()) return {middle};
  const Expr half = binary(Op::kRoot, number_expr(discriminant / (Exact(4) * a * a)), number_expr(2));
  return {binary(Op::kAdd, middle, unary(Op::kNeg, half)), binary(Op::kAdd, middle, half)};
}

// Where the polynomial with these coefficients has the sign that the relation asks for.
RealSet where(const std::vector<Expr>& c, char relation, Budget& budget) {
  const auto wanted = [&](int sign) {
    switch (relation) {
      case '=':
        return sign == 0;
      case '!':
        return sign != 0;
      case '<':
        return sign < 0;
      case '>':
        return sign > 0;
      case 'l':
        return sign <= 0;
      default:
        return sign >= 0;
    }
  };
  const auto lead = sign_of(c.back(), budget);
  if (!lead || *lead == 0) throw Undecided{"an inequality with a leading coefficient of unknown sign"};
  const std::vector<Expr> roots = c.size() == 1 ? std::vector<Expr>{} : roots_of(c);
  const bool degree_two = c.size() == 3;
  // Signs from left to right: between two roots of a quadratic it turns.
  RealSet out = RealSet::none();
  const Expr infinity = [] {
    Expr e;
    e.op = Op::kInfinity;
    return e;
  }();
  const Expr minus = unary(Op::kNeg, infinity);
  for (size_t k = 0; k <= roots.size(); ++k) {
    const size_t right = roots.size() - k;  // roots to the right
    const bool turned = degree_two ? (roots.size() == 2 && right == 1) : (right % 2 == 1);
    if (wanted(turned ? -*lead : *lead)) {
      out = RealSet::unite(
          out, RealSet::interval(k == 0 ? minus : roots[k - 1], right == 0 ? infinity : roots[k], true, true, budget),
          budget);
    }
  }
  if (wanted(0)) {
    for (const Expr& root : roots) out = RealSet::unite(out, RealSet::point(root), budget);
  }
  return out;
}

}  // namespace

int order(const Expr& a, const Expr& b, Budget& budget) {
  const int ia = infinity_sign(a), ib = infinity_sign(b);
  if (ia != 0 || ib != 0) return ia == ib ? 0 : ia < ib ? -1 : 1;
  const auto x = exact_value(a, budget);
  const auto y = exact_value(b, budget);
  if (x && y) return *x == *y ? 0 : *x < *y ? -1 : 1;
  Ball p, q;
  if (symbols_of(a).empty() && symbols_of(b).empty() && evaluate(a, {}, false, 64, budget, p) == Defined::kYes &&
      evaluate(b, {}, false, 64, budget, q) == Defined::kYes && p.is_real() && q.is_real()) {
    if (arb_lt(p.real(), q.real())) return -1;
    if (arb_gt(p.real(), q.real())) return 1;
  }
  const Decision decision = compare_scalars(a, b, budget);
  if (decision.equal()) return 0;
  const auto sign = symbols_of(a).empty() && symbols_of(b).empty() ? sign_of(difference(a, b), budget) : std::nullopt;
  if (!sign) throw Undecided{"ends that cannot be put in order"};
  return *sign;
}

RealSet RealSet::interval(const Expr& low, const Expr& high, bool open_low, bool open_high, Budget& budget) {
  RealSet out(false);
  const int il = infinity_sign(low), ih = infinity_sign(high);
  if (il > 0 || ih < 0) return out;
  if (il == 0 && ih == 0) {
    const int o = order(low, high, budget);
    if (o > 0) throw Undecided{"an interval whose ends are in the wrong order"};
    if (o == 0) return open_low || open_high ? out : point(low);
  }
  out.gaps_ = {il < 0};
  if (il == 0) {
    out.ends_.push_back(low);
    out.at_.push_back(!open_low);
    out.gaps_.push_back(true);
  }
  if (ih == 0) {
    out.ends_.push_back(high);
    out.at_.push_back(!open_high);
    out.gaps_.push_back(false);
  }
  return out;
}

RealSet RealSet::point(const Expr& at) {
  RealSet out(false);
  out.ends_.push_back(at);
  out.at_.push_back(true);
  out.gaps_.push_back(false);
  return out;
}

RealSet RealSet::combine(const RealSet& a, const RealSet& b, const std::function<bool(bool, bool)>& in,
                         Budget& budget) {
  RealSet out(in(a.gaps_[0], b.gaps_[0]));
  size_t i = 0, j = 0;
  while (i < a.ends_.size() || j < b.ends_.size()) {
    const int o = i == a.ends_.size() ? 1 : j == b.ends_.size() ? -1 : order(a.ends_[i], b.ends_[j], budget);
    const bool at_a = o <= 0 ? a.at_[i] : a.gaps_[i];
    const bool at_b = o >= 0 ? b.at_[j] : b.gaps_[j];
    out.ends_.push_back(o <= 0 ? a.ends_[i] : b.ends_[j]);
    out.at_.push_back(in(at_a, at_b));
    if (o <= 0) ++i;
    if (o >= 0) ++j;
    out.gaps_.push_back(in(a.gaps_[i], b.gaps_[j]));
    if (out.ends_.size() > kMaxEnds) throw Undecided{"a set of too many pieces"};
  }
  out.drop_needless_ends();
  return out;
}

void RealSet::drop_needless_ends() {
  for (size_t k = 0; k < ends_.size();) {
    if (gaps_[k] == at_[k] && at_[k] == gaps_[k + 1]) {
      const auto n = static_cast<std::ptrdiff_t>(k);
      ends_.erase(ends_.begin() + n);
      at_.erase(at_.begin() + n);
      gaps_.erase(gaps_.begin() + n);
    } else {
      ++k;
    }
  }
}

RealSet RealSet::unite(const RealSet& a, const RealSet& b, Budget& budget) {
  return combine(
      a, b, [](bool x, bool y) { return x || y; }, budget);
}
RealSet RealSet::intersect(const RealSet& a, const RealSet& b, Budget& budget) {
  return combine(
      a, b, [](bool x, bool y) { return x && y; }, budget);
}
RealSet RealSet::subtract(const RealSet& a, const RealSet& b, Budget& budget) {
  return combine(
      a, b, [](bool x, bool y) { return x && !y; }, budget);
}

bool RealSet::finite() const {
  return std::none_of(gaps_.begin(), gaps_.end(), [](bool g) { return g; });
}

Decision RealSet::compare(const RealSet& a, const RealSet& b, Budget& budget) {
  if (a.gaps_ != b.gaps_ || a.at_ != b.at_) return {Answer::kDifferent, "sets", "the sets differ"};
  Decision out{Answer::kEqual, "sets", "the same set"};
  for (size_t k = 0; k < a.ends_.size(); ++k) {
    const Decision one = compare_scalars(a.ends_[k], b.ends_[k], budget);
    if (one.different()) return {Answer::kDifferent, "sets", "an end differs"};
    if (!one.equal()) out = one;
  }
  return out;
}

std::optional<RealSet> real_set(const Expr& e, Budget& budget) {
  switch (e.op) {
    case Op::kInterval:
      return RealSet::interval(e.kids[0], e.kids[1], e.flags & kOpenLeft, e.flags & kOpenRight, budget);
    case Op::kTuple:
      if (e.kids.size() != 2 || !is_scalar(e.kids[0]) || !is_scalar(e.kids[1])) return std::nullopt;
      if (order(e.kids[0], e.kids[1], budget) > 0) return std::nullopt;  // a point then, no interval
      return RealSet::interval(e.kids[0], e.kids[1], true, true, budget);
    case Op::kNamedSet:
      if (e.name == "R") return RealSet::all();
      if (e.name == "R+")
        return RealSet::interval(number_expr(0), Expr{Op::kInfinity, 0, "", {}, {}}, true, true, budget);
      return std::nullopt;
    case Op::kSet: {
      RealSet out = RealSet::none();
      for (const Expr& kid : e.kids) {
        if (!is_scalar(kid) || !symbols_of(kid).empty()) return std::nullopt;
        out = RealSet::unite(out, RealSet::point(kid), budget);
      }
      return out;
    }
    case Op::kUnion:
    case Op::kIntersection:
    case Op::kDifference: {
      std::optional<RealSet> out = real_set(e.kids[0], budget);
      for (size_t k = 1; out && k < e.kids.size(); ++k) {
        const auto next = real_set(e.kids[k], budget);
        if (!next) return std::nullopt;
        out = e.op == Op::kUnion          ? RealSet::unite(*out, *next, budget)
              : e.op == Op::kIntersection ? RealSet::intersect(*out, *next, budget)
                                          : RealSet::subtract(*out, *next, budget);
      }
      return out;
    }
    case Op::kBuilder: {
      std::string symbol;
      auto out = solution_set(e.kids[1], symbol, budget);
      if (!out || !(e.kids[0].op == Op::kSymbol || (e.kids[0].op == Op::kRelation && e.kids[0].name == "e")))
        return std::nullopt;
      return out;
    }
    default:
      return std::nullopt;
  }
}

std::optional<RealSet> solution_set(const Expr& relation, std::string& symbol, Budget& budget) {
  if (relation.op == Op::kList) {
    // "x < 1 or x > 3"; with a comma or "and": both, or either where both is impossible.
    std::vector<RealSet> parts;
    for (const Expr& kid : relation.kids) {
      std::string name;
      auto part = solution_set(kid, name, budget);
      if (!part || (!symbol.empty() && name != symbol)) return std::nullopt;
      symbol = name;
      parts.push_back(std::move(*part));
    }
    const bool either = relation.flags & kOr;
    RealSet both = parts[0], any = parts[0];
    for (size_t k = 1; k < parts.size(); ++k) {
      both = RealSet::intersect(both, parts[k], budget);
      any = RealSet::unite(any, parts[k], budget);
    }
    return either || both.empty() ? any : both;
  }
  if (relation.op != Op::kRelation) return std::nullopt;
  const auto names = symbols_of(relation);
  if (names.size() != 1) return std::nullopt;
  symbol = names[0];
  if (relation.name == "e") {
    if (relation.kids[0].op != Op::kSymbol) return std::nullopt;
    return real_set(relation.kids[1], budget);
  }
  RealSet out = RealSet::all();
  for (size_t k = 0; k + 1 < relation.kids.size(); ++k) {
    const char sign = relation.name[k];
    if (std::string_view("=!<>lg").find(sign) == std::string_view::npos) return std::nullopt;
    if (!is_scalar(relation.kids[k]) || !is_scalar(relation.kids[k + 1])) return std::nullopt;
    if (infinity_sign(relation.kids[k]) != 0 || infinity_sign(relation.kids[k + 1]) != 0) continue;
    const auto c = coefficients(difference(relation.kids[k], relation.kids[k + 1]), symbol, budget);
    if (!c) return std::nullopt;
    if (c->size() == 1 && sign_of((*c)[0], budget) == 0) return std::nullopt;
    out = RealSet::intersect(out, where(*c, sign, budget), budget);
  }
  return out;
}

}  // namespace merit::verify
