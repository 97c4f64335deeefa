#include "tests/formats/formats_support.h"

#include <stdlib.h>

namespace merit::formats::testing {

std::string safetensors_file(std::string_view header, std::string_view data) {
  return le<uint64_t>(header.size()) + std::string(header) + std::string(data);
}

std::string gguf_text(std::string_view text) { return le<uint64_t>(text.size()) + std::string(text); }

std::string GgufBytes::bytes() const {
  std::string out = "GGUF" + le(version);
  out += le(tensor_count >= 0 ? static_cast<uint64_t>(tensor_count) : tensors.size());
  out += le(entry_count >= 0 ? static_cast<uint64_t>(entry_count) : entries.size());
  for (const auto& [key, value] : entries) out += gguf_text(key) + value;
  for (const GgufTensor& tensor : tensors) {
    out += gguf_text(tensor.name) + le(static_cast<uint32_t>(tensor.dims.size()));
    for (const uint64_t size : tensor.dims) out += le(size);
    out += le(tensor.type) + le(tensor.offset);
  }
  if (!data.empty()) out.append((alignment - out.size() % alignment) % alignment, '\0');
  return out + data;
}

std::string zip_file(const std::vector<ZipFile>& files, bool zip64) {
  std::string out, directory;
  for (const ZipFile& file : files) {
    const auto local = static_cast<uint64_t>(file.local >= 0 ? file.local : static_cast<int64_t>(out.size()));
    const auto size = static_cast<uint64_t>(file.size >= 0 ? file.size : static_cast<int64_t>(file.bytes.size()));
    const auto name_bytes = static_cast<uint16_t>(file.name.size());
    const auto short_size = file.zip64 ? 0xffffffff : static_cast<uint32_t>(size);
    const std::string extra = file.zip64 ? le<uint16_t>(1) + le<uint16_t>(24) + le(size) + le(size) + le(local) : "";
    const std::string common = le<uint16_t>(45) + le(file.flags) + le(file.method) + le<uint32_t>(0) + le<uint32_t>(0) +
                               le(short_size) + le(short_size) + le(name_bytes);
    out += "PK\x03\x04" + common + le<uint16_t>(0) + file.name + file.bytes;
    directory += "PK\x01\x02" + le<uint16_t>(45) + common + le(static_cast<uint16_t>(extra.size())) + le<uint16_t>(0) +
                 le<uint16_t>(0) + le<uint16_t>(0) + le<uint32_t>(0) +
                 le(file.zip64 ? 0xffffffff : static_cast<uint32_t>(local)) + file.name + extra;
  }
  const uint64_t offset = out.size();
  const uint64_t count = files.size();
  out += directory;
  if (zip64) {
    const uint64_t record = out.size();
    out += "PK\x06\x06" + le<uint64_t>(44) + le<uint16_t>(45) + le<uint16_t>(45) + le<uint32_t>(0) + le<uint32_t>(0) +
           le(count) + le(count) + le<uint64_t>(directory.size()) + le(offset);
    out += "PK\x06\x07" + le<uint32_t>(0) + le(record) + le<uint32_t>(1);
  }
  const auto short_count = zip64 ? uint16_t{0xffff} : static_cast<uint16_t>(count);
  return out + "PK\x05\x06" + le<uint32_t>(0) + le(short_count) + le(short_count) +
         le(zip64 ? 0xffffffff : static_cast<uint32_t>(directory.size())) +
         le(zip64 ? 0xffffffff : static_cast<uint32_t>(offset)) + le<uint16_t>(0);
}

namespace pickle {

std::string text(std::string_view value) { return "X" + le(static_cast<uint32_t>(value.size())) + std::string(value); }
std::string integer(int32_t value) { return "J" + le(value); }

std::string tuple(const std::vector<int32_t>& values) {
  std::string out = "(";
  for (const int32_t value : values) out += integer(value);
  return out + "t";
}

std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }

std::string tensor(const std::string& type, const std::string& key, int32_t elements, int32_t offset,
                   const std::vector<int32_t>& shape, const std::vector<int32_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "((" + text("storage") + global("torch", type) + text(key) +
         text("cpu") + integer(elements) + "tQ" + integer(offset) + tuple(shape) + tuple(strides) + "\x89" +
         global("collections", "OrderedDict") + ")RtR";
}

std::string dictionary(const std::string& members) { return "\x80\x02}(" + members + "u."; }

}  // namespace pickle

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "merit-formats-XXXXXX").string();
  MERIT_CHECK(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace merit::formats::testing
