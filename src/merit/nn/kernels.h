// The rowwise operations of a transformer, and attention, as plain loops over memory, compiled for several instruction
// sets and chosen at run time. What one row becomes is a fixed sequence of operations that depends on nothing but the
// row, so its bits do not depend on which rows stand beside it or on the threads the rows are shared among.
// All are serial and thread-safe; callers share rows out. Arithmetic is float32 for float32 and bfloat16 elements,
// float64 for float64.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

#include "merit/nn/activation.h"

namespace merit::nn {

inline constexpr int32_t kPageTokens = 16;  // tokens a page of keys and values holds, and keys attention takes at once

// How the keys and values of one layer lie in a page, at the layer's offset in bytes: keys [kv_heads, head_dim, 16] (a
// block of 16 keys transposed, so that 16 dot products run side by side), then values [kv_heads, 16, value_stride].
struct PageShape {
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t value_stride = 0;  // head_dim rounded up to 16
  int64_t key_elements() const { return kv_heads * head_dim * kPageTokens; }
  int64_t elements() const { return key_elements() + kv_heads * kPageTokens * value_stride; }
};

// Queries of consecutive depths on one path.
struct AttentionRun {
  int64_t row = 0;               // of the first query
  int32_t rows = 0;              // at most kPageTokens
  int32_t depth = 0;             // of the first query; it sees keys up to its own depth
  void* const* pages = nullptr;  // the path's pages from depth 0
};

struct AttentionArgs {
  const void* query = nullptr;  // [rows, query_stride], heads * head_dim used
  int64_t query_stride = 0;
  void* out = nullptr;  // [rows, heads * head_dim]
  int64_t heads = 0;
  PageShape shape;
  int64_t layer_offset = 0;
  double scale = 1;    // of a dot product of query and key
  double softcap = 0;  // above 0: a scaled score s becomes softcap * tanh(s / softcap)
  int32_t window = 0;  // above 0: a query sees this many keys, its own the last; 0: all from depth 0
};

struct RowPlace {
  int32_t depth = 0;
  void* page = nullptr;  // of that depth
};

struct RopeArgs {
  void* qkv = nullptr;  // [rows, (heads + 2 * kv_heads) * head_dim]
  int64_t heads = 0;
  PageShape shape;
  int64_t layer_offset = 0;
  const RowPlace* places = nullptr;     // [rows]
  const void* const* angles = nullptr;  // [rows]: `pairs` cosines, then as many sines; float (double for float64)
  int64_t pairs = 0;                    // elements i and i + pairs of a head turn together; those behind stay
};

// Rows of `groups` pieces of `columns` elements, each piece normalised by itself.
struct NormArgs {
  void* x = nullptr;             // [rows, stride]
  const void* delta = nullptr;   // [rows, stride] or null: added to x first, and x keeps the sum
  const void* weight = nullptr;  // [columns], float (double for float64), as is bias; null: nothing but the addition
  const void* bias = nullptr;    // [columns] or null
  void* out = nullptr;           // [rows, stride]; may be x
  int64_t stride = 0;
  int64_t groups = 1;
  int64_t columns = 0;
  double eps = 0;
  bool centred = false;  // LayerNorm: the mean is taken out first. Otherwise RMSNorm
};

struct ActivationArgs {
  const void* in = nullptr;  // [rows, columns], or [rows, 2 * columns] if gated: the gate, then what it gates
  void* out = nullptr;       // [rows, columns]
  int64_t columns = 0;
  Activation kind = Activation::kSilu;
  bool gated = true;
};

struct KernelTable {
  // x += delta, then out = x / sqrt(mean(x^2) + eps) * weight + bias, for rows [begin, end).
  void (*norm)(const NormArgs& args, int64_t begin, int64_t end);
  // out = f(in), or f(gate) * up.
  void (*activate)(const ActivationArgs& args, int64_t begin, int64_t end);
  // Rotates the queries in place and the keys into their pages, and copies the values into theirs.
  void (*rope)(const RopeArgs& args, int64_t begin, int64_t end);
  // Softmax attention of one run's queries for one key-value head, an online softmax over blocks of 16 keys.
  void (*attention)(const AttentionArgs& args, const AttentionRun& run, int64_t kv_head);
};

// For kFloat, kBFloat16 or kDouble, the best this processor runs.
const KernelTable& kernels(at::ScalarType dtype);

}  // namespace merit::nn
