// Oniguruma's Ruby syntax, in which tokenizer files write patterns, rewritten in PCRE2's: what \w, \b and \B count as a
// word, and character classes that nest or intersect ("[\p{L}&&[^\p{Han}]]").
#pragma once

#include <string>

namespace merit::text {

// Error(kUnsupported) naming `where` for what PCRE2 would read differently or not at all; whether the rest is well
// formed is left to PCRE2. `pattern` is UTF-8.
std::string to_pcre2(const std::string& pattern, const std::string& where);

}  // namespace merit::text
