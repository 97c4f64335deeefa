// Units of measure: what they measure and how much of it. Internal to the checker.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "merit/verify/exact.h"

namespace merit::verify {

struct Unit {
  // Powers of length, mass, time, current, temperature, angle, information, money, months.
  std::array<int, 9> dimension{};
  // In metres, kilograms, seconds, amperes, kelvins, radians over pi, bits, dollars, months.
  Exact factor{1};
};

// "cm", "cm^2", "km/h", "meters per second", "sq ft". Nothing for words that are no unit ("apples").
std::optional<Unit> find_unit(std::string_view text);
// One word that is a unit's name or sign.
bool is_unit_word(std::string_view word);

}  // namespace merit::verify
