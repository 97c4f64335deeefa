// Dense products whose rows do not know their neighbours.
//
// The CPU matrix product of libtorch gives a row the same bits for every row count that is a multiple of 16
// (row_invariance.h checks that on the machine at hand), and not for others: it switches kernels for few rows and for
// one column. So all products of a model go through Matrix, with rows padded to the quantum, and scalar outputs are
// row dot products (head.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

namespace merit::nn {

inline constexpr int64_t kRowQuantum = 16;

// The smallest multiple of kRowQuantum that is at least `rows`.
constexpr int64_t padded_rows(int64_t rows) { return (rows + kRowQuantum - 1) / kRowQuantum * kRowQuantum; }

// x with rows of zeros behind, so that their number is a multiple of kRowQuantum; x itself if it already is.
// x [rows, ...] -> [padded_rows(rows), ...]
at::Tensor pad_rows(const at::Tensor& x);

// Whether the processor multiplies bfloat16 itself. Where it does not, libtorch's product is ten times slower than in
// float32, and Matrix multiplies the same values in float32.
bool multiplies_bfloat16();

// Rows of a matrix that stays as a file has it, quantised or in 16 bits, and is widened where it is used. Immutable and
// thread-safe.
class StoredRows {
 public:
  virtual ~StoredRows() = default;
  virtual int64_t rows() const = 0;
  virtual int64_t columns() const = 0;
  // Rows [begin, end) as float32, (end - begin) * columns() values.
  virtual void widen(int64_t begin, int64_t end, float* out) const = 0;
};

// A matrix [out, in] of a model: a tensor in the compute dtype, or stored rows, which take their file's memory and give
// the bits that the widened tensor gives. Immutable and thread-safe.
class Matrix {
 public:
  Matrix() = default;
  // [out, in], out at least 2, float32, bfloat16 or float64. Error(kData) for another shape or dtype.
  explicit Matrix(at::Tensor dense);
  // Computes in `dtype`: kFloat or kBFloat16 (whose values are the stored ones rounded once).
  Matrix(std::shared_ptr<const StoredRows> stored, at::ScalarType dtype);

  bool defined() const { return dense_.defined() || stored_ != nullptr; }
  bool is_stored() const { return stored_ != nullptr; }
  // Whether both are one object in memory, as in a model that ties its embedding and its vocabulary projection.
  bool is_same(const Matrix& other) const { return stored_ == other.stored_ && dense_.is_same(other.dense_); }
  int64_t in_features() const;
  int64_t out_features() const;
  at::ScalarType dtype() const { return dtype_; }

  // x [rows, in] of the compute dtype, rows a multiple of kRowQuantum -> x W^T + bias, [rows, out] in the compute
  // dtype; sums in float32 (float64), rounded once. `bias` [out] of the compute dtype, or undefined.
  at::Tensor multiply(const at::Tensor& x, const at::Tensor& bias = {}) const;
  // The same, the sums left in float32 (float64): for what is reduced next.
  at::Tensor multiply_wide(const at::Tensor& x, const at::Tensor& bias = {}) const;
  // y [rows, out] of the compute dtype -> y W, [rows, in] of it: how a gradient comes back. Sums in float32 (float64).
  at::Tensor multiply_back(const at::Tensor& y) const;
  // The same for y in float32 (float64), the result left there.
  at::Tensor multiply_back_wide(const at::Tensor& y) const;
  // The rows named, [ids, in] in the compute dtype: an embedding's lookup. Ids are inside the matrix.
  at::Tensor gather(const at::Tensor& ids) const;

  // The tensor [out, in]; only if it is not stored.
  const at::Tensor& dense() const;

 private:
  // Calls use(begin, end, panel [end - begin, in] float32) over all rows in turn.
  template <typename Use>
  void each_panel(Use&& use) const;

  at::Tensor dense_;
  std::shared_ptr<const StoredRows> stored_;
  at::ScalarType dtype_ = at::kFloat;
};

// y = x W^T + b in one compute dtype. Immutable and thread-safe.
class Linear {
 public:
  Linear() = default;
  // weight [out, in], out at least 2; bias [out] of the same dtype, or an undefined tensor for none.
  // Error(kData) for other shapes or dtypes.
  explicit Linear(at::Tensor weight, at::Tensor bias = {}) : Linear(Matrix(std::move(weight)), std::move(bias)) {}
  explicit Linear(Matrix weight, at::Tensor bias = {});

  // x [rows, in] of the weight's dtype, rows a multiple of kRowQuantum -> [rows, out]. Anything else is a bug of ours.
  at::Tensor forward(const at::Tensor& x) const { return matrix_.multiply(x, bias_); }

  const Matrix& matrix() const { return matrix_; }
  const at::Tensor& weight() const { return matrix_.dense(); }  // [out, in]; only if it is not stored
  const at::Tensor& bias() const { return bias_; }              // [out] or undefined
  int64_t in_features() const { return matrix_.in_features(); }
  int64_t out_features() const { return matrix_.out_features(); }

 private:
  Matrix matrix_;
  at::Tensor bias_;
};

}  // namespace merit::nn
