// Pre-tokenizers of tokenizer.json: how a normalized text is cut into the words that the model sees. Types: ByteLevel,
// Split, Digits, Punctuation, Whitespace, WhitespaceSplit, Metaspace, BertPreTokenizer, CharDelimiterSplit,
// FixedLength, UnicodeScripts, Sequence. Immutable and thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "merit/core/json.h"
#include "merit/text/tokenizer_buffer.h"

namespace merit::text {

// A text being cut: the words, in order, and what they are words of.
class Words {
 public:
  Words(View view, bool at_start, Budget& budget);

  std::string_view text() const { return view_.text; }
  // What patterns are matched against: the text, or a look-alike of equal length (unicode.h).
  std::string_view subject();
  const View& view() const { return view_; }
  bool at_start() const { return at_start_; }  // the text begins where the original begins
  Budget& budget() { return budget_; }

  std::vector<Span> words;  // never empty ones

  // The words and the text under them from now on.
  void replace(AlignedText text, std::vector<Span> new_words);
  // Replaces the words by what cut(word, out) appends for each.
  template <typename Cut>
  void cut(Cut&& cut) {
    next_.clear();
    for (const Span word : words) cut(word, next_);
    words.swap(next_);
  }

 private:
  View view_;
  bool at_start_;
  Budget& budget_;
  AlignedText own_;
  std::string look_alike_;
  bool looked_ = false;
  std::vector<Span> next_;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Words& words) const = 0;
};

struct PreTokenization {
  std::unique_ptr<const PreTokenizer> pre_tokenizer;  // nullptr: the text is one word
  // The words' bytes are still to be read in the byte-level alphabet: the model does that faster than a rewrite.
  bool raw_bytes = false;
};

// From the "pre_tokenizer" member, null included. If the model takes raw bytes and the last step is the byte-level
// alphabet, that step is left to it. Error(kUnsupported) for an unknown type or member.
PreTokenization make_pre_tokenizer(const Json& json, const std::string& where, bool model_takes_raw_bytes);

}  // namespace merit::text
