// What a score head reads of each labelled response: the model's hidden state at its last token.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "merit/data/group.h"
#include "merit/nn/read.h"
#include "merit/reward/model.h"

namespace merit::train {

struct Features {
  at::Tensor states;                           // [texts, H] float32
  std::vector<std::vector<int64_t>> index_of;  // [groups][candidates]: row of `states`, or -1 if left out
  std::map<std::string, uint64_t> left_out;    // reason -> candidates
  uint64_t truncated = 0;
};

struct FeatureOptions {
  nn::ReadOptions read;
  // Where states are kept as they come, one safetensors file for every 64 groups, named by the hash of what it depends
  // on (model, dtype, token ids): a stopped run reads them back. Empty: nothing is kept.
  std::filesystem::path cache;
};

// Candidates without a label, empty ones and those that cannot be encoded are left out and counted. `on_groups` is
// called with the number of groups done since the last call. Error(kInterrupted) when a stop signal came.
Features read_features(const reward::Model& model, std::span<const data::Group> groups, const FeatureOptions& options,
                       nn::ReadStats* stats, const std::function<void(size_t)>& on_groups = {});

}  // namespace merit::train
