// One text read as an answer of a kind. Internal to the checker.
#pragma once

#include <string>
#include <string_view>

#include "merit/verify/answer.h"
#include "merit/verify/expr.h"

namespace merit::verify {

struct Reading {
  bool readable = false;
  std::string text;    // what was read
  std::string reason;  // why it is not readable
  Expr expr;           // words and dates are kText, lists kTuple
};

// The answer in a response: its marked answer, or the last value of the kind.
Reading read_response(std::string_view response, AnswerKind kind);
// The answer a reference is or marks: nothing else may stand in it.
Reading read_reference(std::string_view reference, AnswerKind kind);

}  // namespace merit::verify
