// Word problems and dates.
#include <fmt/format.h>

#include <chrono>
#include <string>

#include "merit/task/families.h"

namespace merit::task {
namespace {

constexpr const char* kNames[] = {"Ana",  "Ben",  "Chloe", "David", "Emma", "Farid", "Grace", "Hugo",
                                  "Ines", "Jack", "Kira",  "Liam",  "Mia",  "Noah",  "Omar",  "Priya"};
constexpr const char* kThings[] = {"apples", "books", "cookies", "pencils", "marbles", "stickers", "cards", "shells"};

void set_number(Problem& problem, int64_t answer) {
  problem.answer = std::to_string(answer);
  problem.kind = verify::AnswerKind::kNumber;
}

constexpr const char* kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                   "July",    "August",   "September", "October", "November", "December"};
constexpr const char* kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

std::string spelled(std::chrono::sys_days day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{} {}, {}", kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<unsigned>(date.day()),
                     static_cast<int>(date.year()));
}

std::chrono::sys_days some_day(Rng& rng) {
  const std::chrono::sys_days first = std::chrono::year(1990) / 1 / 1;
  return first + std::chrono::days(rng.below(50 * 365));
}

}  // namespace

void make_word_problem(Rng& rng, int difficulty, Problem& problem) {
  const std::string who = pick(rng, kNames);
  const std::string what = pick(rng, kThings);
  const int64_t a = difficulty == 1 ? rng.between(2, 9) : rng.between(3, 20);
  const int64_t b = rng.between(1, 9);
  const int64_t c = rng.between(2, 9);
  switch (difficulty) {
    case 1:
      if (rng.below(4) != 0) {
        problem.prompt =
            fmt::format("{} has {} {} and gets {} more. How many {} does {} have now?", who, a, what, b, what, who);
        return set_number(problem, a + b);
      }
      problem.prompt = fmt::format("{} has {} {} and gives away {}. How many {} are left?", who, a + b, what, b, what);
      return set_number(problem, a);
    case 2:
      problem.prompt =
          fmt::format("{} buys {} boxes with {} {} in each box. How many {} is that?", who, c, a, what, what);
      return set_number(problem, c * a);
    case 3:
      problem.prompt = fmt::format(
          "{} buys {} boxes with {} {} in each box and then gives {} {} to a friend. How many {} does {} have left?",
          who, c, a, what, b, what, what, who);
      return set_number(problem, c * a - b);
    case 4: {
      const int64_t each = rng.between(4, 30);
      problem.prompt =
          fmt::format("{} packs {} {} into bags of {} and sells every bag for ${}. How many dollars does {} earn?", who,
                      each * c, what, c, a, who);
      return set_number(problem, each * a);
    }
    default: {
      const int64_t price = rng.between(2, 15);
      const int64_t percent = rng.between(1, 5) * 10;
      const int64_t count = rng.between(1, 9) * 10;
      problem.prompt = fmt::format(
          "{} buys {} {} at ${} each. The shop takes {}% off the total, and a coupon takes another ${} off. How many "
          "dollars does {} pay?",
          who, count, what, price, percent, b, who);
      return set_number(problem, count / 10 * price * ((100 - percent) / 10) - b);
    }
  }
}

void make_date(Rng& rng, int difficulty, Problem& problem) {
  const std::chrono::sys_days day = some_day(rng);
  switch (difficulty) {
    case 1: {
      const int64_t shift = rng.between(1, 6);
      const int64_t today = rng.between(0, 6);
      problem.prompt = fmt::format("Today is {}. {}'s party is in {} day{}. What day of the week is the party?",
                                   kDays[today], pick(rng, kNames), shift, shift == 1 ? "" : "s");
      problem.answer = kDays[(today + shift) % 7];
      problem.kind = verify::AnswerKind::kText;
      return;
    }
    case 2:
    case 3: {
      const int64_t shift = difficulty == 2 ? rng.between(1, 27) : rng.between(28, 400);
      const bool back = difficulty == 3 && rng.below(2) == 0;
      problem.prompt = fmt::format("What date is {} day{} {} {}?", shift, shift == 1 ? "" : "s",
                                   back ? "before" : "after", spelled(day));
      problem.answer = spelled(day + std::chrono::days(back ? -shift : shift));
      problem.kind = verify::AnswerKind::kDate;
      return;
    }
    case 4: {
      const int64_t shift = rng.between(5, 700);
      problem.prompt =
          fmt::format("How many days are there from {} to {}?", spelled(day), spelled(day + std::chrono::days(shift)));
      return set_number(problem, shift);
    }
    default:
      problem.prompt = fmt::format("What day of the week was {}?", spelled(day));
      problem.answer = kDays[std::chrono::weekday(day).c_encoding()];
      problem.kind = verify::AnswerKind::kText;
  }
}

}  // namespace merit::task
