#include "merit/verify/steps.h"

#include <algorithm>

#include "merit/core/strings.h"
#include "merit/verify/lexer.h"
#include "merit/verify/parser.h"
#include "merit/verify/scalar.h"

namespace merit::verify {
namespace {

constexpr size_t kMaxLine = 4096;
constexpr size_t kMaxSide = 64;  // tokens

// One sign of arithmetic as plain text, or "" for a token that is none.
std::string arithmetic(const Token& t) {
  if (t.kind == Tok::kNumber) return t.value.to_string();
  if (t.kind == Tok::kSign && std::string_view("+-*/()%").find(t.text[0]) != std::string_view::npos) return t.text;
  if (t.command("times") || t.command("cdot") || t.command("ast")) return "*";
  if (t.command("div")) return "/";
  return "";
}
bool is_word(const Token& t) { return t.kind == Tok::kWord || t.kind == Tok::kText; }
bool is_equals(const Token& t) { return t.sign('=') || t.command("approx"); }
bool is_operator(const std::string& s) { return s == "+" || s == "-" || s == "*" || s == "/"; }

class Line {
 public:
  explicit Line(std::string_view text) : tokens_(lex(text)) {}

  std::vector<Claim> claims() {
    std::vector<Claim> out;
    for (size_t i = 0; i + 1 < tokens_.size(); ++i) {
      if (!is_equals(tokens_[i])) continue;
      const auto left = before(i);
      const auto right = behind(i);
      if (!left || !right || (left->operators == 0 && right->operators == 0)) continue;
      // "24 miles in 1.5 hours = 24 * 1.5": a number behind words is not what is claimed.
      if (left->operators == 0 && !left->chained) continue;
      if (auto claim = checked(*left, *right)) out.push_back(std::move(*claim));
    }
    return out;
  }

 private:
  struct Side {
    std::string text;
    size_t operators = 0;
    std::optional<size_t> decimals;  // of a side that is one number
    bool chained = false;            // another equals sign stands before it
  };

  // "3 x 4" as a product; "20% of 50" too.
  std::string sign_at(size_t i) const {
    const Token& t = tokens_[i];
    const std::string plain = arithmetic(t);
    if (plain == "/" && counted(i)) return "";
    if (!plain.empty()) return plain;
    const bool number_next =
        i + 1 < tokens_.size() && (tokens_[i + 1].kind == Tok::kNumber || tokens_[i + 1].sign('('));
    const bool number_before =
        i > 0 && (tokens_[i - 1].kind == Tok::kNumber || tokens_[i - 1].sign(')') || tokens_[i - 1].sign('%'));
    const bool word_before = t.space && i > 1 && is_word(tokens_[i - 1]);
    if (is_word(t) && (t.text == "x" || t.text == "X") && number_next && (number_before || word_before)) return "*";
    if (is_word(t) && t.text == "of" && number_next && i > 0 && tokens_[i - 1].sign('%')) return "*";
    return "";
  }

  // The letter of 8x: what stands around it is algebra.
  bool is_unknown(size_t i) const {
    return is_word(tokens_[i]) && tokens_[i].text.size() == 1 && !tokens_[i].space && i > 0 &&
           !is_word(tokens_[i - 1]) && !tokens_[i - 1].sign('/') && sign_at(i).empty();
  }

  // Words, and the "/day" of a rate.
  bool counted(size_t i) const {
    if (is_word(tokens_[i])) return !is_unknown(i);
    return tokens_[i].sign('/') && i + 1 < tokens_.size() && is_word(tokens_[i + 1]);
  }

  static bool glued(const std::vector<size_t>& picked) { return picked.size() <= kMaxSide; }

  // The arithmetic that ends at an equals sign. Words between a number and an operator are what is counted.
  std::optional<Side> before(size_t equals) const {
    std::vector<size_t> picked;
    size_t words = 0;
    int depth = 0;
    for (size_t i = equals; i-- > 0;) {
      const std::string sign = sign_at(i);
      if (sign.empty()) {
        // Words behind a number: "3 eggs * 2"; anything else ends the side.
        const bool follows = picked.empty() || is_operator(sign_at(picked.back())) || sign_at(picked.back()) == ")";
        if (!counted(i) || words >= 4 || !follows) break;
        ++words;
        continue;
      }
      const bool value = tokens_[i].kind == Tok::kNumber || sign == ")" || sign == "%";
      const bool next_value =
          !picked.empty() && (tokens_[picked.back()].kind == Tok::kNumber || sign_at(picked.back()) == "(");
      if (value && next_value) break;  // two numbers side by side
      if (words > 0 && !value) break;  // words may only follow a value
      if (sign == ")") ++depth;
      if (sign == "(" && --depth < 0) break;
      words = 0;
      picked.push_back(i);
      if (!glued(picked)) return std::nullopt;
    }
    std::reverse(picked.begin(), picked.end());
    const size_t first = picked.empty() ? 0 : picked.front();
    const bool inner =
        first > 0 && is_operator(sign_at(first)) && (is_word(tokens_[first - 1]) || tokens_[first - 1].sign(')'));
    if (inner) return std::nullopt;  // the end of "6x - 30"
    auto out = side(std::move(picked));
    if (out) out->chained = first > 0 && is_equals(tokens_[first - 1]);
    return out;
  }

  // What stands behind an equals sign up to the next one or to words.
  std::optional<Side> behind(size_t equals) const {
    std::vector<size_t> picked;
    int depth = 0;
    bool wants_value = true;
    for (size_t i = equals + 1; i < tokens_.size(); ++i) {
      const std::string sign = sign_at(i);
      if (is_unknown(i)) return std::nullopt;
      if (sign.empty()) {
        // "2 boxes * 3": the words of a value, if an operator follows them.
        size_t next = i;
        while (next < tokens_.size() && counted(next) && next - i < 4) ++next;
        if (wants_value || next == i || next >= tokens_.size() || !is_operator(sign_at(next)) || !continues(next))
          break;
        i = next - 1;
        continue;
      }
      if (is_operator(sign) && !wants_value && !continues(i)) break;
      if (tokens_[i].kind == Tok::kNumber && !wants_value) break;
      if (sign == "(") {
        if (!wants_value) break;
        ++depth;
      }
      if (sign == ")" && --depth < 0) break;
      wants_value = sign == "(" || is_operator(sign);
      picked.push_back(i);
      if (!glued(picked)) return std::nullopt;
    }
    return side(std::move(picked));
  }
  // A value follows the operator: not "= 5 - so".
  bool continues(size_t op) const {
    return op + 1 < tokens_.size() &&
           (tokens_[op + 1].kind == Tok::kNumber || tokens_[op + 1].sign('(') || tokens_[op + 1].sign('-'));
  }

  std::optional<Side> side(std::vector<size_t> picked) const {
    // A list's dash or a sentence's bracket is no operator.
    while (!picked.empty() && is_operator(sign_at(picked.front())) &&
           !(sign_at(picked.front()) == "-" && picked.size() > 1 && !tokens_[picked[1]].space)) {
      picked.erase(picked.begin());
    }
    while (!picked.empty() && (is_operator(sign_at(picked.back())) || sign_at(picked.back()) == "(")) picked.pop_back();
    if (picked.empty()) return std::nullopt;
    Side out;
    for (size_t k = 0; k < picked.size(); ++k) {
      const Token& t = tokens_[picked[k]];
      const std::string sign = sign_at(picked[k]);
      out.operators += k > 0 && is_operator(sign) ? 1 : 0;
      // A fraction keeps its brackets: 1/2 behind a division.
      out.text += t.kind == Tok::kNumber && !t.value.is_integer() ? "(" + sign + ")" : sign;
      out.text += ' ';
    }
    out.text.pop_back();
    const Token& first = tokens_[picked[0]];
    if (picked.size() == 1 && first.kind == Tok::kNumber) {
      out.decimals = first.text.starts_with('.') ? static_cast<size_t>(std::atoi(first.text.c_str() + 1)) : 0;
    }
    return out;
  }

  static std::optional<Claim> checked(const Side& left, const Side& right) {
    const Parsed a = parse_math(left.text), b = parse_math(right.text);
    if (!a.ok || !b.ok) return std::nullopt;
    try {
      Budget budget;
      const auto x = exact_value(a.expr, budget), y = exact_value(b.expr, budget);
      if (!x || !y) return std::nullopt;
      Claim claim{left.text, right.text, *x == *y};
      const Exact distance = (*x - *y).abs();
      for (const auto& decimals : {left.decimals, right.decimals}) {
        // Rounded to the decimals shown, or cut there.
        if (!claim.holds && decimals && *decimals > 0 && *decimals < 20) {
          claim.holds = distance < Exact::power_of_ten(*decimals).inverse();
        }
      }
      // 50% may be written as a number of percent: 10 / 20 = 50%.
      const Exact hundred(100);
      claim.holds |=
          (left.text.ends_with("%") != right.text.ends_with("%")) && (*x * hundred == *y || *x == *y * hundred);
      return claim;
    } catch (const Undecided&) {
      return std::nullopt;
    }
  }

  std::vector<Token> tokens_;
};

}  // namespace

bool Step::wrong() const {
  return std::any_of(claims.begin(), claims.end(), [](const Claim& c) { return !c.holds; });
}

std::vector<Step> check_steps(std::string_view solution) {
  std::vector<Step> steps;
  for (const std::string_view line : split(solution, '\n')) {
    if (trim(line).empty()) continue;
    Step step{line, {}};
    if (line.size() <= kMaxLine) step.claims = Line(line).claims();
    steps.push_back(std::move(step));
  }
  return steps;
}

std::optional<size_t> first_wrong_step(const std::vector<Step>& steps) {
  for (size_t k = 0; k < steps.size(); ++k) {
    if (steps[k].wrong()) return k;
  }
  return std::nullopt;
}

}  // namespace merit::verify
