#include "merit/formats/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "merit/core/error.h"
#include "merit/formats/pickle.h"
#include "merit/formats/zip.h"

namespace merit::formats {
namespace {

constexpr std::string_view kPickle = "data.pkl";

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A pickle of the integer 0x1950a86a20f9469cfc6c, with which torch.save began its files before 1.6.
bool is_legacy(std::span<const std::byte> bytes) {
  constexpr std::string_view kStart = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  return text_of(bytes).starts_with(kStart);
}

// The archive's entries by name, without the folder that all of them stand in.
class Archive {
 public:
  Archive(std::span<const std::byte> bytes, const std::string& where) : where_(where) {
    if (is_legacy(bytes)) {
      fail(ErrorKind::kUnsupported,
           "{}: a file of torch.save from before PyTorch 1.6; load it there and save it again, best as safetensors",
           where);
    }
    if (!text_of(bytes).starts_with("PK\x03\x04")) {
      fail(ErrorKind::kUnsupported, "{}: expected a checkpoint of torch.save, which is a zip archive", where);
    }
    const std::vector<ZipEntry> entries = read_stored_zip(bytes, where);
    const std::string folder = folder_of(entries);
    for (const ZipEntry& entry : entries) {
      if (entry.name.starts_with(folder)) entries_.emplace(entry.name.substr(folder.size()), entry.bytes);
    }
    if (entries_.contains("constants.pkl")) {
      fail(ErrorKind::kUnsupported, "{}: a TorchScript archive holds a program; save the model's state_dict", where);
    }
    if (const auto order = entries_.find("byteorder"); order != entries_.end() && text_of(order->second) != "little") {
      fail(ErrorKind::kUnsupported, "{}: expected byte order \"little\", got {}", where, quote(text_of(order->second)));
    }
  }

  std::span<const std::byte> at(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) fail(ErrorKind::kData, "{}: the archive has no entry {}", where_, quote(name));
    return found->second;
  }

 private:
  // "NAME/" of the one entry NAME/data.pkl.
  std::string folder_of(const std::vector<ZipEntry>& entries) const {
    for (const ZipEntry& entry : entries) {
      const size_t slash = entry.name.find('/');
      if (slash != std::string::npos && entry.name.substr(slash + 1) == kPickle) return entry.name.substr(0, slash + 1);
    }
    fail(ErrorKind::kUnsupported, "{}: a zip archive without {}; expected a checkpoint of torch.save", where_, kPickle);
  }

  const std::string& where_;
  std::map<std::string, std::span<const std::byte>> entries_;
};

// One past the last element of the storage that the tensor reaches, or none if that overflows.
std::optional<int64_t> reach(const PickledTensor& tensor) {
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    if (tensor.shape[i] == 0) return tensor.offset;
    int64_t step = 0;
    if (__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &step) ||
        __builtin_add_overflow(last, step, &last)) {
      return std::nullopt;
    }
  }
  if (last == INT64_MAX) return std::nullopt;
  return last + 1;
}

bool is_row_major(const PickledTensor& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// The tensor's elements in row-major order; none may lie outside the storage.
std::vector<std::byte> in_row_major_order(const PickledTensor& tensor, std::span<const std::byte> storage,
                                          int64_t count) {
  const auto width = static_cast<size_t>(info(tensor.dtype).block_bytes);
  std::vector<std::byte> out(static_cast<size_t>(count) * width);
  std::vector<int64_t> index(tensor.shape.size(), 0);
  int64_t from = tensor.offset;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(out.data() + static_cast<size_t>(i) * width, storage.data() + static_cast<size_t>(from) * width, width);
    for (size_t d = index.size(); d-- > 0;) {
      from += tensor.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      from -= tensor.strides[d] * tensor.shape[d];
      index[d] = 0;
    }
  }
  return out;
}

}  // namespace

CheckpointFile::CheckpointFile(const std::filesystem::path& path)
    : WeightSource(path.string()), file_(std::make_unique<MappedFile>(path)) {
  parse(file_->bytes());
}

CheckpointFile::CheckpointFile(std::span<const std::byte> bytes, std::string where) : WeightSource(std::move(where)) {
  parse(bytes);
}

void CheckpointFile::parse(std::span<const std::byte> bytes) {
  const Archive archive(bytes, where());
  size_t copied = 0;
  for (const PickledTensor& tensor : read_pickled_tensors(archive.at(std::string(kPickle)), where() + " (data.pkl)")) {
    const auto complain = [&](const std::string& what) {
      fail(ErrorKind::kData, "{}: tensor {} {}: {}", where(), quote(tensor.name), shape_text(tensor.shape), what);
    };
    const std::span<const std::byte> storage = archive.at("data/" + tensor.storage);
    const int64_t width = info(tensor.dtype).block_bytes;
    if (static_cast<uint64_t>(tensor.storage_elements) != storage.size() / static_cast<uint64_t>(width) ||
        storage.size() % static_cast<uint64_t>(width) != 0) {
      complain(fmt::format("its storage is stated as {} elements of {}, and has {} bytes", tensor.storage_elements,
                           name(tensor.dtype), storage.size()));
    }
    const std::optional<int64_t> size = byte_count(tensor.dtype, tensor.shape);
    const std::optional<int64_t> end = reach(tensor);
    if (!size || !end || *end > tensor.storage_elements) complain("it reaches outside its storage");
    TensorView view{tensor.name, tensor.dtype, tensor.shape, {}};
    if (*size == 0 || is_row_major(tensor)) {
      view.bytes = storage.subspan(static_cast<size_t>(tensor.offset * width), static_cast<size_t>(*size));
    } else {
      // A tensor may repeat its storage's elements without end; a file's tensors are not larger than the file.
      copied += std::min(bytes.size(), static_cast<size_t>(*size));
      if (static_cast<size_t>(*size) > storage.size() || copied > bytes.size()) {
        complain("expanded from fewer elements; save it contiguous");
      }
      copies_.push_back(in_row_major_order(tensor, storage, *size / width));
      view.bytes = copies_.back();
    }
    add(std::move(view));
  }
}

}  // namespace merit::formats
