// Every element type to float32. Block layouts are those of the ggml quantisations; each function below unpacks one
// block, `q` being the packed integers, `d` a block's scale and `m` its offset.
#include <bit>
#include <cstring>

#include "merit/core/error.h"
#include "merit/formats/weights.h"

namespace merit::formats {
namespace {

template <typename T>
T load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Integer arithmetic only up to the last conversion, so that subnormal halves survive where the processor is set to
// flush subnormal floats; masks in place of choices, so that a loop of them is vectorised.
float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t mantissa = half & 0x3ff;
  const uint32_t subnormal = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(mantissa)) * 0x1p-24f);
  const uint32_t rebias = (127 - 15) << static_cast<uint32_t>(exponent == 31);  // 255 - 31 is twice that
  const uint32_t normal = ((exponent + rebias) << 23) | (mantissa << 13);
  const uint32_t is_normal = 0U - static_cast<uint32_t>(exponent != 0);
  return std::bit_cast<float>(sign | (normal & is_normal) | (subnormal & ~is_normal));
}

float load_half(const uint8_t* bytes) { return half_to_float(load<uint16_t>(bytes)); }

template <typename T>
void plain(const uint8_t* bytes, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(load<T>(bytes + i * sizeof(T)));
}

void halves(const uint8_t* __restrict bytes, int64_t count, float* __restrict out) {
  for (int64_t i = 0; i < count; ++i) out[i] = load_half(bytes + 2 * i);
}

// A bfloat16 is the upper half of a float.
void bfloats(const uint8_t* __restrict bytes, int64_t count, float* __restrict out) {
  for (int64_t i = 0; i < count; ++i) {
    out[i] = std::bit_cast<float>(static_cast<uint32_t>(load<uint16_t>(bytes + 2 * i)) << 16);
  }
}

void bools(const uint8_t* bytes, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = bytes[i] != 0 ? 1.0F : 0.0F;
}

// Blocks of 32: sixteen bytes hold elements 0..15 in their low nibbles and 16..31 in their high ones.

void q4_0(const uint8_t* __restrict block, float* __restrict out) {
  const float d = load_half(block);
  const uint8_t* q = block + 2;
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((q[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((q[i] >> 4) - 8);
  }
}

void q4_1(const uint8_t* __restrict block, float* __restrict out) {
  const float d = load_half(block);
  const float m = load_half(block + 2);
  const uint8_t* q = block + 4;
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(q[i] & 15) + m;
    out[i + 16] = d * static_cast<float>(q[i] >> 4) + m;
  }
}

// Q5: the fifth bit of element i is bit i of a 32-bit word that stands before the nibbles.

void q5_0(const uint8_t* __restrict block, float* __restrict out) {
  const float d = load_half(block);
  const auto high = load<uint32_t>(block + 2);
  const uint8_t* q = block + 6;
  for (int i = 0; i < 16; ++i) {
    const int low_q = (q[i] & 15) | static_cast<int>((high >> i) & 1) << 4;
    const int high_q = (q[i] >> 4) | static_cast<int>((high >> (i + 16)) & 1) << 4;
    out[i] = d * static_cast<float>(low_q - 16);
    out[i + 16] = d * static_cast<float>(high_q - 16);
  }
}

void q5_1(const uint8_t* __restrict block, float* __restrict out) {
  const float d = load_half(block);
  const float m = load_half(block + 2);
  const auto high = load<uint32_t>(block + 4);
  const uint8_t* q = block + 8;
  for (int i = 0; i < 16; ++i) {
    const int low_q = (q[i] & 15) | static_cast<int>((high >> i) & 1) << 4;
    const int high_q = (q[i] >> 4) | static_cast<int>((high >> (i + 16)) & 1) << 4;
    out[i] = d * static_cast<float>(low_q) + m;
    out[i + 16] = d * static_cast<float>(high_q) + m;
  }
}

void q8_0(const uint8_t* __restrict block, float* __restrict out) {
  const float d = load_half(block);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

// The sixteen levels of the non-linear four-bit type.
constexpr float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void iq4_nl(const uint8_t* block, float* out) {
  const float d = load_half(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * kIq4Levels[block[2 + i] & 15];
    out[i + 16] = d * kIq4Levels[block[2 + i] >> 4];
  }
}

// OCP microscaling: E2M1 elements, doubled here to be integers, under a shared power of two, halved to match. ggml
// gives the exponent 255 no special meaning.
constexpr float kE2m1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void mxfp4(const uint8_t* block, float* out) {
  const uint32_t exponent = block[0];
  const float d = std::bit_cast<float>(exponent < 2 ? uint32_t{0x00200000} << exponent : (exponent - 1) << 23);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * kE2m1Doubled[block[1 + i] & 15];
    out[i + 16] = d * kE2m1Doubled[block[1 + i] >> 4];
  }
}

// K blocks of 256. In the two- and six-bit layouts element `half * 128 + part * 32 + i` takes its bits from byte i of
// a run of 32 that all four parts share, at a shift that the part sets.

void q2_k(const uint8_t* __restrict block, float* __restrict out) {
  const uint8_t* scales = block;
  const uint8_t* q = block + 16;
  const float d = load_half(block + 80);
  const float m = load_half(block + 82);
  for (int run = 0; run < 16; ++run) {
    const int part = run / 2;
    const uint8_t* bytes = q + part / 4 * 32 + run % 2 * 16;
    const int shift = part % 4 * 2;
    const float scale = d * static_cast<float>(scales[run] & 15);
    const float offset = m * static_cast<float>(scales[run] >> 4);
    for (int i = 0; i < 16; ++i) out[run * 16 + i] = scale * static_cast<float>((bytes[i] >> shift) & 3) - offset;
  }
}

void q3_k(const uint8_t* __restrict block, float* __restrict out) {
  const uint8_t* high = block;
  const uint8_t* q = block + 32;
  const uint8_t* packed = block + 96;
  const float d = load_half(block + 108);
  for (int run = 0; run < 16; ++run) {
    // Six-bit scales: four low bits in the first eight bytes, two high bits in the last four.
    const int low4 = run < 8 ? packed[run] & 15 : packed[run - 8] >> 4;
    const int high2 = (packed[8 + run % 4] >> (run / 4 * 2)) & 3;
    const float scale = d * static_cast<float>((low4 | high2 << 4) - 32);
    const int part = run / 2;
    const uint8_t* bytes = q + part / 4 * 32 + run % 2 * 16;
    const uint8_t* mask = high + run % 2 * 16;
    const int shift = part % 4 * 2;
    for (int i = 0; i < 16; ++i) {
      const int third_bit = (mask[i] >> part) & 1;
      const int value = ((bytes[i] >> shift) & 3) - (third_bit == 0 ? 4 : 0);
      out[run * 16 + i] = scale * static_cast<float>(value);
    }
  }
}

// Q4_K and Q5_K: eight groups of 32, each with a six-bit scale and a six-bit offset in twelve bytes. The first four of
// each have bytes of their own; the last four have their low nibbles in bytes 8..11 and their two high bits on top of
// the bytes of the first four.
struct GroupScale {
  float scale;
  float offset;
};

GroupScale group_scale(const uint8_t* packed, int group, float d, float m) {
  int scale = 0;
  int offset = 0;
  if (group < 4) {
    scale = packed[group] & 63;
    offset = packed[group + 4] & 63;
  } else {
    scale = (packed[group + 4] & 15) | (packed[group - 4] >> 6) << 4;
    offset = (packed[group + 4] >> 4) | (packed[group] >> 6) << 4;
  }
  return {d * static_cast<float>(scale), m * static_cast<float>(offset)};
}

void q4_k(const uint8_t* __restrict block, float* __restrict out) {
  const float d = load_half(block);
  const float m = load_half(block + 2);
  for (int group = 0; group < 8; ++group) {
    const GroupScale g = group_scale(block + 4, group, d, m);
    const uint8_t* bytes = block + 16 + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      out[group * 32 + i] = g.scale * static_cast<float>((bytes[i] >> shift) & 15) - g.offset;
    }
  }
}

void q5_k(const uint8_t* __restrict block, float* __restrict out) {
  const float d = load_half(block);
  const float m = load_half(block + 2);
  const uint8_t* high = block + 16;
  for (int group = 0; group < 8; ++group) {
    const GroupScale g = group_scale(block + 4, group, d, m);
    const uint8_t* bytes = block + 48 + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int value = ((bytes[i] >> shift) & 15) | ((high[i] >> group) & 1) << 4;
      out[group * 32 + i] = g.scale * static_cast<float>(value) - g.offset;
    }
  }
}

void q6_k(const uint8_t* __restrict block, float* __restrict out) {
  const uint8_t* low = block;
  const uint8_t* high = block + 128;
  const uint8_t* scales = block + 192;
  const float d = load_half(block + 208);
  for (int run = 0; run < 16; ++run) {
    const float scale = d * static_cast<float>(static_cast<int8_t>(scales[run]));
    const int half = run / 8;
    const int part = run / 2 % 4;
    const int start = run % 2 * 16;
    const uint8_t* low4 = low + half * 64 + part % 2 * 32 + start;
    const uint8_t* high2 = high + half * 32 + start;
    for (int i = 0; i < 16; ++i) {
      const int value = ((low4[i] >> (part / 2 * 4)) & 15) | ((high2[i] >> (part * 2)) & 3) << 4;
      out[run * 16 + i] = scale * static_cast<float>(value - 32);
    }
  }
}

template <void (*Unpack)(const uint8_t*, float*)>
void blocks(DType dtype, const uint8_t* bytes, int64_t count, float* out) {
  const DTypeInfo& layout = info(dtype);
  for (int64_t i = 0; i < count / layout.block; ++i) {
    Unpack(bytes + i * layout.block_bytes, out + i * layout.block);
  }
}

void convert(DType dtype, const uint8_t* bytes, int64_t count, float* out) {
  switch (dtype) {
    case DType::kF64:
      return plain<double>(bytes, count, out);
    case DType::kF32:
      std::memcpy(out, bytes, static_cast<size_t>(count) * sizeof(float));
      return;
    case DType::kF16:
      return halves(bytes, count, out);
    case DType::kBF16:
      return bfloats(bytes, count, out);
    case DType::kI64:
      return plain<int64_t>(bytes, count, out);
    case DType::kI32:
      return plain<int32_t>(bytes, count, out);
    case DType::kI16:
      return plain<int16_t>(bytes, count, out);
    case DType::kI8:
      return plain<int8_t>(bytes, count, out);
    case DType::kU8:
      return plain<uint8_t>(bytes, count, out);
    case DType::kBool:
      return bools(bytes, count, out);
    case DType::kQ4_0:
      return blocks<q4_0>(dtype, bytes, count, out);
    case DType::kQ4_1:
      return blocks<q4_1>(dtype, bytes, count, out);
    case DType::kQ5_0:
      return blocks<q5_0>(dtype, bytes, count, out);
    case DType::kQ5_1:
      return blocks<q5_1>(dtype, bytes, count, out);
    case DType::kQ8_0:
      return blocks<q8_0>(dtype, bytes, count, out);
    case DType::kQ2_K:
      return blocks<q2_k>(dtype, bytes, count, out);
    case DType::kQ3_K:
      return blocks<q3_k>(dtype, bytes, count, out);
    case DType::kQ4_K:
      return blocks<q4_k>(dtype, bytes, count, out);
    case DType::kQ5_K:
      return blocks<q5_k>(dtype, bytes, count, out);
    case DType::kQ6_K:
      return blocks<q6_k>(dtype, bytes, count, out);
    case DType::kIQ4_NL:
      return blocks<iq4_nl>(dtype, bytes, count, out);
    case DType::kMXFP4:
      return blocks<mxfp4>(dtype, bytes, count, out);
  }
}

}  // namespace

void to_float(const TensorView& tensor, std::span<float> out) {
  const int64_t count = tensor.numel();
  MERIT_CHECK(out.size() == static_cast<size_t>(count));
  const std::optional<int64_t> bytes = byte_count(tensor.dtype, tensor.shape);
  MERIT_CHECK(bytes && static_cast<size_t>(*bytes) == tensor.bytes.size());
  if (count == 0) return;
  convert(tensor.dtype, reinterpret_cast<const uint8_t*>(tensor.bytes.data()), count, out.data());
}

}  // namespace merit::formats
