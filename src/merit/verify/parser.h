// Mathematics as a tree, from LaTeX or plain text. Total: every text gives a tree or a reason, in time linear in its
// length; deeper than 64 levels or longer than 8,192 bytes is a reason. Internal to the checker.
#pragma once

#include <string>
#include <string_view>

#include "merit/verify/expr.h"

namespace merit::verify {

struct Parsed {
  bool ok = false;
  Expr expr;
  std::string reason;  // why not
};

// The whole text as one answer.
Parsed parse_math(std::string_view text);

// Words as a text answer compares them: lower case, without articles, emphasis and end punctuation; "(B)" is "b".
std::string normal_words(std::string_view text);

}  // namespace merit::verify
