#include "merit/train/features.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "merit/core/error.h"
#include "merit/core/interrupt.h"
#include "merit/nn/transformer.h"
#include "merit/reward/head.h"
#include "merit/train/kept.h"

namespace merit::train {
namespace {

constexpr size_t kWindow = 64;  // groups whose tokens are shared; bounds memory and what a stop signal loses

// [paths, H]
at::Tensor compute_states(const reward::Model& model, std::span<const nn::PathRequest> paths,
                          const nn::ReadOptions& options, nn::ReadStats* stats) {
  std::vector<at::Tensor> states;
  for (const nn::PathResult& result : model.read(paths, options, stats)) {
    states.push_back(result.hidden);
  }
  return at::cat(states);
}

at::Tensor read_states(const reward::Model& model, std::span<const nn::PathRequest> paths,
                       const FeatureOptions& options, nn::ReadStats* stats) {
  return kept_or_computed(options.cache, model, paths, static_cast<int64_t>(paths.size()) * model.config().hidden_size,
                          [&] { return compute_states(model, paths, options.read, stats); });
}

}  // namespace

Features read_features(const reward::Model& model, std::span<const data::Group> groups, const FeatureOptions& options,
                       nn::ReadStats* stats, const std::function<void(size_t)>& on_groups) {
  Features features;
  std::vector<at::Tensor> states;
  int64_t next = 0;
  for (size_t begin = 0; begin < groups.size(); begin += kWindow) {
    stop_if_interrupted();
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
    if (!paths.empty()) states.push_back(read_states(model, paths, options, stats));
    if (on_groups) on_groups(end - begin);
  }
  features.states = states.empty() ? at::zeros({0, model.config().hidden_size}) : at::cat(states);
  return features;
}

}  // namespace merit::train
