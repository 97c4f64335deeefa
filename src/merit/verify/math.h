// Mathematical answers: found in a text, read, and compared. Internal to the checker; answer.h is the way in.
#pragma once

#include <string>
#include <string_view>

#include "merit/verify/answer.h"
#include "merit/verify/expr.h"

namespace merit::verify {

struct MathReading {
  bool readable = false;
  std::string text;    // what was read
  std::string reason;  // why it is not readable
  Expr expr;
};

// The answer in a response: the last \boxed{...} (several side by side are one list), a marked line or sentence, the
// last formula or number. Linear in the text.
MathReading read_math_response(std::string_view response);
// The answer that a reference is or marks; of a bare reference the whole is read.
MathReading read_math_reference(std::string_view reference);

Verdict verify_math(std::string_view response, std::string_view reference, const VerifyOptions& options);
// Equal for answers that are exactly equal numbers, whatever their spelling; other answers are told apart by their
// form.
std::string math_key(const Expr& e);

}  // namespace merit::verify
