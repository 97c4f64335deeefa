// Every element type, from bytes and values worked out by hand.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "merit/formats/weights.h"
#include "tests/formats/formats_support.h"

namespace merit::formats {
namespace {

using testing::as_bytes;
using ::testing::Each;
using ::testing::ElementsAre;
using testing::le;

std::vector<float> floats(DType dtype, const std::string& bytes, std::vector<int64_t> shape) {
  TensorView view{"t", dtype, std::move(shape), as_bytes(bytes)};
  std::vector<float> out(static_cast<size_t>(view.numel()), -999.0F);
  to_float(view, out);
  return out;
}

std::string half(uint16_t bits) { return le(bits); }
constexpr uint16_t kOne = 0x3c00;       // 1.0
constexpr uint16_t kHalf = 0x3800;      // 0.5
constexpr uint16_t kMinusTwo = 0xc000;  // -2.0

TEST(DTypes, TableAgreesWithBlockArithmetic) {
  // ggml: a half scale (and a half offset) plus the packed bits of a block.
  EXPECT_EQ(info(DType::kQ4_0).block_bytes, 2 + 32 * 4 / 8);
  EXPECT_EQ(info(DType::kQ4_1).block_bytes, 2 + 2 + 32 * 4 / 8);
  EXPECT_EQ(info(DType::kQ5_0).block_bytes, 2 + 32 * 5 / 8);
  EXPECT_EQ(info(DType::kQ5_1).block_bytes, 2 + 2 + 32 * 5 / 8);
  EXPECT_EQ(info(DType::kQ8_0).block_bytes, 2 + 32);
  EXPECT_EQ(info(DType::kIQ4_NL).block_bytes, 2 + 32 * 4 / 8);
  EXPECT_EQ(info(DType::kMXFP4).block_bytes, 1 + 32 * 4 / 8);
  EXPECT_EQ(info(DType::kQ2_K).block_bytes, 2 + 2 + 16 + 256 * 2 / 8);
  EXPECT_EQ(info(DType::kQ3_K).block_bytes, 2 + 12 + 256 * 3 / 8);
  EXPECT_EQ(info(DType::kQ4_K).block_bytes, 2 + 2 + 12 + 256 * 4 / 8);
  EXPECT_EQ(info(DType::kQ5_K).block_bytes, 2 + 2 + 12 + 256 * 5 / 8);
  EXPECT_EQ(info(DType::kQ6_K).block_bytes, 2 + 16 + 256 * 6 / 8);
  EXPECT_EQ(name(DType::kBF16), "BF16");
  EXPECT_EQ(dtype_from_gguf(3), DType::kQ4_1);
  EXPECT_EQ(dtype_from_gguf(4), std::nullopt);
  EXPECT_EQ(dtype_from_gguf(0xffffffff), std::nullopt);
  EXPECT_EQ(dtype_from_safetensors("BOOL"), DType::kBool);
  EXPECT_EQ(dtype_from_safetensors("Q4_1"), std::nullopt);
}

TEST(DTypes, SizesRefuseOverflowAndPartBlocks) {
  const int64_t big = int64_t{1} << 62;
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count(std::vector<int64_t>{3, 0, 5}), 0);
  EXPECT_EQ(element_count(std::vector<int64_t>{big, 4}), std::nullopt);
  EXPECT_EQ(element_count(std::vector<int64_t>{0, big, 4}), std::nullopt);
  EXPECT_EQ(element_count(std::vector<int64_t>{-1, 4}), std::nullopt);
  EXPECT_EQ(byte_count(DType::kF32, std::vector<int64_t>{big}), std::nullopt);
  EXPECT_EQ(byte_count(DType::kQ4_0, std::vector<int64_t>{2, 64}), 4 * 18);
  EXPECT_EQ(byte_count(DType::kQ4_0, std::vector<int64_t>{32, 2}), std::nullopt);
}

TEST(ToFloat, PlainTypes) {
  EXPECT_THAT(floats(DType::kF32, le(1.5F) + le(-0.25F), {2}), ElementsAre(1.5F, -0.25F));
  // 0.1 in double lies between two floats; the nearest is 0.1F.
  EXPECT_THAT(floats(DType::kF64, le(0.1) + le(-3.0), {2}), ElementsAre(0.1F, -3.0F));
  EXPECT_THAT(floats(DType::kBF16, le<uint16_t>(0x3f80) + le<uint16_t>(0xc040), {2}), ElementsAre(1.0F, -3.0F));
  EXPECT_THAT(floats(DType::kI64, le<int64_t>(-5) + le<int64_t>(16777217), {2}), ElementsAre(-5.0F, 16777216.0F));
  EXPECT_THAT(floats(DType::kI32, le<int32_t>(-7), {1}), ElementsAre(-7.0F));
  EXPECT_THAT(floats(DType::kI16, le<int16_t>(-300), {1}), ElementsAre(-300.0F));
  EXPECT_THAT(floats(DType::kI8, le<int8_t>(-128), {1}), ElementsAre(-128.0F));
  EXPECT_THAT(floats(DType::kU8, le<uint8_t>(255), {1}), ElementsAre(255.0F));
  EXPECT_THAT(floats(DType::kBool, std::string("\0\1\2", 3), {3}), ElementsAre(0.0F, 1.0F, 1.0F));
  EXPECT_THAT(floats(DType::kF32, le(2.0F), {}), ElementsAre(2.0F));
  EXPECT_THAT(floats(DType::kF32, "", {0, 4}), ElementsAre());
}

TEST(ToFloat, EveryHalfEqualsItsDefinition) {
  std::string bytes;
  for (uint32_t bits = 0; bits < 65536; ++bits) bytes += le(static_cast<uint16_t>(bits));
  const std::vector<float> got = floats(DType::kF16, bytes, {65536});
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const int mantissa = static_cast<int>(bits & 1023);
    const double sign = bits >> 15 != 0 ? -1 : 1;
    if (exponent == 31 && mantissa != 0) {
      EXPECT_TRUE(std::isnan(got[bits])) << bits;
      continue;
    }
    // IEEE 754: subnormals are mantissa * 2^-24, the others (1024 + mantissa) * 2^(exponent - 25).
    double expected = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31) expected = std::numeric_limits<double>::infinity();
    ASSERT_EQ(got[bits], static_cast<float>(sign * expected)) << bits;
    ASSERT_EQ(std::signbit(got[bits]), bits >> 15 != 0) << bits;
  }
}

TEST(ToFloat, UnalignedBytes) {
  const std::string bytes = "x" + le(1.5F) + le(2.5F);
  TensorView view{"t", DType::kF32, {2}, as_bytes(bytes).subspan(1)};
  std::vector<float> out(2);
  to_float(view, out);
  EXPECT_THAT(out, ElementsAre(1.5F, 2.5F));
}

// Byte i of the nibbles is i | (15 - i) << 4, so elements 0..15 have q = i and elements 16..31 q = 15 - i.
std::string nibble_ramp() {
  std::string out;
  for (int i = 0; i < 16; ++i) out += static_cast<char>(i | (15 - i) << 4);
  return out;
}

TEST(ToFloat, Q4_0IsScaleTimesNibbleLessEight) {
  const auto got = floats(DType::kQ4_0, half(kHalf) + nibble_ramp(), {32});
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(got[i], 0.5F * (i - 8));
    EXPECT_EQ(got[16 + i], 0.5F * (15 - i - 8));
  }
}

TEST(ToFloat, Q4_1IsScaleTimesNibblePlusOffset) {
  const auto got = floats(DType::kQ4_1, half(kHalf) + half(kMinusTwo) + nibble_ramp(), {1, 32});
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(got[i], 0.5F * i - 2.0F);
    EXPECT_EQ(got[16 + i], 0.5F * (15 - i) - 2.0F);
  }
}

TEST(ToFloat, Q5TakesItsFifthBitFromTheWord) {
  // Bit 1 and bit 16 are set: elements 1 and 16 gain 16.
  const std::string high = le<uint32_t>(1U << 1 | 1U << 16);
  const auto centred = floats(DType::kQ5_0, half(kHalf) + high + nibble_ramp(), {32});
  const auto shifted = floats(DType::kQ5_1, half(kHalf) + half(kMinusTwo) + high + nibble_ramp(), {32});
  for (int i = 0; i < 32; ++i) {
    const int q = (i < 16 ? i : 31 - i) + (i == 1 || i == 16 ? 16 : 0);
    EXPECT_EQ(centred[i], 0.5F * (q - 16)) << i;
    EXPECT_EQ(shifted[i], 0.5F * q - 2.0F) << i;
  }
}

TEST(ToFloat, Q8_0IsScaleTimesSignedByte) {
  std::string bytes = half(kMinusTwo);
  for (int i = 0; i < 32; ++i) bytes += static_cast<char>(i * 8 - 128);
  const auto got = floats(DType::kQ8_0, bytes, {32});
  for (int i = 0; i < 32; ++i) EXPECT_EQ(got[i], -2.0F * (i * 8 - 128));
}

TEST(ToFloat, Iq4NlUsesItsSixteenLevels) {
  const int levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  const auto got = floats(DType::kIQ4_NL, half(kHalf) + nibble_ramp(), {32});
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(got[i], 0.5F * levels[i]);
    EXPECT_EQ(got[16 + i], 0.5F * levels[15 - i]);
  }
}

TEST(ToFloat, Mxfp4IsE2m1UnderAPowerOfTwo) {
  // E2M1: sign, two exponent bits of bias 1, one mantissa bit.
  const float magnitudes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const auto got = floats(DType::kMXFP4, std::string(1, static_cast<char>(128)) + nibble_ramp(), {32});  // 2^(128-127)
  for (int i = 0; i < 16; ++i) {
    const float value = i < 8 ? magnitudes[i] : -magnitudes[i - 8];
    EXPECT_EQ(got[i], 2.0F * value);
    EXPECT_EQ(got[31 - i], 2.0F * value);
  }
  // The exponents 0 and 1 make the halved scale subnormal: 2^-127 times 6, 2^-126 times 6.
  std::string sevens(16, '\x77');
  EXPECT_EQ(floats(DType::kMXFP4, std::string(1, '\0') + sevens, {32})[0], std::ldexp(6.0F, -127));
  EXPECT_EQ(floats(DType::kMXFP4, std::string(1, '\1') + sevens, {32})[0], std::ldexp(6.0F, -126));
}

// For the K types each test sets one element apart: all packed bits are 0 but those of one element.

TEST(ToFloat, Q2KScalesAndOffsetsEachRunOf16) {
  std::string scales(16, '\0');
  scales[9] = 0x53;  // run 9 (elements 144..159): scale 3, offset 5
  std::string q(64, '\0');
  // Element 150 = half 1, part 0, i = 22: byte 32 + 22, shift 0.
  q[54] = 2;
  const auto got = floats(DType::kQ2_K, scales + q + half(kHalf) + half(kOne), {256});
  for (int i = 0; i < 256; ++i) {
    const float expected = i == 150 ? 0.5F * 3 * 2 - 5 : i / 16 == 9 ? -5.0F : 0.0F;
    EXPECT_EQ(got[i], expected) << i;
  }
}

TEST(ToFloat, Q3KJoinsLowBitsHighBitAndSixBitScale) {
  std::string high(32, '\xff');  // a set bit leaves q as it is, a clear one takes 4 away
  std::string q(64, '\0');
  std::string scales(12, '\0');
  // Element 100 = half 0, part 3, i = 4: byte 4, shift 6, high bit 3 of byte 4. Run 6.
  q[4] = static_cast<char>(3 << 6);
  // Run 6: low bits in byte 6's low nibble, high bits in byte 8 + 6 % 4 at shift 2 * (6 / 4).
  scales[6] = 0x0b;
  scales[10] = 2 << 2;  // 11 + 2 * 16 - 32 = 11
  // Element 240 = half 1, part 7 of 8, i = 16: its high bit is bit 7 of byte 16. Run 15: all scale bits 0: -32.
  high[16] = 0x7f;
  const auto got = floats(DType::kQ3_K, high + q + scales + half(kHalf), {256});
  EXPECT_EQ(got[100], 0.5F * 11 * 3);
  EXPECT_EQ(got[240], 0.5F * -32 * -4);
  for (int i = 0; i < 256; ++i) {
    if (i == 100 || i == 240) continue;
    EXPECT_EQ(got[i], 0.0F) << i;
  }
}

// Scale 33 and offset 18 for group 1, scale 50 and offset 61 for group 6.
std::string group_scales() {
  std::string packed(12, '\0');
  packed[1] = 33;
  packed[5] = 18;
  // Group 6: low nibbles in byte 10 (scale low, offset high), high bits on top of bytes 2 and 6.
  packed[10] = static_cast<char>((50 & 15) | (61 & 15) << 4);
  packed[2] = static_cast<char>((50 >> 4) << 6);
  packed[6] = static_cast<char>((61 >> 4) << 6);
  return packed;
}

TEST(ToFloat, Q4KScalesAndOffsetsEachGroupOf32) {
  std::string q(128, '\0');
  q[5] = static_cast<char>(9 << 4);  // element 37: group 1, the high nibble of byte 5
  q[96 + 7] = 13;                    // element 199: group 6, the low nibble of byte 96 + 7
  const auto got = floats(DType::kQ4_K, half(kHalf) + half(kOne) + group_scales() + q, {256});
  for (int i = 0; i < 256; ++i) {
    float expected = i / 32 == 1 ? -18.0F : i / 32 == 6 ? -61.0F : 0.0F;
    if (i == 37) expected += 0.5F * 33 * 9;
    if (i == 199) expected += 0.5F * 50 * 13;
    EXPECT_EQ(got[i], expected) << i;
  }
}

TEST(ToFloat, Q5KAddsAFifthBitPerGroup) {
  std::string q(128, '\0');
  q[96 + 7] = 13;
  std::string high(32, '\0');
  high[5] = 1 << 1;  // element 37: bit 1 of byte 5
  high[7] = 1 << 6;  // element 199: bit 6 of byte 7
  const auto got = floats(DType::kQ5_K, half(kHalf) + half(kOne) + group_scales() + high + q, {256});
  for (int i = 0; i < 256; ++i) {
    float expected = i / 32 == 1 ? -18.0F : i / 32 == 6 ? -61.0F : 0.0F;
    if (i == 37) expected += 0.5F * 33 * 16;
    if (i == 199) expected += 0.5F * 50 * 29;
    EXPECT_EQ(got[i], expected) << i;
  }
}

TEST(ToFloat, Q6KJoinsFourLowAndTwoHighBits) {
  std::string low(128, '\0');
  std::string high(64, '\0');
  std::string scales(16, '\0');
  // Element 70 = half 0, part 2, i = 6: the high nibble of byte 6, bits 4..5 of high byte 6. Run 4.
  low[6] = static_cast<char>(5 << 4);
  high[6] = 3 << 4;
  scales[4] = -7;
  // Element 185 = half 1, part 1, i = 25: the low nibble of byte 64 + 32 + 25, bits 2..3 of high byte 32 + 25. Run 11.
  low[121] = 9;
  high[57] = 1 << 2;
  scales[11] = 2;
  const auto got = floats(DType::kQ6_K, low + high + scales + half(kHalf), {256});
  for (int i = 0; i < 256; ++i) {
    float expected = i / 16 == 4 ? 0.5F * -7 * -32 : i / 16 == 11 ? 0.5F * 2 * -32 : 0.0F;
    if (i == 70) expected = 0.5F * -7 * (5 + 48 - 32);
    if (i == 185) expected = 0.5F * 2 * (9 + 16 - 32);
    EXPECT_EQ(got[i], expected) << i;
  }
}

TEST(Rows, CutsTheOutermostDimension) {
  std::string bytes;
  for (int i = 0; i < 12; ++i) bytes += le(static_cast<float>(i));
  const TensorView view{"t", DType::kF32, {3, 2, 2}, as_bytes(bytes)};
  const TensorView part = rows(view, 1, 3);
  EXPECT_THAT(part.shape, ElementsAre(2, 2, 2));
  std::vector<float> out(8);
  to_float(part, out);
  EXPECT_THAT(out, ElementsAre(4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_EQ(rows(view, 2, 2).numel(), 0);
  EXPECT_THROW(rows(view, 2, 4), std::logic_error);
  EXPECT_THROW(rows(view, -1, 2), std::logic_error);
}

TEST(Rows, CutsQuantisedRowsAndRefusesToCutABlock) {
  std::string bytes;
  for (int row = 0; row < 3; ++row) bytes += half(kOne) + std::string(32, static_cast<char>(row));
  std::vector<float> out(32);
  to_float(rows({"t", DType::kQ8_0, {3, 32}, as_bytes(bytes)}, 2, 3), out);
  EXPECT_THAT(out, Each(2.0F));
  const TensorView line{"t", DType::kQ8_0, {96}, as_bytes(bytes)};
  to_float(rows(line, 32, 64), out);
  EXPECT_THAT(out, Each(1.0F));
  EXPECT_THROW(rows(line, 16, 48), std::logic_error);
}

TEST(ToFloat, OutputOfAnotherSizeIsOurBug) {
  const std::string bytes = le(1.0F);
  std::vector<float> out(2);
  EXPECT_THROW(to_float({"t", DType::kF32, {1}, as_bytes(bytes)}, out), std::logic_error);
  EXPECT_THROW(to_float({"t", DType::kF32, {2}, as_bytes(bytes)}, out), std::logic_error);
}

}  // namespace
}  // namespace merit::formats
