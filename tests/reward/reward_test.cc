#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "merit/core/error.h"
#include "merit/nn/head.h"
#include "merit/nn/transformer.h"
#include "merit/reward/head.h"
#include "merit/reward/kinds.h"
#include "merit/reward/likelihood.h"
#include "merit/reward/runner.h"
#include "tests/reward/tiny_model_support.h"

namespace merit::reward {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

data::Group group_of(std::string id, std::string prompt, std::vector<std::string> responses, OrderedJson columns = {}) {
  data::Group group;
  group.id = std::move(id);
  group.where = "rows.jsonl:1";
  group.prompt = Content(std::move(prompt));
  group.layout = data::Layout::kResponses;
  for (std::string& response : responses) {
    data::Candidate candidate;
    candidate.content = Content(std::move(response));
    group.candidates.push_back(std::move(candidate));
  }
  if (columns.is_object()) group.columns = std::move(columns);
  return group;
}

class RewardTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = new std::shared_ptr<const Model>(std::make_shared<const Model>(test::write_tiny_model(1), ModelOptions{}));
  }
  static void TearDownTestSuite() { delete model_; }
  static std::shared_ptr<const Model> model() { return *model_; }

  static std::vector<Table> run_all(std::vector<std::unique_ptr<Reward>> rewards, std::vector<data::Group> groups,
                                    int64_t budget = 2048, nn::ReadStats* stats = nullptr) {
    return run(rewards, groups, model_reader({.token_budget = budget}, stats));
  }
  static std::vector<std::unique_ptr<Reward>> both() {
    std::vector<std::unique_ptr<Reward>> rewards;
    rewards.push_back(std::make_unique<LikelihoodReward>("likelihood", model(), LikelihoodRule::kSum));
    rewards.push_back(std::make_unique<HeadReward>(
        "head", model(), nn::ScalarHead(at::ones({1, model()->config().hidden_size}), {}, {})));
    return rewards;
  }

 private:
  static std::shared_ptr<const Model>* model_;
};

std::shared_ptr<const Model>* RewardTest::model_ = nullptr;

TEST_F(RewardTest, F19_ScoresAreTheSameBitsInAnyCompany) {
  const data::Group alone = group_of("a", "What is it?", {"a dog", "a cat that sat on the mat", "x"});
  const data::Group longer = group_of("b", "What is it? Say more about it.", {"a dog", std::string(150, 'z')});
  const data::Group other = group_of("c", "Hm", {"a", "ab", "abc", "abcd"});
  const auto one = run_all(both(), {alone});
  const auto together = run_all(both(), {longer, alone, other}, 32);
  for (size_t r = 0; r < 2; ++r) {
    for (size_t c = 0; c < 3; ++c) {
      EXPECT_EQ(one[r].cells[0][c].value, together[r].cells[1][c].value);
      EXPECT_TRUE(std::isfinite(one[r].cells[0][c].value));
    }
  }
}

TEST_F(RewardTest, RewardsOnOneModelShareOneReading) {
  const data::Group group = group_of("a", "What is it?", {"a dog", "a cat"});
  nn::ReadStats alone, together;
  std::vector<std::unique_ptr<Reward>> first;
  first.push_back(std::move(both()[0]));
  run_all(std::move(first), {group}, 2048, &alone);
  run_all(both(), {group}, 2048, &together);
  EXPECT_EQ(together.tokens_computed, alone.tokens_computed);
  EXPECT_EQ(together.tokens_asked, 2 * alone.tokens_asked);
  EXPECT_LT(alone.tokens_computed, alone.tokens_asked);  // the prompt is shared
}

TEST_F(RewardTest, CountingReaderForetellsTheCost) {
  const std::vector<data::Group> groups = {group_of("a", "What?", {"a dog", "a cat"}),
                                           group_of("b", "What?", {"a dog"})};
  nn::ReadStats foretold, real;
  const auto rewards = both();
  run(rewards, groups, counting_reader(foretold));
  run(rewards, groups, model_reader({}, &real));
  EXPECT_EQ(foretold.tokens_asked, real.tokens_asked);
  EXPECT_EQ(foretold.tokens_computed, real.tokens_computed);
}

TEST_F(RewardTest, LikelihoodIsTheSumOfTheTokensOfTheResponse) {
  const data::Group group = group_of("a", "What is it?", {"a dog"});
  const auto tables = run_all(both(), {group});
  const Cell& cell = tables[0].cells[0][0];
  const auto encoded = model()->encode(group, group.candidates[0]).value();
  const auto result = nn::read(model()->transformer(),
                               std::vector<nn::PathRequest>{{.ids = encoded.ids, .logps_from = encoded.boundary}})[0];
  double sum = 0;
  for (const float logp : result.logps) sum += static_cast<double>(logp);
  EXPECT_EQ(cell.value, sum);
  ASSERT_EQ(cell.parts.size(), 3u);
  EXPECT_EQ(cell.parts[2].second, static_cast<double>(encoded.ids.size()) - encoded.boundary);
  EXPECT_EQ(cell.parts[1].second, sum / cell.parts[2].second);
}

TEST_F(RewardTest, EmptyResponsesAbstainByResponseAndOthersGoOn) {
  const auto tables = run_all(both(), {group_of("a", "What?", {"", "yes"})});
  for (const Table& table : tables) {
    EXPECT_EQ(table.cells[0][0].cause, Cause::kResponse);
    EXPECT_FALSE(table.cells[0][0].has_value());
    EXPECT_TRUE(table.cells[0][1].has_value());
  }
}

TEST_F(RewardTest, F10_HeadRefusesAnotherModelOrEncoding) {
  const auto weight = at::ones({1, model()->config().hidden_size});
  EXPECT_NO_THROW(HeadReward(
      "r", model(),
      nn::ScalarHead(weight, {}, {.base_identity = model()->identity(), .encoding_hash = model()->encoding_hash()})));
  EXPECT_THROW(HeadReward("r", model(), nn::ScalarHead(weight, {}, {.base_identity = "other"})), Error);
  EXPECT_THROW(HeadReward("r", model(), nn::ScalarHead(weight, {}, {.encoding_hash = "other"})), Error);
  EXPECT_THROW(HeadReward("r", model(), nn::ScalarHead(at::ones({1, 8}), {}, {})), Error);
}

TEST_F(RewardTest, IdentityFollowsTheWeights) {
  const Model other(test::write_tiny_model(2), {});
  EXPECT_NE(other.identity(), model()->identity());
  EXPECT_EQ(other.encoding_hash(), model()->encoding_hash());
  EXPECT_EQ(Model(test::write_tiny_model(1), {}).identity(), model()->identity());
}

std::vector<Table> run_answer(std::vector<data::Group> groups) {
  std::vector<std::unique_ptr<Reward>> rewards;
  rewards.push_back(std::make_unique<AnswerReward>("answer", AnswerOptions{}));
  return run(rewards, groups, model_reader({}));
}

TEST(AnswerReward, FloorForTheResponseAbstentionForTheItem) {
  const auto tables = run_answer({group_of("a", "2+2?", {"4", "5", "dunno"}, {{"answer", 4}}),
                                  group_of("b", "2+2?", {"4"}), group_of("c", "2+2?", {"4"}, {{"answer", "none"}})});
  const auto& cells = tables[0].cells;
  EXPECT_EQ(cells[0][0].value, 1.0);
  EXPECT_EQ(cells[0][1].value, 0.0);
  EXPECT_EQ(cells[0][2].value, 0.0);
  EXPECT_EQ(cells[0][2].cause, Cause::kResponse);
  EXPECT_EQ(cells[1][0].cause, Cause::kItem);
  EXPECT_FALSE(cells[1][0].has_value());
  EXPECT_EQ(cells[2][0].cause, Cause::kItem);
  EXPECT_FALSE(cells[2][0].has_value());
}

TEST(AnswerReward, F51_ThePromptEarnsNothing) {
  const auto tables = run_answer({group_of("a", "Write \\boxed{1}, as in: the answer is 1", {"idk"}, {{"answer", 1}})});
  EXPECT_EQ(tables[0].cells[0][0].value, 0.0);
}

TEST(AnswerReward, AnUnknownKindIsAnErrorOfTheRow) {
  EXPECT_THROW(run_answer({group_of("a", "p", {"1"}, {{"answer", 1}, {"answer_kind", "prose"}})}), Error);
}

std::string error_of(const std::string& spec, ModelPool& pool, const std::string& model = "") {
  try {
    make_reward(spec, {.models = pool, .model = model, .answer = {}});
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Kinds, SpecsAreCheckedBeforeAnythingLoads) {
  ModelPool pool({});
  EXPECT_THAT(error_of("likelyhood", pool), HasSubstr("did you mean likelihood"));
  EXPECT_THAT(error_of("likelihood", pool), HasSubstr("--model"));
  EXPECT_THAT(error_of("answer:3", pool), HasSubstr("expected math, number, text, date or list, got \"3\""));
  EXPECT_THAT(error_of("head", pool), HasSubstr("head:FOLDER"));
  EXPECT_THAT(error_of("=answer", pool), HasSubstr("[NAME=]KIND"));
  EXPECT_EQ(make_reward("gold=answer", {.models = pool, .model = "", .answer = {}})->name(), "gold");
  const std::vector<std::string> twice = {"answer", "answer"};
  EXPECT_THROW(make_rewards(twice, {.models = pool, .model = "", .answer = {}}), Error);
}

TEST(Kinds, F25_ALanguageModelIsNoRewardModel) {
  ModelPool pool({});
  EXPECT_THAT(error_of("head:" + test::write_tiny_model(1).string(), pool), HasSubstr("no score head"));
}

}  // namespace
}  // namespace merit::reward
