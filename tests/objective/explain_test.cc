#include "merit/objective/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/objective/objective_support.h"

namespace merit::objective {
namespace {

using namespace testing;

const ExplainPoint& point_at(const Explanation& explanation, double chosen, double rejected) {
  for (const ExplainPoint& point : explanation.points) {
    if (point.chosen == chosen && point.rejected == rejected) return point;
  }
  throw std::out_of_range("no such point");
}

TEST(Explain, DpoRaisesChosenAsMuchAsItLowersRejected) {
  const Explanation explanation = explain(find_objective("dpo"), Json::object());
  EXPECT_EQ(explanation.variable, Explanation::Variable::kLogLikelihood);
  const ExplainPoint& start = point_at(explanation, 0, 0);
  EXPECT_NEAR(start.loss, std::log(2), 1e-15);
  EXPECT_NEAR(start.to_chosen, -.05, 1e-15);  // -beta / 2
  EXPECT_NEAR(*start.to_rejected, .05, 1e-15);
  // beta d = 0.1 * 10: -beta (1 - sigmoid(1)).
  EXPECT_NEAR(point_at(explanation, 5, -5).to_chosen, -.1 / (1 + std::exp(1)), 1e-15);
}

TEST(Explain, ApoDownLowersTheChosenToo) {
  const Explanation explanation = explain(find_objective("dpo"), {{"loss_type", "apo_down"}});
  // beta (1/4 - 1/4) and beta / 4 where both stand; far below the reference the chosen's own term fades.
  EXPECT_NEAR(point_at(explanation, 0, 0).to_chosen, 0, 1e-15);
  EXPECT_GT(*point_at(explanation, 0, 0).to_rejected, 0);
  EXPECT_GT(point_at(explanation, 5, -5).to_chosen, 0);
}

TEST(Explain, SimpoDividesByTheLength) {
  const ExplainPoint start = point_at(explain(find_objective("simpo"), Json::object()), 0, 0);
  // beta / 4 tokens * (1 - sigmoid(-gamma)), gamma 0.5.
  EXPECT_NEAR(start.to_chosen, -.5 * (1 - 1 / (1 + std::exp(.5))), 1e-15);
}

TEST(Explain, RewardsAndDivergencesAreTheirOwnVariables) {
  const Explanation reward = explain(find_objective("bradley_terry"), Json::object());
  EXPECT_EQ(reward.variable, Explanation::Variable::kReward);
  EXPECT_NEAR(point_at(reward, 0, 0).to_chosen, -.5, 1e-15);
  const Explanation gkd = explain(find_objective("gkd"), Json::object());
  EXPECT_EQ(gkd.variable, Explanation::Variable::kDivergence);
  EXPECT_NEAR(point_at(gkd, 0, 0).loss, 2, 1e-15);
  EXPECT_NEAR(point_at(gkd, 0, 0).to_chosen, .25, 1e-15);
}

TEST(Explain, AnObjectiveOfSingleSequencesHasNoRejected) {
  for (const ExplainPoint& point : explain(find_objective("sft"), Json::object()).points) {
    EXPECT_FALSE(point.to_rejected);
    EXPECT_NEAR(point.to_chosen, -.25, 1e-15);
  }
}

TEST(Explain, EveryObjectiveIsFiniteAtEveryPoint) {
  for (const Objective& objective : objectives()) {
    const Explanation explanation = explain(objective, Json::object());
    EXPECT_GE(explanation.points.size(), 3u) << objective.name;
    for (const ExplainPoint& point : explanation.points) {
      EXPECT_TRUE(std::isfinite(point.loss + point.to_chosen + point.to_rejected.value_or(0))) << objective.name;
      // Training never raises the rejected where both stand still.
      if (point.chosen == 0) {
        EXPECT_GE(point.to_rejected.value_or(0), 0) << objective.name;
      }
    }
  }
}

TEST(Explain, NeedsAndCouplingHaveNames) {
  EXPECT_THAT(need_names(find_objective("kto").make(Json::object())->needs()),
              ::testing::ElementsAre("logps", "ref_logps", "labels", "mismatched"));
  EXPECT_EQ(coupling_name(find_objective("kto").make(Json::object())->coupling()), "batch");
  EXPECT_EQ(coupling_name(find_objective("dpo").make(Json::object())->coupling()), "none");
}

}  // namespace
}  // namespace merit::objective
