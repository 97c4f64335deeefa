#include "merit/text/tokenizer_unigram.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "merit/core/error.h"
#include "merit/core/hash.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

constexpr double kUnkPenalty = 10.0;
constexpr uint64_t kFree = ~uint64_t{0};
constexpr size_t kLongestToken = 1024;  // bytes: bounds the work at each place of a text

uint64_t edge_key(uint32_t node, unsigned char byte) { return uint64_t{node} << 8 | byte; }

size_t edge_place(uint64_t key, size_t places) {
  return static_cast<size_t>((key * 0x9e3779b97f4a7c15u) >> 20) & (places - 1);
}

std::vector<TokenId> all_ids(size_t n) {
  std::vector<TokenId> ids(n);
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

// The score whose text the reference reads as this one, where there is one.
double score_to_write(double score) {
  double below = score, above = score;
  for (int i = 0; i < 4; ++i) {
    if (score_as_read(below) == score) return below;
    if (score_as_read(above) == score) return above;
    below = std::nextafter(below, -INFINITY);
    above = std::nextafter(above, INFINITY);
  }
  return score;
}

}  // namespace

double score_as_read(double nearest) {
  char text[32];
  char* end = std::to_chars(text, text + sizeof text, std::fabs(nearest), std::chars_format::scientific).ptr;
  char* const e = std::find(text, end, 'e');
  if (e == end) return nearest;  // not finite
  const size_t decimals = e - text > 2 ? static_cast<size_t>(e - text - 2) : 0;
  int exponent = 0;
  std::from_chars(e + (e[1] == '+' ? 2 : 1), end, exponent);
  exponent -= static_cast<int>(decimals);
  std::string digits(text, 1);
  digits.append(text + 2, decimals);
  uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (exponent >= 0) return nearest;  // a whole number
  auto value = static_cast<double>(number);
  for (; exponent < -308; exponent += 308) value /= 1e308;
  value /= std::strtod(("1e" + std::to_string(-exponent)).c_str(), nullptr);
  return std::signbit(nearest) ? -value : value;
}

Unigram::Unigram(std::vector<std::string> tokens, std::vector<double> scores, int64_t unk, bool byte_fallback,
                 const std::string& where)
    : vocabulary_(tokens, all_ids(tokens.size()), where + ".vocab"),
      scores_(std::move(scores)),
      gains_(scores_),
      unk_(static_cast<TokenId>(unk)),
      byte_fallback_(byte_fallback) {
  if (unk < -1 || unk >= static_cast<int64_t>(tokens.size())) {
    fail(ErrorKind::kData, "{}.unk_id: expected an id below {}, got {}", where, tokens.size(), unk);
  }
  build_trie(tokens, std::vector<bool>(tokens.size(), true), where);
  unk_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnkPenalty;
}

Unigram::Unigram(const SentencePieces& pieces, const std::string& where)
    : Unigram(pieces.tokens, pieces.scores, pieces.unk_id, pieces.byte_fallback, where) {
  own_rules_ = true;
  float least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < pieces.tokens.size(); ++i) {
    if (pieces.types[i] != SentencePieces::kNormal) continue;
    least = std::min(least, static_cast<float>(pieces.scores[i]));
    most = std::max(most, static_cast<float>(pieces.scores[i]));
  }
  if (least > most) fail(ErrorKind::kData, "{}: there are no normal pieces", where);
  unk_score_ = least - static_cast<float>(kUnkPenalty);
  std::vector<bool> found;
  for (size_t i = 0; i < pieces.tokens.size(); ++i) {
    const bool user_defined = pieces.types[i] == SentencePieces::kUserDefined;
    found.push_back(user_defined || pieces.types[i] == SentencePieces::kNormal);
    // Best of all ways to spell the piece, by a little.
    if (user_defined) gains_[i] = static_cast<float>(pieces.tokens[i].size()) * most - 0.1F;
  }
  build_trie(pieces.tokens, found, where);
}

void Unigram::build_trie(const std::vector<std::string>& tokens, const std::vector<bool>& found,
                         const std::string& where) {
  size_t bytes = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!std::isfinite(scores_[i])) fail(ErrorKind::kData, "{}.vocab[{}]: the score is not finite", where, i);
    if (tokens[i].size() > kLongestToken) {
      fail(ErrorKind::kLimit, "{}.vocab[{}]: a token of {} bytes is over {}", where, i, tokens[i].size(),
           kLongestToken);
    }
    bytes += tokens[i].size();
  }
  size_t places = 16;
  while (places < 2 * bytes) places *= 2;
  edges_.assign(places, {kFree, 0});
  ends_.assign(1, Vocabulary::kNone);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!found[i]) continue;
    uint32_t node = 0;
    for (const char c : tokens[i]) {
      const uint64_t key = edge_key(node, static_cast<unsigned char>(c));
      size_t place = edge_place(key, places);
      while (edges_[place].first != kFree && edges_[place].first != key) place = (place + 1) & (places - 1);
      if (edges_[place].first == kFree) {
        edges_[place] = {key, static_cast<uint32_t>(ends_.size())};
        ends_.push_back(Vocabulary::kNone);
      }
      node = edges_[place].second;
    }
    if (node != 0) ends_[node] = static_cast<TokenId>(i);
  }
  byte_ids_.clear();
  for (int b = 0; b < 256; ++b) byte_ids_.push_back(vocabulary_.find(fmt::format("<0x{:02X}>", b)));
}

uint32_t Unigram::child(uint32_t node, unsigned char byte) const {
  const uint64_t key = edge_key(node, byte);
  const size_t places = edges_.size();
  size_t place = edge_place(key, places);
  while (edges_[place].first != kFree) {
    if (edges_[place].first == key) return edges_[place].second;
    place = (place + 1) & (places - 1);
  }
  return 0;
}

// A piece of the best cut; unknown ones as bytes where the vocabulary has them.
void Unigram::add_piece(std::string_view piece, TokenId id, std::vector<TokenId>& ids,
                        std::vector<uint32_t>* lengths) const {
  const auto byte_id = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
  if (id == Vocabulary::kNone && byte_fallback_ &&
      std::all_of(piece.begin(), piece.end(), [&](char c) { return byte_id(c) >= 0; })) {
    for (const char c : piece) {
      ids.push_back(byte_id(c));
      if (lengths) lengths->push_back(1);
    }
    return;
  }
  if (id == Vocabulary::kNone) id = unk_;
  ids.push_back(id);
  if (lengths) lengths->push_back(static_cast<uint32_t>(piece.size()));
}

void Unigram::tokenize(std::string_view word, Forbidden forbidden, std::vector<TokenId>& ids,
                       std::vector<uint32_t>* lengths) const {
  // best[i]: the best cut of the first i bytes.
  std::vector<Best> best(word.size() + 1);
  best[0].reached = true;
  const auto reach = [&](size_t from, size_t to, double score, TokenId id) {
    double sum = best[from].score + score;
    if (own_rules_) sum = static_cast<float>(sum);
    if (best[to].reached && sum <= best[to].score) return;
    best[to] = {sum, id, static_cast<uint32_t>(from), true};
  };
  for (size_t i = 0; i < word.size();) {
    const size_t length = code_point_at(word, i).length;
    bool whole_character = false;
    uint32_t node = 0;
    for (size_t j = i; j < word.size();) {
      node = child(node, static_cast<unsigned char>(word[j++]));
      if (node == 0) break;
      const TokenId id = ends_[node];
      if (id < 0 || forbidden(id)) continue;
      reach(i, j, gains_[static_cast<size_t>(id)], id);
      whole_character = whole_character || j - i == length;
    }
    if (!whole_character) {
      if (unk_ < 0) {
        fail(ErrorKind::kData, "tokenizer: {} is not in the vocabulary, which has no unk_id",
             quote(word.substr(i, length)));
      }
      reach(i, i + length, unk_score_, unk_);
    }
    i += length;
  }
  std::vector<std::pair<size_t, size_t>> cuts;
  for (size_t end = word.size(); end > 0; end = best[end].start) cuts.emplace_back(best[end].start, end);
  std::reverse(cuts.begin(), cuts.end());
  // Unknown characters in a row are one piece.
  for (size_t k = 0; k < cuts.size();) {
    auto [begin, end] = cuts[k];
    const TokenId id = best[end].id;
    ++k;
    if (id != unk_) {
      add_piece(word.substr(begin, end - begin), id, ids, lengths);
      continue;
    }
    while (k < cuts.size() && best[cuts[k].second].id == unk_) end = cuts[k++].second;
    const std::string_view piece = word.substr(begin, end - begin);
    const TokenId known = own_rules_ ? Vocabulary::kNone : vocabulary_.find(piece);
    add_piece(piece, known >= 0 && !forbidden(known) ? known : Vocabulary::kNone, ids, lengths);
  }
}

OrderedJson Unigram::to_json() const {
  OrderedJson json;
  json["type"] = "Unigram";
  json["unk_id"] = unk_ < 0 ? OrderedJson(nullptr) : OrderedJson(unk_);
  OrderedJson vocab = OrderedJson::array();
  for (size_t i = 0; i < scores_.size(); ++i) {
    vocab.push_back(OrderedJson::array({vocabulary_.token(static_cast<TokenId>(i)), score_to_write(scores_[i])}));
  }
  json["vocab"] = std::move(vocab);
  json["byte_fallback"] = byte_fallback_;
  return json;
}

}  // namespace merit::text
