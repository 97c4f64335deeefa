// Limits, definite integrals and derivatives as they are written.
#include <utility>

#include "merit/verify/parser_impl.h"

namespace merit::verify {
namespace {

Token one_token() {
  Token t;
  t.kind = Tok::kNumber;
  t.text = "1";
  t.value = Exact(1);
  t.whole = true;
  return t;
}

}  // namespace

size_t Parser::behind_group(size_t i) const {
  int depth = 0;
  for (; i + 1 < tokens_.size(); ++i) {
    const Token& t = tokens_[i];
    if (t.sign('{') || t.sign('(') || t.sign('[')) ++depth;
    if ((t.sign('}') || t.sign(')') || t.sign(']')) && --depth <= 0) return i + 1;
  }
  return i;
}

// \lim_{x \to 0^+} f(x)
Expr Parser::limit() {
  const Deeper deeper(depth_);
  skip();
  if (!take_sign('_') || !here().sign('{')) fail("a limit without a place");
  const size_t end = behind_group(i_) - 1;  // the closing brace
  skip();
  const Token variable = here();
  if (variable.kind != Tok::kWord || variable.text.size() != 1) fail("a limit without a variable");
  skip();
  if (!take_command("to") && !take_command("rightarrow")) fail("a limit without a place");
  // 0^+ and 0^{-} are sides, not powers.
  int side = 0;
  for (const size_t length : {size_t{2}, size_t{4}}) {
    if (end < i_ + length + 1 || !tokens_[end - length].sign('^')) continue;
    const Token& sign = tokens_[end - length / 2];
    if (!sign.sign('+') && !sign.sign('-')) continue;
    side = sign.sign('+') ? 1 : -1;
    tokens_.erase(tokens_.begin() + static_cast<std::ptrdiff_t>(end - length),
                  tokens_.begin() + static_cast<std::ptrdiff_t>(end));
    break;
  }
  Expr where = sum();
  if (!take_sign('}')) fail("a bracket is not closed");
  Expr body = term();
  std::vector<Expr> arguments;
  arguments.push_back(symbol_expr(variable.text));
  arguments.push_back(std::move(where));
  arguments.push_back(std::move(body));
  arguments.push_back(number_expr(side));
  return call("lim", std::move(arguments));
}

// \int_a^b f(x) \, dx, \int_a^b \frac{dx}{x}
Expr Parser::integral() {
  const Deeper deeper(depth_);
  skip();
  if (!take_sign('_')) fail("an integral without bounds");
  Expr from = here().sign('{') ? braces() : here().sign('-') ? signed_factor() : argument(true);
  if (!take_sign('^')) fail("an integral without bounds");
  Expr to = here().sign('{') ? braces() : argument(true);
  // The differential: "dx", the end of "xdx", "\mathrm{d} x".
  int depth = 0;
  size_t at = i_;
  std::string variable;
  for (; at + 1 < tokens_.size() && variable.empty(); ++at) {
    Token& t = tokens_[at];
    if (t.sign('{') || t.sign('(') || t.sign('[')) ++depth;
    if ((t.sign('}') || t.sign(')') || t.sign(']')) && --depth < 0) break;
    const bool split = (t.is(Tok::kText, "d") || t.is(Tok::kWord, "d")) && tokens_[at + 1].kind == Tok::kWord;
    if (split && tokens_[at + 1].text.size() == 1) {
      tokens_.erase(tokens_.begin() + static_cast<std::ptrdiff_t>(at));
      tokens_[at].text.insert(0, "d");
    }
    const std::string& word = tokens_[at].text;
    if (tokens_[at].kind == Tok::kWord && word.size() >= 2 && word.size() <= 3 && word[word.size() - 2] == 'd') {
      variable = word.back();
      break;
    }
  }
  if (variable.empty()) fail("an integral without a differential");
  Token& last = tokens_[at];
  last.text.resize(last.text.size() - 2);
  Expr body;
  if (depth > 0) {
    // In a numerator: what is integrated is the whole term.
    if (last.text.empty()) {
      last = one_token();
    }
    body = term();
  } else {
    const std::string rest = last.text;
    const size_t behind = at + 1;
    std::vector<Token> inside(tokens_.begin() + static_cast<std::ptrdiff_t>(i_),
                              tokens_.begin() + static_cast<std::ptrdiff_t>(at + (rest.empty() ? 0 : 1)));
    if (inside.empty()) inside.push_back(one_token());
    inside.emplace_back();
    Parser parser(std::move(inside));
    parser.depth_ = depth_;
    body = parser.run();
    i_ = behind;
  }
  std::vector<Expr> arguments;
  arguments.push_back(symbol_expr(variable));
  arguments.push_back(std::move(from));
  arguments.push_back(std::move(to));
  arguments.push_back(std::move(body));
  return call("int", std::move(arguments));
}

// \frac{d}{dx} f, \frac{d^2}{dx^2} f, \frac{\partial}{\partial x} f
bool Parser::derivative(Expr& out) {
  size_t i = i_ + 1;
  // dy/dx by itself is a name: "\\frac{dy}{dx} = 2x".
  const auto names = [&](size_t k) {
    return ahead(k).sign('{') && ahead(k + 1).kind == Tok::kWord && ahead(k + 1).text.size() == 2 &&
           ahead(k + 1).text[0] == 'd' && ahead(k + 2).sign('}');
  };
  if (names(1) && names(4)) {
    out = symbol_expr(ahead(2).text + "/" + ahead(5).text);
    i_ = std::min(i_ + 7, tokens_.size() - 1);
    return true;
  }
  const auto at = [&](size_t k) -> const Token& { return tokens_[std::min(k, tokens_.size() - 1)]; };
  const auto is_d = [&](size_t k) {
    return at(k).is(Tok::kWord, "d") || at(k).is(Tok::kText, "d") || at(k).command("partial");
  };
  int64_t order = 1;
  const auto power = [&] {
    if (!at(i).sign('^') || at(i + 1).kind != Tok::kNumber || !at(i + 1).value.integer()) return;
    order = *at(i + 1).value.integer();
    i += 2;
  };
  if (!at(i).sign('{') || !is_d(i + 1)) return false;
  i += 2;
  power();
  if (!at(i).sign('}') || !at(i + 1).sign('{')) return false;
  i += 2;
  std::string variable;
  if (at(i).kind == Tok::kWord && at(i).text.size() == 2 && at(i).text[0] == 'd') {
    variable = at(i).text.substr(1);
    ++i;
  } else if (is_d(i) && at(i + 1).kind == Tok::kWord && at(i + 1).text.size() == 1) {
    variable = at(i + 1).text;
    i += 2;
  } else {
    return false;
  }
  power();
  if (!at(i).sign('}') || order < 1 || order > 8) return false;
  i_ = std::min(i + 1, tokens_.size() - 1);
  std::vector<Expr> arguments;
  arguments.push_back(symbol_expr(variable));
  arguments.push_back(here().sign('[') ? bracketed() : term());
  arguments.push_back(number_expr(order));
  out = call("deriv", std::move(arguments));
  return true;
}

}  // namespace merit::verify
