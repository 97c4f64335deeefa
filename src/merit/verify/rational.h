// Exact rationals on integers of bounded size, so that no answer can cost more than a fixed time and memory. Internal
// to the checker. Schoolbook arithmetic: numbers here have a few digits.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace merit::verify {

// A natural number below 2^kMaxBits, or "overflow", which every operation hands on.
class Natural {
 public:
  static constexpr size_t kMaxBits = 4096;

  Natural() = default;
  explicit Natural(uint64_t value);
  static Natural overflow();
  // Decimal digits only.
  static Natural from_digits(std::string_view digits);

  bool is_overflow() const { return overflow_; }
  bool is_zero() const { return !overflow_ && limbs_.empty(); }
  bool is_one() const { return limbs_.size() == 1 && limbs_[0] == 1; }
  size_t bits() const;
  // The value if it is below 2^32.
  std::optional<uint32_t> small() const;
  std::string to_string() const;

  // Only between numbers that did not overflow.
  std::strong_ordering operator<=>(const Natural& other) const;
  bool operator==(const Natural& other) const = default;

  friend Natural operator+(const Natural& a, const Natural& b);
  friend Natural operator-(const Natural& a, const Natural& b);  // a >= b
  friend Natural operator*(const Natural& a, const Natural& b);
  friend Natural gcd(Natural a, Natural b);
  // a / b where b divides a.
  friend Natural exact_quotient(const Natural& a, const Natural& b);

 private:
  void trim();
  uint32_t divide_small(uint32_t divisor);  // in place; gives the remainder
  void halve(size_t bits);
  size_t trailing_zeros() const;

  std::vector<uint32_t> limbs_;  // lowest first, no zero at the end
  bool overflow_ = false;
};

struct Rational {
  bool negative = false;
  Natural top;
  Natural bottom{1};  // never 0

  bool is_integer() const;  // after reduced()
  bool overflowed() const { return top.is_overflow() || bottom.is_overflow(); }
  // In lowest terms, zero without a sign.
  Rational reduced() const;
  // "-7/2", "3", "0"; only of a reduced one.
  std::string to_string() const;
};

Rational operator-(Rational a);
Rational operator+(const Rational& a, const Rational& b);
Rational operator*(const Rational& a, const Rational& b);
// 1 / a, for a other than 0.
Rational inverse(const Rational& a);
// Both without overflow.
bool equal(const Rational& a, const Rational& b);
// |a| <= |b|
bool magnitude_at_most(const Rational& a, const Rational& b);

}  // namespace merit::verify
