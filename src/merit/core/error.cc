#include "merit/core/error.h"

#include "merit/core/strings.h"

namespace merit {

std::string quote(std::string_view text, size_t max) {
  std::string out = "\"";
  size_t i = 0;
  while (i < text.size() && i < max) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    const size_t length = utf8_length_at(text, i);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c == 0x7f || length == 0) {
      out += fmt::format("\\x{:02x}", c);
    } else if (length == 2 && c == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      out += fmt::format("\\u00{:02x}", static_cast<unsigned char>(text[i + 1]));  // C1 controls
      i += 1;
    } else {
      out.append(text.substr(i, length));
      i += length - 1;
    }
    ++i;
  }
  out += i < text.size() ? "...\"" : "\"";
  return out;
}

namespace internal {
void check_failed(const char* condition, const char* file, int line) {
  throw std::logic_error(fmt::format("fault in merit, please report it: {}:{}: {}", file, line, condition));
}
}  // namespace internal

}  // namespace merit
