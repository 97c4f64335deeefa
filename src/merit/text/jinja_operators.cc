// Arithmetic with Python's rules: exact integers or an error, floor division, sign of the divisor for %.
#include <fmt/format.h>

#include <cmath>

#include "merit/text/jinja_value.h"

namespace merit::text::jinja {

namespace {

constexpr const char* kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void overflow() { fail(ErrorKind::kUnsupported, "an integer past 64 bits"); }

int64_t power(Engine& engine, int64_t base, int64_t exponent) {
  if (base == 0 || base == 1) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  int64_t out = 1;
  for (int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(out, base, &out)) overflow();
  }
  engine.charge(64);
  return out;
}

Value whole_numbers(Engine& engine, Op op, int64_t a, int64_t b) {
  int64_t out = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &out)) overflow();
      return out;
    case Op::kSub:
      if (__builtin_sub_overflow(a, b, &out)) overflow();
      return out;
    case Op::kMul:
      if (__builtin_mul_overflow(a, b, &out)) overflow();
      return out;
    case Op::kPow:
      if (b >= 0) return power(engine, a, b);
      if (a == 0) fail(ErrorKind::kData, "0 cannot be raised to a negative power");
      return std::pow(static_cast<double>(a), static_cast<double>(b));
    default:
      break;
  }
  if (b == 0) fail(ErrorKind::kData, "division by zero");
  if (op == Op::kDiv) return static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b));
  if (b == -1) {
    if (op == Op::kMod) return int64_t{0};
    if (__builtin_sub_overflow(int64_t{0}, a, &out)) overflow();
    return out;
  }
  const int64_t quotient = a / b;
  const int64_t rest = a % b;
  const bool down = rest != 0 && (rest < 0) != (b < 0);
  return op == Op::kMod ? rest + (down ? b : 0) : quotient - (down ? 1 : 0);
}

Value reals(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd:
      return a + b;
    case Op::kSub:
      return a - b;
    case Op::kMul:
      return a * b;
    case Op::kPow: {
      if (a == 0 && b < 0) fail(ErrorKind::kData, "0.0 cannot be raised to a negative power");
      if (a < 0 && std::isfinite(b) && b != std::floor(b)) fail(ErrorKind::kUnsupported, "a complex number");
      const double out = std::pow(a, b);
      if (std::isinf(out) && std::isfinite(a) && std::isfinite(b)) fail(ErrorKind::kData, "result too large");
      return out;
    }
    default:
      break;
  }
  if (b == 0) fail(ErrorKind::kData, "float division by zero");
  if (op == Op::kDiv) return a / b;
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) {
      rest += b;
      quotient -= 1;
    }
  } else {
    rest = std::copysign(0.0, b);
  }
  if (op == Op::kMod) return rest;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Value repeat(Engine& engine, const Value& value, int64_t times) {
  const size_t n = times > 0 ? static_cast<size_t>(times) : 0;
  if (const Text* text = value.text()) {
    if (n > 0 && text->bytes.size() > (size_t{1} << 26) / n) {
      fail(ErrorKind::kLimit, "a string of more than 64 MiB");
    }
    engine.charge_bytes(text->bytes.size() * n);
    TextBuilder out;
    for (size_t i = 0; i < n && !text->bytes.empty(); ++i) out.append(*text);
    Text repeated = out.take();
    repeated.safe = text->safe;
    return repeated;
  }
  const Sequence& s = *value.sequence();
  if (n > 0 && s.items.size() > Engine::kMaxSteps / n) fail(ErrorKind::kLimit, "a list of too many items");
  engine.charge(s.items.size() * n);
  std::vector<Value> items;
  for (size_t i = 0; i < n && !s.items.empty(); ++i) items.insert(items.end(), s.items.begin(), s.items.end());
  return make_sequence(s.kind, std::move(items));
}

bool is_list_or_tuple(const Value& value) {
  return value.sequence() != nullptr && value.sequence()->kind <= Sequence::kTuple;
}

Value concatenate(Engine& engine, const Text& a, const Text& b) {
  engine.charge_bytes(a.bytes.size() + b.bytes.size());
  const bool safe = a.safe || b.safe;
  TextBuilder out;
  out.append(safe && !a.safe ? escape_html(a) : a);
  out.append(safe && !b.safe ? escape_html(b) : b);
  Text joined = out.take();
  joined.safe = safe;
  return joined;
}

}  // namespace

Value binary(Engine& engine, Op op, const Value& a, const Value& b) {
  engine.charge(1);
  for (const Value* v : {&a, &b}) {
    // "%" with text on the left takes an undefined on its right: it may print it.
    if (v->is_undefined() && !(op == Op::kMod && v == &b && a.text() != nullptr)) {
      fail(ErrorKind::kData, "{}", v->undefined().message);
    }
  }
  const std::optional<Number> x = number_of(a);
  const std::optional<Number> y = number_of(b);
  if (x && y) {
    if (x->whole && y->whole) return whole_numbers(engine, op, x->integer, y->integer);
    return reals(op, x->real, y->real);
  }
  if (op == Op::kMod && a.text() != nullptr) return format_percent(engine, *a.text(), b);
  if (op == Op::kAdd && a.text() != nullptr && b.text() != nullptr) return concatenate(engine, *a.text(), *b.text());
  if (op == Op::kAdd && is_list_or_tuple(a) && is_list_or_tuple(b) && a.sequence()->kind == b.sequence()->kind) {
    std::vector<Value> items = a.sequence()->items;
    engine.charge(items.size() + b.sequence()->items.size());
    items.insert(items.end(), b.sequence()->items.begin(), b.sequence()->items.end());
    return make_sequence(a.sequence()->kind, std::move(items));
  }
  if (op == Op::kMul) {
    if ((a.text() != nullptr || is_list_or_tuple(a)) && y && y->whole) return repeat(engine, a, y->integer);
    if ((b.text() != nullptr || is_list_or_tuple(b)) && x && x->whole) return repeat(engine, b, x->integer);
  }
  fail(ErrorKind::kData, "'{}' cannot stand between '{}' and '{}'", kSymbols[static_cast<int>(op)], type_name(a),
       type_name(b));
}

Value negate(const Value& value, bool minus) {
  if (value.is_undefined()) fail(ErrorKind::kData, "{}", value.undefined().message);
  const std::optional<Number> number = number_of(value);
  if (!number) fail(ErrorKind::kData, "a sign cannot stand before a '{}'", type_name(value));
  if (!number->whole) return minus ? -number->real : number->real;
  if (!minus) return number->integer;
  int64_t out = 0;
  if (__builtin_sub_overflow(int64_t{0}, number->integer, &out)) overflow();
  return out;
}

double round_to(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 300) return value;
  if (digits < -300) return 0.0 * value;
  if (digits >= 0) return std::strtod(fmt::format("{:.{}f}", value, digits).c_str(), nullptr);
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(value / unit) * unit;
}

}  // namespace merit::text::jinja
