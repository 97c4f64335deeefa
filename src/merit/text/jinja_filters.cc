// The filters of text, numbers and any value. Each takes the value before the bar and its arguments; names and defaults
// are Jinja's.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "merit/core/strings.h"
#include "merit/text/jinja_functions.h"

namespace merit::text::jinja {

Params::Params(std::string function, const Arguments& arguments, std::initializer_list<std::string_view> names,
               size_t required)
    : function_(std::move(function)), values_(names.size(), nullptr) {
  if (arguments.positional.size() > names.size()) {
    fail(ErrorKind::kData, "{} takes at most {} argument(s), got {}", function_, names.size(),
         arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) fail(ErrorKind::kData, "{} takes no argument {}", function_, quote(name));
    const Value*& slot = values_[static_cast<size_t>(at - names.begin())];
    if (slot != nullptr) fail(ErrorKind::kData, "{} got the argument {} twice", function_, quote(name));
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) fail(ErrorKind::kData, "{} misses an argument", function_);
  }
}

const Text& Params::text(size_t i) const { return require_text(*values_[i], function_.c_str()); }

int64_t Params::integer(size_t i, int64_t fallback) const {
  if (!has(i)) return fallback;
  if (values_[i]->is_undefined()) fail(ErrorKind::kData, "{}", values_[i]->undefined().message);
  const std::optional<Number> number = number_of(*values_[i]);
  if (!number || !number->whole)
    fail(ErrorKind::kData, "{} wants an integer, not {}", function_, type_name(*values_[i]));
  return number->integer;
}

const Value& defined(const Value& value) {
  if (value.is_undefined()) fail(ErrorKind::kData, "{}", value.undefined().message);
  return value;
}

namespace {

// ---- text

template <Case kTo>
Value case_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("a case filter", arguments, {});
  const Text text = to_text(engine, subject);
  engine.charge(text.bytes.size() / 4 + 1);
  return map_case(text, kTo);
}

Value title_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("title", arguments, {});
  const Text text = to_text(engine, subject);
  engine.charge(text.bytes.size() / 4 + 1);
  TextBuilder out;
  for (size_t b = 0; b < text.bytes.size();) {
    // Words begin behind white space, hyphens and opening brackets.
    size_t end = b;
    const auto separates = [&](size_t at) {
      const int32_t c = code_point_at(text.bytes, at).value;
      return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    };
    const bool separator = separates(b);
    while (end < text.bytes.size() && separates(end) == separator) end = code_point_at(text.bytes, end).next;
    const size_t head = code_point_at(text.bytes, b).next;
    out.append(map_case(slice(text, b, head), Case::kUpper));
    out.append(map_case(slice(text, head, end), Case::kLower));
    b = end;
  }
  return out.take();
}

Value trim_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("trim", arguments, {"chars"});
  const Text text = to_text(engine, subject);
  engine.charge_bytes(text.bytes.size());
  return strip(text, p.has(0) && !p[0].is_none() ? &p.text(0) : nullptr, true, true);
}

Value replace_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("replace", arguments, {"old", "new", "count"}, 2);
  const int64_t count = p.has(2) && p[2].is_none() ? -1 : p.integer(2, -1);
  Text text = to_text(engine, subject);
  text.safe = false;
  return replace(engine, text, to_text(engine, p[0]), to_text(engine, p[1]), count);
}

Value string_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("string", arguments, {});
  return to_text(engine, subject);
}

Value safe_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("safe", arguments, {});
  Text text = to_text(engine, subject);
  text.safe = true;
  return text;
}

Value escape_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("escape", arguments, {});
  const Text text = to_text(engine, subject);
  engine.charge(text.bytes.size() / 4 + 1);
  return text.safe ? text : escape_html(text);
}

Value forceescape_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("forceescape", arguments, {});
  const Text text = to_text(engine, subject);
  engine.charge(text.bytes.size() / 4 + 1);
  return escape_html(text);
}

Value indent_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("indent", arguments, {"width", "first", "blank"});
  Text margin;
  if (p.has(0) && p[0].text() != nullptr) {
    margin = *p[0].text();
  } else {
    const int64_t width = std::max<int64_t>(0, p.integer(0, 4));
    engine.charge_bytes(static_cast<size_t>(width));
    margin.bytes.assign(static_cast<size_t>(std::min<int64_t>(width, 1 << 20)), ' ');
  }
  const Text& text = require_text(subject, "the subject of indent");
  const std::vector<Text> lines = split_lines(text, false);
  const bool ends_with_break = !lines.empty() && split_lines(text, true).back().bytes != lines.back().bytes;
  const bool blank = p.flag(2, false);
  TextBuilder out;
  if (p.flag(1, false)) out.append(margin);
  for (size_t i = 0; i < lines.size() + (ends_with_break ? 1 : 0); ++i) {
    const bool empty = i == lines.size() || lines[i].bytes.empty();
    engine.charge_bytes(margin.bytes.size() + 32);
    if (i > 0) out.append("\n");
    if (i > 0 && (blank || !empty)) out.append(margin);
    if (i < lines.size()) out.append(lines[i]);
  }
  return out.take();
}

Value format_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Text format = to_text(engine, subject);
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    fail(ErrorKind::kData, "format takes arguments by position or by name, not both");
  }
  if (arguments.named.empty()) return format_percent(engine, format, make_tuple(arguments.positional));
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, value] : arguments.named) entries.emplace_back(make_text(name), value);
  return format_percent(engine, format, make_dict(std::move(entries)));
}

Value center_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("center", arguments, {"width"});
  Arguments width;
  width.positional.push_back(p.integer(0, 80));
  const Value center = *find_method(to_text(engine, subject), "center");
  return engine.call(center, width);
}

Value truncate_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("truncate", arguments, {"length", "killwords", "end", "leeway"});
  const int64_t limit = p.integer(0, 255);
  const Text end = p.has(2) ? p.text(2) : Text{"...", {}, false};
  const int64_t leeway = p.has(3) && p[3].is_none() ? 5 : p.integer(3, 5);
  const int64_t end_length = static_cast<int64_t>(count_code_points(end.bytes));
  if (limit < end_length || leeway < 0) fail(ErrorKind::kData, "truncate wants a length of its end mark at least");
  if (subject.text() != nullptr) engine.charge_bytes(subject.text()->bytes.size());
  const std::optional<int64_t> size = length(subject);
  if (size && *size <= limit + leeway) return subject;  // a list too
  const Text& text = require_text(subject, "the subject of truncate");
  Text kept = slice(text, 0, byte_of(text.bytes, static_cast<size_t>(limit - end_length)));
  if (!p.flag(1, false)) {
    const size_t space = kept.bytes.rfind(' ');
    if (space != std::string::npos) kept = slice(kept, 0, space);
  }
  TextBuilder out;
  out.append(kept);
  out.append(end);
  return out.take();
}

Value wordcount_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("wordcount", arguments, {});
  const Text text = to_text(engine, subject);
  engine.charge(text.bytes.size() / 4 + 1);
  int64_t words = 0;
  bool in_word = false;
  for (size_t b = 0; b < text.bytes.size();) {
    const CodePoint c = code_point_at(text.bytes, b);
    const bool word = is_alpha(c.value) || is_numeric(c.value) || c.value == '_';
    words += word && !in_word ? 1 : 0;
    in_word = word;
    b = c.next;
  }
  return words;
}

Value tojson_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = p.flag(0, false);
  style.sort_keys = p.flag(3, false);
  if (p.has(1) && !p[1].is_none()) {
    style.indent = p[1].text() != nullptr
                       ? p[1].text()->bytes
                       : std::string(static_cast<size_t>(std::clamp<int64_t>(p.integer(1, 0), 0, 1000)), ' ');
    style.item_separator = ",";
  }
  if (p.has(2) && !p[2].is_none()) {
    const std::vector<Value> pair = iterate(engine, p[2]);
    if (pair.size() != 2) fail(ErrorKind::kData, "tojson's separators are two strings");
    style.item_separator = require_text(pair[0], "a separator").bytes;
    style.key_separator = require_text(pair[1], "a separator").bytes;
  }
  return to_json_text(engine, subject, style);
}

// ---- numbers

Value abs_filter(Engine&, const Value& subject, const Arguments& arguments) {
  const Params p("abs", arguments, {});
  const std::optional<Number> n = number_of(defined(subject));
  if (!n) fail(ErrorKind::kData, "abs of a '{}'", type_name(subject));
  if (!n->whole) return std::fabs(n->real);
  return n->integer < 0 ? negate(n->integer, true) : Value(n->integer);
}

Value round_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("round", arguments, {"precision", "method"});
  const int64_t digits = p.integer(0, 0);
  const std::string method = p.has(1) ? p.text(1).bytes : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    fail(ErrorKind::kData, "round's method is common, ceil or floor, not {}", quote(method));
  }
  const std::optional<Number> n = number_of(defined(subject));
  if (!n) fail(ErrorKind::kData, "round of a '{}'", type_name(subject));
  if (method == "common") {
    if (!n->whole) return round_to(n->real, digits);
    if (digits >= 0) return n->integer;  // a bool becomes an int, as in Python
    fail(ErrorKind::kUnsupported, "rounding an integer to tens");
  }
  const Value unit = binary(engine, Op::kPow, int64_t{10}, digits);
  const double scaled = number_of(binary(engine, Op::kMul, subject, unit))->real;
  if (!std::isfinite(scaled)) fail(ErrorKind::kData, "round of a number that is not finite");
  // Python's ceil and floor are whole numbers, which have no negative zero.
  return ((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) + 0.0) / number_of(unit)->real;
}

// int(text, base), or nothing.
std::optional<int64_t> parse_whole(const Text& text, int64_t base) {
  std::string digits = strip(text, nullptr, true, true).bytes;
  const bool minus = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.erase(0, 1);
  const std::string_view prefix = base == 16 ? "0x" : base == 8 ? "0o" : base == 2 ? "0b" : "";
  if (!prefix.empty() && to_lower_ascii(digits).rfind(prefix, 0) == 0) digits.erase(0, 2);
  std::string plain;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool inner = i > 0 && i + 1 < digits.size() && digits[i - 1] != '_';
    if (digits[i] != '_')
      plain += digits[i];
    else if (!inner)
      return std::nullopt;
  }
  if (plain.empty() || plain[0] == '-' || plain[0] == '+') return std::nullopt;
  if (minus) plain.insert(0, "-");
  int64_t value = 0;
  const auto [end, problem] = std::from_chars(plain.data(), plain.data() + plain.size(), value, static_cast<int>(base));
  if (problem == std::errc::result_out_of_range) fail(ErrorKind::kUnsupported, "an integer past 64 bits");
  if (problem != std::errc() || end != plain.data() + plain.size()) return std::nullopt;
  return value;
}

// float(text), or nothing.
std::optional<double> parse_real(const Text& text) {
  const std::string bytes = to_lower_ascii(strip(text, nullptr, true, true).bytes);
  std::string_view number = bytes;
  if (!number.empty() && number[0] == '+') number.remove_prefix(1);
  if (number.empty() || number[0] == '+') return std::nullopt;
  double value = 0;
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (problem == std::errc::result_out_of_range) return std::strtod(bytes.c_str(), nullptr);
  if (problem != std::errc() || end != number.data() + number.size() || bytes.find('(') != std::string::npos)
    return std::nullopt;
  return value;
}

Value to_whole(double value, const Value& fallback) {
  if (!std::isfinite(value)) return fallback;
  if (std::fabs(value) >= 9.2e18) fail(ErrorKind::kUnsupported, "an integer past 64 bits");
  return static_cast<int64_t>(value);
}

Value int_filter(Engine&, const Value& subject, const Arguments& arguments) {
  const Params p("int", arguments, {"default", "base"});
  const Value fallback = p.has(0) ? p[0] : Value(int64_t{0});
  const int64_t base = p.integer(1, 10);
  if (base < 2 || base > 36) fail(ErrorKind::kUnsupported, "base {} for int", base);
  if (const Text* text = defined(subject).text()) {
    if (const std::optional<int64_t> whole = parse_whole(*text, base)) return *whole;
    const std::optional<double> real = parse_real(*text);
    return real ? to_whole(*real, fallback) : fallback;
  }
  const std::optional<Number> n = number_of(subject);
  if (!n) return fallback;
  return n->whole ? Value(n->integer) : to_whole(n->real, fallback);
}

Value float_filter(Engine&, const Value& subject, const Arguments& arguments) {
  const Params p("float", arguments, {"default"});
  const Value fallback = p.has(0) ? p[0] : Value(0.0);
  if (const Text* text = defined(subject).text()) {
    const std::optional<double> real = parse_real(*text);
    return real ? Value(*real) : fallback;
  }
  const std::optional<Number> n = number_of(subject);
  return n ? Value(n->real) : fallback;
}

// ---- any value

Value default_filter(Engine&, const Value& subject, const Arguments& arguments) {
  const Params p("default", arguments, {"default_value", "boolean"});
  if (!subject.is_undefined() && !(p.flag(1, false) && !truthy(subject))) return subject;
  return p.has(0) ? p[0] : make_text("");
}

Value length_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("length", arguments, {});
  if (subject.text() != nullptr) engine.charge_bytes(subject.text()->bytes.size());
  const std::optional<int64_t> n = length(subject);
  if (!n) fail(ErrorKind::kData, "object of type '{}' has no length", type_name(subject));
  return *n;
}

Value attr_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("attr", arguments, {"name"}, 1);
  if (subject.dict() != nullptr && !find_method(subject, p.text(0).bytes)) {
    return Undefined{fmt::format("'dict' has no attribute {}", quote(p.text(0).bytes))};
  }
  return get_attribute(engine, subject, p.text(0).bytes);
}

}  // namespace

Function find_filter(std::string_view name) {
  static const std::map<std::string_view, Function> kFilters = {
      {"abs", abs_filter},
      {"attr", attr_filter},
      {"capitalize", case_filter<Case::kCapitalize>},
      {"center", center_filter},
      {"count", length_filter},
      {"d", default_filter},
      {"default", default_filter},
      {"e", escape_filter},
      {"escape", escape_filter},
      {"float", float_filter},
      {"forceescape", forceescape_filter},
      {"format", format_filter},
      {"indent", indent_filter},
      {"int", int_filter},
      {"length", length_filter},
      {"lower", case_filter<Case::kLower>},
      {"replace", replace_filter},
      {"round", round_filter},
      {"safe", safe_filter},
      {"string", string_filter},
      {"title", title_filter},
      {"tojson", tojson_filter},
      {"trim", trim_filter},
      {"truncate", truncate_filter},
      {"upper", case_filter<Case::kUpper>},
      {"wordcount", wordcount_filter},
  };
  const auto found = kFilters.find(name);
  return found != kFilters.end() ? found->second : find_sequence_filter(name);
}

}  // namespace merit::text::jinja
