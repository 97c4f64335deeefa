#include "merit/nn/head_published.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/formats/safetensors.h"
#include "tests/nn/random_tensor.h"

namespace merit::nn {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

at::Tensor floats(std::vector<float> values, std::vector<int64_t> shape) { return at::tensor(values).view(shape); }

class PublishedHead : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("merit_published_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::map<std::string, at::Tensor>& tensors, Json config) {
    std::vector<formats::TensorToWrite> entries;
    for (const auto& [name, values] : tensors) {
      entries.push_back({name, formats::DType::kF32, values.sizes().vec(), [&](const formats::ByteSink& sink) {
                           sink({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
                         }});
    }
    formats::write_model_safetensors(folder_, entries);
    config["hidden_size"] = 2;
    write_file_atomic(folder_ / "config.json", config.dump());
  }

  // The reward of the state (a, b).
  double score(float a, float b) const {
    return load_published_head(folder_).score(floats({a, b}, {1, 2})).item().toDouble();
  }

  std::string refusal() const {
    try {
      load_published_head(folder_);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }

  static Json encoder(const std::string& type, const std::string& head = "ForSequenceClassification") {
    return {{"model_type", type},        {"vocab_size", 8},        {"num_hidden_layers", 1},
            {"num_attention_heads", 1},  {"intermediate_size", 2}, {"architectures", {"X" + head}},
            {"relative_attention", true}};
  }

  fs::path folder_;
};

// relu(1 * 4) = 4 and relu(-1 * 5) = 0, then 2 * 4 + 3 * 0 + 0.5.
TEST_F(PublishedHead, LayersHaveReluBetweenThem) {
  const at::Tensor first = floats({1, 0, 0, -1}, {2, 2}), second = floats({2, 3}, {1, 2}), bias = floats({0.5}, {1});
  write({{"v_head.summary.0.weight", first}, {"v_head.summary.2.weight", second}, {"v_head.summary.2.bias", bias}},
        Json::object());
  EXPECT_EQ(score(4, 5), 8.5);
  EXPECT_EQ(score(-4, -5), 15.5);
  write({{"score.0.weight", first}, {"score.2.weight", second}},
        {{"architectures", {"INFORMForSequenceClassification"}}});
  EXPECT_EQ(score(4, 5), 8);
}

// (6 - 2) / (sqrt(4) + 1e-8), and a cost is scaled alone and negated: -6 / (2 + 1e-8).
TEST_F(PublishedHead, BeaverScoresAreNormalisedAndCostsNegated) {
  const std::map<std::string, at::Tensor> tensors = {{"score_head.weight", floats({1, 0}, {1, 2})},
                                                     {"normalizer.mean", floats({2}, {1})},
                                                     {"normalizer.var", floats({4}, {1})}};
  write(tensors, {{"score_type", "reward"}, {"do_normalize", true}});
  EXPECT_FLOAT_EQ(score(6, 1), 2);
  write(tensors, {{"score_type", "cost"}, {"do_normalize", true}});
  EXPECT_FLOAT_EQ(score(6, 1), -3);
  write(tensors, {{"score_type", "cost"}, {"do_normalize", false}});
  EXPECT_EQ(score(6, 1), -6);
  write(tensors, {{"score_type", "reward"}});
  EXPECT_EQ(score(6, 1), 6);
}

TEST_F(PublishedHead, TwoTokenLabelsGiveTheirLogOdds) {
  write({{"score.weight", floats({1, 0, 0, 1}, {2, 2})}, {"score.bias", floats({0.5, 0.25}, {2})}},
        {{"architectures", {"LlamaForTokenClassification"}}});
  EXPECT_EQ(score(3, 7), 7 + 0.25 - 3 - 0.5);
}

TEST_F(PublishedHead, RecordsSayWhichStateIsRead) {
  const at::Tensor weight = floats({1, 2}, {1, 2}), dense = floats({1, 0, 0, 1}, {2, 2});
  const auto record = [&] { return load_published_head(folder_).record(); };
  write({{"v_head.weight", weight}}, {{"reward_token_id", 9}});
  EXPECT_EQ(record().appended, 9);
  EXPECT_EQ(record().pooling, "last");
  write({{"out_proj.weight", weight}}, {{"pooling", "mean"}});
  EXPECT_EQ(record().pooling, "mean");
  write({{"out_proj.weight", weight}}, {{"pooling", "median"}});
  EXPECT_THAT(refusal(), HasSubstr("\"median\""));
  write({{"classifier.weight", weight}, {"bert.pooler.dense.weight", dense}}, encoder("bert"));
  EXPECT_EQ(record().pooling, "first");
  write({{"classifier.weight", weight}}, encoder("bert", "ForTokenClassification"));
  EXPECT_EQ(record().pooling, "last");
}

TEST_F(PublishedHead, EncodersHaveTheirOwnLayers) {
  const at::Tensor weight = floats({1, 2}, {1, 2}), dense = floats({1, 0, 0, 1}, {2, 2});
  write({{"classifier.weight", weight}, {"bert.pooler.dense.weight", dense}}, encoder("bert"));
  EXPECT_FLOAT_EQ(score(0.5, -1), std::tanh(0.5) + 2 * std::tanh(-1.0));
  write({{"classifier.out_proj.weight", weight}, {"classifier.dense.weight", dense}}, encoder("roberta"));
  EXPECT_FLOAT_EQ(score(0.5, -1), std::tanh(0.5) + 2 * std::tanh(-1.0));
  const auto gelu = [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); };
  write({{"classifier.weight", weight}, {"pooler.dense.weight", dense}}, encoder("deberta-v2"));
  EXPECT_FLOAT_EQ(score(0.5, -1), gelu(0.5) + 2 * gelu(-1));
  // Two values a and b less their mean and over their deviation are (1, -1) if a is the larger: 1 * 3 - 2 * 5.
  write({{"classifier.weight", weight}, {"head.dense.weight", dense}, {"head.norm.weight", floats({3, 5}, {2})}},
        encoder("modernbert"));
  EXPECT_NEAR(score(2, -2), 3 - 10, 1e-3);
  write({{"bert.pooler.dense.weight", dense}}, encoder("bert"));
  EXPECT_FALSE(has_published_head(folder_));
  EXPECT_THAT(refusal(), HasSubstr("no score head"));
}

TEST_F(PublishedHead, GatedAndUnknownHeadsAreRefusedByName) {
  const at::Tensor weight = floats({1, 2}, {1, 2});
  write({{"gating.layers.0.weight", weight}, {"score.weight", weight}}, Json::object());
  EXPECT_THAT(refusal(), HasSubstr("\"gating.layers.0.weight\" of a head that weighs several objectives"));
  write({{"score.0.weight", floats({1, 0, 0, 1}, {2, 2})}, {"score.2.weight", weight}}, Json::object());
  EXPECT_THAT(refusal(), HasSubstr("activation is not known"));
  write({{"v_head.summary.norm.weight", weight}, {"v_head.summary.0.weight", weight}}, Json::object());
  EXPECT_THAT(refusal(), HasSubstr("v_head.summary.norm.weight"));
  write({{"v_head.summary.0.weight", weight}, {"v_head.summary.4.weight", floats({1}, {1, 1})}}, Json::object());
  EXPECT_THAT(refusal(), HasSubstr("gap before 4"));
  write({{"v_head.summary.0.weight", weight}, {"v_head.summary.2.weight", weight}}, Json::object());
  EXPECT_THAT(refusal(), HasSubstr("a layer gives 1 values, the next reads 2"));
}

TEST(DenseLayer, RowsDoNotKnowTheirNeighbours) {
  DenseLayer layer;
  layer.weight = random_tensor({33, 70}, 1, 0.2, at::kFloat);
  layer.bias = random_tensor({33}, 2, 1.0, at::kFloat);
  layer.activation = DenseActivation::kGelu;
  layer.norm_weight = random_tensor({33}, 3, 1.0, at::kFloat);
  const at::Tensor rows = random_tensor({5, 70}, 4, 1.0, at::kFloat);
  const at::Tensor all = apply_layer(layer, rows);
  for (int64_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(at::equal(all.slice(0, i, i + 1), apply_layer(layer, rows.slice(0, i, i + 1).contiguous()))) << i;
  }
}

TEST(PoolRows, MeanIsOfAllRowsAndOthersAreTheRow) {
  const at::Tensor rows = floats({1, 2, 3, 6}, {2, 2});
  EXPECT_TRUE(at::equal(pool_rows(rows, "mean"), floats({2, 4}, {1, 2})));
  EXPECT_TRUE(at::equal(pool_rows(rows.slice(0, 0, 1), "last"), floats({1, 2}, {1, 2})));
}

}  // namespace
}  // namespace merit::nn
