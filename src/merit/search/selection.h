// Did picking by score help? The evaluation of a selection over many groups, with intervals and a paired verdict.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "merit/stats/interval.h"
#include "merit/stats/ranking.h"
#include "merit/stats/tests.h"

namespace merit::search {

struct SelectionCandidate {
  std::string text;                                         // for people; not looked at here
  double score = std::numeric_limits<double>::quiet_NaN();  // NaN: the reward abstained
  std::optional<bool> right;                                // nullopt: could not be judged
  std::string key;                                          // the normalised answer; "" = none
};

struct SelectionGroup {
  std::string id;
  std::string slice;      // a family, a subject; "" = none
  std::string prompt;     // for people
  std::string reference;  // for people
  std::vector<SelectionCandidate> candidates;
};

// What each rule is worth on one group, in [0, 1]. A tie at the top is worth the mean of the tied: a scorer that
// cannot tell candidates apart gains nothing from the order they stand in.
struct SelectionOutcome {
  size_t group = 0;  // index into the input
  double first = 0;
  double mean = 0;
  double chosen = 0;
  double majority = 0;
  double oracle = 0;
  size_t chosen_index = 0;    // the lowest index among the tied
  size_t majority_index = 0;  // meaningless without answers: majority_answers = false
  bool majority_answers = false;
  size_t chosen_tied = 1;
  size_t majority_tied = 1;
  double null_share = 0;    // chance of a right pick under random scores with this tie pattern
  bool null_usable = true;  // false: the tied candidates are partly right, so the pick has no right or wrong
};

enum class Verdict { kGain, kNone, kLoss };
const char* verdict_name(Verdict verdict);  // "gain", "none", "loss"

struct Accuracies {
  stats::Estimate first, mean, chosen, majority, oracle;
  stats::Estimate gain;              // chosen - mean, paired over groups
  stats::Estimate majority_gain;     // majority - mean, paired over groups
  Verdict verdict = Verdict::kNone;  // gain or loss only if the interval of `gain` excludes 0
};

struct SliceSummary {
  std::string name;
  Accuracies accuracies;
};

struct CurvePoint {
  size_t k = 1;
  stats::Estimate chosen, oracle;
  std::optional<stats::Estimate> majority;  // absent for groups of more than 128 candidates
};

struct SelectionCounts {
  size_t groups = 0;         // in the input
  size_t used = 0;           // in every number of the summary
  size_t empty = 0;          // dropped: no candidates
  size_t unjudged = 0;       // dropped: a candidate's rightness is unknown
  size_t unscored = 0;       // dropped: no candidate has a score
  size_t candidates = 0;     // in used groups
  size_t abstained = 0;      // candidates without a score in used groups: count in mean, first, majority, oracle
  size_t no_answer = 0;      // candidates without an answer in used groups
  size_t chosen_ties = 0;    // used groups with a tie at the top score
  size_t majority_ties = 0;  // used groups with a tie between answers
  size_t curve_groups = 0;   // used groups with at least the commonest number of candidates
};

struct SelectionSummary {
  size_t n_candidates = 0;  // the commonest number of candidates a group
  SelectionCounts counts;
  std::vector<SelectionOutcome> outcomes;  // one a used group, in input order
  Accuracies all;
  std::optional<stats::TestResult> chance;     // chosen against a random candidate, exact
  std::optional<stats::TestResult> sign_flip;  // the same question by permutation of signs
  std::vector<SliceSummary> slices;            // by name; empty if no group names a slice
  std::vector<CurvePoint> curve;               // k = 1, 2, 4, ... and N
  stats::PairCounts pairs;                     // (right, wrong) pairs within groups
  std::optional<stats::Estimate> auc;          // over all candidates, interval over groups
};

struct SelectionOptions {
  double level = 0.95;
  uint64_t seed = 0;
  size_t resamples = 2000;
};

// Error(kData) "no result" with the reasons counted if no group can be used.
SelectionSummary summarise(std::span<const SelectionGroup> groups, const SelectionOptions& options = {});

}  // namespace merit::search
