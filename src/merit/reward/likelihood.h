// The log-likelihood of a response under a language model, given its prompt: a reward without a reward model.
#pragma once

#include "merit/reward/path_reward.h"

namespace merit::reward {

enum class LikelihoodRule {
  kSum,   // ln p(response | prompt), natural log, the end-of-turn token included
  kMean,  // the same divided by the number of tokens
};

// Parts: `sum`, `mean`, `tokens`.
class LikelihoodReward : public PathReward {
 public:
  LikelihoodReward(std::string name, std::shared_ptr<const Model> model, LikelihoodRule rule)
      : PathReward(std::move(name), std::move(model)), rule_(rule) {}
  std::string identity() const override { return rule_ == LikelihoodRule::kSum ? "likelihood:sum" : "likelihood:mean"; }

 private:
  nn::PathRequest request(const text::Encoded& encoded) const override;
  Cell cell(const text::Encoded& encoded, const nn::PathResult& result) const override;

  LikelihoodRule rule_;
};

}  // namespace merit::reward
