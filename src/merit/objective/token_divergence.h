// Losses of divergences per token between the policy and another model: token-level DPO (Zeng et al. 2024) and
// generalised knowledge distillation (Agarwal et al. 2024).
#pragma once

#include "merit/objective/objectives.h"

namespace merit::objective {

// Reads KL(reference || policy) of every position. Items are pairs. Metrics: rewards/{chosen,rejected,accuracies,
// margins}, logps/{chosen,rejected}, seq_kl/{chosen,rejected}.
Objective tdpo();

// Reads the generalised Jensen-Shannon divergence to a teacher, at temperature 1 as TRL's GKDTrainer has it. Items are
// sequences, weighted by their tokens.
Objective gkd();

}  // namespace merit::objective
