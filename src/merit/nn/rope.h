// Rotary positions (Su et al., 2021) and the ways their frequencies are changed for long contexts: linear, dynamic
// (NTK), YaRN (Peng et al., 2023), LongRoPE (Ding et al., 2024), Llama 3.1's, and proportional. The definitions are
// those of transformers, which the models were trained with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace merit::nn {

enum class RopeScaling {
  kNone,
  kLinear,    // every frequency divided by `factor`
  kDynamic,   // paths longer than `original_positions`: the base grows with the length
  kYarn,      // a ramp from the frequencies themselves to those divided by `factor`
  kLongRope,  // each frequency divided by its own number, of two sets: for paths to `original_positions`, and longer
  kLlama3,    // long wavelengths divided by `factor`, short ones kept, a linear ramp between
  kProportional,  // the first `pairs` of head_dim / 2 turn as in a whole head, the others do not; all over `factor`
};

struct Rope {
  int64_t dim = 0;  // elements of a head that pairs are made of, from its first: i and i + dim / 2. 0: nothing turns
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;
  double attention_factor = 1;     // cosines and sines are multiplied by it
  int64_t original_positions = 0;  // of the model before its context was extended
  double low_freq_factor = 1;      // kLlama3, as the next
  double high_freq_factor = 4;
  double beta_fast = 32;  // kYarn, as the next two
  double beta_slow = 1;
  bool truncate = true;
  std::vector<double> short_factors;  // kLongRope, dim / 2 each
  std::vector<double> long_factors;
  int64_t pairs = 0;  // kProportional

  // What a path's frequencies depend on besides its positions: equal for paths of two lengths only if a token is the
  // same in both. 0 but for kDynamic and kLongRope, which choose by the length of the whole path.
  int64_t regime(int64_t length) const;
  // Radians a position, dim / 2 of them.
  std::vector<double> frequencies(int64_t regime = 0) const;
};

// Error(kData) that starts with `where` for numbers that cannot be; head_dim is the largest `dim`.
void check_rope(const Rope& rope, int64_t head_dim, const std::string& where);

}  // namespace merit::nn
