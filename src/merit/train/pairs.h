// Preference pairs from labelled groups.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "merit/data/group.h"

namespace merit::train {

struct Pair {
  size_t chosen;  // index of a text, as the caller numbers them
  size_t rejected;
  size_t group;  // pairs of one group are not independent: they stay together in every fold and interval
};

// Every pair of candidates of one group whose labels differ, the higher label chosen. `text_of[g][c]` is the index of
// candidate c of group g, or -1 for one that is left out.
std::vector<Pair> pairs_of(std::span<const data::Group> groups, const std::vector<std::vector<int64_t>>& text_of);

}  // namespace merit::train
