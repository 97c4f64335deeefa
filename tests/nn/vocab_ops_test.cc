#include "merit/nn/vocab_ops.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "merit/core/error.h"
#include "tests/nn/random_tensor.h"

namespace merit::nn {
namespace {

at::Tensor ids(std::vector<int64_t> values) { return at::tensor(values, at::kLong); }

double largest(const at::Tensor& a, const at::Tensor& b) {
  return a.to(at::kDouble).sub(b.to(at::kDouble)).abs().max().item().toDouble();
}

// The same quantities from whole-vocabulary tensors with plain autograd.
struct Plain {
  at::Tensor logp, entropy, sumsq;
};
Plain plain(const at::Tensor& hidden, const at::Tensor& projection, const at::Tensor& targets) {
  const at::Tensor log_p = at::log_softmax(at::matmul(hidden, projection.t()), 1);
  const at::Tensor p = log_p.exp();
  const at::Tensor picked = log_p.gather(1, targets.clamp_min(0).unsqueeze(1)).squeeze(1);
  return {picked.mul(targets.ge(0).to(at::kDouble)), p.mul(log_p).sum(1).neg(), p.mul(p).sum(1)};
}

TEST(VocabOps, ByHand) {
  // One hidden feature of value 1, logits ln 1, ln 2, ln 5: p = 1/8, 2/8, 5/8.
  const at::Tensor projection = at::tensor({0.0, std::log(2.0), std::log(5.0)}, at::kDouble).view({3, 1});
  const at::Tensor hidden = at::tensor({1.0, 1.0}, at::kDouble).view({2, 1});
  const VocabQuantities q = vocab_quantities(hidden, projection, ids({1, -1}));
  EXPECT_NEAR(q.logp[0].item().toDouble(), std::log(0.25), 1e-15);
  EXPECT_EQ(q.logp[1].item().toDouble(), 0.0);
  const double entropy = std::log(8.0) - (2.0 * std::log(2.0) + 5.0 * std::log(5.0)) / 8.0;
  EXPECT_NEAR(q.entropy[0].item().toDouble(), entropy, 1e-15);
  EXPECT_NEAR(q.sumsq[0].item().toDouble(), 30.0 / 64.0, 1e-15);
  EXPECT_EQ(q.argmax[0].item().toLong(), 2);
}

TEST(VocabOps, AgreesWithWholeTensorsInFloat64) {
  const at::Tensor hidden = random_tensor({37, 24}, 11), projection = random_tensor({501, 24}, 12, 0.5);
  std::vector<int64_t> targets;
  for (int64_t i = 0; i < 37; ++i) targets.push_back(i % 5 == 0 ? -1 : (i * 97) % 501);
  const VocabQuantities q = vocab_quantities(hidden, projection, ids(targets));
  const Plain expected = plain(hidden, projection, ids(targets));
  EXPECT_LT(largest(q.logp, expected.logp), 1e-12);
  EXPECT_LT(largest(q.entropy, expected.entropy), 1e-12);
  EXPECT_LT(largest(q.sumsq, expected.sumsq), 1e-12);
}

TEST(VocabOps, Float32AndBfloat16AgreeWithFloat64OnTheSameValues) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor hidden = random_tensor({5, 64}, 13, 1.0, dtype);
    const at::Tensor projection = random_tensor({9001, 64}, 14, 0.3, dtype);  // more than one chunk of ids
    const at::Tensor targets = ids({0, 4095, 4096, 9000, 17});
    const VocabQuantities q = vocab_quantities(hidden, projection, targets);
    EXPECT_EQ(q.logp.scalar_type(), at::kFloat);
    const Plain expected = plain(hidden.to(at::kDouble), projection.to(at::kDouble), targets);
    EXPECT_LT(largest(q.logp, expected.logp), 5e-6) << c10::toString(dtype);
    EXPECT_LT(largest(q.entropy, expected.entropy), 5e-6);
    EXPECT_LT(largest(q.sumsq, expected.sumsq), 1e-6);
  }
}

TEST(VocabOps, GradientsAgreeWithPlainAutograd) {
  // 21 positions, and a weight on each quantity that differs by position.
  const at::Tensor targets = [] {
    std::vector<int64_t> values;
    for (int64_t i = 0; i < 21; ++i) values.push_back(i == 4 ? -1 : (i * 31) % 203);
    return ids(values);
  }();
  const at::Tensor a = random_tensor({21}, 1), b = random_tensor({21}, 2), c = random_tensor({21}, 3);
  std::vector<at::Tensor> grads;
  for (const bool chunked : {true, false}) {
    at::Tensor hidden = random_tensor({21, 8}, 21).requires_grad_(true);
    at::Tensor projection = random_tensor({203, 8}, 22, 0.7).requires_grad_(true);
    at::Tensor loss;
    if (chunked) {
      const VocabQuantities q = vocab_quantities_with_grad(hidden, projection, targets);
      EXPECT_FALSE(q.argmax.requires_grad());
      loss = q.logp.mul(a).add(q.entropy.mul(b)).add(q.sumsq.mul(c)).sum();
    } else {
      const Plain q = plain(hidden, projection, targets);
      loss = q.logp.mul(a).add(q.entropy.mul(b)).add(q.sumsq.mul(c)).sum();
    }
    loss.backward();
    grads.push_back(hidden.grad().clone());
    grads.push_back(projection.grad().clone());
  }
  EXPECT_LT(largest(grads[0], grads[2]), 1e-12);
  EXPECT_LT(largest(grads[1], grads[3]), 1e-12);
  EXPECT_GT(grads[0].abs().max().item().toDouble(), 0.1);
}

void gradients_agree_with_finite_differences(double scale, double softcap) {
  const at::Tensor targets = ids({2, 0, -1});
  const at::Tensor weights = random_tensor({3, 3}, 5);
  const auto loss_of = [&](const at::Tensor& hidden, const at::Tensor& projection) {
    const VocabQuantities q = vocab_quantities_with_grad(hidden, {projection, scale, softcap}, targets);
    return q.logp.mul(weights[0]).add(q.entropy.mul(weights[1])).add(q.sumsq.mul(weights[2])).sum();
  };
  at::Tensor hidden = random_tensor({3, 4}, 6).requires_grad_(true);
  at::Tensor projection = random_tensor({7, 4}, 7).requires_grad_(true);
  loss_of(hidden, projection).backward();
  for (at::Tensor* leaf : {&hidden, &projection}) {
    const at::Tensor grad = leaf->grad();
    at::Tensor value = leaf->detach();
    for (int64_t i = 0; i < value.numel(); ++i) {
      double* x = value.data_ptr<double>() + i;
      const double kept = *x;
      *x = kept + 1e-5;
      const double up = loss_of(hidden.detach(), projection.detach()).item().toDouble();
      *x = kept - 1e-5;
      const double down = loss_of(hidden.detach(), projection.detach()).item().toDouble();
      *x = kept;
      EXPECT_NEAR(grad.const_data_ptr<double>()[i], (up - down) / 2e-5, 1e-8);
    }
  }
}

TEST(VocabOps, GradientsAgreeWithFiniteDifferences) {
  gradients_agree_with_finite_differences(1, 0);
  gradients_agree_with_finite_differences(0.5, 0);
  gradients_agree_with_finite_differences(1.5, 0.8);
}

TEST(VocabOps, LogitsAreScaledThenCapped) {
  // Products 2, 0 and -6; halved 1, 0 and -3; capped at 2: 2 tanh(1 / 2), 0, 2 tanh(-3 / 2).
  const at::Tensor hidden = at::ones({1, 1}, at::kDouble);
  at::Tensor weight = at::empty({3, 1}, at::kDouble);
  weight[0] = 2.0, weight[1] = 0.0, weight[2] = -6.0;
  const at::Tensor logits = vocab_logits(hidden, {weight, 0.5, 2});
  const double want[3] = {2 * std::tanh(0.5), 0, 2 * std::tanh(-1.5)};
  double total = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(logits[0][i].item().toDouble(), want[i], 1e-15);
    total += std::exp(want[i]);
  }
  EXPECT_NEAR(vocab_quantities(hidden, {weight, 0.5, 2}, ids({2})).logp.item().toDouble(), want[2] - std::log(total),
              1e-14);
}

TEST(VocabOps, Bfloat16GradientsAgreeWithFloat64OnTheSameValues) {
  const at::Tensor targets = ids({3, 4999});
  std::vector<at::Tensor> grads;
  for (const at::ScalarType dtype : {at::kBFloat16, at::kDouble}) {
    at::Tensor hidden = random_tensor({2, 16}, 31, 1.0, at::kBFloat16).to(dtype).requires_grad_(true);
    at::Tensor projection = random_tensor({5000, 16}, 32, 0.3, at::kBFloat16).to(dtype).requires_grad_(true);
    const VocabQuantities q = vocab_quantities_with_grad(hidden, projection, targets);
    q.logp.sum().add(q.entropy.sum()).backward();
    EXPECT_EQ(hidden.grad().scalar_type(), dtype);
    grads.push_back(hidden.grad().clone());
    grads.push_back(projection.grad().clone());
  }
  for (int i = 0; i < 2; ++i) {
    const double scale = grads[2 + i].abs().max().item().toDouble();
    EXPECT_LT(largest(grads[i], grads[2 + i]), 0.005 * scale);  // bfloat16 keeps 8 bits
  }
}

TEST(VocabOps, F19_BitsDoNotDependOnNeighbours) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    // 3,000 ids in float32 hold 1,024 rows a chunk, so 1,100 rows are two chunks.
    const at::Tensor hidden = random_tensor({1100, 32}, 41, 1.0, dtype);
    const at::Tensor projection = random_tensor({3000, 32}, 42, 0.4, dtype);
    std::vector<int64_t> targets;
    for (int64_t i = 0; i < 1100; ++i) targets.push_back((i * 7) % 3000);
    const VocabQuantities all = vocab_quantities(hidden, projection, ids(targets));
    for (const auto& [begin, rows] :
         std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {1, 3}, {1023, 2}, {1099, 1}, {500, 77}}) {
      const VocabQuantities some =
          vocab_quantities(hidden.narrow(0, begin, rows), projection, ids(targets).narrow(0, begin, rows));
      EXPECT_TRUE(at::equal(some.logp, all.logp.narrow(0, begin, rows))) << c10::toString(dtype) << " at " << begin;
      EXPECT_TRUE(at::equal(some.entropy, all.entropy.narrow(0, begin, rows)));
      EXPECT_TRUE(at::equal(some.sumsq, all.sumsq.narrow(0, begin, rows)));
      EXPECT_TRUE(at::equal(some.argmax, all.argmax.narrow(0, begin, rows)));
    }
    // The rows of logits are the ones reduced.
    const at::Tensor logits = vocab_logits(hidden.narrow(0, 7, 2), projection);
    if (dtype == at::kDouble) continue;
    const std::span<const float> row(logits.const_data_ptr<float>() + 3000, 3000);
    EXPECT_EQ(row_logp(row, row_softmax(row), targets[8]), all.logp[8].item().toFloat());
  }
}

TEST(VocabOps, ArgmaxTakesTheLowestIdAmongEquals) {
  const std::vector<float> row = {1, 3, 2, 3, 3};
  EXPECT_EQ(row_softmax(std::span<const float>(row)).argmax, 1);
}

TEST(VocabOps, MinusInfinityIsProbabilityZero) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> row = {-inf, 0, -inf, 0};
  const RowSoftmax out = row_softmax(std::span<const float>(row));
  EXPECT_NEAR(out.log_sum_exp, std::log(2.0), 1e-7);
  EXPECT_NEAR(out.entropy, std::log(2.0), 1e-7);
  EXPECT_NEAR(out.sumsq, 0.5, 1e-7);
}

TEST(VocabOps, FarApartLogitsKeepTheirPrecision) {
  const std::vector<float> row = {-1e4f, 1e4f, 1e4f - 1.0f};
  const RowSoftmax out = row_softmax(std::span<const float>(row));
  EXPECT_NEAR(out.log_sum_exp - 1e4, std::log1p(std::exp(-1.0)), 1e-7);
}

TEST(VocabOps, RefusesWhatHasNoSoftmaxAndNamesThePosition) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const std::vector<float>& row : std::vector<std::vector<float>>{{0, nan, 1}, {0, inf}, {-inf, -inf}, {}}) {
    EXPECT_THROW(row_softmax(std::span<const float>(row)), Error);
  }
  at::Tensor hidden = random_tensor({20, 4}, 1);
  hidden[17][2] = nan;
  try {
    vocab_quantities(hidden, random_tensor({9, 4}, 2), ids(std::vector<int64_t>(20, 0)));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumeric);
    EXPECT_THAT(error.what(), testing::HasSubstr("position 17"));
  }
  try {
    vocab_quantities(random_tensor({1, 4}, 1), random_tensor({9, 4}, 2), ids({9}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("expected an id of 0 to 8"));
  }
}

TEST(VocabOps, NoPositionsGiveEmptyResults) {
  const VocabQuantities q = vocab_quantities(random_tensor({0, 4}, 1), random_tensor({9, 4}, 2), ids({}));
  EXPECT_EQ(q.logp.numel(), 0);
  EXPECT_EQ(vocab_logits(random_tensor({0, 4}, 1), random_tensor({9, 4}, 2)).size(0), 0);
}

}  // namespace
}  // namespace merit::nn
