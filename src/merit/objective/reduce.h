// From a batch's flat tensors to quantities per item, in float64. The batch has passed check_batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "merit/objective/objective.h"

namespace merit::objective {

// Sums of the rows of each sequence: per_row [T], begin [S + 1] -> [S].
at::Tensor sequence_sums(const at::Tensor& per_row, const std::vector<int64_t>& begin);
// Rows of each sequence: [S] float64 on the CPU.
at::Tensor sequence_lengths(const std::vector<int64_t>& begin);
// D = sum over completion tokens of (ln pi - ln pi_ref) of each sequence: [S].
at::Tensor log_ratios(const Batch& batch);
// source[indices]: [S] -> [indices].
at::Tensor take(const at::Tensor& source, const std::vector<int64_t>& indices);
// [size] with values[i] at indices[i], all distinct, and 0 elsewhere.
at::Tensor scatter(const at::Tensor& values, const std::vector<int64_t>& indices, int64_t size);
// The sequence rewards: the one column of the one row of each sequence: [S]. Error(kData) naming the sequence that has
// another number of rows, or the number of columns.
at::Tensor sequence_rewards(const Batch& batch);
// [items] of 1.
at::Tensor ones(size_t items);

// Adds a mean of `values` under `name`; nothing if there are none.
void add_mean(std::vector<Metric>& metrics, std::string name, const at::Tensor& values);
// Adds TRL's four: rewards/chosen, rewards/rejected, rewards/accuracies (strictly greater), rewards/margins.
void add_rewards(std::vector<Metric>& metrics, const at::Tensor& chosen, const at::Tensor& rejected);

}  // namespace merit::objective
