// The words of mathematics. Internal to the checker.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace merit::verify {

// The function that a word or command names ("arcsin" is "asin"); "" for none.
std::string_view function_named(std::string_view name);
// The sign of kRelation that a command stands for; "" for none.
std::string_view relation_named(std::string_view command);
// A Greek letter and the like: "\\alpha".
bool is_symbol_command(std::string_view command);
// A mark over a name: "\\vec", "\\overline"; also "\\angle", "\\triangle".
bool is_decoration(std::string_view command);
// A command with which no value begins.
bool ends_factor(std::string_view command);
// "three" is 3, up to twenty.
std::optional<int64_t> number_named(std::string_view word);
// "million"
std::optional<int64_t> scale_named(std::string_view word);

}  // namespace merit::verify
