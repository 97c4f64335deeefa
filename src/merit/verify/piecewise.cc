#include "merit/verify/piecewise.h"

#include <algorithm>
#include <vector>

#include "merit/verify/real_set.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxRows = 16;

Decision unknown(const char* reason) { return {Answer::kUnknown, "", reason}; }

struct Piece {
  Expr value;
  RealSet where;
};

// The two parts of a row; nothing if it has no two.
std::optional<std::pair<Expr, Expr>> parts(const Expr& row) {
  if (row.kids.size() == 2) return std::pair(row.kids[0], row.kids[1]);
  if (row.kids.size() == 1 && row.kids[0].op == Op::kList && row.kids[0].kids.size() == 2)
    return std::pair(row.kids[0].kids[0], row.kids[0].kids[1]);
  return std::nullopt;
}
bool is_condition(const Expr& e) {
  return e.op == Op::kRelation || e.op == Op::kText ||
         (e.op == Op::kList &&
          std::all_of(e.kids.begin(), e.kids.end(), [](const Expr& k) { return k.op == Op::kRelation; }));
}
bool is_otherwise(const Expr& e) {
  return e.op == Op::kText &&
         (e.name == "otherwise" || e.name == "else" || e.name == "elsewhere" || e.name == "if otherwise");
}

// Earlier rows come first where conditions overlap. Nothing if a condition is not a set of one unknown.
std::optional<std::vector<Piece>> pieces(const Expr& e, std::string& unknown_name, Budget& budget) {
  if (!is_piecewise(e)) return std::vector<Piece>{{e, RealSet::all()}};
  if (e.kids.size() > kMaxRows) return std::nullopt;
  std::vector<Piece> out;
  RealSet taken = RealSet::none();
  for (const Expr& row : e.kids) {
    auto [value, condition] = *parts(row);
    if (!is_scalar(value)) return std::nullopt;
    RealSet where = RealSet::all();
    if (!is_otherwise(condition)) {
      std::string name;
      auto set = solution_set(condition, name, budget);
      if (!set || (!unknown_name.empty() && name != unknown_name)) return std::nullopt;
      unknown_name = name;
      where = std::move(*set);
    }
    out.push_back({std::move(value), RealSet::subtract(where, taken, budget)});
    taken = RealSet::unite(taken, where, budget);
  }
  return out;
}

RealSet domain(const std::vector<Piece>& pieces, Budget& budget) {
  RealSet out = RealSet::none();
  for (const Piece& piece : pieces) out = RealSet::unite(out, piece.where, budget);
  return out;
}

const Expr* value_at(const std::vector<Piece>& pieces, const Exact& x, Budget& budget) {
  const RealSet point = RealSet::point(number_expr(x));
  for (const Piece& piece : pieces) {
    if (!RealSet::intersect(piece.where, point, budget).empty()) return &piece.value;
  }
  return nullptr;
}

}  // namespace

bool is_piecewise(const Expr& e) {
  return e.op == Op::kMatrix && e.name == "cases" && std::all_of(e.kids.begin(), e.kids.end(), [](const Expr& row) {
           const auto both = parts(row);
           return both && is_condition(both->second);
         });
}

std::optional<Expr> system_of(const Expr& e) {
  if (e.op != Op::kMatrix || e.name != "cases") return std::nullopt;
  Expr out;
  out.op = Op::kList;
  for (const Expr& row : e.kids) {
    if (row.kids.size() != 1 || row.kids[0].op != Op::kRelation) return std::nullopt;
    out.kids.push_back(row.kids[0]);
  }
  return out.kids.size() == 1 ? std::move(out.kids[0]) : std::move(out);
}

Decision compare_piecewise(const Expr& a, const Expr& b, Budget& budget) {
  if (!(is_piecewise(a) || is_scalar(a)) || !(is_piecewise(b) || is_scalar(b)))
    return {Answer::kDifferent, "kinds", "different kinds of answer"};
  if (a == b) return {Answer::kEqual, "same form", "equal"};
  std::string name;
  const auto x = pieces(a, name, budget), y = pieces(b, name, budget);
  if (!x || !y || name.empty()) return unknown("conditions that are not compared");
  for (int64_t k = -24; k <= 24; ++k) {
    const Exact at(k * (k % 2 == 0 ? 1 : 7), 4);
    const Expr* p = value_at(*x, at, budget);
    const Expr* q = value_at(*y, at, budget);
    if (p == nullptr || q == nullptr) continue;
    const Expr here = number_expr(at);
    if (compare_scalars(substitute(*p, name, here), substitute(*q, name, here), budget).different())
      return {Answer::kDifferent, "piecewise", "a point where the values differ"};
  }
  if (!RealSet::compare(domain(*x, budget), domain(*y, budget), budget).equal())
    return unknown("functions that are not known to be defined at the same places");
  for (const Piece& p : *x) {
    for (const Piece& q : *y) {
      if (RealSet::intersect(p.where, q.where, budget).empty()) continue;
      if (!compare_scalars(p.value, q.value, budget).equal()) return unknown("pieces that are not known to be equal");
    }
  }
  return {Answer::kEqual, "piecewise", "equal"};
}

}  // namespace merit::verify
