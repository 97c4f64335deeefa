// fuzz: DEPS verify
// Any response and reference (parted by a newline) get a verdict for every kind, never a fault; a text whose answer
// has a key agrees with itself.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "merit/verify/answer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merit::verify;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t newline = text.find('\n');
  const std::string_view reference = text.substr(0, newline);
  const std::string_view response = newline == std::string_view::npos ? text : text.substr(newline + 1);
  for (const AnswerKind kind : {AnswerKind::kNumber, AnswerKind::kText, AnswerKind::kDate, AnswerKind::kList}) {
    const Verdict verdict = verify_answer(response, reference, kind, {.relative_tolerance = 0.01});
    const bool abstains = verdict.outcome == Outcome::kUnknown;
    if (abstains != (verdict.cause != AbstainCause::kNone)) std::abort();
    if (answer_key(response, kind) != answer_key(response, kind)) std::abort();
    if (verdict.outcome == Outcome::kCorrect && !answer_key(response, kind)) std::abort();
  }
  return 0;
}
