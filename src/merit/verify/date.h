// Calendar dates in free text. Internal to the checker.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace merit::verify {

// The first or last date of the text: 2024-03-05, 2024/3/5, March 5, 2024, Mar. 5th 2024, 5 March 2024, 5th of March
// 2024. Dates that no calendar has (February 30) and orders that differ by country (03/04/2024) are not dates.
struct FoundDate {
  std::chrono::year_month_day date;
  std::string text;
};
std::optional<FoundDate> find_date(std::string_view text, bool last);

// "2024-03-05"
std::string to_string(const std::chrono::year_month_day& date);

}  // namespace merit::verify
