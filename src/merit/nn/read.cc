#include "merit/nn/read.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <cstring>

#include "merit/core/error.h"
#include "merit/core/interrupt.h"
#include "merit/nn/engine.h"
#include "merit/nn/forest.h"
#include "merit/nn/vocab_ops.h"

namespace merit::nn {
namespace {

void check(const PathRequest& request, size_t index, const ModelConfig& config) {
  const auto size = static_cast<int64_t>(request.ids.size());
  if (size == 0) fail(ErrorKind::kData, "request {}: an empty path has nothing to read", index);
  if (size > config.max_positions) {
    fail(ErrorKind::kData, "request {}: {} tokens, the model has {} positions; truncate it first", index, size,
         config.max_positions);
  }
  for (int64_t i = 0; i < size; ++i) {
    const int32_t id = request.ids[i];
    if (id < 0 || id >= config.vocab_size) {
      fail(ErrorKind::kData, "request {}: token {} has id {}, outside the vocabulary of {}", index, i, id,
           config.vocab_size);
    }
  }
  if (request.logps_from != -1 && (request.logps_from < 1 || request.logps_from > size)) {
    fail(ErrorKind::kData, "request {}: logps_from must be between 1 and the path's {} tokens, or -1, got {}", index,
         size, request.logps_from);
  }
  for (int32_t position : request.hidden_at) {
    if (position < 0 || position >= size) {
      fail(ErrorKind::kData, "request {}: hidden_at {} is outside the path of {} tokens", index, position, size);
    }
  }
}

// One call of read(). A unique token of the forest is named by its index in Forest::tokens.
class Reader {
 public:
  Reader(const Transformer& model, std::span<const PathRequest> requests, const ReadOptions& options)
      : model_(model), requests_(requests), budget_(std::max<int64_t>(1, options.token_budget)), state_(model) {
    ForestBuilder builder;
    for (size_t i = 0; i < requests.size(); ++i) {
      check(requests[i], i, model.config());
      builder.add(requests[i].ids, {}, model.config().rope_regime(static_cast<int64_t>(requests[i].ids.size())));
    }
    forest_ = builder.build();
    mark();
  }

  void compute() {
    std::vector<std::pair<int32_t, PathHandle>> open;  // the path from a root to the node at hand
    for (int32_t node = 0; node < static_cast<int32_t>(forest_.nodes.size()); ++node) {
      while (!open.empty() && open.back().first != forest_.nodes[node].parent) {
        state_.release(open.back().second);
        open.pop_back();
      }
      const PathHandle path =
          open.empty() ? state_.root(forest_.nodes[node].regime) : state_.branch(open.back().second);
      open.emplace_back(node, path);
      queue_node(node, path);
    }
    flush();
  }

  std::vector<PathResult> results() const {
    std::vector<PathResult> results(requests_.size());
    for (size_t i = 0; i < requests_.size(); ++i) {
      const PathRequest& request = requests_[i];
      const std::vector<int64_t> tokens = unique_tokens(i);
      if (request.logps_from > 0) {
        for (size_t t = request.logps_from; t < tokens.size(); ++t) results[i].logps.push_back(logps_[tokens[t]]);
      }
      if (request.hidden_at.empty()) continue;
      const int64_t width = model_.config().hidden_size;
      results[i].hidden = at::empty({static_cast<int64_t>(request.hidden_at.size()), width}, at::kFloat);
      auto* to = results[i].hidden.mutable_data_ptr<float>();
      for (int32_t position : request.hidden_at) {
        std::memcpy(to, hidden_[hidden_row_[tokens[position]]].data(), sizeof(float) * width);
        to += width;
      }
    }
    return results;
  }

  int64_t computed() const { return state_.tokens_computed(); }

 private:
  std::vector<int64_t> unique_tokens(size_t request) const {
    std::vector<int64_t> tokens;
    for (int32_t node : forest_.path_nodes(static_cast<int32_t>(request))) {
      const ForestNode& n = forest_.nodes[node];
      for (int32_t i = 0; i < n.length; ++i) tokens.push_back(n.begin + i);
    }
    return tokens;
  }

  // What is asked of each unique token, over all requests.
  void mark() {
    const size_t count = forest_.tokens.size();
    hidden_row_.assign(count, -1);
    logp_wanted_.assign(count, 0);
    logps_.assign(count, 0);
    first_target_.assign(count, -1);
    next_target_.assign(count, -1);
    int64_t rows = 0;
    for (size_t i = 0; i < requests_.size(); ++i) {
      const std::vector<int64_t> tokens = unique_tokens(i);
      for (int32_t position : requests_[i].hidden_at) {
        if (hidden_row_[tokens[position]] < 0) hidden_row_[tokens[position]] = rows++;
      }
      if (requests_[i].logps_from < 1) continue;
      for (size_t t = requests_[i].logps_from; t < tokens.size(); ++t) {
        if (logp_wanted_[tokens[t]]) continue;
        logp_wanted_[tokens[t]] = 1;
        next_target_[tokens[t]] = first_target_[tokens[t - 1]];
        first_target_[tokens[t - 1]] = tokens[t];
      }
    }
    hidden_.resize(static_cast<size_t>(rows));
  }

  void queue_node(int32_t node, PathHandle path) {
    const ForestNode& n = forest_.nodes[node];
    std::vector<int32_t> wanted;
    for (int32_t done = 0; done < n.length;) {
      const auto take = static_cast<int32_t>(std::min<int64_t>(n.length - done, budget_ - state_.queued()));
      wanted.clear();
      for (int32_t i = 0; i < take; ++i) {
        const int64_t token = n.begin + done + i;
        if (hidden_row_[token] < 0 && first_target_[token] < 0) continue;
        wanted.push_back(i);
        queued_wanted_.push_back(token);
      }
      state_.append(path, forest_.tokens_of(node).subspan(done, take), wanted);
      done += take;
      if (state_.queued() >= budget_) flush();
    }
  }

  void flush() {
    stop_if_interrupted();
    const at::Tensor states = state_.run();
    take_hidden(states);
    take_logps(states);
    queued_wanted_.clear();
  }

  void take_hidden(const at::Tensor& states) {
    for (size_t i = 0; i < queued_wanted_.size(); ++i) {
      const int64_t row = hidden_row_[queued_wanted_[i]];
      if (row < 0) continue;
      const at::Tensor state = states.select(0, static_cast<int64_t>(i)).to(at::kFloat);
      const auto* values = state.const_data_ptr<float>();
      hidden_[row].assign(values, values + state.numel());
    }
  }

  void take_logps(const at::Tensor& states) {
    std::vector<int64_t> rows;
    std::vector<int64_t> targets;
    for (size_t i = 0; i < queued_wanted_.size(); ++i) {
      for (int64_t t = first_target_[queued_wanted_[i]]; t >= 0; t = next_target_[t]) {
        rows.push_back(static_cast<int64_t>(i));
        targets.push_back(t);
      }
    }
    if (rows.empty()) return;
    const auto count = static_cast<int64_t>(rows.size());
    at::Tensor index = at::empty({count}, at::kLong);
    at::Tensor ids = at::empty({count}, at::kLong);
    for (int64_t i = 0; i < count; ++i) {
      index.mutable_data_ptr<int64_t>()[i] = rows[i];
      ids.mutable_data_ptr<int64_t>()[i] = forest_.tokens[targets[i]];
    }
    const at::Tensor logps =
        vocab_quantities(at::index_select(states, 0, index), model_.vocab(), ids).logp.to(at::kFloat);
    for (int64_t i = 0; i < count; ++i) logps_[targets[i]] = logps.const_data_ptr<float>()[i];
  }

  const Transformer& model_;
  std::span<const PathRequest> requests_;
  int64_t budget_;
  ForestState state_;
  Forest forest_;

  // By unique token. The tokens whose log-probability a token predicts form a list: first_target_, then next_target_.
  std::vector<int64_t> hidden_row_;
  std::vector<uint8_t> logp_wanted_;
  std::vector<float> logps_;
  std::vector<int64_t> first_target_;
  std::vector<int64_t> next_target_;

  std::vector<std::vector<float>> hidden_;
  std::vector<int64_t> queued_wanted_;  // the tokens whose hidden state the next run returns
};

}  // namespace

std::vector<PathResult> read(const Transformer& model, std::span<const PathRequest> requests,
                             const ReadOptions& options, ReadStats* stats) {
  Reader reader(model, requests, options);
  reader.compute();
  if (stats) {
    for (const PathRequest& request : requests) stats->tokens_asked += static_cast<int64_t>(request.ids.size());
    stats->tokens_computed += reader.computed();
  }
  return reader.results();
}

}  // namespace merit::nn
