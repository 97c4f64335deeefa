// GGUF, versions 2 and 3, little-endian: typed metadata, tensor descriptions, aligned tensor bytes.
// Source: the GGUF specification in the ggml repository (docs/gguf.md).
#pragma once

#include <map>
#include <memory>
#include <variant>

#include "merit/core/file.h"
#include "merit/formats/weights.h"

namespace merit::formats {

// One metadata value. Integers of every width are int64_t (uint64_t only where int64_t cannot hold it), both float
// widths double. Arrays are vectors of the same, bools in arrays being 0 and 1; arrays of arrays nest as values.
// Strings are bytes: the format does not promise UTF-8 in values.
struct GgufValue {
  std::variant<int64_t, uint64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>,
               std::vector<std::string>, std::vector<GgufValue>>
      value;
};

class GgufFile : public WeightSource {
 public:
  // Maps and checks the file; for the first file of a split model (NAME-00001-of-0000N.gguf) its other parts too, and
  // tensors() then has all of them. Error(kData), naming file and key or tensor, for all that is malformed:
  // counts, strings or arrays larger than the file, empty or repeated names, more than 4 dimensions, a dimension of 0,
  // sizes that overflow, rows that are no whole number of blocks, an alignment that is no power of two, bytes that are
  // misaligned, overlap or lie outside the file. Error(kLimit): metadata over 256 MB, arrays nested deeper than 4.
  // Error(kUnsupported): version 1, big-endian files, tensor types that merit does not read.
  explicit GgufFile(const std::filesystem::path& path);
  // The same for one whole file in memory, which must outlive the object.
  GgufFile(std::span<const std::byte> bytes, std::string where);

  void release(const TensorView& tensor) const override;

  uint32_t version() const { return version_; }
  // All of it, general.alignment included. Of a split model: the first part's.
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }

  bool has(std::string_view key) const { return metadata_.find(key) != metadata_.end(); }

  // A value of the type asked for; Error(kData) naming the file and the key if it is missing or of another type.
  // get_double takes integers too.
  const std::string& get_string(std::string_view key) const;
  int64_t get_int(std::string_view key) const;
  double get_double(std::string_view key) const;
  bool get_bool(std::string_view key) const;
  const std::vector<std::string>& get_strings(std::string_view key) const;
  const std::vector<int64_t>& get_ints(std::string_view key) const;
  const std::vector<double>& get_doubles(std::string_view key) const;

  // The same, with a fallback for a key that is missing.
  std::string get_string_or(std::string_view key, std::string fallback) const;
  int64_t get_int_or(std::string_view key, int64_t fallback) const;
  double get_double_or(std::string_view key, double fallback) const;
  bool get_bool_or(std::string_view key, bool fallback) const;

 private:
  void parse(std::span<const std::byte> bytes);
  void open_parts(const std::filesystem::path& first, int64_t count);
  const GgufValue& value(std::string_view key) const;
  template <typename T>
  const T& get(std::string_view key, const char* expected) const;

  std::vector<std::unique_ptr<MappedFile>> files_;  // one, or the parts in order
  uint32_t version_ = 0;
  std::map<std::string, GgufValue, std::less<>> metadata_;
};

}  // namespace merit::formats
