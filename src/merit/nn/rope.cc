#include "merit/nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "merit/core/error.h"

namespace merit::nn {
namespace {

double power(double theta, int64_t pair, int64_t dim) {
  return std::pow(theta, -2.0 * static_cast<double>(pair) / static_cast<double>(dim));
}

// Turns a position makes within the original context; at most `low`: stretched, at least `high`: kept.
double llama3(const Rope& rope, double frequency) {
  const double turns = static_cast<double>(rope.original_positions) * frequency / (2 * std::numbers::pi);
  const double ramp = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  const double keep = std::clamp(ramp, 0.0, 1.0);
  return keep * frequency + (1 - keep) * frequency / rope.factor;
}

// The part of each pair that is interpolated: 0 for pairs that turn more than beta_fast times in the original context,
// 1 for those that turn less than beta_slow times, a ramp between.
std::vector<double> yarn_ramp(const Rope& rope) {
  const auto dim = static_cast<double>(rope.dim);
  auto pair_of = [&](double turns) {
    return dim * std::log(static_cast<double>(rope.original_positions) / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = pair_of(rope.beta_fast);
  double high = pair_of(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  std::vector<double> ramp;
  for (int64_t i = 0; i < rope.dim / 2; ++i) {
    ramp.push_back(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
  }
  return ramp;
}

}  // namespace

int64_t Rope::regime(int64_t length) const {
  if (dim == 0 || length <= original_positions) return 0;
  if (scaling == RopeScaling::kDynamic) return length;
  return scaling == RopeScaling::kLongRope ? original_positions + 1 : 0;
}

std::vector<double> Rope::frequencies(int64_t regime) const {
  double base = theta;
  if (scaling == RopeScaling::kDynamic && regime > 0) {
    const double stretch =
        factor * static_cast<double>(regime) / static_cast<double>(original_positions) - (factor - 1);
    base *= std::pow(stretch, static_cast<double>(dim) / static_cast<double>(dim - 2));
  }
  const std::vector<double> ramp = scaling == RopeScaling::kYarn ? yarn_ramp(*this) : std::vector<double>();
  std::vector<double> out;
  for (int64_t i = 0; i < dim / 2; ++i) {
    double f = power(base, i, dim);
    if (scaling == RopeScaling::kLinear) f /= factor;
    if (scaling == RopeScaling::kLlama3) f = llama3(*this, f);
    if (scaling == RopeScaling::kYarn) f = f / factor * ramp[i] + f * (1 - ramp[i]);
    if (scaling == RopeScaling::kLongRope) f /= (regime > 0 ? long_factors : short_factors)[i];
    if (scaling == RopeScaling::kProportional) f = i < pairs ? f / factor : 0;
    out.push_back(f);
  }
  return out;
}

void check_rope(const Rope& rope, int64_t head_dim, const std::string& where) {
  auto refuse = [&](const std::string& what) { fail(ErrorKind::kData, "{}: {}", where, what); };
  if (rope.dim == 0) return;
  if (rope.dim < 0 || rope.dim > head_dim || rope.dim % 2 != 0) {
    refuse(fmt::format("rotary positions need an even part of the head size, got {} of {}", rope.dim, head_dim));
  }
  if (!(rope.theta > 1 && std::isfinite(rope.theta))) {
    refuse(fmt::format("the rotary base must be above 1, got {}", rope.theta));
  }
  if (rope.scaling == RopeScaling::kNone) return;
  if (!(rope.factor >= 1 && std::isfinite(rope.factor))) {
    refuse(fmt::format("the rotary scaling factor must be at least 1, got {}", rope.factor));
  }
  if (!(rope.attention_factor > 0 && std::isfinite(rope.attention_factor))) {
    refuse(fmt::format("the rotary attention_factor must be above 0, got {}", rope.attention_factor));
  }
  const bool by_context = rope.scaling == RopeScaling::kDynamic || rope.scaling == RopeScaling::kYarn ||
                          rope.scaling == RopeScaling::kLongRope || rope.scaling == RopeScaling::kLlama3;
  if (by_context && rope.original_positions < 1) {
    refuse("rotary scaling of this type needs original_max_position_embeddings of at least 1");
  }
  if (rope.scaling == RopeScaling::kDynamic && rope.dim < 4) refuse("dynamic rotary scaling needs at least two pairs");
  if (rope.scaling == RopeScaling::kLlama3 &&
      !(rope.low_freq_factor > 0 && rope.high_freq_factor > rope.low_freq_factor)) {
    refuse("llama3 rotary scaling needs 0 < low_freq_factor < high_freq_factor");
  }
  if (rope.scaling == RopeScaling::kYarn && !(rope.beta_slow > 0 && rope.beta_fast >= rope.beta_slow)) {
    refuse("yarn rotary scaling needs 0 < beta_slow <= beta_fast");
  }
  if (rope.scaling == RopeScaling::kLongRope) {
    for (const std::vector<double>* factors : {&rope.short_factors, &rope.long_factors}) {
      if (static_cast<int64_t>(factors->size()) != rope.dim / 2) {
        refuse(fmt::format("longrope needs short_factor and long_factor of {} numbers, got {}", rope.dim / 2,
                           factors->size()));
      }
      for (double f : *factors) {
        if (!(f > 0 && std::isfinite(f))) refuse(fmt::format("longrope's factors must be above 0, got {}", f));
      }
    }
  }
}

}  // namespace merit::nn
