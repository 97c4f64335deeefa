// Options of an objective: one field list gives defaults, parsing, ranges, help and unknown-key errors.
//
//   FieldList<DpoOptions> fields = FieldList<DpoOptions>("dpo").number("beta", &DpoOptions::beta, above(0), "...");
//   DpoOptions options = fields.parse(settings);
//
// Settings are a JSON object. A value may be of the field's own type or a text, as a command line has it: "0.1",
// "true", "sigmoid,sft". null stands for the default.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "merit/core/json.h"
#include "merit/core/strings.h"

namespace merit::objective {

// An interval of numbers; never NaN or infinity.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = true;
  bool high_open = true;
  bool contains(double value) const;
  std::string text() const;  // "(0, 1]", "any number"
};
inline Range any_number() { return {}; }
inline Range above(double low) { return {.low = low}; }
inline Range at_least(double low) { return {.low = low, .low_open = false}; }
inline Range between(double low, double high) { return {low, high, false, false}; }
inline Range from_below(double low, double high) { return {low, high, false, true}; }  // [low, high)

// A field as help, docs and messages show it.
struct Field {
  std::string name;
  std::string default_text;  // "none" for an optional that is not set
  std::string range;
  std::string help;
};

namespace internal {
// Each reads one value; Error(kUsage) naming objective and field: expected, got.
double read_number(const Json& value, const Range& range, const std::string& where);
int64_t read_count(const Json& value, int64_t low, const std::string& where);
bool read_flag(const Json& value, const std::string& where);
size_t read_choice(const Json& value, const std::vector<std::string>& names, const std::string& where);
std::vector<Json> read_list(const Json& value, const std::string& where);
void check_keys(const Json& settings, const std::vector<Field>& fields, const std::string& objective);
std::string numbers_text(const std::vector<double>& numbers);
}  // namespace internal

template <typename Options>
class FieldList {
 public:
  explicit FieldList(std::string objective) : objective_(std::move(objective)) {}

  FieldList& number(const std::string& name, double Options::*member, Range range, std::string help);
  // A number that may be absent.
  FieldList& optional_number(const std::string& name, std::optional<double> Options::*member, Range range,
                             std::string help);
  FieldList& numbers(const std::string& name, std::vector<double> Options::*member, Range range, std::string help);
  FieldList& count(const std::string& name, int64_t Options::*member, int64_t low, std::string help);
  FieldList& flag(const std::string& name, bool Options::*member, std::string help);
  // E: an enumeration whose enumerators stand in the order of `names`, or an index into them.
  template <typename E>
  FieldList& choice(const std::string& name, E Options::*member, std::vector<std::string> names, std::string help);
  template <typename E>
  FieldList& choices(const std::string& name, std::vector<E> Options::*member, std::vector<std::string> names,
                     std::string help);

  // Error(kUsage): an unknown key (with the closest known one), a value of another type or out of range.
  Options parse(const Json& settings) const;
  const std::vector<Field>& fields() const { return fields_; }

 private:
  using Read = std::function<void(Options&, const Json&, const std::string&)>;
  FieldList& add(const std::string& name, std::string default_text, std::string range, std::string help, Read read);

  std::string objective_;
  std::vector<Field> fields_;
  std::vector<Read> reads_;
};

template <typename Options>
FieldList<Options>& FieldList<Options>::add(const std::string& name, std::string default_text, std::string range,
                                            std::string help, Read read) {
  fields_.push_back({name, std::move(default_text), std::move(range), std::move(help)});
  reads_.push_back(std::move(read));
  return *this;
}

template <typename Options>
FieldList<Options>& FieldList<Options>::number(const std::string& name, double Options::*member, Range range,
                                               std::string help) {
  return add(name, internal::numbers_text({Options{}.*member}), range.text(), std::move(help),
             [=](Options& options, const Json& value, const std::string& where) {
               options.*member = internal::read_number(value, range, where);
             });
}

template <typename Options>
FieldList<Options>& FieldList<Options>::optional_number(const std::string& name, std::optional<double> Options::*member,
                                                        Range range, std::string help) {
  return add(name, "none", range.text(), std::move(help),
             [=](Options& options, const Json& value, const std::string& where) {
               options.*member = internal::read_number(value, range, where);
             });
}

template <typename Options>
FieldList<Options>& FieldList<Options>::numbers(const std::string& name, std::vector<double> Options::*member,
                                                Range range, std::string help) {
  const std::vector<double> numbers = Options{}.*member;
  return add(name, numbers.empty() ? "none" : internal::numbers_text(numbers), "list of " + range.text(),
             std::move(help), [=](Options& options, const Json& value, const std::string& where) {
               (options.*member).clear();
               for (const Json& one : internal::read_list(value, where)) {
                 (options.*member).push_back(internal::read_number(one, range, where));
               }
             });
}

template <typename Options>
FieldList<Options>& FieldList<Options>::count(const std::string& name, int64_t Options::*member, int64_t low,
                                              std::string help) {
  return add(name, std::to_string(Options{}.*member), "integer of " + std::to_string(low) + " or more", std::move(help),
             [=](Options& options, const Json& value, const std::string& where) {
               options.*member = internal::read_count(value, low, where);
             });
}

template <typename Options>
FieldList<Options>& FieldList<Options>::flag(const std::string& name, bool Options::*member, std::string help) {
  return add(name, Options{}.*member ? "true" : "false", "true or false", std::move(help),
             [=](Options& options, const Json& value, const std::string& where) {
               options.*member = internal::read_flag(value, where);
             });
}

template <typename Options>
template <typename E>
FieldList<Options>& FieldList<Options>::choice(const std::string& name, E Options::*member,
                                               std::vector<std::string> names, std::string help) {
  return add(name, names.at(static_cast<size_t>(Options{}.*member)), join(names, ", "), std::move(help),
             [=](Options& options, const Json& value, const std::string& where) {
               options.*member = static_cast<E>(internal::read_choice(value, names, where));
             });
}

template <typename Options>
template <typename E>
FieldList<Options>& FieldList<Options>::choices(const std::string& name, std::vector<E> Options::*member,
                                                std::vector<std::string> names, std::string help) {
  std::vector<std::string> defaults;
  for (const E one : Options{}.*member) defaults.push_back(names.at(static_cast<size_t>(one)));
  return add(name, join(defaults, ","), "list of " + join(names, ", "), std::move(help),
             [=](Options& options, const Json& value, const std::string& where) {
               (options.*member).clear();
               for (const Json& one : internal::read_list(value, where)) {
                 (options.*member).push_back(static_cast<E>(internal::read_choice(one, names, where)));
               }
             });
}

template <typename Options>
Options FieldList<Options>::parse(const Json& settings) const {
  internal::check_keys(settings, fields_, objective_);
  Options options;
  for (size_t i = 0; i < fields_.size(); ++i) {
    const auto found = settings.find(fields_[i].name);
    if (found != settings.end() && !found->is_null()) reads_[i](options, *found, objective_ + "." + fields_[i].name);
  }
  return options;
}

}  // namespace merit::objective
