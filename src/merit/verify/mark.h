// Where a response says its final answer. Internal to the checker.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace merit::verify {

enum class Mark {
  kBoxed,     // \boxed{...}
  kTag,       // <answer>...</answer>
  kLine,      // a line that starts with "####" or "A:"
  kAnswerIs,  // "answer is ...", "answer: ..."
};

struct MarkedAnswer {
  Mark mark;
  std::string_view text;  // up to the closing brace, or to the end of the line
};

// The last "final answer is ... I hope it is correct"; else the last mark of the first kind, in the order above, that
// occurs. Nothing if the text marks no answer. Linear.
std::optional<MarkedAnswer> find_mark(std::string_view text);

}  // namespace merit::verify
