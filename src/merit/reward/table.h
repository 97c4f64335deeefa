// What a reward says: one cell per candidate of each group.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace merit::reward {

// Why there is no value. `response`: because of the answer (unparseable, empty); the reward's declared floor is taken
// if it has one, so that nobody escapes a penalty by breaking the checker. `item`: because of the data (bad reference,
// prompt too long). `system`: because something outside failed. Without a floor the cell abstains and is counted.
enum class Cause { kResponse, kItem, kSystem };

const char* name_of(Cause cause);

struct Cell {
  double value = std::numeric_limits<double>::quiet_NaN();  // NaN exactly if it abstained without a floor
  std::optional<Cause> cause;                               // set if it abstained, with or without a floor
  std::string reason;                                       // what happened, one line; empty if nothing did
  bool truncated = false;                                   // the text was cut to fit before it was scored
  std::vector<std::pair<std::string, double>> parts;        // named parts of the value

  bool has_value() const { return value == value; }
};

struct Table {
  std::string reward;                    // its name
  std::vector<std::vector<Cell>> cells;  // [groups][candidates of the group]
};

// A cell that abstained: the floor if the cause is the response's own and there is one.
Cell abstain(Cause cause, std::string reason, std::optional<double> floor = std::nullopt);

}  // namespace merit::reward
