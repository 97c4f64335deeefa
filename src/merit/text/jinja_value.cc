#include "merit/text/jinja_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "merit/core/strings.h"

namespace merit::text::jinja {

namespace {

constexpr size_t kMaxDepth = 200;

size_t depth_of(const Value& value) {
  if (const Sequence* s = value.sequence()) return s->depth;
  if (const Dict* d = value.dict()) return d->depth;
  if (const Object* o = value.object()) return o->depth;
  return 0;
}

size_t checked_depth(size_t inner) {
  if (inner >= kMaxDepth) fail(ErrorKind::kLimit, "values nest deeper than {}", kMaxDepth);
  return inner + 1;
}

}  // namespace

size_t depth_above(const std::vector<Value>& values) {
  size_t inner = 0;
  for (const Value& value : values) inner = std::max(inner, depth_of(value));
  return checked_depth(inner);
}

Value make_text(std::string_view literal) { return Text{std::string(literal), {}, false}; }

Value make_sequence(Sequence::Kind kind, std::vector<Value> items) {
  auto sequence = std::make_shared<Sequence>();
  sequence->kind = kind;
  sequence->depth = depth_above(items);
  sequence->items = std::move(items);
  Value value;
  value.state_ = std::move(sequence);
  return value;
}

Value make_range(std::vector<Value> items, std::string label) {
  Value value = make_sequence(Sequence::kRange, std::move(items));
  value.sequence()->label = std::move(label);
  return value;
}

namespace {

// Equality of dict keys needs no engine: they hold no lists.
bool same_key(const Value& a, const Value& b) {
  if (const Text* t = a.text()) return b.text() != nullptr && b.text()->bytes == t->bytes;
  const std::optional<Number> x = number_of(a);
  const std::optional<Number> y = number_of(b);
  if (x && y) return x->whole && y->whole ? x->integer == y->integer : x->real == y->real;
  if (const Sequence* s = a.sequence()) {
    const Sequence* t = b.sequence();
    return t != nullptr && s->kind == t->kind &&
           std::equal(s->items.begin(), s->items.end(), t->items.begin(), t->items.end(), same_key);
  }
  return identical(a, b) || (a.is_undefined() && b.is_undefined());
}

}  // namespace

Value make_dict(std::vector<std::pair<Value, Value>> entries) {
  auto dict = std::make_shared<Dict>();
  size_t inner = 0;
  for (auto& [key, value] : entries) {
    if (!is_hashable(key)) fail(ErrorKind::kData, "a {} cannot be a dict key", type_name(key));
    inner = std::max({inner, depth_of(key), depth_of(value)});
  }
  dict->depth = checked_depth(inner);
  dict->entries.reserve(entries.size());
  std::unordered_map<std::string, size_t> index;  // of the text keys
  for (auto& entry : entries) {
    size_t at = dict->entries.size();
    if (const Text* key = entry.first.text()) {
      at = index.try_emplace(key->bytes, at).first->second;
    } else {
      const auto same = [&](const auto& e) { return same_key(e.first, entry.first); };
      at = static_cast<size_t>(std::find_if(dict->entries.begin(), dict->entries.end(), same) - dict->entries.begin());
    }
    if (at < dict->entries.size()) {
      dict->entries[at].second = std::move(entry.second);
    } else {
      dict->entries.push_back(std::move(entry));
    }
  }
  Value value;
  value.state_ = std::shared_ptr<const Dict>(std::move(dict));
  return value;
}

namespace {

Value json_value(const OrderedJson& json, uint8_t marks, size_t depth) {
  if (depth > kMaxDepth) fail(ErrorKind::kLimit, "the input nests deeper than {}", kMaxDepth);
  const auto text = [&](const std::string& bytes) {
    if (!is_utf8(bytes)) fail(ErrorKind::kData, "a string of the input is not UTF-8: {}", quote(bytes));
    TextBuilder builder;
    builder.append(bytes, marks);
    return Value(builder.take());
  };
  switch (json.type()) {
    case OrderedJson::value_t::boolean:
      return json.get<bool>();
    case OrderedJson::value_t::number_integer:
      return json.get<int64_t>();
    case OrderedJson::value_t::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
        fail(ErrorKind::kUnsupported, "the input has an integer past 64 bits: {}", json.get<uint64_t>());
      }
      return json.get<int64_t>();
    case OrderedJson::value_t::number_float:
      return json.get<double>();
    case OrderedJson::value_t::string:
      return text(json.get_ref<const std::string&>());
    case OrderedJson::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const OrderedJson& item : json) items.push_back(json_value(item, marks, depth + 1));
      return make_list(std::move(items));
    }
    case OrderedJson::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      entries.reserve(json.size());
      for (const auto& [name, item] : json.items()) {
        entries.emplace_back(text(name), json_value(item, marks, depth + 1));
      }
      return make_dict(std::move(entries));
    }
    default:
      return Value();
  }
}

}  // namespace

Value from_json(const OrderedJson& json, uint8_t marks) { return json_value(json, marks, 0); }

bool truthy(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (const bool* b = value.boolean()) return *b;
  if (const int64_t* i = value.integer()) return *i != 0;
  if (const double* d = value.real()) return *d != 0;
  if (const Text* t = value.text()) return !t->bytes.empty();
  if (const Sequence* s = value.sequence()) return s->kind == Sequence::kGenerator || !s->items.empty();
  if (const Dict* d = value.dict()) return !d->entries.empty();
  return true;
}

std::string type_name(const Value& value) {
  static constexpr const char* kSequences[] = {"list",        "tuple",      "range",    "dict_keys",
                                               "dict_values", "dict_items", "generator"};
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.boolean() != nullptr) return "bool";
  if (value.integer() != nullptr) return "int";
  if (value.real() != nullptr) return "float";
  if (const Text* t = value.text()) return t->safe ? "Markup" : "str";
  if (const Sequence* s = value.sequence()) return kSequences[s->kind];
  if (value.dict() != nullptr) return "dict";
  return value.object()->type();
}

bool is_hashable(const Value& value) {
  if (value.dict() != nullptr) return false;
  const Sequence* s = value.sequence();
  if (s == nullptr) return true;
  if (s->kind == Sequence::kTuple) return std::all_of(s->items.begin(), s->items.end(), is_hashable);
  return s->kind == Sequence::kRange || s->kind == Sequence::kGenerator;
}

std::optional<Number> number_of(const Value& value) {
  if (const bool* b = value.boolean()) return Number{true, *b ? 1 : 0, *b ? 1.0 : 0.0};
  if (const int64_t* i = value.integer()) return Number{true, *i, static_cast<double>(*i)};
  if (const double* d = value.real()) return Number{false, 0, *d};
  return std::nullopt;
}

std::string format_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto [end, problem] = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  std::string out;
  if (text.front() == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  int exponent = 0;
  const char* first = text.data() + e + 1 + (text[e + 1] == '+' ? 1 : 0);
  std::from_chars(first, text.data() + text.size(), exponent);
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  // Python writes exponents below -4 and from 16 on.
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02d}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." +
         digits.substr(static_cast<size_t>(exponent) + 1);
}

namespace {

void write_text_repr(const Text& text, TextBuilder& out) {
  const bool has_single = text.bytes.find('\'') != std::string::npos;
  const char delimiter = has_single && text.bytes.find('"') == std::string::npos ? '"' : '\'';
  out.append(std::string(1, delimiter));
  for (size_t byte = 0; byte < text.bytes.size();) {
    const CodePoint c = code_point_at(text.bytes, byte);
    const uint8_t marks = marks_at(text, byte);
    if (c.value == delimiter || c.value == '\\') {
      out.append("\\", marks);
      out.append_code_point(c.value, marks);
    } else if (c.value == '\n') {
      out.append("\\n", marks);
    } else if (c.value == '\r') {
      out.append("\\r", marks);
    } else if (c.value == '\t') {
      out.append("\\t", marks);
    } else if (is_printable(c.value)) {
      out.append(text, byte, c.next);
    } else if (c.value < 0x100) {
      out.append(fmt::format("\\x{:02x}", c.value), marks);
    } else if (c.value < 0x10000) {
      out.append(fmt::format("\\u{:04x}", c.value), marks);
    } else {
      out.append(fmt::format("\\U{:08x}", c.value), marks);
    }
    byte = c.next;
  }
  out.append(std::string(1, delimiter));
}

void write_repr(Engine& engine, const Value& value, TextBuilder& out);

void write_items(Engine& engine, const Sequence& s, TextBuilder& out) {
  for (size_t i = 0; i < s.items.size(); ++i) {
    if (i > 0) out.append(", ");
    write_repr(engine, s.items[i], out);
  }
}

void write_sequence(Engine& engine, const Value& value, TextBuilder& out) {
  const Sequence& s = *value.sequence();
  if (s.kind == Sequence::kRange) return out.append(s.label);
  if (s.kind == Sequence::kGenerator) {
    fail(ErrorKind::kUnsupported, "a generator cannot be printed; write |list or |join behind it");
  }
  if (s.kind == Sequence::kTuple) {
    out.append("(");
    write_items(engine, s, out);
    return out.append(s.items.size() == 1 ? ",)" : ")");
  }
  if (s.kind != Sequence::kList) out.append(type_name(value) + "(");
  out.append("[");
  write_items(engine, s, out);
  out.append(s.kind != Sequence::kList ? "])" : "]");
}

void write_repr(Engine& engine, const Value& value, TextBuilder& out) {
  if (const Text* t = value.text()) {
    engine.charge_bytes(t->bytes.size());
    if (t->safe) out.append("Markup(");
    write_text_repr(*t, out);
    if (t->safe) out.append(")");
  } else if (const Dict* d = value.dict()) {
    engine.charge(d->entries.size() + 1);
    out.append("{");
    for (size_t i = 0; i < d->entries.size(); ++i) {
      if (i > 0) out.append(", ");
      write_repr(engine, d->entries[i].first, out);
      out.append(": ");
      write_repr(engine, d->entries[i].second, out);
    }
    out.append("}");
  } else if (value.sequence() != nullptr) {
    engine.charge(value.sequence()->items.size() + 1);
    write_sequence(engine, value, out);
  } else if (value.is_undefined()) {
    out.append("Undefined");
  } else {
    out.append(to_text(engine, value));
  }
}

}  // namespace

Text repr(Engine& engine, const Value& value) {
  TextBuilder out;
  write_repr(engine, value, out);
  return out.take();
}

Text to_text(Engine& engine, const Value& value) {
  engine.charge(1);
  if (const Text* t = value.text()) return *t;
  if (value.is_undefined()) return {};
  std::string plain;
  if (value.is_none()) {
    plain = "None";
  } else if (const bool* b = value.boolean()) {
    plain = *b ? "True" : "False";
  } else if (const int64_t* i = value.integer()) {
    plain = std::to_string(*i);
  } else if (const double* d = value.real()) {
    plain = format_real(*d);
  } else if (value.object() != nullptr) {
    fail(ErrorKind::kUnsupported, "a {} cannot be printed", type_name(value));
  } else {
    return repr(engine, value);
  }
  return {std::move(plain), {}, false};
}

bool identical(const Value& a, const Value& b) {
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.boolean() != nullptr && b.boolean() != nullptr) return *a.boolean() == *b.boolean();
  if (a.integer() != nullptr && b.integer() != nullptr) return *a.integer() == *b.integer();
  if (a.text() != nullptr) return a.text() == b.text();
  if (a.sequence() != nullptr) return a.sequence() == b.sequence();
  if (a.dict() != nullptr) return a.dict() == b.dict();
  return a.object() != nullptr && a.object() == b.object();
}

bool equal(Engine& engine, const Value& a, const Value& b) {
  engine.charge(1);
  if (const Text* t = a.text()) {
    engine.charge_bytes(t->bytes.size());
    return b.text() != nullptr && t->bytes == b.text()->bytes;
  }
  const std::optional<Number> x = number_of(a);
  const std::optional<Number> y = number_of(b);
  if (x && y) return !less(engine, a, b) && !less(engine, b, a) && !std::isnan(x->real) && !std::isnan(y->real);
  if (const Sequence* s = a.sequence()) {
    const Sequence* t = b.sequence();
    if (s == t) return true;
    if (t == nullptr || s->kind != t->kind || s->kind == Sequence::kGenerator || s->kind == Sequence::kValues)
      return false;
    return std::equal(s->items.begin(), s->items.end(), t->items.begin(), t->items.end(),
                      [&](const Value& p, const Value& q) { return equal(engine, p, q); });
  }
  if (const Dict* d = a.dict()) {
    const Dict* e = b.dict();
    if (e == nullptr || d->entries.size() != e->entries.size()) return false;
    return std::all_of(d->entries.begin(), d->entries.end(), [&](const auto& entry) {
      const Value* other = find(engine, *e, entry.first);
      return other != nullptr && equal(engine, entry.second, *other);
    });
  }
  if (a.is_undefined()) return b.is_undefined();
  return identical(a, b);
}

bool less(Engine& engine, const Value& a, const Value& b) {
  engine.charge(1);
  for (const Value* v : {&a, &b}) {
    if (v->is_undefined()) fail(ErrorKind::kData, "{}", v->undefined().message);
  }
  const std::optional<Number> x = number_of(a);
  const std::optional<Number> y = number_of(b);
  if (x && y) {
    if (x->whole && y->whole) return x->integer < y->integer;
    // long double holds every int64 and every double exactly on this machine's ABI.
    const auto wide = [](const Number& n) {
      return n.whole ? static_cast<long double>(n.integer) : static_cast<long double>(n.real);
    };
    return wide(*x) < wide(*y);
  }
  if (a.text() != nullptr && b.text() != nullptr) {
    engine.charge_bytes(a.text()->bytes.size());
    return a.text()->bytes < b.text()->bytes;  // UTF-8 sorts as its code points do
  }
  const Sequence* s = a.sequence();
  const Sequence* t = b.sequence();
  if (s != nullptr && t != nullptr && s->kind == t->kind && s->kind <= Sequence::kTuple) {
    for (size_t i = 0; i < s->items.size() && i < t->items.size(); ++i) {
      if (!equal(engine, s->items[i], t->items[i])) return less(engine, s->items[i], t->items[i]);
    }
    return s->items.size() < t->items.size();
  }
  fail(ErrorKind::kData, "'{}' and '{}' have no order", type_name(a), type_name(b));
}

std::optional<int64_t> length(const Value& value) {
  if (const Text* t = value.text()) return static_cast<int64_t>(count_code_points(t->bytes));
  if (const Dict* d = value.dict()) return static_cast<int64_t>(d->entries.size());
  if (value.is_undefined()) return 0;
  const Sequence* s = value.sequence();
  if (s == nullptr || s->kind == Sequence::kGenerator) return std::nullopt;
  return static_cast<int64_t>(s->items.size());
}

bool is_iterable(const Value& value) {
  return value.text() != nullptr || value.dict() != nullptr || value.sequence() != nullptr || value.is_undefined();
}

std::vector<Value> iterate(Engine& engine, const Value& value) {
  std::vector<Value> out;
  if (const Text* t = value.text()) {
    engine.charge(t->bytes.size());
    for (size_t byte = 0; byte < t->bytes.size();) {
      const size_t next = code_point_at(t->bytes, byte).next;
      Text piece = slice(*t, byte, next);
      piece.safe = false;
      out.emplace_back(std::move(piece));
      byte = next;
    }
  } else if (const Dict* d = value.dict()) {
    engine.charge(d->entries.size());
    for (const auto& entry : d->entries) out.push_back(entry.first);
  } else if (Sequence* s = value.sequence()) {
    engine.charge(s->items.size());
    out.assign(s->items.begin() + static_cast<std::ptrdiff_t>(s->next), s->items.end());
    if (s->kind == Sequence::kGenerator) s->next = s->items.size();
  } else if (!value.is_undefined()) {
    fail(ErrorKind::kData, "'{}' object is not iterable", type_name(value));
  }
  return out;
}

bool contains(Engine& engine, const Value& container, const Value& item) {
  if (const Text* t = container.text()) {
    if (item.is_undefined()) fail(ErrorKind::kData, "{}", item.undefined().message);
    if (item.text() == nullptr) {
      fail(ErrorKind::kData, "'in <string>' requires string as left operand, not {}", type_name(item));
    }
    engine.charge_bytes(t->bytes.size());
    return t->bytes.find(item.text()->bytes) != std::string::npos;
  }
  if (const Dict* d = container.dict()) {
    if (!is_hashable(item)) fail(ErrorKind::kData, "a {} cannot be a dict key", type_name(item));
    return find(engine, *d, item) != nullptr;
  }
  const std::vector<Value> items = iterate(engine, container);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& v) { return identical(v, item) || equal(engine, v, item); });
}

const Value* find(const Dict& dict, std::string_view key) {
  for (const auto& [k, v] : dict.entries) {
    if (k.text() != nullptr && k.text()->bytes == key) return &v;
  }
  return nullptr;
}

const Value* find(Engine& engine, const Dict& dict, const Value& key) {
  engine.charge(dict.entries.size() / 8 + 1);
  for (const auto& [k, v] : dict.entries) {
    if (same_key(k, key)) return &v;
  }
  return nullptr;
}

Text escape_html(const Text& text) {
  TextBuilder out;
  for (size_t i = 0; i < text.bytes.size(); ++i) {
    const char c = text.bytes[i];
    const char* entity = c == '&'    ? "&amp;"
                         : c == '<'  ? "&lt;"
                         : c == '>'  ? "&gt;"
                         : c == '\'' ? "&#39;"
                         : c == '"'  ? "&#34;"
                                     : nullptr;
    if (entity != nullptr) {
      out.append(entity, marks_at(text, i));
    } else {
      out.append(text, i, i + 1);
    }
  }
  Text escaped = out.take();
  escaped.safe = true;
  return escaped;
}

}  // namespace merit::text::jinja
