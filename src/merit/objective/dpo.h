// Direct Preference Optimisation (Rafailov et al. 2023) and the losses of its family: f-divergences (Wang et al. 2024),
// length desensitising (ld_alpha, Liu et al. 2024), weighted pairs (WPO, Zhou et al. 2024), weighted sums of losses
// (MPO, Wang et al. 2024). Names, formulas and defaults are TRL's (PEERS.md 1.3), except where this says otherwise:
//
// - A loss weighted by WPO is weighted pair by pair for `sft` too; TRL multiplies the batch's mean by the mean weight.
// - label_smoothing with losses that all ignore it is an error, not ignored.
// - alpha_divergence is computed in float64, its exponent capped at 80.
#pragma once

#include "merit/objective/objectives.h"

namespace merit::objective {

// Items are pairs; losses of all types are added per pair, but for `sft`, a term of its own: a mean over the chosen
// completions' tokens. Metrics: rewards/{chosen,rejected,accuracies,margins} (beta D, whatever the divergence),
// logps/{chosen,rejected}.
Objective dpo();

}  // namespace merit::objective
