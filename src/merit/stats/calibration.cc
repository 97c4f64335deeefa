#include "merit/stats/calibration.h"

#include <algorithm>
#include <cmath>

#include "merit/core/error.h"

namespace merit::stats {
namespace {

struct Item {
  double p;
  double right;
  size_t bin;
};

std::vector<Item> binned(std::span<const double> probabilities, const std::vector<bool>& right, size_t bins) {
  std::vector<Item> items;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    double p = probabilities[i];
    if (std::isnan(p)) continue;
    if (!(p >= 0 && p <= 1)) fail(ErrorKind::kData, "calibration: item {}: expected a probability, got {}", i, p);
    size_t bin = std::min(bins - 1, static_cast<size_t>(p * static_cast<double>(bins)));
    items.push_back({p, right[i] ? 1.0 : 0.0, bin});
  }
  return items;
}

double weighted_ece(const std::vector<Item>& items, size_t bins, std::span<const double> weights) {
  std::vector<double> gap(bins, 0.0);  // sum of (right - p) in the bin: n_b times the gap
  double total = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    gap[items[i].bin] += weights[i] * (items[i].right - items[i].p);
    total += weights[i];
  }
  double sum = 0;
  for (double g : gap) sum += std::fabs(g);
  return total > 0 ? sum / total : 0;
}

std::vector<ReliabilityBin> reliability(const std::vector<Item>& items, size_t bins, double level) {
  std::vector<double> predicted(bins, 0.0), right(bins, 0.0);
  std::vector<size_t> n(bins, 0);
  for (const Item& item : items) {
    predicted[item.bin] += item.p;
    right[item.bin] += item.right;
    ++n[item.bin];
  }
  std::vector<ReliabilityBin> result;
  double width = 1 / static_cast<double>(bins);
  for (size_t b = 0; b < bins; ++b) {
    if (n[b] == 0) continue;
    double low = static_cast<double>(b) * width;
    double high = b + 1 == bins ? 1 : low + width;
    result.push_back({low, high, predicted[b] / static_cast<double>(n[b]), *wilson_interval(right[b], n[b], level)});
  }
  return result;
}

}  // namespace

std::optional<Calibration> calibration(std::span<const double> probabilities, const std::vector<bool>& right,
                                       size_t bins, const BootstrapOptions& options) {
  if (probabilities.size() != right.size()) {
    fail(ErrorKind::kData, "calibration: expected equally many probabilities and labels, got {} and {}",
         probabilities.size(), right.size());
  }
  if (bins == 0 || bins > 10000) fail(ErrorKind::kUsage, "calibration: expected 1 to 10000 bins, got {}", bins);
  std::vector<Item> items = binned(probabilities, right, bins);
  if (items.empty()) return std::nullopt;
  std::vector<double> squares;
  for (const Item& item : items) squares.push_back((item.p - item.right) * (item.p - item.right));
  auto ece = [&](std::span<const double> weights) -> std::optional<double> {
    return weighted_ece(items, bins, weights);
  };
  Calibration result{reliability(items, bins, options.level), *bootstrap(items.size(), ece, options),
                     *bootstrap_mean(squares, options)};
  result.ece.skipped = result.brier.skipped = probabilities.size() - items.size();
  return result;
}

}  // namespace merit::stats
