#include "merit/verify/stated.h"

#include <algorithm>
#include <utility>

#include "merit/verify/budget.h"
#include "merit/verify/parser.h"
#include "merit/verify/scalar.h"

namespace merit::verify {
namespace {

Expr with_sign(const Expr& e, bool plus) {
  if (e.op == Op::kPlusMinus) {
    Expr kid = with_sign(e.kids[0], plus);
    const bool up = (e.name == "+-") == plus;
    return up ? kid : unary(Op::kNeg, std::move(kid));
  }
  Expr out = e;
  for (Expr& kid : out.kids) kid = with_sign(kid, plus);
  return out;
}
size_t count(const Expr& e, Op op) {
  size_t n = e.op == op ? 1 : 0;
  for (const Expr& kid : e.kids) n += count(kid, op);
  return n;
}
bool has_turned_sign(const Expr& e) {
  return (e.op == Op::kPlusMinus && e.name == "-+") || std::any_of(e.kids.begin(), e.kids.end(), has_turned_sign);
}
// The first ± only.
bool fix_first(Expr& e, bool plus) {
  if (e.op == Op::kPlusMinus) {
    Expr kid = std::move(e.kids[0]);
    e = plus ? std::move(kid) : unary(Op::kNeg, std::move(kid));
    return true;
  }
  return std::any_of(e.kids.begin(), e.kids.end(), [&](Expr& kid) { return fix_first(kid, plus); });
}

}  // namespace

void expand_signs(const Expr& e, std::vector<Expr>& out) {
  const size_t signs = count(e, Op::kPlusMinus);
  if (signs == 0) {
    out.push_back(e);
  } else if (has_turned_sign(e)) {
    out.push_back(with_sign(e, true));
    out.push_back(with_sign(e, false));
  } else {
    if (signs > 3 || out.size() > 64) throw Undecided{"too many signs"};
    for (const bool plus : {true, false}) {
      Expr one = e;
      fix_first(one, plus);
      expand_signs(one, out);
    }
  }
}

bool elements(const Expr& e, std::vector<Expr>& out) {
  if (e.op == Op::kSet || e.op == Op::kList) {
    for (const Expr& kid : e.kids) {
      if (kid.op == Op::kList) return false;
      expand_signs(kid, out);
    }
    return true;
  }
  if (e.op == Op::kUnion) {
    return std::all_of(e.kids.begin(), e.kids.end(),
                       [&](const Expr& kid) { return kid.op == Op::kSet && elements(kid, out); });
  }
  if (e.op == Op::kTuple || e.op == Op::kInterval || e.op == Op::kMatrix || count(e, Op::kPlusMinus) == 0) return false;
  expand_signs(e, out);
  return true;
}

const Expr& stated_value(const Expr& e, std::string& name) {
  if (e.op != Op::kRelation) return e;
  // x = 1/3 ~ 0.333: what is exact comes first.
  size_t last = e.kids.size() - 1;
  while (last > 1 && e.name[last - 1] == '~' && e.name[last - 2] != '~') --last;
  for (size_t k = 0; k < last; ++k) {
    if (e.name[k] != '=' && !(e.name[k] == '~' && last == 1) && e.name[k] != 'e') return e;
  }
  const Expr& left = e.kids[0];
  const Expr& right = e.kids[last];
  const bool lone =
      left.op == Op::kSymbol || left.op == Op::kText || (left.op == Op::kCall && left.name.starts_with("f:"));
  if (lone) {
    if (e.name[0] == 'e' && right.op == Op::kNamedSet) return e;
    // x = x + 1 names nothing.
    const auto inside = symbols_of(right);
    if (left.op == Op::kSymbol && std::find(inside.begin(), inside.end(), left.name) != inside.end()) return e;
    name = left.name;
    return right;
  }
  if (left.op == Op::kTuple &&
      std::all_of(left.kids.begin(), left.kids.end(), [](const Expr& k) { return k.op == Op::kSymbol; })) {
    for (const Expr& kid : left.kids) name += kid.name + ",";
    return right;
  }
  // 3 + 4 = 7, and chains such as 2a = 6 + 4 = 10 only if nothing unknown is left of them.
  const bool numeric =
      std::all_of(e.kids.begin(), e.kids.end(), [](const Expr& kid) { return symbols_of(kid).empty(); });
  if (numeric && e.name[0] != 'e') return right;
  return e;
}

Expr without_names(const Expr& e, std::string& name) {
  if (e.op != Op::kList) return stated_value(e, name);
  Expr out = e;
  std::string common;
  for (size_t k = 0; k < e.kids.size(); ++k) {
    std::string one;
    out.kids[k] = stated_value(e.kids[k], one);
    if (k == 0) {
      common = one;
    } else if (one != common && (!one.empty() || e.kids[k].op == Op::kRelation)) {
      return e;
    }
  }
  name = common;
  return out;
}

std::optional<Expr> vector_of(const Expr& e) {
  if (e.op != Op::kMatrix) return std::nullopt;
  if (e.kids.size() == 1) return e.kids[0];
  Expr out;
  out.op = Op::kTuple;
  for (const Expr& row : e.kids) {
    if (row.kids.size() != 1) return std::nullopt;
    out.kids.push_back(row.kids[0]);
  }
  return out;
}
std::optional<std::vector<Expr>> named_values(const Expr& e) {
  if (!is_relation_list(e) || (e.flags & kOr) != 0) return std::nullopt;
  std::vector<std::pair<std::string, Expr>> named;
  for (const Expr& kid : e.kids) {
    if (kid.name != "=" || kid.kids[0].op != Op::kSymbol || !symbols_of(kid.kids[1]).empty()) return std::nullopt;
    named.emplace_back(kid.kids[0].name, kid.kids[1]);
  }
  std::sort(named.begin(), named.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<Expr> values;
  for (size_t k = 0; k < named.size(); ++k) {
    if (k > 0 && named[k].first == named[k - 1].first) return std::nullopt;
    values.push_back(std::move(named[k].second));
  }
  return values;
}
bool is_relation_list(const Expr& e) {
  return (e.op == Op::kList || e.op == Op::kSet) && !e.kids.empty() &&
         std::all_of(e.kids.begin(), e.kids.end(), [](const Expr& kid) { return kid.op == Op::kRelation; });
}

}  // namespace merit::verify
