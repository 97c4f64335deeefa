#include "merit/nn/transformer.h"

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include "merit/core/error.h"
#include "merit/nn/engine.h"
#include "merit/nn/forest_forward.h"
#include "slow_model_support.h"

namespace merit::nn {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<int32_t> random_ids(Rng& rng, size_t length, int64_t vocab) {
  std::vector<int32_t> ids(length);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(vocab));
  return ids;
}

at::Tensor append_all(ForestState& state, PathHandle path, const std::vector<int32_t>& ids) {
  std::vector<int32_t> all(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) all[i] = static_cast<int32_t>(i);
  state.append(path, ids, all);
  return state.run().clone();
}

void expect_near(const at::Tensor& hidden, const std::vector<std::vector<double>>& want, double tolerance) {
  const at::Tensor got = hidden.to(at::kDouble).contiguous();
  ASSERT_EQ(got.size(0), static_cast<int64_t>(want.size()));
  for (size_t t = 0; t < want.size(); ++t) {
    for (size_t i = 0; i < want[t].size(); ++i) {
      ASSERT_NEAR(got.const_data_ptr<double>()[t * want[t].size() + i], want[t][i],
                  tolerance * std::max(1.0, std::abs(want[t][i])))
          << "position " << t;
    }
  }
}

TEST(Transformer, EqualsTheSlowModel) {
  Rng rng(1, 0);
  for (const auto& [name, config] : testing::all_shapes()) {
    SCOPED_TRACE(name);
    const std::vector<int32_t> ids = random_ids(rng, 45, config.vocab_size);
    for (at::ScalarType dtype : {at::kFloat, at::kDouble}) {
      const Transformer model(config, testing::random_weights(config, 2, dtype));
      ForestState state(model);
      expect_near(append_all(state, state.root(config.rope_regime(45)), ids),
                  testing::slow_hidden(config, model.weights(), ids), dtype == at::kFloat ? 1e-5 : 1e-12);
    }
  }
}

TEST(Transformer, PlainOperationsEqualTheSlowModel) {
  Rng rng(3, 0);
  for (const auto& [name, config] : testing::all_shapes()) {
    SCOPED_TRACE(name);
    const std::vector<int32_t> ids = random_ids(rng, 30, config.vocab_size);
    const Weights weights = testing::random_weights(config, 4, at::kDouble);
    ForestBuilder builder;
    builder.add(ids, {}, config.rope_regime(30));
    expect_near(forest_forward(config, weights, builder.build()), testing::slow_hidden(config, weights, ids), 1e-12);
  }
}

TEST(ForestState, BranchInsideAPageSharesWhatCameBefore) {
  const ModelConfig config = testing::small_config();
  const Transformer model(config, testing::random_weights(config, 5, at::kFloat));
  Rng rng(6, 0);
  const std::vector<int32_t> prefix = random_ids(rng, 21, config.vocab_size);
  ForestState state(model);
  const PathHandle a = state.root();
  append_all(state, a, prefix);
  const PathHandle b = state.branch(a);
  const PathHandle c = state.branch(a, 18);
  EXPECT_EQ(state.length(c), 18);
  const std::vector<int32_t> tails[3] = {{1, 2, 3}, {4, 5, 6, 7}, {8, 9}};
  const PathHandle paths[3] = {a, b, c};
  for (int i = 0; i < 3; ++i) {
    std::vector<int32_t> whole(prefix.begin(), prefix.begin() + (i == 2 ? 18 : 21));
    const size_t shared = whole.size();
    whole.insert(whole.end(), tails[i].begin(), tails[i].end());
    ForestState alone(model);
    const at::Tensor want = append_all(alone, alone.root(), whole).slice(0, shared);
    EXPECT_TRUE(at::equal(append_all(state, paths[i], tails[i]), want)) << i;
  }
  EXPECT_EQ(state.tokens_computed(), 21 + 3 + 4 + 2);
}

TEST(ForestState, QueuedPathsMayBranchGrowAndEndBeforeTheRun) {
  const ModelConfig config = testing::small_config();
  const Transformer model(config, testing::random_weights(config, 7, at::kFloat));
  const std::vector<int32_t> last = {2};
  ForestState state(model);
  const PathHandle a = state.root();
  state.append(a, std::vector<int32_t>{1, 2, 3}, {});
  const PathHandle b = state.branch(a);
  const PathHandle c = state.branch(a, 2);
  state.append(a, std::vector<int32_t>{4, 5, 6}, last);
  state.release(a);
  state.append(b, std::vector<int32_t>{7, 8, 9}, last);
  state.append(c, std::vector<int32_t>{7, 8, 9}, last);
  const at::Tensor got = state.run().clone();
  const std::vector<int32_t> wholes[3] = {{1, 2, 3, 4, 5, 6}, {1, 2, 3, 7, 8, 9}, {1, 2, 7, 8, 9}};
  for (int i = 0; i < 3; ++i) {
    ForestState alone(model);
    EXPECT_TRUE(at::equal(got[i], append_all(alone, alone.root(), wholes[i])[-1])) << i;
  }
  state.release(b);
  state.release(c);
  EXPECT_EQ(state.pages_live(), 0);
}

TEST(ForestState, OneTokenAtATimeIsTheSameBits) {
  Rng rng(8, 0);
  for (const auto& [name, config] : testing::all_shapes()) {
    const std::vector<int32_t> ids = random_ids(rng, 40, config.vocab_size);
    const int64_t regime = config.rope_regime(40);
    for (at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const Transformer model(config, testing::random_weights(config, 9, dtype));
      ForestState state(model);
      const at::Tensor whole = append_all(state, state.root(regime), ids);
      const PathHandle path = state.root(regime);
      for (size_t t = 0; t < ids.size(); ++t) {
        state.append_one(path, ids[t]);
        ASSERT_TRUE(at::equal(state.run()[0], whole[static_cast<int64_t>(t)])) << name << " " << t;
      }
    }
  }
}

TEST(ForestState, RefusesIdsAndLengthsOutsideTheModel) {
  const ModelConfig config = testing::small_config();
  const Transformer model(config, testing::random_weights(config, 10, at::kFloat));
  ForestState state(model);
  const PathHandle path = state.root();
  EXPECT_THAT([&] { state.append_one(path, 50); },
              ThrowsMessage<Error>(HasSubstr("token id 50 is outside the vocabulary of 50")));
  EXPECT_THAT([&] { state.append_one(path, -1); }, ThrowsMessage<Error>(HasSubstr("token id -1")));
  EXPECT_THAT([&] { state.append(path, std::vector<int32_t>(513, 1), {}); },
              ThrowsMessage<Error>(HasSubstr("a path of 513 tokens is longer than the model's 512 positions")));
  EXPECT_EQ(state.queued(), 0);
  EXPECT_EQ(state.run().size(0), 0);
}

}  // namespace
}  // namespace merit::nn
