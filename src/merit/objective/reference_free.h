// Preference losses without a reference model: CPO (Xu et al. 2024), SimPO (Meng et al. 2024), AlphaPO (Gupta et al.
// 2025) and ORPO (Hong et al. 2024). Formulas and defaults of cpo and orpo are TRL's (PEERS.md 1.5).
#pragma once

#include "merit/objective/objectives.h"

namespace merit::objective {

// Two terms: pairs, and the chosen completions' NLL, a mean over tokens, times cpo_alpha. loss_type ipo and simpo read
// mean log-probs, the others sums. Metrics: rewards/*, logps/*, nll_loss.
Objective cpo();

// cpo with loss_type simpo and no NLL, which is the paper's loss; beta and simpo_gamma default to the paper's range,
// not to TRL's.
Objective simpo();

// Two terms: pairs, and the NLL of the chosen sequences: of prompt and completion as TRL and the authors' code have it,
// or of the completion only. The mean log-prob is capped at -1e-12: the odds of a certain completion are infinite.
// Metrics: rewards/*, logps/*, nll_loss, log_odds_ratio, log_odds_chosen.
Objective orpo();

}  // namespace merit::objective
