#include "merit/verify/rational.h"

#include <algorithm>
#include <bit>

#include "merit/core/error.h"

namespace merit::verify {

Natural::Natural(uint64_t value) {
  for (; value != 0; value >>= 32) limbs_.push_back(static_cast<uint32_t>(value));
}

Natural Natural::overflow() {
  Natural n;
  n.overflow_ = true;
  return n;
}

Natural Natural::from_digits(std::string_view digits) {
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.size() > kMaxBits / 3) return overflow();  // a digit is more than 3 bits
  Natural n;
  for (const char c : digits) {
    uint64_t carry = static_cast<uint64_t>(c - '0');
    for (uint32_t& limb : n.limbs_) {
      carry += uint64_t{limb} * 10;
      limb = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) n.limbs_.push_back(static_cast<uint32_t>(carry));
  }
  return n.bits() > kMaxBits ? overflow() : n;
}

size_t Natural::bits() const { return limbs_.empty() ? 0 : limbs_.size() * 32 - std::countl_zero(limbs_.back()); }

std::optional<uint32_t> Natural::small() const {
  if (overflow_ || limbs_.size() > 1) return std::nullopt;
  return limbs_.empty() ? 0 : limbs_[0];
}

void Natural::trim() {
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
}

uint32_t Natural::divide_small(uint32_t divisor) {
  uint64_t remainder = 0;
  for (size_t i = limbs_.size(); i-- > 0;) {
    remainder = (remainder << 32) | limbs_[i];
    limbs_[i] = static_cast<uint32_t>(remainder / divisor);
    remainder %= divisor;
  }
  trim();
  return static_cast<uint32_t>(remainder);
}

std::string Natural::to_string() const {
  MERIT_CHECK(!overflow_);
  if (limbs_.empty()) return "0";
  std::string out;
  for (Natural rest = *this; !rest.limbs_.empty();) {
    uint32_t nine = rest.divide_small(1'000'000'000);
    for (int i = 0; i < 9 && (nine != 0 || !rest.limbs_.empty()); ++i, nine /= 10) {
      out += static_cast<char>('0' + nine % 10);
    }
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::strong_ordering Natural::operator<=>(const Natural& other) const {
  MERIT_CHECK(!overflow_ && !other.overflow_);
  if (limbs_.size() != other.limbs_.size()) return limbs_.size() <=> other.limbs_.size();
  for (size_t i = limbs_.size(); i-- > 0;) {
    if (limbs_[i] != other.limbs_[i]) return limbs_[i] <=> other.limbs_[i];
  }
  return std::strong_ordering::equal;
}

Natural operator+(const Natural& a, const Natural& b) {
  if (a.overflow_ || b.overflow_) return Natural::overflow();
  Natural sum;
  uint64_t carry = 0;
  for (size_t i = 0; i < std::max(a.limbs_.size(), b.limbs_.size()) || carry != 0; ++i) {
    if (i < a.limbs_.size()) carry += a.limbs_[i];
    if (i < b.limbs_.size()) carry += b.limbs_[i];
    sum.limbs_.push_back(static_cast<uint32_t>(carry));
    carry >>= 32;
  }
  return sum.bits() > Natural::kMaxBits ? Natural::overflow() : sum;
}

Natural operator-(const Natural& a, const Natural& b) {
  MERIT_CHECK(a >= b);
  Natural difference = a;
  int64_t borrow = 0;
  for (size_t i = 0; i < a.limbs_.size(); ++i) {
    borrow += int64_t{a.limbs_[i]} - (i < b.limbs_.size() ? int64_t{b.limbs_[i]} : 0);
    difference.limbs_[i] = static_cast<uint32_t>(borrow);
    borrow >>= 32;
  }
  difference.trim();
  return difference;
}

Natural operator*(const Natural& a, const Natural& b) {
  if (a.overflow_ || b.overflow_) return Natural::overflow();
  if (a.limbs_.empty() || b.limbs_.empty()) return Natural();
  if (a.bits() + b.bits() > Natural::kMaxBits + 1) return Natural::overflow();
  Natural product;
  product.limbs_.resize(a.limbs_.size() + b.limbs_.size());
  for (size_t i = 0; i < a.limbs_.size(); ++i) {
    uint64_t carry = 0;
    for (size_t j = 0; j < b.limbs_.size() || carry != 0; ++j) {
      carry += product.limbs_[i + j];
      if (j < b.limbs_.size()) carry += uint64_t{a.limbs_[i]} * b.limbs_[j];
      product.limbs_[i + j] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
  }
  product.trim();
  return product.bits() > Natural::kMaxBits ? Natural::overflow() : product;
}

size_t Natural::trailing_zeros() const {
  size_t i = 0;
  while (limbs_[i] == 0) ++i;
  return i * 32 + static_cast<size_t>(std::countr_zero(limbs_[i]));
}

void Natural::halve(size_t bits) {
  limbs_.erase(limbs_.begin(), limbs_.begin() + static_cast<std::ptrdiff_t>(bits / 32));
  const size_t shift = bits % 32;
  for (size_t i = 0; shift != 0 && i < limbs_.size(); ++i) {
    const uint64_t above = i + 1 < limbs_.size() ? limbs_[i + 1] : 0;
    limbs_[i] = static_cast<uint32_t>(((above << 32) | limbs_[i]) >> shift);
  }
  trim();
}

Natural gcd(Natural a, Natural b) {
  MERIT_CHECK(!a.overflow_ && !b.overflow_);
  if (a.is_zero()) return b;
  if (b.is_zero()) return a;
  const size_t twos = std::min(a.trailing_zeros(), b.trailing_zeros());
  a.halve(a.trailing_zeros());
  while (!b.is_zero()) {  // Stein: both odd, the larger minus the smaller is even
    b.halve(b.trailing_zeros());
    if (a > b) std::swap(a, b);
    b = b - a;
  }
  Natural shared{1};
  for (size_t left = twos; left > 0; left -= std::min<size_t>(left, 31)) {
    shared = shared * Natural(uint64_t{1} << std::min<size_t>(left, 31));
  }
  return a * shared;
}

Natural exact_quotient(const Natural& a, const Natural& b) {
  if (b.is_one() || a.is_zero()) return a;
  if (const auto small = b.small()) {
    Natural quotient = a;
    quotient.divide_small(*small);
    return quotient;
  }
  // Bit by bit from the top: divisors longer than a limb are rare here.
  Natural quotient;
  Natural rest;
  for (size_t i = a.limbs_.size() * 32; i-- > 0;) {
    rest = rest + rest + Natural((a.limbs_[i / 32] >> (i % 32)) & 1);
    quotient = quotient + quotient;
    if (rest >= b) {
      rest = rest - b;
      quotient = quotient + Natural(1);
    }
  }
  return quotient;
}

Rational Rational::reduced() const {
  if (overflowed()) return *this;
  if (top.is_zero()) return {};
  const Natural shared = gcd(top, bottom);
  return {negative, exact_quotient(top, shared), exact_quotient(bottom, shared)};
}

bool Rational::is_integer() const { return bottom.is_one(); }

std::string Rational::to_string() const {
  std::string text = (negative ? "-" : "") + top.to_string();
  if (!is_integer()) text += "/" + bottom.to_string();
  return text;
}

Rational operator-(Rational a) {
  a.negative = !a.negative;
  return a;
}

Rational operator*(const Rational& a, const Rational& b) {
  return {a.negative != b.negative, a.top * b.top, a.bottom * b.bottom};
}

Rational operator+(const Rational& a, const Rational& b) {
  const Natural bottom = a.bottom == b.bottom ? a.bottom : a.bottom * b.bottom;
  const Natural left = a.bottom == b.bottom ? a.top : a.top * b.bottom;
  const Natural right = a.bottom == b.bottom ? b.top : b.top * a.bottom;
  if (left.is_overflow() || right.is_overflow()) return {false, Natural::overflow(), bottom};
  if (a.negative == b.negative) return {a.negative, left + right, bottom};
  if (left >= right) return {a.negative, left - right, bottom};
  return {b.negative, right - left, bottom};
}

Rational inverse(const Rational& a) {
  MERIT_CHECK(!a.top.is_zero());
  return {a.negative, a.bottom, a.top};
}

// Lowest terms, not cross products: those may be twice as long as the bound.
bool equal(const Rational& a, const Rational& b) {
  const Rational x = a.reduced();
  const Rational y = b.reduced();
  return x.negative == y.negative && x.top == y.top && x.bottom == y.bottom;
}

bool magnitude_at_most(const Rational& a, const Rational& b) {
  const Natural left = a.top * b.bottom;
  const Natural right = b.top * a.bottom;
  if (left.is_overflow() || right.is_overflow()) {
    // Then the bit lengths decide; within a factor of 4 it is called larger.
    return a.top.bits() + b.bottom.bits() + 2 < b.top.bits() + a.bottom.bits();
  }
  return left <= right;
}

}  // namespace merit::verify
