// Two answers compared as what they are: values, tuples, sets, intervals, relations, matrices, quantities, words. What
// graders differ on is a named rule. Internal to the checker.
#pragma once

#include "merit/verify/answer.h"
#include "merit/verify/budget.h"
#include "merit/verify/expr.h"
#include "merit/verify/scalar.h"

namespace merit::verify {

// Symmetric except where a rule reads one side in the light of the other; such a decision's rule starts with
// "reading:".
Decision compare_answers(const Expr& reference, const Expr& answer, const VerifyOptions& options, Budget& budget);

}  // namespace merit::verify
