// The makers of problems, one for each family. Internal to the task module.
#pragma once

#include "merit/core/rng.h"
#include "merit/task/task.h"

namespace merit::task {

// Each fills prompt, answer and kind for a difficulty of 1 .. 5, from the numbers of `rng` alone.
void make_arithmetic(Rng& rng, int difficulty, Problem& problem);
void make_word_problem(Rng& rng, int difficulty, Problem& problem);
void make_sequence(Rng& rng, int difficulty, Problem& problem);
void make_sorting(Rng& rng, int difficulty, Problem& problem);
void make_date(Rng& rng, int difficulty, Problem& problem);
void make_unit(Rng& rng, int difficulty, Problem& problem);

// One of the items.
template <typename List>
const auto& pick(Rng& rng, const List& items) {
  return items[rng.below(std::size(items))];
}

// A fraction top/bottom of whole numbers as a terminating decimal ("2.5"); bottom divides a power of ten.
std::string decimal(int64_t top, int64_t bottom);

}  // namespace merit::task
