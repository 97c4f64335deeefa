#include "merit/text/tokenizer.h"

#include <algorithm>

#include "merit/core/error.h"
#include "merit/core/strings.h"
#include "merit/text/tokenizer_impl.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

// Texts are addressed with 32 bits inside.
constexpr size_t kMaxText = size_t{1} << 30;

void check_plain(std::span<const ByteRange> plain, size_t size) {
  size_t last = 0;
  for (const ByteRange& range : plain) {
    if (range.begin < last || range.end < range.begin || range.end > size) {
      fail(ErrorKind::kUsage, "tokenizer: plain range {} to {} is out of order or outside a text of {} bytes",
           range.begin, range.end, size);
    }
    last = range.end;
  }
}

// One call of encode.
class Encode {
 public:
  Encode(const TokenizerImpl& impl, std::span<const ByteRange> plain, size_t size, Tokenized& out, bool ranges)
      : impl_(impl), plain_(plain), budget_(size), out_(out), ranges_(ranges) {
    if (!plain.empty()) forbidden_.controls = &impl.controls;
  }

  void run(View text) {
    std::vector<Cut> cuts;
    impl_.raw_added->cut(text, plain_, budget_, cuts);
    for (const Cut& cut : cuts) {
      cut.id == Cut::kNone ? normalize(text.part(cut.begin, cut.end)) : add(cut.id, text.source(cut.begin, cut.end));
    }
  }

 private:
  void add(TokenId id, Span source) {
    out_.ids.push_back(id);
    if (ranges_) out_.ranges.push_back({source.begin, source.end});
  }

  void normalize(View text) {
    AlignedText changed;
    if (impl_.normalizer && impl_.normalizer->apply(text, changed, budget_)) text = changed.view();
    if (impl_.normalized_added->empty()) return split(text);
    std::vector<Cut> cuts;
    impl_.normalized_added->cut(text, plain_, budget_, cuts);
    for (const Cut& cut : cuts) {
      cut.id == Cut::kNone ? split(text.part(cut.begin, cut.end)) : add(cut.id, text.source(cut.begin, cut.end));
    }
  }

  void split(View text) {
    if (text.text.empty()) return;
    Words words(text, text.source(0, 0).begin == 0, budget_);
    if (impl_.pre_tokenization.pre_tokenizer) impl_.pre_tokenization.pre_tokenizer->apply(words);
    const std::string_view bytes = words.text();
    std::vector<uint32_t> lengths;
    for (const Span word : words.words) {
      lengths.clear();
      impl_.model->tokenize(bytes.substr(word.begin, word.end - word.begin), forbidden_, out_.ids,
                            ranges_ ? &lengths : nullptr);
      size_t at = word.begin;
      for (const uint32_t length : lengths) {
        const Span source = words.view().source(at, at + length);
        out_.ranges.push_back({source.begin, source.end});
        at += length;
      }
    }
  }

  const TokenizerImpl& impl_;
  std::span<const ByteRange> plain_;
  Budget budget_;
  Tokenized& out_;
  bool ranges_;
  Forbidden forbidden_;
};

Tokenized encode_any(const TokenizerImpl& impl, std::string_view text, const EncodeOptions& options, bool ranges) {
  if (text.size() > kMaxText) {
    fail(ErrorKind::kLimit, "tokenizer: a text of {} bytes is over the limit of {}", text.size(), kMaxText);
  }
  check_plain(options.plain, text.size());
  Tokenized out;
  out.ids.reserve(text.size() / 4 + 8);
  const auto add_special = [&](const std::vector<TokenId>& ids, size_t at) {
    if (!options.add_special_tokens) return;
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    if (ranges) out.ranges.insert(out.ranges.end(), ids.size(), {at, at});
  };
  add_special(impl.post.before, 0);
  Encode encode(impl, options.plain, text.size(), out, ranges);
  if (is_valid_utf8(text)) {
    encode.run({text, nullptr, 0});
  } else {
    std::vector<uint32_t> at;
    const std::string repaired = repair_utf8(text, &at);
    std::vector<Span> sources(repaired.size());
    // A byte of a whole character is itself; the three of U+FFFD are all the bytes it stands for.
    for (size_t i = 0; i < repaired.size(); ++i) {
      size_t next = i + 1;
      while (next < repaired.size() && at[next] == at[i]) ++next;
      sources[i] = {at[i], at[next]};
    }
    encode.run({repaired, sources.data(), 0});
  }
  add_special(impl.post.after, text.size());
  return out;
}

}  // namespace

TokenizerImpl::TokenizerImpl(std::unique_ptr<TokenModel> the_model, std::vector<AddedToken> the_added,
                             PipelineJson pipeline, std::string the_where)
    : where(std::move(the_where)), json(std::move(pipeline)), model(std::move(the_model)), added(std::move(the_added)) {
  normalizer = make_normalizer(json.normalizer, where + ": normalizer");
  pre_tokenization = make_pre_tokenizer(json.pre_tokenizer, where + ": pre_tokenizer", model->can_take_raw_bytes());
  if (pre_tokenization.raw_bytes) model->take_raw_bytes();
  post = make_post_processor(json.post_processor, where + ": post_processor");
  decoder = make_decoder(json.decoder, where + ": decoder");
  raw_added = std::make_unique<AddedTokens>(added, false, normalizer.get(), where);
  normalized_added = std::make_unique<AddedTokens>(added, true, normalizer.get(), where);
  const Vocabulary& vocabulary = model->vocabulary();
  for (size_t i = 0; i < added.size(); ++i) {
    const AddedToken& token = added[i];
    if (token.id < 0 || token.id > Vocabulary::kMaxId) {
      fail(ErrorKind::kData, "{}: added token {} has id {}", where, quote(token.content), token.id);
    }
    const TokenId in_model = vocabulary.find(token.content);
    if (in_model >= 0 ? in_model != token.id : vocabulary.has(token.id)) {
      fail(ErrorKind::kData, "{}: added token {} has id {}, but the vocabulary gives {}", where, quote(token.content),
           token.id, in_model >= 0 ? fmt::format("it {}", in_model) : "this id to another token");
    }
    AlignedText changed;
    Budget budget(token.content.size());
    const bool normal = token.normalized && normalizer && normalizer->apply({token.content}, changed, budget);
    added_text.push_back(normal ? changed.text : token.content);
    if (!added_by_id.emplace(token.id, i).second || !added_ids.emplace(token.content, token.id).second) {
      fail(ErrorKind::kData, "{}: added token {} or its id {} stands twice", where, quote(token.content), token.id);
    }
  }
  if (!added_by_id.empty()) controls.resize(static_cast<size_t>(added_by_id.rbegin()->first) + 1);
  for (const AddedToken& token : added) {
    const bool allowed = model->unk() == token.id || (!token.special && is_white_space(token.content));
    controls[static_cast<size_t>(token.id)] = !allowed;
  }
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  return encode_any(*impl_, text, options, false).ids;
}

Tokenized Tokenizer::encode_with_offsets(std::string_view text, const EncodeOptions& options) const {
  return encode_any(*impl_, text, options, true);
}

std::vector<TokenId> Tokenizer::with_special(std::span<const TokenId> ids) const {
  std::vector<TokenId> out = impl_->post.before;
  out.insert(out.end(), ids.begin(), ids.end());
  out.insert(out.end(), impl_->post.after.begin(), impl_->post.after.end());
  return out;
}

TokenizedPair Tokenizer::with_special(std::span<const TokenId> first, std::span<const TokenId> second) const {
  if (!impl_->post.pair) {
    fail(ErrorKind::kUnsupported, "{}: its post-processor has no template for a pair of texts", impl_->where);
  }
  const PairProcessor& pair = *impl_->post.pair;
  TokenizedPair out;
  const auto add = [&](std::span<const TokenId> ids) { out.ids.insert(out.ids.end(), ids.begin(), ids.end()); };
  add(pair.before);
  add(first);
  if (pair.second_type) out.second_type_begin = out.ids.size() + *pair.second_type;
  add(pair.between);
  out.second_begin = out.ids.size();
  add(second);
  add(pair.after);
  return out;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  std::vector<std::string> pieces;
  pieces.reserve(ids.size());
  for (const TokenId id : ids) {
    if (skip_special_tokens && is_special(id)) continue;
    if (const auto it = impl_->added_by_id.find(id); it != impl_->added_by_id.end()) {
      pieces.push_back(impl_->added_text[it->second]);
    } else if (impl_->model->vocabulary().has(id)) {
      pieces.push_back(impl_->model->vocabulary().token(id));
    }
  }
  if (impl_->decoder) {
    impl_->decoder->apply(pieces);
    return join(pieces, "");
  }
  return join(pieces, " ");
}

std::optional<TokenId> Tokenizer::token_to_id(std::string_view token) const {
  if (const auto it = impl_->added_ids.find(token); it != impl_->added_ids.end()) return it->second;
  const TokenId id = impl_->model->vocabulary().find(token);
  return id < 0 ? std::nullopt : std::optional(id);
}

std::optional<std::string> Tokenizer::id_to_token(TokenId id) const {
  const Vocabulary& vocabulary = impl_->model->vocabulary();
  if (const auto it = impl_->added_by_id.find(id); it != impl_->added_by_id.end()) {
    return impl_->added[it->second].content;
  }
  return vocabulary.has(id) ? std::optional(vocabulary.token(id)) : std::nullopt;
}

size_t Tokenizer::vocab_size() const {
  const size_t added = impl_->added_by_id.empty() ? 0 : static_cast<size_t>(impl_->added_by_id.rbegin()->first) + 1;
  return std::max(impl_->model->vocabulary().ids(), added);
}

const SpecialIds& Tokenizer::special_ids() const { return impl_->special; }

bool Tokenizer::adds_bos() const {
  const auto& before = impl_->post.before;
  return bos_id() && std::find(before.begin(), before.end(), *bos_id()) != before.end();
}

bool Tokenizer::adds_eos() const {
  const auto& after = impl_->post.after;
  return eos_id() && std::find(after.begin(), after.end(), *eos_id()) != after.end();
}

const std::vector<AddedToken>& Tokenizer::added_tokens() const { return impl_->added; }

bool Tokenizer::is_special(TokenId id) const {
  const auto it = impl_->added_by_id.find(id);
  return it != impl_->added_by_id.end() && impl_->added[it->second].special;
}

StreamDecoder::StreamDecoder(Tokenizer tokenizer, bool skip_special_tokens)
    : tokenizer_(std::move(tokenizer)), skip_special_tokens_(skip_special_tokens) {}

std::string StreamDecoder::push(TokenId id) {
  const std::optional<std::string> token = tokenizer_.id_to_token(id);
  if (!token || (skip_special_tokens_ && tokenizer_.is_special(id))) return "";
  ids_.push_back(id);
  // A run of byte tokens <0xXX> is text only as a whole.
  if (token->size() == 6 && token->compare(0, 3, "<0x") == 0) return "";
  const std::string text = tokenizer_.decode(ids_, skip_special_tokens_);
  // A character that later ids may complete shows as U+FFFD at the end, one for all its bytes.
  constexpr std::string_view kBroken = "\xef\xbf\xbd";
  const bool open = text.size() >= 3 && text.compare(text.size() - 3, 3, kBroken) == 0;
  const size_t certain = open ? text.size() - 3 : text.size();
  std::string out = certain > given_ ? text.substr(given_, certain - given_) : "";
  given_ = std::max(given_, certain);
  // Later text depends on the last id that gave text (spaces between word pieces) and on an open character's ids.
  const size_t keep = open ? 4 : 1;
  if (ids_.size() >= 2 * keep) {
    const std::vector<TokenId> last(ids_.end() - static_cast<std::ptrdiff_t>(keep), ids_.end());
    const std::string tail = tokenizer_.decode(last, skip_special_tokens_);
    const size_t waiting = text.size() - given_;
    if (!tail.empty() && tail.size() >= waiting) {
      ids_ = last;
      given_ = tail.size() - waiting;
    }
  }
  return out;
}

std::string StreamDecoder::finish() {
  const std::string text = tokenizer_.decode(ids_, skip_special_tokens_);
  std::string out = text.size() > given_ ? text.substr(given_) : "";
  ids_.clear();
  given_ = 0;
  return out;
}

}  // namespace merit::text
