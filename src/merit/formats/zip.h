// Zip archives whose entries are stored, not compressed, so that each is a range of the file's own bytes.
// Source: PKWARE's .ZIP File Format Specification (APPNOTE 6.3), with its Zip64 extension.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace merit::formats {

struct ZipEntry {
  std::string name;
  std::span<const std::byte> bytes;
};

// The entries in the order of the central directory. Error(kData), naming file and entry: no end record that ends with
// the file, a directory or entry outside the file, entries that overlap, a name twice, a local header that is none.
// Error(kUnsupported): entries that are compressed or encrypted, archives of several disks.
std::vector<ZipEntry> read_stored_zip(std::span<const std::byte> bytes, const std::string& where);

}  // namespace merit::formats
