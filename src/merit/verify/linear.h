// Matrices and systems of linear equations. Internal to the checker.
#pragma once

#include <optional>
#include <vector>

#include "merit/verify/budget.h"
#include "merit/verify/expr.h"

namespace merit::verify {

// A value of matrices worked out: one matrix, or a number where there are determinants.
Expr with_matrices(const Expr& e);

// Whether two systems of linear equations with rational coefficients have the same solutions (those that have none are
// the same). Nothing if one is no such system.
std::optional<bool> same_solutions(const std::vector<Expr>& a, const std::vector<Expr>& b, Budget& budget);

}  // namespace merit::verify
