// Dense products whose rows do not know their neighbours.
//
// The CPU matrix product of libtorch gives a row the same bits for every row count that is a multiple of 16
// (row_invariance.h checks that on the machine at hand), and not for others: it switches kernels for few rows and for
// one column. So all products of a model go through Linear, with rows padded to the quantum, and scalar outputs are
// row dot products (head.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace merit::nn {

inline constexpr int64_t kRowQuantum = 16;

// The smallest multiple of kRowQuantum that is at least `rows`.
constexpr int64_t padded_rows(int64_t rows) { return (rows + kRowQuantum - 1) / kRowQuantum * kRowQuantum; }

// x with rows of zeros behind, so that their number is a multiple of kRowQuantum; x itself if it already is.
// x [rows, ...] -> [padded_rows(rows), ...]
at::Tensor pad_rows(const at::Tensor& x);

// y = x W^T + b in one compute dtype: float32, bfloat16 or float64. Immutable and thread-safe.
class Linear {
 public:
  Linear() = default;
  // weight [out, in], out at least 2; bias [out] of the same dtype, or an undefined tensor for none.
  // Error(kData) for other shapes or dtypes.
  explicit Linear(at::Tensor weight, at::Tensor bias = {});

  // x [rows, in] of the weight's dtype, rows a multiple of kRowQuantum -> [rows, out]. Anything else is a bug of ours.
  at::Tensor forward(const at::Tensor& x) const;

  const at::Tensor& weight() const { return weight_; }  // [out, in]
  const at::Tensor& bias() const { return bias_; }      // [out] or undefined
  int64_t in_features() const { return weight_.size(1); }
  int64_t out_features() const { return weight_.size(0); }

 private:
  at::Tensor weight_;
  at::Tensor bias_;
};

}  // namespace merit::nn
