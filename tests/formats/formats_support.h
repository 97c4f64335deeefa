// Hand-made files for the tests of formats.
#pragma once

#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "merit/core/error.h"
#include "merit/formats/dtype.h"

namespace merit::formats::testing {

// The little-endian bytes of a number.
template <typename T>
std::string le(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// A copy on the heap of exactly these bytes, so that the address sanitizer sees a read behind them.
class Exact {
 public:
  explicit Exact(std::string_view text) : bytes_(text.begin(), text.end()) { bytes_.shrink_to_fit(); }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span<const char>(bytes_)); }

 private:
  std::vector<char> bytes_;
};

// A safetensors file of this header and data.
std::string safetensors_file(std::string_view header, std::string_view data);

// An entry of a zip archive. Sizes and offset are put into a Zip64 field where `zip64` says so.
struct ZipFile {
  std::string name;
  std::string bytes;
  uint16_t method = 0;
  uint16_t flags = 0;
  bool zip64 = false;
  int64_t local = -1;  // where the directory says the local header is, if not where it is
  int64_t size = -1;   // what the directory gives as the size, if not the size
};

// A zip archive of stored entries; with `zip64` the end record points to a Zip64 one, as in archives over 4 GB.
std::string zip_file(const std::vector<ZipFile>& files, bool zip64 = false);

// Pieces of a pickle of protocol 2, as torch.save writes them.
namespace pickle {
std::string text(std::string_view value);
std::string integer(int32_t value);
std::string tuple(const std::vector<int32_t>& values);
std::string global(const std::string& module, const std::string& name);
// A tensor on the stack: `type` as in "FloatStorage".
std::string tensor(const std::string& type, const std::string& key, int32_t elements, int32_t offset,
                   const std::vector<int32_t>& shape, const std::vector<int32_t>& strides);
// The whole pickle of a dictionary of these members, which stand on the stack as key, value, ...
std::string dictionary(const std::string& members);
}  // namespace pickle

// Value types of GGUF metadata.
enum : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBoolean, kString, kArray, kU64, kI64, kF64 };

std::string gguf_text(std::string_view text);

struct GgufTensor {
  std::string name;
  std::vector<uint64_t> dims;  // innermost first, as in the file
  uint32_t type = 0;
  uint64_t offset = 0;
};

// The parts of a GGUF file; the counts are those of the lists unless a test sets them.
struct GgufBytes {
  uint32_t version = 3;
  std::vector<std::pair<std::string, std::string>> entries;  // key, and the bytes of type and value
  std::vector<GgufTensor> tensors;
  std::string data;
  uint64_t alignment = 32;  // where the data is put; the metadata does not say so by itself
  int64_t tensor_count = -1;
  int64_t entry_count = -1;

  std::string bytes() const;
};

// The error that the call throws; a failed expectation if it throws none.
template <typename Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kUsage, "nothing was thrown");
}

// A folder that is there for one test.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace merit::formats::testing
