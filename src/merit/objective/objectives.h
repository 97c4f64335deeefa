// The table of objectives.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "merit/core/json.h"
#include "merit/objective/objective.h"
#include "merit/objective/options.h"

namespace merit::objective {

struct Objective {
  std::string name;     // as TRL's trainer has it, in lower case
  std::string paper;    // authors, year, what
  std::string formula;  // one equation a line, in the notation of docs/objectives.md
  std::vector<Field> fields;
  // Error(kUsage) for settings that fit neither a field nor each other.
  std::unique_ptr<Loss> (*make)(const Json& settings);
};

// Every objective, in the order of the docs. Built once; thread-safe.
std::span<const Objective> objectives();

// Error(kUsage) for an unknown name, with the closest known one.
const Objective& find_objective(std::string_view name);

}  // namespace merit::objective
