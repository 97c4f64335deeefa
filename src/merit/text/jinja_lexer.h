// The source of a template and its tokens, with Jinja's white-space control (trim_blocks, lstrip_blocks, - and +).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "merit/core/error.h"

namespace merit::text::jinja {

// A template's text with line breaks made \n and the last one dropped, as Jinja reads it.
struct Source {
  std::string text;
  std::string where;
};
Source make_source(std::string_view text, std::string where);

// "where:line:column: message", both counted from 1, columns in characters.
[[noreturn]] void fail_at(const Source& source, size_t offset, ErrorKind kind, const std::string& message);

enum class TokenKind {
  kData,
  kPrintBegin,
  kPrintEnd,
  kTagBegin,
  kTagEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind;
  size_t offset;     // into the source
  std::string text;  // data and strings unescaped; names, operators as they stand
  int64_t integer = 0;
  double number = 0;
};

// All tokens, kEnd last.
std::vector<Token> lex(const Source& source);

}  // namespace merit::text::jinja
