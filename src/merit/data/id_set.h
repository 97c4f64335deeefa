// Which ids were seen and in which row, in 16 bytes an id whatever its length: for files of millions of rows. An id is
// told by 96 bits of its hash; two of a million ids collide with a chance of 1e-17.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace merit::data {

class IdSet {
 public:
  // 0 if the id is new, else the row, from 1, in which it was inserted first (modulo 2^32: it only serves messages).
  uint64_t insert(std::string_view id, uint64_t number);
  bool contains(std::string_view id) const;
  size_t size() const { return used_; }

 private:
  struct Slot {
    uint64_t high = 0;
    uint32_t low = 0;
    uint32_t number = 0;  // 0: an empty slot
  };
  static Slot slot_of(std::string_view id);
  // Where the id stands, or the empty slot where it would.
  size_t find(const Slot& wanted) const;
  void grow();

  std::vector<Slot> slots_;  // a power of two, at most three quarters full
  size_t used_ = 0;
};

}  // namespace merit::data
