// Cosines and sines of positions: one table a rotary setting and regime, grown as positions come.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <vector>

#include "merit/nn/config.h"

namespace merit::nn {

// [positions, dim]: dim / 2 cosines, then as many sines, times the attention factor. The angle is the float32 product
// of position and frequency, as the models were trained with; in float64 it is exact, for checks.
at::Tensor angle_table(const Rope& rope, int64_t regime, int64_t positions, at::ScalarType dtype);

// Not thread-safe.
class RopeAngles {
 public:
  RopeAngles(const Rope& rope, int64_t max_positions, at::ScalarType compute_dtype);

  int64_t pairs() const { return rope_.dim / 2; }
  // The row of a position; it lives until a later call of begin().
  const void* at(int64_t regime, int64_t position);
  // A new pass: tables of regimes that came by the dozen are let go.
  void begin();

 private:
  const Rope& rope_;
  int64_t max_positions_;
  at::ScalarType dtype_;
  std::map<int64_t, at::Tensor> tables_;
  std::vector<at::Tensor> outgrown_;  // in this pass
};

}  // namespace merit::nn
