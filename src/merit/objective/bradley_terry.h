// The Bradley-Terry reward-model loss (Bradley and Terry 1952; Ouyang et al. 2022, eq. 1), with the margin of
// Llama 2 (Touvron et al. 2023, eq. 2), conservative label smoothing, and the centring term of Eisenstein et al.
// (2023), as TRL's RewardTrainer has them.
//   -(1-e) logsigmoid(c-r-m) - e logsigmoid(-(c-r-m)) + k (c+r)^2, mean over pairs
// with c and r the rewards of the chosen and the rejected sequence: values [S, 1], one row a sequence.
#pragma once

#include <memory>

#include "merit/objective/objectives.h"

namespace merit::objective {

struct BradleyTerryOptions {
  // With probability label_smoothing the label is taken to be wrong; in [0, 0.5).
  double label_smoothing = 0.0;
  // Weight of the squared sum of a pair's rewards, which pulls them towards a mean of zero; TRL recommends 0.01 where
  // it is used.
  double center_rewards_coefficient = 0.0;
};

// Metrics: min_reward, mean_reward, max_reward, accuracy (strictly greater: a tie is not a win), ties, margin.
Objective bradley_terry();

// The same for options already typed, as fitting a head has them. Error(kUsage) out of range.
std::unique_ptr<Loss> make_bradley_terry(const BradleyTerryOptions& options);

}  // namespace merit::objective
