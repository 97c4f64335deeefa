#include "merit/train/reference.h"

#include <ATen/ops/empty.h>

#include "merit/core/error.h"
#include "merit/core/interrupt.h"
#include "merit/train/kept.h"

namespace merit::train {
namespace {

constexpr size_t kWindow = 64;  // examples whose tokens are shared, and that one file holds

std::vector<nn::PathRequest> requests_of(std::span<const Example> examples) {
  std::vector<nn::PathRequest> requests;
  for (const Example& example : examples) {
    for (const Sequence& sequence : example.sequences) {
      nn::PathRequest request{sequence.ids, sequence.learned.front(), {}};
      requests.push_back(std::move(request));
    }
  }
  return requests;
}

// Of each request, from logps_from to its end, one after the other.
at::Tensor compute(const reward::Model& model, std::span<const nn::PathRequest> requests,
                   const nn::ReadOptions& options) {
  std::vector<float> all;
  for (const nn::PathResult& result : model.read(requests, options, nullptr)) {
    all.insert(all.end(), result.logps.begin(), result.logps.end());
  }
  at::Tensor values = at::empty({static_cast<int64_t>(all.size())}, at::kFloat);
  std::copy(all.begin(), all.end(), values.mutable_data_ptr<float>());
  return values;
}

}  // namespace

Reference::Reference(const reward::Model& model, bool own, std::span<const Example> examples,
                     const std::filesystem::path& cache, const nn::ReadOptions& options,
                     const std::function<void(size_t)>& on_examples)
    : own_(own) {
  for (size_t begin = 0; begin < examples.size(); begin += kWindow) {
    stop_if_interrupted();
    const auto window = examples.subspan(begin, std::min(kWindow, examples.size() - begin));
    const auto requests = requests_of(window);
    int64_t wanted = 0;
    for (const nn::PathRequest& request : requests) {
      wanted += static_cast<int64_t>(request.ids.size()) - request.logps_from;
    }
    const at::Tensor values =
        kept_or_computed(cache, model, requests, wanted, [&] { return compute(model, requests, options); });
    const std::span<const float> all(values.const_data_ptr<float>(), static_cast<size_t>(values.numel()));
    size_t next = 0;
    for (const Example& example : window) {
      std::vector<float>& logps = logps_[&example];
      for (const Sequence& sequence : example.sequences) {
        const int32_t from = sequence.learned.front();
        for (const int32_t t : sequence.learned) logps.push_back(all[next + static_cast<size_t>(t - from)]);
        next += sequence.ids.size() - static_cast<size_t>(from);
      }
    }
    if (on_examples) on_examples(window.size());
  }
}

at::Tensor Reference::logps(std::span<const Example* const> examples) const {
  int64_t count = 0;
  for (const Example* example : examples) count += static_cast<int64_t>(logps_.at(example).size());
  at::Tensor out = at::empty({count}, at::kFloat);
  float* to = out.mutable_data_ptr<float>();
  for (const Example* example : examples) {
    const std::vector<float>& logps = logps_.at(example);
    to = std::copy(logps.begin(), logps.end(), to);
  }
  return out;
}

}  // namespace merit::train
