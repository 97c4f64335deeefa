#include "merit/text/added_tokens.h"

#include <algorithm>

#include "merit/core/error.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

bool overlaps(Span span, std::span<const ByteRange> ranges) {
  auto it = std::partition_point(ranges.begin(), ranges.end(),
                                 [&](const ByteRange& range) { return range.end <= span.begin; });
  while (it != ranges.end() && it->begin == it->end) ++it;  // an empty range overlaps nothing
  return it != ranges.end() && it->begin < span.end;
}

}  // namespace

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens, bool normalized, const Normalizer* normalizer,
                         const std::string& where)
    : roots_(256, 0) {
  std::vector<std::pair<std::string, int32_t>> patterns;
  // Of two tokens with one text the first counts, and special ones come first.
  for (const bool special : {true, false}) {
    for (const AddedToken& token : tokens) {
      if (token.normalized != normalized || token.special != special) continue;
      std::string text = token.content;
      AlignedText changed;
      Budget budget(text.size());
      if (normalized && normalizer && normalizer->apply({token.content, nullptr, 0}, changed, budget)) {
        text = changed.text;
      }
      if (text.empty()) {
        fail(ErrorKind::kData, "{}: added token {} is empty after normalization", where, quote(token.content));
      }
      if (text.size() > kMaxLength) {
        fail(ErrorKind::kLimit, "{}: added token {} has {} bytes; the limit is {}", where, quote(token.content),
             text.size(), kMaxLength);
      }
      const bool everywhere = !special && is_white_space(token.content);
      patterns.emplace_back(std::move(text), static_cast<int32_t>(tokens_.size()));
      tokens_.push_back({token.id, token.single_word, token.lstrip, token.rstrip, everywhere});
    }
  }
  build(std::move(patterns));
}

// The trie, breadth first over the sorted patterns.
void AddedTokens::build(std::vector<std::pair<std::string, int32_t>> patterns) {
  std::stable_sort(patterns.begin(), patterns.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  struct Group {
    uint32_t node;
    size_t first, last, depth;
  };
  std::vector<Group> queue = {{0, 0, patterns.size(), 0}};
  nodes_.emplace_back();
  for (size_t done = 0; done < queue.size(); ++done) {
    auto [node, first, last, depth] = queue[done];
    while (first < last && patterns[first].first.size() == depth) {
      if (nodes_[node].token < 0) nodes_[node].token = patterns[first].second;
      ++first;
    }
    nodes_[node].first_edge = static_cast<uint32_t>(edges_.size());
    while (first < last) {
      const char byte = patterns[first].first[depth];
      size_t end = first;
      while (end < last && patterns[end].first[depth] == byte) ++end;
      const auto child = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      edges_.push_back({static_cast<unsigned char>(byte), child});
      ++nodes_[node].edges;
      if (node == 0) roots_[static_cast<unsigned char>(byte)] = child;
      queue.push_back({child, first, end, depth + 1});
      first = end;
    }
  }
}

// The longest token that begins at `begin` and may stand there, or -1.
int32_t AddedTokens::longest_at(View view, size_t begin, std::span<const ByteRange> plain, Budget& budget,
                                size_t& end) const {
  int32_t found = -1;
  uint32_t node = roots_[static_cast<unsigned char>(view.text[begin])];
  size_t i = begin + 1;
  while (true) {
    const Node& here = nodes_[node];
    if (here.token >= 0) {
      const bool free = plain.empty() || tokens_[static_cast<size_t>(here.token)].everywhere ||
                        !overlaps(view.source(begin, i), plain);
      if (free) {
        found = here.token;
        end = i;
      }
    }
    if (i == view.text.size()) break;
    const auto byte = static_cast<unsigned char>(view.text[i]);
    const Edge* first = edges_.data() + here.first_edge;
    const Edge* edge = std::find_if(first, first + here.edges, [&](const Edge& e) { return e.byte == byte; });
    if (edge == first + here.edges) break;
    node = edge->node;
    ++i;
  }
  budget.spend(i - begin);
  return found;
}

void AddedTokens::cut(View view, std::span<const ByteRange> plain, Budget& budget, std::vector<Cut>& out) const {
  const std::string_view text = view.text;
  size_t start = 0;  // of the text not given yet
  for (size_t i = 0; !tokens_.empty() && i < text.size();) {
    if (roots_[static_cast<unsigned char>(text[i])] == 0) {
      ++i;
      continue;
    }
    size_t end = 0;
    const int32_t found = longest_at(view, i, plain, budget, end);
    if (found < 0) {
      ++i;
      continue;
    }
    const Token& token = tokens_[static_cast<size_t>(found)];
    size_t begin = i;
    i = end;
    if (token.single_word) {
      const bool word_before = begin > 0 && is_word(code_point_at(text, previous_boundary(text, begin)).value);
      if (word_before || (end < text.size() && is_word(code_point_at(text, end).value))) continue;
    }
    while (token.lstrip && begin > start) {
      const size_t previous = previous_boundary(text, begin);
      if (!is_space(code_point_at(text, previous).value)) break;
      begin = previous;
    }
    while (token.rstrip && end < text.size()) {
      const CodePoint c = code_point_at(text, end);
      if (!is_space(c.value)) break;
      end += c.length;
    }
    budget.spend(end - i);
    if (start < begin) out.push_back({Cut::kNone, start, begin});
    out.push_back({token.id, begin, end});
    start = end;
  }
  if (start < text.size()) out.push_back({Cut::kNone, start, text.size()});
}

}  // namespace merit::text
