// fuzz: DEPS core formats
// Any bytes are opened or refused with a typed error, as an archive and, so that the pickle is reached without a
// well-formed archive around it, as a pickle; the tensors of an opened file convert to floats.
#include <cstdint>
#include <vector>

#include "merit/core/error.h"
#include "merit/formats/checkpoint.h"
#include "merit/formats/pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    merit::formats::read_pickled_tensors(bytes, "fuzz");
  } catch (const merit::Error&) {
  }
  try {
    const merit::formats::CheckpointFile file(bytes, "fuzz");
    for (const merit::formats::TensorView& tensor : file.tensors()) {
      std::vector<float> out(static_cast<size_t>(tensor.numel()));
      merit::formats::to_float(tensor, out);
    }
  } catch (const merit::Error&) {
  }
  return 0;
}
