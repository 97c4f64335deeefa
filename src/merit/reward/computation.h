// A reward at work: a coroutine that asks for readings of paths and ends with a Table. The runner drives many of them
// side by side and answers all that ask the same model from one forest.
//
//   Computation MyReward::score(std::span<const data::Group> groups) const {
//     std::vector<nn::PathRequest> paths = ...;
//     const std::vector<nn::PathResult> results = co_await Read{*model_, std::move(paths)};
//     co_return table;
//   }
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "merit/nn/read.h"
#include "merit/reward/model.h"
#include "merit/reward/table.h"

namespace merit::reward {

// A request, awaited inside a Computation; the answer has one result per path, in order.
struct Read {
  const Model& model;
  std::vector<nn::PathRequest> paths;
};

class Computation {
 public:
  struct promise_type {
    Computation get_return_object() { return Computation(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void unhandled_exception() { error = std::current_exception(); }
    void return_value(Table value) { table = std::move(value); }

    struct Awaiter {
      promise_type& promise;
      bool await_ready() const noexcept { return promise.pending->paths.empty(); }
      void await_suspend(std::coroutine_handle<>) noexcept {}
      std::vector<nn::PathResult> await_resume() {
        promise.pending.reset();
        return std::move(promise.answer);
      }
    };
    Awaiter await_transform(Read request) {
      pending.emplace(std::move(request));
      answer.clear();
      return Awaiter{*this};
    }

    std::optional<Read> pending;
    std::vector<nn::PathResult> answer;
    std::optional<Table> table;
    std::exception_ptr error;
  };

  Computation(Computation&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Computation& operator=(Computation&&) = delete;
  ~Computation() {
    if (handle_) handle_.destroy();
  }

  // Runs until the next request or the end; rethrows what the coroutine threw.
  void resume() {
    handle_.resume();
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
  }
  bool done() const { return handle_.done(); }
  // The request it waits on; only if not done.
  const Read& pending() const { return *handle_.promise().pending; }
  void answer(std::vector<nn::PathResult> results) { handle_.promise().answer = std::move(results); }
  // Only if done.
  Table take_table() { return std::move(*handle_.promise().table); }

 private:
  explicit Computation(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace merit::reward
