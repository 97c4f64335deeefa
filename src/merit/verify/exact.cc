#include "merit/verify/exact.h"

#include <flint/flint.h>

#include <vector>

namespace merit::verify {

Exact::Exact(int64_t top, int64_t bottom) : Exact() { fmpq_set_si(value_, top, static_cast<ulong>(bottom)); }

Exact Exact::from_digits(std::string_view digits, int base) {
  Exact out;
  const std::string text(digits);
  fmpz_set_str(fmpq_numref(out.value_), text.c_str(), base);
  return out;
}

Exact Exact::power_of_ten(uint64_t exponent) {
  Exact out;
  fmpz_set_ui(fmpq_numref(out.value_), 10);
  fmpz_pow_ui(fmpq_numref(out.value_), fmpq_numref(out.value_), exponent);
  return out;
}

std::optional<int64_t> Exact::integer() const {
  if (!is_integer() || fmpz_bits(top_raw()) > 62) return std::nullopt;
  return fmpz_get_si(top_raw());
}

Exact Exact::top() const {
  Exact out;
  fmpz_set(fmpq_numref(out.value_), top_raw());
  return out;
}

Exact Exact::bottom() const {
  Exact out;
  fmpz_set(fmpq_numref(out.value_), bottom_raw());
  return out;
}

Exact Exact::floor() const {
  Exact out;
  fmpz_fdiv_q(fmpq_numref(out.value_), top_raw(), bottom_raw());
  return out;
}

Exact Exact::abs() const {
  Exact out;
  fmpq_abs(out.value_, value_);
  return out;
}

Exact Exact::inverse() const {
  Exact out;
  fmpq_inv(out.value_, value_);
  return out;
}

Exact Exact::power(int64_t exponent) const {
  Exact out;
  fmpq_pow_si(out.value_, value_, exponent);
  return out;
}

Exact Exact::operator-() const {
  Exact out;
  fmpq_neg(out.value_, value_);
  return out;
}

std::string Exact::to_string() const {
  std::vector<char> buffer(fmpz_sizeinbase(top_raw(), 10) + fmpz_sizeinbase(bottom_raw(), 10) + 3);
  fmpq_get_str(buffer.data(), 10, value_);
  return buffer.data();
}

void clean_caches_at_thread_exit() {
  struct Cleaner {
    ~Cleaner() { flint_cleanup(); }
  };
  thread_local const Cleaner cleaner;
  (void)cleaner;
}

}  // namespace merit::verify
