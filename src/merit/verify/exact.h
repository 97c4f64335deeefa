// An exact rational number: a value type over FLINT's fmpq, always in lowest terms. Internal to the checker.
#pragma once

#include <flint/fmpq.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace merit::verify {

class Exact {
 public:
  Exact() { fmpq_init(value_); }
  Exact(int64_t integer) : Exact() { fmpz_set_si(fmpq_numref(value_), integer); }  // NOLINT: numbers are numbers
  Exact(int64_t top, int64_t bottom);                                              // bottom > 0
  Exact(const Exact& other) : Exact() { fmpq_set(value_, other.value_); }
  Exact(Exact&& other) noexcept : Exact() { fmpq_swap(value_, other.value_); }
  Exact& operator=(const Exact& other) {
    fmpq_set(value_, other.value_);
    return *this;
  }
  Exact& operator=(Exact&& other) noexcept {
    fmpq_swap(value_, other.value_);
    return *this;
  }
  ~Exact() { fmpq_clear(value_); }

  // Decimal digits only.
  static Exact from_digits(std::string_view digits, int base = 10);
  static Exact power_of_ten(uint64_t exponent);

  bool is_zero() const { return fmpq_is_zero(value_); }
  bool is_one() const { return fmpq_is_one(value_); }
  bool is_integer() const { return fmpz_is_one(fmpq_denref(value_)); }
  int sign() const { return fmpq_sgn(value_); }
  // Of the numerator and denominator together.
  size_t bits() const { return fmpz_bits(fmpq_numref(value_)) + fmpz_bits(fmpq_denref(value_)); }
  size_t words() const { return 2 + bits() / 64; }
  // The value if it is a whole number of at most 62 bits.
  std::optional<int64_t> integer() const;
  Exact top() const;
  Exact bottom() const;
  Exact floor() const;
  Exact abs() const;
  Exact inverse() const;                // of a number other than 0
  Exact power(int64_t exponent) const;  // sizes are the caller's care; not of 0 to a negative
  // "-7/2", "3", "0"
  std::string to_string() const;

  fmpq* raw() { return value_; }
  const fmpq* raw() const { return value_; }
  const fmpz* top_raw() const { return fmpq_numref(value_); }
  const fmpz* bottom_raw() const { return fmpq_denref(value_); }

  Exact operator-() const;
  Exact& operator+=(const Exact& other) {
    fmpq_add(value_, value_, other.value_);
    return *this;
  }
  Exact& operator*=(const Exact& other) {
    fmpq_mul(value_, value_, other.value_);
    return *this;
  }
  friend Exact operator+(Exact a, const Exact& b) { return a += b; }
  friend Exact operator-(const Exact& a, const Exact& b) { return a + -b; }
  friend Exact operator*(Exact a, const Exact& b) { return a *= b; }
  friend Exact operator/(const Exact& a, const Exact& b) { return a * b.inverse(); }
  friend bool operator==(const Exact& a, const Exact& b) { return fmpq_equal(a.value_, b.value_); }
  friend bool operator<(const Exact& a, const Exact& b) { return fmpq_cmp(a.value_, b.value_) < 0; }
  friend bool operator<=(const Exact& a, const Exact& b) { return fmpq_cmp(a.value_, b.value_) <= 0; }

 private:
  fmpq_t value_;
};

// What FLINT and Arb cache in this thread is freed when the thread ends. Every entry point that uses them calls this.
void clean_caches_at_thread_exit();

}  // namespace merit::verify
