#include "merit/text/normalizer_precompiled.h"

#include <utf8proc.h>

#include <cstring>
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

// The double array: key by key, bytes that lead to texts.
class CharacterMap {
 public:
  CharacterMap(std::vector<uint32_t> trie, std::string texts) : trie_(std::move(trie)), texts_(std::move(texts)) {}

  struct Entry {
    size_t length;  // of the key
    std::string_view text;
  };
  // The entry of a key that begins `text`: the first, that is the shortest, or the longest.
  std::optional<Entry> find(std::string_view text, bool longest) const {
    std::optional<Entry> found;
    uint32_t unit = trie_[0];
    size_t node = offset(unit);
    for (size_t i = 0; i < text.size(); ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (c == 0) break;
      node ^= c;
      if (node >= trie_.size()) break;
      unit = trie_[node];
      if ((unit & 0x800000ffu) != c) break;
      node ^= offset(unit);
      if ((unit >> 8 & 1) == 0) continue;
      if (node >= trie_.size()) break;
      const size_t at = trie_[node] & 0x7fffffffu;
      if (at >= texts_.size() || (texts_[at] & 0xc0) == 0x80) break;
      found = {i + 1, std::string_view(texts_).substr(at, texts_.find('\0', at) - at)};
      if (!longest) break;
    }
    return found;
  }

 private:
  static size_t offset(uint32_t unit) { return static_cast<size_t>(unit >> 10) << ((unit & 0x200u) >> 6); }

  std::vector<uint32_t> trie_;
  std::string texts_;  // each ends with a zero byte
};

size_t cluster_end(std::string_view text, size_t i) {
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

class ByCluster final : public Normalizer {
 public:
  explicit ByCluster(CharacterMap map) : map_(std::move(map)) {}

  bool apply(View in, AlignedText& out, Budget& budget) const override {
    Rewriter rewriter(in, budget);
    bool changed = false;
    // A key's text stands for all it was sought in.
    const auto replace = [&](size_t begin, size_t end) {
      const auto entry = map_.find(in.text.substr(begin, end - begin), false);
      if (entry) rewriter.put(entry->text, begin, end);
      changed = changed || entry;
      return entry.has_value();
    };
    for (size_t i = 0; i < in.text.size();) {
      const size_t end = cluster_end(in.text, i);
      if (end - i < 6 && replace(i, end)) {
        i = end;
        continue;
      }
      while (i < end) {
        const size_t length = code_point_at(in.text, i).length;
        if (!replace(i, i + length)) rewriter.keep(i, i + length);
        i += length;
      }
    }
    if (changed) out = rewriter.take();
    return changed;
  }

 private:
  CharacterMap map_;
};

class ByLongestMatch final : public Normalizer {
 public:
  ByLongestMatch(CharacterMap map, std::optional<Regex> kept) : map_(std::move(map)), kept_(std::move(kept)) {}

  bool apply(View in, AlignedText& out, Budget& budget) const override {
    Rewriter rewriter(in, budget);
    bool changed = false;
    std::vector<Span> kept;
    if (kept_) kept_->find_all(in.text, 0, in.text.size(), kept);
    size_t next = 0;  // of kept
    for (size_t i = 0; i < in.text.size();) {
      while (next < kept.size() && kept[next].begin < i) ++next;
      if (next < kept.size() && kept[next].begin == i) {
        rewriter.keep(i, kept[next].end);
        i = kept[next].end;
      } else if (const auto entry = map_.find(in.text.substr(i), true)) {
        rewriter.put(entry->text, i, i + entry->length);
        i += entry->length;
        changed = true;
      } else {
        const size_t length = code_point_at(in.text, i).length;
        rewriter.keep(i, i + length);
        i += length;
      }
    }
    if (changed) out = rewriter.take();
    return changed;
  }

 private:
  CharacterMap map_;
  std::optional<Regex> kept_;
};

}  // namespace

std::unique_ptr<const Normalizer> make_precompiled(const std::string& base64, PrecompiledOptions options,
                                                   const std::string& where) {
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
  CharacterMap map(std::move(trie), std::move(texts));
  if (options.longest_match) return std::make_unique<ByLongestMatch>(std::move(map), std::move(options.kept));
  return std::make_unique<ByCluster>(std::move(map));
}

}  // namespace merit::text
