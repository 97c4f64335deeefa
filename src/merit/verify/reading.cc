#include "merit/verify/reading.h"

#include <algorithm>

#include "merit/core/strings.h"
#include "merit/verify/date.h"
#include "merit/verify/mark.h"
#include "merit/verify/math.h"
#include "merit/verify/parser.h"
#include "merit/verify/prose.h"
#include "merit/verify/scalar.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxItems = 10'000;
constexpr size_t kMaxItem = 64;  // bytes of a number of a list

Reading unreadable(std::string reason, std::string_view text = {}) {
  Reading reading;
  reading.reason = std::move(reason);
  reading.text = text.substr(0, 200);
  return reading;
}

Expr text_expr(std::string words) {
  Expr e;
  e.op = Op::kText;
  e.name = std::move(words);
  return e;
}

Reading read_date(std::string_view text, bool last) {
  const auto found = find_date(text, last);
  if (!found) return unreadable("no date", text);
  Reading reading;
  reading.readable = true;
  reading.text = found->text;
  reading.expr = text_expr(to_string(found->date));
  return reading;
}

std::string_view last_line(std::string_view text) {
  text = trim(text);
  return text.substr(text.rfind('\n') + 1);
}

Reading read_text(std::string_view text) {
  const std::string_view line = trim(text.substr(0, text.find('\n')));
  Reading reading;
  reading.expr = text_expr(normal_words(line));
  reading.text = line.substr(0, 200);
  reading.readable = !reading.expr.name.empty();
  if (!reading.readable) reading.reason = "no words";
  return reading;
}

bool is_separator(char c) { return std::string_view(" \t\r\n,;[](){}<>|\"'*_`$").find(c) != std::string_view::npos; }

std::optional<Exact> exact_number(std::string_view word) {
  if (word.size() > kMaxItem || word.find_first_of("0123456789") == std::string_view::npos) return std::nullopt;
  const Parsed parsed = parse_math(word);
  if (!parsed.ok) return std::nullopt;
  try {
    Budget budget;
    return exact_value(parsed.expr.op == Op::kQuantity ? parsed.expr.kids[0] : parsed.expr, budget);
  } catch (const Undecided&) {
    return std::nullopt;
  }
}

// The items of the last run of at least `least` numbers that only separators and "and" part.
std::vector<Expr> number_run(std::string_view line, size_t least) {
  std::vector<Expr> run;
  std::vector<Expr> best;
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
    auto number = run.size() < kMaxItems ? exact_number(word) : std::nullopt;
    if (number) {
      run.push_back(number_expr(std::move(*number)));
    } else {
      end_run();
    }
    if (stops) end_run();
  }
  end_run();
  return best;
}

std::vector<Expr> word_items(std::string_view line) {
  const size_t colon = line.rfind(':');
  if (colon != std::string_view::npos && colon + 1 < line.size()) line = line.substr(colon + 1);
  const bool commas = line.find(',') != std::string_view::npos;
  std::vector<Expr> items;
  for (const std::string_view piece : split(line, commas ? ',' : ' ')) {
    std::string key = normal_words(piece);
    if (key.starts_with("and ")) key.erase(0, 4);
    if (!key.empty() && key != "and" && items.size() < kMaxItems) items.push_back(text_expr(std::move(key)));
  }
  return items;
}

Reading of_list(std::vector<Expr> items, std::string_view text) {
  if (items.empty()) return unreadable("no list", text);
  Reading reading;
  reading.readable = true;
  reading.expr.op = Op::kTuple;
  reading.expr.kids = std::move(items);
  reading.text = trim(text).substr(0, 200);
  return reading;
}

Reading list_of_line(std::string_view text) {
  const std::string plain = plain_math(text.substr(0, text.find('\n')));
  std::vector<Expr> items = number_run(plain, 1);
  if (items.empty()) items = word_items(plain);
  return of_list(std::move(items), text);
}

Reading last_list(std::string_view text) {
  const std::vector<std::string_view> lines = split(text, '\n');
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    std::vector<Expr> items = number_run(plain_math(*line), 2);
    if (!items.empty()) return of_list(std::move(items), *line);
  }
  return list_of_line(last_line(text));
}

}  // namespace

Reading read_response(std::string_view response, AnswerKind kind) {
  if (kind == AnswerKind::kMath || kind == AnswerKind::kNumber) {
    return read_math_response(response, kind == AnswerKind::kNumber);
  }
  const std::optional<MarkedAnswer> marked = find_mark(response);
  if (kind == AnswerKind::kDate) {
    if (!marked) return read_date(response, true);
    Reading reading = read_date(plain_math(marked->text), false);
    return !reading.readable && marked->mark == Mark::kAnswerIs ? read_date(response, true) : reading;
  }
  if (kind == AnswerKind::kList) return marked ? list_of_line(marked->text) : last_list(response);
  if (!marked) return read_text(last_line(response));
  return marked->mark == Mark::kBoxed ? read_text(plain_math(marked->text)) : read_text(marked->text);
}

Reading read_reference(std::string_view reference, AnswerKind kind) {
  if (kind == AnswerKind::kMath || kind == AnswerKind::kNumber) {
    return read_math_reference(reference, kind == AnswerKind::kNumber);
  }
  const std::optional<MarkedAnswer> marked = find_mark(reference);
  const std::string_view text = marked ? marked->text : trim(reference);
  if (kind == AnswerKind::kDate) return read_date(plain_math(text), false);
  return kind == AnswerKind::kList ? list_of_line(text) : read_text(text);
}

}  // namespace merit::verify
