// The Bradley-Terry reward-model loss (Bradley and Terry 1952; Ouyang et al. 2022, eq. 1), with the margin of
// Llama 2 (Touvron et al. 2023, eq. 2), conservative label smoothing, and the centring term of Eisenstein et al.
// (2023), as TRL's RewardTrainer has them.
#pragma once

#include <ATen/core/Tensor.h>

namespace merit::objective {

struct BradleyTerryOptions {
  // With probability label_smoothing the label is taken to be wrong; in [0, 0.5).
  double label_smoothing = 0.0;
  // Weight of mean((r_c + r_r)^2), which pulls rewards towards a mean of zero; TRL recommends 0.01 where it is used.
  double center_rewards_coefficient = 0.0;
};

struct BradleyTerryResult {
  at::Tensor loss;      // [] mean over pairs, differentiable
  double accuracy = 0;  // share of pairs with chosen strictly above rejected: a tie is not a win
  double ties = 0;      // share of pairs with equal rewards
  double margin = 0;    // mean of chosen - rejected
};

// chosen, rejected: rewards [B], one floating dtype; margin: [B] or undefined (zeros). B >= 1.
//   loss = mean[-(1-e) logsigmoid(c-r-m) - e logsigmoid(-(c-r-m))] + k mean[(c+r)^2]
// Throws Error(kUsage) for options out of range or shapes that differ. Pure: reads nothing but its arguments.
BradleyTerryResult bradley_terry(const at::Tensor& chosen, const at::Tensor& rejected, const at::Tensor& margin,
                                 const BradleyTerryOptions& options);

}  // namespace merit::objective
