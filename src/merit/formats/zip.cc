#include "merit/formats/zip.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "merit/core/error.h"

namespace merit::formats {
namespace {

constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr uint32_t kDirectorySignature = 0x02014b50;
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20, kDirectoryBytes = 46, kLocalBytes = 30;
constexpr uint64_t kMaxComment = 0xffff;
constexpr uint32_t kInZip64 = 0xffffffff;  // the value stands in the Zip64 record or field instead
constexpr uint16_t kZip64Field = 0x0001;

struct Directory {
  uint64_t entries = 0;
  uint64_t bytes = 0;
  uint64_t offset = 0;
};

class ZipReader {
 public:
  ZipReader(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  std::vector<ZipEntry> entries() const {
    const Directory directory = find_directory();
    if (directory.offset > bytes_.size() || directory.bytes > bytes_.size() - directory.offset ||
        directory.entries > directory.bytes / kDirectoryBytes) {
      fail(ErrorKind::kData, "{}: the zip directory of {} entries in {} bytes at {} is not inside the file", where_,
           directory.entries, directory.bytes, directory.offset);
    }
    std::vector<ZipEntry> out;
    std::unordered_set<std::string_view> names;
    uint64_t position = directory.offset;
    const uint64_t end = directory.offset + directory.bytes;
    for (uint64_t i = 0; i < directory.entries; ++i) {
      out.push_back(entry(position, end));
    }
    for (const ZipEntry& one : out) {
      if (!names.insert(one.name).second) complain(one.name, "is there twice");
    }
    check_disjoint(out);
    return out;
  }

 private:
  [[noreturn]] void complain(std::string_view entry, const std::string& what) const {
    fail(ErrorKind::kData, "{}: zip entry {}: {}", where_, quote(entry), what);
  }

  template <typename T>
  T at(uint64_t position) const {
    MERIT_CHECK(position <= bytes_.size() && sizeof(T) <= bytes_.size() - position);
    T value;
    std::memcpy(&value, bytes_.data() + position, sizeof value);
    return value;
  }

  // The end record is the last thing in the file but for a comment that reaches exactly to the file's end.
  uint64_t find_end() const {
    const uint64_t size = bytes_.size();
    const uint64_t farthest = std::min(size, kEndBytes + kMaxComment);
    for (uint64_t back = kEndBytes; back <= farthest; ++back) {
      const uint64_t position = size - back;
      if (at<uint32_t>(position) == kEndSignature && at<uint16_t>(position + 20) == back - kEndBytes) return position;
    }
    fail(ErrorKind::kData, "{}: not a zip archive, or one that is cut short: it has no end record", where_);
  }

  Directory find_directory() const {
    const uint64_t end = find_end();
    if (at<uint16_t>(end + 4) != 0 || at<uint16_t>(end + 6) != 0) {
      fail(ErrorKind::kUnsupported, "{}: a zip archive of several disks is not read", where_);
    }
    const Directory small = {at<uint16_t>(end + 10), at<uint32_t>(end + 12), at<uint32_t>(end + 16)};
    if (small.entries != (kInZip64 & 0xffff) && small.bytes != kInZip64 && small.offset != kInZip64) return small;
    if (end < kLocator64Bytes || at<uint32_t>(end - kLocator64Bytes) != kLocator64Signature) {
      fail(ErrorKind::kData, "{}: the zip end record points to a Zip64 record, and there is none", where_);
    }
    const auto record = at<uint64_t>(end - kLocator64Bytes + 8);
    if (record > bytes_.size() || kEnd64Bytes > bytes_.size() - record || at<uint32_t>(record) != kEnd64Signature) {
      fail(ErrorKind::kData, "{}: the Zip64 end record at {} is not one", where_, record);
    }
    return {at<uint64_t>(record + 32), at<uint64_t>(record + 40), at<uint64_t>(record + 48)};
  }

  // Reads the entry at `position` of the directory and moves on to the next.
  ZipEntry entry(uint64_t& position, uint64_t end) const {
    const uint64_t head = position;
    if (end - head < kDirectoryBytes || at<uint32_t>(head) != kDirectorySignature) {
      fail(ErrorKind::kData, "{}: the zip directory has no entry at {}", where_, head);
    }
    const uint64_t name_bytes = at<uint16_t>(head + 28), extra_bytes = at<uint16_t>(head + 30);
    const uint64_t tail = name_bytes + extra_bytes + at<uint16_t>(head + 32);
    if (tail > end - head - kDirectoryBytes) {
      fail(ErrorKind::kData, "{}: the zip directory's entry at {} does not end inside it", where_, head);
    }
    position = head + kDirectoryBytes + tail;
    ZipEntry out;
    out.name.assign(reinterpret_cast<const char*>(bytes_.data()) + head + kDirectoryBytes, name_bytes);
    if (at<uint16_t>(head + 8) & 1) {
      fail(ErrorKind::kUnsupported, "{}: zip entry {} is encrypted", where_, quote(out.name));
    }
    if (const auto method = at<uint16_t>(head + 10); method != 0) {
      fail(ErrorKind::kUnsupported, "{}: zip entry {} is compressed ({}); only stored entries are read", where_,
           quote(out.name), method == 8 ? "deflate" : fmt::format("method {}", method));
    }
    // In this order in the Zip64 field, each only if its place in the entry says so.
    uint64_t size = at<uint32_t>(head + 24), stored = at<uint32_t>(head + 20), local = at<uint32_t>(head + 42);
    uint64_t field = zip64_field(head + kDirectoryBytes + name_bytes, extra_bytes);
    const uint64_t field_end = field == 0 ? 0 : field + at<uint16_t>(field - 2);
    for (uint64_t* value : {&size, &stored, &local}) {
      if (*value != kInZip64) continue;
      if (field_end - field < sizeof *value) complain(out.name, "its Zip64 field is missing or short");
      *value = at<uint64_t>(field);
      field += sizeof *value;
    }
    if (size != stored) complain(out.name, fmt::format("stored in {} bytes, but of size {}", stored, size));
    out.bytes = local_bytes(out.name, local, size);
    return out;
  }

  // The first byte behind the header of the Zip64 extra field, or 0 if there is none.
  uint64_t zip64_field(uint64_t position, uint64_t size) const {
    const uint64_t end = position + size;
    while (end - position >= 4) {
      const uint64_t length = at<uint16_t>(position + 2);
      if (length > end - position - 4) return 0;
      if (at<uint16_t>(position) == kZip64Field) return position + 4;
      position += 4 + length;
    }
    return 0;
  }

  std::span<const std::byte> local_bytes(const std::string& name, uint64_t local, uint64_t size) const {
    if (local > bytes_.size() || kLocalBytes > bytes_.size() - local || at<uint32_t>(local) != kLocalSignature) {
      complain(name, fmt::format("there is no local header at {}", local));
    }
    const uint64_t begin = local + kLocalBytes + at<uint16_t>(local + 26) + at<uint16_t>(local + 28);
    if (begin > bytes_.size() || size > bytes_.size() - begin) {
      complain(name, fmt::format("its {} bytes at {} are not inside the file of {}", size, begin, bytes_.size()));
    }
    return bytes_.subspan(begin, size);
  }

  void check_disjoint(const std::vector<ZipEntry>& entries) const {
    std::vector<const ZipEntry*> order;
    for (const ZipEntry& one : entries) {
      if (!one.bytes.empty()) order.push_back(&one);
    }
    std::sort(order.begin(), order.end(),
              [](const ZipEntry* a, const ZipEntry* b) { return a->bytes.data() < b->bytes.data(); });
    for (size_t i = 1; i < order.size(); ++i) {
      if (order[i - 1]->bytes.data() + order[i - 1]->bytes.size() > order[i]->bytes.data()) {
        complain(order[i]->name, "overlaps " + quote(order[i - 1]->name));
      }
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
};

}  // namespace

std::vector<ZipEntry> read_stored_zip(std::span<const std::byte> bytes, const std::string& where) {
  return ZipReader(bytes, where).entries();
}

}  // namespace merit::formats
