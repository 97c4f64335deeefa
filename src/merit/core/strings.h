// Small text helpers that the standard library lacks.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace merit {

// The length in bytes (1 to 4) of the well-formed UTF-8 sequence that starts at byte `i`, or 0 if none does.
size_t utf8_length_at(std::string_view text, size_t i);
bool is_utf8(std::string_view text);

// Without ASCII white space at both ends.
std::string_view trim(std::string_view text);
// The pieces between separators; "" gives one empty piece.
std::vector<std::string_view> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string to_lower_ascii(std::string_view text);

// The shortest decimal form that reads back as the same double; "nan", "inf", "-inf" for the others.
std::string format_double(double value);

// The candidate closest to `word` by edit distance (at most 2 and less than half the word), or "".
std::string closest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace merit
