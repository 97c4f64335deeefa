// A strict reader of the markup that merit writes: every element closed in order, no attribute outside quotes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace merit::report {

struct Markup {
  std::string error;               // "" if well-formed
  std::vector<std::string> names;  // of the elements, in order
  size_t count(std::string_view name) const;
};

Markup read_markup(std::string_view html);

}  // namespace merit::report
