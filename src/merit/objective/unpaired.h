// Losses of single completions labelled desirable or not: KTO (Ethayarajh et al. 2024), its APO relative (D'Oosterlinck
// et al. 2024) and BCO (Jung et al. 2024). Formulas, names and defaults are TRL's (PEERS.md 1.4; BCO without the
// density-ratio weights of its prompt classifier).
#pragma once

#include "merit/objective/objectives.h"

namespace merit::objective {

// Items are sequences; mismatched ones have weight 0. loss_type kto reads the mismatched sequences and is coupled over
// the batch by their mean; apo_zero_unpaired is not. Metrics: kl, rewards/{chosen,rejected,margins},
// logps/{chosen,rejected}.
Objective kto();

// Keeps the running mean of all rewards (state "mean", "count"), to which update() adds the step's before the loss
// reads it. Every sequence is labelled. Metrics: delta and the above without kl.
Objective bco();

}  // namespace merit::objective
