// Where a text says its mathematical answer, and that answer as a tree. Internal to the checker; answer.h is the way
// in.
#pragma once

#include <string_view>

#include "merit/verify/reading.h"

namespace merit::verify {

// The answer in a response: the last \boxed{...} (several side by side are one list), a marked line or sentence, the
// last formula or number. `number`: one number without unknowns; nothing else is an answer. Linear in the text.
Reading read_math_response(std::string_view response, bool number);
// The answer that a reference is or marks; of a bare reference the whole is read.
Reading read_math_reference(std::string_view reference, bool number);

}  // namespace merit::verify
