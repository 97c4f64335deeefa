// The table of reward kinds, and rewards from what a command line says: [NAME=]KIND[:ARGUMENT].
//
//   answer                1 if the response's answer is the row's reference, else 0
//   likelihood[:mean]     ln p(response | prompt) of the model; mean: per token
//   head:FOLDER           a trained score head: a folder that `merit train` wrote, on the model given beside it, or a
//                         Hugging Face sequence-classification folder, which is its own model
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "merit/reward/answer.h"
#include "merit/reward/reward.h"

namespace merit::reward {

struct RewardContext {
  ModelPool& models;
  std::string model;  // the model of rewards that name none; "" if none was given
  AnswerOptions answer;
};

// One line a kind: its name with argument, and what it is.
std::vector<std::pair<std::string, std::string>> reward_kinds();

// Error(kUsage) for an unknown kind (with the nearest), a missing or needless argument, or a model that is needed and
// not given. The name is KIND unless NAME= stands in front.
std::unique_ptr<Reward> make_reward(const std::string& spec, const RewardContext& context);

// All of them; Error(kUsage) if two have one name.
std::vector<std::unique_ptr<Reward>> make_rewards(std::span<const std::string> specs, const RewardContext& context);

}  // namespace merit::reward
