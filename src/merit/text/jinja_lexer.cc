#include "merit/text/jinja_lexer.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>

#include "merit/core/strings.h"
#include "merit/text/jinja_text.h"

namespace merit::text::jinja {

Source make_source(std::string_view text, std::string where) {
  constexpr size_t kMaxBytes = 1 << 20;
  if (text.size() > kMaxBytes) {
    fail(ErrorKind::kLimit, "{}: the template has {} bytes, more than {}", where, text.size(), kMaxBytes);
  }
  if (!is_utf8(text)) fail(ErrorKind::kData, "{}: the template is not UTF-8", where);
  Source source{{}, std::move(where)};
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      source.text += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      source.text += text[i];
    }
  }
  if (!source.text.empty() && source.text.back() == '\n') source.text.pop_back();
  return source;
}

void fail_at(const Source& source, size_t offset, ErrorKind kind, const std::string& message) {
  size_t line = 1;
  size_t start = 0;
  offset = std::min(offset, source.text.size());
  for (size_t i = 0; i < offset; ++i) {
    if (source.text[i] == '\n') {
      ++line;
      start = i + 1;
    }
  }
  const size_t column = 1 + count_code_points(std::string_view(source.text).substr(start, offset - start));
  throw Error(kind, fmt::format("{}:{}:{}: {}", source.where, line, column, message));
}

namespace {

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(int32_t c) {
  if (c < 0x80) return (c >= '0' && c <= '9') || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return is_alpha(c) || is_numeric(c);
}

class Lexer {
 public:
  explicit Lexer(const Source& source) : source_(source), text_(source.text) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) root();
    push(TokenKind::kEnd, text_.size());
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void error(size_t offset, const std::string& message) const {
    fail_at(source_, offset, ErrorKind::kData, message);
  }

  Token& push(TokenKind kind, size_t offset, std::string text = {}) {
    tokens_.push_back({kind, offset, std::move(text)});
    return tokens_.back();
  }

  bool starts(size_t at, std::string_view what) const { return text_.substr(at, what.size()) == what; }

  size_t skip_space(size_t at) const {
    while (at < text_.size()) {
      const CodePoint c = code_point_at(text_, at);
      if (!is_space(c.value)) break;
      at = c.next;
    }
    return at;
  }

  // Data before a tag that opens with `sign`; `prints` for {{.
  void push_data(size_t begin, size_t end, char sign, bool prints) {
    if (sign == '-') {
      while (end > begin) {
        size_t last = end - 1;
        while (last > begin && (static_cast<unsigned char>(text_[last]) & 0xC0) == 0x80) --last;
        if (!is_space(code_point_at(text_, last).value)) break;
        end = last;
      }
    } else if (sign != '+' && !prints) {
      const size_t newline = text_.substr(begin, end - begin).rfind('\n');
      const bool found = newline != std::string_view::npos;
      if (found || line_starting_) {
        const size_t line = found ? begin + newline + 1 : begin;
        if (skip_space(line) >= end) end = line;
      }
    }
    if (end > begin) push(TokenKind::kData, begin, std::string(text_.substr(begin, end - begin)));
  }

  // One stretch of data and the tag, print or comment behind it.
  void root() {
    const size_t begin = at_;
    size_t open = begin;
    while (true) {
      open = text_.find('{', open);
      if (open == std::string_view::npos) {
        push(TokenKind::kData, begin, std::string(text_.substr(begin)));
        at_ = text_.size();
        return;
      }
      const char next = open + 1 < text_.size() ? text_[open + 1] : '\0';
      if (next == '%' || next == '{' || next == '#') break;
      ++open;
    }
    const char type = text_[open + 1];
    char sign = open + 2 < text_.size() ? text_[open + 2] : '\0';
    if (sign != '-' && sign != '+') sign = '\0';
    push_data(begin, open, sign, type == '{');
    at_ = open + (sign != '\0' ? 3 : 2);
    if (type == '#') {
      comment(open);
    } else if (type == '%' && raw(open)) {
      return;
    } else {
      code(open, type == '{');
    }
  }

  void comment(size_t open) {
    if (at_ == text_.size()) return;  // one that opens as the last thing is none, as in the reference
    const size_t close = text_.find("#}", at_);
    if (close == std::string_view::npos) error(open, "this comment has no #}");
    close_tag(close > at_ ? text_[close - 1] : '\0', close + 2);
  }

  // Behind a closing bracket that `sign` stood before: what white space goes with it.
  void close_tag(char sign, size_t end) {
    at_ = end;
    if (sign == '-') {
      at_ = skip_space(end);
    } else if (sign != '+' && at_ < text_.size() && text_[at_] == '\n') {
      ++at_;
    }
    line_starting_ = text_[at_ - 1] == '\n';
  }

  bool raw(size_t open) {
    size_t at = skip_space(at_);
    if (!starts(at, "raw")) return false;
    at = skip_space(at + 3);
    if (starts(at, "-%}")) {
      at = skip_space(at + 3);
    } else if (starts(at, "%}")) {
      at += 2;
    } else {
      return false;
    }
    line_starting_ = text_[at - 1] == '\n';
    for (size_t close = text_.find("{%", at); close != std::string_view::npos; close = text_.find("{%", close + 1)) {
      char sign = close + 2 < text_.size() ? text_[close + 2] : '\0';
      if (sign != '-' && sign != '+') sign = '\0';
      size_t end = skip_space(close + (sign != '\0' ? 3 : 2));
      if (!starts(end, "endraw")) continue;
      end = skip_space(end + 6);
      char closing = end < text_.size() ? text_[end] : '\0';
      if (closing == '-' || closing == '+') {
        ++end;
      } else {
        closing = '\0';
      }
      if (!starts(end, "%}")) continue;
      push_data(at, close, sign, false);
      close_tag(closing, end + 2);
      return true;
    }
    error(open, "this raw block has no endraw");
  }

  // The tokens of a tag or a print, to its end.
  void code(size_t open, bool prints) {
    push(prints ? TokenKind::kPrintBegin : TokenKind::kTagBegin, open);
    std::string brackets;
    while (true) {
      at_ = skip_space(at_);
      if (at_ >= text_.size()) error(open, prints ? "this {{ has no }}" : "this {% has no %}");
      if (brackets.empty() && ends_code(prints)) return;
      token(brackets);
    }
  }

  bool ends_code(bool prints) {
    const size_t begin = at_;
    const char sign = text_[at_] == '-' || (text_[at_] == '+' && !prints) ? text_[at_] : '\0';
    const size_t close = at_ + (sign != '\0' ? 1 : 0);
    if (!starts(close, prints ? "}}" : "%}")) return false;
    push(prints ? TokenKind::kPrintEnd : TokenKind::kTagEnd, begin);
    // A print keeps the line break behind it.
    close_tag(prints && sign == '\0' ? '+' : sign, close + 2);
    return true;
  }

  void token(std::string& brackets) {
    const char c = text_[at_];
    const CodePoint point = code_point_at(text_, at_);
    if (is_digit_char(c)) return number();
    if (is_name_char(point.value)) return name();
    if (c == '\'' || c == '"') return string(c);
    static constexpr std::string_view kPairs[] = {"//", "**", "==", "!=", ">=", "<="};
    for (std::string_view op : kPairs) {
      if (starts(at_, op)) {
        push(TokenKind::kOperator, at_, std::string(op));
        at_ += 2;
        return;
      }
    }
    if (std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
      error(at_, "unexpected character " + quote(text_.substr(at_, point.next - at_)));
    }
    if (c == '(' || c == '[' || c == '{') {
      brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty()) error(at_, fmt::format("unexpected '{}'", c));
      if (brackets.back() != c) error(at_, fmt::format("unexpected '{}', expected '{}'", c, brackets.back()));
      brackets.pop_back();
    }
    push(TokenKind::kOperator, at_, std::string(1, c));
    ++at_;
  }

  void name() {
    const size_t begin = at_;
    while (at_ < text_.size()) {
      const CodePoint c = code_point_at(text_, at_);
      if (!is_name_char(c.value)) break;
      at_ = c.next;
    }
    push(TokenKind::kName, begin, std::string(text_.substr(begin, at_ - begin)));
  }

  // Digits with single underscores between; appends them to `out`. False if there is none at `at`.
  template <typename Accept>
  bool digits(size_t& at, std::string& out, Accept accept) const {
    size_t i = at;
    if (i >= text_.size() || !accept(text_[i])) return false;
    while (i < text_.size()) {
      if (accept(text_[i])) {
        out += text_[i++];
      } else if (text_[i] == '_' && i + 1 < text_.size() && accept(text_[i + 1])) {
        ++i;
      } else {
        break;
      }
    }
    at = i;
    return true;
  }

  void number() {
    const size_t begin = at_;
    if (!floating()) integer();
    if (at_ == begin) error(begin, "not a number");
  }

  bool floating() {
    if (at_ > 0 && text_[at_ - 1] == '.') return false;  // x.0.1 is two subscripts
    size_t at = at_;
    std::string out;
    if (!digits(at, out, is_digit_char)) return false;
    bool is_float = false;
    if (at < text_.size() && text_[at] == '.') {
      size_t after = at + 1;
      std::string fraction;
      if (digits(after, fraction, is_digit_char)) {
        out += "." + fraction;
        at = after;
        is_float = true;
      }
    }
    if (at < text_.size() && (text_[at] | 32) == 'e') {
      size_t after = at + 1;
      std::string exponent = "e";
      if (after < text_.size() && (text_[after] == '+' || text_[after] == '-')) exponent += text_[after++];
      if (digits(after, exponent, is_digit_char)) {
        out += exponent;
        at = after;
        is_float = true;
      }
    }
    if (!is_float) return false;
    push(TokenKind::kFloat, at_).number = std::strtod(out.c_str(), nullptr);
    at_ = at;
    return true;
  }

  void integer() {
    const size_t begin = at_;
    int base = 10;
    std::string out;
    const char mark = text_[at_] == '0' && at_ + 1 < text_.size() ? static_cast<char>(text_[at_ + 1] | 32) : '\0';
    const auto prefixed = [&](int b, auto accept) {
      size_t at = at_ + 2;
      if (at < text_.size() && text_[at] == '_') ++at;
      if (!digits(at, out, accept)) return false;
      base = b;
      at_ = at;
      return true;
    };
    const bool done = (mark == 'x' &&
                       prefixed(16, [](char c) { return is_digit_char(c) || ((c | 32) >= 'a' && (c | 32) <= 'f'); })) ||
                      (mark == 'o' && prefixed(8, [](char c) { return c >= '0' && c <= '7'; })) ||
                      (mark == 'b' && prefixed(2, [](char c) { return c == '0' || c == '1'; }));
    if (!done) {
      // A number that starts with 0 is zeros only.
      if (text_[at_] == '0') {
        digits(at_, out, [](char c) { return c == '0'; });
      } else {
        digits(at_, out, is_digit_char);
      }
    }
    int64_t value = 0;
    const auto [end, problem] = std::from_chars(out.data(), out.data() + out.size(), value, base);
    if (problem != std::errc()) fail_at(source_, begin, ErrorKind::kUnsupported, "an integer past 64 bits");
    push(TokenKind::kInteger, begin).integer = value;
  }

  void string(char delimiter) {
    const size_t begin = at_;
    std::string out;
    for (++at_; at_ < text_.size() && text_[at_] != delimiter;) {
      if (text_[at_] == '\\') {
        escape(out, begin);
      } else {
        out += text_[at_++];
      }
    }
    if (at_ >= text_.size()) error(begin, "this string has no end");
    ++at_;
    push(TokenKind::kString, begin, std::move(out));
  }

  // A backslash sequence, as Python's unicode-escape codec reads it.
  void escape(std::string& out, size_t begin) {
    const size_t at = at_;
    if (at + 1 >= text_.size()) error(begin, "this string has no end");
    const CodePoint c = code_point_at(text_, at + 1);
    at_ = c.next;
    static constexpr std::string_view kFrom = "abfnrtv\\'\"";
    static constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\'\"";
    if (c.value >= 0x80) {
      // Jinja spells the character as an escape before it reads escapes, so this backslash escapes that one's.
      out += c.value < 0x100     ? fmt::format("\\x{:02x}", c.value)
             : c.value < 0x10000 ? fmt::format("\\u{:04x}", c.value)
                                 : fmt::format("\\U{:08x}", c.value);
    } else if (const size_t simple = kFrom.find(static_cast<char>(c.value)); simple != std::string_view::npos) {
      out += kTo[simple];
    } else if (c.value == '\n') {
      // a line continued
    } else if (c.value >= '0' && c.value <= '7') {
      int32_t value = c.value - '0';
      for (int i = 0; i < 2 && at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '7'; ++i) {
        value = value * 8 + (text_[at_++] - '0');
      }
      append_utf8(out, value);
    } else if (c.value == 'x' || c.value == 'u' || c.value == 'U') {
      const size_t length = c.value == 'x' ? 2 : c.value == 'u' ? 4 : 8;
      uint32_t value = 0;
      const char* first = text_.data() + at_;
      const char* last = first + std::min(length, text_.size() - at_);
      const auto [end, problem] = std::from_chars(first, last, value, 16);
      if (problem != std::errc() || end != first + length || value > 0x10FFFF) error(at, "a broken character escape");
      if (value >= 0xD800 && value < 0xE000) {
        fail_at(source_, at, ErrorKind::kUnsupported, "half a surrogate pair in a string");
      }
      append_utf8(out, static_cast<int32_t>(value));
      at_ += length;
    } else if (c.value == 'N') {
      fail_at(source_, at, ErrorKind::kUnsupported, "characters by name (\\N)");
    } else {
      out.append(text_.substr(at, at_ - at));
    }
  }

  const Source& source_;
  std::string_view text_;
  size_t at_ = 0;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(const Source& source) { return Lexer(source).run(); }

}  // namespace merit::text::jinja
