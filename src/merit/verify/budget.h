// The work one check may do, counted in machine words touched, never in time: a verdict is the same on every machine,
// in every thread and under every load. Internal to the checker.
#pragma once

#include <cstddef>
#include <cstdint>

namespace merit::verify {

// Raised inside a comparison where no decision is possible; caught where the comparison starts and turned into
// "unknown" with this reason. Never leaves the module.
struct Undecided {
  const char* reason;
};

class Budget {
 public:
  // About 50 ms and far below 64 MiB: every word that is kept was paid for.
  static constexpr uint64_t kDefault = 2'000'000;
  // No integer may need more bits.
  static constexpr size_t kMaxBits = 1 << 15;

  explicit Budget(uint64_t words = kDefault) : left_(words) {}
  void spend(uint64_t words) {
    if (words > left_) throw Undecided{"over the work limit"};
    left_ -= words;
  }
  uint64_t left() const { return left_; }

 private:
  uint64_t left_;
};

}  // namespace merit::verify
