// Attention over a forest with gradients: the training twin of the engine's kernel. A node's rows attend to the keys of
// its ancestors and to earlier ones of its own, a block of rows at a time; of the scores only each row's log-sum-exp is
// kept, and backward computes them again (Dao et al. 2022, section 3.1), so memory is linear in the tokens. A shared
// prefix gathers the gradients of all its paths.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "merit/nn/forest.h"

namespace merit::nn {

struct ForestAttention {
  double scale = 1;
  double softcap = 0;  // above 0: a scaled score s becomes softcap * tanh(s / softcap)
  int64_t window = 0;  // above 0: a row sees this many keys, its own the last
};

// query [tokens, heads, d], key and value [tokens, kv_heads, d], rows as in the forest -> [tokens, heads * d]. float32
// or float64; bfloat16 is computed in float32. Serial over nodes: the same
// input gives the same bits for one number of threads.
at::Tensor forest_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            std::shared_ptr<const Forest> forest, const ForestAttention& options);

}  // namespace merit::nn
