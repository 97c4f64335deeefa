#include "merit/verify/answer.h"

#include "merit/core/strings.h"
#include "merit/verify/math.h"
#include "merit/verify/reading.h"

namespace merit::verify {
namespace {

// The tolerance as the decimal it was written as: 0.01 is 1/100, not the double next to it.
Rational exact(double tolerance) { return read_number(format_double(tolerance), false).value; }

bool close(const Rational& a, const Rational& b, double tolerance) {
  if (equal(a, b)) return true;
  if (!(tolerance > 0)) return false;
  const Rational difference = (a + -b).reduced();
  const Rational bound = (exact(tolerance) * b).reduced();
  return !difference.overflowed() && !bound.overflowed() && magnitude_at_most(difference, bound);
}

bool same_number(const Number& answer, const Number& reference, const VerifyOptions& options) {
  if (close(answer.value, reference.value, options.relative_tolerance)) return true;
  if (!options.ignore_percent || answer.percent == reference.percent) return false;
  const Rational hundred{false, Natural(100), Natural(1)};
  const Rational a = answer.percent ? answer.value * hundred : answer.value;
  const Rational b = reference.percent ? reference.value * hundred : reference.value;
  return !a.overflowed() && !b.overflowed() && close(a, b, options.relative_tolerance);
}

Verdict unknown(AbstainCause cause, std::string reason, std::string extracted = {}) {
  return {Outcome::kUnknown, cause, std::move(extracted), std::move(reason), ""};
}

}  // namespace

const char* name_of(AnswerKind kind) {
  switch (kind) {
    case AnswerKind::kMath:
      return "math";
    case AnswerKind::kNumber:
      return "number";
    case AnswerKind::kText:
      return "text";
    case AnswerKind::kDate:
      return "date";
    case AnswerKind::kList:
      return "list";
  }
  return "unknown";
}

std::optional<AnswerKind> parse_answer_kind(std::string_view name) {
  if (name == "math") return AnswerKind::kMath;
  if (name == "number") return AnswerKind::kNumber;
  if (name == "text" || name == "choice") return AnswerKind::kText;
  if (name == "date") return AnswerKind::kDate;
  if (name == "list") return AnswerKind::kList;
  return std::nullopt;
}

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kCorrect:
      return "correct";
    case Outcome::kIncorrect:
      return "incorrect";
    case Outcome::kUnknown:
      return "unknown";
  }
  return "unknown";
}

const char* name_of(AbstainCause cause) {
  switch (cause) {
    case AbstainCause::kNone:
      return "none";
    case AbstainCause::kResponse:
      return "response";
    case AbstainCause::kItem:
      return "item";
  }
  return "none";
}

Verdict verify_answer(std::string_view response, std::string_view reference, AnswerKind kind,
                      const VerifyOptions& options) {
  if (kind == AnswerKind::kMath) return verify_math(response, reference, options);
  const Reading gold = read_reference(reference, kind);
  if (!gold.readable) return unknown(AbstainCause::kItem, "the reference is not readable: " + gold.reason);
  if (kind == AnswerKind::kNumber && gold.number.kind != Number::Kind::kExact) {
    return unknown(AbstainCause::kItem, "the reference needs more than 4096 bits");
  }
  if (response.size() > options.max_response_bytes) {
    return unknown(AbstainCause::kResponse, "the response is over the length limit");
  }
  Reading answer = read_response(response, kind);
  if (!answer.readable) return unknown(AbstainCause::kResponse, answer.reason, std::move(answer.text));
  const bool huge = kind == AnswerKind::kNumber && answer.number.kind == Number::Kind::kHuge;
  const bool same = !huge && (kind == AnswerKind::kNumber ? same_number(answer.number, gold.number, options)
                                                          : answer.key == gold.key);
  return {same ? Outcome::kCorrect : Outcome::kIncorrect, AbstainCause::kNone, std::move(answer.text),
          same   ? "equal"
          : huge ? "far too large"
                 : "different",
          kind == AnswerKind::kNumber ? "exact" : "spelling"};
}

std::optional<std::string> answer_key(std::string_view response, AnswerKind kind, const VerifyOptions& options) {
  if (response.size() > options.max_response_bytes) return std::nullopt;
  if (kind == AnswerKind::kMath) {
    const MathReading reading = read_math_response(response);
    return reading.readable ? std::optional(math_key(reading.expr)) : std::nullopt;
  }
  const Reading answer = read_response(response, kind);
  if (!answer.readable) return std::nullopt;
  if (kind != AnswerKind::kNumber) return answer.key;
  if (answer.number.kind == Number::Kind::kHuge) return std::nullopt;
  if (!options.ignore_percent || !answer.number.percent) return answer.key;
  const Rational bare = (answer.number.value * Rational{false, Natural(100), Natural(1)}).reduced();
  return bare.overflowed() ? answer.key : bare.to_string();
}

}  // namespace merit::verify
