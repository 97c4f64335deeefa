#include "tests/task/solver_support.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace merit::task {
namespace {

using Numbers = std::vector<int64_t>;

const std::array<std::string, 12> kMonths = {"January", "February", "March",     "April",   "May",      "June",
                                             "July",    "August",   "September", "October", "November", "December"};
const std::array<std::string, 7> kDays = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Numbers numbers_in(const std::string& text) {
  Numbers out;
  for (size_t i = 0; i < text.size();) {
    if (!isdigit(text[i])) {
      ++i;
      continue;
    }
    const bool negative = i > 0 && text[i - 1] == '-';
    int64_t value = 0;
    for (; i < text.size() && isdigit(text[i]); ++i) value = value * 10 + (text[i] - '0');
    out.push_back(negative ? -value : value);
  }
  return out;
}

// Shunting yard over + - * / and brackets.
int64_t evaluate(const std::string& text) {
  Numbers values;
  std::string operators;
  const auto rank = [](char c) { return c == '(' ? 0 : c == '+' || c == '-' ? 1 : 2; };
  const auto apply = [&] {
    const int64_t b = values.back();
    values.pop_back();
    int64_t& a = values.back();
    switch (operators.back()) {
      case '+':
        a += b;
        break;
      case '-':
        a -= b;
        break;
      case '*':
        a *= b;
        break;
      default:
        if (a % b != 0) throw std::runtime_error("a division with a rest: " + text);
        a /= b;
    }
    operators.pop_back();
  };
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (isdigit(c)) {
      int64_t value = 0;
      for (; i < text.size() && isdigit(text[i]); ++i) value = value * 10 + (text[i] - '0');
      values.push_back(value);
      continue;
    }
    if (c == '(') {
      operators += c;
    } else if (c == ')') {
      while (operators.back() != '(') apply();
      operators.pop_back();
    } else if (c != ' ') {
      while (!operators.empty() && rank(operators.back()) >= rank(c)) apply();
      operators += c;
    }
    ++i;
  }
  while (!operators.empty()) apply();
  return values.at(0);
}

// Differences until they are constant, else a constant ratio, else the sum of two.
int64_t next_term(const Numbers& t) {
  const int64_t d1 = t[1] - t[0];
  const int64_t d2 = t[2] - t[1];
  const int64_t d3 = t[3] - t[2];
  const int64_t d4 = t[4] - t[3];
  if (d2 - d1 == d3 - d2 && d3 - d2 == d4 - d3) return t[4] + d4 + (d4 - d3);
  if (t[1] % t[0] == 0 && t[2] * t[0] == t[1] * t[1] && t[3] * t[1] == t[2] * t[2] && t[4] * t[2] == t[3] * t[3]) {
    return t[4] * (t[1] / t[0]);
  }
  if (t[2] == t[0] + t[1] && t[3] == t[1] + t[2] && t[4] == t[2] + t[3]) return t[3] + t[4];
  throw std::runtime_error("no rule for the sequence");
}

struct Date {
  int64_t year, month, day;
};

bool leap(int64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }
int64_t length(const Date& d) {
  constexpr int64_t kLengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return d.month == 2 && leap(d.year) ? 29 : kLengths[d.month - 1];
}
void step(Date& d) {
  if (++d.day > length(d)) {
    d.day = 1;
    if (++d.month > 12) {
      d.month = 1;
      ++d.year;
    }
  }
}
void step_back(Date& d) {
  if (--d.day == 0) {
    if (--d.month == 0) {
      d.month = 12;
      --d.year;
    }
    d.day = length(d);
  }
}
bool same(const Date& a, const Date& b) { return a.year == b.year && a.month == b.month && a.day == b.day; }
std::string spelled(const Date& d) {
  return kMonths[static_cast<size_t>(d.month - 1)] + " " + std::to_string(d.day) + ", " + std::to_string(d.year);
}

std::vector<Date> dates_in(const std::string& text) {
  std::vector<std::pair<size_t, Date>> found;
  for (size_t m = 0; m < kMonths.size(); ++m) {
    for (size_t at = text.find(kMonths[m]); at != std::string::npos; at = text.find(kMonths[m], at + 1)) {
      const Numbers n = numbers_in(text.substr(at));
      found.push_back({at, {n[1], static_cast<int64_t>(m + 1), n[0]}});
    }
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Date> dates;
  for (const auto& [at, date] : found) dates.push_back(date);
  return dates;
}

size_t day_in(const std::string& text) {
  for (size_t d = 0; d < kDays.size(); ++d) {
    if (has(text, kDays[d])) return d;
  }
  throw std::runtime_error("no day: " + text);
}

std::string solve_date(const std::string& prompt) {
  const Numbers n = numbers_in(prompt);
  const std::vector<Date> dates = dates_in(prompt);
  if (has(prompt, "Today is")) return kDays[(day_in(prompt) + static_cast<size_t>(n.at(0))) % 7];
  Date d = dates.at(0);
  if (has(prompt, "How many days")) {
    int64_t count = 0;
    for (; !same(d, dates.at(1)); ++count) step(d);
    return std::to_string(count);
  }
  if (has(prompt, "day of the week")) {
    Date known = {1990, 1, 1};  // a Monday
    size_t weekday = 0;
    for (; !same(known, d); ++weekday) step(known);
    return kDays[weekday % 7];
  }
  for (int64_t i = 0; i < n.at(0); ++i) has(prompt, " before ") ? step_back(d) : step(d);
  return spelled(d);
}

// amount * top / bottom, written out by long division.
std::string quotient(int64_t top, int64_t bottom) {
  std::string out = std::to_string(top / bottom);
  int64_t rest = top % bottom;
  if (rest != 0) out += ".";
  while (rest != 0) {
    out += std::to_string(rest * 10 / bottom);
    rest = rest * 10 % bottom;
  }
  return out;
}

std::string solve_unit(const std::string& prompt) {
  const Numbers n = numbers_in(prompt);
  if (n.size() == 3) return std::to_string((n[0] * 60 + n[1]) * 60 + n[2]);
  if (has(prompt, "train")) return quotient(n[0] * 1000 * n[1], 3600);
  struct Rule {
    std::string many, in;
    int64_t factor;
  };
  const Rule rules[] = {
      {"seconds", "minutes", 60},   {"minutes", "hours", 60},        {"hours", "days", 24},
      {"days", "weeks", 7},         {"centimeters", "meters", 100},  {"meters", "kilometers", 1000},
      {"grams", "kilograms", 1000}, {"milliliters", "liters", 1000}, {"inches", "feet", 12},
      {"feet", "yards", 3},         {"items", "dozens", 12},         {"millimeters", "centimeters", 10},
      {"cents", "dollars", 100}};
  const std::string amount = std::to_string(n.at(0));
  for (const Rule& rule : rules) {
    if (prompt == "How many " + rule.many + " are in " + amount + " " + rule.in + "?") {
      return std::to_string(n[0] * rule.factor);
    }
    if (prompt == "Convert " + amount + " " + rule.many + " to " + rule.in + ".") return quotient(n[0], rule.factor);
  }
  throw std::runtime_error("no unit: " + prompt);
}

std::string solve_story(const std::string& prompt) {
  const Numbers n = numbers_in(prompt);
  if (has(prompt, "more.")) return std::to_string(n.at(0) + n.at(1));
  if (has(prompt, "gives away")) return std::to_string(n.at(0) - n.at(1));
  if (has(prompt, "into bags of")) return std::to_string(n.at(0) / n.at(1) * n.at(2));
  if (has(prompt, "% off")) {
    const int64_t hundredfold = n.at(0) * n.at(1) * (100 - n.at(2));
    if (hundredfold % 100 != 0) throw std::runtime_error("a part of a dollar: " + prompt);
    return std::to_string(hundredfold / 100 - n.at(3));
  }
  if (has(prompt, "to a friend")) return std::to_string(n.at(0) * n.at(1) - n.at(2));
  if (has(prompt, "in each box")) return std::to_string(n.at(0) * n.at(1));
  throw std::runtime_error("no story: " + prompt);
}

template <typename T>
std::string joined(std::vector<T> items, bool down) {
  std::sort(items.begin(), items.end());
  if (down) std::reverse(items.begin(), items.end());
  std::string out;
  for (const T& item : items) {
    if (!out.empty()) out += ", ";
    if constexpr (std::is_same_v<T, std::string>) {
      out += item;
    } else {
      out += std::to_string(item);
    }
  }
  return out;
}

std::string solve_sorting(const std::string& prompt) {
  std::string list = prompt.substr(prompt.find(": ") + 2);
  list.pop_back();
  const bool down = has(prompt, "reverse") || has(prompt, "largest to smallest");
  if (has(prompt, "numbers")) return joined(numbers_in(list), down);
  std::vector<std::string> words;
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(", ", at), list.size());
    words.push_back(list.substr(at, end - at));
    at = end + 2;
  }
  return joined(words, down);
}

}  // namespace

std::string solve(const std::string& prompt) {
  if (prompt.starts_with("What is ")) return std::to_string(evaluate(prompt.substr(8, prompt.size() - 9)));
  if (has(prompt, "in the sequence")) return std::to_string(next_term(numbers_in(prompt)));
  if (prompt.starts_with("Sort these")) return solve_sorting(prompt);
  if (has(prompt, "day of the week") || has(prompt, "What date") || has(prompt, "How many days are there")) {
    return solve_date(prompt);
  }
  if (has(prompt, "How many") && !has(prompt, " are in ") && !has(prompt, "train")) return solve_story(prompt);
  return solve_unit(prompt);
}

}  // namespace merit::task
