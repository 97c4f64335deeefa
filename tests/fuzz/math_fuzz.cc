// fuzz: DEPS verify
// Any reference and answer (parted by a newline) get a verdict as mathematics, the same one twice; where both sides are
// the same text they are never proved different, and a verdict turned round never contradicts itself. Solutions are
// checked step by step.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "merit/verify/answer.h"
#include "merit/verify/compare.h"
#include "merit/verify/parser.h"
#include "merit/verify/steps.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merit::verify;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t newline = text.find('\n');
  const std::string_view reference = text.substr(0, newline);
  const std::string_view response = newline == std::string_view::npos ? text : text.substr(newline + 1);
  for (const Profile profile : {Profile::kStrict, Profile::kMathVerify}) {
    const VerifyOptions options{.profile = profile};
    const Verdict first = verify_answer(response, reference, AnswerKind::kMath, options);
    const Verdict again = verify_answer(response, reference, AnswerKind::kMath, options);
    if (first.outcome != again.outcome || first.rule != again.rule) std::abort();
    if ((first.outcome == Outcome::kUnknown) != (first.cause != AbstainCause::kNone)) std::abort();
  }
  const Parsed a = parse_math(reference), b = parse_math(response);
  if (a.ok) {
    Budget budget;
    if (compare_answers(a.expr, a.expr, {}, budget).different()) std::abort();
  }
  if (a.ok && b.ok) {
    Budget one, other;
    const Decision forth = compare_answers(a.expr, b.expr, {}, one), back = compare_answers(b.expr, a.expr, {}, other);
    const auto reading = [](const Decision& d) {
      return std::string_view(d.rule).starts_with("reading") || std::string_view(d.rule) == "relation for a set";
    };
    if (!reading(forth) && !reading(back) &&
        ((forth.equal() && back.different()) || (forth.different() && back.equal())))
      std::abort();
  }
  check_steps(text);
  return 0;
}
