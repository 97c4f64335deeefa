// One object of a tokenizer file, read member by member so that none is overlooked: a member with an effect that
// nobody asked for is an error that names it.
#pragma once

#include <set>
#include <string>

#include "merit/core/error.h"
#include "merit/core/json.h"

namespace merit::text {

class Fields {
 public:
  // Error(kData) if it is no object. `object` must outlive this.
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail(ErrorKind::kData, "{}: expected an object, got {}", where_, object.type_name());
  }

  // The member, or nullptr if it is missing or null.
  const Json* find(const std::string& key) {
    seen_.insert(key);
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  const Json& need(const std::string& key) {
    if (const Json* value = find(key)) return *value;
    fail(ErrorKind::kData, "{}: {} is missing", where_, quote(key));
  }
  std::string string(const std::string& key) { return seen(key), get_string(object_, key, where_); }
  std::string string_or(const std::string& key, std::string fallback) {
    return seen(key), get_string_or(object_, key, std::move(fallback), where_);
  }
  bool boolean_or(const std::string& key, bool fallback) {
    return seen(key), get_bool_or(object_, key, fallback, where_);
  }
  int64_t integer(const std::string& key) { return seen(key), get_int(object_, key, where_); }
  int64_t integer_or(const std::string& key, int64_t fallback) {
    return seen(key), get_int_or(object_, key, fallback, where_);
  }
  void ignore(const std::string& key) { seen_.insert(key); }

  // Error(kUnsupported) naming the first member that was not read.
  void done() const {
    for (auto it = object_.begin(); it != object_.end(); ++it) {
      if (!seen_.count(it.key())) fail(ErrorKind::kUnsupported, "{}: unknown member {}", where_, quote(it.key()));
    }
  }
  const std::string& where() const { return where_; }
  std::string at(const std::string& key) const { return where_ + "." + key; }

 private:
  void seen(const std::string& key) { seen_.insert(key); }

  const Json& object_;
  std::string where_;
  std::set<std::string> seen_;
};

}  // namespace merit::text
