// The methods of str, list, tuple and dict.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_set>

#include "merit/text/jinja_functions.h"

namespace merit::text::jinja {

const Text& require_text(const Value& value, const char* what) {
  if (value.is_undefined()) fail(ErrorKind::kData, "{}", value.undefined().message);
  if (value.text() == nullptr) fail(ErrorKind::kData, "{} must be a string, not {}", what, type_name(value));
  return *value.text();
}

namespace {

std::unordered_set<int32_t> characters_of(const Text& text) {
  std::unordered_set<int32_t> out;
  for (size_t b = 0; b < text.bytes.size();) {
    const CodePoint c = code_point_at(text.bytes, b);
    out.insert(c.value);
    b = c.next;
  }
  return out;
}

size_t previous(std::string_view text, size_t byte) {
  do --byte;
  while ((static_cast<unsigned char>(text[byte]) & 0xC0) == 0x80);
  return byte;
}

}  // namespace

Text strip(const Text& text, const Text* characters, bool left, bool right) {
  std::unordered_set<int32_t> set;
  if (characters != nullptr) set = characters_of(*characters);
  const auto goes = [&](size_t byte) {
    const int32_t c = code_point_at(text.bytes, byte).value;
    return characters != nullptr ? set.count(c) != 0 : is_space(c);
  };
  size_t begin = 0;
  size_t end = text.bytes.size();
  while (left && begin < end && goes(begin)) begin = code_point_at(text.bytes, begin).next;
  while (right && end > begin && goes(previous(text.bytes, end))) end = previous(text.bytes, end);
  return slice(text, begin, end);
}

Text replace(Engine& engine, const Text& text, const Text& from, const Text& to, int64_t count) {
  engine.charge_bytes(text.bytes.size());
  TextBuilder out;
  size_t done = 0;
  size_t at = 0;
  for (; count != 0 && at <= text.bytes.size(); --count) {
    size_t found = from.bytes.empty() ? at : text.bytes.find(from.bytes, at);
    if (found == std::string::npos) break;
    out.append(text, done, found);
    out.append(to);
    engine.charge_bytes(to.bytes.size());
    done = found + from.bytes.size();
    if (!from.bytes.empty()) {
      at = done;
    } else if (at == text.bytes.size()) {
      break;
    } else {
      at = code_point_at(text.bytes, at).next;
    }
  }
  out.append(text, done, text.bytes.size());
  Text replaced = out.take();
  replaced.safe = text.safe;
  return replaced;
}

std::vector<Text> split_lines(const Text& text, bool keep_ends) {
  std::vector<Text> out;
  size_t begin = 0;
  for (size_t b = 0; b < text.bytes.size();) {
    const CodePoint c = code_point_at(text.bytes, b);
    const bool breaks = (c.value >= 10 && c.value <= 13) || (c.value >= 28 && c.value <= 30) || c.value == 0x85 ||
                        c.value == 0x2028 || c.value == 0x2029;
    size_t next = c.next;
    if (breaks) {
      if (c.value == '\r' && next < text.bytes.size() && text.bytes[next] == '\n') ++next;
      out.push_back(slice(text, begin, keep_ends ? next : b));
      begin = next;
    }
    b = next;
  }
  if (begin < text.bytes.size()) out.push_back(slice(text, begin, text.bytes.size()));
  return out;
}

Text join(Engine& engine, const Text& separator, const std::vector<Value>& items, bool convert) {
  TextBuilder out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(separator);
    const size_t before = out.size();
    if (convert) {
      out.append(to_text(engine, items[i]));
    } else {
      out.append(require_text(items[i], "an item of join"));
    }
    engine.charge_bytes(out.size() - before + separator.bytes.size());
  }
  return out.take();
}

namespace {

using Method = Value (*)(Engine& engine, const Value& self, const Arguments& arguments);

const Text& self_text(const Value& self) { return *self.text(); }

template <bool kLeft, bool kRight>
Value strip_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("strip", arguments, {"/chars"});
  engine.charge_bytes(self_text(self).bytes.size());
  const bool given = p.has(0) && !p[0].is_none();
  return strip(self_text(self), given ? &p.text(0) : nullptr, kLeft, kRight);
}

template <Case kTo>
Value case_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("a case method", arguments, {});
  engine.charge(self_text(self).bytes.size() / 4 + 1);
  return map_case(self_text(self), kTo);
}

// Splits at white space, as split() with no separator does.
std::vector<Value> split_space(const Text& text, int64_t limit, bool from_right) {
  std::vector<Value> out;
  if (!from_right) {
    size_t at = 0;
    while (true) {
      while (at < text.bytes.size() && is_space(code_point_at(text.bytes, at).value))
        at = code_point_at(text.bytes, at).next;
      if (at >= text.bytes.size()) return out;
      if (limit >= 0 && static_cast<int64_t>(out.size()) >= limit) {
        out.emplace_back(strip(slice(text, at, text.bytes.size()), nullptr, false, true));
        return out;
      }
      size_t end = at;
      while (end < text.bytes.size() && !is_space(code_point_at(text.bytes, end).value))
        end = code_point_at(text.bytes, end).next;
      out.emplace_back(slice(text, at, end));
      at = end;
    }
  }
  size_t end = text.bytes.size();
  while (true) {
    while (end > 0 && is_space(code_point_at(text.bytes, previous(text.bytes, end)).value))
      end = previous(text.bytes, end);
    if (end == 0) break;
    if (limit >= 0 && static_cast<int64_t>(out.size()) >= limit) {
      out.emplace_back(strip(slice(text, 0, end), nullptr, true, false));
      break;
    }
    size_t begin = end;
    while (begin > 0 && !is_space(code_point_at(text.bytes, previous(text.bytes, begin)).value))
      begin = previous(text.bytes, begin);
    out.emplace_back(slice(text, begin, end));
    end = begin;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

template <bool kFromRight>
Value split_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("split", arguments, {"sep", "maxsplit"});
  const Text& text = self_text(self);
  int64_t limit = p.integer(1, -1);
  engine.charge(text.bytes.size() / 4 + 1);
  if (!p.has(0) || p[0].is_none()) return make_list(split_space(text, limit, kFromRight));
  const std::string& separator = p.text(0).bytes;
  if (separator.empty()) fail(ErrorKind::kData, "split needs a separator that is not empty");
  std::vector<Value> out;
  size_t begin = 0;
  size_t end = text.bytes.size();
  while (limit != 0) {
    if (kFromRight) {
      if (end < separator.size()) break;
      const size_t found = text.bytes.rfind(separator, end - separator.size());
      if (found == std::string::npos) break;
      out.emplace_back(slice(text, found + separator.size(), end));
      end = found;
    } else {
      const size_t found = text.bytes.find(separator, begin);
      if (found == std::string::npos) break;
      out.emplace_back(slice(text, begin, found));
      begin = found + separator.size();
    }
    --limit;
  }
  out.emplace_back(slice(text, begin, end));
  if (kFromRight) std::reverse(out.begin(), out.end());
  return make_list(std::move(out));
}

// The stretch of bytes that the optional start and end characters leave; nothing if start lies behind the text.
std::optional<std::pair<size_t, size_t>> window(const Text& text, const Params& p, size_t first) {
  const int64_t n = static_cast<int64_t>(count_code_points(text.bytes));
  const auto bound = [&](size_t i, int64_t fallback) {
    if (!p.has(i) || p[i].is_none()) return fallback;
    const int64_t value = p.integer(i, fallback);
    return value < 0 ? std::max<int64_t>(0, value + n) : value;
  };
  const int64_t from = bound(first, 0);
  const int64_t to = std::min(n, bound(first + 1, n));
  if (from > n || from > to) return std::nullopt;
  return std::pair{byte_of(text.bytes, static_cast<size_t>(from)), byte_of(text.bytes, static_cast<size_t>(to))};
}

template <bool kStart>
Value affix_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p(kStart ? "startswith" : "endswith", arguments, {"/prefix", "/start", "/end"}, 1);
  const Text& text = self_text(self);
  engine.charge_bytes(text.bytes.size());
  const auto bounds = window(text, p, 1);
  if (!bounds) return false;
  const std::string_view part = std::string_view(text.bytes).substr(bounds->first, bounds->second - bounds->first);
  const auto matches = [&](const Value& affix) {
    const std::string& bytes = require_text(affix, kStart ? "the prefix" : "the suffix").bytes;
    return kStart ? part.substr(0, bytes.size()) == bytes
                  : part.size() >= bytes.size() && part.substr(part.size() - bytes.size()) == bytes;
  };
  const Sequence* several = p[0].sequence();
  if (several != nullptr && several->kind == Sequence::kTuple) {
    return std::any_of(several->items.begin(), several->items.end(), matches);
  }
  return matches(p[0]);
}

template <bool kFromRight, bool kRaise>
Value find_method_of(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("find", arguments, {"/sub", "/start", "/end"}, 1);
  const Text& text = self_text(self);
  engine.charge_bytes(text.bytes.size());
  const auto bounds = window(text, p, 1);
  size_t found = std::string::npos;
  if (bounds) {
    const std::string_view part = std::string_view(text.bytes).substr(0, bounds->second);
    found = kFromRight ? part.rfind(p.text(0).bytes) : part.find(p.text(0).bytes, bounds->first);
    if (found != std::string::npos && found < bounds->first) found = std::string::npos;
  }
  if (found == std::string::npos) {
    if (kRaise) fail(ErrorKind::kData, "substring not found");
    return int64_t{-1};
  }
  return static_cast<int64_t>(count_code_points(std::string_view(text.bytes).substr(0, found)));
}

Value count_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("count", arguments, {"/sub", "/start", "/end"}, 1);
  const Text& text = self_text(self);
  engine.charge_bytes(text.bytes.size());
  const auto bounds = window(text, p, 1);
  if (!bounds) return int64_t{0};
  const std::string_view part = std::string_view(text.bytes).substr(bounds->first, bounds->second - bounds->first);
  const std::string& sub = p.text(0).bytes;
  if (sub.empty()) return static_cast<int64_t>(count_code_points(part)) + 1;
  int64_t count = 0;
  for (size_t at = part.find(sub); at != std::string_view::npos; at = part.find(sub, at + sub.size())) ++count;
  return count;
}

Value replace_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("replace", arguments, {"/old", "/new", "/count"}, 2);
  return replace(engine, self_text(self), p.text(0), p.text(1), p.integer(2, -1));
}

Value join_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("join", arguments, {"/items"}, 1);
  return join(engine, self_text(self), iterate(engine, p[0]), false);
}

Value splitlines_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("splitlines", arguments, {"keepends"});
  engine.charge(self_text(self).bytes.size() / 4 + 1);
  std::vector<Value> out;
  for (Text& line : split_lines(self_text(self), p.flag(0, false))) out.emplace_back(std::move(line));
  return make_list(std::move(out));
}

template <bool kFromRight>
Value partition_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("partition", arguments, {"/sep"}, 1);
  const Text& text = self_text(self);
  const Text& separator = p.text(0);
  engine.charge_bytes(text.bytes.size());
  if (separator.bytes.empty()) fail(ErrorKind::kData, "partition needs a separator that is not empty");
  const size_t found = kFromRight ? text.bytes.rfind(separator.bytes) : text.bytes.find(separator.bytes);
  if (found == std::string::npos) {
    return kFromRight ? make_tuple({make_text(""), make_text(""), self})
                      : make_tuple({self, make_text(""), make_text("")});
  }
  return make_tuple({slice(text, 0, found), separator, slice(text, found + separator.bytes.size(), text.bytes.size())});
}

template <bool kPrefix>
Value remove_affix(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p(kPrefix ? "removeprefix" : "removesuffix", arguments, {"/affix"}, 1);
  const Text& text = self_text(self);
  const std::string& affix = p.text(0).bytes;
  engine.charge_bytes(text.bytes.size());
  const size_t n = text.bytes.size();
  if (affix.empty() || affix.size() > n) return self;
  if (kPrefix) return text.bytes.compare(0, affix.size(), affix) == 0 ? slice(text, affix.size(), n) : text;
  return text.bytes.compare(n - affix.size(), affix.size(), affix) == 0 ? slice(text, 0, n - affix.size()) : text;
}

// ljust, rjust and center: kSide -1, 1, 0.
template <int kSide>
Value pad_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("a padding method", arguments, {"/width", "/fillchar"}, 1);
  const Text& text = self_text(self);
  const Text fill = p.has(1) ? p.text(1) : Text{" ", {}, false};
  if (count_code_points(fill.bytes) != 1) fail(ErrorKind::kData, "the fill character must be one character");
  const int64_t width = p.integer(0, 0);
  const int64_t missing = width - static_cast<int64_t>(count_code_points(text.bytes));
  if (missing <= 0) return self;
  engine.charge(static_cast<size_t>(missing));
  const int64_t left = kSide < 0 ? 0 : kSide > 0 ? missing : missing / 2 + (missing & width & 1);
  TextBuilder out;
  for (int64_t i = 0; i < left; ++i) out.append(fill);
  out.append(text);
  for (int64_t i = left; i < missing; ++i) out.append(fill);
  return out.take();
}

Value zfill_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("zfill", arguments, {"/width"}, 1);
  const Text& text = self_text(self);
  const int64_t missing = p.integer(0, 0) - static_cast<int64_t>(count_code_points(text.bytes));
  if (missing <= 0) return self;
  engine.charge(static_cast<size_t>(missing));
  const size_t sign = !text.bytes.empty() && (text.bytes[0] == '-' || text.bytes[0] == '+') ? 1 : 0;
  TextBuilder out;
  out.append(text, 0, sign);
  out.append(std::string(static_cast<size_t>(missing), '0'));
  out.append(text, sign, text.bytes.size());
  return out.take();
}

// True if there is a character and the predicate holds for all.
template <bool (*kHolds)(int32_t)>
Value all_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("a character test", arguments, {});
  const std::string& bytes = self_text(self).bytes;
  engine.charge_bytes(bytes.size());
  if (bytes.empty()) return false;
  for (size_t b = 0; b < bytes.size();) {
    const CodePoint c = code_point_at(bytes, b);
    if (!kHolds(c.value)) return false;
    b = c.next;
  }
  return true;
}

bool is_alnum(int32_t c) { return is_alpha(c) || is_numeric(c) || is_digit(c); }
bool is_ascii(int32_t c) { return c < 0x80; }

template <bool kUpper>
Value cased_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("a case test", arguments, {});
  const std::string& bytes = self_text(self).bytes;
  engine.charge_bytes(bytes.size());
  bool cased = false;
  for (size_t b = 0; b < bytes.size();) {
    const CodePoint c = code_point_at(bytes, b);
    if (is_title(c.value) || (kUpper ? is_lower(c.value) : is_upper(c.value))) return false;
    cased = cased || is_cased(c.value);
    b = c.next;
  }
  return cased;
}

Value istitle_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("istitle", arguments, {});
  const std::string& bytes = self_text(self).bytes;
  engine.charge_bytes(bytes.size());
  bool cased = false;
  bool in_word = false;
  for (size_t b = 0; b < bytes.size();) {
    const CodePoint c = code_point_at(bytes, b);
    const bool big = is_upper(c.value) || is_title(c.value);
    if (big ? in_word : is_lower(c.value) && !in_word) return false;
    in_word = big || is_lower(c.value);
    cased = cased || in_word;
    b = c.next;
  }
  return cased;
}

Value format_method(Engine& engine, const Value& self, const Arguments& arguments) {
  return format_braces(engine, self_text(self), arguments);
}

// Lists and tuples.

Value index_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("index", arguments, {"/value"}, 1);
  const std::vector<Value>& items = self.sequence()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(engine, items[i], p[0])) return static_cast<int64_t>(i);
  }
  fail(ErrorKind::kData, "the value is not in the {}", type_name(self));
}

Value count_items(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("count", arguments, {"/value"}, 1);
  const std::vector<Value>& items = self.sequence()->items;
  return static_cast<int64_t>(
      std::count_if(items.begin(), items.end(), [&](const Value& v) { return equal(engine, v, p[0]); }));
}

Value copy_list(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("copy", arguments, {});
  engine.charge(self.sequence()->items.size());
  return make_list(self.sequence()->items);
}

// Dicts.

Value get_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("get", arguments, {"/key", "/default"}, 1);
  if (!is_hashable(p[0])) fail(ErrorKind::kData, "a {} cannot be a dict key", type_name(p[0]));
  const Value* found = find(engine, *self.dict(), p[0]);
  return found != nullptr ? *found : p.has(1) ? p[1] : Value();
}

template <Sequence::Kind kKind>
Value view_method(Engine& engine, const Value& self, const Arguments& arguments) {
  const Params p("a dict view", arguments, {});
  std::vector<Value> out;
  engine.charge(self.dict()->entries.size());
  for (const auto& [key, value] : self.dict()->entries) {
    out.push_back(kKind == Sequence::kKeys ? key : kKind == Sequence::kValues ? value : make_tuple({key, value}));
  }
  return make_sequence(kKind, std::move(out));
}

Value copy_dict(Engine&, const Value& self, const Arguments& arguments) {
  const Params p("copy", arguments, {});
  return self;  // dicts do not change
}

using Methods = std::map<std::string_view, Method>;

const Methods& text_methods() {
  static const Methods kMethods = {
      {"strip", strip_method<true, true>},
      {"lstrip", strip_method<true, false>},
      {"rstrip", strip_method<false, true>},
      {"upper", case_method<Case::kUpper>},
      {"lower", case_method<Case::kLower>},
      {"title", case_method<Case::kTitle>},
      {"capitalize", case_method<Case::kCapitalize>},
      {"swapcase", case_method<Case::kSwap>},
      {"casefold", case_method<Case::kFold>},
      {"split", split_method<false>},
      {"rsplit", split_method<true>},
      {"splitlines", splitlines_method},
      {"partition", partition_method<false>},
      {"rpartition", partition_method<true>},
      {"startswith", affix_method<true>},
      {"endswith", affix_method<false>},
      {"removeprefix", remove_affix<true>},
      {"removesuffix", remove_affix<false>},
      {"find", find_method_of<false, false>},
      {"rfind", find_method_of<true, false>},
      {"index", find_method_of<false, true>},
      {"rindex", find_method_of<true, true>},
      {"count", count_method},
      {"replace", replace_method},
      {"join", join_method},
      {"ljust", pad_method<-1>},
      {"rjust", pad_method<1>},
      {"center", pad_method<0>},
      {"zfill", zfill_method},
      {"format", format_method},
      {"isspace", all_method<is_space>},
      {"isalpha", all_method<is_alpha>},
      {"isalnum", all_method<is_alnum>},
      {"isdigit", all_method<is_digit>},
      {"isdecimal", all_method<is_decimal>},
      {"isnumeric", all_method<is_numeric>},
      {"isascii", all_method<is_ascii>},
      {"isupper", cased_method<true>},
      {"islower", cased_method<false>},
      {"istitle", istitle_method},
      {"encode", nullptr},
      {"expandtabs", nullptr},
      {"format_map", nullptr},
      {"isidentifier", nullptr},
      {"isprintable", nullptr},
      {"maketrans", nullptr},
      {"translate", nullptr},
  };
  return kMethods;
}

const Methods& list_methods() {
  static const Methods kMethods = {{"index", index_method}, {"count", count_items}, {"copy", copy_list}};
  return kMethods;
}

const Methods& tuple_methods() {
  static const Methods kMethods = {{"index", index_method}, {"count", count_items}};
  return kMethods;
}

const Methods& dict_methods() {
  static const Methods kMethods = {{"get", get_method},
                                   {"keys", view_method<Sequence::kKeys>},
                                   {"values", view_method<Sequence::kValues>},
                                   {"items", view_method<Sequence::kItems>},
                                   {"copy", copy_dict},
                                   {"fromkeys", nullptr}};
  return kMethods;
}

bool mutates(const Value& self, const std::string& name) {
  static const std::vector<std::string> kList = {"append", "clear", "pop",    "reverse",
                                                 "insert", "sort",  "extend", "remove"};
  static const std::vector<std::string> kDict = {"clear", "pop", "popitem", "setdefault", "update"};
  const auto in = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (self.dict() != nullptr) return in(kDict);
  return self.sequence() != nullptr && self.sequence()->kind == Sequence::kList && in(kList);
}

struct BoundMethod : Object {
  BoundMethod(Value s, Method m) : self(std::move(s)), method(m) { depth = depth_above({self}); }
  std::string type() const override { return "builtin_function_or_method"; }
  bool callable() const override { return true; }
  Value call(Engine& engine, Arguments& arguments) override { return method(engine, self, arguments); }
  Value self;
  Method method;
};

}  // namespace

std::optional<Value> find_method(const Value& self, const std::string& name) {
  const Methods* methods = nullptr;
  if (self.text() != nullptr) methods = &text_methods();
  if (self.dict() != nullptr) methods = &dict_methods();
  if (const Sequence* s = self.sequence()) {
    if (s->kind == Sequence::kList) methods = &list_methods();
    if (s->kind == Sequence::kTuple) methods = &tuple_methods();
  }
  if (methods == nullptr) return std::nullopt;
  const auto found = methods->find(name);
  if (found == methods->end()) {
    if (!mutates(self, name)) return std::nullopt;
    return Value(Undefined{fmt::format("{} would change a {}, which templates may not", quote(name), type_name(self))});
  }
  if (found->second == nullptr) fail(ErrorKind::kUnsupported, "method {} of a '{}'", quote(name), type_name(self));
  return Value(std::shared_ptr<Object>(std::make_shared<BoundMethod>(self, found->second)));
}

}  // namespace merit::text::jinja
