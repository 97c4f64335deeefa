#include "merit/verify/answer.h"

namespace merit::verify {

const char* name_of(AnswerKind kind) {
  switch (kind) {
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

}  // namespace merit::verify
