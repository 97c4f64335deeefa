// Equations and inequalities as statements about all their symbols. Internal to the checker.
#pragma once

#include "merit/verify/budget.h"
#include "merit/verify/expr.h"
#include "merit/verify/scalar.h"

namespace merit::verify {

// Equal if one side's difference is a constant multiple of the other's (a positive one for < and >); different if a
// point that satisfies one is proved not to satisfy the other.
Decision compare_relations(const Expr& a, const Expr& b, Budget& budget);

}  // namespace merit::verify
