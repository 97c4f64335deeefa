#include "merit/verify/lexer.h"

#include <algorithm>
#include <array>

#include "merit/core/strings.h"
#include "merit/verify/vocabulary.h"

namespace merit::verify {
namespace {

struct Spelling {
  std::string_view from;
  std::string_view to;
};

constexpr std::array kUnicode = std::to_array<Spelling>({
    {"\xe2\x88\x92", "-"},
    {"\xe2\x80\x93", "-"},
    {"\xe2\x80\x94", " - "},
    {"\xe2\x80\x90", "-"},
    {"\xe2\x80\x91", "-"},
    {"\xef\xbc\x8d", "-"},
    {"\xc3\x97", "\\times "},
    {"\xc3\xb7", "\\div "},
    {"\xc2\xb7", "\\cdot "},
    {"\xe2\x8b\x85", "\\cdot "},
    {"\xe2\x88\x99", "\\cdot "},
    {"\xc2\xa0", " "},
    {"\xe2\x80\x89", " "},
    {"\xe2\x80\xaf", " "},
    {"\xe2\x80\x8b", ""},
    {"\xe2\x81\x84", "/"},
    {"\xe2\x88\x95", "/"},
    {"\xc2\xbd", "\\frac{1}{2}"},
    {"\xc2\xbc", "\\frac{1}{4}"},
    {"\xc2\xbe", "\\frac{3}{4}"},
    {"\xe2\x85\x93", "\\frac{1}{3}"},
    {"\xe2\x85\x94", "\\frac{2}{3}"},
    {"\xe2\x85\x9b", "\\frac{1}{8}"},
    {"\xc2\xb1", "\\pm "},
    {"\xe2\x88\x93", "\\mp "},
    {"\xe2\x89\x88", "\\approx "},
    {"\xe2\x89\xa4", "\\le "},
    {"\xe2\x89\xa5", "\\ge "},
    {"\xe2\xa9\xbd", "\\le "},
    {"\xe2\xa9\xbe", "\\ge "},
    {"\xe2\x89\xa0", "\\ne "},
    {"\xe2\x82\xac", ""},
    {"\xc2\xa3", ""},
    {"\xc2\xa5", ""},
    {"\xe2\x82\xb9", ""},
    {"\xc2\xb9", "^1"},
    {"\xc2\xb2", "^2"},
    {"\xc2\xb3", "^3"},
    {"\xe2\x81\xb4", "^4"},
    {"\xe2\x81\xb5", "^5"},
    {"\xe2\x81\xb6", "^6"},
    {"\xe2\x81\xbf", "^n"},
    {"\xc2\xb0", "^\\circ "},
    {"\xe2\x88\x9a", "\\sqrt "},
    {"\xcf\x80", "\\pi "},
    {"\xe2\x88\x9e", "\\infty "},
    {"\xce\xb8", "\\theta "},
    {"\xce\xb1", "\\alpha "},
    {"\xce\xb2", "\\beta "},
    {"\xce\xb3", "\\gamma "},
    {"\xce\xb4", "\\delta "},
    {"\xce\xbb", "\\lambda "},
    {"\xce\xbc", "\\mu "},
    {"\xcf\x86", "\\phi "},
    {"\xcf\x89", "\\omega "},
    {"\xce\xa9", "\\Omega "},
    {"\xe2\x88\xaa", "\\cup "},
    {"\xe2\x88\xa9", "\\cap "},
    {"\xe2\x88\x88", "\\in "},
    {"\xe2\x88\x85", "\\emptyset "},
    {"\xe2\x84\x9d", "\\mathbb{R}"},
    {"\xe2\x84\xa4", "\\mathbb{Z}"},
    {"\xe2\x88\x96", "\\setminus "},
    {"\xe2\x80\x99", "'"},
    {"\xe2\x80\x98", "'"},
    {"\xe2\x80\x9c", "\""},
    {"\xe2\x80\x9d", "\""},
    {"\xe2\x9f\xa8", "\\langle "},
    {"\xe2\x9f\xa9", "\\rangle "},
    {"\xe2\x8c\x8a", "\\lfloor "},
    {"\xe2\x8c\x8b", "\\rfloor "},
    {"\xe2\x8c\x88", "\\lceil "},
    {"\xe2\x8c\x89", "\\rceil "},
    {"\xe2\x80\xa6", "\\ldots "},
    {"\xe2\x86\x92", "\\to "},
});

// Commands that set nothing but how things look; those with a braced argument keep the argument.
constexpr std::array kDropped = std::to_array<std::string_view>(
    {"left",    "right",      "displaystyle", "textstyle",   "limits",     "quad",      "qquad",   "big",
     "Big",     "bigg",       "Bigg",         "bigl",        "bigr",       "Bigl",      "Bigr",    "biggl",
     "biggr",   "Biggl",      "Biggr",        "middle",      "nolimits",   "hfill",     "rm",      "bf",
     "it",      "boxed",      "fbox",         "mathbf",      "boldsymbol", "mathit",    "mathsf",  "bm",
     "mathcal", "ensuremath", "tt",           "scriptstyle", "mathstrut",  "smallskip", "medskip", "noindent",
     "large",   "Large",      "cancel",       "phantom",     "vphantom",   "color"});
constexpr std::array kTexts =
    std::to_array<std::string_view>({"text", "textbf", "textit", "textrm", "textnormal", "mbox", "hbox", "mathrm",
                                     "operatorname", "texttt", "textsf", "emph", "mathop", "operatorname*"});

bool is_known_command(std::string_view name) {
  constexpr std::array kCommon = std::to_array<std::string_view>(
      {"frac", "dfrac", "tfrac", "left",  "right",  "pi",    "cdot",  "times", "infty", "cup",
       "cap",  "pm",    "text",  "boxed", "mathrm", "binom", "begin", "end",   "circ",  "quad"});
  return std::find(kCommon.begin(), kCommon.end(), name) != kCommon.end() || !function_named(name).empty() ||
         !relation_named(name).empty() || is_symbol_command(name);
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

std::string to_ascii(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  for (size_t i = 0; i < text.size();) {
    // Digits and letters of full width.
    if (text[i] == '\xef' && i + 2 < text.size() && text[i + 1] == '\xbc' &&
        static_cast<unsigned char>(text[i + 2]) >= 0x90 && static_cast<unsigned char>(text[i + 2]) <= 0x99) {
      out += static_cast<char>('0' + (static_cast<unsigned char>(text[i + 2]) - 0x90));
      i += 3;
      continue;
    }
    if (static_cast<unsigned char>(text[i]) >= 0x80) {
      const auto rest = text.substr(i);
      const auto known =
          std::find_if(kUnicode.begin(), kUnicode.end(), [&](const Spelling& s) { return rest.starts_with(s.from); });
      if (known != kUnicode.end()) {
        out += known->to;
        i += known->from.size();
        continue;
      }
    }
    out += text[i++];
  }
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view text, size_t max_digits) : text_(text), max_digits_(max_digits) {}

  std::vector<Token> run() {
    tokens_.reserve(text_.size() / 2 + 2);
    while (i_ < text_.size()) step();
    push(Tok::kEnd, "");
    return std::move(tokens_);
  }

 private:
  char at(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
  bool starts(std::string_view what) const { return text_.substr(i_).starts_with(what); }

  Token& push(Tok kind, std::string_view text) {
    Token& token = tokens_.emplace_back();
    token.kind = kind;
    token.text = text;
    token.space = space_;
    token.money = money_ && kind == Tok::kNumber;
    space_ = false;
    money_ = false;
    return token;
  }
  void sign(std::string_view what, size_t length) {
    push(Tok::kSign, what);
    i_ += length;
  }

  void step() {
    const char c = text_[i_];
    if (is_space(c) || c == '~') {
      space_ = true;
      ++i_;
    } else if (c == '$') {
      ++i_;  // money, or the end of a formula
    } else if (c == '\\') {
      command();
    } else if (c == '0' && at(i_ + 1) == 'x' && hexadecimal()) {
      // read
    } else if (is_digit(c) || (c == '.' && is_digit(at(i_ + 1)))) {
      number();
    } else if (is_letter(c)) {
      size_t end = i_;
      while (is_letter(at(end))) ++end;
      push(Tok::kWord, text_.substr(i_, end - i_));
      i_ = end;
    } else if (starts("{:}")) {
      sign(":", 3);
    } else if (starts("<<")) {
      note();
    } else if (starts("<=") || starts(">=") || starts("!=")) {
      push(Tok::kCommand, c == '<' ? "le" : c == '>' ? "ge" : "ne");
      i_ += 2;
    } else if (starts("==")) {
      sign("=", 2);
    } else if (starts("**")) {
      sign("^", 2);
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      size_t end = i_ + 1;  // the whole character
      while (end < text_.size() && (static_cast<unsigned char>(text_[end]) & 0xc0) == 0x80) ++end;
      push(Tok::kBad, text_.substr(i_, end - i_));
      i_ = end;
    } else {
      if (c == '(' || c == '[') ++depth_;
      if ((c == ')' || c == ']') && depth_ > 0) --depth_;
      sign(text_.substr(i_, 1), 1);
    }
  }

  // A calculator note of the form <<3*4=12>>, on one line, says nothing.
  void note() {
    const size_t end = text_.find_first_of(">\n", i_ + 2);
    if (end != std::string_view::npos && text_.substr(end).starts_with(">>")) {
      i_ = end + 2;
    } else {
      sign("<", 1);
    }
  }

  void command() {
    size_t end = i_ + 1;
    while (is_letter(at(end))) ++end;
    const std::string_view name = text_.substr(i_ + 1, end - i_ - 1);
    if (name.empty()) {
      // "\\\\frac" is what a program makes of "\\frac" that escapes it once too often.
      size_t behind = i_ + 2;
      while (is_letter(at(behind))) ++behind;
      const std::string_view doubled = text_.substr(std::min(i_ + 2, text_.size()), behind - std::min(i_ + 2, behind));
      if (at(i_ + 1) != '\\' || !is_known_command(doubled)) return escaped();
      ++i_;
      return command();
    }
    i_ = end;
    if (std::find(kTexts.begin(), kTexts.end(), name) != kTexts.end() && at(end) == '{') return text_command(name);
    if (name == "boxed" || name == "left" || name == "right") {
      if (at(i_) == '.') ++i_;  // an invisible bracket
    }
    if (name == "space" || name == "thinspace" || name == "enspace") {
      space_ = true;
      return;
    }
    if (std::find(kDropped.begin(), kDropped.end(), name) != kDropped.end()) {
      space_ |= name.ends_with("quad");
      return;
    }
    push(Tok::kCommand, name);
  }

  void escaped() {
    const char c = at(i_ + 1);
    i_ += 2;
    if (c == ',' || c == ';' || c == ':' || c == '!' || c == ' ' || c == '(' || c == ')' || c == '[' || c == ']' ||
        c == '>' || c == '\0') {
      space_ |= c != '!';  // the ends of a formula are spaces too
    } else if (c == '$') {
      money_ = true;
    } else if (c == '%' || c == '#' || c == '&' || c == '_') {
      push(Tok::kSign, std::string_view(&c, 1));
    } else if (c == '{' || c == '}' || c == '\\' || c == '|') {
      if (c == '{') ++depth_;
      if (c == '}' && depth_ > 0) --depth_;
      push(Tok::kCommand, std::string_view(&c, 1));
    } else {
      push(Tok::kBad, std::string_view(&c, 1));
    }
  }

  // Words stay a text; digits and signs in a text command are read as if it were not there.
  void text_command(std::string_view name) {
    size_t depth = 0;
    size_t end = i_;
    for (; end < text_.size(); ++end) {
      if (text_[end] == '{') ++depth;
      if (text_[end] == '}' && --depth == 0) break;
    }
    const std::string_view content = text_.substr(i_ + 1, end - i_ - 1);
    // A command that a cut-off text leaves open holds what follows.
    const bool words = std::any_of(content.begin(), content.end(), is_letter);
    const std::string_view inner = trim(content);
    const bool amount = !inner.empty() && is_digit(inner[0]);  // "3 apples"
    if (words && !amount && content.find_first_of("\\$") == std::string_view::npos && end < text_.size()) {
      if (name.starts_with("operatorname") || name == "mathop") {
        push(Tok::kCommand, trim(content));
      } else {
        push(Tok::kText, content);
      }
      i_ = end + 1;
    } else {
      push(Tok::kSign, "{");
      ++i_;  // into the braces: the closing one comes by itself
    }
  }

  // ",123" behind a number, in any of the spellings of a thousands separator.
  size_t group_at(size_t i) const {
    for (const std::string_view comma : {"{,}", ",\\!", ",\\! ", "{, }", " {, }", "{ , }", ",", "\\,", "\\ ", " "}) {
      if (!text_.substr(i).starts_with(comma)) continue;
      const size_t first = i + comma.size();
      if (!is_digit(at(first)) || !is_digit(at(first + 1)) || !is_digit(at(first + 2)) || is_digit(at(first + 3)))
        continue;
      // Inside brackets a comma parts items, unless what follows could be no item.
      if (comma == "," && depth_ > 0 && !(at(first) == '0')) continue;
      if (comma == " " && (depth_ > 0 || at(first + 3) == '/' || text_.substr(first + 3).starts_with(" /"))) continue;
      return first;
    }
    return 0;
  }

  void number() {
    std::string digits;
    const size_t start = i_;
    while (is_digit(at(i_))) digits += text_[i_++];
    if (digits.size() <= 3 && !digits.empty() && (digits[0] != '0')) {
      for (size_t first = group_at(i_); first != 0; first = group_at(i_)) {
        digits += text_.substr(first, 3);
        i_ = first + 3;
      }
    }
    bool whole = true;
    size_t decimals = 0;
    if (at(i_) == '.' && is_digit(at(i_ + 1))) {
      whole = false;
      for (++i_; is_digit(at(i_)); ++decimals) digits += text_[i_++];
    } else if (at(i_) == '.' && repeating_at(i_ + 1) != 0) {
      whole = false;
      ++i_;
    } else if (at(i_) == '.' && !is_letter(at(i_ + 1)) && at(i_ + 1) != '.' && i_ > start) {
      ++i_;  // "5."
      whole = false;
    }
    std::string repeating;
    if (!whole) {
      if (const size_t first = repeating_at(i_); first != 0) {
        for (i_ = first; is_digit(at(i_)); ++i_) repeating += text_[i_];
        ++i_;
      } else {
        repeating = continued(std::string_view(digits).substr(digits.size() - decimals));
      }
    }
    int64_t exponent = 0;
    const char mark = at(i_);
    const bool signed_exponent = at(i_ + 1) == '+' || at(i_ + 1) == '-';
    if ((mark == 'e' || mark == 'E') && is_digit(at(i_ + (signed_exponent ? 2 : 1)))) {
      whole = false;
      const bool minus = at(i_ + 1) == '-';
      i_ += signed_exponent ? 2 : 1;
      for (; is_digit(at(i_)); ++i_) exponent = std::min<int64_t>(exponent * 10 + (text_[i_] - '0'), 1'000'000'000);
      if (minus) exponent = -exponent;
    }
    emit(digits, repeating, exponent - static_cast<int64_t>(decimals), decimals, whole);
  }

  // 0x1F
  bool hexadecimal() {
    size_t end = i_ + 2;
    while (is_digit(at(end)) || (at(end) >= 'A' && at(end) <= 'F')) ++end;
    if (end == i_ + 2 || end > i_ + 66 || is_letter(at(end))) return false;
    Token& token = push(Tok::kNumber, ".");
    token.value = Exact::from_digits(text_.substr(i_ + 2, end - i_ - 2), 16);
    i_ = end;
    return true;
  }

  // The block that decimals end with, if dots say that it goes on: 0.1666..., 0.142857142857\ldots; i_ moves behind.
  std::string continued(std::string_view decimals) {
    size_t behind = i_;
    for (const std::string_view dots : {"...", "\\ldots", "\\dots", "\\cdots"}) {
      if (text_.substr(i_).starts_with(dots)) behind = i_ + dots.size();
    }
    if (behind == i_ || is_letter(at(behind))) return {};
    for (size_t length = 1; length <= 6; ++length) {
      const size_t times = length == 1 ? 3 : 2;
      if (decimals.size() < length * times) break;
      const std::string_view end = decimals.substr(decimals.size() - length * times);
      const std::string_view block = end.substr(0, length);
      if (block.find_first_not_of('0') == std::string_view::npos) continue;
      bool same = true;
      for (size_t k = 1; k < times; ++k) same &= end.substr(k * length, length) == block;
      if (!same) continue;
      i_ = behind;
      return std::string(block);
    }
    return {};
  }

  // "\overline{36}", "\bar{3}", "\dot{3}", "(3)" right behind a point: where its digits start, or 0.
  size_t repeating_at(size_t i) const {
    if (at(i) == '(' && i > 0 && text_[i - 1] == '.') {
      size_t end = i + 1;
      while (is_digit(at(end))) ++end;
      if (end > i + 1 && at(end) == ')') return i + 1;
    }
    for (const std::string_view mark : {"\\overline{", "\\bar{", "\\dot{", "\\overline "}) {
      if (!text_.substr(i).starts_with(mark)) continue;
      size_t end = i + mark.size();
      while (is_digit(at(end))) ++end;
      if (end > i + mark.size() && at(end) == '}') return i + mark.size();
    }
    return 0;
  }

  void emit(const std::string& digits, const std::string& repeating, int64_t exponent, size_t decimals, bool whole) {
    if (digits.size() + repeating.size() > max_digits_) {
      push(Tok::kBad, "huge");
      return;
    }
    if (static_cast<size_t>(std::abs(exponent)) > max_digits_) return emit_power(digits, exponent);
    Token& token = push(Tok::kNumber, digits);
    token.whole = whole;
    token.value = Exact::from_digits(digits.empty() ? "0" : digits);
    if (!repeating.empty()) {
      // 0.1(36) = 0.1 + 36 / 990
      const Exact nines = Exact::power_of_ten(repeating.size()) - Exact(1);
      token.value += Exact::from_digits(repeating) / nines;
    }
    if (exponent > 0) token.value *= Exact::power_of_ten(static_cast<uint64_t>(exponent));
    if (exponent < 0) token.value = token.value / Exact::power_of_ten(static_cast<uint64_t>(-exponent));
    if (!whole) token.text = "." + std::to_string(decimals);  // no digits to take apart
  }

  // 1e999999 is read as 1 * 10^999999: its size is known, its digits are never written out.
  void emit_power(const std::string& digits, int64_t exponent) {
    const auto push_number = [&](Exact value) {
      Token& token = push(Tok::kNumber, ".");
      token.value = std::move(value);
    };
    push_number(Exact::from_digits(digits));
    push(Tok::kSign, "*");
    push_number(10);
    push(Tok::kSign, "^");
    if (exponent < 0) push(Tok::kSign, "-");
    push_number(std::abs(exponent));
  }

  std::string_view text_;
  size_t max_digits_;
  std::vector<Token> tokens_;
  size_t i_ = 0;
  size_t depth_ = 0;  // of brackets
  bool space_ = false;
  bool money_ = false;
};

}  // namespace

std::vector<Token> lex(std::string_view text, size_t max_digits) {
  const bool ascii =
      std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  if (ascii) return Lexer(text, max_digits).run();
  return Lexer(to_ascii(text), max_digits).run();
}

}  // namespace merit::verify
