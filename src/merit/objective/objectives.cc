#include "merit/objective/objectives.h"

#include "merit/core/error.h"
#include "merit/core/strings.h"
#include "merit/objective/bradley_terry.h"
#include "merit/objective/sft.h"

namespace merit::objective {

std::span<const Objective> objectives() {
  static const std::vector<Objective> table = {
      sft(),
      bradley_terry(),
  };
  return table;
}

const Objective& find_objective(std::string_view name) {
  std::vector<std::string> names;
  for (const Objective& objective : objectives()) {
    if (objective.name == name) return objective;
    names.push_back(objective.name);
  }
  const std::string guess = closest(name, names);
  fail(ErrorKind::kUsage, "no objective {}; {}", quote(name),
       guess.empty() ? "there are " + join(names, ", ") : "did you mean " + guess + "?");
}

}  // namespace merit::objective
