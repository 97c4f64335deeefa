#include "merit/text/normalizer_precompiled.h"

#include <utf8proc.h>

#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "merit/core/error.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

std::string from_base64(const std::string& text, const std::string& where) {
  std::string out;
  uint32_t bits = 0;
  int have = 0;
  size_t end = text.size();
  while (end > 0 && text[end - 1] == '=') --end;
  for (size_t i = 0; i < end; ++i) {
    const char c = text[i];
    int v = -1;
    if (c >= 'A' && c <= 'Z') v = c - 'A';
    if (c >= 'a' && c <= 'z') v = c - 'a' + 26;
    if (c >= '0' && c <= '9') v = c - '0' + 52;
    if (c == '+') v = 62;
    if (c == '/') v = 63;
    if (v < 0) fail(ErrorKind::kData, "{}: expected base64, got {} at byte {}", where, quote(text.substr(i, 1)), i);
    bits = bits << 6 | static_cast<uint32_t>(v);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>(bits >> have & 0xff);
    }
  }
  return out;
}

class Precompiled final : public Normalizer {
 public:
  Precompiled(std::vector<uint32_t> trie, std::string texts) : trie_(std::move(trie)), texts_(std::move(texts)) {}

  bool apply(View in, AlignedText& out, Budget& budget) const override {
    Rewriter rewriter(in, budget);
    bool changed = false;
    for (size_t i = 0; i < in.text.size();) {
      const size_t end = cluster_end(in.text, i);
      if (end - i < 6) {
        if (const auto text = find(in.text.substr(i, end - i))) {
          rewriter.put(*text, i, end);
          changed = true;
          i = end;
          continue;
        }
      }
      while (i < end) {
        const size_t length = code_point_at(in.text, i).length;
        if (const auto text = find(in.text.substr(i, length))) {
          rewriter.put(*text, i, i + length);
          changed = true;
        } else {
          rewriter.keep(i, i + length);
        }
        i += length;
      }
    }
    if (changed) out = rewriter.take();
    return changed;
  }

 private:
  static size_t cluster_end(std::string_view text, size_t i) {
    utf8proc_int32_t state = 0;
    CodePoint c = code_point_at(text, i);
    for (i += c.length; i < text.size(); i += c.length) {
      const CodePoint next = code_point_at(text, i);
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.value),
                                           static_cast<utf8proc_int32_t>(next.value), &state)) {
        break;
      }
      c = next;
    }
    return i;
  }

  // The text that stands for the shortest key that begins `key`: what the reference takes.
  std::optional<std::string_view> find(std::string_view key) const {
    size_t node = 0;
    uint32_t unit = trie_[0];
    node ^= offset(unit);
    for (const char ch : key) {
      const auto c = static_cast<unsigned char>(ch);
      if (c == 0) return std::nullopt;
      node ^= c;
      if (node >= trie_.size()) return std::nullopt;
      unit = trie_[node];
      if ((unit & 0x800000ffu) != c) return std::nullopt;
      node ^= offset(unit);
      if (unit >> 8 & 1) {
        if (node >= trie_.size()) return std::nullopt;
        const size_t at = trie_[node] & 0x7fffffffu;
        if (at >= texts_.size() || (texts_[at] & 0xc0) == 0x80) return std::nullopt;
        return std::string_view(texts_).substr(at, texts_.find('\0', at) - at);
      }
    }
    return std::nullopt;
  }
  static size_t offset(uint32_t unit) { return static_cast<size_t>(unit >> 10) << ((unit & 0x200u) >> 6); }

  std::vector<uint32_t> trie_;
  std::string texts_;  // each ends with a zero byte
};

}  // namespace

std::unique_ptr<const Normalizer> make_precompiled(const std::string& base64, const std::string& where) {
  const std::string bytes = from_base64(base64, where);
  uint32_t size = 0;
  if (bytes.size() >= 4) std::memcpy(&size, bytes.data(), 4);
  if (size == 0 || size % 4 != 0 || size > bytes.size() - 4) {
    fail(ErrorKind::kData, "{}: expected a character map, got {} bytes with a trie of {}", where, bytes.size(), size);
  }
  std::vector<uint32_t> trie(size / 4);
  std::memcpy(trie.data(), bytes.data() + 4, size);
  std::string texts = bytes.substr(4 + size);
  if (!is_valid_utf8(texts)) fail(ErrorKind::kData, "{}: the map's texts are not UTF-8", where);
  texts += '\0';
  return std::make_unique<Precompiled>(std::move(trie), std::move(texts));
}

}  // namespace merit::text
