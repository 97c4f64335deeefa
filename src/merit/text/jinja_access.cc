// value.name, value[key] and value[a:b:c].
#include <fmt/format.h>

#include <algorithm>

#include "merit/text/jinja_value.h"

namespace merit::text::jinja {

namespace {

Value missing(const Value& value, const std::string& name) {
  return Undefined{fmt::format("'{}' has no attribute {}", type_name(value), quote(name))};
}

const Value& defined(const Value& value) {
  if (value.is_undefined()) fail(ErrorKind::kData, "{}", value.undefined().message);
  return value;
}

// Attributes Python has and merit does not.
bool is_python_attribute(const Value& value, const std::string& name) {
  static const std::vector<std::string> kNumbers = {"real",      "imag",       "numerator",        "denominator",
                                                    "conjugate", "bit_length", "bit_count",        "to_bytes",
                                                    "hex",       "is_integer", "as_integer_ratio", "from_bytes"};
  static const std::vector<std::string> kViews = {"mapping",  "isdisjoint", "start",      "stop",
                                                  "step",     "send",       "throw",      "close",
                                                  "gi_frame", "gi_code",    "gi_running", "gi_yieldfrom"};
  const std::vector<std::string>* names = number_of(value)              ? &kNumbers
                                          : value.sequence() != nullptr ? &kViews
                                                                        : nullptr;
  return names != nullptr && std::find(names->begin(), names->end(), name) != names->end();
}

// What Python's getattr finds.
std::optional<Value> attribute(Engine& engine, const Value& value, const std::string& name) {
  if (name.rfind("__", 0) == 0) {
    return Value(Undefined{fmt::format("attribute {} of a '{}' is out of bounds", quote(name), type_name(value))});
  }
  if (Object* object = value.object()) return object->attribute(engine, name);
  if (std::optional<Value> method = find_method(value, name)) return method;
  if (is_python_attribute(value, name)) {
    fail(ErrorKind::kUnsupported, "attribute {} of a '{}'", quote(name), type_name(value));
  }
  return std::nullopt;
}

// An index as Python takes it: true for 0 <= index < size afterwards.
bool resolve_index(int64_t& index, size_t size) {
  if (index < 0) index += static_cast<int64_t>(size);
  return index >= 0 && index < static_cast<int64_t>(size);
}

std::optional<Value> element(Engine& engine, const Value& value, const Value& key) {
  if (const Dict* dict = value.dict()) {
    const Value* found = is_hashable(key) ? find(engine, *dict, key) : nullptr;
    return found != nullptr ? std::optional<Value>(*found) : std::nullopt;
  }
  const std::optional<Number> number = number_of(key);
  if (!number || !number->whole) return std::nullopt;
  int64_t index = number->integer;
  if (const Text* text = value.text()) {
    engine.charge_bytes(text->bytes.size());
    if (!resolve_index(index, count_code_points(text->bytes))) return std::nullopt;
    const size_t byte = byte_of(text->bytes, static_cast<size_t>(index));
    return Value(slice(*text, byte, code_point_at(text->bytes, byte).next));
  }
  const Sequence* s = value.sequence();
  if (s == nullptr || s->kind > Sequence::kRange || !resolve_index(index, s->items.size())) return std::nullopt;
  return s->items[static_cast<size_t>(index)];
}

}  // namespace

Value get_attribute(Engine& engine, const Value& value, const std::string& name) {
  defined(value);
  if (std::optional<Value> found = attribute(engine, value, name)) return *found;
  if (const Dict* dict = value.dict()) {
    engine.charge(dict->entries.size() / 8 + 1);
    if (const Value* entry = find(*dict, name)) return *entry;
  }
  return missing(value, name);
}

Value get_item(Engine& engine, const Value& value, const Value& key) {
  defined(value);
  if (std::optional<Value> found = element(engine, value, key)) return *found;
  if (const Text* name = key.text()) {
    if (std::optional<Value> found = attribute(engine, value, name->bytes)) return *found;
    return missing(value, name->bytes);
  }
  return Undefined{fmt::format("a {} has no element {}", type_name(value), quote(repr(engine, key).bytes))};
}

namespace {

std::optional<int64_t> slice_bound(const Value& value) {
  if (value.is_none()) return std::nullopt;
  const std::optional<Number> number = number_of(value);
  if (!number || !number->whole) fail(ErrorKind::kData, "slice indices must be integers or none");
  return number->integer;
}

// The indices that start:stop:step picks from `size` elements, in order.
std::vector<size_t> slice_indices(Engine& engine, size_t size, const Value& start, const Value& stop,
                                  const Value& step) {
  const int64_t n = static_cast<int64_t>(size);
  const int64_t by = slice_bound(step).value_or(1);
  if (by == 0) fail(ErrorKind::kData, "slice step cannot be zero");
  const auto clamp = [&](std::optional<int64_t> bound, int64_t fallback) {
    if (!bound) return fallback;
    if (*bound < 0) return std::max<int64_t>(*bound + n, by < 0 ? -1 : 0);
    return std::min<int64_t>(*bound, by < 0 ? n - 1 : n);
  };
  const int64_t from = clamp(slice_bound(start), by < 0 ? n - 1 : 0);
  const int64_t to = clamp(slice_bound(stop), by < 0 ? -1 : n);
  std::vector<size_t> out;
  for (int64_t i = from; by > 0 ? i < to : i > to;) {
    out.push_back(static_cast<size_t>(i));
    if (by > n || by < -n) break;  // and no overflow
    i += by;
  }
  engine.charge(out.size());
  return out;
}

}  // namespace

Value get_slice(Engine& engine, const Value& value, const Value& start, const Value& stop, const Value& step) {
  defined(value);
  if (const Text* text = value.text()) {
    engine.charge_bytes(text->bytes.size());
    std::vector<size_t> bytes;  // where each character begins, and the end
    for (size_t b = 0; b < text->bytes.size(); b = code_point_at(text->bytes, b).next) bytes.push_back(b);
    const size_t size = bytes.size();
    bytes.push_back(text->bytes.size());
    TextBuilder out;
    for (size_t i : slice_indices(engine, size, start, stop, step)) out.append(*text, bytes[i], bytes[i + 1]);
    Text piece = out.take();
    piece.safe = text->safe;
    return piece;
  }
  const Sequence* s = value.sequence();
  if (s == nullptr || s->kind > Sequence::kRange) {
    fail(ErrorKind::kData, "a {} cannot be sliced", type_name(value));
  }
  std::vector<Value> items;
  for (size_t i : slice_indices(engine, s->items.size(), start, stop, step)) items.push_back(s->items[i]);
  if (s->kind == Sequence::kRange) fail(ErrorKind::kUnsupported, "a slice of a range; write |list before it");
  return make_sequence(s->kind, std::move(items));
}

}  // namespace merit::text::jinja
