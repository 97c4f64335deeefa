#include "merit/reward/path_reward.h"

#include "merit/core/error.h"

namespace merit::reward {
namespace {

struct Slot {
  size_t group;
  size_t candidate;
  text::Encoded encoded;
};

}  // namespace

Computation PathReward::score(std::span<const data::Group> groups) const {
  Table table{name_, std::vector<std::vector<Cell>>(groups.size())};
  std::vector<Slot> slots;
  std::vector<nn::PathRequest> paths;
  for (size_t g = 0; g < groups.size(); ++g) {
    table.cells[g].resize(groups[g].candidates.size());
    for (size_t c = 0; c < groups[g].candidates.size(); ++c) {
      const data::Candidate& candidate = groups[g].candidates[c];
      if (is_empty(candidate.content)) {
        table.cells[g][c] = abstain(Cause::kResponse, "the response is empty");
        continue;
      }
      auto encoded = model_->encode(groups[g], candidate);
      if (!encoded.ok()) {
        table.cells[g][c] = abstain(Cause::kItem, encoded.error().what());
        continue;
      }
      paths.push_back(request(encoded.value()));
      slots.push_back({g, c, std::move(encoded).value()});
    }
  }
  Read read{*model_, std::move(paths)};
  const std::vector<nn::PathResult> results = co_await std::move(read);
  MERIT_CHECK(results.size() == slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    Cell& cell_of_slot = table.cells[slots[i].group][slots[i].candidate];
    cell_of_slot = cell(slots[i].encoded, results[i]);
    cell_of_slot.truncated = slots[i].encoded.truncated;
  }
  co_return table;
}

}  // namespace merit::reward
