// The growing forest of one model: paths with their keys and values. Reading and sampling are both this: queue tokens
// at the end of paths, run, take the hidden states asked for. A path's numbers do not depend, to the bit, on which
// other rows ran beside it, on how it was cut into appends, or on where it was branched: keys lie in pages of 16
// aligned to depth, a row attends to its own path's pages in order, and matrix products see row counts that are
// multiples of 16.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>

#include "merit/nn/transformer.h"

namespace merit::nn {

// Names a path of one ForestState until it is released; reused after.
using PathHandle = int32_t;

class ForestState {
 public:
  // The model must outlive the state. Not thread-safe; states of one model may run in different threads.
  explicit ForestState(const Transformer& model);
  ~ForestState();
  ForestState(const ForestState&) = delete;
  ForestState& operator=(const ForestState&) = delete;

  // A new empty path. `regime` is ModelConfig::rope_regime of the length the path is read as: it holds for the path and
  // all branches of it, whatever their own lengths.
  PathHandle root(int64_t regime = 0);
  // A new path equal to the first `length` tokens of `path` (-1: all of it). Costs no computation; the keys are shared
  // until one of the two grows. Tokens still queued on `path` count.
  PathHandle branch(PathHandle path, int32_t length = -1);
  // Ends a path. Pages no other path holds are reused. May be called while rows of the path are queued: they still run.
  void release(PathHandle path);
  // Tokens on the path, queued ones counted.
  int32_t length(PathHandle path) const;

  // Queues tokens at the end of a path. `wanted` lists, ascending, the offsets into `tokens` whose hidden state run()
  // returns. Error(kData) for an id outside the vocabulary, Error(kLimit) past the model's positions; the queue is then
  // unchanged.
  void append(PathHandle path, std::span<const int32_t> tokens, std::span<const int32_t> wanted);
  // The common step of sampling: one token, its hidden state wanted.
  void append_one(PathHandle path, int32_t token);

  // Computes every queued row in one pass and empties the queue. Returns the wanted hidden states after the final norm,
  // [wanted, hidden] in the compute dtype, in the order of the append calls. Fine to call with an empty queue ([0,
  // hidden]).
  at::Tensor run();

  int64_t queued() const;           // rows waiting for run()
  int64_t tokens_computed() const;  // rows computed so far
  int64_t pages_live() const;       // pages of 16 tokens that paths hold

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace merit::nn
