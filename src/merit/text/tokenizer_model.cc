#include "merit/text/tokenizer_model.h"

#include <algorithm>

#include "merit/core/error.h"
#include "merit/core/hash.h"

namespace merit::text {

Vocabulary::Vocabulary(std::vector<std::string> tokens, const std::vector<TokenId>& ids, const std::string& where) {
  MERIT_CHECK(tokens.size() == ids.size());
  TokenId largest = -1;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] > kMaxId) {
      fail(ErrorKind::kData, "{}: token {} has id {}; expected 0 to {}", where, quote(tokens[i]), ids[i], kMaxId);
    }
    largest = std::max(largest, ids[i]);
  }
  tokens_.resize(static_cast<size_t>(largest + 1));
  known_.resize(tokens_.size());
  count_ = tokens.size();
  // A seed that depends on all tokens, so that a file cannot aim at one bucket.
  for (const std::string& token : tokens) seed_ = hash64(token, seed_);
  size_t places = 16;
  while (places < 2 * count_) places *= 2;
  table_.assign(places, {});
  mask_ = places - 1;
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto id = static_cast<size_t>(ids[i]);
    if (known_[id]) {
      fail(ErrorKind::kData, "{}: tokens {} and {} have the same id {}", where, quote(tokens_[id]), quote(tokens[i]),
           id);
    }
    known_[id] = true;
    tokens_[id] = std::move(tokens[i]);
    const uint64_t hash = hash64(tokens_[id], seed_);
    const auto tag = static_cast<uint32_t>(hash >> 32);
    size_t place = hash & mask_;
    for (; table_[place].id != kNone; place = (place + 1) & mask_) {
      if (table_[place].tag == tag && token(table_[place].id) == tokens_[id]) {
        fail(ErrorKind::kData, "{}: token {} stands twice, as {} and {}", where, quote(tokens_[id]), table_[place].id,
             id);
      }
    }
    table_[place] = {ids[i], tag};
  }
}

TokenId Vocabulary::find(std::string_view token) const {
  const uint64_t hash = hash64(token, seed_);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t place = hash & mask_; table_[place].id != kNone; place = (place + 1) & mask_) {
    const TokenId id = table_[place].id;
    if (table_[place].tag == tag && tokens_[static_cast<size_t>(id)] == token) return id;
  }
  return kNone;
}

OrderedJson vocabulary_json(const Vocabulary& vocabulary) {
  OrderedJson json = OrderedJson::object();
  auto& members = json.get_ref<OrderedJson::object_t&>();
  members.reserve(vocabulary.size());
  for (size_t id = 0; id < vocabulary.ids(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (vocabulary.has(token)) members.push_back({vocabulary.token(token), token});
  }
  return json;
}

}  // namespace merit::text
