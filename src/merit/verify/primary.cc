#include <utility>

#include "merit/verify/parser_impl.h"
#include "merit/verify/units.h"
#include "merit/verify/vocabulary.h"

namespace merit::verify {

// ---- Primaries

bool Parser::starts_primary() {
  const Token& t = here();
  switch (t.kind) {
    case Tok::kNumber:
      return true;
    case Tok::kWord: {
      if (!function_named(t.text).empty() || t.text == "pi" || t.text == "oo" || t.text == "infinity") return true;
      if (t.text.size() > 3 || t.text == "or" || t.text == "and" || t.text == "in" || t.text == "is" ||
          t.text == "mod" || t.text == "pct" || t.text == "the" || t.text == "of" || t.text == "am" || t.text == "pm" ||
          t.text == "AM" || t.text == "PM") {
        return false;
      }
      if ((t.text == "a" || t.text == "p") && ahead(1).sign('.') && is_word(ahead(2), "m")) return false;  // a.m.
      return t.text.size() == 1 || !is_unit_word(t.text);
    }
    case Tok::kCommand:
      return !ends_factor(t.text) && relation_named(t.text).empty();
    case Tok::kSign:
      return t.text[0] == '(' || t.text[0] == '{' || (t.text[0] == '|' && bars_ == 0);
    default:
      return false;
  }
}

Expr Parser::primary() {
  Token& t = here();
  switch (t.kind) {
    case Tok::kNumber:
      return number();
    case Tok::kWord:
      return word();
    case Tok::kCommand:
      return command();
    case Tok::kSign:
      if (t.text[0] == '(' || t.text[0] == '[') return bracketed();
      if (t.text[0] == '{') return braces();
      if (t.text[0] == '|') return bars();
      fail(t.text[0] == '=' || t.text[0] == '<' ? "a value is missing" : "not a value");
    case Tok::kText:
      fail("words inside a formula");
    case Tok::kBad:
      fail(t.text == "huge" ? "a number of too many digits" : "a sign that is not read");
    case Tok::kEnd:
      fail("a value is missing");
  }
  fail("not a value");
}

Expr Parser::number() {
  const Token t = here();
  skip();
  if (t.whole && here().sign(':') && ahead(1).kind == Tok::kNumber && ahead(1).whole) return ratio(t);
  if (t.whole && here().sign('_')) return based(t);
  // Mixed numbers: 3\frac{1}{4}, 3 1/4
  if (t.whole) {
    if (here().command("frac") || here().command("dfrac") || here().command("tfrac")) {
      const size_t start = i_;
      Expr part = command();
      if (part.op == Op::kNumber && Exact(0) < part.number && part.number < Exact(1))
        return number_expr(t.value + part.number);
      i_ = start;
    } else if (here().kind == Tok::kNumber && here().whole && here().space && ahead(1).sign('/') &&
               ahead(2).kind == Tok::kNumber && ahead(2).whole && here().value < ahead(2).value) {
      const Exact part = here().value / ahead(2).value;
      i_ += 3;
      return number_expr(t.value + part);
    }
  }
  return number_expr(t.value);
}

Expr Parser::ratio(const Token& first) {
  std::vector<Token> parts = {first};
  while (here().sign(':') && ahead(1).kind == Tok::kNumber) {
    skip();
    parts.push_back(here());
    skip();
  }
  const auto hour = first.value.integer();
  if (parts.size() == 2 && parts[1].text.size() == 2 && parts[1].value < Exact(60) && hour && *hour < 24) {
    Expr e;
    e.op = Op::kTime;
    e.number = Exact(*hour * 60) + parts[1].value;
    return e;
  }
  Expr e;
  e.op = Op::kRatio;
  for (const Token& part : parts) e.kids.push_back(number_expr(part.value));
  return e;
}

Expr Parser::based(const Token& digits) {
  skip();
  const bool braced = take_sign('{');
  const auto base = here().kind == Tok::kNumber ? here().value.integer() : std::nullopt;
  if (!base || *base < 2 || *base > 36) fail("a number with an index that is no base");
  skip();
  if (braced && !take_sign('}')) fail("a bracket is not closed");
  for (const char c : digits.text) {
    if (c - '0' >= *base) fail("a digit that its base does not have");
  }
  Expr e;
  e.op = Op::kBased;
  e.name = digits.text + "_" + std::to_string(*base);
  e.number = Exact::from_digits(digits.text, static_cast<int>(*base));
  return e;
}

Expr Parser::word() {
  Token& t = here();
  const std::string_view function = function_named(t.text);
  if (!function.empty()) {
    skip();
    return apply(std::string(function));
  }
  if (t.text == "pi" || t.text == "Pi") {
    skip();
    return constant(Op::kPi);
  }
  if (t.text == "inf" || t.text == "oo" || t.text == "infinity" || t.text == "Infinity") {
    skip();
    return constant(Op::kInfinity);
  }
  if (!starts_primary()) fail("words");
  const char c = t.text[0];
  if (t.text.size() > 1) {
    t.text.erase(0, 1);
    t.space = false;
  } else {
    skip();
  }
  Expr e = letter(c);
  std::string primes;
  while (here().sign('\'') && !here().space) {
    primes += '\'';
    skip();
  }
  if (!primes.empty() && ahead(0).kind != Tok::kNumber) {
    if (here().sign('(') && !here().space) return named_function(c + primes);
    return symbol_expr(c + primes);
  }
  const bool named = i_ > 0 && here().sign('(') && !here().space &&
                     (c == 'f' || c == 'g' || c == 'h' || c == 'F' || c == 'G' || c == 'P');
  if (named) return named_function(std::string(1, c));
  return subscript(std::move(e), c);
}

Expr Parser::named_function(std::string name) {
  skip();
  std::vector<Expr> arguments;
  do {
    arguments.push_back(side());
  } while (take_sign(','));
  if (!take_sign(')')) fail("a bracket is not closed");
  return call("f:" + name, std::move(arguments));
}

Expr Parser::subscript(Expr e, char c) {
  if (!here().sign('_')) return e;
  skip();
  return symbol_expr(std::string(1, c) + "_" + raw_argument());
}

std::string Parser::raw_argument() {
  std::string out;
  if (!here().sign('{')) {
    out = here().text;
    skip();
    return out;
  }
  int open = 0;
  do {
    if (here().kind == Tok::kEnd) fail("a bracket is not closed");
    if (here().sign('{')) {
      ++open;
    } else if (here().sign('}')) {
      --open;
    } else {
      out += here().text;
      if (here().kind == Tok::kNumber && here().text[0] == '.') out += here().value.to_string();
    }
    skip();
  } while (open > 0);
  return out;
}

Expr Parser::argument(bool digit) {
  Token& t = here();
  if (t.sign('{')) return braces();
  if (t.kind == Tok::kNumber && t.whole && digit) {
    const char c = t.text[0];
    if (t.text.size() > 1) {
      t.text.erase(0, 1);
      t.value = Exact::from_digits(t.text);
      t.space = false;
    } else {
      skip();
    }
    return number_expr(Exact(c - '0'));
  }
  if (t.kind == Tok::kNumber) {
    Expr e = number_expr(t.value);
    skip();
    return e;
  }
  if (t.kind == Tok::kWord && t.text.size() > 1) {
    const char c = t.text[0];
    t.text.erase(0, 1);
    return letter(c);
  }
  return primary();
}

Expr Parser::bracketed() {
  const Deeper deeper(depth_);
  const bool square = here().sign('[');
  skip();
  const int bars = std::exchange(bars_, 0);
  ++brackets_;
  if (here().sign(')') || here().sign(']')) fail("empty brackets");
  Expr inside = list();
  --brackets_;
  bars_ = bars;
  const bool square_end = here().sign(']');
  if (!square_end && !here().sign(')')) fail("a bracket is not closed");
  skip();
  if (inside.op != Op::kList) {
    if (square != square_end) fail("brackets that do not pair");
    if (inside.op == Op::kRelation || inside.op == Op::kText) return inside;
    return inside;
  }
  if (square != square_end || (square && inside.kids.size() == 2)) {
    if (inside.kids.size() != 2) fail("brackets that do not pair");
    inside.op = Op::kInterval;
    inside.flags = static_cast<uint8_t>((square ? 0 : kOpenLeft) | (square_end ? 0 : kOpenRight));
    return inside;
  }
  inside.op = Op::kTuple;
  return inside;
}

Expr Parser::braces() {
  const Deeper deeper(depth_);
  skip();
  const int bars = std::exchange(bars_, 0);
  ++brackets_;
  if (here().sign('}')) fail("empty braces");
  Expr inside = list();
  --brackets_;
  bars_ = bars;
  if (take_command("choose")) {
    std::vector<Expr> arguments;
    arguments.push_back(std::move(inside));
    arguments.push_back(list());
    inside = call("binom", std::move(arguments));
  }
  if (!take_sign('}')) fail("a bracket is not closed");
  if (inside.op == Op::kList) inside.op = Op::kSet;
  return inside;
}

Expr Parser::bars() {
  const Deeper deeper(depth_);
  skip();
  ++bars_;
  Expr inside = sum();
  --bars_;
  if (!take_sign('|')) fail("a bar is not closed");
  std::vector<Expr> arguments;
  arguments.push_back(std::move(inside));
  return call("abs", std::move(arguments));
}

Expr Parser::set() {
  const Deeper deeper(depth_);
  skip();
  Expr e;
  e.op = Op::kSet;
  if (take_command("}")) return e;
  const int bars = std::exchange(bars_, 0);
  ++brackets_;
  Expr inside = list();
  --brackets_;
  bars_ = bars;
  if (here().command("mid") || here().sign('|') || here().sign(':')) {
    skip();
    ++brackets_;
    Expr condition = list();
    --brackets_;
    if (!take_command("}") && !take_sign('}')) fail("a bracket is not closed");
    return binary(Op::kBuilder, std::move(inside), std::move(condition));
  }
  if (!take_command("}") && !take_sign('}')) fail("a bracket is not closed");
  if (inside.op == Op::kList) {
    inside.op = Op::kSet;
    return inside;
  }
  e.kids.push_back(std::move(inside));
  return e;
}

Expr Parser::enclosed(std::string_view close, const char* function) {
  const Deeper deeper(depth_);
  skip();
  const int bars = std::exchange(bars_, 0);
  Expr inside = list();
  bars_ = bars;
  if (!take_command(close)) fail("a bracket is not closed");
  if (function == nullptr) {
    if (inside.op == Op::kList) inside.op = Op::kTuple;
    return inside;
  }
  std::vector<Expr> arguments;
  arguments.push_back(std::move(inside));
  return call(function, std::move(arguments));
}

Expr Parser::command() {
  const std::string name = here().text;
  if (name == "frac" || name == "dfrac" || name == "tfrac" || name == "cfrac") {
    if (Expr derived; derivative(derived)) return derived;
    return fraction();
  }
  if (name == "sqrt") return root();
  if (name == "{" || name == "lbrace") return set();
  if (name == "pi") {
    skip();
    return constant(Op::kPi);
  }
  if (name == "infty") {
    skip();
    return constant(Op::kInfinity);
  }
  if (name == "emptyset" || name == "varnothing") {
    skip();
    Expr e;
    e.op = Op::kSet;
    return e;
  }
  if (name == "mathbb") {
    skip();
    Expr e;
    e.op = Op::kNamedSet;
    e.name = raw_argument();
    if (here().sign('^') && (ahead(1).sign('+') || ahead(1).sign('*') || ahead(1).sign('-'))) {
      e.name += ahead(1).text;
      i_ += 2;
    }
    return e;
  }
  if (name == "lfloor") return enclosed("rfloor", "floor");
  if (name == "lceil") return enclosed("rceil", "ceil");
  if (name == "lvert") return enclosed("rvert", "abs");
  if (name == "langle") return enclosed("rangle", nullptr);
  if (name == "binom" || name == "dbinom" || name == "tbinom") {
    skip();
    std::vector<Expr> arguments;
    arguments.push_back(argument(true));
    arguments.push_back(argument(true));
    return call("binom", std::move(arguments));
  }
  if (name == "begin") return matrix();
  if (name == "sum" || name == "prod") return big_operator(name);
  if (name == "lim") return limit();
  if (name == "int") return integral();
  const std::string_view function = function_named(name);
  if (!function.empty() && !(name == "zeta" && !ahead(1).sign('(')) && !(name == "Gamma" && !ahead(1).sign('('))) {
    skip();
    return apply(std::string(function));
  }
  if (is_symbol_command(name)) {
    skip();
    Expr e = symbol_expr("\\" + name);
    if (here().sign('_')) {
      skip();
      e.name += "_" + raw_argument();
    }
    return e;
  }
  if (is_decoration(name)) {
    skip();
    if ((name == "overline" || name == "bar") && here().sign('{') && ahead(2).kind != Tok::kEnd &&
        !ahead(2).sign('}')) {
      return conjugate();
    }
    return symbol_expr("\\" + name + " " + raw_argument());
  }
  fail("a command that is not read");
}

// \overline{3+4i}; a line over letters is a name.
Expr Parser::conjugate() {
  const size_t start = i_;
  const size_t end = behind_group(i_);
  bool letters = true;
  for (size_t k = start + 1; k + 1 < end; ++k) letters &= tokens_[k].kind == Tok::kWord;
  if (letters) return symbol_expr("\\overline " + raw_argument());
  Expr e = braces();
  if (!is_scalar(e) || !symbols_of(e).empty()) fail("a conjugate that is not read");
  return with_conjugate_units(e);
}

Expr Parser::with_conjugate_units(const Expr& e) {
  if (e.op == Op::kImaginary) return unary(Op::kNeg, e);
  Expr out = e;
  for (Expr& kid : out.kids) kid = with_conjugate_units(kid);
  return out;
}

Expr Parser::fraction() {
  const Deeper deeper(depth_);
  skip();
  Expr top = argument(true);
  Expr bottom = argument(true);
  return divide(std::move(top), std::move(bottom));
}

// \sqrt{2}, \sqrt[3]{2}, \sqrt 2, \sqrt13 (as it is meant, not as it is set)
Expr Parser::root() {
  const Deeper deeper(depth_);
  skip();
  Expr index = number_expr(2);
  if (take_sign('[')) {
    ++brackets_;
    index = sum();
    --brackets_;
    if (!take_sign(']')) fail("a bracket is not closed");
  }
  Expr radicand = here().sign('(') ? bracketed() : argument(false);
  return binary(Op::kRoot, std::move(radicand), std::move(index));
}

Expr Parser::matrix() {
  const Deeper deeper(depth_);
  skip();
  const std::string kind = raw_argument();
  const bool known = kind.ends_with("matrix") || kind == "array" || kind == "cases";
  const bool lines = kind.starts_with("align") || kind == "gathered" || kind == "split" || kind == "equation";
  if (!known && !lines) fail("an environment that is not read");
  if (kind == "array" && here().sign('{')) raw_argument();
  Expr e;
  e.op = Op::kMatrix;
  e.name = kind == "cases" ? "cases" : "";
  const int brackets = std::exchange(brackets_, 1);
  for (bool more = true; more;) {
    if (here().command("end")) break;
    Expr row;
    row.op = Op::kTuple;
    for (;;) {
      row.kids.push_back(lines && here().sign('&') ? Expr{} : list());
      if (!take_sign('&')) break;
    }
    e.kids.push_back(std::move(row));
    more = take_command("\\");
  }
  brackets_ = brackets;
  if (!take_command("end")) fail("an environment is not closed");
  raw_argument();
  if (e.kids.empty()) fail("an empty environment");
  if (lines) {
    if (e.kids.size() != 1 || e.kids[0].kids.size() != 1) fail("several lines");
    Expr only = std::move(e.kids[0].kids[0]);
    return only;
  }
  if (kind == "vmatrix") {
    std::vector<Expr> arguments;
    arguments.push_back(std::move(e));
    return call("det", std::move(arguments));
  }
  return e;
}

// \sum_{k=1}^{n} term
Expr Parser::big_operator(const std::string& name) {
  const Deeper deeper(depth_);
  skip();
  if (!take_sign('_') || !take_sign('{')) fail("a sum without bounds");
  const Token index = here();
  if (index.kind != Tok::kWord || index.text.size() != 1) fail("a sum without an index");
  skip();
  if (!take_sign('=')) fail("a sum without bounds");
  Expr from = sum();
  if (!take_sign('}') || !take_sign('^')) fail("a sum without bounds");
  Expr to = here().sign('{') ? braces() : argument(false);
  const bool before = std::exchange(index_i_, index_i_ || index.text == "i");
  Expr body = term();
  index_i_ = before;
  std::vector<Expr> arguments;
  arguments.push_back(symbol_expr(index.text));
  arguments.push_back(std::move(from));
  arguments.push_back(std::move(to));
  arguments.push_back(std::move(body));
  return call(name, std::move(arguments));
}

// Functions of angles want radians.
Expr Parser::in_radians(Expr e) {
  for (Expr& kid : e.kids) kid = in_radians(std::move(kid));
  if (e.op != Op::kQuantity || e.name != "deg") return e;
  Expr product = binary(Op::kMul, std::move(e.kids[0]), number_expr(Exact(1, 180)));
  product.kids.push_back(constant(Op::kPi));
  return product;
}

// A function's name was read: its index or power, and its argument.
Expr Parser::apply(std::string function) {
  const Deeper deeper(depth_);
  std::vector<Expr> arguments;
  Expr base;
  bool has_base = false;
  if (function == "log" && take_sign('_')) {
    base = argument(false);
    has_base = true;
  }
  Expr exponent;
  bool raised_name = false;
  if (here().sign('^')) {
    skip();
    exponent = here().sign('{') ? braces() : here().sign('-') ? signed_factor() : argument(false);
    raised_name = true;
  }
  if (function == "sqrt" || function == "cbrt") {
    if (raised_name) fail("a power of a root's name");
    Expr radicand = here().sign('(') ? bracketed() : argument(false);
    return binary(Op::kRoot, std::move(radicand), number_expr(function == "sqrt" ? 2 : 3));
  }
  Expr of = in_radians(function_argument());
  if (of.op == Op::kTuple || of.op == Op::kList) {
    arguments = std::move(of.kids);
  } else {
    arguments.push_back(std::move(of));
  }
  if (has_base) arguments.push_back(std::move(base));
  if (function == "lg") {
    function = "log";
    arguments.push_back(number_expr(10));
  }
  const bool inverse = raised_name && exponent == number_expr(-1);
  if (inverse) {
    for (const char* name : {"sin", "cos", "tan", "sinh", "cosh", "tanh", "sec", "csc", "cot"}) {
      if (function == name) return call("a" + function, std::move(arguments));
    }
  }
  Expr e = call(std::move(function), std::move(arguments));
  return raised_name ? binary(Op::kPow, std::move(e), std::move(exponent)) : e;
}

// What a function without brackets is applied to: a product up to the next function.
Expr Parser::function_argument() {
  if (here().sign('(') || here().sign('[')) return bracketed();
  if (here().sign('{')) return braces();
  bool minus = false;
  if (here().sign('-')) {
    skip();
    minus = true;
  }
  Expr e = power();
  for (;;) {
    if (here().kind == Tok::kCommand && !function_named(here().text).empty()) break;
    if (here().kind == Tok::kWord && !function_named(here().text).empty()) break;
    if (here().sign('/') && ahead(1).kind == Tok::kNumber && e.op != Op::kDiv) {
      skip();
      e = divide(std::move(e), power());
      continue;
    }
    if (!starts_primary() || here().kind == Tok::kNumber || here().sign('(')) break;
    multiply(e, power());
  }
  return minus ? unary(Op::kNeg, std::move(e)) : e;
}

}  // namespace merit::verify
