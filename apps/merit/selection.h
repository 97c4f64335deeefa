// Scored and labelled rows as groups to select from: what `merit select` and `merit report` share.
#pragma once

#include <string>
#include <vector>

#include "command.h"
#include "merit/reward/answer.h"
#include "merit/search/selection.h"

namespace merit::app {

struct SelectionOptions {
  DataOptions data;
  std::string by;  // the reward whose scores pick
  std::string slice = "family";
  double right_above = -1;
  reward::AnswerOptions answer;
  search::SelectionOptions statistics;

  void bind(CLI::App& app);
};

// The groups of the rows. Error(kData) naming the row for a missing score list or a label that is neither 0 nor 1 while
// --right-above is not given.
std::vector<search::SelectionGroup> read_selection(const SelectionOptions& options, GroupStream& stream);

OrderedJson to_json(const search::SelectionSummary& summary);

}  // namespace merit::app
