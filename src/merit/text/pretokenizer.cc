#include "merit/text/pretokenizer.h"

#include <algorithm>

#include "merit/text/normalizer.h"
#include "merit/text/tokenizer_fields.h"
#include "merit/text/tokenizer_regex.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

using Owned = std::unique_ptr<const PreTokenizer>;

enum class Behavior { kRemoved, kIsolated, kContiguous, kMergedWithPrevious, kMergedWithNext };

struct Part {
  Span span;
  bool match;
};

void add(std::vector<Span>& out, Span span) {
  if (span.begin < span.end) out.push_back(span);
}

// Joins delimiters (matches) and the text between them as the behaviour says.
void join_parts(std::vector<Part>& parts, Behavior behavior, std::vector<Span>& out) {
  if (behavior == Behavior::kRemoved || behavior == Behavior::kIsolated) {
    for (const Part& part : parts) {
      if (behavior == Behavior::kIsolated || !part.match) add(out, part.span);
    }
    return;
  }
  const bool backwards = behavior == Behavior::kMergedWithNext;
  if (backwards) std::reverse(parts.begin(), parts.end());
  const size_t first = out.size();
  bool previous = false;
  std::vector<Span> joined;
  for (const Part& part : parts) {
    const bool join = behavior == Behavior::kContiguous ? part.match == previous : part.match && !previous;
    previous = part.match;
    if (!join || joined.empty()) {
      joined.push_back(part.span);
    } else if (backwards) {
      joined.back().begin = part.span.begin;
    } else {
      joined.back().end = part.span.end;
    }
  }
  for (const Span span : joined) add(out, span);
  if (backwards) std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
}

// Cuts at single characters that delimit.
template <typename IsDelimiter>
void cut_at_characters(Words& words, Behavior behavior, IsDelimiter is_delimiter) {
  const std::string_view text = words.text();
  std::vector<Part> parts;
  words.cut([&](Span word, std::vector<Span>& out) {
    parts.clear();
    uint32_t start = word.begin;
    for (uint32_t i = word.begin; i < word.end;) {
      const CodePoint c = code_point_at(text, i);
      const auto next = static_cast<uint32_t>(i + c.length);
      if (is_delimiter(c.value)) {
        if (start < i) parts.push_back({{start, i}, false});
        parts.push_back({{i, next}, true});
        start = next;
      }
      i = next;
    }
    if (parts.empty()) {
      out.push_back(word);
      return;
    }
    if (start < word.end) parts.push_back({{start, word.end}, false});
    join_parts(parts, behavior, out);
  });
}

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(std::vector<Owned> parts) : parts_(std::move(parts)) {}
  void apply(Words& words) const override {
    for (const Owned& part : parts_) part->apply(words);
  }

 private:
  std::vector<Owned> parts_;
};

class Split final : public PreTokenizer {
 public:
  Split(Regex pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void apply(Words& words) const override {
    const std::string_view subject = words.subject();
    std::vector<Span> matches;
    std::vector<Part> parts;
    words.cut([&](Span word, std::vector<Span>& out) {
      if (behavior_ == Behavior::kIsolated) {
        isolate(subject, word, matches, out);
        return;
      }
      matches.clear();
      parts.clear();
      pattern_.find_all(subject, word.begin, word.end, matches);
      uint32_t start = word.begin;
      for (const Span m : matches) {
        if (start != m.begin) parts.push_back({{start, m.begin}, invert_});
        parts.push_back({m, !invert_});
        start = m.end;
      }
      if (start != word.end) parts.push_back({{start, word.end}, invert_});
      join_parts(parts, behavior_, out);
    });
  }

 private:
  void isolate(std::string_view subject, Span word, std::vector<Span>& matches, std::vector<Span>& out) const {
    matches.clear();
    pattern_.find_all(subject, word.begin, word.end, matches);
    uint32_t start = word.begin;
    for (const Span m : matches) {
      add(out, {start, m.begin});
      add(out, m);
      start = m.end;
    }
    add(out, {start, word.end});
  }

  Regex pattern_;
  Behavior behavior_;
  bool invert_;
};

class Digits final : public PreTokenizer {
 public:
  explicit Digits(bool individual) : behavior_(individual ? Behavior::kIsolated : Behavior::kContiguous) {}
  void apply(Words& words) const override { cut_at_characters(words, behavior_, is_numeric); }

 private:
  Behavior behavior_;
};

bool is_ascii_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}
bool is_any_punctuation(char32_t c) { return c < 0x80 ? is_ascii_punctuation(c) : is_punctuation(c); }

class Punctuation final : public PreTokenizer {
 public:
  explicit Punctuation(Behavior behavior) : behavior_(behavior) {}
  void apply(Words& words) const override { cut_at_characters(words, behavior_, is_any_punctuation); }

 private:
  Behavior behavior_;
};

class WhitespaceSplit final : public PreTokenizer {
 public:
  void apply(Words& words) const override { cut_at_characters(words, Behavior::kRemoved, is_space); }
};

class BertPreTokenizer final : public PreTokenizer {
 public:
  void apply(Words& words) const override {
    cut_at_characters(words, Behavior::kRemoved, is_space);
    cut_at_characters(words, Behavior::kIsolated, is_any_punctuation);
  }
};

class CharDelimiterSplit final : public PreTokenizer {
 public:
  explicit CharDelimiterSplit(char32_t delimiter) : delimiter_(delimiter) {}
  void apply(Words& words) const override {
    cut_at_characters(words, Behavior::kRemoved, [this](char32_t c) { return c == delimiter_; });
  }

 private:
  char32_t delimiter_;
};

// Runs of word characters, and runs of what is neither those nor white space.
class Whitespace final : public PreTokenizer {
 public:
  void apply(Words& words) const override {
    const std::string_view text = words.text();
    words.cut([&](Span word, std::vector<Span>& out) {
      int kind = 0;  // of the run: 0 space, 1 word, 2 other
      uint32_t start = word.begin;
      for (uint32_t i = word.begin; i < word.end;) {
        const CodePoint c = code_point_at(text, i);
        const int now = is_word(c.value) ? 1 : is_space(c.value) ? 0 : 2;
        if (now != kind) {
          if (kind != 0) add(out, {start, i});
          kind = now;
          start = i;
        }
        i += static_cast<uint32_t>(c.length);
      }
      if (kind != 0) add(out, {start, word.end});
    });
  }
};

class FixedLength final : public PreTokenizer {
 public:
  explicit FixedLength(size_t length) : length_(length) {}
  void apply(Words& words) const override {
    const std::string_view text = words.text();
    words.cut([&](Span word, std::vector<Span>& out) {
      size_t count = 0;
      uint32_t start = word.begin;
      for (uint32_t i = word.begin; i < word.end;) {
        i += static_cast<uint32_t>(code_point_at(text, i).length);
        if (++count == length_ || i == word.end) {
          add(out, {start, i});
          start = i;
          count = 0;
        }
      }
    });
  }

 private:
  size_t length_;
};

// Cuts where the script changes. Characters of no script go with what stands before them; those at the start of a word
// fall away, as in the reference.
class UnicodeScripts final : public PreTokenizer {
 public:
  void apply(Words& words) const override {
    const std::string_view text = words.text();
    words.cut([&](Span word, std::vector<Span>& out) {
      int last = 0;
      uint32_t start = word.begin;
      for (uint32_t i = word.begin; i < word.end;) {
        const CodePoint c = code_point_at(text, i);
        const int script = script_of(c.value);
        if (script != 0 && script != last) {
          if (last != 0) add(out, {start, i});
          start = i;
          last = script;
        }
        i += static_cast<uint32_t>(c.length);
      }
      if (last != 0) add(out, {start, word.end});
    });
  }
};

// Rewrites every word: write(word, rewriter) puts the word's new text.
template <typename Write>
void rewrite_words(Words& words, Write write) {
  Rewriter rewriter(words.view(), words.budget());
  std::vector<Span> spans;
  spans.reserve(words.words.size());
  for (const Span word : words.words) {
    const auto begin = static_cast<uint32_t>(rewriter.size());
    write(word, rewriter);
    add(spans, {begin, static_cast<uint32_t>(rewriter.size())});
  }
  words.replace(rewriter.take(), std::move(spans));
}

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex, bool map_bytes, const std::string& where)
      : add_prefix_space_(add_prefix_space), map_bytes_(map_bytes) {
    if (use_regex) {
      split_ = std::make_unique<Split>(
          Regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", where),
          Behavior::kIsolated, false);
    }
  }
  void apply(Words& words) const override {
    const std::string_view text = words.text();
    if (add_prefix_space_ &&
        std::any_of(words.words.begin(), words.words.end(), [&](Span w) { return text[w.begin] != ' '; })) {
      rewrite_words(words, [&](Span word, Rewriter& out) {
        if (text[word.begin] != ' ') out.put(" ", word.begin, word.begin);
        out.keep(word.begin, word.end);
      });
    }
    if (split_) split_->apply(words);
    if (!map_bytes_) return;
    const std::string_view raw = words.text();
    rewrite_words(words, [&](Span word, Rewriter& out) {
      for (uint32_t i = word.begin; i < word.end; ++i) {
        out.put(byte_level_char(static_cast<unsigned char>(raw[i])), i, i + 1);
      }
    });
  }

 private:
  bool add_prefix_space_, map_bytes_;
  std::unique_ptr<Split> split_;
};

class Metaspace final : public PreTokenizer {
 public:
  enum class Prepend { kFirst, kNever, kAlways };
  Metaspace(std::string replacement, Prepend prepend, bool split, const std::string& where)
      : replacement_(std::move(replacement)), prepend_(prepend) {
    if (split) {
      split_ = std::make_unique<Split>(Regex::literal(replacement_, where), Behavior::kMergedWithNext, false);
    }
  }
  void apply(Words& words) const override {
    const std::string_view text = words.text();
    rewrite_words(words, [&](Span word, Rewriter& out) {
      const std::string_view piece = text.substr(word.begin, word.end - word.begin);
      const bool marked = piece.front() == ' ' || piece.substr(0, replacement_.size()) == replacement_;
      const bool first = word.begin == 0 && words.at_start();
      if (!marked && (prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && first))) {
        out.put(replacement_, word.begin, word.begin);
      }
      uint32_t done = word.begin;
      for (uint32_t i = word.begin; i < word.end; ++i) {
        if (text[i] != ' ') continue;
        out.keep(done, i);
        out.put(replacement_, i, i + 1);
        done = i + 1;
      }
      out.keep(done, word.end);
    });
    if (split_) split_->apply(words);
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  std::unique_ptr<Split> split_;
};

Behavior behavior_of(const std::string& name, const std::string& where) {
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "Contiguous") return Behavior::kContiguous;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  fail(ErrorKind::kUnsupported, "{}: split behavior {} is not supported", where, quote(name));
}

// A string of one character.
std::string one_character(Fields& fields, const std::string& key, std::string fallback) {
  const std::string text = fields.string_or(key, std::move(fallback));
  if (text.empty() || code_point_at(text, 0).length != text.size()) {
    fail(ErrorKind::kData, "{}: expected one character, got {}", fields.at(key), quote(text));
  }
  return text;
}

Owned make_metaspace(Fields& fields) {
  const std::string replacement = one_character(fields, "replacement", "\xe2\x96\x81");
  const bool legacy = fields.boolean_or("add_prefix_space", true);
  const std::string scheme = fields.string_or("prepend_scheme", legacy ? "always" : "never");
  const bool split = fields.boolean_or("split", true);
  fields.ignore("str_rep");  // the replacement again, in old files
  using Prepend = Metaspace::Prepend;
  const Prepend prepend =
      scheme == "always"  ? Prepend::kAlways
      : scheme == "first" ? Prepend::kFirst
      : scheme == "never"
          ? Prepend::kNever
          : throw Error(ErrorKind::kUnsupported,
                        fmt::format("{}: {} is not supported", fields.at("prepend_scheme"), quote(scheme)));
  return std::make_unique<Metaspace>(replacement, prepend, split, fields.where());
}

Owned make_split(Fields& fields) {
  const Json& pattern_json = fields.need("pattern");
  Fields pattern(pattern_json, fields.at("pattern"));
  const Behavior behavior = behavior_of(fields.string("behavior"), fields.at("behavior"));
  const bool invert = fields.boolean_or("invert", false);
  Owned made;
  if (pattern.find("String")) {
    made = std::make_unique<Split>(Regex::literal(pattern.string("String"), pattern.where()), behavior, invert);
  } else {
    made = std::make_unique<Split>(Regex(pattern.string("Regex"), pattern.where()), behavior, invert);
  }
  pattern.done();
  return made;
}

// What the makers share: whether the byte-level step at the very end may be left to the model, and whether it was.
struct Making {
  bool leave_bytes = false;
  bool left = false;
};

Owned make(const Json& json, const std::string& where, int depth, bool last, Making& making);

Owned make_sequence(Fields& fields, int depth, bool last, Making& making) {
  const Json& list = fields.need("pretokenizers");
  if (!list.is_array()) fail(ErrorKind::kData, "{}: expected an array", fields.at("pretokenizers"));
  std::vector<Owned> parts;
  for (size_t i = 0; i < list.size(); ++i) {
    parts.push_back(make(list[i], fmt::format("{}[{}]", fields.at("pretokenizers"), i), depth + 1,
                         last && i + 1 == list.size(), making));
  }
  return std::make_unique<Sequence>(std::move(parts));
}

Owned make_one(const std::string& type, Fields& fields, int depth, bool last, Making& making) {
  if (type == "Sequence") return make_sequence(fields, depth, last, making);
  if (type == "Split") return make_split(fields);
  if (type == "Metaspace") return make_metaspace(fields);
  if (type == "Whitespace") return std::make_unique<Whitespace>();
  if (type == "WhitespaceSplit") return std::make_unique<WhitespaceSplit>();
  if (type == "UnicodeScripts") return std::make_unique<UnicodeScripts>();
  if (type == "BertPreTokenizer") return std::make_unique<BertPreTokenizer>();
  if (type == "Digits") return std::make_unique<Digits>(fields.boolean_or("individual_digits", false));
  if (type == "Punctuation") {
    return std::make_unique<Punctuation>(behavior_of(fields.string_or("behavior", "Isolated"), fields.at("behavior")));
  }
  if (type == "CharDelimiterSplit") {
    return std::make_unique<CharDelimiterSplit>(code_point_at(one_character(fields, "delimiter", ""), 0).value);
  }
  if (type == "FixedLength") {
    const int64_t length = fields.integer_or("length", 5);
    if (length < 1) fail(ErrorKind::kData, "{}: expected at least 1, got {}", fields.at("length"), length);
    return std::make_unique<FixedLength>(static_cast<size_t>(length));
  }
  if (type == "ByteLevel") {
    fields.ignore("trim_offsets");  // offsets are no ids
    const bool leave = last && making.leave_bytes;
    making.left = making.left || leave;
    const bool prefix = fields.boolean_or("add_prefix_space", true);
    return std::make_unique<ByteLevel>(prefix, fields.boolean_or("use_regex", true), !leave, fields.where());
  }
  fail(ErrorKind::kUnsupported, "{}: pre-tokenizer {} is not supported", fields.where(), quote(type));
}

Owned make(const Json& json, const std::string& where, int depth, bool last, Making& making) {
  if (depth > 16) fail(ErrorKind::kLimit, "{}: pre-tokenizers nest deeper than 16", where);
  Fields fields(json, where);
  const std::string type = fields.string("type");
  Owned made = make_one(type, fields, depth, last, making);
  fields.done();
  return made;
}

}  // namespace

Words::Words(View view, bool at_start, Budget& budget) : view_(view), at_start_(at_start), budget_(budget) {
  if (!view.text.empty()) words.push_back({0, static_cast<uint32_t>(view.text.size())});
}

std::string_view Words::subject() {
  if (!looked_) {
    looked_ = true;
    if (!make_look_alike(view_.text, look_alike_)) look_alike_.clear();
  }
  return look_alike_.empty() ? view_.text : std::string_view(look_alike_);
}

void Words::replace(AlignedText text, std::vector<Span> new_words) {
  own_ = std::move(text);
  view_ = own_.view();
  looked_ = false;
  words = std::move(new_words);
}

PreTokenization make_pre_tokenizer(const Json& json, const std::string& where, bool model_takes_raw_bytes) {
  PreTokenization result;
  if (json.is_null()) return result;
  Making making{model_takes_raw_bytes, false};
  result.pre_tokenizer = make(json, where, 0, true, making);
  result.raw_bytes = making.left;
  return result;
}

}  // namespace merit::text
