// Text on its way through a tokenizer: bytes that know which bytes of the original they came from, and the bound on
// what one text may grow to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "merit/core/error.h"

namespace merit::text {

// Bytes begin .. end-1, in texts of less than 4 GB.
struct Span {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// What one call may write in rewritten text and do in matching steps: 64 times the text and 1 MB.
class Budget {
 public:
  explicit Budget(size_t text_size) : left_(64 * text_size + (size_t{1} << 20)) {}
  void spend(size_t n) {
    if (n > left_) fail(ErrorKind::kLimit, "tokenizer: the text grows or costs more than 64 times its size and 1 MB");
    left_ -= n;
  }

 private:
  size_t left_;
};

// UTF-8 text with its origin: byte k came from sources[k], or from byte base + k if there are no sources.
struct View {
  std::string_view text;
  const Span* sources = nullptr;
  size_t base = 0;

  // The original's bytes behind bytes begin .. end-1 of the text.
  Span source(size_t begin, size_t end) const {
    if (!sources) return {static_cast<uint32_t>(base + begin), static_cast<uint32_t>(base + end)};
    if (begin < end) return {sources[begin].begin, sources[end - 1].end};
    if (begin < text.size()) return {sources[begin].begin, sources[begin].begin};
    return begin > 0 ? Span{sources[begin - 1].end, sources[begin - 1].end} : Span{0, 0};
  }
  View part(size_t begin, size_t end) const {
    return {text.substr(begin, end - begin), sources ? sources + begin : nullptr, base + begin};
  }
};

struct AlignedText {
  std::string text;
  std::vector<Span> sources;  // one for each byte

  View view() const { return {text, sources.data(), 0}; }
};

// Builds a rewritten text piece by piece.
class Rewriter {
 public:
  Rewriter(View in, Budget& budget) : in_(in), budget_(budget) {
    out_.text.reserve(in.text.size() + 16);
    out_.sources.reserve(in.text.size() + 16);
  }
  // Input bytes begin .. end-1 as they are.
  void keep(size_t begin, size_t end) {
    budget_.spend(end - begin);
    out_.text.append(in_.text, begin, end - begin);
    for (size_t i = begin; i < end; ++i) out_.sources.push_back(in_.source(i, i + 1));
  }
  // `bytes` in the place of input bytes begin .. end-1.
  void put(std::string_view bytes, size_t begin, size_t end) {
    budget_.spend(bytes.size());
    out_.text.append(bytes);
    out_.sources.insert(out_.sources.end(), bytes.size(), in_.source(begin, end));
  }
  size_t size() const { return out_.text.size(); }
  AlignedText take() { return std::move(out_); }

 private:
  View in_;
  Budget& budget_;
  AlignedText out_;
};

}  // namespace merit::text
