// One lexer for LaTeX and plain mathematics. Spacing, sizes, dollar signs and calculator notes vanish; Unicode signs
// become their LaTeX commands; numbers are read whole, with their separators. Internal to the checker.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "merit/verify/exact.h"

namespace merit::verify {

enum class Tok {
  kEnd,
  kNumber,   // value; text: its digits as written, without separators
  kWord,     // a run of letters
  kCommand,  // text: the name without the backslash; "{", "}" and "\\" too
  kText,     // the content of \text{...} and the like, in which there is a letter
  kSign,     // one character; "<=", ">=", "!=" and "==" are commands le, ge, ne and the sign =
  kBad,      // what no mathematics holds
};

struct Token {
  Tok kind = Tok::kEnd;
  std::string text;
  Exact value;
  bool space = false;  // white space stands before it
  bool money = false;  // a currency sign stands before it
  bool whole = false;  // a number of digits only: no point, exponent or repeating part

  bool is(Tok k, std::string_view t) const { return kind == k && text == t; }
  bool sign(char c) const { return kind == Tok::kSign && text[0] == c; }
  bool command(std::string_view t) const { return is(Tok::kCommand, t); }
};

// The last token is kEnd. Linear; `text` has at most a few kilobytes. Numbers of more than `max_digits` digits (and
// exponents that make them so) are kBad with the text "huge".
std::vector<Token> lex(std::string_view text, size_t max_digits = 9000);

}  // namespace merit::verify
