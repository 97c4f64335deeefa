// Runs rewards side by side over a span of groups.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "merit/reward/reward.h"

namespace merit::reward {

// Answers a request to a model: results in the order of the paths.
using Reader = std::function<std::vector<nn::PathResult>(const Model&, std::span<const nn::PathRequest>)>;

// Reads with nn::read. `stats` (optional) is added to.
Reader model_reader(const nn::ReadOptions& options, nn::ReadStats* stats = nullptr);
// For --dry-run: loads and computes nothing, counts in `stats` the tokens that would be asked and computed, and answers
// with zeros.
Reader counting_reader(nn::ReadStats& stats);

// One table a reward, in order. All that wait on one model at a time are answered by one reading, so that a token that
// several rewards, candidates or groups share is computed once.
std::vector<Table> run(std::span<const std::unique_ptr<Reward>> rewards, std::span<const data::Group> groups,
                       const Reader& reader);

}  // namespace merit::reward
