#include "merit/data/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "merit/core/error.h"
#include "merit/core/interrupt.h"

namespace merit::data {
namespace {

constexpr size_t kChunk = size_t{1} << 18;
constexpr std::string_view kGzipMagic = "\x1f\x8b";

}  // namespace

// One or several gzip members, one after the other.
struct ByteSource::Gunzip {
  explicit Gunzip(const std::string& name) : name(name) { MERIT_CHECK(inflateInit2(&stream, 15 + 16) == Z_OK); }
  ~Gunzip() { inflateEnd(&stream); }

  // Appends up to a chunk of output; false when it needs more input.
  bool inflate_some(std::string& out) {
    if (stream.avail_in == 0) return false;
    if (between_members) {
      if (inflateReset(&stream) != Z_OK) damaged("cannot start the next member");
      between_members = false;
    }
    const size_t old = out.size();
    out.resize(old + kChunk);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + old);
    stream.avail_out = kChunk;
    const int status = inflate(&stream, Z_NO_FLUSH);
    out.resize(old + kChunk - stream.avail_out);
    if (status == Z_STREAM_END) {
      between_members = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      damaged(stream.msg == nullptr ? "unknown fault" : stream.msg);
    }
    return true;
  }

  [[noreturn]] void damaged(const char* what) {
    fail(ErrorKind::kData, "{}: the gzip stream is damaged ({}); make the file again", name, what);
  }

  const std::string& name;
  z_stream stream = {};
  bool between_members = false;
};

ByteSource::ByteSource(const std::string& path) : name_(path == "-" ? "standard input" : path) {
  fd_ = path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) fail(ErrorKind::kIo, "{}: cannot open: {}", name_, std::strerror(errno));
  struct stat status;
  if (fstat(fd_, &status) == 0 && S_ISDIR(status.st_mode)) {
    close(fd_);
    fail(ErrorKind::kIo, "{}: is a folder; expected a file of records", name_);
  }
}

ByteSource::~ByteSource() {
  if (fd_ > STDIN_FILENO) close(fd_);
}

std::string_view ByteSource::read_raw() {
  raw_.resize(kChunk);
  for (;;) {
    const ssize_t count = read(fd_, raw_.data(), raw_.size());
    if (count >= 0) return std::string_view(raw_).substr(0, static_cast<size_t>(count));
    if (errno != EINTR) fail(ErrorKind::kIo, "{}: cannot read: {}", name_, std::strerror(errno));
    if (interrupted()) fail(ErrorKind::kInterrupted, "{}: stopped while waiting for input", name_);
  }
}

bool ByteSource::fill() {
  const size_t old = buffer_.size();
  if (!started_) {
    started_ = true;
    std::string head;
    while (head.size() < kGzipMagic.size()) {  // a pipe may give one byte at a time
      const std::string_view piece = read_raw();
      if (piece.empty()) break;
      head += piece;
    }
    if (!head.starts_with(kGzipMagic)) {
      buffer_ += head;
      hasher_.update(head);
      return !head.empty();
    }
    gunzip_ = std::make_unique<Gunzip>(name_);
    raw_ = std::move(head);
    gunzip_->stream.next_in = reinterpret_cast<Bytef*>(raw_.data());
    gunzip_->stream.avail_in = static_cast<uInt>(raw_.size());
  }
  if (gunzip_ == nullptr) {
    buffer_ += read_raw();
  } else {
    while (buffer_.size() == old) {
      if (gunzip_->inflate_some(buffer_)) continue;
      const std::string_view piece = read_raw();
      if (piece.empty()) {
        if (!gunzip_->between_members) gunzip_->damaged("it ends early");
        return false;
      }
      gunzip_->stream.next_in = reinterpret_cast<Bytef*>(raw_.data());
      gunzip_->stream.avail_in = static_cast<uInt>(piece.size());
    }
  }
  hasher_.update(std::string_view(buffer_).substr(old));
  return buffer_.size() > old;
}

std::string_view ByteSource::ahead(size_t n) {
  while (buffer_.size() - begin_ < n) {
    buffer_.erase(0, begin_);
    begin_ = 0;
    if (!fill()) break;
  }
  return std::string_view(buffer_).substr(begin_);
}

void ByteSource::consume(size_t n) {
  MERIT_CHECK(n <= buffer_.size() - begin_);
  begin_ += n;
}

}  // namespace merit::data
