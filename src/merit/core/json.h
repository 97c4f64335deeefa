// JSON in and out, strict: the one door through which every JSON text comes.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace merit {

using Json = nlohmann::json;                 // members sorted by name
using OrderedJson = nlohmann::ordered_json;  // members as they stood

// Parses one JSON text. Refused, as Error(kData) that names `where` and the byte: anything after the value, broken
// UTF-8, nesting deeper than 200, a name twice in one object, a number that overflows. A leading BOM is skipped.
Json parse_json(std::string_view text, const std::string& where);
OrderedJson parse_ordered_json(std::string_view text, const std::string& where);

// One line, UTF-8, never throws: broken UTF-8 becomes U+FFFD. Doubles in shortest round-trip form; NaN and infinity
// become null, as JSON has none.
std::string dump_json(const Json& value);
std::string dump_json(const OrderedJson& value);

// A member of an object, of the type asked for; Error(kData) naming `where` and the key if it is missing or of
// another type. get_int refuses numbers with a fraction and numbers outside int64.
std::string get_string(const Json& object, const std::string& key, const std::string& where);
int64_t get_int(const Json& object, const std::string& key, const std::string& where);
double get_double(const Json& object, const std::string& key, const std::string& where);
bool get_bool(const Json& object, const std::string& key, const std::string& where);
// The same, with a default for a member that is missing or null.
std::string get_string_or(const Json& object, const std::string& key, std::string fallback, const std::string& where);
int64_t get_int_or(const Json& object, const std::string& key, int64_t fallback, const std::string& where);
double get_double_or(const Json& object, const std::string& key, double fallback, const std::string& where);
bool get_bool_or(const Json& object, const std::string& key, bool fallback, const std::string& where);

}  // namespace merit
