#include "merit/verify/math.h"

#include <algorithm>
#include <array>
#include <vector>

#include "merit/core/strings.h"
#include "merit/verify/compare.h"
#include "merit/verify/mark.h"
#include "merit/verify/number.h"
#include "merit/verify/parser.h"
#include "merit/verify/units.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxText = 200;  // of what a verdict shows
constexpr std::string_view kSentenceEdge = ".,;:?!\"'*_` \t\r\n";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

MathReading unreadable(std::string reason, std::string_view text = {}) {
  MathReading reading;
  reading.reason = std::move(reason);
  reading.text = text.substr(0, kMaxText);
  return reading;
}

MathReading parsed(std::string_view text) {
  Parsed result = parse_math(text);
  if (!result.ok) return unreadable(std::move(result.reason), trim(text));
  MathReading reading;
  reading.readable = true;
  reading.text = trim(text).substr(0, kMaxText);
  reading.expr = std::move(result.expr);
  return reading;
}

MathReading words(std::string_view text) {
  MathReading reading;
  reading.expr.op = Op::kText;
  reading.expr.name = normal_words(text);
  reading.text = trim(text).substr(0, kMaxText);
  reading.readable = !reading.expr.name.empty();
  if (!reading.readable) reading.reason = "no answer";
  if (reading.expr.name.size() == 1 && is_letter(reading.expr.name[0])) {
    reading.expr = symbol_expr(std::string(1, static_cast<char>(reading.expr.name[0] - 32)));
  }
  return reading;
}

// Whether there are words that no formula holds: such a text is not read letter by letter as a product.
bool is_prose(std::string_view text) {
  constexpr std::array kCommon =
      std::to_array<std::string_view>({"is",  "it",  "so",  "we",  "the", "are", "of", "to",  "that", "you", "as", "at",
                                       "be",  "by",  "he",  "she", "for", "no",  "if", "has", "was",  "an",  "on", "my",
                                       "can", "get", "all", "not", "but", "yes", "i",  "a",   "her",  "his", "per"});
  constexpr std::array kMathematical = std::to_array<std::string_view>(
      {"sqrt",     "sinh",     "cosh",    "tanh",  "floor",    "ceil",    "arcsin",  "arccos",
       "arctan",   "asin",     "acos",    "atan",  "infinity", "percent", "million", "billion",
       "trillion", "thousand", "hundred", "minus", "negative", "cbrt",    "binom",   "percentage"});
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\\') {
      for (++i; i < text.size() && is_letter(text[i]); ++i) {
      }
      if (i < text.size() && text[i] == '{') i = std::min(text.find('}', i), text.size());
      continue;
    }
    if (!is_letter(text[i])) {
      ++i;
      continue;
    }
    const size_t start = i;
    while (i < text.size() && is_letter(text[i])) ++i;
    const std::string word = to_lower_ascii(text.substr(start, i - start));
    const bool common = word.size() > 1 && std::find(kCommon.begin(), kCommon.end(), word) != kCommon.end();
    const bool formula = word.size() <= 3 || is_unit_word(word) ||
                         std::find(kMathematical.begin(), kMathematical.end(), word) != kMathematical.end();
    if (common || !formula) return true;
  }
  return false;
}

struct Span {
  size_t start;  // of the content
  size_t end;
  size_t after;  // behind the closing sign
};

// The formulas of a text: $...$, $$...$$, \(...\), \[...\]. A dollar sign before a number that nothing closes on its
// line is money.
std::vector<Span> formulas(std::string_view text) {
  std::vector<Span> spans;
  size_t newline = 0;  // the first one from i on, looked for once a line
  for (size_t i = 0; i < text.size();) {
    std::string_view close;
    size_t open = 1;
    if (text[i] == '\\' && i + 1 < text.size()) {
      if (text[i + 1] == '(') close = "\\)";
      if (text[i + 1] == '[') close = "\\]";
      open = 2;
      if (close.empty()) {
        i += 2;
        continue;
      }
    } else if (text[i] == '$') {
      close = text.substr(i).starts_with("$$") ? "$$" : "$";
      open = close.size();
    } else {
      ++i;
      continue;
    }
    if (newline <= i) newline = std::min(text.find('\n', i), text.size());
    const size_t line = close == "$" || close == "\\)" ? newline : text.size();
    size_t end = i + open;
    while (end < line && !text.substr(end, line - end).starts_with(close))
      end += text[end] == '\\' && close[0] == '$' ? 2 : 1;
    if (end >= line) {
      // What nothing closes hides nothing behind it, but is not searched again.
      i += open;
      if (close == "\\]" || close == "$$") return spans;
      continue;
    }
    spans.push_back({i + open, end, end + close.size()});
    i = end + close.size();
  }
  return spans;
}

// The formulas from `first` on that only commas, "and" and "or" part: "$1$ and $2$".
std::string joined(std::string_view text, const std::vector<Span>& spans, size_t first, size_t last) {
  std::string out(text.substr(spans[first].start, spans[first].end - spans[first].start));
  for (size_t k = first + 1; k <= last; ++k) {
    out += text.substr(spans[k - 1].after, spans[k].start - spans[k - 1].after);
    out += text.substr(spans[k].start, spans[k].end - spans[k].start);
  }
  return out;
}
bool adjacent(std::string_view text, const Span& a, const Span& b) {
  std::string between(trim(text.substr(a.after, b.start - a.after)));
  while (!between.empty() && (between.back() == '$' || between.back() == '(' || between.back() == '\\'))
    between.pop_back();
  const std::string_view word = trim(between);
  return word == "," || word == "and" || word == "or" || word == ", and" || word == ", or";
}

// The closing brace of a box that only "and", "or", a comma and spaces part from the command at `command`.
size_t joins_boxes(std::string_view text, size_t command) {
  size_t end = command;
  for (bool word = true; word;) {
    end = text.substr(0, end).find_last_not_of(" $,\n") + 1;
    word = false;
    for (const std::string_view between :
         {"\\quad", "\\text{and}", "\\text{ and }", "\\text{or}", "\\text{ or }", "and", "or"}) {
      if (!text.substr(0, end).ends_with(between)) continue;
      end -= between.size();
      word = true;
      break;
    }
    if (command - end > 60) return std::string_view::npos;
  }
  return end > 0 && text[end - 1] == '}' ? end - 1 : std::string_view::npos;
}

// Boxes side by side are one answer: "\boxed{1} and \boxed{2}".
std::string boxes(std::string_view text, std::string_view last) {
  std::string out(last);
  size_t at = static_cast<size_t>(last.data() - text.data());
  for (int more = 0; more < 16; ++more) {
    const size_t command = text.rfind("\\boxed", at);
    if (command == std::string_view::npos || command == 0) break;
    // Before it: a closing brace, and only a separator between.
    const size_t close = joins_boxes(text, command);
    if (close == std::string_view::npos) break;
    size_t depth = 0;
    size_t open = close;
    for (;; --open) {
      if (text[open] == '}') ++depth;
      if (text[open] == '{' && --depth == 0) break;
      if (open == 0) return out;
    }
    if (open < 6 || text.substr(open - 6, 6) != "\\boxed") break;
    out = std::string(text.substr(open + 1, close - open - 1)) + ", " + out;
    at = open - 6;
  }
  return out;
}

// Where the first sentence ends: at a point before a space and a capital letter, outside of formulas.
size_t first_sentence(std::string_view text) {
  bool formula = false;
  for (size_t i = 0; i + 2 < text.size(); ++i) {
    formula ^= text[i] == '$' && (i == 0 || text[i - 1] != '\\');
    if (text[i] == '.' && text[i + 1] == ' ' && text[i + 2] >= 'A' && text[i + 2] <= 'Z' && !formula) return i;
  }
  return text.size();
}

// What a marked sentence states: the whole of it if it is mathematics, its formulas, or its first number.
MathReading sentence(std::string_view text) {
  text = text.substr(0, first_sentence(text));
  // "Final answer: The largest $n$ is 34."
  if (const size_t is = text.rfind(" is "); is != std::string_view::npos && is_prose(text.substr(0, is + 3))) {
    text.remove_prefix(is + 4);
  }
  const size_t end = text.find_last_not_of(kSentenceEdge);
  const size_t start = text.find_first_not_of(" \t\r\n*_`");
  if (end == std::string_view::npos || start == std::string_view::npos || start > end) return unreadable("no answer");
  const std::string_view whole = text.substr(start, end + 1 - start);
  const bool prose = is_prose(whole);
  if (!prose) {
    MathReading reading = parsed(whole);
    if (reading.readable) return reading;
  }
  const std::vector<Span> spans = formulas(whole);
  if (!spans.empty()) {
    size_t last = 0;
    while (last + 1 < spans.size() && adjacent(whole, spans[last], spans[last + 1])) ++last;
    MathReading reading = parsed(joined(whole, spans, 0, last));
    if (reading.readable) return reading;
  }
  std::string found;
  const Number number = first_number(plain_math(whole), found);
  if (found.empty()) return prose || spans.empty() ? words(whole) : unreadable("no answer that is read", whole);
  if (number.kind == Number::Kind::kUnreadable && number.reason == "more than one answer")
    return unreadable(number.reason, found);
  return parsed(found);
}

MathReading last_of_text(std::string_view text) {
  text = trim(text);
  if (text.size() <= 400 && text.find('\n') == std::string_view::npos && !is_prose(text)) {
    MathReading reading = parsed(text.substr(0, text.find_last_not_of(".;,:? ") + 1));
    if (reading.readable) return reading;
  }
  const std::vector<Span> spans = formulas(text);
  if (!spans.empty()) {
    const std::string_view behind = text.substr(spans.back().after);
    if (std::none_of(behind.begin(), behind.end(), is_digit)) {
      size_t first = spans.size() - 1;
      while (first > 0 && adjacent(text, spans[first - 1], spans[first])) --first;
      MathReading reading = parsed(joined(text, spans, first, spans.size() - 1));
      if (reading.readable) return reading;
    }
  }
  std::string found;
  const Number number = last_number(plain_math(text), found);
  if (!found.empty()) {
    if (number.kind == Number::Kind::kUnreadable && number.reason == "several statements")
      return unreadable(number.reason, found);
    return parsed(found);
  }
  const std::string_view line = trim(text.substr(text.rfind('\n') + 1));
  return line.size() <= 60 ? words(line) : unreadable("no answer");
}

MathReading read(std::string_view text, const std::optional<MarkedAnswer>& marked) {
  if (!marked) return last_of_text(text);
  if (marked->mark == Mark::kBoxed) {
    if (marked->text.empty()) return unreadable("an empty box");
    MathReading reading = parsed(boxes(text, marked->text));
    if (!reading.readable && marked->text.find_first_of("\\0123456789^_=") == std::string_view::npos)
      return words(marked->text);
    return reading;
  }
  MathReading reading = sentence(marked->text);
  const bool nothing =
      marked->mark == Mark::kAnswerIs && reading.expr.op == Op::kText && marked->text.size() + 2 < text.size();
  if (!nothing) return reading;
  MathReading last = last_of_text(text);
  return last.readable && last.expr.op != Op::kText ? last : reading;
}

Verdict unknown(AbstainCause cause, std::string reason, std::string extracted = {}) {
  Verdict verdict;
  verdict.cause = cause;
  verdict.reason = std::move(reason);
  verdict.extracted = std::move(extracted);
  return verdict;
}

}  // namespace

MathReading read_math_response(std::string_view response) { return read(response, find_mark(response)); }

MathReading read_math_reference(std::string_view reference) {
  const std::string_view text = trim(reference);
  if (const auto marked = find_mark(text)) return read(text, marked);
  const std::vector<Span> spans = formulas(text);
  if (spans.empty() || !is_prose(text)) {
    MathReading reading = parsed(text);
    if (!reading.readable && is_prose(text) && std::none_of(text.begin(), text.end(), is_digit)) return words(text);
    if (!reading.readable && text.find_first_of("\\0123456789^_=") == std::string_view::npos) return words(text);
    return reading;
  }
  return read(text, std::nullopt);
}

Verdict verify_math(std::string_view response, std::string_view reference, const VerifyOptions& options) {
  const MathReading gold = read_math_reference(reference);
  if (!gold.readable) return unknown(AbstainCause::kItem, "the reference is not readable: " + gold.reason);
  if (response.size() > options.max_response_bytes) {
    return unknown(AbstainCause::kResponse, "the response is over the length limit");
  }
  const MathReading answer = read_math_response(response);
  if (!answer.readable) return unknown(AbstainCause::kResponse, answer.reason, answer.text);
  Budget budget;
  Decision decision = compare_answers(gold.expr, answer.expr, options, budget);
  // A choice named with its text behind: "(B) 12".
  if (!decision.equal() && gold.expr.op == Op::kSymbol && gold.expr.name.size() == 1) {
    const std::string choice = normal_words(plain_math(answer.text));
    if (choice.size() == 1 && choice == normal_words(gold.expr.name))
      decision = {Answer::kEqual, "reading: choice", "equal"};
  }
  if (decision.answer == Answer::kUnknown) {
    Budget again;
    const bool bad_reference = !compare_answers(gold.expr, gold.expr, options, again).equal();
    Verdict verdict =
        unknown(bad_reference ? AbstainCause::kItem : AbstainCause::kResponse, decision.reason, answer.text);
    return verdict;
  }
  Verdict verdict;
  verdict.outcome = decision.equal() ? Outcome::kCorrect : Outcome::kIncorrect;
  verdict.extracted = answer.text;
  verdict.reason = decision.reason;
  verdict.rule = decision.rule;
  return verdict;
}

namespace {
void write(const Expr& e, std::string& out) {
  out += static_cast<char>('A' + static_cast<int>(e.op));
  if (e.flags != 0) out += static_cast<char>('0' + e.flags);
  out += e.name;
  if (e.op == Op::kNumber || e.op == Op::kBased || e.op == Op::kTime) out += e.number.to_string();
  if (e.kids.empty()) return;
  out += '(';
  for (const Expr& kid : e.kids) {
    write(kid, out);
    out += ',';
  }
  out.back() = ')';
}
}  // namespace

std::string math_key(const Expr& e) {
  std::string name;
  const Expr& value = stated_value(e, name);
  Budget budget;
  try {
    const Expr& bare = value.op == Op::kQuantity ? value.kids[0] : value;
    if (const auto exact = exact_value(bare, budget)) return exact->to_string();
  } catch (const Undecided&) {
    // no number: its form is its key
  }
  std::string out;
  write(value, out);
  return out;
}

}  // namespace merit::verify
