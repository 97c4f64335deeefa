#include "merit/verify/reading.h"

#include <algorithm>

#include "merit/core/strings.h"
#include "merit/verify/date.h"
#include "merit/verify/mark.h"
#include "merit/verify/parser.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxItems = 10'000;

Reading unreadable(std::string reason, std::string_view text = {}) {
  Reading reading;
  reading.reason = std::move(reason);
  reading.text = text.substr(0, 200);
  return reading;
}

Reading of_number(Number number, std::string text) {
  Reading reading;
  reading.readable = number.kind != Number::Kind::kUnreadable;
  reading.reason = number.reason;
  if (number.kind == Number::Kind::kExact) reading.key = number.value.to_string();
  reading.number = std::move(number);
  reading.text = std::move(text);
  return reading;
}

// The value that a marked text states: the whole, or else its first value.
Reading marked_number(std::string_view text, bool formula) {
  const std::string plain = plain_math(text);
  const std::string_view whole = plain;
  const std::string_view sentence = formula ? whole : whole.substr(0, whole.find_last_not_of(".,;:?!\"'*_` ") + 1);
  Number number = read_number(sentence, formula);
  if (number.kind != Number::Kind::kUnreadable || formula) return of_number(std::move(number), std::string(trim(text)));
  std::string found;
  Number first = first_number(plain, found);
  return of_number(std::move(first), std::move(found));
}

Reading last_of_text(std::string_view text) {
  std::string found;
  Number number = last_number(plain_math(text), found);
  return of_number(std::move(number), std::move(found));
}

Reading read_date(std::string_view text, bool last) {
  const auto found = find_date(text, last);
  if (!found) return unreadable("no date", text);
  Reading reading;
  reading.readable = true;
  reading.text = found->text;
  reading.key = to_string(found->date);
  return reading;
}

std::string_view last_line(std::string_view text) {
  text = trim(text);
  return text.substr(text.rfind('\n') + 1);
}

Reading read_text(std::string_view text) {
  const std::string_view line = trim(text.substr(0, text.find('\n')));
  Reading reading;
  reading.key = normal_words(line);
  reading.text = line.substr(0, 200);
  reading.readable = !reading.key.empty();
  if (!reading.readable) reading.reason = "no words";
  return reading;
}

bool is_separator(char c) { return std::string_view(" \t\r\n,;[](){}<>|\"'*_`$").find(c) != std::string_view::npos; }

// The items of the last run of at least `least` numbers that only separators and "and" part.
std::vector<std::string> number_run(std::string_view line, size_t least) {
  std::vector<std::string> run;
  std::vector<std::string> best;
  const auto end_run = [&] {
    if (run.size() >= least) best = std::move(run);
    run.clear();
  };
  for (size_t i = 0; i < line.size();) {
    if (is_separator(line[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < line.size() && !is_separator(line[end])) ++end;
    std::string_view word = line.substr(i, end - i);
    i = end;
    const bool stops = word.ends_with('.') || word.ends_with(':');
    while (!word.empty() && std::string_view(".:!?").find(word.back()) != std::string_view::npos) word.remove_suffix(1);
    if (word == "and" || word == "then" || word == "\\text" || word == "->") continue;
    const Number number = read_number(word, false);
    if (number.kind == Number::Kind::kExact && run.size() < kMaxItems) {
      run.push_back(number.value.to_string());
    } else {
      end_run();
    }
    if (stops) end_run();
  }
  end_run();
  return best;
}

std::vector<std::string> word_items(std::string_view line) {
  const size_t colon = line.rfind(':');
  if (colon != std::string_view::npos && colon + 1 < line.size()) line = line.substr(colon + 1);
  const bool commas = line.find(',') != std::string_view::npos;
  std::vector<std::string> items;
  for (const std::string_view piece : split(line, commas ? ',' : ' ')) {
    std::string key = normal_words(piece);
    if (key.starts_with("and ")) key.erase(0, 4);
    if (!key.empty() && key != "and" && items.size() < kMaxItems) items.push_back(std::move(key));
  }
  return items;
}

Reading of_list(const std::vector<std::string>& items, std::string_view text) {
  if (items.empty()) return unreadable("no list", text);
  Reading reading;
  reading.readable = true;
  reading.key = join(items, ", ");
  reading.text = trim(text).substr(0, 200);
  return reading;
}

Reading list_of_line(std::string_view text) {
  const std::string plain = plain_math(text.substr(0, text.find('\n')));
  std::vector<std::string> items = number_run(plain, 1);
  if (items.empty()) items = word_items(plain);
  return of_list(items, text);
}

Reading last_list(std::string_view text) {
  const std::vector<std::string_view> lines = split(text, '\n');
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    const std::vector<std::string> items = number_run(plain_math(*line), 2);
    if (!items.empty()) return of_list(items, *line);
  }
  return list_of_line(last_line(text));
}

}  // namespace

Reading read_response(std::string_view response, AnswerKind kind) {
  const std::optional<MarkedAnswer> marked = find_mark(response);
  const bool formula = marked && marked->mark == Mark::kBoxed;
  switch (kind) {
    case AnswerKind::kMath:
      break;  // math.h
    case AnswerKind::kNumber: {
      if (!marked) return last_of_text(response);
      Reading reading = marked_number(marked->text, formula);
      // "The answer is below": such words mark nothing.
      const bool nothing = marked->mark == Mark::kAnswerIs && !reading.readable && reading.text.empty();
      return nothing ? last_of_text(response) : reading;
    }
    case AnswerKind::kDate: {
      if (!marked) return read_date(response, true);
      Reading reading = read_date(plain_math(marked->text), false);
      return !reading.readable && marked->mark == Mark::kAnswerIs ? read_date(response, true) : reading;
    }
    case AnswerKind::kText:
      return read_text(marked ? (formula ? plain_math(marked->text) : std::string(marked->text))
                              : std::string(last_line(response)));
    case AnswerKind::kList:
      return marked ? list_of_line(marked->text) : last_list(response);
  }
  return unreadable("unknown kind");
}

Reading read_reference(std::string_view reference, AnswerKind kind) {
  const std::optional<MarkedAnswer> marked = find_mark(reference);
  const std::string_view text = marked ? marked->text : trim(reference);
  switch (kind) {
    case AnswerKind::kMath:
      break;  // math.h
    case AnswerKind::kNumber: {
      return of_number(read_number(plain_math(text), true), std::string(text));
    }
    case AnswerKind::kDate:
      return read_date(plain_math(text), false);
    case AnswerKind::kText:
      return read_text(text);
    case AnswerKind::kList:
      return list_of_line(text);
  }
  return unreadable("unknown kind");
}

}  // namespace merit::verify
