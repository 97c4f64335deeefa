#include "merit/objective/objectives.h"

#include "merit/core/error.h"
#include "merit/core/strings.h"
#include "merit/objective/bradley_terry.h"
#include "merit/objective/dpo.h"
#include "merit/objective/labelled_values.h"
#include "merit/objective/plackett_luce.h"
#include "merit/objective/reference_free.h"
#include "merit/objective/sft.h"
#include "merit/objective/token_divergence.h"
#include "merit/objective/unpaired.h"

namespace merit::objective {

std::span<const Objective> objectives() {
  static const std::vector<Objective> table = {
      sft(),         bradley_terry(), plackett_luce(), attribute_regression(),
      step_labels(), dpo(),           tdpo(),          cpo(),
      simpo(),       orpo(),          kto(),           bco(),
      gkd(),
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
