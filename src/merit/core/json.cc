#include "merit/core/json.h"

#include <limits>
#include <set>
#include <vector>

#include "merit/core/error.h"

namespace merit {
namespace {

constexpr size_t kMaxDepth = 200;

// Builds the value while it watches depth and repeated names, which the library itself lets pass.
template <typename J>
class StrictSax : public nlohmann::detail::json_sax_dom_parser<J> {
  using Base = nlohmann::detail::json_sax_dom_parser<J>;

 public:
  StrictSax(J& root, const std::string& where) : Base(root, false), where_(where) {}

  bool start_object(size_t size) {
    enter();
    names_.emplace_back();
    return Base::start_object(size);
  }
  bool end_object() {
    --depth_;
    names_.pop_back();
    return Base::end_object();
  }
  bool start_array(size_t size) {
    enter();
    return Base::start_array(size);
  }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  bool key(std::string& name) {
    if (!names_.back().insert(name).second) {
      fail(ErrorKind::kData, "{}: the name {} stands twice in one JSON object; expected each name once", where_,
           quote(name));
    }
    return Base::key(name);
  }
  template <typename Exception>
  bool parse_error(size_t position, const std::string& token, const Exception& error) {
    if (error.id == 406) {  // the library's out_of_range
      fail(ErrorKind::kData, "{}: the number {} at byte {} is too large for a double", where_, quote(token), position);
    }
    std::string what = error.what();
    // Only the part after the library's own position: "... at line 1, column 7: REASON".
    const size_t colon = what.find(": ", what.find("column"));
    if (colon != std::string::npos) what = what.substr(colon + 2);
    for (char& c : what) {
      if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    }
    fail(ErrorKind::kData, "{}: not valid JSON at byte {}: {}", where_, position, what);
  }

 private:
  void enter() {
    if (++depth_ > kMaxDepth) {
      fail(ErrorKind::kLimit, "{}: JSON nested deeper than {} levels", where_, kMaxDepth);
    }
  }

  const std::string& where_;
  size_t depth_ = 0;
  std::vector<std::set<std::string>> names_;
};

template <typename J>
J parse(std::string_view text, const std::string& where) {
  J root;
  StrictSax<J> sax(root, where);
  if (!J::sax_parse(text.begin(), text.end(), &sax)) {
    fail(ErrorKind::kData, "{}: not valid JSON", where);
  }
  return root;
}

template <typename J>
std::string dump(const J& value) {
  return value.dump(-1, ' ', false, J::error_handler_t::replace);
}

const Json& member(const Json& object, const std::string& key, const std::string& where) {
  if (!object.is_object()) fail(ErrorKind::kData, "{}: expected a JSON object, got {}", where, object.type_name());
  const auto it = object.find(key);
  if (it == object.end()) fail(ErrorKind::kData, "{}: the key {} is missing", where, quote(key));
  return *it;
}

[[noreturn]] void wrong_type(const Json& value, const std::string& key, const char* expected,
                             const std::string& where) {
  fail(ErrorKind::kData, "{}: expected {} for {}, got {}", where, expected, quote(key), quote(dump_json(value)));
}

bool absent(const Json& object, const std::string& key, const std::string& where) {
  if (!object.is_object()) fail(ErrorKind::kData, "{}: expected a JSON object, got {}", where, object.type_name());
  const auto it = object.find(key);
  return it == object.end() || it->is_null();
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) { return parse<Json>(text, where); }
OrderedJson parse_ordered_json(std::string_view text, const std::string& where) {
  return parse<OrderedJson>(text, where);
}

std::string dump_json(const Json& value) { return dump(value); }
std::string dump_json(const OrderedJson& value) { return dump(value); }

std::string get_string(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_string()) wrong_type(value, key, "a string", where);
  return value.get<std::string>();
}

int64_t get_int(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (value.is_number_unsigned()) {
    const uint64_t number = value.get<uint64_t>();
    if (number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return static_cast<int64_t>(number);
  } else if (value.is_number_integer()) {
    return value.get<int64_t>();
  } else if (value.is_number_float()) {
    const double number = value.get<double>();  // 1e3 and 2.0 are whole numbers too
    if (number > -9.2e18 && number < 9.2e18 && number == static_cast<double>(static_cast<int64_t>(number))) {
      return static_cast<int64_t>(number);
    }
  }
  wrong_type(value, key, "a whole number", where);
}

double get_double(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_number()) wrong_type(value, key, "a number", where);
  return value.get<double>();
}

bool get_bool(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_boolean()) wrong_type(value, key, "true or false", where);
  return value.get<bool>();
}

std::string get_string_or(const Json& object, const std::string& key, std::string fallback, const std::string& where) {
  return absent(object, key, where) ? fallback : get_string(object, key, where);
}
int64_t get_int_or(const Json& object, const std::string& key, int64_t fallback, const std::string& where) {
  return absent(object, key, where) ? fallback : get_int(object, key, where);
}
double get_double_or(const Json& object, const std::string& key, double fallback, const std::string& where) {
  return absent(object, key, where) ? fallback : get_double(object, key, where);
}
bool get_bool_or(const Json& object, const std::string& key, bool fallback, const std::string& where) {
  return absent(object, key, where) ? fallback : get_bool(object, key, where);
}

}  // namespace merit
