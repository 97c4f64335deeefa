#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "merit/core/error.h"
#include "merit/core/interrupt.h"
#include "merit/nn/encoder_model.h"

namespace merit::nn {
namespace {

using Key = std::pair<std::vector<int32_t>, int32_t>;  // ids and where the second text begins

void check(const PathRequest& request, size_t index) {
  if (request.logps_from != -1) {
    fail(ErrorKind::kUnsupported, "request {}: an encoder gives no log-probabilities; use a language model", index);
  }
  for (const int32_t position : request.hidden_at) {
    if (position < 0 || static_cast<size_t>(position) >= request.ids.size()) {
      fail(ErrorKind::kData, "request {}: hidden_at {} is outside the sequence of {} tokens", index, position,
           request.ids.size());
    }
  }
}

at::Tensor rows_at(const at::Tensor& states, const std::vector<int32_t>& positions) {
  at::Tensor out = at::empty({static_cast<int64_t>(positions.size()), states.size(1)}, at::kFloat);
  const at::Tensor wide = states.to(at::kFloat);
  for (size_t i = 0; i < positions.size(); ++i) {
    std::memcpy(out.mutable_data_ptr<float>() + static_cast<int64_t>(i) * out.size(1),
                wide.const_data_ptr<float>() + positions[i] * out.size(1), sizeof(float) * out.size(1));
  }
  return out;
}

}  // namespace

std::vector<PathResult> read(const EncoderModel& model, std::span<const PathRequest> requests,
                             const ReadOptions& options, ReadStats* stats) {
  const at::NoGradGuard no_grad;
  std::map<Key, std::vector<size_t>> distinct;  // sequence -> the requests for it
  for (size_t i = 0; i < requests.size(); ++i) {
    check(requests[i], i);
    distinct[{requests[i].ids, requests[i].second_from}].push_back(i);
  }
  std::vector<PathResult> results(requests.size());
  auto next = distinct.begin();
  while (next != distinct.end()) {
    stop_if_interrupted();
    std::vector<EncoderInput> inputs;
    std::vector<const std::vector<size_t>*> asking;
    int64_t rows = 0;
    // At least one sequence, and more while they fit.
    do {
      inputs.push_back({next->first.first, next->first.second});
      asking.push_back(&next->second);
      rows += static_cast<int64_t>(inputs.back().ids.size());
      ++next;
    } while (next != distinct.end() && rows + static_cast<int64_t>(next->first.first.size()) <= options.token_budget);
    const at::Tensor states = model.forward(inputs);
    int64_t begin = 0;
    for (size_t s = 0; s < inputs.size(); ++s) {
      const auto length = static_cast<int64_t>(inputs[s].ids.size());
      for (const size_t i : *asking[s]) {
        if (!requests[i].hidden_at.empty()) {
          results[i].hidden = rows_at(states.narrow(0, begin, length), requests[i].hidden_at);
        }
      }
      begin += length;
    }
    if (stats) stats->tokens_computed += rows;
  }
  if (stats) {
    for (const PathRequest& request : requests) stats->tokens_asked += static_cast<int64_t>(request.ids.size());
  }
  return results;
}

}  // namespace merit::nn
