#include "merit/text/normalizer.h"

#include <array>
#include <map>
#include <vector>

#include "merit/text/normalizer_precompiled.h"
#include "merit/text/tokenizer_fields.h"
#include "merit/text/tokenizer_regex.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

using Owned = std::unique_ptr<const Normalizer>;

class Sequence final : public Normalizer {
 public:
  explicit Sequence(std::vector<Owned> parts) : parts_(std::move(parts)) {}
  bool apply(View in, AlignedText& out, Budget& budget) const override {
    bool changed = false;
    AlignedText next;
    for (const Owned& part : parts_) {
      if (!part->apply(changed ? out.view() : in, next, budget)) continue;
      out = std::move(next);
      next = {};
      changed = true;
    }
    return changed;
  }

 private:
  std::vector<Owned> parts_;
};

class Form final : public Normalizer {
 public:
  explicit Form(NormalForm form) : form_(form) {}
  bool apply(View in, AlignedText& out, Budget& budget) const override {
    if (is_surely_normal(in.text, form_)) return false;
    if (normal_form(in.text, form_) == in.text) return false;
    Rewriter rewriter(in, budget);
    // Segment by segment, so that sources stay close.
    for (size_t i = 0; i < in.text.size();) {
      size_t j = i + code_point_at(in.text, i).length;
      while (j < in.text.size()) {
        const CodePoint c = code_point_at(in.text, j);
        if (starts_segment(c.value, form_)) break;
        j += c.length;
      }
      const std::string_view segment = in.text.substr(i, j - i);
      if (is_surely_normal(segment, form_)) {
        rewriter.keep(i, j);
      } else {
        const std::string normal = normal_form(segment, form_);
        normal == segment ? rewriter.keep(i, j) : rewriter.put(normal, i, j);
      }
      i = j;
    }
    out = rewriter.take();
    return true;
  }

 private:
  NormalForm form_;
};

// A change of each character by itself. change(c, out) writes what stands for c and returns true, or returns false to
// keep it.
template <typename Change>
bool map_characters(View in, AlignedText& out, Budget& budget, Change change) {
  Rewriter rewriter(in, budget);
  bool changed = false;
  std::string piece;
  for (size_t i = 0; i < in.text.size();) {
    const CodePoint c = code_point_at(in.text, i);
    piece.clear();
    if (change(c.value, piece)) {
      rewriter.put(piece, i, i + c.length);
      changed = true;
    } else {
      rewriter.keep(i, i + c.length);
    }
    i += c.length;
  }
  if (changed) out = rewriter.take();
  return changed;
}

bool lower(char32_t c, std::string& out) {
  if (c == 0x130) {  // the one character whose lower case is two: i and a dot above
    out += "i\xcc\x87";
    return true;
  }
  const char32_t l = to_lower(c);
  if (l == c) return false;
  append_utf8(out, l);
  return true;
}

class Lowercase final : public Normalizer {
 public:
  bool apply(View in, AlignedText& out, Budget& budget) const override {
    return map_characters(in, out, budget, lower);
  }
};

class StripAccents final : public Normalizer {
 public:
  bool apply(View in, AlignedText& out, Budget& budget) const override {
    return map_characters(in, out, budget, [](char32_t c, std::string&) { return is_mark(c); });
  }
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  bool apply(View in, AlignedText& out, Budget& budget) const override {
    size_t begin = 0, end = in.text.size();
    while (left_ && begin < end) {
      const CodePoint c = code_point_at(in.text, begin);
      if (!is_space(c.value)) break;
      begin += c.length;
    }
    while (right_ && begin < end) {
      const size_t last = previous_boundary(in.text, end);
      if (!is_space(code_point_at(in.text, last).value)) break;
      end = last;
    }
    if (begin == 0 && end == in.text.size()) return false;
    Rewriter rewriter(in, budget);
    rewriter.keep(begin, end);
    out = rewriter.take();
    return true;
  }

 private:
  bool left_, right_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string text) : text_(std::move(text)) {}
  bool apply(View in, AlignedText& out, Budget& budget) const override {
    if (in.text.empty() || text_.empty()) return false;
    Rewriter rewriter(in, budget);
    rewriter.put(text_, 0, 0);
    rewriter.keep(0, in.text.size());
    out = rewriter.take();
    return true;
  }

 private:
  std::string text_;
};

class Replace final : public Normalizer {
 public:
  Replace(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  bool apply(View in, AlignedText& out, Budget& budget) const override {
    std::vector<Span> matches;
    std::string look_alike;
    const bool other = make_look_alike(in.text, look_alike);
    pattern_.find_all(other ? std::string_view(look_alike) : in.text, 0, in.text.size(), matches);
    if (matches.empty()) return false;
    Rewriter rewriter(in, budget);
    size_t done = 0;
    for (const Span m : matches) {
      rewriter.keep(done, m.begin);
      rewriter.put(content_, m.begin, m.end);
      done = m.end;
    }
    rewriter.keep(done, in.text.size());
    out = rewriter.take();
    return true;
  }

 private:
  Regex pattern_;
  std::string content_;
};

bool in_range(char32_t c, char32_t first, char32_t last) { return first <= c && c <= last; }

class Nmt final : public Normalizer {
 public:
  bool apply(View in, AlignedText& out, Budget& budget) const override {
    return map_characters(in, out, budget, [](char32_t c, std::string& piece) {
      if (in_range(c, 1, 8) || c == 0xb || in_range(c, 0xe, 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f) return true;
      const bool space = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || in_range(c, 0x200b, 0x200f) ||
                         c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
      if (!space) return false;
      piece = " ";
      return true;
    });
  }
};

class Bert final : public Normalizer {
 public:
  Bert(bool clean, bool chinese, bool strip, bool lowercase)
      : clean_(clean), chinese_(chinese), strip_(strip), lowercase_(lowercase), nfd_(NormalForm::kNfd) {}

  bool apply(View in, AlignedText& out, Budget& budget) const override {
    bool changed = false;
    const auto step = [&](auto&& change) {
      AlignedText next;
      if (!change(changed ? out.view() : in, next)) return;
      out = std::move(next);
      changed = true;
    };
    const auto map = [&](auto change) {
      step([&](View view, AlignedText& next) { return map_characters(view, next, budget, change); });
    };
    if (clean_) map(clean);
    if (chinese_) map(pad_chinese);
    if (strip_) {
      step([&](View view, AlignedText& next) { return nfd_.apply(view, next, budget); });
      map([](char32_t c, std::string&) { return is_nonspacing_mark(c); });
    }
    if (lowercase_) map(lower);
    return changed;
  }

 private:
  static bool clean(char32_t c, std::string& piece) {
    const bool line = c == '\t' || c == '\n' || c == '\r';
    if (c == 0 || c == 0xfffd || (!line && is_other(c))) return true;
    if (!is_space(c) || c == ' ') return false;
    piece = " ";
    return true;
  }
  static bool pad_chinese(char32_t c, std::string& piece) {
    const bool chinese = in_range(c, 0x4e00, 0x9fff) || in_range(c, 0x3400, 0x4dbf) || in_range(c, 0x20000, 0x2a6df) ||
                         in_range(c, 0x2a700, 0x2b73f) || in_range(c, 0x2b740, 0x2b81f) ||
                         in_range(c, 0x2b920, 0x2ceaf) || in_range(c, 0xf900, 0xfaff) || in_range(c, 0x2f800, 0x2fa1f);
    if (!chinese) return false;
    piece = " ";
    append_utf8(piece, c);
    piece += " ";
    return true;
  }

  bool clean_, chinese_, strip_, lowercase_;
  Form nfd_;
};

class ByteLevel final : public Normalizer {
 public:
  bool apply(View in, AlignedText& out, Budget& budget) const override {
    Rewriter rewriter(in, budget);
    for (size_t i = 0; i < in.text.size(); ++i) {
      rewriter.put(byte_level_char(static_cast<unsigned char>(in.text[i])), i, i + 1);
    }
    out = rewriter.take();
    return true;
  }
};

struct ByteAlphabet {
  std::array<std::string, 256> characters;
  std::array<int16_t, 512> bytes;

  ByteAlphabet() {
    bytes.fill(-1);
    // Printable Latin-1 stands for itself, the others in order for U+0100 and on.
    char32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      const char32_t c = printable ? static_cast<char32_t>(b) : next++;
      append_utf8(characters[static_cast<size_t>(b)], c);
      bytes[c] = static_cast<int16_t>(b);
    }
  }
};

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

Owned make_replace(Fields& fields) {
  Fields pattern(fields.need("pattern"), fields.at("pattern"));
  const std::string content = fields.string("content");
  Owned made;
  if (pattern.find("String")) {
    made = std::make_unique<Replace>(Regex::literal(pattern.string("String"), pattern.where()), content);
  } else {
    made = std::make_unique<Replace>(Regex(pattern.string("Regex"), pattern.where()), content);
  }
  pattern.done();
  return made;
}

Owned make_charsmap(Fields& fields) {
  PrecompiledOptions options;
  // Both are merit's own; `tokenizers` passes over them.
  options.longest_match = fields.boolean_or("longest_match", false);
  const std::string kept = fields.string_or("kept", "");
  if (!kept.empty()) options.kept = Regex(kept, fields.at("kept"));
  const char* map = "precompiled_charsmap";
  return make_precompiled(fields.string(map), std::move(options), fields.at(map));
}

Owned make_one(const std::string& type, Fields& fields, int depth);

Owned make(const Json& json, const std::string& where, int depth) {
  if (depth > 16) fail(ErrorKind::kLimit, "{}: normalizers nest deeper than 16", where);
  Fields fields(json, where);
  const std::string type = fields.string("type");
  Owned made = make_one(type, fields, depth);
  fields.done();
  return made;
}

Owned make_one(const std::string& type, Fields& fields, int depth) {
  if (type == "NFC") return std::make_unique<Form>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<Form>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<Form>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<Form>(NormalForm::kNfkd);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "Nmt") return std::make_unique<Nmt>();
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "Prepend") return std::make_unique<Prepend>(fields.string("prepend"));
  if (type == "Replace") return make_replace(fields);
  if (type == "Precompiled") return make_charsmap(fields);
  if (type == "Strip") {
    const bool left = fields.boolean_or("strip_left", true);
    return std::make_unique<Strip>(left, fields.boolean_or("strip_right", true));
  }
  if (type == "BertNormalizer") {
    const bool clean = fields.boolean_or("clean_text", true);
    const bool chinese = fields.boolean_or("handle_chinese_chars", true);
    const bool lowercase = fields.boolean_or("lowercase", true);
    return std::make_unique<Bert>(clean, chinese, fields.boolean_or("strip_accents", lowercase), lowercase);
  }
  if (type == "Sequence") {
    const Json& list = fields.need("normalizers");
    if (!list.is_array()) fail(ErrorKind::kData, "{}: expected an array", fields.at("normalizers"));
    std::vector<Owned> parts;
    for (size_t i = 0; i < list.size(); ++i) {
      parts.push_back(make(list[i], fmt::format("{}[{}]", fields.at("normalizers"), i), depth + 1));
    }
    return std::make_unique<Sequence>(std::move(parts));
  }
  fail(ErrorKind::kUnsupported, "{}: normalizer {} is not supported", fields.where(), quote(type));
}

}  // namespace

const std::string& byte_level_char(unsigned char byte) { return byte_alphabet().characters[byte]; }

int byte_level_byte(char32_t c) { return c < 512 ? byte_alphabet().bytes[c] : -1; }

std::unique_ptr<const Normalizer> make_normalizer(const Json& json, const std::string& where) {
  return json.is_null() ? nullptr : make(json, where, 0);
}

}  // namespace merit::text
