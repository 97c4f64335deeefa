// A group: the candidates under one prompt, as one row of a file gives them. Field names are TRL's ("Dataset formats
// and types"); groups of N candidates, which TRL has no name for, are `prompt` + `responses`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "merit/core/content.h"
#include "merit/core/error.h"
#include "merit/core/json.h"

namespace merit::data {

// How a row spells its group. The reader recognises it by the columns present; see docs/data.md for the exact rule.
enum class Layout {
  kPrompt,              // prompt; no candidates
  kCompletion,          // prompt, completion: one candidate
  kResponses,           // prompt, responses [, labels, scores, rewards: lists of the same length]: N candidates
  kPreference,          // prompt, chosen, rejected: candidate 0 is the chosen one
  kImplicitPreference,  // chosen, rejected that both hold the prompt; split here, so the group looks like kPreference
  kUnpaired,            // prompt, completion, label
  kStepwise,            // prompt, completions (steps, texts), labels (a bool a step): one candidate
};

// The layout's name for messages: "prompt-only", "preference", ...
const char* name_of(Layout layout);
// kPreference or kImplicitPreference.
bool is_preference(Layout layout);

struct Candidate {
  Content content;
  // 1 chosen or good, 0 rejected or bad, or the number that `labels` gives.
  std::optional<double> label;
  // What the row says of this candidate alone: `score` and `reward` from the lists, every other member of a response
  // object; for kStepwise `steps` and `labels`.
  OrderedJson columns = OrderedJson::object();
};

struct Group {
  std::string id;     // column `id`, or "row-N" with N the row's number from 1
  std::string where;  // "file:line"
  std::optional<Content> prompt;
  std::vector<Candidate> candidates;
  // Every column that the layout does not use: answer, tools, ...
  OrderedJson columns = OrderedJson::object();
  Layout layout = Layout::kPrompt;
};

// merit's column name -> the file's: {{"prompt", "question"}}.
using ColumnMap = std::map<std::string, std::string>;

// Reads "prompt=question,answer=final". Error(kUsage) for anything else, or for a name given twice.
ColumnMap parse_column_map(const std::string& text);

// The group of one row. Throws Error(kData) whose message starts with `where` and names the field, what was expected
// and what came; `RowError::reason` is the short name under which the row is counted.
// `number` is the row's number from 1.
Group group_of_row(OrderedJson row, const ColumnMap& names, uint64_t number, const std::string& where);

// Why a row gives no group, in a few words for counting: "not JSON", "missing field", "wrong type", "empty",
// "equal answers", "mixed layouts", "duplicate id", "too long", ...
class RowError : public Error {
 public:
  RowError(std::string reason, const std::string& message)
      : Error(ErrorKind::kData, message), reason(std::move(reason)) {}
  std::string reason;
};

// The prompt that two whole conversations or texts share, and what is left of each: the longest common prefix in
// characters or messages. Of texts that part after a space, the space stays with the answers, as TRL does.
struct SplitPair {
  Content prompt;
  Content chosen;
  Content rejected;
};
// Both contents of one kind, text or messages. Never fails: what is left may be empty.
SplitPair split_pair(const Content& chosen, const Content& rejected);

}  // namespace merit::data
