// The tensors that a pickle describes, found without running it: a reader of the few opcodes that torch.save writes,
// which knows a tensor, a parameter, a storage and an ordered dictionary, and refuses every other global by name.
// Source: the opcode comments of Python's pickletools (protocol 2), and what torch.save is seen to write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "merit/formats/dtype.h"

namespace merit::formats {

// A strided view of a storage. Offset and strides count elements.
struct PickledTensor {
  std::string name;     // keys on the way to it, joined by dots: dictionaries may nest
  std::string storage;  // the storage's key: its bytes are the archive's entry data/KEY
  int64_t storage_elements = 0;
  DType dtype = DType::kF32;
  int64_t offset = 0;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};

// The tensors of the dictionary that the pickle builds, in its order. Numbers, texts and the like beside them are
// passed over, as are the attributes of a state dictionary (its module versions).
// Error(kUnsupported): a global other than those of tensors, an opcode that protocol 2 as torch.save writes it does
// not need, an object that is no dictionary. Error(kData): anything malformed, with the byte. Error(kLimit): a pickle
// over 64 MB, of over two million values, a million members or 200,000 tensors, or nested
// deeper than 16.
std::vector<PickledTensor> read_pickled_tensors(std::span<const std::byte> bytes, const std::string& where);

}  // namespace merit::formats
