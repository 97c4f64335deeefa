#include "merit/nn/head.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <limits>
#include <map>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/formats/safetensors.h"
#include "merit/nn/read.h"
#include "tests/nn/random_tensor.h"
#include "tests/nn/slow_model_support.h"

namespace merit::nn {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class HeadFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("merit_head_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // A folder as transformers writes it: config.json and float32 tensors.
  void write(const std::map<std::string, at::Tensor>& tensors, const std::string& config = R"({"hidden_size": 4})",
             const std::string& file = "model.safetensors") {
    std::vector<formats::TensorToWrite> entries;
    for (const auto& [name, values] : tensors) {
      entries.push_back({name, formats::DType::kF32, values.sizes().vec(), [&](const formats::ByteSink& sink) {
                           sink({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
                         }});
    }
    formats::write_safetensors(folder_ / file, entries);
    write_file_atomic(folder_ / "config.json", config);
  }

  std::string refusal() {
    try {
      load_head(folder_);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }

  fs::path folder_;
};

at::Tensor floats(std::vector<float> values, std::vector<int64_t> shape) {
  return at::tensor(values, at::kFloat).view(shape);
}

TEST(Head, ScoresByHand) {
  const ScalarHead head(floats({1, 2, -1, 0.5, 0, 0, 1, 0}, {2, 4}), floats({10, -10}, {2}), {});
  const at::Tensor scores = head.score(floats({3, 4, 5, 6, 0, 0, 0, 0}, {2, 4}));
  // 3 + 8 - 5 + 3 + 10, 5 - 10; the biases alone.
  EXPECT_TRUE(at::equal(scores, floats({19, -5, 10, -10}, {2, 2})));
}

TEST(Head, F21_OneRawValueByDefault) {
  const ScalarHead head(floats({100, 0, 0, 0}, {1, 4}), {}, {});
  const at::Tensor scores = head.score(floats({7, 1, 1, 1}, {1, 4}));
  EXPECT_EQ(scores.numel(), 1);                // not the hidden vector
  EXPECT_EQ(scores.item().toDouble(), 700.0);  // neither a sigmoid nor a softmax
  EXPECT_THROW(ScalarHead(floats({1, 0}, {1, 2}), {}, {.activation = "softmax"}), Error);
  EXPECT_THROW(ScalarHead(floats({1, 0}, {1, 2}), {}, {.activation = "sigmoid"}), Error);
  EXPECT_THROW(ScalarHead(floats({1, 0}, {1, 2}), {}, {.pooling = "middle"}), Error);
}

TEST(Head, F19_ScoreBitsDoNotDependOnTheBatch) {
  const ScalarHead head(random_tensor({1, 577}, 1), {}, {});
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const at::Tensor rows = random_tensor({45, 577}, 2, 1.0, dtype);
    const at::Tensor all = head.score(rows);
    EXPECT_EQ(all.scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
    for (int64_t r = 0; r < 45; ++r) EXPECT_TRUE(at::equal(head.score(rows.narrow(0, r, 1)), all.narrow(0, r, 1)));
    const at::Tensor expected = rows.to(at::kDouble).mul(head.weight().to(at::kDouble)).sum(1, true);
    EXPECT_LT(all.to(at::kDouble).sub(expected).abs().max().item().toDouble(), dtype == at::kDouble ? 1e-12 : 1e-5);
  }
}

// The score of the path that a padded row stands for: what has mask 1, read as a path, pooled at its last position.
at::Tensor score_padded(const Transformer& model, const ScalarHead& head, const std::vector<int32_t>& ids,
                        const std::vector<int>& mask) {
  PathRequest request;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (mask[i] == 1) request.ids.push_back(ids[i]);
  }
  request.hidden_at = {static_cast<int32_t>(request.ids.size()) - 1};
  return head.score(read(model, std::vector{request})[0].hidden);
}

TEST(Head, F17_PadEqualsEosPoolsTheLastToken) {
  // Two answers under one prompt that ends with the EOS token 2, which is also the pad token.
  const ModelConfig config = testing::small_config();
  const Transformer model(config, testing::random_weights(config, 5, at::kFloat));
  const ScalarHead head(random_tensor({1, config.hidden_size}, 6), {}, {});
  const std::vector<int32_t> chosen = {5, 2, 6, 7, 2}, rejected = {5, 2, 6, 8, 2};
  std::vector<int32_t> everywhere = {0, 1, 2, 3, 4};
  const at::Tensor states = read(model, std::vector{PathRequest{chosen, -1, everywhere}})[0].hidden;
  const at::Tensor score = score_padded(model, head, chosen, {1, 1, 1, 1, 1});
  EXPECT_TRUE(at::equal(score, head.score(pool_positions(states, at::tensor({4}, at::kLong)))));
  EXPECT_FALSE(at::equal(score, head.score(pool_positions(states, at::tensor({1}, at::kLong)))));
  EXPECT_FALSE(at::equal(score, score_padded(model, head, rejected, {1, 1, 1, 1, 1})));
}

TEST(Head, F18_PaddingOnEitherSideMovesNothing) {
  const ModelConfig config = testing::small_config();
  const Transformer model(config, testing::random_weights(config, 5, at::kFloat));
  const ScalarHead head(random_tensor({1, config.hidden_size}, 6), {}, {});
  const at::Tensor bare = score_padded(model, head, {8, 9}, {1, 1});
  EXPECT_TRUE(at::equal(bare, score_padded(model, head, {0, 0, 8, 9}, {0, 0, 1, 1})));
  EXPECT_TRUE(at::equal(bare, score_padded(model, head, {8, 9, 0, 0}, {1, 1, 0, 0})));
  // The length formula that gives -1 there is an error here, not memory out of bounds.
  EXPECT_THROW(pool_positions(random_tensor({2, 4}, 1), at::tensor({-1}, at::kLong)), Error);
  EXPECT_THROW(pool_positions(random_tensor({2, 4}, 1), at::tensor({2}, at::kLong)), Error);
}

TEST(Head, RefusesStatesThatAreNotNumbersAndNamesTheRow) {
  const ScalarHead head(floats({1, 1}, {1, 2}), {}, {});
  try {
    head.score(floats({1, 1, 1, std::numeric_limits<float>::quiet_NaN()}, {2, 2}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumeric);
    EXPECT_THAT(error.what(), HasSubstr("row 1"));
  }
  EXPECT_THROW(head.score(floats({1, 1, 1}, {1, 3})), Error);
  EXPECT_THROW(ScalarHead(floats({1, std::numeric_limits<float>::infinity()}, {1, 2}), {}, {}), Error);
}

TEST_F(HeadFolder, F73_ScoresAreEqualAfterSavingAndLoading) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const ScalarHead head(random_tensor({2, 31}, 1, 1.0, dtype), random_tensor({2}, 2, 1.0, dtype),
                          {.base_identity = "abc", .encoding_hash = "def", .name = "help"});
    save_head(folder_, head);
    ASSERT_TRUE(has_head(folder_));
    const ScalarHead back = load_head(folder_);
    const at::Tensor rows = random_tensor({3, 31}, 3, 1.0, dtype);
    EXPECT_TRUE(at::equal(head.score(rows), back.score(rows)));
    EXPECT_EQ(back.identity(), head.identity());
    EXPECT_EQ(back.record().base_identity, "abc");
    EXPECT_EQ(back.record().encoding_hash, "def");
    EXPECT_EQ(back.record().name, "help");
  }
}

TEST_F(HeadFolder, F73_AMissingExtraOrWrongShapedHeadIsAnError) {
  save_head(folder_, ScalarHead(random_tensor({1, 4}, 1), {}, {}));
  fs::remove(folder_ / "head.safetensors");
  EXPECT_THAT(refusal(), HasSubstr("head.safetensors"));
  write({{"other.weight", floats({1, 2, 3, 4}, {1, 4})}}, "{}", "head.safetensors");
  EXPECT_THAT(refusal(), HasSubstr("other.weight"));
  write({{"score.weight", floats({1, 2, 3, 4}, {2, 2})}}, "{}", "head.safetensors");
  EXPECT_THAT(refusal(), HasSubstr("says [1, 4], got [2, 2]"));
  write({{"score.weight", floats({1, 2, 3, 4}, {1, 4})}, {"score.bias", floats({1, 2}, {2})}}, "{}",
        "head.safetensors");
  EXPECT_THAT(refusal(), HasSubstr("bias of 1"));
}

TEST_F(HeadFolder, F25_ALanguageModelHasNoScoreHead) {
  write(
      {{"model.embed_tokens.weight", floats({1, 2, 3, 4}, {1, 4})}, {"lm_head.weight", floats({1, 2, 3, 4}, {1, 4})}});
  EXPECT_FALSE(has_head(folder_));
  EXPECT_THAT(refusal(), HasSubstr("no score head"));
}

TEST_F(HeadFolder, ReadsTheNamesOfPeers) {
  for (const char* name :
       {"score", "v_head", "value_head", "regression_head", "score_head", "reward_head", "classifier", "out_proj"}) {
    write({{"model.embed_tokens.weight", floats({9, 9, 9, 9}, {1, 4})},
           {std::string(name) + ".weight", floats({1, 2, 3, 4}, {1, 4})},
           {std::string(name) + ".bias", floats({0.5}, {1})}});
    const ScalarHead head = load_head(folder_);
    EXPECT_EQ(head.score(floats({1, 1, 1, 1}, {1, 4})).item().toDouble(), 10.5) << name;
    EXPECT_EQ(head.record().name, name);
    EXPECT_EQ(head.record().base_identity, "");
  }
}

TEST_F(HeadFolder, TheConfiguredNameDecidesAndTwoHeadsWithoutItAreRefused) {
  const std::map<std::string, at::Tensor> two = {{"score.weight", floats({1, 0, 0, 0}, {1, 4})},
                                                 {"my_head.weight", floats({2, 0, 0, 0}, {1, 4})},
                                                 {"v_head.weight", floats({3, 0, 0, 0}, {1, 4})}};
  write(two);
  EXPECT_THAT(refusal(), HasSubstr("expected one score head, got \"score\" and \"v_head\""));
  write(two, R"({"hidden_size": 4, "value_head_prefix": "my_head"})");
  EXPECT_EQ(load_head(folder_).score(floats({1, 1, 1, 1}, {1, 4})).item().toDouble(), 2.0);
}

TEST_F(HeadFolder, RefusesHeadsThatDisagreeWithTheConfigurationOrAreNotLinear) {
  write({{"score.weight", floats({1, 2, 3, 4, 5, 6, 7, 8}, {2, 4})}}, R"({"hidden_size": 4, "num_labels": 1})");
  EXPECT_THAT(refusal(), HasSubstr("the configuration says [1, 4], got [2, 4]"));
  write({{"score.weight", floats({1, 2, 3, 4, 5, 6, 7, 8}, {2, 4})}},
        R"({"hidden_size": 4, "id2label": {"0": "LABEL_0"}})");
  EXPECT_THAT(refusal(), HasSubstr("the configuration says [1, 4], got [2, 4]"));
  write({{"score.weight", floats({1, 2, 3, 4}, {1, 4})}}, R"({"hidden_size": 8})");
  EXPECT_THAT(refusal(), HasSubstr("the configuration says [1, 8], got [1, 4]"));
  write({{"score.0.weight", floats({1, 2, 3, 4}, {1, 4})}, {"score.2.weight", floats({1}, {1, 1})}});
  EXPECT_THAT(refusal(), HasSubstr("expected a linear score head"));
  write({{"score.weight", floats({1, 2, 3, 4}, {4})}});
  EXPECT_THAT(refusal(), HasSubstr("expected 2 dimensions"));
}

TEST(Head, RefusesAnotherModelOrEncodingAndNamesBoth) {
  const ScalarHead head(random_tensor({1, 4}, 1), {}, {.base_identity = "model-a", .encoding_hash = "enc-a"});
  EXPECT_NO_THROW(head.check_fits(4, "model-a", "enc-a"));
  EXPECT_NO_THROW(head.check_fits(4, "", ""));
  const auto message = [&](int64_t hidden, const char* base, const char* encoding) {
    try {
      head.check_fits(hidden, base, encoding);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(message(8, "model-a", "enc-a"), HasSubstr("reads 4 values a position, the model gives 8"));
  EXPECT_THAT(message(4, "model-b", "enc-a"), ::testing::AllOf(HasSubstr("model-a"), HasSubstr("model-b")));
  EXPECT_THAT(message(4, "model-a", "enc-b"), ::testing::AllOf(HasSubstr("enc-a"), HasSubstr("enc-b")));
}

}  // namespace
}  // namespace merit::nn
