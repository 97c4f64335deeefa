// Losses of score-head outputs against labels of their own: attributes of a response (SteerLM's and HelpSteer's
// regression, Wang et al. 2023) and steps of a solution (process rewards, Lightman et al. 2023; Uesato et al. 2022).
// NaN says that there is no label; a row without any weighs nothing.
#pragma once

#include "merit/objective/objectives.h"

namespace merit::objective {

// values and value_targets [R, K]. Items are rows, weighted by their labels: the mean is over labels. Metric: mse.
Objective attribute_regression();

// values [R, 1] with targets in [0, 1], soft ones too (Wang et al. 2024, Math-Shepherd): binary cross-entropy of the
// logit. values [R, K], K >= 2, with targets [R, 1] of classes 0 .. K-1: cross-entropy, as TRL's PRMTrainer with two
// classes. Items are rows of weight 1. Error(kData) naming the row of another target. Metric: accuracy (a target above
// 1/2 is a good step).
Objective step_labels();

}  // namespace merit::objective
