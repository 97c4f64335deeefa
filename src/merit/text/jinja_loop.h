// What a for loop iterates and what `loop` says about it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "merit/text/jinja_value.h"

namespace merit::text::jinja {

// The items of a for loop, one at a time, and what `loop` says about them. Items are filtered only when they are
// reached or asked for, as the reference does: a body may change what the filter tests.
struct Loop : Object, std::enable_shared_from_this<Loop> {
  std::vector<Value> items;
  size_t cursor = 0;                          // of the next unfiltered item
  std::function<bool(const Value&)> accepts;  // empty: all
  int64_t index0 = -1;
  std::optional<int64_t> known_length;
  std::optional<Value> after;
  Value before, current;
  std::optional<Value> last_changed;
  size_t depth0 = 0;

  std::string type() const override { return "LoopContext"; }
  void release() override {
    items.clear();
    cursor = 0;
    accepts = nullptr;
    after.reset();
    last_changed.reset();
    before = current = Value();
  }

  std::optional<Value> pull() {
    while (cursor < items.size()) {
      Value item = items[cursor++];
      if (!accepts || accepts(item)) return item;
    }
    return std::nullopt;
  }
  bool advance() {
    std::optional<Value> item = after ? std::exchange(after, std::nullopt) : pull();
    if (!item) return false;
    ++index0;
    before = std::exchange(current, *item);
    return true;
  }
  const std::optional<Value>& peek() {
    if (!after) after = pull();
    return after;
  }
  int64_t size() {
    if (!known_length) {
      if (accepts) {
        std::vector<Value> left;
        while (std::optional<Value> item = pull()) left.push_back(*item);
        items = std::move(left);
        cursor = 0;
        accepts = nullptr;
        known_length = static_cast<int64_t>(items.size()) + index0 + 1 + (after ? 1 : 0);
      } else {
        known_length = static_cast<int64_t>(items.size());
      }
    }
    return *known_length;
  }
  std::optional<Value> attribute(Engine& engine, const std::string& name) override;
};

}  // namespace merit::text::jinja
