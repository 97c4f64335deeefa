#include "merit/formats/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "merit/core/error.h"

namespace merit::formats {
namespace {

constexpr uint64_t kMaxMetadataBytes = 256'000'000;
constexpr uint64_t kMaxNameBytes = 65535;
constexpr uint32_t kMaxDimensions = 4;
constexpr int kMaxArrayDepth = 4;
constexpr uint64_t kDefaultAlignment = 32;

// The smallest a metadata entry and a tensor description can be: they bound the counts before anything is allocated.
constexpr uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 4 + 8;

enum class ValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

// The fewest bytes a value of this type takes; 0 for a number that is no type.
uint64_t min_bytes(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool:
      return 1;
    case ValueType::kU16:
    case ValueType::kI16:
      return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32:
      return 4;
    case ValueType::kString:
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64:
      return 8;
    case ValueType::kArray:
      return 12;
  }
  return 0;
}

// Reads forward and never past the end. `item` says in messages what is being read: a key or a tensor.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  void set_item(std::string item) { item_ = std::move(item); }

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }

  std::string text() {
    const auto length = number<uint64_t>();
    if (length > remaining()) complain("a text of {} bytes, {} are left in the file", length, remaining());
    return {reinterpret_cast<const char*>(take(length)), static_cast<size_t>(length)};
  }

  std::string name() {
    std::string out = text();
    if (out.empty()) complain("the name is empty");
    if (out.size() > kMaxNameBytes) complain("a name of {} bytes, at most {} are allowed", out.size(), kMaxNameBytes);
    return out;
  }

  // A count of things that take at least `each` bytes.
  uint64_t count(uint64_t each, const char* what) {
    const auto out = number<uint64_t>();
    if (out > remaining() / each) complain("{} {}, more than {} bytes can hold", out, what, remaining());
    return out;
  }

  template <typename... Args>
  [[noreturn]] void complain(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::kData, "{}: {}: at byte {}: {}", where_, item_, position_,
         fmt::format(format, std::forward<Args>(args)...));
  }

  const std::string& where() const { return where_; }
  const std::string& item() const { return item_; }

 private:
  const std::byte* take(uint64_t size) {
    if (size > remaining()) complain("expected {} more bytes, the file ends after {}", size, remaining());
    if (position_ + size > kMaxMetadataBytes) {
      fail(ErrorKind::kLimit, "{}: {}: metadata is larger than the limit of {} bytes", where_, item_,
           kMaxMetadataBytes);
    }
    const std::byte* out = bytes_.data() + position_;
    position_ += size;
    return out;
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  std::string item_ = "header";
  uint64_t position_ = 0;
};

bool read_bool(Cursor& in) {
  const auto value = in.number<uint8_t>();
  if (value > 1) in.complain("a bool must be 0 or 1, got {}", value);
  return value == 1;
}

// For all integer types but kU64.
int64_t read_int(Cursor& in, ValueType type) {
  switch (type) {
    case ValueType::kU8:
      return in.number<uint8_t>();
    case ValueType::kI8:
      return in.number<int8_t>();
    case ValueType::kU16:
      return in.number<uint16_t>();
    case ValueType::kI16:
      return in.number<int16_t>();
    case ValueType::kU32:
      return in.number<uint32_t>();
    case ValueType::kI32:
      return in.number<int32_t>();
    default:
      return in.number<int64_t>();
  }
}

double read_double(Cursor& in, ValueType type) {
  return type == ValueType::kF32 ? static_cast<double>(in.number<float>()) : in.number<double>();
}

ValueType read_type(Cursor& in) {
  const auto type = static_cast<ValueType>(in.number<uint32_t>());
  if (min_bytes(type) == 0) in.complain("there is no value type {}", static_cast<uint32_t>(type));
  return type;
}

GgufValue read_array(Cursor& in, int depth);

GgufValue read_value(Cursor& in, ValueType type, int depth) {
  switch (type) {
    case ValueType::kBool:
      return {read_bool(in)};
    case ValueType::kF32:
    case ValueType::kF64:
      return {read_double(in, type)};
    case ValueType::kString:
      return {in.text()};
    case ValueType::kArray:
      return read_array(in, depth + 1);
    case ValueType::kU64: {
      const auto value = in.number<uint64_t>();
      if (value > INT64_MAX) return {value};
      return {static_cast<int64_t>(value)};
    }
    default:
      return {read_int(in, type)};
  }
}

template <typename T, typename Read>
GgufValue read_elements(uint64_t count, Read read) {
  std::vector<T> out;
  out.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) out.push_back(read());
  return {std::move(out)};
}

GgufValue read_array(Cursor& in, int depth) {
  if (depth > kMaxArrayDepth) {
    fail(ErrorKind::kLimit, "{}: {}: arrays are nested deeper than {}", in.where(), in.item(), kMaxArrayDepth);
  }
  const ValueType type = read_type(in);
  const uint64_t count = in.count(min_bytes(type), "array elements");
  switch (type) {
    case ValueType::kBool:
      return read_elements<int64_t>(count, [&]() -> int64_t { return read_bool(in) ? 1 : 0; });
    case ValueType::kF32:
    case ValueType::kF64:
      return read_elements<double>(count, [&] { return read_double(in, type); });
    case ValueType::kString:
      return read_elements<std::string>(count, [&] { return in.text(); });
    case ValueType::kArray:
      return read_elements<GgufValue>(count, [&] { return read_array(in, depth + 1); });
    case ValueType::kU64:
      return read_elements<int64_t>(count, [&] {
        const auto value = in.number<uint64_t>();
        if (value > INT64_MAX) in.complain("{} in an array is larger than int64 holds", value);
        return static_cast<int64_t>(value);
      });
    default:
      return read_elements<int64_t>(count, [&] { return read_int(in, type); });
  }
}

uint32_t read_version(Cursor& in) {
  char magic[4];
  for (char& byte : magic) byte = in.number<char>();
  if (std::string_view(magic, 4) != "GGUF") {
    in.complain("expected a GGUF file, it starts with {}", quote({magic, 4}));
  }
  const auto version = in.number<uint32_t>();
  if (version == 2 || version == 3) return version;
  const bool swapped = version != 0 && (version & 0xffff) == 0;
  fail(ErrorKind::kUnsupported, "{}: GGUF {}; versions 2 and 3, little-endian, are read", in.where(),
       swapped ? "in big-endian order" : "version " + std::to_string(version));
}

// A tensor whose bytes are not cut out yet.
struct Description {
  TensorView view;
  uint64_t offset = 0;
  uint64_t size = 0;
};

Description read_description(Cursor& in, uint64_t number) {
  in.set_item(fmt::format("tensor {}", number));
  Description out;
  out.view.name = in.name();
  in.set_item("tensor " + quote(out.view.name));
  const auto dimensions = in.number<uint32_t>();
  if (dimensions > kMaxDimensions) in.complain("{} dimensions, at most {} are allowed", dimensions, kMaxDimensions);
  out.view.shape.resize(dimensions);
  // Innermost first in the file.
  for (uint32_t i = dimensions; i-- > 0;) {
    const auto size = in.number<uint64_t>();
    if (size == 0 || size > INT64_MAX) in.complain("a dimension must be from 1 to 2^63 - 1, got {}", size);
    out.view.shape[i] = static_cast<int64_t>(size);
  }
  const auto type = in.number<uint32_t>();
  const std::optional<DType> dtype = dtype_from_gguf(type);
  if (!dtype) {
    fail(ErrorKind::kUnsupported, "{}: {}: ggml type {} is not read; convert the file to one of F16, Q8_0, Q4_K, ...",
         in.where(), in.item(), type);
  }
  out.view.dtype = *dtype;
  const std::optional<int64_t> size = byte_count(*dtype, out.view.shape);
  if (!size) {
    in.complain("{} {} is no whole number of blocks of {}, or its size overflows", name(*dtype),
                shape_text(out.view.shape), info(*dtype).block);
  }
  out.size = static_cast<uint64_t>(*size);
  out.offset = in.number<uint64_t>();
  return out;
}

// Cuts the tensors out of `data`, which starts at the first multiple of the alignment behind the descriptions.
void place(std::vector<Description>& tensors, std::span<const std::byte> data, uint64_t alignment,
           const std::string& where) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const Description& a, const Description& b) { return a.offset < b.offset; });
  uint64_t end = 0;
  for (Description& tensor : tensors) {
    const auto complain = [&](const std::string& what) {
      fail(ErrorKind::kData, "{}: tensor {}: its offset {} {}", where, quote(tensor.view.name), tensor.offset, what);
    };
    if (tensor.offset % alignment != 0) complain(fmt::format("is no multiple of the alignment {}", alignment));
    if (tensor.offset < end) complain(fmt::format("overlaps the tensor before it, which ends at {}", end));
    if (tensor.offset > data.size() || tensor.size > data.size() - tensor.offset) {
      complain(fmt::format("and {} bytes reach past the file's {} bytes of data", tensor.size, data.size()));
    }
    tensor.view.bytes = data.subspan(tensor.offset, tensor.size);
    end = tensor.offset + tensor.size;
  }
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : WeightSource(path.string()) {
  files_.push_back(std::make_unique<MappedFile>(path));
  parse(files_[0]->bytes());
  const int64_t parts = get_int_or("split.count", 1);
  if (parts > 1) open_parts(path, parts);
}

void GgufFile::release(const TensorView& tensor) const {
  for (const auto& file : files_) file->release(tensor.bytes);
}

GgufFile::GgufFile(std::span<const std::byte> bytes, std::string where) : WeightSource(std::move(where)) {
  parse(bytes);
}

void GgufFile::parse(std::span<const std::byte> bytes) {
  Cursor in(bytes, where());
  version_ = read_version(in);
  const uint64_t tensor_count = in.count(kMinTensorBytes, "tensors");
  const uint64_t entry_count = in.count(kMinEntryBytes, "metadata entries");
  for (uint64_t i = 0; i < entry_count; ++i) {
    in.set_item(fmt::format("metadata entry {}", i));
    std::string key = in.name();
    in.set_item("key " + quote(key));
    if (has(key)) in.complain("the key is there twice");
    GgufValue value = read_value(in, read_type(in), 0);
    metadata_.emplace(std::move(key), std::move(value));
  }
  const auto alignment = static_cast<uint64_t>(get_int_or("general.alignment", kDefaultAlignment));
  if (!std::has_single_bit(alignment) || alignment > (uint64_t{1} << 31)) {
    fail(ErrorKind::kData, "{}: key \"general.alignment\": expected a power of two, got {}", where(), alignment);
  }
  std::vector<Description> descriptions;
  for (uint64_t i = 0; i < tensor_count; ++i) descriptions.push_back(read_description(in, i));
  const uint64_t start = (in.position() + alignment - 1) / alignment * alignment;
  place(descriptions, bytes.subspan(std::min<uint64_t>(start, bytes.size())), alignment, where());
  for (Description& description : descriptions) add(std::move(description.view));
}

void GgufFile::open_parts(const std::filesystem::path& first, int64_t count) {
  const std::string file = first.filename().string();
  const std::string ending = fmt::format("-00001-of-{:05}.gguf", count);
  if (get_int_or("split.no", 0) != 0 || !file.ends_with(ending)) {
    fail(ErrorKind::kData, "{}: a part of a model split into {}; open the first part, whose name ends in {}", where(),
         count, ending);
  }
  const std::string stem = file.substr(0, file.size() - ending.size());
  for (int64_t number = 1; number < count; ++number) {
    const auto path = first.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", stem, number + 1, count);
    files_.push_back(std::make_unique<MappedFile>(path));
    const GgufFile part(files_.back()->bytes(), path.string());
    if (part.get_int("split.no") != number || part.get_int("split.count") != count) {
      fail(ErrorKind::kData, "{}: expected part {} of {}, it says it is part {} of {}", part.where(), number + 1, count,
           part.get_int("split.no") + 1, part.get_int("split.count"));
    }
    for (const TensorView& tensor : part.tensors()) add(tensor);
  }
  const auto total = static_cast<int64_t>(tensors().size());
  if (get_int_or("split.tensors.count", total) != total) {
    fail(ErrorKind::kData, "{}: the parts hold {} tensors, expected {}", where(), total,
         get_int("split.tensors.count"));
  }
}

const GgufValue& GgufFile::value(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) fail(ErrorKind::kData, "{}: there is no key {}", where(), quote(key));
  return found->second;
}

template <typename T>
const T& GgufFile::get(std::string_view key, const char* expected) const {
  const T* found = std::get_if<T>(&value(key).value);
  if (found == nullptr) fail(ErrorKind::kData, "{}: key {}: expected {}", where(), quote(key), expected);
  return *found;
}

const std::string& GgufFile::get_string(std::string_view key) const { return get<std::string>(key, "text"); }

int64_t GgufFile::get_int(std::string_view key) const { return get<int64_t>(key, "an integer that int64 holds"); }

double GgufFile::get_double(std::string_view key) const {
  if (const auto* integer = std::get_if<int64_t>(&value(key).value)) return static_cast<double>(*integer);
  return get<double>(key, "a number");
}

bool GgufFile::get_bool(std::string_view key) const { return get<bool>(key, "a bool"); }

const std::vector<std::string>& GgufFile::get_strings(std::string_view key) const {
  return get<std::vector<std::string>>(key, "an array of texts");
}

const std::vector<int64_t>& GgufFile::get_ints(std::string_view key) const {
  return get<std::vector<int64_t>>(key, "an array of integers");
}

const std::vector<double>& GgufFile::get_doubles(std::string_view key) const {
  return get<std::vector<double>>(key, "an array of floats");
}

std::string GgufFile::get_string_or(std::string_view key, std::string fallback) const {
  return has(key) ? get_string(key) : fallback;
}

int64_t GgufFile::get_int_or(std::string_view key, int64_t fallback) const {
  return has(key) ? get_int(key) : fallback;
}

double GgufFile::get_double_or(std::string_view key, double fallback) const {
  return has(key) ? get_double(key) : fallback;
}

bool GgufFile::get_bool_or(std::string_view key, bool fallback) const { return has(key) ? get_bool(key) : fallback; }

}  // namespace merit::formats
