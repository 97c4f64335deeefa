#include "merit/verify/number.h"

#include <algorithm>
#include <array>

#include "merit/core/strings.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxBytes = 4096;
constexpr int kMaxDepth = 64;
constexpr uint32_t kMaxFactorial = 1000;  // far above 2^4096

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_space(char c) { return c == ' ' || c == '\n'; }

struct Value {
  Rational number;
  bool huge = false;
};

// A recursive-descent reader of one expression. After a failure every step gives up and reason_ stands.
class Expression {
 public:
  Expression(std::string_view text, bool factorials) : text_(text), factorials_(factorials) {}

  Number read() {
    Number out;
    const Value value = sum();
    out.percent = tail();
    if (!reason_.empty()) {
      out.reason = reason_;
    } else if (value.huge) {
      out.kind = Number::Kind::kHuge;
    } else {
      out.kind = Number::Kind::kExact;
      Rational scaled = value.number * scale_;
      if (out.percent) scaled = scaled * Rational{false, Natural(1), Natural(100)};
      if (scaled.overflowed()) {
        out.kind = Number::Kind::kUnreadable;
        out.reason = "the number needs more than 4096 bits";
      }
      out.value = scaled.reduced();
    }
    return out;
  }

 private:
  Value fail(const char* reason) {
    if (reason_.empty()) reason_ = reason;
    i_ = text_.size();
    return {};
  }
  bool failed() const { return !reason_.empty(); }
  char at(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
  char here() const { return at(i_); }
  void skip_space() {
    while (is_space(here())) ++i_;
  }
  bool take(std::string_view what) {
    if (!text_.substr(i_).starts_with(what)) return false;
    i_ += what.size();
    return true;
  }
  bool take_word(std::string_view word) {
    if (to_lower_ascii(text_.substr(i_, word.size())) != word || is_letter(at(i_ + word.size()))) return false;
    i_ += word.size();
    return true;
  }

  Value checked(Rational number) {
    if (number.overflowed()) return fail("the number needs more than 4096 bits");
    if (number.top.bits() + number.bottom.bits() > 512) number = number.reduced();
    return {std::move(number), false};
  }

  Value sum() {
    if (++depth_ > kMaxDepth) return fail("nested too deep");
    Value left = product();
    for (skip_space(); here() == '+' || here() == '-'; skip_space()) {
      size_t next = i_ + 1;
      while (is_space(at(next))) ++next;
      if (is_letter(at(next)) || at(next) == '\0') break;  // "5-year-old", "5 - so"
      const bool minus = here() == '-';
      ++i_;
      const Value right = product();
      if (left.huge || right.huge) return fail("the number is too large to add");
      left = checked(left.number + (minus ? -right.number : right.number));
    }
    --depth_;
    return left;
  }

  Value product() {
    Value left = signed_power();
    for (skip_space(); !failed(); skip_space()) {
      const bool glued_bracket = here() == '(' && i_ > 0 && !is_space(text_[i_ - 1]) && starts_operand(i_ + 1);
      const bool times = here() == '*' || glued_bracket || (here() == 'x' && is_times());
      if (!times && here() != '/') break;
      if (here() == '/' && !starts_operand(i_ + 1)) break;  // "5 km/h" is a unit's
      if (here() != '(') ++i_;
      const Value right = signed_power();
      if (left.huge || right.huge) return fail("the number is too large to multiply");
      if (times) {
        left = checked(left.number * right.number);
      } else if (right.number.top.is_zero()) {
        return fail("a division by zero");
      } else {
        left = checked(left.number * inverse(right.number));
      }
    }
    return left;
  }

  bool starts_operand(size_t i) const {
    while (is_space(at(i))) ++i;
    return is_digit(at(i)) || (at(i) != '\0' && std::string_view("+-.({\\").find(at(i)) != std::string_view::npos);
  }
  // "3 x 4" and "3x4" are products; "3x" and "3x + 1" are not.
  bool is_times() const { return i_ > 0 && starts_operand(i_ + 1) && is_digit(at(next_solid(i_ + 1))); }
  size_t next_solid(size_t i) const {
    while (is_space(at(i))) ++i;
    return i;
  }

  Value signed_power() {
    bool minus = false;
    for (skip_space();; skip_space()) {
      if (take("-") || take_word("minus") || take_word("negative")) {
        minus = !minus;
      } else if (!take("+")) {
        break;
      }
    }
    Value value = power();
    if (minus) value.number.negative = !value.number.negative;
    return value;
  }

  Value power() {
    Value base = primary();
    skip_space();
    if (here() == '!' && factorials_) base = factorial(base);
    if (here() != '^') return base;
    ++i_;
    if (++depth_ > kMaxDepth) return fail("nested too deep");
    const Value exponent = signed_power();
    --depth_;
    return raised(base, exponent);
  }

  Value factorial(const Value& of) {
    ++i_;
    if (here() == '!') return fail("a double factorial");
    if (of.huge) return of;
    const Rational n = of.number.reduced();
    if (n.negative || !n.is_integer()) return fail("a factorial of no natural number");
    const uint32_t count = n.top.small().value_or(kMaxFactorial);
    if (count >= kMaxFactorial) return {{}, true};
    Natural product(1);
    for (uint32_t k = 2; k <= count; ++k) product = product * Natural(k);
    return {{false, product, Natural(1)}, product.is_overflow()};
  }

  Value raised(const Value& base, const Value& exponent) {
    if (failed()) return {};
    const Rational b = base.number.reduced();
    const Rational e = exponent.number.reduced();
    const bool at_least_two =
        base.huge || b.top.bits() >= b.bottom.bits() + 2 || (b.bottom.is_one() && b.top.bits() >= 2);
    if (exponent.huge) return at_least_two && !e.negative ? Value{{}, true} : fail("the exponent is too large");
    if (!e.is_integer()) return fail("a root");
    if (base.huge) return e.negative || e.top.is_zero() ? fail("the number is too large") : base;
    if (b.top.is_zero() && (e.negative || e.top.is_zero())) return fail("a power of zero");
    if (b.top.is_zero()) return {b, false};
    const bool odd = e.top.small() ? *e.top.small() % 2 == 1 : true;
    if (b.top.is_one() && b.bottom.is_one()) {
      if (!e.top.small() && b.negative) return fail("the exponent is too large");
      return {{b.negative && odd, Natural(1), Natural(1)}, false};
    }
    const uint32_t count = e.top.small().value_or(UINT32_MAX);
    if (count > Natural::kMaxBits) {  // every base left grows or shrinks past the bound
      return at_least_two && !e.negative ? Value{{}, true} : fail("the power needs more than 4096 bits");
    }
    Rational result;
    result.top = Natural(1);
    for (uint32_t k = 0; k < count && !result.overflowed(); ++k) result = result * b;
    if (result.overflowed()) {
      return at_least_two && b.bottom.is_one() && !e.negative ? Value{{}, true}
                                                              : fail("the power needs more than 4096 bits");
    }
    return {e.negative ? inverse(result) : result, false};
  }

  Value primary() {
    skip_space();
    if (here() == '(' || here() == '{' || here() == '[') return bracketed();
    if (take("\\frac")) return fraction();
    if (is_digit(here()) || (here() == '.' && is_digit(at(i_ + 1)))) return mixed();
    return fail(i_ >= text_.size() ? "a number is missing" : "not a plain number");
  }

  Value bracketed() {
    const char close = here() == '(' ? ')' : here() == '{' ? '}' : ']';
    ++i_;
    const Value inside = sum();
    skip_space();
    if (failed()) return {};
    if (here() != close) return fail("a bracket is not closed");
    ++i_;
    return inside;
  }

  // \frac{3}{8}, \frac38, \frac 3 8
  Value fraction() {
    if (++depth_ > kMaxDepth) return fail("nested too deep");
    const Value top = fraction_part();
    const Value bottom = fraction_part();
    --depth_;
    if (failed()) return {};
    if (top.huge || bottom.huge) return fail("the number is too large to divide");
    if (bottom.number.top.is_zero()) return fail("a division by zero");
    return checked(top.number * inverse(bottom.number));
  }

  Value fraction_part() {
    skip_space();
    if (here() == '{') return bracketed();
    if (!is_digit(here())) return fail("not a plain number");
    return {{false, Natural(static_cast<uint64_t>(text_[i_++] - '0')), Natural(1)}, false};
  }

  // A literal, and the fraction that stands behind a whole number: 3 1/4, 3\frac{1}{4}.
  Value mixed() {
    bool whole = true;
    Value value = literal(whole);
    if (failed() || !whole) return value;
    const size_t next = next_solid(i_);
    if (text_.substr(next).starts_with("\\frac")) {
      i_ = next + 5;
      const Value part = fraction();
      return failed() ? Value{} : checked(value.number + part.number);
    }
    size_t slash = next;
    while (is_digit(at(slash))) ++slash;
    if (next == i_ || slash == next || at(slash) != '/' || !is_digit(at(slash + 1))) return value;
    const Rational top = integer(text_.substr(next, slash - next));
    size_t end = slash + 1;
    while (is_digit(at(end))) ++end;
    const Rational bottom = integer(text_.substr(slash + 1, end - slash - 1));
    i_ = end;
    if (bottom.top.is_zero()) return fail("a division by zero");
    return checked(value.number + top * inverse(bottom));
  }

  static Rational integer(std::string_view digits) { return {false, Natural::from_digits(digits), Natural(1)}; }

  // Digits with their separators; `i` moves behind. Empty if the groups are not of three.
  std::string grouped_digits() {
    std::string digits;
    const size_t start = i_;
    while (is_digit(here())) digits += text_[i_++];
    const char separator = here();
    if ((separator != ',' && separator != ' ') || i_ - start > 3) return digits;
    const auto group_at = [&](size_t i) {
      return at(i) == separator && is_digit(at(i + 1)) && is_digit(at(i + 2)) && is_digit(at(i + 3)) &&
             !is_digit(at(i + 4));
    };
    while (group_at(i_)) {
      digits += text_.substr(i_ + 1, 3);
      i_ += 4;
    }
    if (here() == ',' && is_digit(at(i_ + 1))) return {};
    return digits;
  }

  Value literal(bool& whole) {
    std::string digits = grouped_digits();
    if (digits.empty() && here() != '.') return fail("digits and commas that are no number");
    size_t decimals = 0;
    if (here() == '.' && is_digit(at(i_ + 1))) {
      whole = false;
      for (++i_; is_digit(here()); ++decimals) digits += text_[i_++];
    } else if (here() == '.') {
      ++i_;  // "5."
      if (here() == ',' || here() == '.') return fail("digits and points that are no number");
    }
    if ((here() == '.' || here() == ',') && is_digit(at(i_ + 1))) return fail("digits and points that are no number");
    int64_t exponent = -static_cast<int64_t>(decimals);
    const size_t sign = i_ + 1;
    const size_t first = at(sign) == '+' || at(sign) == '-' ? sign + 1 : sign;
    if ((here() == 'e' || here() == 'E') && is_digit(at(first))) {
      whole = false;
      size_t end = first;
      int64_t written = 0;
      for (; is_digit(at(end)); ++end) written = std::min<int64_t>(written * 10 + (text_[end] - '0'), 100'000);
      exponent += at(sign) == '-' ? -written : written;
      i_ = end;
    }
    Rational number = integer(digits);
    if (number.overflowed()) return decimals == 0 && exponent >= 0 ? Value{{}, true} : fail("too many digits");
    if (number.top.is_zero() || exponent == 0) return {number, false};
    const bool up = exponent > 0;
    const Natural power =
        Natural::from_digits("1" + std::string(static_cast<size_t>(std::min<int64_t>(std::abs(exponent), 2000)), '0'));
    (up ? number.top : number.bottom) = up ? number.top * power : power;
    if (up && number.overflowed()) return {{}, true};
    return checked(std::move(number));
  }

  // What may stand behind the number: a percent sign, a scale word, a unit. True for a percent.
  bool tail() {
    bool percent = false;
    const size_t end_of_number = i_;
    skip_space();
    if (take("%")) {
      percent = true;
    } else if (take_word("percent") || take_word("per cent")) {
      percent = true;
    } else {
      constexpr std::array<std::pair<std::string_view, uint64_t>, 5> kScales = {{{"hundred", 100},
                                                                                 {"thousand", 1'000},
                                                                                 {"million", 1'000'000},
                                                                                 {"billion", 1'000'000'000},
                                                                                 {"trillion", 1'000'000'000'000}}};
      for (const auto& [word, factor] : kScales) {
        if (take_word(word)) {
          scale_.top = Natural(factor);
          break;
        }
      }
    }
    if (!failed()) unit(i_ == end_of_number);
    return percent;
  }

  void unit(bool glued) {
    const std::string_view rest = text_.substr(i_);
    if (glued && !rest.empty() && is_letter(rest[0]) && (rest.size() == 1 || !is_letter(rest[1]))) {
      if (std::string_view("abciknxyzXYZN").find(rest[0]) != std::string_view::npos) return void(fail("a variable"));
    }
    if (glued && !rest.empty() && static_cast<unsigned char>(rest[0]) >= 0x80) {
      return void(fail("a sign behind the number that is not read"));
    }
    for (size_t k = 0; k < rest.size(); ++k) {
      const char c = rest[k];
      if (c == '^' && k > 0 && is_letter(rest[k - 1]) && k + 1 < rest.size() &&
          (rest[k + 1] == '2' || rest[k + 1] == '3')) {
        ++k;
        continue;
      }
      const bool fits = is_letter(c) || is_space(c) ||
                        std::string_view("./-'\"()*_,;:!?").find(c) != std::string_view::npos ||
                        static_cast<unsigned char>(c) >= 0x80;
      if (!fits || rest.substr(k).starts_with("\xcf\x80") || rest.substr(k).starts_with("\xe2\x88\x9a")) {
        return void(fail(is_digit(c) ? "more than one number" : "a sign behind the number that is not read"));
      }
    }
  }

  std::string_view text_;
  bool factorials_;
  size_t i_ = 0;
  int depth_ = 0;
  Rational scale_{false, Natural(1), Natural(1)};
  std::string reason_;
};

// Whether the left side of "=" makes the whole a relation between unknowns ("3x - y + 1 = 0") or one of several
// statements ("x = 1, y = 2"), of which the right side would be a part only.
const char* why_relation(std::string_view left) {
  bool variable = false;
  bool operation = false;
  for (size_t i = 0; i < left.size();) {
    const char c = left[i];
    if (is_letter(c)) {
      size_t end = i;
      while (end < left.size() && is_letter(left[end])) ++end;
      const bool command = i > 0 && left[i - 1] == '\\';
      variable |= !command && (end - i == 1 || (i > 0 && is_digit(left[i - 1])));
      i = end;
      continue;
    }
    if ((c == ',' || c == ';') && !(i + 1 < left.size() && is_digit(left[i + 1]))) return "several statements";
    operation |= c == '+' || c == '*' || c == '/' || c == '^' || c == '-';
    ++i;
  }
  return variable && operation ? "an equation" : nullptr;
}

bool lost_backslash(std::string_view text) {
  for (const std::string_view sign : {"\frac", "\boxed"}) {  // a form feed, a backspace
    if (text.find(sign) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

Number read_number(std::string_view plain, bool factorials) {
  Number unreadable;
  if (plain.size() > kMaxBytes) {
    unreadable.reason = "longer than 4096 bytes";
    return unreadable;
  }
  if (plain.find_first_of("<>") != std::string_view::npos) {
    unreadable.reason = "an inequality";
    return unreadable;
  }
  const size_t equals = plain.rfind('=');
  if (equals != std::string_view::npos) {
    const std::string_view left = plain.substr(0, equals);
    const size_t before = left.rfind('=');
    const char* why = why_relation(before == std::string_view::npos ? left : left.substr(before + 1));
    if (why != nullptr) {
      unreadable.reason = why;
      return unreadable;
    }
    plain = plain.substr(equals + 1);
  }
  Number number = Expression(plain, factorials).read();
  if (number.kind == Number::Kind::kUnreadable && lost_backslash(plain)) {
    number.reason += " (looks like a lost backslash)";
  }
  return number;
}

}  // namespace merit::verify
