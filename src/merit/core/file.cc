#include "merit/core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "merit/core/error.h"

namespace merit {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void io_error(const fs::path& path, const char* action) {
  fail(ErrorKind::kIo, "cannot {} {}: {}", action, path.string(), std::strerror(errno));
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

int open_to_read(const fs::path& path, struct stat& info) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) io_error(path, "open");
  if (fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
    close(fd);
    fail(ErrorKind::kIo, "cannot read {}: it is a folder, expected a file", path.string());
  }
  return fd;
}

void write_all(int fd, const fs::path& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) io_error(path, "write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  struct stat info {};
  const Descriptor file{open_to_read(path, info)};
  std::string out;
  if (S_ISREG(info.st_mode)) out.reserve(static_cast<size_t>(std::min<uint64_t>(info.st_size, max_bytes)));
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = ::read(file.fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) io_error(path, "read");
    if (got == 0) return out;
    if (out.size() + static_cast<size_t>(got) > max_bytes) {
      fail(ErrorKind::kLimit, "{}: larger than the limit of {} bytes", path.string(), max_bytes);
    }
    out.append(buffer, static_cast<size_t>(got));
  }
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  std::error_code ignored;
  if (path_.has_parent_path()) fs::create_directories(path_.parent_path(), ignored);
  temporary_ = path_;
  temporary_ += ".tmp" + std::to_string(getpid());
  fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) io_error(path_, "write");
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) { write_all(fd_, path_, bytes); }

void AtomicFile::commit() {
  MERIT_CHECK(fd_ >= 0);
  if (fsync(fd_) != 0 && errno != EINVAL) io_error(path_, "write");
  close(fd_);
  fd_ = -1;
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    unlink(temporary_.c_str());
    errno = reason;
    io_error(path_, "write");
  }
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  struct stat info {};
  const Descriptor file{open_to_read(path, info)};
  if (!S_ISREG(info.st_mode)) fail(ErrorKind::kIo, "cannot map {}: expected a regular file", path.string());
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* data = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data == MAP_FAILED) io_error(path, "map");
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::span<const std::byte> part) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto base = reinterpret_cast<uintptr_t>(data_);
  const auto first = reinterpret_cast<uintptr_t>(part.data());
  if (first < base || first + part.size() > base + size_) return;
  const uintptr_t begin = (first + page - 1) / page * page;
  const uintptr_t end = (first + part.size()) / page * page;
  // A file's pages that nothing wrote to: dropping them loses nothing, and an advice that is not taken costs nothing.
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace merit
