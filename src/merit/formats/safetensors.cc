#include "merit/formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "merit/core/error.h"
#include "merit/core/json.h"
#include "merit/core/strings.h"

namespace merit::formats {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr char kMetadataKey[] = "__metadata__";
constexpr char kSafetensorsExtension[] = ".safetensors";
constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

// A tensor of the header before its bytes are cut out.
struct Entry {
  TensorView view;
  int64_t begin = 0;
  int64_t end = 0;
};

// An integer in [0, 2^63); JSON numbers with a fraction or an exponent are none.
bool is_size(const Json& value) {
  return value.is_number_integer() && value.is_number_unsigned() && value.get<uint64_t>() <= INT64_MAX;
}

class HeaderReader {
 public:
  explicit HeaderReader(const std::string& where) : where_(where) {}

  Entry entry(const std::string& name, const Json& json) const {
    if (!json.is_object() || json.size() != 3 || !json.contains("dtype") || !json.contains("shape") ||
        !json.contains("data_offsets")) {
      complain(name, "expected an object of dtype, shape and data_offsets");
    }
    Entry out;
    out.view.name = name;
    out.view.dtype = dtype(name, json["dtype"]);
    out.view.shape = sizes(name, "shape", json["shape"]);
    const std::vector<int64_t> offsets = sizes(name, "data_offsets", json["data_offsets"]);
    if (offsets.size() != 2 || offsets[0] > offsets[1]) complain(name, "data_offsets must be a begin and an end");
    out.begin = offsets[0];
    out.end = offsets[1];
    const std::optional<int64_t> bytes = byte_count(out.view.dtype, out.view.shape);
    if (!bytes) complain(name, "the sizes of " + shape_text(out.view.shape) + " overflow");
    if (*bytes != out.end - out.begin) {
      complain(name, fmt::format("{} {} takes {} bytes, data_offsets give {}", formats::name(out.view.dtype),
                                 shape_text(out.view.shape), *bytes, out.end - out.begin));
    }
    return out;
  }

  [[noreturn]] void complain(const std::string& name, const std::string& what) const {
    fail(ErrorKind::kData, "{}: tensor {}: {}", where_, quote(name), what);
  }

 private:
  DType dtype(const std::string& name, const Json& json) const {
    if (!json.is_string()) complain(name, "dtype must be text");
    const std::string& text = json.get_ref<const std::string&>();
    const std::optional<DType> known = dtype_from_safetensors(text);
    if (!known) fail(ErrorKind::kUnsupported, "{}: tensor {}: dtype {} is not read", where_, quote(name), quote(text));
    return *known;
  }

  std::vector<int64_t> sizes(const std::string& name, const char* key, const Json& json) const {
    std::vector<int64_t> out;
    if (!json.is_array() || !std::all_of(json.begin(), json.end(), is_size)) {
      complain(name, fmt::format("{} must be an array of integers from 0", key));
    }
    for (const Json& size : json) out.push_back(static_cast<int64_t>(size.get<uint64_t>()));
    return out;
  }

  const std::string& where_;
};

std::map<std::string, std::string> text_members(const Json& json, const std::string& where) {
  std::map<std::string, std::string> out;
  if (!json.is_object()) fail(ErrorKind::kData, "{}: {} must be an object of texts", where, kMetadataKey);
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) {
      fail(ErrorKind::kData, "{}: {}: the value of {} must be text", where, kMetadataKey, quote(key));
    }
    out.emplace(key, value.get<std::string>());
  }
  return out;
}

// The header's length, checked against the file.
size_t header_length(std::span<const std::byte> bytes, const std::string& where) {
  uint64_t length = 0;
  if (bytes.size() < sizeof length) {
    fail(ErrorKind::kData, "{}: {} bytes are too few for a safetensors file", where, bytes.size());
  }
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > bytes.size() - sizeof length) {
    fail(ErrorKind::kData,
         "{}: its header should have {} bytes, the file has {} after the length; it is cut short or "
         "no safetensors file",
         where, length, bytes.size() - sizeof length);
  }
  if (length > kMaxHeaderBytes) {
    fail(ErrorKind::kLimit, "{}: a header of {} bytes is over the limit of {}", where, length, kMaxHeaderBytes);
  }
  return static_cast<size_t>(length);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : WeightSource(path.string()), file_(std::make_unique<MappedFile>(path)) {
  parse(file_->bytes());
}

void SafetensorsFile::release(const TensorView& tensor) const {
  if (file_) file_->release(tensor.bytes);
}

SafetensorsFile::SafetensorsFile(std::span<const std::byte> bytes, std::string where) : WeightSource(std::move(where)) {
  parse(bytes);
}

void SafetensorsFile::parse(std::span<const std::byte> bytes) {
  const size_t length = header_length(bytes, where());
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + sizeof(uint64_t), length);
  if (header.empty() || header[0] != '{') fail(ErrorKind::kData, "{}: its header must start with '{{'", where());
  const std::span<const std::byte> data = bytes.subspan(sizeof(uint64_t) + length);

  const HeaderReader reader(where());
  std::vector<Entry> entries;
  const Json json = parse_json(header, where() + " (header)");
  for (const auto& [key, value] : json.items()) {
    if (key == kMetadataKey) {
      metadata_ = text_members(value, where());
    } else {
      entries.push_back(reader.entry(key, value));
    }
  }
  // Stable: tensors without elements that share a place stay in the order of their names.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t position = 0;
  for (Entry& entry : entries) {
    if (entry.begin != position) {
      reader.complain(entry.view.name, fmt::format("its bytes start at {}, expected {}: the data has {}", entry.begin,
                                                   position, entry.begin < position ? "an overlap" : "a hole"));
    }
    if (static_cast<uint64_t>(entry.end) > data.size()) {
      reader.complain(entry.view.name, fmt::format("its bytes end at {}, the file has {}", entry.end, data.size()));
    }
    entry.view.bytes = data.subspan(static_cast<size_t>(entry.begin), static_cast<size_t>(entry.end - entry.begin));
    position = entry.end;
    add(std::move(entry.view));
  }
  if (static_cast<uint64_t>(position) != data.size()) {
    fail(ErrorKind::kData, "{}: {} bytes follow the last tensor", where(),
         data.size() - static_cast<uint64_t>(position));
  }
}

namespace {

// The order in the file: wide elements first, so that every tensor is aligned to its element.
std::vector<const TensorToWrite*> file_order(std::span<const TensorToWrite> tensors) {
  std::vector<const TensorToWrite*> order;
  for (const TensorToWrite& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    const int64_t width_a = info(a->dtype).block_bytes;
    const int64_t width_b = info(b->dtype).block_bytes;
    return width_a != width_b ? width_a > width_b : a->name < b->name;
  });
  return order;
}

void check_names(std::span<const TensorToWrite> tensors, const std::string& where) {
  std::vector<std::string_view> names;
  for (const TensorToWrite& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
    fail(ErrorKind::kData, "{}: tensor {} is to be written twice", where, quote(*twice));
  }
}

int64_t checked_bytes(const TensorToWrite& tensor, const std::string& where) {
  if (!info(tensor.dtype).in_safetensors) {
    fail(ErrorKind::kUnsupported, "{}: tensor {}: safetensors has no type {}", where, quote(tensor.name),
         name(tensor.dtype));
  }
  const std::optional<int64_t> bytes = byte_count(tensor.dtype, tensor.shape);
  if (!bytes || tensor.name == kMetadataKey || !is_utf8(tensor.name)) {
    fail(ErrorKind::kData, "{}: tensor {} {}: not a name and shape that safetensors can hold", where,
         quote(tensor.name), shape_text(tensor.shape));
  }
  return *bytes;
}

std::string header_text(const std::vector<const TensorToWrite*>& order,
                        const std::map<std::string, std::string>& metadata, const std::string& where) {
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  int64_t position = 0;
  for (const TensorToWrite* tensor : order) {
    const int64_t begin = position;
    if (__builtin_add_overflow(position, checked_bytes(*tensor, where), &position)) {
      fail(ErrorKind::kData, "{}: the sizes of the tensors overflow", where);
    }
    OrderedJson entry = OrderedJson::object();
    entry["dtype"] = std::string(name(tensor->dtype));
    entry["shape"] = tensor->shape;
    entry["data_offsets"] = {begin, position};
    header[tensor->name] = std::move(entry);
  }
  std::string text = dump_json(header);
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string where = path.string();
  check_names(tensors, where);
  const std::vector<const TensorToWrite*> order = file_order(tensors);
  const std::string header = header_text(order, metadata, where);
  const uint64_t length = header.size();

  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&length), sizeof length});
  file.write(header);
  for (const TensorToWrite* tensor : order) {
    const auto expected = static_cast<uint64_t>(checked_bytes(*tensor, where));
    uint64_t written = 0;
    tensor->produce([&](std::span<const std::byte> piece) {
      written += piece.size();
      MERIT_CHECK(written <= expected);
      file.write({reinterpret_cast<const char*>(piece.data()), piece.size()});
    });
    MERIT_CHECK(written == expected);
  }
  file.commit();
}

namespace {

// How many of the tensors go into each shard, in their order.
std::vector<size_t> shard_counts(std::span<const TensorToWrite> tensors, int64_t shard_bytes,
                                 const std::string& where) {
  std::vector<size_t> counts;
  int64_t room = 0;
  for (const TensorToWrite& tensor : tensors) {
    const int64_t bytes = checked_bytes(tensor, where);
    if (counts.empty() || bytes > room) {
      counts.push_back(0);
      room = shard_bytes;
    }
    ++counts.back();
    room -= bytes;
  }
  return counts;
}

// Other weights of this naming would be loaded in place of these, or lie beside them for nothing.
void remove_other_weights(const std::filesystem::path& folder, const std::set<std::string>& written) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    const bool shard =
        name.starts_with("model-") && name.find("-of-") != std::string::npos && name.ends_with(kSafetensorsExtension);
    if ((name == kSingleFile || name == kIndexFile || shard) && !written.contains(name)) {
      std::filesystem::remove(entry.path());
    }
  }
}

}  // namespace

void write_model_safetensors(const std::filesystem::path& folder, std::span<const TensorToWrite> tensors,
                             int64_t shard_bytes) {
  const std::map<std::string, std::string> metadata = {{"format", "pt"}};
  const std::vector<size_t> counts = shard_counts(tensors, shard_bytes, folder.string());
  if (counts.size() <= 1) {
    write_safetensors(folder / kSingleFile, tensors, metadata);
    return remove_other_weights(folder, {kSingleFile});
  }
  check_names(tensors, folder.string());
  std::set<std::string> written = {kIndexFile};
  OrderedJson map = OrderedJson::object();
  int64_t total = 0;
  size_t begin = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}{}", i + 1, counts.size(), kSafetensorsExtension);
    for (const TensorToWrite& tensor : tensors.subspan(begin, counts[i])) {
      map[tensor.name] = name;
      total += checked_bytes(tensor, folder.string());
    }
    write_safetensors(folder / name, tensors.subspan(begin, counts[i]), metadata);
    written.insert(name);
    begin += counts[i];
  }
  const OrderedJson index = {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}};
  write_file_atomic(folder / kIndexFile, index.dump(2) + "\n");
  remove_other_weights(folder, written);
}

}  // namespace merit::formats
