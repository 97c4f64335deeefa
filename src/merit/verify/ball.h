// Ball arithmetic (Arb): a number with a bound on its error. What a ball excludes is proved; what it contains is not.
// Internal to the checker.
#pragma once

#include <acb.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "merit/verify/budget.h"
#include "merit/verify/expr.h"

namespace merit::verify {

class Ball {
 public:
  Ball() { acb_init(value_); }
  Ball(const Ball& other) : Ball() { acb_set(value_, other.value_); }
  Ball(Ball&& other) noexcept : Ball() { acb_swap(value_, other.value_); }
  Ball& operator=(Ball other) noexcept {
    acb_swap(value_, other.value_);
    return *this;
  }
  ~Ball() { acb_clear(value_); }

  acb_ptr get() { return value_; }
  acb_srcptr get() const { return value_; }
  arb_ptr real() { return acb_realref(value_); }
  arb_srcptr real() const { return acb_realref(value_); }
  arb_srcptr imaginary() const { return acb_imagref(value_); }
  bool is_real() const { return arb_is_zero(acb_imagref(value_)); }

 private:
  acb_t value_;
};

// What symbols are worth.
using Point = std::vector<std::pair<std::string, Exact>>;

// A symbol that stands for every number of a ball at once.
struct Binding {
  std::string name;
  Ball value;
};

enum class Defined {
  kYes,
  kNo,     // proved undefined there: a division by 0, a real root or logarithm of a negative number
  kVague,  // not known at this precision, or not a number that balls give
};

// `real`: symbols stand for real numbers and so does every part; a part that is complex makes the value undefined. A
// root of odd index of a negative number is the real one. Undecided if the budget ends.
// Over a binding that holds more than a point, kYes means that the value is continuous on the ball, and analytic if the
// ball is not a real one.
Defined evaluate(const Expr& e, const Point& point, bool real, long precision, Budget& budget, Ball& out,
                 const Binding* binding = nullptr);

// The sign of a real constant without symbols, if balls tell it: -1, 0 (exactly 0) or 1.
std::optional<int> sign_of(const Expr& e, Budget& budget);
// Its value to about 15 digits, for finding candidates that are then proved.
std::optional<double> approximation(const Expr& e, Budget& budget);

}  // namespace merit::verify
