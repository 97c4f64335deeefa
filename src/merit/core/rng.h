// Counter-based randomness: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
// A number is a pure function of (seed, stream, counter), so nothing depends on who asked first.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace merit {

class Philox {
 public:
  Philox(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  // Four independent 32-bit words.
  std::array<uint32_t, 4> at(uint64_t counter) const;
  // Uniform on [0, 1) with 53 random bits.
  double uniform(uint64_t counter) const;
  uint64_t word(uint64_t counter) const;

 private:
  uint64_t seed_;
  uint64_t stream_;
};

// The same numbers in sequence.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0) : philox_(seed, stream) {}

  uint64_t next_u64() { return philox_.word(counter_++); }
  double uniform() { return philox_.uniform(counter_++); }
  // Uniform on 0 .. n-1 without bias; n must not be 0.
  uint64_t below(uint64_t n);
  // Uniform on low .. high, both included.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
  }
  double normal();

  template <typename T>
  void shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  Philox philox_;
  uint64_t counter_ = 0;
};

}  // namespace merit
