// Reading numbers as people, programs and models write them: decimals, fractions, mixed numbers, thousands
// separators, percent signs, currency, scale words, units behind, LaTeX and plain arithmetic. Internal to the checker.
#pragma once

#include <string>
#include <string_view>

#include "merit/verify/rational.h"

namespace merit::verify {

struct Number {
  enum class Kind {
    kExact,
    kHuge,        // read, but at least 2^4096 in magnitude: equal to nothing
    kUnreadable,  // `reason` says why
  };
  Kind kind = Kind::kUnreadable;
  Rational value;  // in lowest terms; of 35% it is 7/20
  bool percent = false;
  std::string reason;
};

// The text with LaTeX spacing, \text{}, currency signs, Unicode operators and calculator notes (<<3*4=12>>) turned
// into plain ASCII, without spaces at the ends. Lines stay lines. Linear.
std::string plain_math(std::string_view text);

// The number that the whole of a plain_math text is: an expression, the right side of its last "=", with a unit
// behind. Text that holds more than one number, a variable, a root or a relation is unreadable. Bounded: longer than
// 4096 bytes or nested deeper than 64 is unreadable. `factorials`: a final "!" counts; in prose it is punctuation.
Number read_number(std::string_view plain, bool factorials);

// The first value of a marked answer ("18 dollars, as 20 - 2 = 18"); the last value of free text ("so 3 * 4 = 12
// apples."). `text` receives what was read. Unreadable with an empty text: there is no number at all.
Number first_number(std::string_view plain, std::string& text);
Number last_number(std::string_view plain, std::string& text);

}  // namespace merit::verify
