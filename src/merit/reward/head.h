// A learned reward model: a scalar head on the hidden state of the response's last token (Ouyang et al. 2022), or on
// the states that the head's record names.
#pragma once

#include "merit/nn/head.h"
#include "merit/reward/path_reward.h"

namespace merit::reward {

// The position a head reads: the last token of the sequence, whatever its id.
nn::PathRequest last_hidden_request(const text::Encoded& encoded);

class HeadReward : public PathReward {
 public:
  // Error(kData) if the head was fitted to another model or encoding than `model`, or has more than one output.
  HeadReward(std::string name, std::shared_ptr<const Model> model, nn::ScalarHead head);
  std::string identity() const override { return "head:" + head_.identity(); }

 private:
  nn::PathRequest request(const text::Encoded& encoded) const override;
  Cell cell(const text::Encoded& encoded, const nn::PathResult& result) const override;

  nn::ScalarHead head_;
};

}  // namespace merit::reward
