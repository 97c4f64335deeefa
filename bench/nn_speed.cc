// bench: DEPS nn core
// Prefill and decoding speed of a model, as a share of the matrix-product rate measured in the same run.
//   nn_speed MODEL [float32|bfloat16]
// Answers are checked before they are timed: a long prefill must give the bits of a short one.
#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rand.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/rng.h"
#include "merit/nn/engine.h"
#include "merit/nn/read.h"
#include "merit/nn/vocab_ops.h"

namespace {

using namespace merit;

struct Seconds {
  double median;
  double spread;  // slowest minus fastest
};

Seconds time(int repeats, const std::function<void()>& work) {
  std::vector<double> all;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    all.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(all.begin(), all.end());
  return {all[all.size() / 2], all.back() - all.front()};
}

// The products of one layer on `rows` rows, and nothing else: seconds.
double product_seconds(const nn::Transformer& model, int64_t rows) {
  const nn::LayerWeights& layer = model.weights().layers[0];
  double total = 0;
  for (const nn::Linear* linear : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down}) {
    const at::Tensor x = at::rand({rows, linear->in_features()}).to(model.dtype());
    total += time(5, [&] { linear->forward(x); }).median;
  }
  return total;
}

std::vector<int32_t> random_ids(Rng& rng, int64_t length, int64_t vocab) {
  std::vector<int32_t> ids(length);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(vocab));
  return ids;
}

void prefill(const nn::Transformer& model, int64_t length, int64_t paths) {
  Rng rng(1, static_cast<uint64_t>(length));
  std::vector<nn::PathRequest> requests;
  for (int64_t i = 0; i < paths; ++i) {
    requests.push_back({random_ids(rng, length, model.config().vocab_size), -1, {static_cast<int32_t>(length) - 1}});
  }
  const auto together = nn::read(model, requests);
  if (!at::equal(together[0].hidden, nn::read(model, std::span(requests).first(1))[0].hidden)) {
    fail(ErrorKind::kNumeric, "a path read alone and in company differs");
  }
  const double tokens = static_cast<double>(length * paths);
  const Seconds took = time(3, [&] { nn::read(model, requests); });
  const double flop = 2.0 * static_cast<double>(model.config().non_embedding_parameters()) * tokens;
  const double peak =
      flop / (product_seconds(model, 2048) * static_cast<double>(model.config().layers) * tokens / 2048);
  fmt::print("prefill {:>3} x {:<5} {:8.0f} tokens/s (+-{:.0f}%)  {:6.1f} GFLOP/s, products alone {:6.1f}: {:.0f}%\n",
             paths, length, tokens / took.median, 50 * took.spread / took.median, flop / took.median / 1e9, peak / 1e9,
             100 * flop / took.median / peak);
}

void decode(const nn::Transformer& model, int64_t live) {
  Rng rng(2, 0);
  nn::ForestState state(model);
  const nn::PathHandle prompt = state.root();
  state.append(prompt, random_ids(rng, 100, model.config().vocab_size), {});
  state.run();
  std::vector<nn::PathHandle> paths;
  for (int64_t i = 0; i < live; ++i) paths.push_back(state.branch(prompt));
  constexpr int kSteps = 16;
  const Seconds took = time(3, [&] {
    for (int step = 0; step < kSteps; ++step) {
      for (nn::PathHandle path : paths) {
        state.append_one(path, static_cast<int32_t>(rng.below(static_cast<uint64_t>(model.config().vocab_size))));
      }
      nn::vocab_logits(state.run(), model.vocab());
    }
  });
  fmt::print("decode {:>4} live    {:8.0f} tokens/s (+-{:.0f}%)\n", live,
             static_cast<double>(live * kSteps) / took.median, 50 * took.spread / took.median);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 2) fail(ErrorKind::kUsage, "nn_speed MODEL [float32|bfloat16]");
    const bool half = argc > 2 && std::string(argv[2]) == "bfloat16";
    const auto model = nn::Transformer::load(argv[1], {.dtype = half ? at::kBFloat16 : at::kFloat});
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    fmt::print("{} threads\n", at::get_num_threads());
    for (int64_t length : {64, 256, 2048}) prefill(*model, length, 2048 / length);
    for (int64_t live : {1, 16, 64}) decode(*model, live);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
