// The one interface of everything that scores.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "merit/data/group.h"
#include "merit/reward/computation.h"

namespace merit::reward {

class Reward {
 public:
  virtual ~Reward() = default;

  virtual const std::string& name() const = 0;
  // What its values depend on besides the models it reads: weights, rules. For telling runs apart.
  virtual std::string identity() const = 0;
  // A value for every candidate of every group. What one candidate gets depends on nothing but its group's prompt,
  // columns and itself. `groups` outlives the computation. Const and thread-safe.
  virtual Computation score(std::span<const data::Group> groups) const = 0;
};

}  // namespace merit::reward
