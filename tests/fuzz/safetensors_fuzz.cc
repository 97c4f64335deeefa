// fuzz: DEPS core formats
// Any bytes are opened or refused with a typed error; the tensors of an opened file are disjoint, lie inside it and
// convert to floats.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "merit/core/error.h"
#include "merit/formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const merit::formats::SafetensorsFile file({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
    size_t total = 0;
    for (const merit::formats::TensorView& tensor : file.tensors()) {
      std::vector<float> out(static_cast<size_t>(tensor.numel()));
      merit::formats::to_float(tensor, out);
      total += tensor.bytes.size();
    }
    if (total > size) std::abort();
  } catch (const merit::Error&) {
  }
  return 0;
}
