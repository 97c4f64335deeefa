// The start-up self-test of the promise that a path's result is the same bits whatever its neighbours.
//
// It rests on one property of the machine's matrix products (linear.h). Libraries choose kernels by processor, shape
// and thread count, so the property is checked where the model is about to run, with the model's own shapes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>

namespace merit::nn {

struct ProductShape {
  int64_t in = 0;
  int64_t out = 0;
};

// Multiplies pseudo-random rows by a pseudo-random weight of each shape, in batches of 16, 48, 64 and 128 rows at
// different places, and compares the bits of each row. Equal shapes are checked once. Costs milliseconds for models up
// to a few hundred million parameters.
// Error(kNumeric) that names the shape, the row counts, the largest difference and what to do, if any bit differs.
void check_row_invariance(at::ScalarType dtype, std::span<const ProductShape> shapes);

// The same for another product of x [rows, in] and weight [out, in], so that tests can show that a fault is found.
using Product = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& weight)>;
void check_row_invariance(at::ScalarType dtype, std::span<const ProductShape> shapes, const Product& product);

}  // namespace merit::nn
