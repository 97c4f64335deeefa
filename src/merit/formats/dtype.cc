#include "merit/formats/dtype.h"

#include <bit>

#include "merit/core/error.h"

namespace merit::formats {

static_assert(std::endian::native == std::endian::little, "weight files are little-endian and are read in place");

namespace {

constexpr DTypeInfo kDTypes[] = {
    {DType::kF64, "F64", 1, 8, true, 28},
    {DType::kF32, "F32", 1, 4, true, 0},
    {DType::kF16, "F16", 1, 2, true, 1},
    {DType::kBF16, "BF16", 1, 2, true, 30},
    {DType::kI64, "I64", 1, 8, true, 27},
    {DType::kI32, "I32", 1, 4, true, 26},
    {DType::kI16, "I16", 1, 2, true, 25},
    {DType::kI8, "I8", 1, 1, true, 24},
    {DType::kU8, "U8", 1, 1, true, -1},
    {DType::kBool, "BOOL", 1, 1, true, -1},
    {DType::kQ4_0, "Q4_0", 32, 18, false, 2},
    {DType::kQ4_1, "Q4_1", 32, 20, false, 3},
    {DType::kQ5_0, "Q5_0", 32, 22, false, 6},
    {DType::kQ5_1, "Q5_1", 32, 24, false, 7},
    {DType::kQ8_0, "Q8_0", 32, 34, false, 8},
    {DType::kQ2_K, "Q2_K", 256, 84, false, 10},
    {DType::kQ3_K, "Q3_K", 256, 110, false, 11},
    {DType::kQ4_K, "Q4_K", 256, 144, false, 12},
    {DType::kQ5_K, "Q5_K", 256, 176, false, 13},
    {DType::kQ6_K, "Q6_K", 256, 210, false, 14},
    {DType::kIQ4_NL, "IQ4_NL", 32, 18, false, 20},
    {DType::kMXFP4, "MXFP4", 32, 17, false, 39},
};

constexpr bool table_matches_enum() {
  for (size_t i = 0; i < std::size(kDTypes); ++i) {
    if (static_cast<size_t>(kDTypes[i].dtype) != i) return false;
  }
  return true;
}
static_assert(table_matches_enum());

}  // namespace

std::span<const DTypeInfo> dtypes() { return kDTypes; }

const DTypeInfo& info(DType dtype) {
  const auto index = static_cast<size_t>(dtype);
  MERIT_CHECK(index < std::size(kDTypes));
  return kDTypes[index];
}

std::optional<DType> dtype_from_safetensors(std::string_view name) {
  for (const DTypeInfo& entry : kDTypes) {
    if (entry.in_safetensors && entry.name == name) return entry.dtype;
  }
  return std::nullopt;
}

std::optional<DType> dtype_from_gguf(uint32_t id) {
  for (const DTypeInfo& entry : kDTypes) {
    if (entry.gguf_id >= 0 && static_cast<uint32_t>(entry.gguf_id) == id) return entry.dtype;
  }
  return std::nullopt;
}

std::optional<int64_t> element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  bool empty = false;
  // A zero anywhere makes the product zero, but must not hide that the others overflow.
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(count, size, &count)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : count;
}

std::optional<int64_t> byte_count(DType dtype, std::span<const int64_t> shape) {
  const std::optional<int64_t> count = element_count(shape);
  if (!count) return std::nullopt;
  const DTypeInfo& entry = info(dtype);
  const int64_t row = shape.empty() ? 1 : shape.back();
  if (row % entry.block != 0) return std::nullopt;
  int64_t bytes = 0;
  if (__builtin_mul_overflow(*count / entry.block, entry.block_bytes, &bytes)) return std::nullopt;
  return bytes;
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace merit::formats
