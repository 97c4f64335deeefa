#include "merit/reward/pair_text.h"

#include <algorithm>
#include <vector>

#include "merit/core/error.h"

namespace merit::reward {
namespace {

std::vector<text::TokenId> tokens_of(const text::Encoder& encoder, const Content& content, const char* what) {
  if (const auto* messages = std::get_if<OrderedJson>(&content); messages != nullptr && messages->size() > 1) {
    fail(ErrorKind::kData, "an encoder without a chat template reads one {} text, got {} messages", what,
         messages->size());
  }
  const std::string text = text_of(content);
  const text::ByteRange whole = {0, text.size()};
  text::EncodeOptions options = {.add_special_tokens = false};
  if (encoder.record().safe_content) options.plain = {&whole, 1};
  return encoder.tokenizer().encode(text, options);
}

void cut(std::vector<text::TokenId>& ids, size_t keep, text::TruncationSide side) {
  if (ids.size() <= keep) return;
  if (side == text::TruncationSide::kLeft) {
    ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(keep));
  } else {
    ids.resize(keep);
  }
}

text::Encoded encode(const text::Encoder& encoder, const Content& prompt, const Content& response, int64_t max_length) {
  const text::Tokenizer& tokenizer = encoder.tokenizer();
  const bool pair = !is_empty(prompt);
  std::vector<text::TokenId> first;
  if (pair) first = tokens_of(encoder, prompt, "prompt");
  std::vector<text::TokenId> second = tokens_of(encoder, response, "response");
  const size_t special = pair ? tokenizer.with_special({}, {}).ids.size() : tokenizer.with_special({}).size();
  const size_t room = static_cast<size_t>(max_length) - std::min(special, static_cast<size_t>(max_length));
  text::Encoded out;
  out.truncated = first.size() + second.size() > room;
  if (room == 0) fail(ErrorKind::kData, "max_length {} has no room beside {} special tokens", max_length, special);
  cut(second, room, text::TruncationSide::kRight);
  cut(first, room - second.size(), encoder.record().truncation_side);
  size_t begin = 0;
  if (pair) {
    text::TokenizedPair both = tokenizer.with_special(first, second);
    if (both.second_type_begin && *both.second_type_begin != both.second_begin) {
      fail(ErrorKind::kUnsupported, "the tokenizer's pairs change their token type {} tokens before the second text",
           both.second_begin - *both.second_type_begin);
    }
    out.ids = std::move(both.ids);
    begin = both.second_begin;
    out.boundary = static_cast<int>(begin);
  } else {
    out.ids = tokenizer.with_special(second);
  }
  out.mask.assign(out.ids.size(), false);
  const size_t from = pair ? begin : 0;
  for (size_t i = from; i < std::min(from + second.size(), out.mask.size()); ++i) out.mask[i] = true;
  return out;
}

}  // namespace

Result<text::Encoded> encode_pair(const text::Encoder& encoder, const Content& prompt, const Content& response,
                                  int64_t max_length) {
  try {
    return encode(encoder, prompt, response, max_length);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInterrupted) throw;
    return error;
  }
}

}  // namespace merit::reward
