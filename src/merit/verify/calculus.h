// Limits, derivatives, definite integrals and infinite sums and products as closed forms, where that is decided by
// exact arithmetic: rules of differentiation; power series for limits; antiderivatives whose continuity balls prove;
// geometric, exponential, telescoping and zeta sums. Everything else is left to be unknown. Internal to the checker.
#pragma once

#include <optional>
#include <string>

#include "merit/verify/budget.h"
#include "merit/verify/expr.h"
#include "merit/verify/normal_form.h"

namespace merit::verify {

bool has_calculus(const Expr& e);
// The same value without lim, deriv, infinite sums and products, and integrals that have a closed form. Integrals that
// have none stay (balls enclose them). Undecided for what is not known to exist.
Expr without_calculus(const Expr& e, Budget& budget);

// Whether the symbol occurs free.
bool is_free(const Expr& e, const std::string& symbol);
Expr derivative(const Expr& e, const std::string& x, Budget& budget);
// The limit as x goes to `where` (which may be plus or minus infinity) from the side: -1, 1, or 0 for both.
Expr limit(const Expr& e, const std::string& x, const Expr& where, int side, Budget& budget);
// Nothing: no closed form is known.
std::optional<Expr> integral(const Expr& e, const std::string& x, const Expr& from, const Expr& to, Budget& budget);
Expr infinite_sum(const Expr& term, const std::string& k, int64_t from, Budget& budget);
Expr infinite_product(const Expr& factor, const std::string& k, int64_t from, Budget& budget);
// The zeta function of 2, 4, 6, ...: a rational multiple of a power of pi.
Expr zeta_of_even(int64_t n);

// A polynomial in one symbol with rational coefficients, lowest first; nothing for anything else.
std::optional<std::vector<Exact>> rational_polynomial(const Poly& p, const std::string& x, const Forms& forms);

}  // namespace merit::verify
