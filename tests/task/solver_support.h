// Solves task problems from the text of their prompts alone.
#pragma once

#include <string>

namespace merit::task {

// The answer as the tests spell it: a number, a list "a, b", a day of the week, or a date "Month D, YYYY".
// Throws std::runtime_error for a prompt it does not understand.
std::string solve(const std::string& prompt);

}  // namespace merit::task
