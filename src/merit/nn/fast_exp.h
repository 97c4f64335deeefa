// exp for sums over a vocabulary: branch-free, so that compilers vectorise loops over it, and the same function of its
// argument wherever it is called.
#pragma once

#include <cmath>
#include <cstdint>

namespace merit::nn {

// exp(x) for x <= 0 (rounding above 0 is harmless), 0 below -87, where float32 ends; not for NaN. Relative error under
// 2e-7: x = n ln2 + r with |r| <= ln2 / 2, a polynomial for exp(r), the exponent bits for 2^n.
[[gnu::always_inline]] inline float exp_negative(float x) {
  const float clamped = x < -87.0f ? -87.0f : x;
  const float shifted = clamped * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the sum's low bits hold n, rounded
  const float n = shifted - 12582912.0f;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;  // ln2 in two parts, the first exact times n
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const uint32_t bits = (__builtin_bit_cast(uint32_t, shifted) << 23) + __builtin_bit_cast(uint32_t, p);
  return x < -87.0f ? 0.0f : __builtin_bit_cast(float, bits);
}

inline double exp_negative(double x) { return std::exp(x); }

}  // namespace merit::nn
