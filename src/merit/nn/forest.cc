#include "merit/nn/forest.h"

#include <algorithm>

#include "merit/core/error.h"

namespace merit::nn {
namespace {

uint64_t edge_key(int32_t node, int32_t token) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(node)) << 32) | static_cast<uint32_t>(token);
}

}  // namespace

std::vector<int32_t> Forest::path_nodes(int32_t path) const {
  std::vector<int32_t> result;
  for (int32_t node = leaves[path]; node >= 0; node = nodes[node].parent) result.push_back(node);
  std::reverse(result.begin(), result.end());
  return result;
}

int32_t ForestBuilder::child(int32_t node, int32_t token) const {
  auto found = edges_.find(edge_key(node, token));
  return found == edges_.end() ? -1 : found->second;
}

int32_t ForestBuilder::above(int64_t regime) {
  auto found = std::find(regimes_.begin(), regimes_.end(), regime);
  if (found == regimes_.end()) found = regimes_.insert(regimes_.end(), regime);
  return -1 - static_cast<int32_t>(found - regimes_.begin());
}

int32_t ForestBuilder::split(int32_t node, int32_t length) {
  // The upper part is the new node, so that leaves and edges that name `node` still mean its end.
  const auto upper = static_cast<int32_t>(nodes_.size());
  nodes_.emplace_back();
  Node& low = nodes_[node];
  Node& up = nodes_[upper];
  up.tokens.assign(low.tokens.begin(), low.tokens.begin() + length);
  up.parent = low.parent;
  up.slot = low.slot;
  up.regime = low.regime;
  up.children = {node};
  low.tokens.erase(low.tokens.begin(), low.tokens.begin() + length);
  low.parent = upper;
  low.slot = 0;
  auto& siblings = up.parent < 0 ? roots_ : nodes_[up.parent].children;
  siblings[up.slot] = upper;
  edges_[edge_key(up.parent, up.tokens.front())] = upper;
  edges_[edge_key(upper, low.tokens.front())] = node;
  return upper;
}

int32_t ForestBuilder::add(std::span<const int32_t> ids, std::span<const int32_t> cuts, int64_t regime) {
  MERIT_CHECK(!ids.empty());
  const int32_t root = above(regime);
  int32_t node = root;
  size_t done = 0;
  while (done < ids.size()) {
    int32_t next = child(node, ids[done]);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      Node fresh;
      fresh.tokens.assign(ids.begin() + done, ids.end());
      fresh.parent = node;
      fresh.regime = regime;
      auto& siblings = node < 0 ? roots_ : nodes_[node].children;
      fresh.slot = static_cast<int32_t>(siblings.size());
      siblings.push_back(next);
      nodes_.push_back(std::move(fresh));
      edges_[edge_key(node, ids[done])] = next;
      node = next;
      break;
    }
    const std::vector<int32_t>& span = nodes_[next].tokens;
    const size_t most = std::min(span.size(), ids.size() - done);
    const size_t same = std::mismatch(span.begin(), span.begin() + most, ids.begin() + done).first - span.begin();
    done += same;
    node = same == span.size() ? next : split(next, static_cast<int32_t>(same));
  }
  leaves_.push_back(node);
  for (int32_t cut : cuts) {
    MERIT_CHECK(cut > 0 && static_cast<size_t>(cut) < ids.size());
    int32_t depth = 0;
    for (int32_t at = child(root, ids[0]); depth < cut; at = child(at, ids[depth])) {
      const auto length = static_cast<int32_t>(nodes_[at].tokens.size());
      if (depth + length > cut) at = split(at, cut - depth);
      depth += static_cast<int32_t>(nodes_[at].tokens.size());
      if (depth >= cut) break;
    }
  }
  return static_cast<int32_t>(leaves_.size()) - 1;
}

Forest ForestBuilder::build() const {
  Forest forest;
  std::vector<int32_t> renamed(nodes_.size(), -1);
  std::vector<int32_t> stack(roots_.rbegin(), roots_.rend());
  while (!stack.empty()) {
    const int32_t id = stack.back();
    stack.pop_back();
    const Node& node = nodes_[id];
    renamed[id] = static_cast<int32_t>(forest.nodes.size());
    ForestNode out;
    out.begin = static_cast<int64_t>(forest.tokens.size());
    out.length = static_cast<int32_t>(node.tokens.size());
    out.regime = node.regime;
    if (node.parent >= 0) {
      out.parent = renamed[node.parent];
      out.depth = forest.nodes[out.parent].depth + forest.nodes[out.parent].length;
    }
    forest.tokens.insert(forest.tokens.end(), node.tokens.begin(), node.tokens.end());
    forest.nodes.push_back(out);
    stack.insert(stack.end(), node.children.rbegin(), node.children.rend());
  }
  forest.leaves.reserve(leaves_.size());
  for (int32_t leaf : leaves_) forest.leaves.push_back(renamed[leaf]);
  return forest;
}

}  // namespace merit::nn
