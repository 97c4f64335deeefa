// The trainer: examples, an objective and a policy to parameters that have learned. One loop for every objective.
//
// A step takes `batch_size` examples, splits them into micro-batches of at most `token_budget` tokens, and adds up
// gradients of losses that are normalised over the whole step, so the split changes rounding only. For a batch-coupled
// objective the step's log-probs are computed first, the objective's gradient with respect to them is taken once, and
// the micro-batches are run again with it.
//
// The same data, options, seed and number of threads give the same bits, and a run that was stopped and continued
// equals one that was not: values, moments, order, objective state and metrics.jsonl.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/objective/objective.h"
#include "merit/train/adamw.h"
#include "merit/train/examples.h"
#include "merit/train/policy.h"
#include "merit/train/reference.h"

namespace merit::train {

struct TrainOptions {
  int64_t batch_size = 8;  // examples a step
  double epochs = 1;
  int64_t max_steps = -1;  // above 0: in place of epochs
  double max_grad_norm = 1;
  Schedule schedule;  // total_steps is set by the trainer
  double warmup_ratio = 0;
  AdamWOptions adamw;
  int64_t token_budget = 2048;  // tokens of a micro-batch; an example is never split
  int64_t logging_steps = 10;
  int64_t save_steps = 100;
  int64_t save_total_limit = 2;  // checkpoints kept, the last ones
  int64_t eval_steps = 0;        // 0: at the end only, if there is something to evaluate on
  int64_t patience = 0;          // above 0: stop after this many evaluations without a better loss
  bool load_best = false;        // end with the parameters of the best evaluation
  uint64_t seed = 42;
};

struct TrainReport {
  int64_t steps = 0;         // done, those of earlier runs included
  int64_t resumed_from = 0;  // step of the checkpoint
  int64_t total_steps = 0;
  int64_t tokens = 0;          // unique tokens forward, in this run
  bool stopped = false;        // by a signal: the checkpoint is written, the same command continues
  bool stopped_early = false;  // by patience
  double seconds = 0;          // of steps, in this run
  OrderedJson last;            // the last line of metrics.jsonl
  OrderedJson evaluation;      // the last evaluation
};

// Steps of a whole run over `examples`.
int64_t planned_steps(const TrainOptions& options, size_t examples);

struct TrainHooks {
  std::function<void(int64_t done, int64_t total)> on_begin;  // steps that a checkpoint has, and of the whole run
  std::function<void(int64_t steps)> on_steps;
  std::function<bool()> should_stop;
};

// `out` receives metrics.jsonl and checkpoints/. `identity` is what the run depends on: a checkpoint of another is
// refused. Reference log-probs, if the objective needs them, are in `reference`.
// Error(kNumeric) naming the items of a loss that is not finite, or the tensor whose gradient is not.
TrainReport train(Policy& policy, objective::Loss& loss, std::span<const Example> examples,
                  std::span<const Example> held_out, const Reference* reference, const TrainOptions& options,
                  const OrderedJson& identity, const std::filesystem::path& out, const TrainHooks& hooks);

}  // namespace merit::train
