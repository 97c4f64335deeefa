// The operations that training runs, against plain tensor operations under autograd.
#include "merit/nn/train_ops.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <limits>

#include "merit/nn/forest_attention.h"
#include "merit/nn/forest_forward.h"
#include "merit/nn/recompute.h"
#include "random_tensor.h"
#include "slow_model_support.h"

namespace merit::nn {
namespace {

at::Tensor random(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor out = at::empty(shape, at::kDouble);
  Rng rng(seed, 7);
  for (int64_t i = 0; i < out.numel(); ++i) out.mutable_data_ptr<double>()[i] = rng.normal();
  return out;
}

at::Tensor leaf(at::IntArrayRef shape, uint64_t seed) { return random(shape, seed).set_requires_grad(true); }

void expect_close(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  ASSERT_EQ(a.sizes(), b.sizes());
  EXPECT_LT((a - b).abs().max().item<double>(), tolerance * std::max(1.0, b.abs().max().item<double>()));
}

// value and the gradients of the leaves, under a loss that weighs every output differently.
std::vector<at::Tensor> with_gradients(const at::Tensor& out, const std::vector<at::Tensor>& leaves) {
  (out * random(out.sizes(), 99)).sum().backward();
  std::vector<at::Tensor> all = {out.detach()};
  for (const at::Tensor& one : leaves) {
    all.push_back(one.grad().clone());
    one.mutable_grad().reset();
  }
  return all;
}

void expect_same(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    SCOPED_TRACE(i);
    expect_close(a[i], b[i], tolerance);
  }
}

// A full softmax under a mask of ancestors.
at::Tensor dense_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Forest& forest,
                           const ForestAttention& options) {
  const int64_t tokens = q.size(0), group = q.size(1) / k.size(1);
  at::Tensor mask = at::full({tokens, tokens}, -std::numeric_limits<double>::infinity(), at::kDouble);
  for (size_t n = 0; n < forest.nodes.size(); ++n) {
    for (int32_t i = 0; i < forest.nodes[n].length; ++i) {
      const int64_t row = forest.nodes[n].begin + i, depth = forest.nodes[n].depth + i;
      for (auto up = static_cast<int32_t>(n); up >= 0; up = forest.nodes[up].parent) {
        for (int32_t j = 0; j < forest.nodes[up].length; ++j) {
          const int64_t other = forest.nodes[up].depth + j;
          const bool near = options.window == 0 || other > depth - options.window;
          if (other <= depth && near) mask[row][forest.nodes[up].begin + j].fill_(0);
        }
      }
    }
  }
  const at::Tensor keys = k.transpose(0, 1).repeat_interleave(group, 0);
  const at::Tensor values = v.transpose(0, 1).repeat_interleave(group, 0);
  at::Tensor s = at::matmul(q.transpose(0, 1), keys.transpose(1, 2)) * options.scale;
  if (options.softcap > 0) s = at::tanh(s / options.softcap) * options.softcap;
  return at::matmul(at::softmax(s + mask, -1), values).transpose(0, 1).reshape({tokens, -1});
}

// A root of 150 tokens, longer than a block of rows, and three branches, one of which branches again.
Forest branched() {
  Rng rng(5, 0);
  ForestBuilder builder;
  std::vector<int32_t> root;
  for (int i = 0; i < 150; ++i) root.push_back(static_cast<int32_t>(rng.below(40)));
  for (const auto& tail : std::vector<std::vector<int32_t>>{{1, 2, 3}, {4, 5, 6, 7, 8}, {4, 5, 9}, {11}}) {
    std::vector<int32_t> path = root;
    path.insert(path.end(), tail.begin(), tail.end());
    builder.add(path);
  }
  builder.add(std::vector<int32_t>{7, 7, 7});  // shares nothing
  return builder.build();
}

TEST(ForestAttention, EqualsAFullSoftmaxUnderAMaskWithGradients) {
  const auto forest = std::make_shared<const Forest>(branched());
  const auto tokens = static_cast<int64_t>(forest->tokens.size());
  const std::vector<ForestAttention> kinds = {
      {0.35, 0, 0}, {0.35, 2.0, 0}, {0.35, 0, 5}, {0.35, 0, 140}, {0.35, 2, 20}};
  for (const ForestAttention& options : kinds) {
    SCOPED_TRACE(options.window);
    const at::Tensor q = leaf({tokens, 6, 4}, 1), k = leaf({tokens, 2, 4}, 2), v = leaf({tokens, 2, 4}, 3);
    expect_same(with_gradients(forest_attention(q, k, v, forest, options), {q, k, v}),
                with_gradients(dense_attention(q, k, v, *forest, options), {q, k, v}), 1e-12);
  }
}

// y with the pieces' share added row by row, magnitudes over norms that count as constants.
at::Tensor plain_product(const at::Tensor& w, const at::Tensor& bias, const at::Tensor& x, const LoraPieces& pieces) {
  std::vector<at::Tensor> columns;
  for (int64_t row = 0; row < w.size(0); ++row) {
    at::Tensor y = at::mv(x, w[row]);
    for (const LoraPiece& piece : pieces) {
      const int64_t at = row - piece.rows.begin;
      if (at < 0 || at >= piece.rows.count) continue;
      y = y + at::mv(at::mm(x, piece.a.t()), piece.b[at]) * piece.scale;
      if (!piece.magnitude.defined()) continue;
      const at::Tensor whole = w[row] + at::mv(piece.a.t(), piece.b[at]) * piece.scale;
      y = y * piece.magnitude[at] / whole.detach().norm();
    }
    columns.push_back(y + bias[row]);
  }
  return at::stack(columns, 1);
}

LoraPieces some_pieces(bool dora) {
  LoraPieces pieces;
  for (const RowRange rows : {RowRange{0, 4}, RowRange{6, 3}}) {
    LoraPiece piece{"m", rows, Layout::kRows, leaf({2, 5}, 11 + rows.begin), leaf({rows.count, 2}, 12 + rows.begin),
                    {},  1.5};
    if (dora) piece.magnitude = leaf({rows.count}, 13 + rows.begin);
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

TEST(AdaptedProduct, EqualsTheSumOfItsPartsWithGradients) {
  for (const bool dora : {false, true}) {
    SCOPED_TRACE(dora);
    const at::Tensor w = leaf({9, 5}, 1), bias = leaf({9}, 2), x = leaf({7, 5}, 3);
    const LoraPieces pieces = some_pieces(dora);
    std::vector<at::Tensor> leaves = {w, bias, x};
    for (const LoraPiece& piece : pieces) {
      leaves.push_back(piece.a);
      leaves.push_back(piece.b);
      if (dora) leaves.push_back(piece.magnitude);
    }
    expect_same(with_gradients(adapted_product(Linear(w, bias), x, pieces), leaves),
                with_gradients(plain_product(w, bias, x, pieces), leaves), 1e-12);
  }
}

class FloatRows : public StoredRows {
 public:
  explicit FloatRows(at::Tensor values) : values_(std::move(values)) {}
  int64_t rows() const override { return values_.size(0); }
  int64_t columns() const override { return values_.size(1); }
  void widen(int64_t begin, int64_t end, float* out) const override {
    const at::Tensor part = values_.narrow(0, begin, end - begin).contiguous();
    std::copy_n(part.const_data_ptr<float>(), part.numel(), out);
  }

 private:
  at::Tensor values_;
};

TEST(AdaptedProduct, AStoredMatrixGivesWhatItsTensorGives) {
  const at::Tensor w = random({9, 5}, 1).to(at::kFloat);
  const at::Tensor x = random({7, 5}, 3).to(at::kFloat).set_requires_grad(true);
  LoraPieces pieces = some_pieces(false);
  std::vector<at::Tensor> leaves = {x};
  for (LoraPiece& piece : pieces) {
    piece.a = piece.a.detach().to(at::kFloat).set_requires_grad(true);
    piece.b = piece.b.detach().to(at::kFloat).set_requires_grad(true);
    leaves.insert(leaves.end(), {piece.a, piece.b});
  }
  const Linear stored(Matrix(std::make_shared<FloatRows>(w), at::kFloat));
  expect_same(with_gradients(adapted_product(stored, x, pieces), leaves),
              with_gradients(adapted_product(Linear(w), x, pieces), leaves), 1e-6);
}

TEST(TrainOps, NormAndActivationsEqualPlainOperationsWithGradients) {
  const at::Tensor x = leaf({6, 8}, 1), w = leaf({8}, 2);
  expect_same(with_gradients(rms_norm(x, w, 1e-3), {x, w}),
              with_gradients(x * at::rsqrt(x.square().mean(-1, true) + 1e-3) * w, {x, w}), 1e-12);
  const at::Tensor gate = x.narrow(1, 0, 4), up = x.narrow(1, 4, 4);
  expect_same(with_gradients(activated(x, Activation::kSilu, true), {x}), with_gradients(at::silu(gate) * up, {x}),
              1e-12);
  expect_same(with_gradients(activated(x, Activation::kGelu, true), {x}), with_gradients(at::gelu(gate) * up, {x}),
              1e-12);
  expect_same(with_gradients(activated(x, Activation::kGeluTanh, false), {x}), with_gradients(at::gelu(x, "tanh"), {x}),
              1e-12);
  expect_same(with_gradients(activated(x, Activation::kRelu, false), {x}), with_gradients(at::relu(x), {x}), 1e-12);
}

TEST(ForestForward, RecomputedLayersGiveTheSameBits) {
  for (const auto& [name, config] : testing::all_shapes()) {
    SCOPED_TRACE(name);
    const Weights weights = testing::random_weights(config, 3, at::kDouble);
    Rng rng(8, 0);
    ForestBuilder builder;
    for (const auto& path : testing::random_tree(rng, config.vocab_size, 5)) {
      builder.add(path, {}, config.rope_regime(static_cast<int64_t>(path.size())));
    }
    const Forest forest = builder.build();
    const std::vector<at::Tensor> parameters = weights.parameters();
    for (const at::Tensor& p : parameters) p.set_requires_grad(true);
    std::vector<std::vector<at::Tensor>> found;
    for (const bool recompute : {false, true}) {
      const at::Tensor out = forest_forward(config, weights, forest, at::kDouble, {.recompute = recompute});
      (out * random(out.sizes(), 99)).sum().backward();
      found.push_back({out.detach()});
      for (const at::Tensor& p : parameters) {
        if (p.grad().defined()) found.back().push_back(p.grad().clone());
        p.mutable_grad().reset();
      }
    }
    ASSERT_EQ(found[0].size(), found[1].size());
    for (size_t i = 0; i < found[0].size(); ++i) EXPECT_TRUE(at::equal(found[0][i], found[1][i])) << i;
  }
}

}  // namespace
}  // namespace merit::nn
