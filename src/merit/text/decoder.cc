#include "merit/text/decoder.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "merit/core/strings.h"
#include "merit/text/normalizer.h"
#include "merit/text/tokenizer_buffer.h"
#include "merit/text/tokenizer_fields.h"
#include "merit/text/tokenizer_regex.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

using Owned = std::unique_ptr<const Decoder>;
using Pieces = std::vector<std::string>;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  std::string out;
  size_t done = 0;
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, done)) {
    out.append(text, done, at - done).append(to);
    done = at + from.size();
  }
  if (done == 0) return;
  out.append(text, done);
  text = std::move(out);
}

// English as WordPiece splits it, put together again.
void clean_up(std::string& text) {
  constexpr std::pair<const char*, const char*> kRules[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
}

class Sequence final : public Decoder {
 public:
  explicit Sequence(std::vector<Owned> parts) : parts_(std::move(parts)) {}
  void apply(Pieces& pieces) const override {
    for (const Owned& part : parts_) part->apply(pieces);
  }

 private:
  std::vector<Owned> parts_;
};

class ByteLevel final : public Decoder {
 public:
  void apply(Pieces& pieces) const override {
    std::string bytes, one;
    for (const std::string& piece : pieces) {
      one.clear();
      bool all = true;
      for (size_t i = 0; all && i < piece.size();) {
        const CodePoint c = code_point_at(piece, i);
        const int byte = byte_level_byte(c.value);
        all = byte >= 0;
        one += static_cast<char>(byte);
        i += c.length;
      }
      bytes += all ? one : piece;
    }
    pieces = {is_valid_utf8(bytes) ? std::move(bytes) : repair_utf8(bytes)};
  }
};

class Metaspace final : public Decoder {
 public:
  Metaspace(std::string replacement, bool drop_first) : replacement_(std::move(replacement)), drop_first_(drop_first) {}
  void apply(Pieces& pieces) const override {
    for (size_t i = 0; i < pieces.size(); ++i) replace_all(pieces[i], replacement_, i == 0 && drop_first_ ? "" : " ");
  }

 private:
  std::string replacement_;
  bool drop_first_;
};

class WordPiece final : public Decoder {
 public:
  WordPiece(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void apply(Pieces& pieces) const override {
    for (size_t i = 0; i < pieces.size(); ++i) {
      std::string& piece = pieces[i];
      if (i > 0) {
        const bool inside = piece.compare(0, prefix_.size(), prefix_) == 0;
        piece = inside ? piece.substr(prefix_.size()) : " " + piece;
      }
      if (cleanup_) clean_up(piece);
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class BpeDecoder final : public Decoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(Pieces& pieces) const override {
    for (size_t i = 0; i < pieces.size(); ++i) replace_all(pieces[i], suffix_, i + 1 < pieces.size() ? " " : "");
  }

 private:
  std::string suffix_;
};

class Replace final : public Decoder {
 public:
  Replace(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(Pieces& pieces) const override {
    std::vector<Span> matches;
    for (std::string& piece : pieces) {
      matches.clear();
      pattern_.find_all(piece, 0, piece.size(), matches);
      if (matches.empty()) continue;
      std::string out;
      size_t done = 0;
      for (const Span m : matches) {
        out.append(piece, done, m.begin - done).append(content_);
        done = m.end;
      }
      piece = out.append(piece, done);
    }
  }

 private:
  Regex pattern_;
  std::string content_;
};

class Fuse final : public Decoder {
 public:
  void apply(Pieces& pieces) const override { pieces = {join(pieces, "")}; }
};

class Strip final : public Decoder {
 public:
  Strip(std::string content, int64_t start, int64_t stop) : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(Pieces& pieces) const override {
    for (std::string& piece : pieces) {
      size_t begin = 0, end = piece.size();
      for (int64_t n = 0; n < start_ && piece.compare(begin, content_.size(), content_) == 0; ++n) {
        begin += content_.size();
      }
      for (int64_t n = 0; n < stop_ && end >= begin + content_.size() &&
                          piece.compare(end - content_.size(), content_.size(), content_) == 0;
           ++n) {
        end -= content_.size();
      }
      piece = piece.substr(begin, end - begin);
    }
  }

 private:
  std::string content_;
  int64_t start_, stop_;
};

class ByteFallback final : public Decoder {
 public:
  void apply(Pieces& pieces) const override {
    Pieces out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (is_valid_utf8(bytes)) {
        out.push_back(std::move(bytes));
      } else {
        out.insert(out.end(), bytes.size(), "\xef\xbf\xbd");
      }
      bytes.clear();
    };
    for (std::string& piece : pieces) {
      if (const std::optional<char> byte = byte_of(piece)) {
        bytes += *byte;
      } else {
        flush();
        out.push_back(std::move(piece));
      }
    }
    flush();
    pieces = std::move(out);
  }

 private:
  static std::optional<char> byte_of(const std::string& piece) {
    if (piece.size() != 6 || piece.compare(0, 3, "<0x") != 0 || piece[5] != '>') return std::nullopt;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
    if (error != std::errc() || end != piece.data() + 5) return std::nullopt;
    return static_cast<char>(value);
  }
};

class Ctc final : public Decoder {
 public:
  Ctc(std::string pad, std::string delimiter, bool cleanup)
      : pad_(std::move(pad)), delimiter_(std::move(delimiter)), cleanup_(cleanup) {}
  void apply(Pieces& pieces) const override {
    pieces.erase(std::unique(pieces.begin(), pieces.end()), pieces.end());
    Pieces out;
    for (std::string& piece : pieces) {
      replace_all(piece, pad_, "");
      if (cleanup_) {
        clean_up(piece);
        replace_all(piece, delimiter_, " ");
      }
      if (!piece.empty()) out.push_back(std::move(piece));
    }
    pieces = std::move(out);
  }

 private:
  std::string pad_, delimiter_;
  bool cleanup_;
};

Owned make(const Json& json, const std::string& where, int depth);

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

Owned make_metaspace(Fields& fields) {
  const bool legacy = fields.boolean_or("add_prefix_space", true);
  const std::string replacement = fields.string_or("replacement", "\xe2\x96\x81");
  const std::string scheme = fields.string_or("prepend_scheme", legacy ? "always" : "never");
  fields.ignore("split");
  fields.ignore("str_rep");
  return std::make_unique<Metaspace>(replacement, scheme != "never");
}

Owned make_sequence(Fields& fields, int depth) {
  const Json& list = fields.need("decoders");
  if (!list.is_array()) fail(ErrorKind::kData, "{}: expected an array", fields.at("decoders"));
  std::vector<Owned> parts;
  for (size_t i = 0; i < list.size(); ++i) {
    parts.push_back(make(list[i], fmt::format("{}[{}]", fields.at("decoders"), i), depth + 1));
  }
  return std::make_unique<Sequence>(std::move(parts));
}

Owned make_one(const std::string& type, Fields& fields, int depth) {
  if (type == "Sequence") return make_sequence(fields, depth);
  if (type == "Replace") return make_replace(fields);
  if (type == "Metaspace") return make_metaspace(fields);
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "BPEDecoder") return std::make_unique<BpeDecoder>(fields.string_or("suffix", "</w>"));
  if (type == "ByteLevel") {
    for (const char* key : {"add_prefix_space", "trim_offsets", "use_regex"}) fields.ignore(key);  // encoding only
    return std::make_unique<ByteLevel>();
  }
  if (type == "WordPiece") {
    const std::string prefix = fields.string_or("prefix", "##");
    return std::make_unique<WordPiece>(prefix, fields.boolean_or("cleanup", true));
  }
  if (type == "Strip") {
    const std::string content = fields.string("content");
    if (content.empty()) fail(ErrorKind::kData, "{}: expected one character", fields.at("content"));
    const int64_t start = fields.integer("start");
    return std::make_unique<Strip>(content, start, fields.integer("stop"));
  }
  if (type == "CTC") {
    const std::string pad = fields.string_or("pad_token", "<pad>");
    const std::string delimiter = fields.string_or("word_delimiter_token", "|");
    return std::make_unique<Ctc>(pad, delimiter, fields.boolean_or("cleanup", true));
  }
  fail(ErrorKind::kUnsupported, "{}: decoder {} is not supported", fields.where(), quote(type));
}

Owned make(const Json& json, const std::string& where, int depth) {
  if (depth > 16) fail(ErrorKind::kLimit, "{}: decoders nest deeper than 16", where);
  Fields fields(json, where);
  const std::string type = fields.string("type");
  Owned made = make_one(type, fields, depth);
  fields.done();
  return made;
}

}  // namespace

std::unique_ptr<const Decoder> make_decoder(const Json& json, const std::string& where) {
  return json.is_null() ? nullptr : make(json, where, 0);
}

}  // namespace merit::text
