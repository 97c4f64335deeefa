// Seeded normal values for tests.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <vector>

#include "merit/core/rng.h"

namespace merit::nn {

inline at::Tensor random_tensor(std::vector<int64_t> shape, uint64_t seed, double scale = 1.0,
                                at::ScalarType dtype = at::kDouble) {
  at::Tensor out = at::empty(shape, at::kDouble);
  Rng rng(seed);
  double* values = out.data_ptr<double>();
  for (int64_t i = 0; i < out.numel(); ++i) values[i] = scale * rng.normal();
  return out.to(dtype);
}

}  // namespace merit::nn
