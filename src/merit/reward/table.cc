#include "merit/reward/table.h"

namespace merit::reward {

const char* name_of(Cause cause) {
  switch (cause) {
    case Cause::kResponse:
      return "response";
    case Cause::kItem:
      return "item";
    case Cause::kSystem:
      return "system";
  }
  return "";
}

Cell abstain(Cause cause, std::string reason, std::optional<double> floor) {
  Cell cell;
  cell.cause = cause;
  cell.reason = std::move(reason);
  if (cause == Cause::kResponse && floor) cell.value = *floor;
  return cell;
}

}  // namespace merit::reward
