// The element types of weights: plain ones (safetensors, GGUF) and GGUF's block quantisations, in one table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace merit::formats {

enum class DType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kMXFP4,
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;  // as safetensors and GGUF spell it: "BF16", "Q4_1"
  int64_t block;          // elements in a block; 1 for plain types
  int64_t block_bytes;    // bytes of a block
  bool in_safetensors;    // may stand in a safetensors file
  int32_t gguf_id;        // ggml's type number, -1 if GGUF has no such type
};

// Every type, in the order of the enum.
std::span<const DTypeInfo> dtypes();

const DTypeInfo& info(DType dtype);
inline std::string_view name(DType dtype) { return info(dtype).name; }
inline bool is_quantized(DType dtype) { return info(dtype).block > 1; }

// The type of that name or ggml number that the container may hold; none if merit does not read it.
std::optional<DType> dtype_from_safetensors(std::string_view name);
std::optional<DType> dtype_from_gguf(uint32_t id);

// The product of the dimensions (1 for a scalar), or none if one is negative or the product exceeds int64.
std::optional<int64_t> element_count(std::span<const int64_t> shape);
// The bytes of a tensor, or none if the count overflows or the innermost dimension is not a whole number of blocks.
std::optional<int64_t> byte_count(DType dtype, std::span<const int64_t> shape);

// "[2, 3]"
std::string shape_text(std::span<const int64_t> shape);

}  // namespace merit::formats
