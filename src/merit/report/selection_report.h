// The page of a selection run: did picking by this score help, by how much, how sure, where, and on what evidence.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "merit/report/table.h"
#include "merit/search/selection.h"

namespace merit::report {

// What a score means: only a probability, or log-odds that become one, can be calibrated.
enum class ScoreScale { kUnitless, kLogOdds, kProbability };

struct SelectionEvidence {
  std::string scorer;  // the reward's name as people should read it: "R"
  std::string model;   // that gave the candidates
  std::string data;    // file or task
  std::string data_hash;
  std::string version;  // of merit
  uint64_t seed = 0;
  size_t read = 0;                                         // groups read
  std::vector<std::pair<std::string, size_t>> dropped;     // reason, groups; besides what the summary dropped
  std::vector<std::pair<std::string, std::string>> facts;  // anything else, in order
  ScoreScale scale = ScoreScale::kUnitless;
};

// "Best-of-8 with R: 41.2% against 38.0% for a random answer: +3.2 points [-1.0, +7.4], not shown to help."
std::string verdict_sentence(const search::SelectionSummary& summary, std::string_view scorer);

// first, mean, chosen, majority, oracle with intervals, for the terminal.
Table accuracy_table(const search::SelectionSummary& summary);
// One row a slice; empty without slices.
Table slice_table(const search::SelectionSummary& summary);

// The page. `summary` must be summarise(groups). A text is shown up to 6,000 characters, and examples up to 24.
std::string selection_report(std::span<const search::SelectionGroup> groups, const search::SelectionSummary& summary,
                             const SelectionEvidence& evidence);

}  // namespace merit::report
