#include "merit/verify/units.h"

#include <algorithm>

#include "merit/core/strings.h"

namespace merit::verify {
namespace {

enum Dimension { kLength, kMass, kTime, kCurrent, kTemperature, kAngle, kInformation, kMoney, kMonths };

struct Entry {
  std::string_view names;  // between spaces
  std::array<int, 9> dimension;
  int64_t top;
  int64_t bottom;
};

constexpr std::array<int, 9> kNoDimension{};
constexpr std::array<int, 9> of(Dimension d, int power = 1) {
  std::array<int, 9> out{};
  out[d] = power;
  return out;
}
constexpr std::array<int, 9> with(std::array<int, 9> a, Dimension d, int power) {
  a[d] += power;
  return a;
}

constexpr auto kForce = with(with(of(kMass), kLength, 1), kTime, -2);
constexpr auto kEnergy = with(kForce, kLength, 1);
constexpr auto kPower = with(kEnergy, kTime, -1);

constexpr Entry kUnits[] = {
    {" m meter meters metre metres ", of(kLength), 1, 1},
    {" mm millimeter millimeters millimetre millimetres ", of(kLength), 1, 1000},
    {" cm centimeter centimeters centimetre centimetres cms ", of(kLength), 1, 100},
    {" dm decimeter decimeters ", of(kLength), 1, 10},
    {" km kilometer kilometers kilometre kilometres kms ", of(kLength), 1000, 1},
    {" nm nanometer nanometers ", of(kLength), 1, 1'000'000'000},
    {" in inch inches ", of(kLength), 254, 10'000},
    {" ft foot feet ", of(kLength), 3048, 10'000},
    {" yd yard yards ", of(kLength), 9144, 10'000},
    {" mi mile miles ", of(kLength), 1'609'344, 1000},
    {" mph ", with(of(kLength), kTime, -1), 1'609'344, 3'600'000},
    {" kph kmh ", with(of(kLength), kTime, -1), 1000, 3600},
    {" hectare hectares ha ", of(kLength, 2), 10'000, 1},
    {" acre acres ", of(kLength, 2), 40'468'564'224, 10'000'000},
    {" l liter liters litre litres ", of(kLength, 3), 1, 1000},
    {" ml milliliter milliliters millilitre millilitres ", of(kLength, 3), 1, 1'000'000},
    {" gal gallon gallons ", of(kLength, 3), 3'785'411'784, 1'000'000'000'000},
    {" qt quart quarts ", of(kLength, 3), 946'352'946, 1'000'000'000'000},
    {" pt pint pints ", of(kLength, 3), 473'176'473, 1'000'000'000'000},
    {" cc ", of(kLength, 3), 1, 1'000'000},
    {" g gram grams gramme grammes ", of(kMass), 1, 1000},
    {" mg milligram milligrams ", of(kMass), 1, 1'000'000},
    {" kg kilogram kilograms kgs kilo kilos ", of(kMass), 1, 1},
    {" tonne tonnes ", of(kMass), 1000, 1},
    {" lb lbs pound pounds ", of(kMass), 45'359'237, 100'000'000},
    {" oz ounce ounces ", of(kMass), 45'359'237, 1'600'000'000},
    {" s sec secs second seconds ", of(kTime), 1, 1},
    {" ms millisecond milliseconds ", of(kTime), 1, 1000},
    {" min mins minute minutes ", of(kTime), 60, 1},
    {" h hr hrs hour hours ", of(kTime), 3600, 1},
    {" day days ", of(kTime), 86'400, 1},
    {" week weeks ", of(kTime), 604'800, 1},
    {" month months ", of(kMonths), 1, 1},
    {" yr yrs year years ", of(kMonths), 12, 1},
    {" hz hertz ", of(kTime, -1), 1, 1},
    {" n newton newtons ", kForce, 1, 1},
    {" j joule joules ", kEnergy, 1, 1},
    {" kj kilojoule kilojoules ", kEnergy, 1000, 1},
    {" w watt watts ", kPower, 1, 1},
    {" kw kilowatt kilowatts ", kPower, 1000, 1},
    {" kwh ", kEnergy, 3'600'000, 1},
    {" pa pascal pascals ", with(kForce, kLength, -2), 1, 1},
    {" a ampere amperes amp amps ", of(kCurrent), 1, 1},
    {" v volt volts ", with(kPower, kCurrent, -1), 1, 1},
    {" ohm ohms ", with(with(kPower, kCurrent, -1), kCurrent, -1), 1, 1},
    {" k kelvin ", of(kTemperature), 1, 1},
    {" rad radian radians ", of(kAngle), 1, 1},
    {" deg degree degrees ", of(kAngle), 1, 180},  // of pi, which the comparison puts in
    {" arcmin ", of(kAngle), 1, 10'800},
    {" bit bits ", of(kInformation), 1, 1},
    {" byte bytes ", of(kInformation), 8, 1},
    {" dollar dollars usd ", of(kMoney), 1, 1},
    {" cent cents ", of(kMoney), 1, 100},
    {" dozen ", kNoDimension, 12, 1},
};

const Entry* entry_of(std::string_view word) {
  if (word.empty() || word.size() > 16) return nullptr;
  const std::string key = " " + to_lower_ascii(word) + " ";
  for (const Entry& entry : kUnits) {
    if (entry.names.find(key) != std::string_view::npos) return &entry;
  }
  return nullptr;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

bool is_unit_word(std::string_view word) { return entry_of(word) != nullptr; }

std::optional<Unit> find_unit(std::string_view text) {
  Unit unit;
  int sign = 1;   // behind "/" and "per"
  int power = 1;  // "square", "cubic"
  bool any = false;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '/') {
      sign = -1;
      ++i;
    } else if (is_letter(text[i])) {
      size_t end = i;
      while (end < text.size() && is_letter(text[end])) ++end;
      const std::string word = to_lower_ascii(text.substr(i, end - i));
      i = end;
      if (word == "per") {
        sign = -1;
      } else if (word == "square" || word == "sq") {
        power = 2;
      } else if (word == "cubic" || word == "cu") {
        power = 3;
      } else if (const Entry* entry = entry_of(word)) {
        if (i < text.size() && text[i] == '^') ++i;
        if (i < text.size() && text[i] >= '1' && text[i] <= '9') power = text[i++] - '0';
        for (size_t d = 0; d < unit.dimension.size(); ++d) unit.dimension[d] += sign * power * entry->dimension[d];
        unit.factor *= Exact(entry->top, entry->bottom).power(sign * power);
        power = 1;
        any = true;
      } else {
        return std::nullopt;
      }
    } else if (std::string_view(" .*{}-").find(text[i]) != std::string_view::npos) {
      ++i;
    } else {
      return std::nullopt;
    }
  }
  if (!any) return std::nullopt;
  return unit;
}

}  // namespace merit::verify
