#include "merit/data/id_set.h"

#include <algorithm>

#include "merit/core/hash.h"

namespace merit::data {

IdSet::Slot IdSet::slot_of(std::string_view id) {
  Slot slot;
  slot.high = hash64(id, 1);
  slot.low = static_cast<uint32_t>(hash64(id, 2));
  return slot;
}

size_t IdSet::find(const Slot& wanted) const {
  const size_t mask = slots_.size() - 1;
  size_t at = wanted.high & mask;
  while (slots_[at].number != 0 && (slots_[at].high != wanted.high || slots_[at].low != wanted.low)) {
    at = (at + 1) & mask;
  }
  return at;
}

void IdSet::grow() {
  std::vector<Slot> old(std::max<size_t>(16, slots_.size() * 2));
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.number != 0) slots_[find(slot)] = slot;
  }
}

uint64_t IdSet::insert(std::string_view id, uint64_t number) {
  if (used_ * 4 >= slots_.size() * 3) grow();
  Slot slot = slot_of(id);
  Slot& at = slots_[find(slot)];
  if (at.number != 0) return at.number;
  slot.number = std::max<uint32_t>(1, static_cast<uint32_t>(number));
  at = slot;
  ++used_;
  return 0;
}

bool IdSet::contains(std::string_view id) const { return used_ > 0 && slots_[find(slot_of(id))].number != 0; }

}  // namespace merit::data
