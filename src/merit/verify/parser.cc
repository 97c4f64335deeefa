#include "merit/verify/parser.h"

#include <algorithm>
#include <array>

#include "merit/verify/parser_impl.h"
#include "merit/verify/units.h"
#include "merit/verify/vocabulary.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxBytes = 8192;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

Expr Parser::run() {
  Expr e = list();
  if (here().kind != Tok::kEnd)
    fail(here().is(Tok::kBad, "huge") ? "a number of too many digits" : "a sign that is not read");
  // One amount of money has a unit; elsewhere the sign says nothing.
  Expr& last = e.op == Op::kRelation && e.name == "=" ? e.kids[1] : e;
  const auto is_money = [](const Token& t) { return t.money; };
  if (last.op == Op::kNumber && std::any_of(tokens_.begin(), tokens_.end(), is_money)) {
    Expr amount = std::move(last);
    last = unary(Op::kQuantity, std::move(amount), "dollars");
  }
  return e;
}

// ---- Lists and statements

bool Parser::at_separator() {
  return here().sign(',') || here().sign(';') || is_word(here(), "or") || is_word(here(), "and");
}

bool Parser::take_separators(uint8_t& words) {
  bool any = false;
  while (at_separator() || (here().command("\\") && brackets_ == 0)) {
    if (is_word(here(), "or")) words |= kOr;
    if (is_word(here(), "and")) words |= kAnd;
    skip();
    any = true;
  }
  return any;
}

bool Parser::at_close() {
  const Token& t = here();
  return t.kind == Tok::kEnd || t.sign(')') || t.sign(']') || t.sign('}') || t.command("}") || t.command("rangle") ||
         t.command("mid") || (t.sign('|') && bars_ == 0) || t.sign('&') || t.command("end") || t.command("\\");
}

Expr Parser::list() {
  std::vector<Expr> items;
  items.push_back(statement());
  uint8_t words = 0;
  while (take_separators(words)) {
    if (at_close()) break;
    items.push_back(statement());
  }
  if (items.size() == 1) return std::move(items[0]);
  Expr e;
  e.op = Op::kList;
  e.flags = words;
  e.kids = std::move(items);
  return e;
}

char Parser::relation() {
  const Token& t = here();
  if (t.kind == Tok::kSign && std::string_view("=<>").find(t.text[0]) != std::string_view::npos) return t.text[0];
  if (t.sign(':') && ahead(1).sign('=')) return '=';
  if (t.kind == Tok::kCommand) {
    const std::string_view to = relation_named(t.text);
    if (!to.empty()) return to[0];
    if (t.text == "not" && (ahead(1).sign('=') || ahead(1).command("in"))) return '!';
  }
  if (t.kind == Tok::kWord && t.text == "in" && t.space) return 'e';
  return '\0';
}

Expr Parser::statement() {
  const Deeper deeper(depth_);
  Expr first = side();
  if (relation() == '\0') return first;
  Expr e;
  e.op = Op::kRelation;
  e.kids.push_back(std::move(first));
  while (const char sign = relation()) {
    if (here().command("not") || here().sign(':')) skip();
    skip();
    e.name += sign;
    e.kids.push_back(side());
  }
  return e;
}

// ---- Sets and sums

Expr Parser::side() {
  Expr left = operand();
  for (;;) {
    const Op op = here().command("cup")                                       ? Op::kUnion
                  : here().command("cap")                                     ? Op::kIntersection
                  : here().command("setminus") || here().command("backslash") ? Op::kDifference
                                                                              : Op::kNumber;
    if (op == Op::kNumber) return left;
    skip();
    if (left.op == op && op != Op::kDifference) {
      left.kids.push_back(operand());
    } else {
      Expr right = operand();
      left = binary(op, std::move(left), std::move(right));
    }
  }
}

Expr Parser::operand() {
  if (here().kind == Tok::kText) return text();
  Expr value = sum();
  return tail(std::move(value));
}

namespace {
// "A, C" and "B and C": the choices; nothing for other words.
std::optional<Expr> letters(std::string_view content) {
  std::string text = to_lower_ascii(content);
  for (size_t at = text.find(" and "); at != std::string::npos; at = text.find(" and ")) text.replace(at, 5, ",");
  if (text.find(',') == std::string::npos) return std::nullopt;
  Expr e;
  e.op = Op::kList;
  for (const std::string_view piece : split(text, ',')) {
    const std::string letter = normal_words(piece);
    if (letter.empty()) continue;
    if (letter.size() != 1 || !is_letter(letter[0])) return std::nullopt;
    e.kids.push_back(symbol_expr(std::string(1, static_cast<char>(letter[0] - 32))));
  }
  if (e.kids.size() < 2) return std::nullopt;
  return e;
}
}  // namespace

Expr Parser::text() {
  Expr e;
  e.op = Op::kText;
  const std::string content = here().text;
  skip();
  // "\text{Area} = 5", "\text{The answer is } 5"
  const bool condition = normal_words(content) == "if" || normal_words(content) == "for";
  if (relation() == '\0' && ((starts_primary() && !here().sign('(')) || (condition && here().sign('-'))))
    return operand();
  if (auto choices = letters(content); choices && at_close()) return std::move(*choices);
  e.name = normal_words(content);
  while (here().kind == Tok::kText || here().kind == Tok::kWord) {
    if (at_separator()) break;
    e.name += " " + normal_words(here().text);
    skip();
  }
  if (e.name.size() == 1 && is_letter(e.name[0])) return symbol_expr(std::string(1, static_cast<char>(e.name[0] - 32)));
  return e;
}

// "pm", "P.M.": 1, "am": 0, neither: -1; it is passed over.
int Parser::half_of_day() {
  // "a.m." outside of a text command is three signs and more.
  const bool letters = is_word(here(), "a") || is_word(here(), "p");
  if (letters && ahead(1).sign('.') && is_word(ahead(2), "m")) {
    const int half = is_word(here(), "p") ? 1 : 0;
    for (int k = 0; k < 3; ++k) skip();
    take_sign('.');
    return half;
  }
  for (const char* half : {"am", "pm", "a.m.", "p.m.", "a.m", "p.m"}) {
    if (!is_word(here(), half)) continue;
    skip();
    return half[0] == 'p' ? 1 : 0;
  }
  return -1;
}

// "2 hours 30 minutes": with the first unit.
Expr Parser::with_smaller_unit(Expr value) {
  const auto unit = find_unit(value.name);
  const bool behind = here().kind == Tok::kNumber && (ahead(1).kind == Tok::kWord || ahead(1).kind == Tok::kText);
  if (!unit || !behind) return value;
  Expr rest = operand();
  const auto smaller = rest.op == Op::kQuantity ? find_unit(rest.name) : std::nullopt;
  if (!smaller || smaller->dimension != unit->dimension) fail("more than one number");
  Expr part = binary(Op::kMul, std::move(rest.kids[0]), number_expr(smaller->factor / unit->factor));
  return unary(Op::kQuantity, binary(Op::kAdd, std::move(value.kids[0]), std::move(part)), value.name);
}

Expr Parser::tail(Expr value) {
  if (here().command("pmod")) {
    skip();
    return call("class", {std::move(value), argument(true)});
  }
  const auto hour = value.op == Op::kNumber ? value.number.integer() : std::nullopt;
  if (hour && *hour >= 1 && *hour <= 12) {
    if (const int half = half_of_day(); half >= 0) {
      value.op = Op::kTime;
      value.name = "clock";
      value.number = Exact((*hour % 12 + 12 * half) * 60);
      return value;
    }
  }
  if (value.op == Op::kTime) {
    if (const int half = half_of_day(); half >= 0) {
      const bool pm = half == 1;
      const int64_t minutes = value.number.integer().value_or(0);
      value.number = Exact(minutes % 720 + (pm ? 720 : 0));
      value.name = "clock";
    }
    return value;
  }
  if (const auto factor = scale_named(to_lower_ascii(trim(here().text)));
      factor && (here().kind == Tok::kWord || here().kind == Tok::kText)) {
    skip();
    value = value.op == Op::kNumber ? number_expr(value.number * Exact(*factor))
                                    : binary(Op::kMul, std::move(value), number_expr(Exact(*factor)));
  }
  if (is_word(here(), "percent") || is_word(here(), "pct") || is_word(here(), "percentage")) {
    skip();
    return unary(Op::kPercent, std::move(value));
  }
  std::string unit;
  while ((here().kind == Tok::kText || here().kind == Tok::kWord) && !at_separator() &&
         !(here().text == "in" && relation() != '\0' && starts_structure(1))) {
    if (!unit.empty() && unit.back() != '/') unit += ' ';
    unit += trim(here().text);
    skip();
    unit += unit_power();
    if (here().sign('/') && (ahead(1).kind == Tok::kText || ahead(1).kind == Tok::kWord)) {
      unit += '/';
      skip();
    } else if (here().sign('.') || here().command("cdot") || here().sign('-')) {
      if (ahead(1).kind != Tok::kText && ahead(1).kind != Tok::kWord) break;
      skip();
    }
  }
  if (unit.empty()) return value;
  return with_smaller_unit(unary(Op::kQuantity, std::move(value), unit));
}

bool Parser::starts_structure(size_t n) const {
  const Token& t = ahead(n);
  return t.sign('[') || t.sign('(') || t.command("{") || t.command("mathbb");
}

std::string Parser::unit_power() {
  if (!here().sign('^')) return {};
  size_t k = 1;
  const bool braces = ahead(k).sign('{');
  if (braces) ++k;
  std::string power = "^";
  if (ahead(k).sign('-')) power += ahead(k++).text;
  if (ahead(k).kind != Tok::kNumber || !ahead(k).whole) return {};
  power += ahead(k++).text;
  if (braces && !ahead(k++).sign('}')) return {};
  i_ = std::min(i_ + k, tokens_.size() - 1);
  return power;
}

Expr Parser::sum() {
  const Deeper deeper(depth_);
  std::vector<Expr> terms;
  terms.push_back(term());
  for (;;) {
    if (here().sign('+')) {
      skip();
      terms.push_back(term());
    } else if (here().sign('-')) {
      if (ahead(1).kind == Tok::kWord && ahead(1).text.size() > 3) break;  // "5-year-old"
      skip();
      Expr next = term();
      terms.push_back(unary(Op::kNeg, std::move(next)));
    } else if (here().command("pm") || here().command("mp")) {
      const char* name = here().command("pm") ? "+-" : "-+";
      skip();
      Expr next = term();
      terms.push_back(unary(Op::kPlusMinus, std::move(next), name));
    } else {
      break;
    }
  }
  if (terms.size() == 1) return std::move(terms[0]);
  // 30 degrees + 15 degrees
  const bool degrees = std::all_of(terms.begin(), terms.end(), [](const Expr& t) {
    const Expr& inner = t.op == Op::kNeg ? t.kids[0] : t;
    return inner.op == Op::kQuantity && inner.name == "deg";
  });
  Expr e;
  e.op = Op::kAdd;
  e.kids = std::move(terms);
  if (!degrees) return e;
  for (Expr& term : e.kids) {
    Expr& inner = term.op == Op::kNeg ? term.kids[0] : term;
    Expr value = std::move(inner.kids[0]);
    inner = std::move(value);
  }
  return unary(Op::kQuantity, std::move(e), "deg");
}

Expr Parser::term() {
  Expr left = signed_factor();
  for (;;) {
    const Token& t = here();
    if (t.sign('*') || t.command("times") || t.command("cdot") || t.command("ast") || is_cross()) {
      skip();
      multiply(left, signed_factor());
    } else if (t.sign('/') || t.command("div")) {
      if (t.sign('/') && ahead(1).kind == Tok::kWord && is_unit_word(ahead(1).text) && ahead(1).text.size() > 1) break;
      skip();
      Expr right = signed_factor();
      left = divide(std::move(left), std::move(right));
    } else if (t.command("bmod") || (t.kind == Tok::kWord && t.text == "mod")) {
      skip();
      std::vector<Expr> arguments;
      arguments.push_back(std::move(left));
      arguments.push_back(signed_factor());
      left = call("mod", std::move(arguments));
    } else if (starts_primary() && t.kind != Tok::kNumber) {
      multiply(left, power());
    } else {
      if (t.kind == Tok::kNumber) fail("more than one number");
      break;
    }
  }
  return left;
}

bool Parser::is_cross() {
  return (here().is(Tok::kWord, "x") || here().is(Tok::kWord, "X")) && i_ > 0 && tokens_[i_ - 1].kind == Tok::kNumber &&
         ahead(1).kind == Tok::kNumber;
}

Expr Parser::divide(Expr a, Expr b) {
  if (a.op == Op::kNumber && b.op == Op::kNumber && !b.number.is_zero()) return number_expr(a.number / b.number);
  return binary(Op::kDiv, std::move(a), std::move(b));
}

void Parser::multiply(Expr& left, Expr right) {
  if (left.op == Op::kMul) {
    left.kids.push_back(std::move(right));
  } else {
    Expr first = std::move(left);
    left = binary(Op::kMul, std::move(first), std::move(right));
  }
}

Expr Parser::signed_factor() {
  const Deeper deeper(depth_);
  if (take_sign('-')) {
    Expr e = signed_factor();
    if (e.op == Op::kNumber) return number_expr(-e.number);
    return unary(Op::kNeg, std::move(e));
  }
  if (take_sign('+')) return signed_factor();
  if (is_word(here(), "minus") || is_word(here(), "negative")) {
    skip();
    return unary(Op::kNeg, signed_factor());
  }
  if (here().command("pm") || here().command("mp")) {
    const char* name = here().command("pm") ? "+-" : "-+";
    skip();
    // The sign holds for the whole product.
    return unary(Op::kPlusMinus, term(), name);
  }
  return power();
}

// ---- Powers and what stands behind a value

Expr Parser::power() {
  const Deeper deeper(depth_);
  Expr base = postfix(primary());
  if (!here().sign('^')) return base;
  if (degree_sign()) return unary(Op::kQuantity, std::move(base), "deg" + temperature());
  skip();
  Expr exponent = raised();
  Expr e = binary(Op::kPow, std::move(base), std::move(exponent));
  if (here().sign('!')) e = postfix(std::move(e));
  return e;
}

Expr Parser::raised() {
  if (here().command("prime") || here().command("top") || here().command("ast") || here().sign('*')) {
    fail("a mark above that is not read");
  }
  if (here().sign('-') || here().sign('+')) return signed_factor();
  return power();
}

bool Parser::degree_sign() {
  if (!here().sign('^')) return false;
  if (ahead(1).command("circ")) {
    i_ += 2;
    return true;
  }
  if (ahead(1).sign('{') && ahead(2).command("circ") && ahead(3).sign('}')) {
    i_ += 4;
    return true;
  }
  return false;
}

std::string Parser::temperature() {
  for (const char* scale : {"C", "F"}) {
    if (is_word(here(), scale) || here().is(Tok::kWord, scale) || here().is(Tok::kText, scale)) {
      skip();
      return scale;
    }
  }
  return {};
}

Expr Parser::postfix(Expr e) {
  for (;;) {
    if (here().sign('!') && !(ahead(1).sign('=') && !ahead(1).space)) {
      skip();
      if (here().sign('!')) fail("a double factorial");
      std::vector<Expr> arguments;
      arguments.push_back(std::move(e));
      e = call("factorial", std::move(arguments));
    } else if (here().sign('%')) {
      skip();
      e = unary(Op::kPercent, std::move(e));
    } else if (here().command("degree") || here().command("circ")) {
      skip();
      e = unary(Op::kQuantity, std::move(e), "deg");
    } else {
      return e;
    }
  }
}

Parsed parse_math(std::string_view text) {
  Parsed parsed;
  // What "\\frac", "\\beta", "\\vec" and "\\alpha" become in a program that takes their backslash for an escape.
  if (text.find_first_of("\f\b\v\a") != std::string_view::npos) {
    parsed.reason = "a control character (looks like a lost backslash)";
    return parsed;
  }
  text = trim(text);
  if (text.empty()) {
    parsed.reason = "empty";
    return parsed;
  }
  if (text.size() > kMaxBytes) {
    parsed.reason = "longer than 8192 bytes";
    return parsed;
  }
  try {
    parsed.expr = Parser(lex(text)).run();
    parsed.ok = true;
  } catch (const Undecided& why) {
    parsed.reason = why.reason;
  }
  return parsed;
}

std::string normal_words(std::string_view text) {
  const std::string_view edge = " \t\r\n.,;:!?\"'*_`()[]{}$";
  const size_t first = text.find_first_not_of(edge);
  if (first == std::string_view::npos) return {};
  text = text.substr(first);
  std::string lower = to_lower_ascii(text);
  if (lower.size() >= 2 && is_letter(lower[0]) && std::string_view(").:").find(lower[1]) != std::string_view::npos) {
    return lower.substr(0, 1);  // a choice with its text behind
  }
  lower.resize(lower.find_last_not_of(edge) + 1);
  std::string key;
  for (const char c : lower) {
    const bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '~';
    if (!space) {
      key += c;
    } else if (!key.empty() && key.back() != ' ') {
      key += ' ';
    }
  }
  for (const std::string_view lead :
       {"it is ", "it's ", "it was ", "it will be ", "that is ", "this is ", "option ", "the ", "a ", "an "}) {
    if (key.starts_with(lead)) key.erase(0, lead.size());
  }
  return key;
}

}  // namespace merit::verify
