// fuzz: DEPS core formats
// Any bytes are opened or refused with a typed error; the tensors of an opened file are disjoint, lie inside it and
// are dequantised, whole and by their last row.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "merit/core/error.h"
#include "merit/formats/gguf.h"

namespace {

void read_all(const merit::formats::GgufFile& file, size_t size) {
  size_t total = 0;
  for (const merit::formats::TensorView& tensor : file.tensors()) {
    std::vector<float> out(static_cast<size_t>(tensor.numel()));
    merit::formats::to_float(tensor, out);
    total += tensor.bytes.size();
    if (tensor.shape.size() < 2) continue;
    const merit::formats::TensorView last = merit::formats::rows(tensor, tensor.shape[0] - 1, tensor.shape[0]);
    merit::formats::to_float(last, std::span(out).first(static_cast<size_t>(last.numel())));
  }
  if (total > size) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const merit::formats::GgufFile file({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
    read_all(file, size);
    file.get_int_or("general.alignment", 32);
    file.get_string_or("general.architecture", "");
  } catch (const merit::Error&) {
  }
  return 0;
}
