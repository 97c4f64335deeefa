#include "merit/train/features.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "merit/core/error.h"
#include "merit/core/interrupt.h"
#include "merit/nn/transformer.h"
#include "merit/reward/head.h"

namespace merit::train {
namespace {

constexpr size_t kWindow = 64;  // groups whose tokens are shared; bounds memory

}  // namespace

Features read_features(const reward::Model& model, std::span<const data::Group> groups, const nn::ReadOptions& options,
                       nn::ReadStats* stats, const std::function<void(size_t)>& on_groups) {
  Features features;
  std::vector<at::Tensor> states;
  int64_t next = 0;
  for (size_t begin = 0; begin < groups.size(); begin += kWindow) {
    if (interrupted())
      fail(ErrorKind::kInterrupted, "interrupted while reading features: nothing is kept, run it again");
    const size_t end = std::min(begin + kWindow, groups.size());
    std::vector<nn::PathRequest> paths;
    for (size_t g = begin; g < end; ++g) {
      std::vector<int64_t>& index = features.index_of.emplace_back(groups[g].candidates.size(), -1);
      for (size_t c = 0; c < groups[g].candidates.size(); ++c) {
        const data::Candidate& candidate = groups[g].candidates[c];
        if (!candidate.label) {
          ++features.left_out["no label"];
          continue;
        }
        const auto encoded = model.encode(groups[g], candidate);
        if (!encoded.ok()) {
          ++features.left_out[encoded.error().what()];
          continue;
        }
        features.truncated += encoded.value().truncated;
        paths.push_back(reward::last_hidden_request(encoded.value()));
        index[c] = next++;
      }
    }
    for (const nn::PathResult& result : nn::read(model.transformer(), paths, options, stats)) {
      states.push_back(result.hidden);
    }
    if (on_groups) on_groups(end - begin);
  }
  features.states = states.empty() ? at::zeros({0, model.config().hidden_size}) : at::cat(states);
  return features;
}

}  // namespace merit::train
