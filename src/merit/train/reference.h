// Log-probs of the reference: the model as it was before training, or another one. They are computed once, before the
// first step, by the reading engine with everything shared, and kept on disk under the hash of what they depend on.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "merit/reward/model.h"
#include "merit/train/examples.h"

namespace merit::train {

class Reference {
 public:
  // Log-probs of every learned token of the examples. `own`: the model is the policy before its first step. Files of a
  // stopped run in `cache` are read back; `on_examples` is called with the number of examples done since the last call.
  // Error(kInterrupted) after a stop signal.
  Reference(const reward::Model& model, bool own, std::span<const Example> examples, const std::filesystem::path& cache,
            const nn::ReadOptions& options, const std::function<void(size_t)>& on_examples);

  bool own() const { return own_; }
  // [T] float32 for the examples' learned tokens, in the order of structure_of().
  at::Tensor logps(std::span<const Example* const> examples) const;

 private:
  bool own_;
  std::unordered_map<const Example*, std::vector<float>> logps_;
};

}  // namespace merit::train
