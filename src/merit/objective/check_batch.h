// The entry check of every objective.
#pragma once

#include "merit/objective/objective.h"

namespace merit::objective {

// Error(kData) naming the part of the batch that is missing, or whose shape, order or indices do not fit.
void check_batch(const Batch& batch, Needs needs);

}  // namespace merit::objective
