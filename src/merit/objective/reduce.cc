#include "merit/objective/reduce.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include "merit/core/error.h"

namespace merit::objective {
namespace {

at::Tensor index_tensor(const std::vector<int64_t>& indices, const at::Device& device) {
  const auto size = static_cast<int64_t>(indices.size());
  return at::from_blob(const_cast<int64_t*>(indices.data()), {size}, at::kLong).clone().to(device);
}

}  // namespace

at::Tensor sequence_sums(const at::Tensor& per_row, const std::vector<int64_t>& begin) {
  std::vector<int64_t> sequence_of;
  sequence_of.reserve(static_cast<size_t>(per_row.size(0)));
  for (size_t s = 0; s + 1 < begin.size(); ++s) {
    sequence_of.insert(sequence_of.end(), static_cast<size_t>(begin[s + 1] - begin[s]), static_cast<int64_t>(s));
  }
  const at::Tensor sums = at::zeros({static_cast<int64_t>(begin.size()) - 1}, per_row.options().dtype(at::kDouble));
  return at::index_add(sums, 0, index_tensor(sequence_of, per_row.device()), per_row.to(at::kDouble));
}

at::Tensor sequence_lengths(const std::vector<int64_t>& begin) {
  at::Tensor lengths = at::zeros({static_cast<int64_t>(begin.size()) - 1}, at::kDouble);
  double* length = lengths.mutable_data_ptr<double>();
  for (size_t s = 0; s + 1 < begin.size(); ++s) length[s] = static_cast<double>(begin[s + 1] - begin[s]);
  return lengths;
}

at::Tensor log_ratios(const Batch& batch) {
  return sequence_sums(batch.logps, batch.token_begin) - sequence_sums(batch.ref_logps.detach(), batch.token_begin);
}

at::Tensor take(const at::Tensor& source, const std::vector<int64_t>& indices) {
  return at::index_select(source, 0, index_tensor(indices, source.device()));
}

at::Tensor scatter(const at::Tensor& values, const std::vector<int64_t>& indices, int64_t size) {
  return at::index_add(at::zeros({size}, values.options()), 0, index_tensor(indices, values.device()), values);
}

at::Tensor sequence_rewards(const Batch& batch) {
  if (batch.values.size(1) != 1) {
    fail(ErrorKind::kData, "batch: values: expected one reward a sequence, got {} columns", batch.values.size(1));
  }
  for (size_t s = 0; s + 1 < batch.value_begin.size(); ++s) {
    const int64_t rows = batch.value_begin[s + 1] - batch.value_begin[s];
    if (rows != 1) fail(ErrorKind::kData, "batch: sequence {}: expected one reward, got {} rows of values", s, rows);
  }
  return batch.values.to(at::kDouble).select(1, 0);
}

at::Tensor ones(size_t items) { return at::ones({static_cast<int64_t>(items)}, at::kDouble); }

void add_mean(std::vector<Metric>& metrics, std::string name, const at::Tensor& values) {
  if (values.numel() == 0) return;
  metrics.push_back({std::move(name), at::sum(values.detach(), at::kDouble).item<double>(),
                     static_cast<double>(values.numel()), Metric::Merge::kMean});
}

void add_rewards(std::vector<Metric>& metrics, const at::Tensor& chosen, const at::Tensor& rejected) {
  add_mean(metrics, "rewards/chosen", chosen);
  add_mean(metrics, "rewards/rejected", rejected);
  add_mean(metrics, "rewards/accuracies", at::gt(chosen, rejected));
  add_mean(metrics, "rewards/margins", chosen - rejected);
}

}  // namespace merit::objective
