#include "merit/nn/feed_forward.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "merit/nn/kernels.h"

namespace merit::nn {
namespace {

at::Tensor dense(const ModelConfig& config, const Linear& gate_up, const Linear& down, const at::Tensor& h) {
  const at::Tensor in = gate_up.forward(h);
  const int64_t columns = down.in_features();
  at::Tensor active = at::empty({h.size(0), columns}, h.options());
  const ActivationArgs args = {in.const_data_ptr(), active.mutable_data_ptr(), columns, config.activation,
                               config.gated};
  const KernelTable& table = kernels(h.scalar_type());
  at::parallel_for(0, h.size(0), std::max<int64_t>(1, 32768 / columns),
                   [&](int64_t begin, int64_t end) { table.activate(args, begin, end); });
  return down.forward(active);
}

struct Routed {
  int64_t row;
  double weight;
};

// By expert, the rows that go there.
std::vector<std::vector<Routed>> route(const ModelConfig& config, const Linear& router, const at::Tensor& h,
                                       int64_t rows) {
  const at::Tensor logits = router.forward(h).to(at::kDouble);
  const auto* values = logits.const_data_ptr<double>();
  std::vector<std::vector<Routed>> by_expert(static_cast<size_t>(config.experts));
  for (int64_t row = 0; row < rows; ++row) {
    const std::span<const double> line(values + row * config.experts, static_cast<size_t>(config.experts));
    for (const ExpertChoice& choice : choose_experts(line, config.experts_used, config.experts_normalised)) {
      by_expert[static_cast<size_t>(choice.expert)].push_back({row, choice.weight});
    }
  }
  return by_expert;
}

at::Tensor sparse(const ModelConfig& config, const LayerWeights& weights, const at::Tensor& h, int64_t rows) {
  const int64_t width = h.size(1);
  const int64_t row_bytes = width * static_cast<int64_t>(h.element_size());
  const at::ScalarType sum_type = h.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor sums = at::zeros(h.sizes(), h.options().dtype(sum_type));
  const auto by_expert = route(config, weights.router, h, rows);
  // Experts in order of their numbers, so a row's outputs are always added in one order.
  for (size_t e = 0; e < by_expert.size(); ++e) {
    const std::vector<Routed>& routed = by_expert[e];
    if (routed.empty()) continue;
    const auto count = static_cast<int64_t>(routed.size());
    at::Tensor in = at::zeros({padded_rows(count), width}, h.options());
    auto* to = static_cast<std::byte*>(in.mutable_data_ptr());
    const auto* from = static_cast<const std::byte*>(h.const_data_ptr());
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * row_bytes, from + routed[i].row * row_bytes, row_bytes);
    const at::Tensor out = dense(config, weights.experts[e].gate_up, weights.experts[e].down, in).to(sum_type);
    for (int64_t i = 0; i < count; ++i) sums[routed[i].row].add_(out[i], routed[i].weight);
  }
  return sums.to(h.scalar_type());
}

}  // namespace

std::vector<ExpertChoice> choose_experts(std::span<const double> logits, int64_t used, bool normalised) {
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  const double top = logits[order.front()];
  double total = 0;
  for (size_t i = 0; i < (normalised ? static_cast<size_t>(used) : order.size()); ++i) {
    total += std::exp(logits[order[i]] - top);
  }
  order.resize(static_cast<size_t>(used));
  std::sort(order.begin(), order.end());
  std::vector<ExpertChoice> choices;
  for (const int32_t e : order) choices.push_back({e, std::exp(logits[e] - top) / total});
  return choices;
}

at::Tensor feed_forward(const ModelConfig& config, const LayerWeights& weights, int64_t layer, const at::Tensor& h,
                        int64_t rows) {
  if (config.is_sparse(layer)) return sparse(config, weights, h, rows);
  return dense(config, weights.gate_up, weights.down, h);
}

}  // namespace merit::nn
