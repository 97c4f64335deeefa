// What a run needs to go on, as a folder that appears whole or not at all: checkpoints/step-000100 with the parameters
// and both moments (trainer.safetensors), the objective's state (objective.safetensors) and state.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "merit/core/json.h"
#include "merit/objective/objective.h"
#include "merit/train/adamw.h"

namespace merit::train {

struct RunState {
  int64_t step = 0;
  int64_t threads = 0;
  uint64_t metric_bytes = 0;  // of metrics.jsonl
  double best_loss = 0;       // of evaluations
  int64_t evaluations = 0;
  int64_t since_best = 0;
  int64_t evaluated = -1;  // the step of the last one
  OrderedJson window;      // what the next line of metrics.jsonl has gathered so far
};

class Checkpoints {
 public:
  // `identity`: what the run depends on.
  Checkpoints(std::filesystem::path folder, OrderedJson identity, int64_t keep);

  void save(const RunState& state, const AdamW& optimiser, const objective::Loss& loss);
  // The parameters of the best evaluation, in best.safetensors.
  void save_best(std::span<const Parameter> parameters);
  void load_best(std::span<const Parameter> parameters);
  // Loads the last checkpoint. Nothing if there is none. Error(kUsage) naming what differs for a checkpoint of another
  // run or number of threads.
  std::optional<RunState> load(AdamW& optimiser, objective::Loss& loss, int64_t threads);

 private:
  std::filesystem::path folder_;
  OrderedJson identity_;
  int64_t keep_;
};

}  // namespace merit::train
