// Reading: paths in, hidden states and log-probabilities out. Paths of one call that share a prefix share its
// computation; the result of a path is the same to the bit as if it were read alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "merit/nn/transformer.h"

namespace merit::nn {

struct PathRequest {
  std::vector<int32_t> ids;
  int32_t logps_from = -1;         // first token whose log-probability is wanted, at least 1; -1: none
  std::vector<int32_t> hidden_at;  // positions (0-based) whose hidden state is wanted, in any order
  int32_t second_from = -1;        // encoders: the first token of the second text of a pair; -1: one text
};

struct PathResult {
  std::vector<float> logps;  // ln p(ids[t] | ids[0..t)) for t = logps_from .. ids.size() - 1
  at::Tensor hidden;         // [hidden_at.size(), hidden] float32, after the final norm; undefined where none was asked
};

struct ReadOptions {
  int64_t token_budget = 2048;  // rows computed in one pass; changes speed and memory, never a result
};

struct ReadStats {
  int64_t tokens_asked = 0;     // the sum of the paths' lengths
  int64_t tokens_computed = 0;  // rows the model ran: each shared token once
};

// Results in the order of the requests. Error(kData) naming the request's index for an empty path, an id outside the
// vocabulary, a position outside the path, or a path longer than the model's positions; Error(kInterrupted)
// between passes after a stop signal. `stats`, if given, is added to.
std::vector<PathResult> read(const Transformer& model, std::span<const PathRequest> requests,
                             const ReadOptions& options = {}, ReadStats* stats = nullptr);

}  // namespace merit::nn
