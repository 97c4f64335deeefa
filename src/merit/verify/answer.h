// Is the answer in a response the reference answer? Decided exactly, in time linear in the texts, from the response
// alone (the prompt is never seen, so an example in it earns nothing). Thread-safe: no state, no signals, no clocks.
//
// The answer is looked for in this order: the last "final answer is ... I hope it is correct"; the last `\boxed{...}`;
// the last <answer>...</answer>; the last line that starts with "####" or "A:"; the last "answer is ..." or "answer:
// ..."; "option is" and a letter; else the last value of the kind asked for in the text. The first of these that occurs
// decides: a later kind is never tried because an earlier one was wrong, and of several marks of one kind the last
// counts. See docs/verify.md.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace merit::verify {

enum class AnswerKind {
  kMath,    // any mathematics: numbers, expressions, tuples, sets, intervals, relations, matrices, quantities, words
  kNumber,  // one number without unknowns, read as mathematics: 3.50, 1,000, 3 1/2, 10^3, 12 apples, $5
  kText,    // a word, name or choice letter, compared without case, articles and end punctuation
  kDate,    // a calendar date: 2024-03-05, March 5, 2024, 5 March 2024
  kList,    // numbers or words in order, separated by commas or spaces
};
// "math", "number", "text", "date", "list".
const char* name_of(AnswerKind kind);
// The same back; "choice" is kText. Nothing for an unknown name.
std::optional<AnswerKind> parse_answer_kind(std::string_view name);

// Whose choices decide what graders differ on (docs/verify.md lists them).
enum class Profile {
  kStrict,      // exact; brackets, units and percent signs mean what they say
  kMathVerify,  // Math-Verify's: six decimals, units ignored, percent signs ignored, brackets loose
};

struct VerifyOptions {
  Profile profile = Profile::kStrict;
  // Equal if |a - b| <= tolerance * |reference|. 0: exactly equal. Never absolute, so tiny numbers stay distinct.
  double relative_tolerance = 0;
  // 35% and 35 are the same answer. Without it a percent sign must stand on both sides, or the other side must be the
  // fraction: 35% = 0.35.
  bool ignore_percent = false;
  // 10 cm and 10 m are the same answer.
  bool ignore_units = false;
  // An inequality answers a reference that is an interval; the other way round it always does.
  bool relation_for_set = false;
  // Longer responses are unknown (cause: response).
  size_t max_response_bytes = 1 << 20;
};

enum class Outcome { kCorrect, kIncorrect, kUnknown };
enum class AbstainCause {
  kNone,
  kResponse,  // no answer found, or not readable: the reward's floor
  kItem,      // the reference is not readable: not scorable
};

struct Verdict {
  Outcome outcome = Outcome::kUnknown;
  AbstainCause cause = AbstainCause::kNone;  // kNone unless unknown
  std::string extracted;                     // the answer's text in the response, or ""
  std::string reason;                        // one short clause for people
  std::string rule;                          // what decided: "exact", "normal form", "balls", "sets", ...
};

// "correct", "incorrect", "unknown"; "none", "response", "item".
const char* name_of(Outcome outcome);
const char* name_of(AbstainCause cause);

// `reference` is the answer, or a whole solution that marks it ("... #### 18", "... A: 18", "\boxed{18}").
Verdict verify_answer(std::string_view response, std::string_view reference, AnswerKind kind,
                      const VerifyOptions& options = {});

// The response's answer in canonical spelling ("7/2", "2024-03-05", "3, 7, 9"): what a majority vote counts. Equal for
// answers that are the same rational number, date or words; other mathematics is told apart by its form. Nothing if
// there is no readable answer.
std::optional<std::string> answer_key(std::string_view response, AnswerKind kind, const VerifyOptions& options = {});

}  // namespace merit::verify
