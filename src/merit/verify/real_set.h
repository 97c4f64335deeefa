// Sets of real numbers with finitely many ends: intervals, points, their unions, and what inequalities in one unknown
// say. Internal to the checker.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "merit/verify/budget.h"
#include "merit/verify/expr.h"
#include "merit/verify/scalar.h"

namespace merit::verify {

class RealSet {
 public:
  static RealSet none() { return RealSet(false); }
  static RealSet all() { return RealSet(true); }
  // An end that is plus or minus infinity is no end.
  static RealSet interval(const Expr& low, const Expr& high, bool open_low, bool open_high, Budget& budget);
  static RealSet point(const Expr& at);

  // Undecided where two ends cannot be put in order.
  static RealSet combine(const RealSet& a, const RealSet& b, const std::function<bool(bool, bool)>& in, Budget& budget);
  static RealSet unite(const RealSet& a, const RealSet& b, Budget& budget);
  static RealSet intersect(const RealSet& a, const RealSet& b, Budget& budget);
  static RealSet subtract(const RealSet& a, const RealSet& b, Budget& budget);

  bool empty() const { return ends_.empty() && !gaps_[0]; }
  // Points only.
  bool finite() const;
  static Decision compare(const RealSet& a, const RealSet& b, Budget& budget);

 private:
  explicit RealSet(bool everything) : gaps_{everything} {}
  void drop_needless_ends();

  std::vector<Expr> ends_;  // rising
  std::vector<bool> at_;    // is the end itself inside
  std::vector<bool> gaps_;  // is what lies before end k inside; the last: what lies behind all
};

// A set as it is written: intervals, finite sets, unions, intersections, differences, the real numbers. Nothing if it
// is no such thing.
std::optional<RealSet> real_set(const Expr& e, Budget& budget);
// What a chain of relations in one symbol says of it; polynomials of degree 1, and of degree 2 with rational
// coefficients, are solved. `symbol` receives its name. Nothing for anything else.
std::optional<RealSet> solution_set(const Expr& relation, std::string& symbol, Budget& budget);

// a < b: -1, equal: 0, a > b: 1. Undecided if there is no proof.
int order(const Expr& a, const Expr& b, Budget& budget);

}  // namespace merit::verify
