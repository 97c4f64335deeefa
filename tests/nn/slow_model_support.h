// Random small models, and the simple slow model they are checked against: one sequence at a time, plain loops in
// float64, nothing shared with the code under test but the configuration and the weights' values.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "merit/core/rng.h"
#include "merit/nn/forest.h"
#include "merit/nn/transformer.h"

namespace merit::nn::testing {

// hidden 24, 3 layers, 6 heads of 8 over 2 key-value heads, feed-forward 40, vocabulary 50.
ModelConfig small_config();
// The same with every feature of the record, a few at a time.
struct NamedConfig {
  const char* name;
  ModelConfig config;
};
std::vector<NamedConfig> all_shapes();
// Normal values of such a size that activations stay near 1. The values of one seed are the same in every dtype, up
// to its rounding.
Weights random_weights(const ModelConfig& config, uint64_t seed, at::ScalarType dtype);

// Hidden states after the final norm, [ids.size()][hidden].
std::vector<std::vector<double>> slow_hidden(const ModelConfig& config, const Weights& weights,
                                             const std::vector<int32_t>& ids);
// ln p(ids[t] | ids[0..t)) for t >= 1.
std::vector<double> slow_logps(const ModelConfig& config, const Weights& weights,
                               const std::vector<std::vector<double>>& hidden, const std::vector<int32_t>& ids);

// The paths of a random tree: depth to 6 nodes, up to 8 branches, nodes of one token and long ones, roots that share
// nothing, paths that end inside the tree, and repeats.
std::vector<std::vector<int32_t>> random_tree(Rng& rng, int64_t vocab, size_t most_paths);
// A few random places at which a path's nodes are cut.
std::vector<int32_t> random_cuts(Rng& rng, size_t length);

// Runs a forest through ForestState node by node with at most `budget` rows a pass: hidden states of all unique
// tokens, [tokens, hidden].
at::Tensor grow(const Transformer& model, const Forest& forest, int64_t budget);
// The rows of a path in such a tensor, [length, hidden].
at::Tensor rows_of(const at::Tensor& hidden, const Forest& forest, int32_t path);

}  // namespace merit::nn::testing
