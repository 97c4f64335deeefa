// The likelihood of a ranking under Plackett and Luce: the best is drawn from all, the next from the rest, and so on
// (Plackett 1975; ListMLE, Xia et al. 2008; for policies Rafailov et al. 2023, appendix A.3). Lists may come from a
// preference tree: siblings in order of their value.
#pragma once

#include "merit/objective/objectives.h"

namespace merit::objective {

// Items are lists of two or more, best first. score values: a reward model's, one row of one column a sequence; policy:
// beta (ln pi - ln pi_ref). A list of two is Bradley-Terry, or DPO. Metrics: accuracy (the list's first has strictly
// the highest score), kendall_tau (mean over lists of concordant minus discordant pairs, over pairs).
Objective plackett_luce();

}  // namespace merit::objective
