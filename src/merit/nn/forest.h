// The token forest: sequences merged by their common prefixes. A node is a span of tokens and a parent; a sequence is a
// path from a root to a node. Each unique (prefix, token) stands once.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace merit::nn {

struct ForestNode {
  int32_t parent = -1;  // -1: a root
  int32_t depth = 0;    // tokens before this node on its paths
  int64_t begin = 0;    // its tokens are Forest::tokens[begin, begin + length), length at least 1
  int32_t length = 0;
  int64_t regime = 0;  // of all paths through it (ModelConfig::rope_regime)
};

struct Forest {
  std::vector<int32_t> tokens;    // node after node
  std::vector<ForestNode> nodes;  // depth first: a parent stands before its children, a subtree is contiguous
  std::vector<int32_t> leaves;    // for each path, in the order added, the node its last token ends

  std::span<const int32_t> tokens_of(int32_t node) const {
    return {tokens.data() + nodes[node].begin, static_cast<size_t>(nodes[node].length)};
  }
  // The nodes from the root to the path's last, in order.
  std::vector<int32_t> path_nodes(int32_t path) const;
};

// Builds a forest in time near linear in the tokens added. Siblings stand in the order in which they first appeared.
class ForestBuilder {
 public:
  // Adds a path of at least one token and returns its index. `cuts` are depths in (0, ids.size()) at which a node must
  // end; they change the cut, never the tokens. Paths of different regimes share nothing.
  int32_t add(std::span<const int32_t> ids, std::span<const int32_t> cuts = {}, int64_t regime = 0);
  Forest build() const;

 private:
  struct Node {
    std::vector<int32_t> tokens;
    std::vector<int32_t> children;  // in order of appearance
    int32_t parent = -1;
    int32_t slot = 0;  // its place among its siblings
    int64_t regime = 0;
  };

  // -1, -2, ..: what stands above the roots of a regime.
  int32_t above(int64_t regime);
  int32_t child(int32_t node, int32_t token) const;
  // Cuts `node` after its first `length` tokens; the upper part keeps the parent's link and is returned.
  int32_t split(int32_t node, int32_t length);

  std::vector<Node> nodes_;
  std::vector<int32_t> roots_;
  std::vector<int32_t> leaves_;
  std::vector<int64_t> regimes_;                 // in order of appearance
  std::unordered_map<uint64_t, int32_t> edges_;  // (node or what is above a root, first token) -> child
};

}  // namespace merit::nn
