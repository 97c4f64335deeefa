// Regular expressions as tokenizer files use them: Oniguruma's Ruby syntax, run on PCRE2. The syntax that published
// tokenizers use means the same in both, but for \w and Unicode versions, which are made equal here.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "merit/text/tokenizer_buffer.h"

namespace merit::text {

class Regex {
 public:
  // Error(kData) if it does not compile; Error(kUnsupported) for syntax that means another thing in PCRE2.
  Regex(const std::string& pattern, const std::string& where);
  // The plain text as a pattern.
  static Regex literal(const std::string& text, const std::string& where);

  // The matches within text[begin, end), as if nothing stood around it, from left to right; an empty one only where
  // no match has just ended. Error(kLimit) if it takes too many steps or
  // (5 seconds and one a megabyte) too long. Thread-safe.
  void find_all(std::string_view text, size_t begin, size_t end, std::vector<Span>& matches) const;

 private:
  struct Code;
  Regex() = default;
  [[noreturn]] void too_long() const;
  std::shared_ptr<const Code> code_;
};

}  // namespace merit::text
