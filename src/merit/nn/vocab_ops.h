// The chunked operator over the vocabulary: hidden states in, per-position quantities out, without ever holding a
// [tokens, vocabulary] tensor.
//
// With z the logits of a position (VocabProjection), m = max z, lse = m + log sum exp(z - m) and p = exp(z - lse):
//   logp    = z_target - lse
//   entropy = -sum p log p            (nats)
//   sumsq   = sum p^2                 (the WPO weight of PEERS.md 1.3 is built from it)
// Numbers: products in the hidden states' dtype; for bfloat16 the operands are bfloat16 values multiplied and added in
// float32 with a float32 result (a bfloat16 value is exact in float32). Sums over the vocabulary are float64 in a
// fixed order, so a row's bits do not depend on its neighbours or on chunk sizes. float64 stays float64 throughout.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <utility>

#include "merit/nn/linear.h"

namespace merit::nn {

// What turns hidden states into logits: z = h W^T, times `scale`, and with a soft cap c of above 0 then c tanh(z / c)
// (Gemma 2). A bare matrix is a projection without either.
struct VocabProjection {
  VocabProjection(Matrix weight, double scale = 1, double softcap = 0)  // NOLINT: a matrix is one
      : weight(std::move(weight)), scale(scale), softcap(softcap) {}
  VocabProjection(at::Tensor weight, double scale = 1, double softcap = 0)  // NOLINT
      : VocabProjection(Matrix(std::move(weight)), scale, softcap) {}
  Matrix weight;  // [V, H]
  double scale;
  double softcap;
};

// One quantity per position: float32, or float64 if the hidden states are.
struct VocabQuantities {
  at::Tensor logp;     // [n]; of targets[i], or 0 where targets[i] is -1
  at::Tensor entropy;  // [n]
  at::Tensor sumsq;    // [n]
  at::Tensor argmax;   // [n] int64; the lowest id among equal maxima
};

// hidden [n, H], projection [V, H] of the same dtype, targets [n] int64 with values -1 .. V-1 (-1: no target).
// No gradients. Rows are padded inside. n = 0 gives empty tensors. Error(kData) for a target outside the vocabulary,
// Error(kNumeric) if a row's logits hold a NaN or +infinity or are all -infinity, naming the row. Thread-safe.
VocabQuantities vocab_quantities(const at::Tensor& hidden, const VocabProjection& projection,
                                 const at::Tensor& targets);

// The same with gradients to hidden and projection for logp, entropy and sumsq (argmax has none): backward recomputes
// the logits chunk by chunk, so memory stays that of one chunk. No double backward.
VocabQuantities vocab_quantities_with_grad(const at::Tensor& hidden, const VocabProjection& projection,
                                           const at::Tensor& targets);

// Whole rows of logits, for sampling: hidden [n, H] -> [n, V] float32 (float64 for float64). The caller keeps n small.
// The bits are those that vocab_quantities reduces.
at::Tensor vocab_logits(const at::Tensor& hidden, const VocabProjection& projection);

// The reductions of one row, in the order that every caller shares.
struct RowSoftmax {
  double max = 0;
  double log_sum_exp = 0;  // of the row, max included
  double entropy = 0;
  double sumsq = 0;
  int64_t argmax = 0;
};
// Error(kNumeric) as above, without the row's number.
RowSoftmax row_softmax(std::span<const float> logits);
RowSoftmax row_softmax(std::span<const double> logits);
// The log-prob of token `id`: what both vocab_quantities and the sampler report.
template <typename T>
T row_logp(std::span<const T> logits, const RowSoftmax& row, int64_t id) {
  return static_cast<T>(static_cast<double>(logits[static_cast<size_t>(id)]) - row.log_sum_exp);
}

}  // namespace merit::nn
