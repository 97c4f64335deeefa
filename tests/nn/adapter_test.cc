#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/nn/adapter_file.h"
#include "merit/nn/forest_forward.h"
#include "merit/nn/tensor_file.h"
#include "slow_model_support.h"

namespace merit::nn {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class AdapterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("merit_adapter_" + std::to_string(getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // An adapter that changes something: B is not zero.
  Adapter moved(const AdapterOptions& options) const {
    Adapter adapter = make_adapter(config_, weights_, options);
    Rng rng(4, 0);
    for (auto& [place, pieces] : adapter.pieces) {
      for (LoraPiece& piece : pieces) {
        for (const at::Tensor& t : {piece.b, piece.magnitude}) {
          if (!t.defined()) continue;
          for (int64_t i = 0; i < t.numel(); ++i) t.mutable_data_ptr<double>()[i] += 0.1 * rng.normal();
        }
      }
    }
    return adapter;
  }
  at::Tensor run(const Weights& weights, const Adapter* adapter) const {
    ForestBuilder builder;
    builder.add(std::vector<int32_t>{1, 2, 3, 4, 5});
    builder.add(std::vector<int32_t>{1, 2, 9});
    return forest_forward(config_, weights, builder.build(), at::kDouble, {.adapter = adapter});
  }

  ModelConfig config_ = testing::small_config();
  Weights weights_ = testing::random_weights(config_, 3, at::kDouble);
  fs::path folder_;
};

TEST_F(AdapterTest, ANewAdapterChangesNothingAndDependsOnSeedAndNameAlone) {
  const Adapter all = make_adapter(config_, weights_, {.rank = 4, .seed = 7});
  EXPECT_TRUE(at::equal(run(weights_, &all), run(weights_, nullptr)));
  const Adapter some = make_adapter(config_, weights_, {.rank = 4, .targets = {"v_proj"}, .seed = 7});
  const MatrixPlace place{Slot::kQkv, 1};
  ASSERT_EQ(all.at(place).size(), 3u);
  ASSERT_EQ(some.at(place).size(), 1u);
  EXPECT_EQ(some.at(place)[0].module, "model.layers.1.self_attn.v_proj");
  EXPECT_TRUE(at::equal(some.at(place)[0].a, all.at(place)[2].a));
  EXPECT_LE(all.at(place)[0].a.abs().max().item<double>(), 1 / std::sqrt(24.0));
}

TEST_F(AdapterTest, MergedWeightsGiveWhatTheAdapterGives) {
  for (const bool dora : {false, true}) {
    SCOPED_TRACE(dora);
    const Adapter adapter = moved({.rank = 4, .alpha = 6, .rank_stabilised = dora, .dora = dora});
    const at::Tensor adapted = run(weights_, &adapter);
    EXPECT_GT((adapted - run(weights_, nullptr)).abs().max().item<double>(), 1e-3);
    Weights merged = testing::random_weights(config_, 3, at::kDouble);
    merge_adapter(adapter, merged);
    EXPECT_LT((run(merged, nullptr) - adapted).abs().max().item<double>(), 1e-12);
  }
}

TEST_F(AdapterTest, SavedAndLoadedItIsTheSameWithItsHead) {
  const AdapterOptions options = {.rank = 4, .alpha = 6, .dora = true};
  const Adapter adapter = moved(options);
  const at::Tensor head = at::arange(24, at::kDouble).unsqueeze(0);
  save_adapter(folder_, config_, adapter, options, fs::temp_directory_path().string(), head);
  EXPECT_TRUE(is_adapter_folder(folder_));
  EXPECT_EQ(base_of(folder_), fs::temp_directory_path());
  EXPECT_EQ(base_of("/models/plain"), "/models/plain");
  const AdapterFolder read = load_adapter(folder_, config_, weights_);
  EXPECT_EQ(read.task, "SEQ_CLS");
  EXPECT_TRUE(at::equal(read.head, head));
  EXPECT_TRUE(at::equal(run(weights_, &read.adapter), run(weights_, &adapter)));
}

TEST_F(AdapterTest, WhatDoesNotFitIsRefusedByName) {
  EXPECT_THAT([&] { make_adapter(config_, weights_, {.targets = {"c_attn"}}); },
              ThrowsMessage<Error>(HasSubstr("\"c_attn\": the model has no such matrix; it has down_proj")));
  const AdapterOptions options = {.rank = 4, .targets = {"q_proj"}};
  const fs::path weights = folder_ / "adapter_model.safetensors";
  const auto rewrite = [&](auto&& change) {
    save_adapter(folder_, config_, moved(options), options, "base", at::ones({1, 24}, at::kDouble));
    auto tensors = load_tensors(weights);
    change(tensors);
    save_tensors(weights, NamedTensors(tensors.begin(), tensors.end()));
    return [this] { load_adapter(folder_, config_, weights_); };
  };
  const std::string q = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";
  EXPECT_THAT(rewrite([&](auto& t) { t.erase("base_model.model.score.weight"); }),
              ThrowsMessage<Error>(HasSubstr("the score head is missing")));
  EXPECT_THAT(rewrite([&](auto& t) {
                t["base_model.model.score.weight"] = at::ones({1, 23});
              }),
              ThrowsMessage<Error>(HasSubstr("score.weight\": expected shape [-1, 24], got [1, 23]")));
  EXPECT_THAT(rewrite([&](auto& t) { t.erase(q); }), ThrowsMessage<Error>(HasSubstr("lora_B.weight\" is missing")));
  EXPECT_THAT(rewrite([&](auto& t) {
                t[q] = at::ones({3, 4});
              }),
              ThrowsMessage<Error>(HasSubstr("expected shape [48, 4], got [3, 4]")));
  EXPECT_THAT(rewrite([&](auto& t) {
                t["base_model.model.lm_head.lora_A.weight"] = at::ones({3, 4});
              }),
              ThrowsMessage<Error>(HasSubstr("1 tensors have no place in the model")));
  EXPECT_THAT([&] { base_of(folder_); }, ThrowsMessage<Error>(HasSubstr("base model \"base\" is not here")));
  rewrite([](auto&) {});
  Json config = parse_json(read_file(folder_ / "adapter_config.json"), "config");
  config["peft_type"] = "IA3";
  write_file_atomic(folder_ / "adapter_config.json", config.dump());
  EXPECT_THAT([&] { load_adapter(folder_, config_, weights_); },
              ThrowsMessage<Error>(HasSubstr("expected peft_type LORA, got \"IA3\"")));
}

}  // namespace
}  // namespace merit::nn
