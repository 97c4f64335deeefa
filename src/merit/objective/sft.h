// Maximum likelihood of completions, and dynamic fine-tuning (Wu et al. 2025), which weighs a token by its own
// probability.
//   nll: mean over tokens of -ln p        dft: mean over tokens of -sg(p) ln p
#pragma once

#include "merit/objective/objectives.h"

namespace merit::objective {

// Every sequence's completion counts; a token is a token, whatever its sequence's length.
Objective sft();

}  // namespace merit::objective
