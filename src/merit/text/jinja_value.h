// The values a template computes with, and what Python does with them.
//
// Every function may throw Error; the interpreter adds line and column. Work is charged to the Engine, so that no
// template runs or grows without bound.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/json.h"
#include "merit/text/jinja_text.h"

namespace merit::text::jinja {

class Engine;
class Value;
struct Object;

struct Undefined {
  std::string message;  // why it is undefined: the error of whoever uses it
};
struct None {};

struct Sequence {
  enum Kind { kList, kTuple, kRange, kKeys, kValues, kItems, kGenerator };
  Kind kind = kList;
  std::vector<Value> items;
  size_t depth = 1;   // of nesting
  size_t next = 0;    // generators run once
  std::string label;  // how a range prints
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;  // in order of insertion
  size_t depth = 1;
};

class Value {
 public:
  Value() : state_(None{}) {}
  Value(bool value) : state_(value) {}                                         // NOLINT: conversions are the purpose
  Value(int64_t value) : state_(value) {}                                      // NOLINT
  Value(double value) : state_(value) {}                                       // NOLINT
  Value(Text text) : state_(std::make_shared<const Text>(std::move(text))) {}  // NOLINT
  Value(Undefined undefined) : state_(std::make_shared<const Undefined>(std::move(undefined))) {}  // NOLINT
  Value(std::shared_ptr<Object> object) : state_(std::move(object)) {}                             // NOLINT
  Value(const char*) = delete;
  Value(const void*) = delete;

  bool is_undefined() const { return std::holds_alternative<std::shared_ptr<const Undefined>>(state_); }
  bool is_none() const { return std::holds_alternative<None>(state_); }
  const Undefined& undefined() const { return *std::get<std::shared_ptr<const Undefined>>(state_); }
  const bool* boolean() const { return std::get_if<bool>(&state_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&state_); }
  const double* real() const { return std::get_if<double>(&state_); }
  const Text* text() const { return get<const Text>(); }
  Sequence* sequence() const { return get<Sequence>(); }
  const Dict* dict() const { return get<const Dict>(); }
  Object* object() const { return get<Object>(); }
  std::shared_ptr<Object> shared_object() const { return std::get<std::shared_ptr<Object>>(state_); }

 private:
  friend Value make_sequence(Sequence::Kind kind, std::vector<Value> items);
  friend Value make_range(std::vector<Value> items, std::string label);
  friend Value make_dict(std::vector<std::pair<Value, Value>> entries);
  template <typename T>
  T* get() const {
    const auto* held = std::get_if<std::shared_ptr<T>>(&state_);
    return held != nullptr ? held->get() : nullptr;
  }
  std::variant<None, bool, int64_t, double, std::shared_ptr<const Undefined>, std::shared_ptr<const Text>,
               std::shared_ptr<Sequence>, std::shared_ptr<const Dict>, std::shared_ptr<Object>>
      state_;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// What is neither a number, a string nor a container: namespaces, loops, functions.
struct Object {
  virtual ~Object() = default;
  virtual void release() {}  // lets go of all values held
  virtual std::string type() const = 0;
  virtual std::optional<Value> attribute(Engine&, const std::string&) { return std::nullopt; }
  virtual bool callable() const { return false; }
  size_t depth = 0;  // of nesting below it, for those that hold values and are not kept by the engine
  virtual Value call(Engine&, Arguments&) { fail(ErrorKind::kData, "'{}' object is not callable", type()); }
};

Value make_text(std::string_view literal);
// One more than the deepest of the values; Error(kLimit) past 200, so that nothing recurses without bound.
size_t depth_above(const std::vector<Value>& values);
Value make_sequence(Sequence::Kind kind, std::vector<Value> items);
inline Value make_list(std::vector<Value> items) { return make_sequence(Sequence::kList, std::move(items)); }
inline Value make_tuple(std::vector<Value> items) { return make_sequence(Sequence::kTuple, std::move(items)); }
Value make_range(std::vector<Value> items, std::string label);
// Later entries replace earlier ones of an equal key. Error if a key cannot be one.
Value make_dict(std::vector<std::pair<Value, Value>> entries);
// Strings and names get `marks`. Error for text that is not UTF-8, numbers past 64 bits, nesting past 200.
Value from_json(const OrderedJson& json, uint8_t marks);

bool truthy(const Value& value);
std::string type_name(const Value& value);  // Python's
bool is_hashable(const Value& value);
// bool, int and float as numbers; an int or bool has `whole`.
struct Number {
  bool whole;
  int64_t integer;
  double real;  // the value in either case
};
std::optional<Number> number_of(const Value& value);

Text to_text(Engine& engine, const Value& value);  // str(value)
Text repr(Engine& engine, const Value& value);
std::string format_real(double value);  // repr of a float
bool equal(Engine& engine, const Value& a, const Value& b);
bool less(Engine& engine, const Value& a, const Value& b);  // a < b, or Error if the types have no order
bool identical(const Value& a, const Value& b);             // a is b
bool contains(Engine& engine, const Value& container, const Value& item);
std::optional<int64_t> length(const Value& value);  // nothing: it has no length
bool is_iterable(const Value& value);
std::vector<Value> iterate(Engine& engine, const Value& value);
const Value* find(Engine& engine, const Dict& dict, const Value& key);
const Value* find(const Dict& dict, std::string_view key);

// value.name and value[key] as a template's author writes them.
Value get_attribute(Engine& engine, const Value& value, const std::string& name);
Value get_item(Engine& engine, const Value& value, const Value& key);
Value get_slice(Engine& engine, const Value& value, const Value& start, const Value& stop, const Value& step);

enum class Op { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };
Value binary(Engine& engine, Op op, const Value& a, const Value& b);
Value negate(const Value& value, bool minus);

Text escape_html(const Text& text);
// json.dumps, with transformers' defaults for a template's tojson.
struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
Text to_json_text(Engine& engine, const Value& value, const JsonStyle& style);
// text % arguments, and text.format(...).
Text format_percent(Engine& engine, const Text& format, const Value& arguments);
Text format_braces(Engine& engine, const Text& format, const Arguments& arguments);
// round(value, digits) with Python's half-to-even on the decimal expansion.
double round_to(double value, int64_t digits);

// A method of a str, list, tuple or dict; nothing if the type has none of that name.
std::optional<Value> find_method(const Value& self, const std::string& name);

// The state that bounds a render.
class Engine {
 public:
  virtual ~Engine() = default;
  // One step is about a microsecond's work or 32 bytes.
  void charge(size_t steps) {
    if (steps > left_) fail(ErrorKind::kLimit, "the template does too much work (more than {} steps)", kMaxSteps);
    left_ -= steps;
  }
  void charge_bytes(size_t bytes) { charge(bytes / 32 + 1); }
  virtual Value call(const Value& callee, Arguments& arguments) = 0;
  // Keeps an object that may come to hold itself until the render ends, and breaks it open then.
  virtual void keep(std::shared_ptr<Object> object) = 0;
  virtual std::string strftime_now(const std::string& format) = 0;

  static constexpr size_t kMaxSteps = 10'000'000;

 private:
  size_t left_ = kMaxSteps;
};

}  // namespace merit::text::jinja
