// Picking one of a group's candidates from scores or from answers. Pure functions; indices are into the group.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace merit::search {

struct Pick {
  size_t index = 0;    // the candidate picked
  double weight = 0;   // its score, or the votes (weight) of its answer
  size_t tied = 1;     // candidates (best_of_n) or answers (votes) that share the top; 1 = no tie
  size_t missing = 0;  // candidates that could not be picked: no score, or no answer
};

// The candidate with the highest score; among equals the lowest index. A score that is NaN is an abstention: never
// picked, counted. +-infinity are ordinary scores. nullopt if no candidate has a score.
std::optional<Pick> best_of_n(std::span<const double> scores);

// The answer most candidates gave. `keys` are normalised answers, "" is no answer and has no vote. Among answers with
// equal votes the one seen first wins; `index` is the first candidate that gave it. nullopt if there is no answer.
std::optional<Pick> majority_vote(std::span<const std::string> keys);

// The same with a weight a candidate. Weights must be >= 0 and finite, else Error(kData): turn log-odds into
// probabilities first. A NaN weight is an abstention: no vote, counted. Error(kData) if the lengths differ.
std::optional<Pick> weighted_majority(std::span<const std::string> keys, std::span<const double> weights);

}  // namespace merit::search
