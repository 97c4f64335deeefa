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
