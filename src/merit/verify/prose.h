// Numbers among words. Internal to the checker.
#pragma once

#include <string>
#include <string_view>

namespace merit::verify {

// The text with LaTeX spacing, \text{}, currency signs, Unicode operators and calculator notes (<<3*4=12>>) turned
// into plain ASCII, without spaces at the ends. Lines stay lines. Linear.
std::string plain_math(std::string_view text);

struct FoundNumber {
  std::string text;      // to be parsed; "": there is no number at all
  bool several = false;  // it is one of several: "5 or 6", "x = 1, y = 2"
};

// The first value of a marked answer ("18 dollars, as 20 - 2 = 18"); the last value of free text ("so 3 * 4 = 12
// apples."), both of a plain_math text. Linear.
FoundNumber first_number(std::string_view plain);
FoundNumber last_number(std::string_view plain);

}  // namespace merit::verify
