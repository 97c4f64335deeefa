// Arithmetic, sequences, sorting and unit conversion.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "merit/core/strings.h"
#include "merit/task/families.h"

namespace merit::task {
namespace {

void set_number(Problem& problem, int64_t answer) {
  problem.answer = std::to_string(answer);
  problem.kind = verify::AnswerKind::kNumber;
}

void ask_value(Problem& problem, const std::string& expression, int64_t answer) {
  problem.prompt = fmt::format("What is {}?", expression);
  set_number(problem, answer);
}

// Distinct numbers of low .. high.
std::vector<int64_t> distinct(Rng& rng, size_t count, int64_t low, int64_t high) {
  std::vector<int64_t> out;
  while (out.size() < count) {
    const int64_t value = rng.between(low, high);
    if (std::find(out.begin(), out.end(), value) == out.end()) out.push_back(value);
  }
  return out;
}

template <typename T>
std::string comma_list(const std::vector<T>& items) {
  return fmt::format("{}", fmt::join(items, ", "));
}

}  // namespace

std::string decimal(int64_t top, int64_t bottom) {
  std::string text = std::to_string(top / bottom);
  int64_t rest = top % bottom;
  if (rest != 0) text += '.';
  for (; rest != 0; rest %= bottom) {
    rest *= 10;
    text += static_cast<char>('0' + rest / bottom);
  }
  return text;
}

void make_arithmetic(Rng& rng, int difficulty, Problem& problem) {
  if (difficulty == 1) {
    // One-digit tables: what a very small model gets right now and then.
    const int64_t a = rng.between(1, 20);
    const int64_t b = rng.between(2, 9);
    if (rng.below(3) == 0 && a < 10) return ask_value(problem, fmt::format("{} * {}", a, b), a * b);
    return ask_value(problem, fmt::format("{} + {}", a, b), a + b);
  }
  if (difficulty == 2) {
    const int64_t a = rng.between(10, 99);
    const int64_t b = rng.between(10, 99);
    const int64_t c = rng.between(2, 9);
    const int64_t d = rng.between(2, 12);
    switch (rng.below(3)) {
      case 0:
        return ask_value(problem, fmt::format("{} + {}", a, b), a + b);
      case 1:
        return ask_value(problem, fmt::format("{} - {}", a, b), a - b);
      default:
        return ask_value(problem, fmt::format("{} * {}", c, d), c * d);
    }
  }
  if (difficulty == 3) {
    const int64_t a = rng.between(2, 20);
    const int64_t b = rng.between(2, 20);
    const int64_t c = rng.between(2, 12);
    if (rng.below(2) == 0) return ask_value(problem, fmt::format("{} + {} * {}", a, b, c), a + b * c);
    return ask_value(problem, fmt::format("({} + {}) * {}", a, b, c), (a + b) * c);
  }
  if (difficulty == 4) {
    const int64_t divisor = rng.between(3, 19);
    const int64_t quotient = rng.between(11, 99);
    const int64_t a = rng.between(100, 999);
    const int64_t b = rng.between(12, 49);
    if (rng.below(2) == 0) {
      return ask_value(problem, fmt::format("{} / {} + {}", divisor * quotient, divisor, a), quotient + a);
    }
    return ask_value(problem, fmt::format("{} * {} - {}", a, b, quotient), a * b - quotient);
  }
  const int64_t a = rng.between(100, 999);
  const int64_t b = rng.between(100, 999);
  const int64_t c = rng.between(11, 99);
  const int64_t d = rng.between(1000, 9999);
  ask_value(problem, fmt::format("({} - {}) * {} + {}", a, b, c, d), (a - b) * c + d);
}

void make_sequence(Rng& rng, int difficulty, Problem& problem) {
  constexpr size_t kShown = 5;
  std::vector<int64_t> terms;
  const int64_t start = rng.between(1, 60);
  const int64_t step = rng.between(2, 4 + 5 * difficulty);
  const int64_t bend = rng.between(1, 6);
  switch (difficulty) {
    case 1:  // equal steps
      for (size_t i = 0; i <= kShown; ++i) terms.push_back(start + step * static_cast<int64_t>(i));
      break;
    case 2:  // equal steps down
      for (size_t i = 0; i <= kShown; ++i) terms.push_back(start + step * static_cast<int64_t>(2 * kShown - i));
      break;
    case 3: {  // a constant ratio
      const int64_t ratio = rng.between(2, 6);
      for (int64_t term = start; terms.size() <= kShown; term *= ratio) terms.push_back(term);
      break;
    }
    case 4:  // steps that grow evenly
      for (int64_t i = 0; terms.size() <= kShown; ++i) terms.push_back(start + step * i + bend * i * (i - 1) / 2);
      break;
    default:  // each term the sum of the two before
      terms = {start, step};
      while (terms.size() <= kShown) terms.push_back(terms[terms.size() - 1] + terms[terms.size() - 2]);
  }
  const std::vector<int64_t> shown(terms.begin(), terms.begin() + kShown);
  problem.prompt = fmt::format("What number comes next in the sequence {}, ...?", comma_list(shown));
  set_number(problem, terms[kShown]);
}

void make_sorting(Rng& rng, int difficulty, Problem& problem) {
  static constexpr const char* kWords[] = {
      "apple",    "basket", "candle", "dragon", "engine", "forest", "garden", "hammer", "island", "jacket",
      "kettle",   "ladder", "magnet", "needle", "orange", "pepper", "quartz", "ribbon", "saddle", "ticket",
      "umbrella", "velvet", "window", "yellow", "zipper", "anchor", "button", "copper", "donkey", "feather"};
  problem.kind = verify::AnswerKind::kList;
  const bool down = difficulty >= 3 && rng.below(2) == 0;
  if (difficulty == 4) {
    std::vector<std::string> words;
    for (const int64_t i : distinct(rng, 6, 0, std::size(kWords) - 1)) words.emplace_back(kWords[i]);
    problem.prompt = fmt::format("Sort these words {}: {}.", down ? "in reverse alphabetical order" : "alphabetically",
                                 comma_list(words));
    std::sort(words.begin(), words.end());
    if (down) std::reverse(words.begin(), words.end());
    problem.answer = comma_list(words);
    return;
  }
  const size_t count = difficulty == 1 ? 3 : difficulty == 2 ? 5 : difficulty == 3 ? 7 : 10;
  const int64_t bound = difficulty == 1 ? 20 : difficulty == 2 ? 100 : 1000;
  std::vector<int64_t> numbers = distinct(rng, count, difficulty == 5 ? -bound : 1, bound);
  problem.prompt = fmt::format("Sort these numbers from {}: {}.", down ? "largest to smallest" : "smallest to largest",
                               comma_list(numbers));
  std::sort(numbers.begin(), numbers.end());
  if (down) std::reverse(numbers.begin(), numbers.end());
  problem.answer = comma_list(numbers);
}

void make_unit(Rng& rng, int difficulty, Problem& problem) {
  struct Conversion {
    const char* from;
    const char* to;
    int64_t top;  // a `from` is top / bottom of a `to`
    int64_t bottom;
  };
  static constexpr Conversion kLarger[] = {
      {"minutes", "seconds", 60, 1},   {"hours", "minutes", 60, 1},        {"days", "hours", 24, 1},
      {"weeks", "days", 7, 1},         {"meters", "centimeters", 100, 1},  {"kilometers", "meters", 1000, 1},
      {"kilograms", "grams", 1000, 1}, {"liters", "milliliters", 1000, 1}, {"feet", "inches", 12, 1},
      {"yards", "feet", 3, 1},         {"dozens", "items", 12, 1},         {"centimeters", "millimeters", 10, 1}};
  static constexpr Conversion kSmaller[] = {{"centimeters", "meters", 1, 100},     {"meters", "kilometers", 1, 1000},
                                            {"grams", "kilograms", 1, 1000},       {"milliliters", "liters", 1, 1000},
                                            {"millimeters", "centimeters", 1, 10}, {"cents", "dollars", 1, 100}};
  if (difficulty <= 2) {
    const Conversion& c = pick(rng, kLarger);
    const int64_t amount = rng.between(2, difficulty == 1 ? 20 : 250);
    problem.prompt = fmt::format("How many {} are in {} {}?", c.to, amount, c.from);
    return set_number(problem, amount * c.top);
  }
  problem.kind = verify::AnswerKind::kNumber;
  if (difficulty == 3) {
    const Conversion& c = pick(rng, kSmaller);
    const int64_t amount = rng.between(2, 5000);
    problem.prompt = fmt::format("Convert {} {} to {}.", amount, c.from, c.to);
    problem.answer = decimal(amount * c.top, c.bottom);
    return;
  }
  if (difficulty == 4) {
    const int64_t hours = rng.between(1, 20);
    const int64_t minutes = rng.between(1, 59);
    const int64_t seconds = rng.between(1, 59);
    problem.prompt =
        fmt::format("How many seconds are in {} hours, {} minutes and {} seconds?", hours, minutes, seconds);
    return set_number(problem, hours * 3600 + minutes * 60 + seconds);
  }
  const int64_t speed = rng.between(2, 60) * 18;  // kilometers per hour that are whole meters per second
  const int64_t seconds = rng.between(2, 90);
  problem.prompt = fmt::format("A train moves at {} kilometers per hour. How many meters does it move in {} seconds?",
                               speed, seconds);
  set_number(problem, speed * 5 / 18 * seconds);
}

}  // namespace merit::task
