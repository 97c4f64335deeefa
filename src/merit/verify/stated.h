// What an answer says, apart from how it is written: the value it names, the values it lists, the numbers that a sign
// of both stands for. Internal to the checker.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "merit/verify/expr.h"

namespace merit::verify {

// The value an answer states: the right side of "x = 5", of "3 + 4 = 7" and of "f(x) = x + 1", without what stands
// behind a sign of approximation. `name`: what is said to have it, or "".
const Expr& stated_value(const Expr& e, std::string& name);

// The same of a list all of whose items say what one thing is: "x = 1 or x = 2" is a list of values.
Expr without_names(const Expr& e, std::string& name);

// Without ±: each of the values it stands for. Signs are independent, except that "-+" turns with "+-". Undecided for
// more than three independent ones.
void expand_signs(const Expr& e, std::vector<Expr>& out);

// The elements of what is written as several values in no order, signs expanded; false for anything else.
bool elements(const Expr& e, std::vector<Expr>& out);

// A matrix of one column or row as a tuple.
std::optional<Expr> vector_of(const Expr& e);

// A list of relations: a system, or alternatives.
bool is_relation_list(const Expr& e);

// The values of "y = 2, x = 1" in the order of the names; nothing for anything else.
std::optional<std::vector<Expr>> named_values(const Expr& e);

}  // namespace merit::verify
