#include "merit/text/jinja_loop.h"

#include "merit/core/error.h"

namespace merit::text::jinja {

namespace {

struct LoopMethod : Object {
  using Body = Value (*)(Engine&, Loop&, const Arguments&);
  LoopMethod(std::shared_ptr<Loop> l, Body b) : loop(std::move(l)), body(b) {}
  std::string type() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Engine& engine, Arguments& arguments) override { return body(engine, *loop, arguments); }
  std::shared_ptr<Loop> loop;
  Body body;
};

Value loop_cycle(Engine&, Loop& loop, const Arguments& arguments) {
  if (arguments.positional.empty()) fail(ErrorKind::kData, "no items for cycling given");
  return arguments.positional[static_cast<size_t>(loop.index0) % arguments.positional.size()];
}

Value loop_changed(Engine& engine, Loop& loop, const Arguments& arguments) {
  Value now = make_tuple(arguments.positional);
  if (loop.last_changed && equal(engine, *loop.last_changed, now)) return false;
  loop.last_changed = std::move(now);
  return true;
}

}  // namespace

std::optional<Value> Loop::attribute(Engine& engine, const std::string& name) {
  if (name == "index") return Value(index0 + 1);
  if (name == "index0") return Value(index0);
  if (name == "first") return Value(index0 == 0);
  if (name == "last") return Value(!peek());
  if (name == "length") return Value(size());
  if (name == "revindex") return Value(size() - index0);
  if (name == "revindex0") return Value(size() - index0 - 1);
  if (name == "previtem") return index0 == 0 ? Value(Undefined{"there is no previous item"}) : before;
  if (name == "nextitem") return peek() ? *peek() : Value(Undefined{"there is no next item"});
  if (name == "depth") return Value(int64_t{1});
  if (name == "depth0") return Value(int64_t{0});
  if (name == "cycle" || name == "changed") {
    const LoopMethod::Body body = name == "cycle" ? loop_cycle : loop_changed;
    return Value(std::shared_ptr<Object>(std::make_shared<LoopMethod>(shared_from_this(), body)));
  }
  return std::nullopt;
}

}  // namespace merit::text::jinja
