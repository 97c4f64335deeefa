#include "merit/train/pairs.h"

#include "merit/core/error.h"

namespace merit::train {

std::vector<Pair> pairs_of(std::span<const data::Group> groups, const std::vector<std::vector<int64_t>>& text_of) {
  // Pairs of one group grow with the square of its size; more than this says the data is not groups.
  constexpr size_t kMaxPairs = 1'000'000;
  std::vector<Pair> pairs;
  for (size_t g = 0; g < groups.size(); ++g) {
    const auto& candidates = groups[g].candidates;
    const size_t before = pairs.size();
    for (size_t a = 0; a < candidates.size(); ++a) {
      for (size_t b = 0; b < candidates.size(); ++b) {
        if (text_of[g][a] < 0 || text_of[g][b] < 0 || !candidates[a].label || !candidates[b].label) continue;
        if (!(*candidates[a].label > *candidates[b].label)) continue;
        pairs.push_back({static_cast<size_t>(text_of[g][a]), static_cast<size_t>(text_of[g][b]), g});
      }
    }
    if (pairs.size() - before > kMaxPairs) {
      fail(ErrorKind::kLimit, "{}: more than {} preference pairs in one group of {} candidates; split the group",
           groups[g].where, kMaxPairs, candidates.size());
    }
  }
  return pairs;
}

}  // namespace merit::train
