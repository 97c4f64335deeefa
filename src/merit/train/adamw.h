// AdamW (Loshchilov and Hutter 2019, algorithm 2), with the learning-rate schedules of transformers' Trainer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "merit/nn/tensor_file.h"

namespace merit::train {

struct Parameter {
  std::string name;
  at::Tensor value;  // a leaf that requires a gradient
};

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;  // of matrices; vectors (norms, biases) never decay
};

class AdamW {
 public:
  AdamW(std::vector<Parameter> parameters, const AdamWOptions& options);

  // One step from the parameters' gradients, which are cleared; a parameter without one stays as it is.
  void step(double learning_rate);
  // The norm over all gradients, summed in float64 in the order of the parameters. Error(kNumeric) naming a parameter
  // whose gradient is not finite.
  double gradient_norm() const;
  // Scales the gradients down to `max_norm` if `norm` is above it.
  void clip(double norm, double max_norm);

  const std::vector<Parameter>& parameters() const { return parameters_; }
  int64_t steps() const { return steps_; }
  // Values, both moments and the count of steps.
  nn::NamedTensors save() const;
  // Error(kData) for a tensor that is missing or of another shape.
  void load(const std::map<std::string, at::Tensor>& tensors, const std::string& where);

 private:
  std::vector<Parameter> parameters_;
  AdamWOptions options_;
  std::vector<at::Tensor> first_, second_;
  int64_t steps_ = 0;
};

// "linear" (to 0), "constant", "cosine" (to 0) or "warmup_stable_decay" (flat, then linear to 0 over the last tenth),
// all after a linear warm-up.
struct Schedule {
  std::string kind = "linear";
  double learning_rate = 1e-5;
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;
  // Of step 0, 1, ..: transformers' values to the last bit of the formula.
  double at(int64_t step) const;
};

}  // namespace merit::train
