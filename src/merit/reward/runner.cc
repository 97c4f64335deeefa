#include "merit/reward/runner.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <iterator>

#include "merit/core/error.h"
#include "merit/nn/forest.h"

namespace merit::reward {
namespace {

// Answers every computation that waits on the same model as the first that waits.
void answer_one_model(std::vector<Computation>& computations, const Reader& reader) {
  const auto waits = [](const Computation& c) { return !c.done(); };
  const Model* model = &std::find_if(computations.begin(), computations.end(), waits)->pending().model;
  std::vector<Computation*> asking;
  std::vector<nn::PathRequest> paths;
  for (Computation& computation : computations) {
    if (computation.done() || &computation.pending().model != model) continue;
    asking.push_back(&computation);
    paths.insert(paths.end(), computation.pending().paths.begin(), computation.pending().paths.end());
  }
  std::vector<nn::PathResult> results = reader(*model, paths);
  auto next = std::make_move_iterator(results.begin());
  for (Computation* computation : asking) {
    const auto count = static_cast<std::ptrdiff_t>(computation->pending().paths.size());
    computation->answer(std::vector<nn::PathResult>(next, next + count));
    next += count;
    computation->resume();
  }
}

}  // namespace

Reader model_reader(const nn::ReadOptions& options, nn::ReadStats* stats) {
  return [options, stats](const Model& model, std::span<const nn::PathRequest> paths) {
    return model.read(paths, options, stats);
  };
}

Reader counting_reader(nn::ReadStats& stats) {
  return [&stats](const Model& model, std::span<const nn::PathRequest> paths) {
    nn::ForestBuilder forest;
    std::vector<nn::PathResult> zeros;
    for (const nn::PathRequest& path : paths) {
      forest.add(path.ids, {}, model.config().rope_regime(static_cast<int64_t>(path.ids.size())));
      stats.tokens_asked += static_cast<int64_t>(path.ids.size());
      nn::PathResult& result = zeros.emplace_back();
      if (path.logps_from >= 0) result.logps.resize(path.ids.size() - static_cast<size_t>(path.logps_from));
      const auto positions = static_cast<int64_t>(path.hidden_at.size());
      if (positions > 0) result.hidden = at::zeros({positions, model.config().hidden_size});
    }
    stats.tokens_computed += static_cast<int64_t>(forest.build().tokens.size());
    return zeros;
  };
}

std::vector<Table> run(std::span<const std::unique_ptr<Reward>> rewards, std::span<const data::Group> groups,
                       const Reader& reader) {
  std::vector<Computation> computations;
  for (const auto& reward : rewards) {
    computations.push_back(reward->score(groups));
    computations.back().resume();
  }
  while (std::any_of(computations.begin(), computations.end(), [](const Computation& c) { return !c.done(); })) {
    answer_one_model(computations, reader);
  }
  std::vector<Table> tables;
  for (Computation& computation : computations) {
    tables.push_back(computation.take_table());
    const Table& table = tables.back();
    MERIT_CHECK(table.cells.size() == groups.size());
    for (size_t g = 0; g < groups.size(); ++g) MERIT_CHECK(table.cells[g].size() == groups[g].candidates.size());
  }
  return tables;
}

}  // namespace merit::reward
