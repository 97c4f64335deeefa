// Small batches and the checks that every objective's test makes.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "merit/objective/objectives.h"

namespace merit::objective::testing {

at::Tensor vec(const std::vector<double>& values);

// One sequence an inner list.
Batch token_batch(const std::vector<std::vector<double>>& logps,
                  const std::vector<std::vector<double>>& ref_logps = {});
// Sequences 0 .. P-1 chosen and P .. 2P-1 rejected of `batch`.
Batch with_pairs(Batch batch);
// Each value is the reward of a sequence.
Batch reward_batch(const std::vector<double>& rewards);
// The sequences named, in that order, with all that belongs to them: pairs and lists whole or not at all.
Batch part_of(const Batch& batch, const std::vector<int64_t>& sequences);
// Tokens and pairs of a fixed irregular batch of 3 pairs: lengths 1 to 4, distinct policy and reference.
Batch three_pairs();

// The loss of `batch` as a whole step.
double loss_of(const std::string& objective, const Json& settings, const Batch& batch);
double loss_of(const Loss& loss, const Batch& batch);
// d loss / d (batch.*input).
at::Tensor gradient_of(const Loss& loss, const Batch& batch, at::Tensor Batch::*input);
// Autograd agrees with central differences in float64, element by element, to 1e-7 of the largest or better.
void expect_gradient(const Loss& loss, const Batch& batch, at::Tensor Batch::*input);

// sum / count of a metric; fails the test if there is none.
double metric(const Result& result, const std::string& name);

// Message of the Error that `call` throws; fails the test if it throws none.
template <typename Call>
std::string error_of(Call call);

}  // namespace merit::objective::testing

#include <gtest/gtest.h>

#include "merit/core/error.h"

template <typename Call>
std::string merit::objective::testing::error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an Error";
  return {};
}
