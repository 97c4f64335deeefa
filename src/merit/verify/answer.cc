#include "merit/verify/answer.h"

#include "merit/core/strings.h"
#include "merit/verify/compare.h"
#include "merit/verify/normal_form.h"
#include "merit/verify/parser.h"
#include "merit/verify/prose.h"
#include "merit/verify/reading.h"
#include "merit/verify/stated.h"

namespace merit::verify {
namespace {

Verdict unknown(AbstainCause cause, std::string reason, std::string extracted = {}) {
  return {Outcome::kUnknown, cause, std::move(extracted), std::move(reason), ""};
}

// A choice named with its text behind: "(B) 12".
bool names_choice(const Expr& reference, const std::string& answer) {
  if (reference.op != Op::kSymbol || reference.name.size() != 1) return false;
  const std::string choice = normal_words(plain_math(answer));
  return choice.size() == 1 && choice == normal_words(reference.name);
}

void write(const Expr& e, std::string& out) {
  out += static_cast<char>('A' + static_cast<int>(e.op));
  if (e.flags != 0) out += static_cast<char>('0' + e.flags);
  out += e.name;
  if (e.op == Op::kNumber || e.op == Op::kBased || e.op == Op::kTime) out += e.number.to_string();
  if (e.kids.empty()) return;
  out += '(';
  for (const Expr& kid : e.kids) {
    write(kid, out);
    out += ',';
  }
  out.back() = ')';
}

// Equal for answers that are exactly equal numbers, whatever their spelling; other answers are told apart by their
// form.
std::string key_of(const Expr& e, bool ignore_percent) {
  std::string name;
  const Expr& value = stated_value(e, name);
  if (value.op == Op::kText) return value.name;
  Budget budget;
  try {
    const bool bare = value.op == Op::kQuantity || (value.op == Op::kPercent && ignore_percent);
    const Expr& number = bare ? value.kids[0] : value;
    if (const auto exact = exact_value(number, budget)) return exact->to_string();
    if (is_scalar(number) && symbols_of(number).empty()) {
      const Form form = Forms(budget).from(number);
      if (form.bottom.is_one() && form.top.is_constant()) return form.top.constant().to_string();
    }
  } catch (const Undecided&) {
    // no number: its form is its key
  }
  std::string out;
  write(value, out);
  return out;
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
  const Reading gold = read_reference(reference, kind);
  if (!gold.readable) return unknown(AbstainCause::kItem, "the reference is not readable: " + gold.reason);
  if (response.size() > options.max_response_bytes) {
    return unknown(AbstainCause::kResponse, "the response is over the length limit");
  }
  Reading answer = read_response(response, kind);
  if (!answer.readable) return unknown(AbstainCause::kResponse, answer.reason, std::move(answer.text));
  Budget budget;
  Decision decision = compare_answers(gold.expr, answer.expr, options, budget);
  if (!decision.equal() && names_choice(gold.expr, answer.text))
    decision = {Answer::kEqual, "reading: choice", "equal"};
  if (decision.answer == Answer::kUnknown) {
    Budget again;
    const bool bad_reference = !compare_answers(gold.expr, gold.expr, options, again).equal();
    return unknown(bad_reference ? AbstainCause::kItem : AbstainCause::kResponse, decision.reason,
                   std::move(answer.text));
  }
  return {decision.equal() ? Outcome::kCorrect : Outcome::kIncorrect, AbstainCause::kNone, std::move(answer.text),
          std::move(decision.reason), decision.rule};
}

std::optional<std::string> answer_key(std::string_view response, AnswerKind kind, const VerifyOptions& options) {
  if (response.size() > options.max_response_bytes) return std::nullopt;
  const Reading answer = read_response(response, kind);
  if (!answer.readable) return std::nullopt;
  if (kind != AnswerKind::kList) return key_of(answer.expr, options.ignore_percent);
  std::string key;
  for (const Expr& item : answer.expr.kids) key += (key.empty() ? "" : ", ") + key_of(item, options.ignore_percent);
  return key;
}

}  // namespace merit::verify
