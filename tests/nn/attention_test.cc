// Attention over pages against a full softmax in float64, for every instruction set this machine runs.
#include <c10/core/ScalarType.h>
#include <c10/util/BFloat16.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "merit/core/rng.h"
#include "merit/nn/kernels.h"

namespace merit::nn {

const KernelTable& kernels_base(at::ScalarType dtype);
const KernelTable& kernels_v3(at::ScalarType dtype);
const KernelTable& kernels_v4(at::ScalarType dtype);

namespace {

struct Build {
  const char* name;
  const KernelTable& (*table)(at::ScalarType);
};

std::vector<Build> builds() {
  std::vector<Build> all = {{"base", kernels_base}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v3")) all.push_back({"v3", kernels_v3});
  if (__builtin_cpu_supports("x86-64-v4")) all.push_back({"v4", kernels_v4});
#endif
  return all;
}

// Keys and values of one path in pages, and the same numbers plainly.
template <typename T>
struct Fixture {
  int64_t heads, kv_heads, dim, length;
  double scale = 0.3, softcap = 0;
  int32_t window = 0;
  PageShape shape;
  std::vector<std::vector<T>> pages;
  std::vector<void*> table;
  std::vector<T> query;              // [length, heads * dim]
  std::vector<double> keys, values;  // [length, kv_heads, dim]

  Fixture(int64_t heads, int64_t kv_heads, int64_t dim, int64_t length, uint64_t seed)
      : heads(heads), kv_heads(kv_heads), dim(dim), length(length) {
    shape = {kv_heads, dim, (dim + 15) / 16 * 16};
    Rng rng(seed, 0);
    auto next = [&] { return static_cast<T>(rng.normal()); };
    // Slots that hold no token have NaN: nothing of them may reach a result.
    pages.assign((length + 15) / 16, std::vector<T>(shape.elements(), static_cast<T>(NAN)));
    for (int64_t t = 0; t < length; ++t) {
      T* page = pages[t / 16].data();
      for (int64_t h = 0; h < kv_heads; ++h) {
        T* value = page + shape.key_elements() + (h * 16 + t % 16) * shape.value_stride;
        for (int64_t d = 0; d < shape.value_stride; ++d) value[d] = 0;
        for (int64_t d = 0; d < dim; ++d) {
          const T k = next();
          page[(h * dim + d) * 16 + t % 16] = k;
          keys.push_back(static_cast<double>(k));
          values.push_back(static_cast<double>(value[d] = next()));
        }
      }
    }
    for (auto& page : pages) table.push_back(page.data());
    for (int64_t i = 0; i < length * heads * dim; ++i) query.push_back(static_cast<T>(3 * rng.normal()));
  }

  // Queries [begin, end) in runs of at most `most` rows.
  std::vector<T> run(const KernelTable& kernels, int32_t begin, int32_t end, int32_t most) {
    std::vector<T> out((end - begin) * heads * dim);
    const AttentionArgs args = {
        query.data() + begin * heads * dim, heads * dim, out.data(), heads, shape, 0, scale, softcap, window};
    for (int32_t at = begin; at < end; at += most) {
      AttentionRun run = {at - begin, std::min(most, end - at), at, table.data()};
      for (int64_t h = 0; h < kv_heads; ++h) kernels.attention(args, run, h);
    }
    return out;
  }

  double expected(int64_t t, int64_t head, int64_t d) const {
    const int64_t kv = head / (heads / kv_heads);
    double top = -INFINITY;
    std::vector<double> w;
    const int64_t first = window > 0 ? std::max<int64_t>(0, t - window + 1) : 0;
    for (int64_t s = first; s <= t; ++s) {
      double dot = 0;
      for (int64_t i = 0; i < dim; ++i) {
        dot += static_cast<double>(query[(t * heads + head) * dim + i]) * keys[(s * kv_heads + kv) * dim + i];
      }
      dot *= scale;
      w.push_back(softcap > 0 ? softcap * std::tanh(dot / softcap) : dot);
      top = std::max(top, w.back());
    }
    double total = 0, sum = 0;
    for (int64_t s = first; s <= t; ++s) {
      total += std::exp(w[s - first] - top);
      sum += std::exp(w[s - first] - top) * values[(s * kv_heads + kv) * dim + d];
    }
    return sum / total;
  }
};

template <typename T>
void compare(at::ScalarType dtype, double tolerance) {
  struct Shape {
    int64_t heads, kv_heads, dim, length;
    int32_t window = 0;
    double softcap = 0;
  };
  for (const Build& build : builds()) {
    for (const Shape& s : {Shape{6, 2, 8, 70}, Shape{9, 3, 64, 50}, Shape{4, 4, 20, 33}, Shape{10, 1, 16, 17},
                           Shape{2, 1, 160, 40}, Shape{6, 2, 8, 70, 1}, Shape{6, 2, 8, 70, 5}, Shape{6, 2, 8, 70, 16},
                           Shape{6, 2, 8, 70, 33, 2.5}, Shape{4, 4, 20, 33, 0, 6}}) {
      Fixture<T> f(s.heads, s.kv_heads, s.dim, s.length, 5);
      f.scale = 1 / std::sqrt(static_cast<double>(s.dim));
      f.window = s.window;
      f.softcap = s.softcap;
      const std::vector<T> out = f.run(build.table(dtype), 0, s.length, 16);
      for (int64_t t = 0; t < s.length; ++t) {
        for (int64_t h = 0; h < s.heads; ++h) {
          for (int64_t d = 0; d < s.dim; ++d) {
            const double want = f.expected(t, h, d);
            ASSERT_NEAR(static_cast<double>(out[(t * s.heads + h) * s.dim + d]), want,
                        tolerance * std::max(1.0, std::abs(want)))
                << build.name << " heads " << s.heads << " dim " << s.dim << " position " << t;
          }
        }
      }
    }
  }
}

// Scores reach 20 here, and a score's rounding, 20 * 2^-24, is a relative error of its weight.
TEST(Attention, Float32EqualsFullSoftmax) { compare<float>(at::kFloat, 5e-6); }
TEST(Attention, Float64EqualsFullSoftmax) { compare<double>(at::kDouble, 1e-14); }
// The result is rounded to eight bits once: half a unit is at most 2^-8 of the value.
TEST(Attention, BFloat16IsRoundedOnce) { compare<at::BFloat16>(at::kBFloat16, 0.00391); }

template <typename T>
void same_bits(at::ScalarType dtype, int32_t window) {
  for (const Build& build : builds()) {
    Fixture<T> f(9, 3, 64, 100, 6);
    f.scale = 0.125;
    f.window = window;
    f.softcap = window > 0 ? 4 : 0;
    const std::vector<T> whole = f.run(build.table(dtype), 0, 100, 16);
    for (int32_t most : {1, 2, 3, 5, 7, 15}) {
      const std::vector<T> cut = f.run(build.table(dtype), 0, 100, most);
      ASSERT_EQ(std::memcmp(whole.data(), cut.data(), whole.size() * sizeof(T)), 0) << build.name << " " << most;
    }
    const std::vector<T> late = f.run(build.table(dtype), 61, 93, 16);
    ASSERT_EQ(std::memcmp(whole.data() + 61 * 9 * 64, late.data(), late.size() * sizeof(T)), 0) << build.name;
  }
}

TEST(Attention, BitsOfARowDoNotDependOnTheRun) {
  for (const int32_t window : {0, 3, 17, 40}) {
    same_bits<float>(at::kFloat, window);
    same_bits<at::BFloat16>(at::kBFloat16, window);
    same_bits<double>(at::kDouble, window);
  }
}

NormArgs norm_args(float* x, const float* delta, const float* weight, const float* bias, float* out, int64_t columns) {
  NormArgs args;
  args.x = x;
  args.delta = delta;
  args.weight = weight;
  args.bias = bias;
  args.out = out;
  args.stride = args.columns = columns;
  args.eps = 1e-12;
  return args;
}

TEST(Kernels, RmsNormAddsThenNorms) {
  // x + delta = (3, 4), mean square 12.5; with eps 0.0 + weight (1, 2).
  for (const Build& build : builds()) {
    float x[2] = {1, 5}, delta[2] = {2, -1}, weight[2] = {1, 2}, out[2];
    build.table(at::kFloat).norm(norm_args(x, delta, weight, nullptr, out, 2), 0, 1);
    EXPECT_EQ(x[0], 3);
    EXPECT_EQ(x[1], 4);
    EXPECT_NEAR(out[0], 3 / std::sqrt(12.5), 1e-6);
    EXPECT_NEAR(out[1], 8 / std::sqrt(12.5), 1e-6);
  }
}

TEST(Kernels, LayerNormTakesTheMeanOut) {
  // Columns 0 .. 19 of 3 i + 100: mean 128.5, variance 9 (20^2 - 1) / 12 = 299.25; a remainder of 4 behind 16.
  for (const Build& build : builds()) {
    float x[20], weight[20], bias[20], out[20];
    for (int i = 0; i < 20; ++i) x[i] = 3.0f * i + 100, weight[i] = 2, bias[i] = 0.5f;
    NormArgs args = norm_args(x, nullptr, weight, bias, out, 20);
    args.centred = true;
    build.table(at::kFloat).norm(args, 0, 1);
    for (int i = 0; i < 20; ++i) {
      EXPECT_NEAR(out[i], (3.0 * i - 28.5) / std::sqrt(299.25) * 2 + 0.5, 1e-6) << build.name << " " << i;
    }
  }
}

TEST(Kernels, PiecesOfARowAreNormalisedByThemselves) {
  // Two pieces of two in rows of five: (3, 4) and (6, 8) have the same direction; the fifth element stays.
  for (const Build& build : builds()) {
    float x[10] = {3, 4, 6, 8, 7, 0, 1, 1, 0, 9}, weight[2] = {1, 1};
    NormArgs args = norm_args(x, nullptr, weight, nullptr, x, 2);
    args.stride = 5;
    args.groups = 2;
    build.table(at::kFloat).norm(args, 0, 2);
    for (int i : {0, 2}) {
      EXPECT_NEAR(x[i], 3 / std::sqrt(12.5), 1e-6);
      EXPECT_NEAR(x[i + 1], 4 / std::sqrt(12.5), 1e-6);
    }
    EXPECT_EQ(x[4], 7);
    EXPECT_NEAR(x[6], std::sqrt(2), 1e-6);
    EXPECT_EQ(x[9], 9);
  }
}

double activated(Activation kind, double x) {
  switch (kind) {
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return x / (1 + std::exp(-2 * std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Activation::kRelu:
      return std::max(0.0, x);
  }
  return 0;
}

TEST(Kernels, ActivationsOverTheWholeRange) {
  for (const Build& build : builds()) {
    for (Activation kind : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu}) {
      std::vector<float> both, out(401);
      for (int i = 0; i <= 400; ++i) both.push_back(static_cast<float>(i - 200) / 2);
      for (int i = 0; i <= 400; ++i) both.push_back(0.5f);
      for (const bool gated : {true, false}) {
        build.table(at::kFloat).activate({both.data(), out.data(), 401, kind, gated}, 0, 1);
        for (int i = 0; i <= 400; ++i) {
          const double want = activated(kind, (i - 200) / 2.0) * (gated ? 0.5 : 1);
          // 1 + erf(x) has lost its digits where x is well below 0.
          const double lost = kind == Activation::kGelu ? 3e-7 : kind == Activation::kGeluTanh ? 1e-9 : 1e-35;
          EXPECT_NEAR(out[i], want, 4e-7 * std::abs(want) + lost) << build.name << " " << i;
        }
      }
    }
  }
}

TEST(Kernels, RopeTurnsPairsAndFillsTheSlot) {
  // One head of 4 at depth 17: pairs (0, 2) and (1, 3); angles chosen, not derived: 90 degrees and 0.
  for (const Build& build : builds()) {
    const PageShape shape = {1, 4, 16};
    std::vector<float> page(shape.elements(), -1);
    const float angles[4] = {0, 1, 1, 0};  // cosines, then sines
    const void* row = angles;
    std::vector<float> qkv = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const RowPlace place = {17, page.data()};
    build.table(at::kFloat).rope({qkv.data(), 1, shape, 0, &place, &row, 2}, 0, 1);
    EXPECT_EQ(std::vector<float>(qkv.begin(), qkv.begin() + 4), (std::vector<float>{-3, 2, 1, 4}));
    const int slot = 1;
    const float key[4] = {-7, 6, 5, 8};
    for (int d = 0; d < 4; ++d) {
      EXPECT_EQ(page[d * 16 + slot], key[d]);
      EXPECT_EQ(page[shape.key_elements() + slot * 16 + d], 9 + d);
      EXPECT_EQ(page[d * 16], -1);  // neighbours are untouched
    }
    EXPECT_EQ(page[shape.key_elements() + slot * 16 + 4], 0);
  }
}

TEST(Kernels, RopeLeavesWhatStandsBehindThePairs) {
  // One pair of a head of 4, turned by 90 degrees: elements 0 and 1; 2 and 3 stay.
  for (const Build& build : builds()) {
    const PageShape shape = {1, 4, 16};
    std::vector<float> page(shape.elements(), -1);
    const float angles[2] = {0, 1};
    const void* row = angles;
    std::vector<float> qkv = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const RowPlace place = {0, page.data()};
    build.table(at::kFloat).rope({qkv.data(), 1, shape, 0, &place, &row, 1}, 0, 1);
    EXPECT_EQ(std::vector<float>(qkv.begin(), qkv.begin() + 4), (std::vector<float>{-2, 1, 3, 4}));
    const float key[4] = {-6, 5, 7, 8};
    for (int d = 0; d < 4; ++d) EXPECT_EQ(page[d * 16], key[d]);
  }
}

}  // namespace
}  // namespace merit::nn
