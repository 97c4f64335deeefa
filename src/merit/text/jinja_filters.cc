// The filters. Each takes the value before the bar and its arguments; names and defaults are Jinja's.
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

Value fold_case(const Value& value) {
  return value.text() != nullptr ? Value(map_case(*value.text(), Case::kLower)) : value;
}

Value get_path(Engine& engine, const Value& value, const Value& path) {
  if (path.text() == nullptr) return get_item(engine, value, path);
  Value at = value;
  for (std::string_view part : split(path.text()->bytes, '.')) {
    int64_t index = 0;
    const auto [end, problem] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool whole = problem == std::errc() && end == part.data() + part.size() && part[0] != '-';
    at = get_item(engine, at, whole ? Value(index) : make_text(part));
  }
  return at;
}

namespace {

const Value& defined(const Value& value) {
  if (value.is_undefined()) fail(ErrorKind::kData, "{}", value.undefined().message);
  return value;
}

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
  const Text& text = require_text(subject, "the subject of truncate");
  engine.charge_bytes(text.bytes.size());
  if (static_cast<int64_t>(count_code_points(text.bytes)) <= limit + leeway) return text;
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
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / number_of(unit)->real;
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

// ---- sequences

Value list_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("list", arguments, {});
  return make_list(iterate(engine, subject));
}

Value generator(std::vector<Value> items) { return make_sequence(Sequence::kGenerator, std::move(items)); }

Value items_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("items", arguments, {});
  if (subject.is_undefined()) return generator({});
  if (subject.dict() == nullptr) fail(ErrorKind::kData, "items of a '{}': only a mapping has them", type_name(subject));
  std::vector<Value> out;
  engine.charge(subject.dict()->entries.size());
  for (const auto& [key, value] : subject.dict()->entries) out.push_back(make_tuple({key, value}));
  return generator(std::move(out));
}

Value first_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("first", arguments, {});
  if (Sequence* s = subject.sequence(); s != nullptr && s->kind == Sequence::kGenerator && s->next < s->items.size()) {
    return s->items[s->next++];
  }
  const std::vector<Value> items = iterate(engine, subject);
  return items.empty() ? Value(Undefined{"no first item, the sequence was empty"}) : items.front();
}

Value last_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("last", arguments, {});
  if (const Sequence* s = subject.sequence(); s != nullptr && s->kind == Sequence::kGenerator) {
    fail(ErrorKind::kData, "a generator has no last item; write |list before it");
  }
  const std::vector<Value> items = iterate(engine, subject);
  return items.empty() ? Value(Undefined{"no last item, the sequence was empty"}) : items.back();
}

Value reverse_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("reverse", arguments, {});
  std::vector<Value> items = iterate(engine, subject);
  std::reverse(items.begin(), items.end());
  if (subject.text() == nullptr) return generator(std::move(items));
  return join(engine, {}, items, false);
}

Value join_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("join", arguments, {"d", "attribute"});
  std::vector<Value> items = iterate(engine, subject);
  if (p.has(1) && !p[1].is_none()) {
    for (Value& item : items) item = get_path(engine, item, p[1]);
  }
  return join(engine, p.has(0) ? to_text(engine, p[0]) : Text(), items, true);
}

// Sort keys: the attribute if one is named, letters without case unless asked.
std::vector<Value> sort_keys(Engine& engine, const std::vector<Value>& items, const Value* attribute,
                             bool case_sensitive) {
  std::vector<Value> keys;
  for (const Value& item : items) {
    if (attribute != nullptr && attribute->text() != nullptr &&
        attribute->text()->bytes.find(',') != std::string::npos) {
      std::vector<Value> parts;
      for (std::string_view part : split(attribute->text()->bytes, ',')) {
        const Value value = get_path(engine, item, make_text(part));
        parts.push_back(case_sensitive ? value : fold_case(value));
      }
      keys.push_back(make_list(std::move(parts)));
      continue;
    }
    const Value value = attribute != nullptr && !attribute->is_none() ? get_path(engine, item, *attribute) : item;
    keys.push_back(case_sensitive ? value : fold_case(value));
  }
  return keys;
}

std::vector<Value> sorted(Engine& engine, const std::vector<Value>& items, const std::vector<Value>& keys,
                          bool reverse) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Reversed order keeps equal items as they stand, as Python's does.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? less(engine, keys[b], keys[a]) : less(engine, keys[a], keys[b]);
  });
  std::vector<Value> out;
  for (size_t i : order) out.push_back(items[i]);
  return out;
}

Value sort_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const std::vector<Value> items = iterate(engine, subject);
  return make_list(
      sorted(engine, items, sort_keys(engine, items, p.has(2) ? &p[2] : nullptr, p.flag(1, false)), p.flag(0, false)));
}

Value dictsort_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = p.has(1) ? p.text(1).bytes : "key";
  if (by != "key" && by != "value") fail(ErrorKind::kData, "dictsort sorts by key or value, not {}", quote(by));
  if (defined(subject).dict() == nullptr) fail(ErrorKind::kData, "dictsort of a '{}'", type_name(subject));
  std::vector<Value> items;
  std::vector<Value> keys;
  for (const auto& [key, value] : subject.dict()->entries) {
    items.push_back(make_tuple({key, value}));
    const Value& sort_by = by == "key" ? key : value;
    keys.push_back(p.flag(0, false) ? sort_by : fold_case(sort_by));
  }
  engine.charge(items.size());
  return make_list(sorted(engine, items, keys, p.flag(2, false)));
}

template <bool kMax>
Value extreme_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p(kMax ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const std::vector<Value> items = iterate(engine, subject);
  if (items.empty()) return Undefined{"no aggregated item, the sequence was empty"};
  const std::vector<Value> keys = sort_keys(engine, items, p.has(1) ? &p[1] : nullptr, p.flag(0, false));
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    if (kMax ? less(engine, keys[best], keys[i]) : less(engine, keys[i], keys[best])) best = i;
  }
  return items[best];
}

Value sum_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("sum", arguments, {"attribute", "start"});
  Value total = p.has(1) ? p[1] : Value(int64_t{0});
  if (total.text() != nullptr) fail(ErrorKind::kData, "sum cannot add strings; write |join");
  for (const Value& item : iterate(engine, subject)) {
    total = binary(engine, Op::kAdd, total, p.has(0) && !p[0].is_none() ? get_path(engine, item, p[0]) : item);
  }
  return total;
}

Value unique_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("unique", arguments, {"case_sensitive", "attribute"});
  const std::vector<Value> items = iterate(engine, subject);
  const std::vector<Value> keys = sort_keys(engine, items, p.has(1) ? &p[1] : nullptr, p.flag(0, false));
  std::vector<Value> out;
  std::vector<Value> seen;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!is_hashable(keys[i])) fail(ErrorKind::kData, "unique of a '{}'", type_name(keys[i]));
    const bool known = std::any_of(seen.begin(), seen.end(), [&](const Value& v) { return equal(engine, v, keys[i]); });
    if (known) continue;
    seen.push_back(keys[i]);
    out.push_back(items[i]);
  }
  return generator(std::move(out));
}

Value batch_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("batch", arguments, {"linecount", "fill_with"}, 1);
  const int64_t size = p.integer(0, 1);
  if (size < 1) fail(ErrorKind::kData, "batch wants a size of at least 1");
  std::vector<Value> out;
  std::vector<Value> row;
  for (const Value& item : iterate(engine, subject)) {
    if (static_cast<int64_t>(row.size()) == size) out.push_back(make_list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    if (p.has(1) && !p[1].is_none()) {
      engine.charge(static_cast<size_t>(size));
      row.resize(static_cast<size_t>(size), p[1]);
    }
    out.push_back(make_list(std::move(row)));
  }
  return generator(std::move(out));
}

Value slice_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("slice", arguments, {"slices", "fill_with"}, 1);
  const std::vector<Value> items = iterate(engine, subject);
  const int64_t slices = p.integer(0, 1);
  if (slices < 1) fail(ErrorKind::kData, "slice wants at least 1 slice");
  engine.charge(static_cast<size_t>(slices));
  const size_t n = static_cast<size_t>(slices);
  std::vector<Value> out;
  size_t at = 0;
  for (size_t i = 0; i < n; ++i) {
    const size_t take = items.size() / n + (i < items.size() % n ? 1 : 0);
    std::vector<Value> part(items.begin() + static_cast<std::ptrdiff_t>(at),
                            items.begin() + static_cast<std::ptrdiff_t>(at + take));
    at += take;
    if (p.has(1) && !p[1].is_none() && i >= items.size() % n) part.push_back(p[1]);
    out.push_back(make_list(std::move(part)));
  }
  return generator(std::move(out));
}

Value groupby_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  const Params p("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const std::vector<Value> items = iterate(engine, subject);
  const bool sensitive = p.flag(2, false);
  const auto key_of = [&](const Value& item) {
    const Value value = get_path(engine, item, p[0]);
    return value.is_undefined() && p.has(1) ? p[1] : value;
  };
  std::vector<Value> keys;
  for (const Value& item : items) keys.push_back(sensitive ? key_of(item) : fold_case(key_of(item)));
  std::vector<Value> out;
  std::vector<Value> group;
  Value last;
  const auto close = [&] {
    if (!group.empty()) out.push_back(make_tuple({key_of(group.front()), make_list(std::exchange(group, {}))}));
  };
  for (const Value& item : sorted(engine, items, keys, false)) {
    const Value key = sensitive ? key_of(item) : fold_case(key_of(item));
    if (!group.empty() && !equal(engine, key, last)) close();
    group.push_back(item);
    last = key;
  }
  close();
  return make_list(std::move(out));
}

Arguments rest(const Arguments& arguments, size_t from) {
  Arguments out;
  out.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(from), arguments.positional.end());
  out.named = arguments.named;
  return out;
}

Value map_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  if (!truthy(subject)) return generator({});
  std::vector<Value> items = iterate(engine, subject);
  if (arguments.positional.empty()) {
    const Params p("map", arguments, {"attribute", "default"}, 1);
    for (Value& item : items) {
      item = get_path(engine, item, p[0]);
      if (item.is_undefined() && p.has(1)) item = p[1];
    }
    return generator(std::move(items));
  }
  const std::string& name = require_text(arguments.positional[0], "the filter of map").bytes;
  const Function filter = find_filter(name);
  if (filter == nullptr) fail(ErrorKind::kUnsupported, "no filter named {}", quote(name));
  const Arguments others = rest(arguments, 1);
  for (Value& item : items) item = filter(engine, item, others);
  return generator(std::move(items));
}

template <bool kKeep, bool kAttribute>
Value select_filter(Engine& engine, const Value& subject, const Arguments& arguments) {
  std::vector<Value> out;
  if (!truthy(subject)) return generator({});
  if (kAttribute && arguments.positional.empty()) fail(ErrorKind::kData, "the attribute to select by is missing");
  const size_t at = kAttribute ? 1 : 0;
  Test test = nullptr;
  if (arguments.positional.size() > at) {
    const std::string& name = require_text(arguments.positional[at], "the test").bytes;
    test = find_test(name);
    if (test == nullptr) fail(ErrorKind::kUnsupported, "no test named {}", quote(name));
  }
  const Arguments others = rest(arguments, std::min(at + 1, arguments.positional.size()));
  for (const Value& item : iterate(engine, subject)) {
    const Value value = kAttribute ? get_path(engine, item, arguments.positional[0]) : item;
    if ((test != nullptr ? test(engine, value, others) : truthy(value)) == kKeep) out.push_back(item);
  }
  return generator(std::move(out));
}

}  // namespace

Function find_filter(std::string_view name) {
  static const std::map<std::string_view, Function> kFilters = {
      {"abs", abs_filter},
      {"attr", attr_filter},
      {"batch", batch_filter},
      {"capitalize", case_filter<Case::kCapitalize>},
      {"center", center_filter},
      {"count", length_filter},
      {"d", default_filter},
      {"default", default_filter},
      {"dictsort", dictsort_filter},
      {"e", escape_filter},
      {"escape", escape_filter},
      {"first", first_filter},
      {"float", float_filter},
      {"forceescape", forceescape_filter},
      {"format", format_filter},
      {"groupby", groupby_filter},
      {"indent", indent_filter},
      {"int", int_filter},
      {"items", items_filter},
      {"join", join_filter},
      {"last", last_filter},
      {"length", length_filter},
      {"list", list_filter},
      {"lower", case_filter<Case::kLower>},
      {"map", map_filter},
      {"max", extreme_filter<true>},
      {"min", extreme_filter<false>},
      {"reject", select_filter<false, false>},
      {"rejectattr", select_filter<false, true>},
      {"replace", replace_filter},
      {"reverse", reverse_filter},
      {"round", round_filter},
      {"safe", safe_filter},
      {"select", select_filter<true, false>},
      {"selectattr", select_filter<true, true>},
      {"slice", slice_filter},
      {"sort", sort_filter},
      {"string", string_filter},
      {"sum", sum_filter},
      {"title", title_filter},
      {"tojson", tojson_filter},
      {"trim", trim_filter},
      {"truncate", truncate_filter},
      {"unique", unique_filter},
      {"upper", case_filter<Case::kUpper>},
      {"wordcount", wordcount_filter},
  };
  const auto found = kFilters.find(name);
  return found != kFilters.end() ? found->second : nullptr;
}

}  // namespace merit::text::jinja
