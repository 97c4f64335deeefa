#include "merit/text/bpe.h"

#include <algorithm>
#include <queue>

#include "merit/core/error.h"
#include "merit/core/hash.h"
#include "merit/text/normalizer.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

uint64_t mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  return x ^ x >> 32;
}

constexpr uint64_t kFree = ~uint64_t{0};

// The bytes that a byte-level token stands for; false if a character of it is outside the alphabet.
bool raw_bytes_of(std::string_view token, std::string& out) {
  out.clear();
  if (!is_valid_utf8(token)) return false;
  for (size_t i = 0; i < token.size();) {
    const CodePoint c = code_point_at(token, i);
    const int byte = byte_level_byte(c.value);
    if (byte < 0) return false;
    out += static_cast<char>(byte);
    i += c.length;
  }
  return true;
}

}  // namespace

// The word so far: symbol ids and the bytes each covers.
struct Bpe::Symbols {
  std::vector<TokenId> ids;
  std::vector<uint32_t> lengths;

  uint32_t dropped = 0;  // bytes without a token before the first symbol

  void clear() { ids.clear(), lengths.clear(), dropped = 0; }
  void add(TokenId id, size_t length) {
    ids.push_back(id);
    lengths.push_back(static_cast<uint32_t>(length) + dropped);
    dropped = 0;
  }
  // Bytes that have no token count to the symbol before them, at the start of a word to the one behind.
  void drop(size_t length) { (lengths.empty() ? dropped : lengths.back()) += static_cast<uint32_t>(length); }
};

Bpe::Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options, const std::string& where)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)), whole_(vocabulary_.ids()) {
  if (!options_.unk_token.empty()) {
    unk_ = vocabulary_.find(options_.unk_token);
    if (unk_ < 0) fail(ErrorKind::kData, "{}: unk_token {} is not in the vocabulary", where, quote(options_.unk_token));
  }
  size_t places = 16;
  while (places < 2 * merges.size()) places *= 2;
  table_.assign(places, {kFree, {kNoRank, Vocabulary::kNone}});
  // A seed that depends on everything, so that a file cannot aim at one bucket.
  for (const Merge& merge : merges) seed_ = hash64(merge.left, hash64(merge.right, seed_));
  const auto id_of = [&](const std::string& token, size_t rank) {
    const TokenId id = vocabulary_.find(token);
    if (id < 0) fail(ErrorKind::kData, "{}.merges[{}]: {} is not in the vocabulary", where, rank, quote(token));
    return id;
  };
  merges_.reserve(merges.size());
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const size_t prefix = std::min(options_.continuing_subword_prefix.size(), right.size());
    joined.assign(left).append(right, prefix);
    const TokenId a = id_of(left, rank), b = id_of(right, rank), result = id_of(joined, rank);
    merges_.emplace_back(a, b);
    const uint64_t pair = pair_key(a, b);
    size_t place = mix(pair ^ seed_) & (places - 1);
    while (table_[place].pair != kFree && table_[place].pair != pair) place = (place + 1) & (places - 1);
    // Of merges that stand twice the last counts, as in the reference.
    table_[place] = {pair, {static_cast<uint32_t>(rank), result}};
  }
}

std::optional<TokenId> Bpe::unk() const { return unk_ < 0 ? std::nullopt : std::optional(unk_); }

bool Bpe::can_take_raw_bytes() const {
  return !options_.byte_fallback && unk_ < 0 && options_.continuing_subword_prefix.empty() &&
         options_.end_of_word_suffix.empty();
}

void Bpe::take_raw_bytes() {
  byte_ids_.resize(256);
  for (int b = 0; b < 256; ++b) {
    byte_ids_[static_cast<size_t>(b)] = vocabulary_.find(byte_level_char(static_cast<unsigned char>(b)));
  }
  std::vector<std::string> tokens;
  std::vector<TokenId> ids;
  std::string raw;
  for (size_t id = 0; id < vocabulary_.ids(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (!vocabulary_.has(token) || !raw_bytes_of(vocabulary_.token(token), raw)) continue;
    tokens.push_back(raw);
    ids.push_back(token);
  }
  raw_vocabulary_ = std::make_unique<Vocabulary>(std::move(tokens), ids, "byte-level vocabulary");
  raw_bytes_ = true;
}

Bpe::Joined Bpe::find_merge(TokenId left, TokenId right) const {
  const uint64_t pair = pair_key(left, right);
  const size_t mask = table_.size() - 1;
  for (size_t place = mix(pair ^ seed_) & mask; table_[place].pair != kFree; place = (place + 1) & mask) {
    if (table_[place].pair == pair) return table_[place].joined;
  }
  return {kNoRank, Vocabulary::kNone};
}

TokenId Bpe::find_word(std::string_view word) const { return (raw_bytes_ ? *raw_vocabulary_ : vocabulary_).find(word); }

void Bpe::split_bytes(std::string_view word, Symbols& symbols) const {
  for (const char c : word) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(c)];
    id >= 0 ? symbols.add(id, 1) : symbols.drop(1);
  }
}

void Bpe::split(std::string_view word, Symbols& symbols) const {
  if (raw_bytes_) return split_bytes(word, symbols);
  std::string spelled;
  size_t unknown = 0;  // bytes of the unknown token that waits for more
  for (size_t i = 0; i < word.size();) {
    const size_t length = code_point_at(word, i).length;
    spelled.clear();
    if (i > 0) spelled += options_.continuing_subword_prefix;
    spelled += word.substr(i, length);
    if (i + length == word.size()) spelled += options_.end_of_word_suffix;
    i += length;
    if (const TokenId id = vocabulary_.find(spelled); id >= 0) {
      if (unknown > 0) symbols.add(unk_, unknown);
      unknown = 0;
      symbols.add(id, length);
      continue;
    }
    if (options_.byte_fallback) {
      const size_t before = symbols.ids.size();
      bool all = true;
      for (const char c : spelled) {
        const TokenId id = vocabulary_.find(fmt::format("<0x{:02X}>", static_cast<unsigned char>(c)));
        all = all && id >= 0;
        symbols.add(id, 1);
      }
      if (all) continue;
      symbols.ids.resize(before);
      symbols.lengths.resize(before);
    }
    if (unk_ < 0) {
      symbols.drop(length);
      continue;
    }
    if (unknown > 0 && !options_.fuse_unk) {
      symbols.add(unk_, unknown);
      unknown = 0;
    }
    unknown += length;
  }
  if (unknown > 0) symbols.add(unk_, unknown);
}

// Looks at all pairs for each merge: the fastest way for a few symbols.
void Bpe::merge_short(Symbols& symbols, Forbidden forbidden) const {
  constexpr size_t kMax = 64;
  MERIT_CHECK(symbols.ids.size() <= kMax);
  size_t n = symbols.ids.size();
  TokenId* ids = symbols.ids.data();
  uint32_t* lengths = symbols.lengths.data();
  Joined pairs[kMax];
  const auto look = [&](size_t i) {
    Joined joined = find_merge(ids[i], ids[i + 1]);
    if (joined.rank != kNoRank && forbidden(joined.id)) joined.rank = kNoRank;
    pairs[i] = joined;
  };
  for (size_t i = 0; i + 1 < n; ++i) look(i);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNoRank) break;
    ids[best] = pairs[best].id;
    lengths[best] += lengths[best + 1];
    std::copy(ids + best + 2, ids + n, ids + best + 1);
    std::copy(lengths + best + 2, lengths + n, lengths + best + 1);
    if (best + 2 < n) std::copy(pairs + best + 2, pairs + n - 1, pairs + best + 1);
    --n;
    if (best + 1 < n) look(best);
    if (best > 0) look(best - 1);
  }
  symbols.ids.resize(n);
  symbols.lengths.resize(n);
}

// The same with a heap over a linked list: n log n.
void Bpe::merge_long(Symbols& symbols, Forbidden forbidden) const {
  const size_t n = symbols.ids.size();
  constexpr uint32_t kEnd = 0xffffffff;
  std::vector<uint32_t> next(n), previous(n);
  for (size_t i = 0; i < n; ++i) {
    next[i] = i + 1 < n ? static_cast<uint32_t>(i + 1) : kEnd;
    previous[i] = i > 0 ? static_cast<uint32_t>(i - 1) : kEnd;
  }
  struct Candidate {
    uint32_t rank, at;
    TokenId left, right, id;
    bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap;
  auto& ids = symbols.ids;
  const auto look = [&](uint32_t i) {
    if (next[i] == kEnd) return;
    const TokenId left = ids[i], right = ids[next[i]];
    const Joined joined = find_merge(left, right);
    if (joined.rank != kNoRank && !forbidden(joined.id)) heap.push({joined.rank, i, left, right, joined.id});
  };
  for (uint32_t i = 0; i < n; ++i) look(i);
  while (!heap.empty()) {
    const Candidate c = heap.top();
    heap.pop();
    // A candidate is stale if either symbol has changed; joined-away symbols have the id kNone.
    if (ids[c.at] != c.left || next[c.at] == kEnd || ids[next[c.at]] != c.right) continue;
    const uint32_t gone = next[c.at];
    ids[c.at] = c.id;
    symbols.lengths[c.at] += symbols.lengths[gone];
    ids[gone] = Vocabulary::kNone;
    next[c.at] = next[gone];
    if (next[gone] != kEnd) previous[next[gone]] = c.at;
    look(c.at);
    if (previous[c.at] != kEnd) look(previous[c.at]);
  }
  size_t kept = 0;
  for (size_t i = 0; i < n; ++i) {
    if (ids[i] == Vocabulary::kNone) continue;
    ids[kept] = ids[i];
    symbols.lengths[kept++] = symbols.lengths[i];
  }
  ids.resize(kept);
  symbols.lengths.resize(kept);
}

bool Bpe::is_whole(TokenId id, std::string_view word) const {
  if (options_.ignore_merges) return true;
  std::atomic<uint8_t>& state = whole_[static_cast<size_t>(id)];
  uint8_t known = state.load(std::memory_order_relaxed);
  if (known == 0) {
    Symbols symbols;
    split(word, symbols);
    symbols.ids.size() <= 64 ? merge_short(symbols, {}) : merge_long(symbols, {});
    known = symbols.ids.size() == 1 && symbols.ids[0] == id && symbols.lengths[0] == word.size() ? 1 : 2;
    state.store(known, std::memory_order_relaxed);
  }
  return known == 1;
}

void Bpe::tokenize(std::string_view word, Forbidden forbidden, std::vector<TokenId>& ids,
                   std::vector<uint32_t>* lengths) const {
  const TokenId whole = find_word(word);
  if (whole >= 0 && !forbidden(whole) && is_whole(whole, word)) {
    ids.push_back(whole);
    if (lengths) lengths->push_back(static_cast<uint32_t>(word.size()));
    return;
  }
  thread_local Symbols symbols;
  symbols.clear();
  split(word, symbols);
  symbols.ids.size() <= 64 ? merge_short(symbols, forbidden) : merge_long(symbols, forbidden);
  ids.insert(ids.end(), symbols.ids.begin(), symbols.ids.end());
  if (lengths) lengths->insert(lengths->end(), symbols.lengths.begin(), symbols.lengths.end());
}

OrderedJson Bpe::to_json() const {
  const auto or_null = [](const std::string& text) { return text.empty() ? OrderedJson(nullptr) : OrderedJson(text); };
  OrderedJson json;
  json["type"] = "BPE";
  json["dropout"] = nullptr;
  json["unk_token"] = or_null(options_.unk_token);
  json["continuing_subword_prefix"] = or_null(options_.continuing_subword_prefix);
  json["end_of_word_suffix"] = or_null(options_.end_of_word_suffix);
  json["fuse_unk"] = options_.fuse_unk;
  json["byte_fallback"] = options_.byte_fallback;
  json["ignore_merges"] = options_.ignore_merges;
  json["vocab"] = vocabulary_json(vocabulary_);
  OrderedJson merges = OrderedJson::array();
  for (const auto& [left, right] : merges_) {
    merges.push_back(OrderedJson::array({vocabulary_.token(left), vocabulary_.token(right)}));
  }
  json["merges"] = std::move(merges);
  return json;
}

}  // namespace merit::text
