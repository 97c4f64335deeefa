// Worked solutions: the arithmetic that each step claims, found in its text and checked exactly.
//
// A step is a line. A claim is an equation between arithmetic of numbers ("16 - 3 - 4 = 9 duck eggs", "2 boxes * 3 =
// $6", "20% of 50 = 10"); calculator marks (<<16-3-4=9>>) are not looked at, so that marks can be compared with what
// is found. A side that is rounded to the decimals it shows is right. Pure functions; linear in the text; thread-safe.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace merit::verify {

struct Claim {
  std::string left;   // as it was read: "16 - 3 - 4"
  std::string right;  // "9"
  bool holds = false;
};

struct Step {
  std::string_view text;      // of the solution
  std::vector<Claim> claims;  // in order; none: nothing to check
  bool wrong() const;         // a claim does not hold
};

// The lines of a solution that are not blank. Claims are looked for in lines of at most 4,096 bytes.
std::vector<Step> check_steps(std::string_view solution);
// The first step with a claim that does not hold.
std::optional<size_t> first_wrong_step(const std::vector<Step>& steps);

}  // namespace merit::verify
