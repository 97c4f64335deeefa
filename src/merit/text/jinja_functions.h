// The functions a template may call: filters, tests and globals, each a table in its own source file.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "merit/text/jinja_value.h"

namespace merit::text::jinja {

// Arguments matched to parameter names, by position and by name. A name that starts with "/" is by position only.
// Error for too many, unknown, doubled or (the first `required`) missing ones.
class Params {
 public:
  Params(std::string function, const Arguments& arguments, std::initializer_list<std::string_view> names,
         size_t required = 0);
  bool has(size_t i) const { return values_[i] != nullptr; }
  const Value& operator[](size_t i) const { return *values_[i]; }
  // Typed, with a fallback for one that is not there; Error if it is of another type.
  const Text& text(size_t i) const;
  int64_t integer(size_t i, int64_t fallback) const;
  bool flag(size_t i, bool fallback) const { return has(i) ? truthy(*values_[i]) : fallback; }

 private:
  std::string function_;
  std::vector<const Value*> values_;
};

using Function = Value (*)(Engine& engine, const Value& subject, const Arguments& arguments);
using Test = bool (*)(Engine& engine, const Value& subject, const Arguments& arguments);
Function find_filter(std::string_view name);           // null if there is none
Function find_sequence_filter(std::string_view name);  // its part that takes sequences
Test find_test(std::string_view name);

// range, dict, namespace, cycler, joiner, raise_exception, strftime_now.
std::optional<Value> find_global(std::string_view name);

struct Namespace : Object {
  std::vector<std::pair<std::string, Value>> members;
  std::string type() const override { return "Namespace"; }
  void release() override { members.clear(); }
  std::optional<Value> attribute(Engine&, const std::string& name) override;
  void set(const std::string& name, Value value);  // Error for names that begin with _
};

// What the template itself refuses with: raise_exception("...").
struct TemplateRefusal : Error {
  using Error::Error;
};

// The value, or its error if it is undefined.
const Value& defined(const Value& value);
// str(value) for arguments where Python's functions take strings only.
const Text& require_text(const Value& value, const char* what);
// value.a.b.0, as the filters' `attribute` parameters spell it.
Value get_path(Engine& engine, const Value& value, const Value& path);
// Lower case for text, anything else as it is: how filters compare when case does not matter.
Value fold_case(const Value& value);
Text strip(const Text& text, const Text* characters, bool left, bool right);
Text replace(Engine& engine, const Text& text, const Text& from, const Text& to, int64_t count);
std::vector<Text> split_lines(const Text& text, bool keep_ends);
Text join(Engine& engine, const Text& separator, const std::vector<Value>& items, bool convert);

}  // namespace merit::text::jinja
