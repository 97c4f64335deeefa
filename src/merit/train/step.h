// One optimiser step's gradients, or one evaluation, over micro-batches.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/objective/objective.h"
#include "merit/train/policy.h"
#include "merit/train/reference.h"

namespace merit::train {

// Metrics of the objective, added up.
class MetricSums {
 public:
  void add(const std::vector<objective::Metric>& metrics);
  void add(const MetricSums& other);
  void write(OrderedJson& line, const std::string& prefix) const;
  // Back and forth without loss, for checkpoints.
  OrderedJson to_json() const;
  static MetricSums from_json(const OrderedJson& json);

 private:
  void add(const objective::Metric& metric);

  std::map<std::string, objective::Metric> sums_;
};

struct StepResult {
  double loss = 0;
  int64_t tokens = 0;
  MetricSums metrics;
};

class Stepper {
 public:
  Stepper(const Policy& policy, objective::Loss& loss, const Reference* reference, int64_t token_budget)
      : policy_(policy), loss_(loss), reference_(reference), token_budget_(token_budget) {}

  // Adds the gradients of the step's loss to the parameters. The objective's state moves. `at_start`: nothing has been
  // learned yet, so a policy that is its own reference equals it to the bit.
  StepResult learn(std::span<const Example* const> examples, bool at_start);
  // The loss alone; the objective's state stays.
  StepResult evaluate(std::span<const Example* const> examples) const;

 private:
  using Micro = std::vector<const Example*>;

  std::vector<Micro> split(std::span<const Example* const> examples) const;
  // The policy's tensors. One example of more tokens than the budget is run with its layers recomputed in backward.
  objective::Batch run(std::span<const Example* const> part) const;
  objective::Batch forward(std::span<const Example* const> examples, bool at_start) const;
  at::Tensor reference_of(const objective::Batch& batch, std::span<const Example* const> examples, bool at_start) const;
  // sum of losses * weight / total over terms; checks that it is finite.
  at::Tensor value(const objective::Result& result, const std::vector<double>& totals,
                   std::span<const Example* const> examples) const;
  std::vector<double> totals(std::span<const Micro> parts) const;
  StepResult part_by_part(std::span<const Micro> parts, bool learn, bool at_start) const;
  StepResult coupled(std::span<const Micro> parts, std::span<const Example* const> examples, bool learn,
                     bool at_start) const;
  // The whole step's tensors without gradients.
  objective::Batch gather(std::span<const Micro> parts, std::span<const Example* const> examples, bool at_start) const;

  const Policy& policy_;
  objective::Loss& loss_;
  const Reference* reference_;
  int64_t token_budget_;
};

}  // namespace merit::train
