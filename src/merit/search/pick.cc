#include "merit/search/pick.h"

#include <cmath>
#include <unordered_map>
#include <vector>

#include "merit/core/error.h"

namespace merit::search {
namespace {

struct Answer {
  size_t first = 0;  // the candidate that gave it first
  double weight = 0;
};

// The heaviest answer, the one seen first among equals.
template <typename Weight>
std::optional<Pick> vote(std::span<const std::string> keys, Weight weight) {
  std::unordered_map<std::string_view, size_t> place;
  std::vector<Answer> answers;  // in the order seen
  size_t missing = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    std::optional<double> w = keys[i].empty() ? std::nullopt : weight(i);
    if (!w) {
      ++missing;
      continue;
    }
    auto [it, fresh] = place.try_emplace(keys[i], answers.size());
    if (fresh) answers.push_back({i, 0});
    answers[it->second].weight += *w;
  }
  if (answers.empty()) return std::nullopt;
  Pick pick{answers[0].first, answers[0].weight, 1, missing};
  for (size_t a = 1; a < answers.size(); ++a) {
    if (answers[a].weight > pick.weight) {
      pick = {answers[a].first, answers[a].weight, 1, missing};
    } else if (answers[a].weight == pick.weight) {
      ++pick.tied;
    }
  }
  return pick;
}

}  // namespace

std::optional<Pick> best_of_n(std::span<const double> scores) {
  std::optional<Pick> pick;
  size_t missing = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) {
      ++missing;
    } else if (!pick || scores[i] > pick->weight) {
      pick = Pick{i, scores[i], 1, 0};
    } else if (scores[i] == pick->weight) {
      ++pick->tied;
    }
  }
  if (pick) pick->missing = missing;
  return pick;
}

std::optional<Pick> majority_vote(std::span<const std::string> keys) {
  return vote(keys, [](size_t) { return std::optional<double>(1.0); });
}

std::optional<Pick> weighted_majority(std::span<const std::string> keys, std::span<const double> weights) {
  if (keys.size() != weights.size()) {
    fail(ErrorKind::kData, "weighted majority: expected a weight an answer, got {} answers and {} weights", keys.size(),
         weights.size());
  }
  return vote(keys, [&](size_t i) -> std::optional<double> {
    if (std::isnan(weights[i])) return std::nullopt;
    if (!(weights[i] >= 0) || std::isinf(weights[i])) {
      fail(ErrorKind::kData,
           "weighted majority: candidate {}: expected a finite weight of 0 or more, got {}; turn log-odds into "
           "probabilities first",
           i, weights[i]);
    }
    return weights[i];
  });
}

}  // namespace merit::search
