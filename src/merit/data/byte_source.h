// The bytes of a file, pipe or standard input ("-"), gunzipped when they start as gzip does. Internal to the readers.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "merit/core/hash.h"

namespace merit::data {

class ByteSource {
 public:
  // Error(kIo) naming the path if it is missing, a folder or unreadable.
  explicit ByteSource(const std::string& path);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  // The path, or "standard input".
  const std::string& name() const { return name_; }
  // What is read and not yet consumed; at least `n` bytes unless the end comes first.
  std::string_view ahead(size_t n = 1);
  void consume(size_t n);
  // The hash of every byte read so far, after decompression.
  std::string content_hash() const { return hasher_.hex(); }

 private:
  struct Gunzip;

  // Appends what one read gives; false at the end.
  bool fill();
  std::string_view read_raw();

  std::string name_;
  int fd_ = -1;
  bool started_ = false;
  std::string raw_;
  std::string buffer_;
  size_t begin_ = 0;
  std::unique_ptr<Gunzip> gunzip_;
  Hasher hasher_;
};

}  // namespace merit::data
