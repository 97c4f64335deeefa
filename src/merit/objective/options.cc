#include "merit/objective/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "merit/core/error.h"

namespace merit::objective {

bool Range::contains(double value) const {
  if (!std::isfinite(value)) return false;
  return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::string Range::text() const {
  if (std::isinf(low) && std::isinf(high)) return "any number";
  if (std::isinf(high)) return fmt::format("number {} {}", low_open ? "above" : "of at least", format_double(low));
  return fmt::format("number in {}{}, {}{}", low_open ? "(" : "[", format_double(low), format_double(high),
                     high_open ? ")" : "]");
}

namespace internal {
namespace {

[[noreturn]] void refuse(const Json& value, const std::string& expected, const std::string& where) {
  const std::string got = value.is_string() ? quote(value.get<std::string>()) : quote(dump_json(value));
  fail(ErrorKind::kUsage, "{}: expected {}, got {}", where, expected, got);
}

// Whole text as one number.
template <typename T>
bool number_of(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

double read_number(const Json& value, const Range& range, const std::string& where) {
  double number = 0;
  const bool is_number = value.is_string() ? number_of(value.get_ref<const std::string&>(), number) : value.is_number();
  if (value.is_number()) number = value.get<double>();
  if (!is_number || !range.contains(number)) refuse(value, range.text(), where);
  return number;
}

int64_t read_count(const Json& value, int64_t low, const std::string& where) {
  int64_t number = 0;
  bool fits = false;
  if (value.is_string()) {
    fits = number_of(value.get_ref<const std::string&>(), number);
  } else if (value.is_number_integer()) {
    fits = !value.is_number_unsigned() || value.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX);
    if (fits) number = value.get<int64_t>();
  }
  if (!fits || number < low) refuse(value, fmt::format("an integer of {} or more", low), where);
  return number;
}

bool read_flag(const Json& value, const std::string& where) {
  if (value.is_boolean()) return value.get<bool>();
  if (value == "true") return true;
  if (value == "false") return false;
  refuse(value, "true or false", where);
}

size_t read_choice(const Json& value, const std::vector<std::string>& names, const std::string& where) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (value == names[i]) return i;
  }
  refuse(value, "one of " + join(names, ", "), where);
}

std::vector<Json> read_list(const Json& value, const std::string& where) {
  std::vector<Json> list;
  if (value.is_array()) {
    list.assign(value.begin(), value.end());
  } else if (value.is_string()) {
    for (const std::string_view part : split(value.get_ref<const std::string&>(), ',')) {
      list.emplace_back(std::string(trim(part)));
    }
  } else {
    list.push_back(value);
  }
  if (list.empty()) refuse(value, "a list of at least one", where);
  return list;
}

void check_keys(const Json& settings, const std::vector<Field>& fields, const std::string& objective) {
  if (!settings.is_object()) fail(ErrorKind::kUsage, "{}: expected a table of options", objective);
  std::vector<std::string> known;
  for (const Field& field : fields) known.push_back(field.name);
  for (const auto& [key, value] : settings.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string guess = closest(key, known);
    fail(ErrorKind::kUsage, "{}: no option {}; {}", objective, quote(key),
         known.empty()   ? "it has none"
         : guess.empty() ? "it has " + join(known, ", ")
                         : "did you mean " + guess + "?");
  }
}

std::string numbers_text(const std::vector<double>& numbers) {
  std::vector<std::string> texts;
  for (const double number : numbers) texts.push_back(format_double(number));
  return join(texts, ",");
}

}  // namespace internal
}  // namespace merit::objective
