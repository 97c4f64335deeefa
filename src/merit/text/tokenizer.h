// Text to token ids and back, id for id what Hugging Face `tokenizers` gives for the same files. The pipeline is
// that library's: added tokens are cut out, the rest is normalized, pre-tokenized and given to the model (BPE,
// WordPiece, WordLevel or Unigram), and the post-processor sets special tokens around. docs/tokenizers.md lists what
// is read; any part of a file that would change ids and that merit does not do is an Error(kUnsupported) by name.
//
// A Tokenizer is an immutable value, cheap to copy; every const member may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "merit/core/json.h"

namespace merit::formats {
class GgufFile;
}

namespace merit::text {

using TokenId = int32_t;

// Bytes begin .. end-1 of a text.
struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

struct EncodeOptions {
  // The post-processor's special tokens (BOS, EOS, CLS ...) are set around the text.
  bool add_special_tokens = true;
  // The safe mode: ranges of the text, in order and apart, in which nothing becomes a control token. An added token
  // that overlaps one, even in part, is not recognised there: its text is ordinary text. The exception is an added
  // token of white space alone that is not flagged special: several families spell indentation with such tokens.
  // Added tokens outside the ranges are recognised as ever. Text without control strings gets the same ids with and
  // without ranges.
  std::span<const ByteRange> plain = {};
};

struct Tokenized {
  std::vector<TokenId> ids;
  // ranges[i]: the bytes of the text (as given to encode) that ids[i] covers. Special tokens of the post-processor
  // cover nothing: {0, 0} before the text, {size, size} after it. Parts of one character that byte-level tokens
  // share are exact bytes, not whole characters.
  std::vector<ByteRange> ranges;
};

// Two texts as one sequence, as a cross-encoder reads them.
struct TokenizedPair {
  std::vector<TokenId> ids;
  size_t second_begin = 0;                  // the second text's first token
  std::optional<size_t> second_type_begin;  // the first token of type 1; none: the model has one type
};

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;
  bool single_word = false;  // only where no word character stands beside it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
  bool normalized = false;   // sought in the normalized text instead of the raw one
};

// Ids by role, from tokenizer_config.json and special_tokens_map.json or from GGUF metadata. Nothing is invented: a
// model without BOS (null or absent) has none.
struct SpecialIds {
  std::optional<TokenId> bos, eos, pad, unk;
};

struct TokenizerImpl;

class Tokenizer {
 public:
  // Bytes that are no UTF-8 are read as Python's bytes.decode(errors="replace") reads them (ranges still name bytes
  // of the text given). Error(kLimit) if the text's normalized form or the work on it passes a bound that no sound
  // file reaches (64 times the text and 1 MB); Error(kUsage) if plain ranges are out of order or outside.
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const;
  Tokenized encode_with_offsets(std::string_view text, const EncodeOptions& options = {}) const;

  // The post-processor's special tokens around ids that encode gave without them: around one text, or around and
  // between two. Error(kUnsupported) for two if the tokenizer has no template of a pair.
  std::vector<TokenId> with_special(std::span<const TokenId> ids) const;
  TokenizedPair with_special(std::span<const TokenId> first, std::span<const TokenId> second) const;

  // Always UTF-8 (incomplete sequences become U+FFFD). Ids without a token, as a padded embedding table has, give
  // nothing, as in the reference. skip_special_tokens leaves out the added tokens flagged special.
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens = false) const;

  // The id or token as the files spell it (byte-level vocabularies spell a space "Ġ").
  std::optional<TokenId> token_to_id(std::string_view token) const;
  std::optional<std::string> id_to_token(TokenId id) const;
  // One more than the largest id, added tokens included.
  size_t vocab_size() const;

  const SpecialIds& special_ids() const;
  std::optional<TokenId> bos_id() const { return special_ids().bos; }
  std::optional<TokenId> eos_id() const { return special_ids().eos; }
  std::optional<TokenId> pad_id() const { return special_ids().pad; }
  std::optional<TokenId> unk_id() const { return special_ids().unk; }
  // Whether encode with add_special_tokens sets BOS (EOS) around the text.
  bool adds_bos() const;
  bool adds_eos() const;
  const std::vector<AddedToken>& added_tokens() const;
  bool is_special(TokenId id) const;

  // A tokenizer.json that `tokenizers` loads with the same ids, and a tokenizer_config.json beside it (roles and
  // class name; the chat template is the caller's).
  OrderedJson to_tokenizer_json() const;
  OrderedJson tokenizer_config_json() const;

  explicit Tokenizer(std::shared_ptr<const TokenizerImpl> impl) : impl_(std::move(impl)) {}
  const TokenizerImpl& impl() const { return *impl_; }

 private:
  std::shared_ptr<const TokenizerImpl> impl_;
};

// Text of a growing sequence of ids, in whole UTF-8 characters: for streams and stop strings. The pieces in order are
// decode of all ids, except that an incomplete character at the end waits for finish(). One thread at a time.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, bool skip_special_tokens = false);
  // The text that is certain after this id and was not given before; may be empty.
  std::string push(TokenId id);
  // What still waits, incomplete sequences as U+FFFD; the decoder then starts anew.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_tokens_;
  std::vector<TokenId> ids_;  // the window that the next text may still depend on
  size_t given_ = 0;          // bytes of its text already given
};

// A Hugging Face folder (tokenizer.json, and tokenizer_config.json, special_tokens_map.json, added_tokens.json where
// present) or a GGUF file whose tokenizer is byte-level BPE with a known pre-tokenizer.
Tokenizer load_tokenizer(const std::filesystem::path& path);
// The same from a GGUF file already open.
Tokenizer load_tokenizer(const formats::GgufFile& file, const std::string& where);
// From the text of a tokenizer.json, with the roles a tokenizer_config.json (may be null) gives.
Tokenizer parse_tokenizer_json(std::string_view text, const Json& config, const std::string& where);

}  // namespace merit::text
