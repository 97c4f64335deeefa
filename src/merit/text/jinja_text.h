// Text that remembers where its bytes came from, and the Unicode facts that Python's str methods rest on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace merit::text::jinja {

// Where a byte came from. Marks add up.
enum Mark : uint8_t {
  kContent = 1,     // a string inside messages, tools or documents
  kGeneration = 2,  // written inside a generation block
  kAssistant = 4,   // a string inside a message of the assistant
};

struct Span {
  size_t begin, end;
  uint8_t marks;
};

// UTF-8 text; `spans` are its marked stretches: sorted, disjoint, not empty, merged where they touch with equal marks.
struct Text {
  std::string bytes;
  std::vector<Span> spans;
  bool safe = false;  // the filter `safe` was applied: `+` and `%` then escape what they meet, as Jinja's Markup does
};

class TextBuilder {
 public:
  void append(std::string_view bytes, uint8_t marks = 0);
  void append(const Text& text) { append(text, 0, text.bytes.size()); }
  // Bytes [begin, end) of `text`, with `extra` added to their marks.
  void append(const Text& text, size_t begin, size_t end, uint8_t extra = 0);
  void append_code_point(int32_t c, uint8_t marks);
  size_t size() const { return text_.bytes.size(); }
  const std::string& bytes() const { return text_.bytes; }
  Text take() { return std::move(text_); }

 private:
  void mark(size_t begin, size_t end, uint8_t marks);
  Text text_;
};

Text slice(const Text& text, size_t begin, size_t end);  // bytes
uint8_t marks_at(const Text& text, size_t byte);

// One code point of valid UTF-8 and where the next one begins.
struct CodePoint {
  int32_t value;
  size_t next;
};
CodePoint code_point_at(std::string_view text, size_t byte);
size_t count_code_points(std::string_view text);
// The byte at which code point `index` begins; text.size() if there are no more.
size_t byte_of(std::string_view text, size_t index);
void append_utf8(std::string& out, int32_t c);

// As Python's str methods judge a code point.
bool is_space(int32_t c);
bool is_alpha(int32_t c);
bool is_decimal(int32_t c);
bool is_digit(int32_t c);
bool is_numeric(int32_t c);
bool is_printable(int32_t c);
bool is_upper(int32_t c);
bool is_lower(int32_t c);
bool is_title(int32_t c);
bool is_cased(int32_t c);

// Full case mapping; a mapped character keeps its marks.
enum class Case { kUpper, kLower, kTitle, kCapitalize, kSwap, kFold };
Text map_case(const Text& text, Case to);

}  // namespace merit::text::jinja
