#include "merit/reward/answer.h"

#include "merit/core/error.h"

namespace merit::reward {
namespace {

// The reference as text: a string, or a number in JSON's own spelling.
std::optional<std::string> reference_of(const data::Group& group, const std::string& column) {
  const auto it = group.columns.find(column);
  if (it == group.columns.end() || it->is_null()) return std::nullopt;
  if (it->is_string()) return it->get<std::string>();
  if (it->is_number()) return dump_json(*it);
  return std::nullopt;
}

}  // namespace

verify::AnswerKind answer_kind_of(const data::Group& group, const AnswerOptions& options) {
  if (options.kind) return *options.kind;
  const auto it = group.columns.find("answer_kind");
  if (it == group.columns.end() || it->is_null()) return verify::AnswerKind::kNumber;
  const auto kind = it->is_string() ? verify::parse_answer_kind(it->get<std::string>()) : std::nullopt;
  if (!kind) {
    fail(ErrorKind::kData, "{}: answer_kind: expected math, number, text, date or list, got {}", group.where,
         quote(dump_json(*it)));
  }
  return *kind;
}

std::vector<verify::Verdict> verify_group(const data::Group& group, const AnswerOptions& options) {
  const verify::AnswerKind kind = answer_kind_of(group, options);
  const auto reference = reference_of(group, options.column);
  std::vector<verify::Verdict> verdicts;
  for (const data::Candidate& candidate : group.candidates) {
    if (reference) {
      verdicts.push_back(verify::verify_answer(text_of(candidate.content), *reference, kind, options.verify));
    } else {
      verdicts.push_back({.outcome = verify::Outcome::kUnknown,
                          .cause = verify::AbstainCause::kItem,
                          .extracted = "",
                          .reason = "the row has no reference in column " + quote(options.column)});
    }
  }
  return verdicts;
}

std::string AnswerReward::identity() const {
  return options_.kind ? std::string("answer:") + verify::name_of(*options_.kind) : "answer";
}

Computation AnswerReward::score(std::span<const data::Group> groups) const {
  Table table{name_, {}};
  for (const data::Group& group : groups) {
    std::vector<Cell>& cells = table.cells.emplace_back();
    for (const verify::Verdict& verdict : verify_group(group, options_)) {
      if (verdict.outcome == verify::Outcome::kUnknown) {
        const bool response = verdict.cause == verify::AbstainCause::kResponse;
        cells.push_back(abstain(response ? Cause::kResponse : Cause::kItem, verdict.reason, 0.0));
      } else {
        cells.emplace_back().value = verdict.outcome == verify::Outcome::kCorrect ? 1.0 : 0.0;
      }
    }
  }
  co_return table;
}

}  // namespace merit::reward
