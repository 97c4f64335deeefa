#include "tests/objective/objective_support.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/max.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

namespace merit::objective::testing {
namespace {

at::Tensor flat(const std::vector<std::vector<double>>& rows) {
  std::vector<double> values;
  for (const auto& row : rows) values.insert(values.end(), row.begin(), row.end());
  return vec(values);
}

// The rows of the sequences, and their new bounds.
std::vector<int64_t> rows_of(const std::vector<int64_t>& begin, const std::vector<int64_t>& sequences,
                             std::vector<int64_t>& new_begin) {
  std::vector<int64_t> rows;
  if (begin.empty()) return rows;
  new_begin = {0};
  for (const int64_t s : sequences) {
    for (int64_t row = begin[static_cast<size_t>(s)]; row < begin[static_cast<size_t>(s) + 1]; ++row)
      rows.push_back(row);
    new_begin.push_back(static_cast<int64_t>(rows.size()));
  }
  return rows;
}

}  // namespace

Batch part_of(const Batch& batch, const std::vector<int64_t>& sequences) {
  Batch part;
  const auto pick = [](at::Tensor& to, const at::Tensor& from, const std::vector<int64_t>& rows) {
    if (from.defined()) to = at::index_select(from, 0, at::tensor(rows, at::kLong));
  };
  const std::vector<int64_t> tokens = rows_of(batch.token_begin, sequences, part.token_begin);
  for (at::Tensor Batch::*field : {&Batch::logps, &Batch::ref_logps, &Batch::sumsq, &Batch::divergence}) {
    pick(part.*field, batch.*field, tokens);
  }
  pick(part.prompt_logps, batch.prompt_logps, rows_of(batch.prompt_begin, sequences, part.prompt_begin));
  const std::vector<int64_t> values = rows_of(batch.value_begin, sequences, part.value_begin);
  pick(part.values, batch.values, values);
  pick(part.value_targets, batch.value_targets, values);
  pick(part.label, batch.label, sequences);
  const auto new_index = [&](int64_t s) {
    const auto found = std::find(sequences.begin(), sequences.end(), s);
    return found == sequences.end() ? -1 : found - sequences.begin();
  };
  for (size_t p = 0; p < batch.chosen.size(); ++p) {
    if (new_index(batch.chosen[p]) < 0) continue;
    part.chosen.push_back(new_index(batch.chosen[p]));
    part.rejected.push_back(new_index(batch.rejected[p]));
  }
  for (const auto& list : batch.lists) {
    if (new_index(list[0]) < 0) continue;
    part.lists.emplace_back();
    for (const int64_t s : list) part.lists.back().push_back(new_index(s));
  }
  return part;
}

at::Tensor vec(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

Batch token_batch(const std::vector<std::vector<double>>& logps, const std::vector<std::vector<double>>& ref_logps) {
  Batch batch;
  batch.token_begin = {0};
  for (const auto& row : logps)
    batch.token_begin.push_back(batch.token_begin.back() + static_cast<int64_t>(row.size()));
  batch.logps = flat(logps);
  if (!ref_logps.empty()) batch.ref_logps = flat(ref_logps);
  return batch;
}

Batch with_pairs(Batch batch) {
  const int64_t pairs = batch.sequences() / 2;
  for (int64_t p = 0; p < pairs; ++p) {
    batch.chosen.push_back(p);
    batch.rejected.push_back(pairs + p);
  }
  return batch;
}

Batch reward_batch(const std::vector<double>& rewards) {
  Batch batch;
  batch.values = vec(rewards).unsqueeze(1);
  for (size_t s = 0; s <= rewards.size(); ++s) batch.value_begin.push_back(static_cast<int64_t>(s));
  return batch;
}

Batch three_pairs() {
  return with_pairs(
      token_batch({{-0.5, -1.25, -0.3}, {-2.0}, {-0.7, -0.1, -1.5, -0.9}, {-1.1}, {-0.4, -0.6}, {-3.0, -0.2}},
                  {{-0.9, -1.0, -0.8}, {-1.5}, {-0.6, -0.4, -1.1, -1.3}, {-0.9}, {-0.8, -0.3}, {-2.2, -0.5}}));
}

double loss_of(const std::string& objective, const Json& settings, const Batch& batch) {
  return loss_of(*find_objective(objective).make(settings), batch);
}

double loss_of(const Loss& loss, const Batch& batch) { return total(loss(batch)).item<double>(); }

at::Tensor gradient_of(const Loss& loss, const Batch& batch, at::Tensor Batch::*input) {
  Batch leaf = batch;
  leaf.*input = (batch.*input).detach().clone().requires_grad_(true);
  total(loss(leaf)).backward();
  return (leaf.*input).grad();
}

void expect_gradient(const Loss& loss, const Batch& batch, at::Tensor Batch::*input) {
  const at::Tensor gradient = gradient_of(loss, batch, input).contiguous().view({-1});
  const double tolerance = 1e-7 * std::max(1.0, at::max(gradient.abs()).item<double>());
  const double h = 1e-6;
  for (int64_t i = 0; i < gradient.numel(); ++i) {
    const auto moved = [&](double by) {
      Batch batch_moved = batch;
      at::Tensor values = (batch.*input).detach().clone().contiguous();
      values.mutable_data_ptr<double>()[i] += by;
      batch_moved.*input = values;
      return loss_of(loss, batch_moved);
    };
    EXPECT_NEAR(gradient[i].item<double>(), (moved(h) - moved(-h)) / (2 * h), tolerance) << "element " << i;
  }
}

double metric(const Result& result, const std::string& name) {
  for (const Metric& one : result.metrics) {
    if (one.name == name) return one.sum / one.count;
  }
  ADD_FAILURE() << "no metric " << name;
  return std::nan("");
}

}  // namespace merit::objective::testing
