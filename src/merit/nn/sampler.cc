#include "merit/nn/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "merit/core/error.h"
#include "merit/core/hash.h"
#include "merit/nn/fast_exp.h"
#include "merit/nn/vocab_ops.h"

namespace merit::nn {
namespace {

constexpr int64_t kBlock = 256;      // ids summed together for the inverse CDF
constexpr int kBins = 256;           // of the histogram of distances from the maximum
constexpr double kBinsPerNat = 8.0;  // the last bin holds everything beyond 32 nats

struct Histogram {
  std::array<int64_t, kBins> count{};
  std::array<double, kBins> mass{};
};

template <typename T>
[[gnu::always_inline]] inline int bin_of(T distance) {
  const T scaled = distance * static_cast<T>(kBinsPerNat);
  return scaled < static_cast<T>(kBins - 1) ? static_cast<int>(scaled) : kBins - 1;
}

// distance[i] and mass[i] of `count` <= kBlock logits.
template <typename T>
[[gnu::always_inline]] inline void weigh(const T* x, int64_t count, T max, T inverse_temperature, T* distance,
                                         T* mass) {
  for (int64_t i = 0; i < count; ++i) {
    distance[i] = (max - x[i]) * inverse_temperature;
    mass[i] = exp_negative(-distance[i]);
  }
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MERIT_CLONES __attribute__((target_clones("arch=x86-64-v3", "default"), optimize("O3")))
#else
#define MERIT_CLONES
#endif

MERIT_CLONES void weigh_block(const float* x, int64_t count, float max, float inverse, float* distance, float* mass) {
  weigh(x, count, max, inverse, distance, mass);
}
void weigh_block(const double* x, int64_t count, double max, double inverse, double* distance, double* mass) {
  weigh(x, count, max, inverse, distance, mass);
}

template <typename T>
struct Block {
  T distance[kBlock];
  T mass[kBlock];
};

template <typename T, typename F>
void for_blocks(std::span<const T> logits, T max, double temperature, F&& visit) {
  Block<T> block;
  const auto n = static_cast<int64_t>(logits.size());
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = std::min(kBlock, n - begin);
    weigh_block(logits.data() + begin, count, max, static_cast<T>(1.0 / temperature), block.distance, block.mass);
    visit(begin, count, block);
  }
}

struct Pick {
  int64_t index = 0;
  double mass = 0;
};

// The first of `count` masses whose running sum exceeds `left`; if rounding lets `left` pass them all, the last that is
// not 0.
template <typename MassOf>
Pick pick_mass(int64_t count, double left, MassOf&& mass_of) {
  Pick pick;
  for (int64_t i = 0; i < count; ++i) {
    const double mass = mass_of(i);
    if (mass > 0) pick = {i, mass};
    if (left < mass) break;
    left -= mass;
  }
  return pick;
}

// The inverse CDF over the whole vocabulary, by sums of blocks first.
template <typename T>
Draw draw_unfiltered(std::span<const T> logits, T max, double temperature, double uniform,
                     std::vector<double>& masses) {
  masses.clear();
  double total = 0;
  for_blocks<T>(logits, max, temperature, [&](int64_t, int64_t count, const Block<T>& block) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(block.mass[i]);
    masses.push_back(sum);
    total += sum;
  });
  const double goal = uniform * total;
  const auto blocks = static_cast<int64_t>(masses.size());
  const Pick chosen = pick_mass(blocks, goal, [&](int64_t b) { return masses[static_cast<size_t>(b)]; });
  double before = 0;
  for (int64_t b = 0; b < chosen.index; ++b) before += masses[static_cast<size_t>(b)];
  const int64_t begin = chosen.index * kBlock;
  const int64_t count = std::min(kBlock, static_cast<int64_t>(logits.size()) - begin);
  Block<T> block;
  weigh_block(logits.data() + begin, count, max, static_cast<T>(1.0 / temperature), block.distance, block.mass);
  const Pick token =
      pick_mass(count, std::max(0.0, goal - before), [&](int64_t i) { return static_cast<double>(block.mass[i]); });
  return {static_cast<int32_t>(begin + token.index), 0, static_cast<float>(std::log(token.mass / total))};
}

}  // namespace

void validate(const SamplingParams& params) {
  if (!(params.temperature >= 0) || !std::isfinite(params.temperature)) {
    fail(ErrorKind::kUsage, "temperature: expected a number of at least 0, got {}", params.temperature);
  }
  if (params.top_k < 0) fail(ErrorKind::kUsage, "top_k: expected 0 (off) or more, got {}", params.top_k);
  if (!(params.top_p > 0 && params.top_p <= 1)) {
    fail(ErrorKind::kUsage, "top_p: expected a number above 0 and at most 1, got {}", params.top_p);
  }
  if (!(params.min_p >= 0 && params.min_p <= 1)) {
    fail(ErrorKind::kUsage, "min_p: expected a number of 0 to 1, got {}", params.min_p);
  }
  if (params.max_new_tokens < 1) {
    fail(ErrorKind::kUsage, "max_new_tokens: expected at least 1, got {}", params.max_new_tokens);
  }
  for (const std::string& stop : params.stop) {
    if (stop.empty()) fail(ErrorKind::kUsage, "stop: expected a string that is not empty");
  }
}

Sampler::Sampler(const SamplingParams& params) : params_(params) { validate(params); }

Draw Sampler::draw(std::span<const float> logits, double uniform) { return draw_row(logits, uniform); }
Draw Sampler::draw(std::span<const double> logits, double uniform) { return draw_row(logits, uniform); }

template <typename T>
Draw Sampler::draw_row(std::span<const T> logits, double uniform) {
  const RowSoftmax row = row_softmax(logits);
  Draw draw;
  if (params_.temperature == 0) {
    draw.id = static_cast<int32_t>(row.argmax);
  } else if (params_.top_k == 0 && params_.top_p == 1 && params_.min_p == 0) {
    draw = draw_unfiltered(logits, static_cast<T>(row.max), params_.temperature, uniform, block_mass_);
  } else {
    collect(logits, static_cast<T>(row.max));
    if (params_.top_k > 0) keep_top_k();
    if (params_.top_p < 1) keep_top_p();
    if (params_.min_p > 0) std::erase_if(candidates_, [&](const Candidate& c) { return c.mass < params_.min_p; });
    double total = 0;
    for (const Candidate& c : candidates_) total += c.mass;
    const Pick pick = pick_mass(static_cast<int64_t>(candidates_.size()), uniform * total,
                                [&](int64_t i) { return candidates_[static_cast<size_t>(i)].mass; });
    draw.id = candidates_[static_cast<size_t>(pick.index)].id;
    draw.sampling_logp = static_cast<float>(std::log(pick.mass / total));
  }
  draw.logp = static_cast<float>(row_logp(logits, row, draw.id));
  return draw;
}

// The candidates: every token in the bins of distance that the filters can reach.
template <typename T>
void Sampler::collect(std::span<const T> logits, T max) {
  int last_bin = kBins - 1;
  if (params_.top_k > 0 || params_.top_p < 1) {
    Histogram histogram;
    for_blocks<T>(logits, max, params_.temperature, [&](int64_t, int64_t count, const Block<T>& block) {
      for (int64_t i = 0; i < count; ++i) {
        const auto bin = static_cast<size_t>(bin_of(block.distance[i]));
        ++histogram.count[bin];
        histogram.mass[bin] += static_cast<double>(block.mass[i]);
      }
    });
    total_ = 0;
    for (const double mass : histogram.mass) total_ += mass;
    int64_t count = 0;
    double mass = 0;
    for (last_bin = 0; last_bin < kBins - 1; ++last_bin) {
      count += histogram.count[static_cast<size_t>(last_bin)];
      mass += histogram.mass[static_cast<size_t>(last_bin)];
      if (params_.top_k > 0 ? count >= params_.top_k : mass >= params_.top_p * total_) break;
    }
  } else {
    last_bin = bin_of(-std::log(params_.min_p) + 1e-3);
  }
  candidates_.clear();
  for_blocks<T>(logits, max, params_.temperature, [&](int64_t begin, int64_t count, const Block<T>& block) {
    for (int64_t i = 0; i < count; ++i) {
      if (bin_of(block.distance[i]) > last_bin || !(block.mass[i] > 0)) continue;
      const auto id = static_cast<int32_t>(begin + i);
      candidates_.push_back({static_cast<double>(max) - static_cast<double>(logits[static_cast<size_t>(id)]),
                             static_cast<double>(block.mass[i]), id});
    }
  });
}

void Sampler::keep_top_k() {
  const auto k = static_cast<size_t>(params_.top_k);
  if (candidates_.size() > k) {
    std::vector<double> distances(candidates_.size());
    std::transform(candidates_.begin(), candidates_.end(), distances.begin(), [](auto& c) { return c.distance; });
    std::nth_element(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(k - 1), distances.end());
    std::erase_if(candidates_, [limit = distances[k - 1]](const Candidate& c) { return c.distance > limit; });
  }
  total_ = 0;
  for (const Candidate& c : candidates_) total_ += c.mass;
}

void Sampler::keep_top_p() {
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
  });
  double mass = 0;
  size_t kept = 0;
  while (kept < candidates_.size() && mass < params_.top_p * total_) mass += candidates_[kept++].mass;
  candidates_.resize(kept);
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

uint64_t sequence_stream(uint64_t stream, uint64_t index) {
  std::array<char, 16> bytes;
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(stream >> (8 * i));
    bytes[8 + i] = static_cast<char>(index >> (8 * i));
  }
  return hash64(std::string_view(bytes.data(), bytes.size()));
}

}  // namespace merit::nn
