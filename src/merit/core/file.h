// Files: whole reads, atomic writes, read-only maps. Errors are Error(kIo) that name the path and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

namespace merit {

// The file's bytes. Error(kLimit) if it is larger than max_bytes, Error(kIo) if it is a folder or unreadable.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 32);

// Writes a temporary file beside `path`, flushes it to disk and renames it over `path`: readers see the old bytes or
// the new, never a part. Missing folders are made.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

// The same for bytes that come in pieces. Without commit() nothing stands at `path`.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
};

// A regular file mapped read-only. The bytes live as long as the object. Thread-safe. A file that another program
// shortens while it is mapped faults, as with any mapping.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Lets go of the memory pages that lie wholly in `part`, which read again come from the file. Parts outside the
  // mapping are left alone.
  void release(std::span<const std::byte> part) const;
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace merit
