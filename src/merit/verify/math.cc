#include "merit/verify/math.h"

#include <algorithm>
#include <array>
#include <vector>

#include "merit/core/strings.h"
#include "merit/verify/date.h"
#include "merit/verify/mark.h"
#include "merit/verify/parser.h"
#include "merit/verify/prose.h"
#include "merit/verify/stated.h"
#include "merit/verify/units.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxText = 200;  // of what a verdict shows
constexpr std::string_view kSentenceEdge = ".,;:?!\"'*_` \t\r\n";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

Reading unreadable(std::string reason, std::string_view text = {}) {
  Reading reading;
  reading.reason = std::move(reason);
  reading.text = text.substr(0, kMaxText);
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

// The letter of 5m is a unit's sign, that of 5x an unknown.
bool is_letter_unit(const Expr& e) {
  constexpr std::string_view kUnknowns = "aijknxyzAIJKNXYZ";
  const Expr& letter = e.op == Op::kPow && e.kids[1].op == Op::kNumber ? e.kids[0] : e;
  return letter.op == Op::kSymbol && letter.name.size() == 1 && kUnknowns.find(letter.name[0]) == std::string::npos &&
         is_unit_word(letter.name);
}

// The one number that an answer states, with its unit; nothing for anything else.
std::optional<Expr> one_number(const Expr& e) {
  std::string name;
  const Expr& value = stated_value(e, name);
  if (value.op == Op::kMul && value.kids.size() == 2 && is_letter_unit(value.kids[1]) &&
      symbols_of(value.kids[0]).empty()) {
    const Expr& unit = value.kids[1];
    return unary(Op::kQuantity, value.kids[0],
                 unit.op == Op::kPow ? unit.kids[0].name + "^" + unit.kids[1].number.to_string() : unit.name);
  }
  if (value.op == Op::kQuantity || value.op == Op::kPercent || value.op == Op::kNeg) {
    const auto inner = one_number(value.kids[0]);
    return inner && symbols_of(value).empty() ? std::optional(value) : std::nullopt;
  }
  if (!is_scalar(value) || contains(value, Op::kInfinity) || !symbols_of(value).empty()) return std::nullopt;
  return value;
}

const char* why_no_number(const Expr& e) {
  if (e.op == Op::kList || e.op == Op::kSet || e.op == Op::kTuple || e.op == Op::kInterval || e.op == Op::kMatrix) {
    return "more than one number";
  }
  if (contains(e, Op::kRelation)) return "a relation";
  if (contains(e, Op::kPlusMinus)) return "more than one number";
  return symbols_of(e).empty() ? "not a number" : "a variable";
}

// "So x = 2 or x = 3": the word before says nothing.
std::string_view without_connective(std::string_view text) {
  for (const std::string_view word : {"so", "thus", "therefore", "hence", "then"}) {
    if (text.size() <= word.size() || to_lower_ascii(text.substr(0, word.size())) != word) continue;
    const char next = text[word.size()];
    if (next == ' ' || next == ',') return trim(text.substr(word.size() + 1));
  }
  return text;
}

// The brackets around the last number of a text, if they hold several things: "The point is (1, 2)." Empty if not.
std::string_view last_group(std::string_view plain) {
  const size_t last = plain.find_last_of("0123456789");
  if (last == std::string_view::npos) return {};
  const size_t line = plain.rfind('\n', last) + 1;
  int depth = 0;
  for (size_t i = last; i-- > line;) {
    if (plain[i] == ')' || plain[i] == ']') ++depth;
    if ((plain[i] != '(' && plain[i] != '[') || depth-- > 0) continue;
    const size_t end = plain.find_first_of(")]\n", last);
    if (end == std::string_view::npos || plain[end] == '\n') return {};
    const std::string_view group = plain.substr(i, end + 1 - i);
    return group.find(',') != std::string_view::npos && !is_prose(group) ? group : std::string_view();
  }
  return {};
}

// Looks for an answer: any mathematics, or one number only, so that what else is read leads to no answer.
class Finder {
 public:
  explicit Finder(bool number) : number_(number) {}

  Reading find(std::string_view text, const std::optional<MarkedAnswer>& marked) const;
  Reading whole(std::string_view text) const;

 private:
  Reading parsed(std::string_view text) const;
  Reading words(std::string_view text) const;
  Reading sentence(std::string_view text) const;
  Reading last_of_text(std::string_view text) const;

  bool number_;
};

// A text that is a date is no difference: 2024-03-05, March 5, 2024.
std::optional<Reading> date_of(std::string_view text) {
  text = trim(text);
  if (text.size() < 10 || text.size() > 40 || std::count_if(text.begin(), text.end(), is_digit) < 5)
    return std::nullopt;
  const bool dashes = std::count(text.begin(), text.end(), '-') == 2 && text.size() == 10;
  if (!dashes && text.find_first_of("+*/^=\\(") != std::string_view::npos && !text.starts_with("\\text{"))
    return std::nullopt;
  const std::string plain = plain_math(text);
  const auto found = find_date(plain, false);
  if (!found || found->text != plain) return std::nullopt;
  Reading reading;
  reading.readable = true;
  reading.text = text;
  reading.expr.op = Op::kText;
  reading.expr.name = to_string(found->date);
  return reading;
}

Reading Finder::parsed(std::string_view text) const {
  if (!number_) {
    if (auto date = date_of(text)) return std::move(*date);
  }
  Parsed result = parse_math(text);
  if (!result.ok) return unreadable(std::move(result.reason), trim(text));
  if (number_) {
    auto number = one_number(result.expr);
    if (!number) return unreadable(why_no_number(result.expr), trim(text));
    result.expr = std::move(*number);
  }
  Reading reading;
  reading.readable = true;
  reading.text = trim(text).substr(0, kMaxText);
  reading.expr = std::move(result.expr);
  return reading;
}

Reading Finder::words(std::string_view text) const {
  if (number_) return unreadable("no number", trim(text));
  Reading reading;
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

// What a marked sentence states: the whole of it if it is mathematics, its formulas, or its first number.
Reading Finder::sentence(std::string_view text) const {
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
  if (!number_) {
    if (auto date = date_of(whole)) return std::move(*date);
  }
  if (!prose) {
    Reading reading = parsed(whole);
    if (reading.readable) return reading;
  }
  const std::vector<Span> spans = formulas(whole);
  if (!spans.empty()) {
    size_t last = 0;
    while (last + 1 < spans.size() && adjacent(whole, spans[last], spans[last + 1])) ++last;
    Reading reading = parsed(joined(whole, spans, 0, last));
    if (reading.readable) return reading;
  }
  const FoundNumber found = first_number(plain_math(whole));
  if (found.text.empty()) return prose || spans.empty() ? words(whole) : unreadable("no answer that is read", whole);
  return found.several ? unreadable("more than one answer", found.text) : parsed(found.text);
}

Reading Finder::last_of_text(std::string_view text) const {
  text = without_connective(trim(text));
  if (text.size() <= 400 && text.find('\n') == std::string_view::npos && !is_prose(text)) {
    Reading reading = parsed(text.substr(0, text.find_last_not_of(".;,:? ") + 1));
    if (reading.readable) return reading;
  }
  const std::vector<Span> spans = formulas(text);
  if (!spans.empty()) {
    const std::string_view behind = text.substr(spans.back().after);
    if (std::none_of(behind.begin(), behind.end(), is_digit)) {
      size_t first = spans.size() - 1;
      while (first > 0 && adjacent(text, spans[first - 1], spans[first])) --first;
      Reading reading = parsed(joined(text, spans, first, spans.size() - 1));
      if (reading.readable) return reading;
    }
  }
  const std::string plain = plain_math(text);
  if (const std::string_view group = last_group(plain); !group.empty()) {
    Reading reading = parsed(group);
    if (reading.readable || number_) return reading;
  }
  const FoundNumber found = last_number(plain);
  if (!found.text.empty()) {
    return found.several ? unreadable("several statements", found.text) : parsed(found.text);
  }
  const std::string_view line = trim(text.substr(text.rfind('\n') + 1));
  return line.size() <= 60 ? words(line) : unreadable("no answer");
}

Reading Finder::find(std::string_view text, const std::optional<MarkedAnswer>& marked) const {
  if (!marked) return last_of_text(text);
  if (marked->mark == Mark::kBoxed) {
    if (marked->text.empty()) return unreadable("an empty box");
    Reading reading = parsed(boxes(text, marked->text));
    if (!reading.readable && marked->text.find_first_of("\\0123456789^_=") == std::string_view::npos)
      return words(marked->text);
    return reading;
  }
  Reading reading = sentence(marked->text);
  // "The answer is below": such words mark nothing.
  const bool words_only =
      number_ ? reading.reason == "no number"
              : reading.expr.op == Op::kText && reading.expr.name.find_first_of("0123456789") == std::string::npos;
  const bool nothing = marked->mark == Mark::kAnswerIs && words_only && marked->text.size() + 2 < text.size();
  if (!nothing) return reading;
  Reading last = last_of_text(text);
  return last.readable && last.expr.op != Op::kText ? last : reading;
}

Reading Finder::whole(std::string_view text) const {
  const bool prose = is_prose(text);
  if (prose && !formulas(text).empty()) return find(text, std::nullopt);
  Reading reading = parsed(text);
  const bool no_digits = std::none_of(text.begin(), text.end(), is_digit);
  const bool no_formula = text.find_first_of("\\0123456789^_=") == std::string_view::npos;
  return !reading.readable && ((prose && no_digits) || no_formula) ? words(text) : reading;
}

}  // namespace

Reading read_math_response(std::string_view response, bool number) {
  return Finder(number).find(response, find_mark(response));
}

Reading read_math_reference(std::string_view reference, bool number) {
  const std::string_view text = trim(reference);
  const auto marked = find_mark(text);
  return marked ? Finder(number).find(text, marked) : Finder(number).whole(text);
}

}  // namespace merit::verify
