// Functions given by cases of one unknown. Internal to the checker.
#pragma once

#include "merit/verify/budget.h"
#include "merit/verify/expr.h"
#include "merit/verify/scalar.h"

namespace merit::verify {

// Rows of a value and its condition: "x^2 & x > 0", "x^2, x > 0", "1 & \text{otherwise}".
bool is_piecewise(const Expr& e);
// The statements of what is written as a system: \begin{cases} x+y=1 \\ x-y=3 \end{cases}. Nothing for anything else.
std::optional<Expr> system_of(const Expr& e);

// At least one of them is piecewise; the other may be a closed form. Equal if wherever a piece of one meets a piece of
// the other their values are equal, and both are defined at the same places; different by a point.
Decision compare_piecewise(const Expr& a, const Expr& b, Budget& budget);

}  // namespace merit::verify
