// tool: DEPS core formats
// dump_tensors PATH [OUT [SHARD_BYTES]]: one JSON line a tensor (name, dtype, shape), or for OUT ending in .safetensors
// a copy of all plain tensors in that file, with SHARD_BYTES in that folder; any other OUT gets every tensor's float32
// bytes, one after the other.
#include <fmt/core.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "merit/core/file.h"
#include "merit/core/json.h"
#include "merit/formats/safetensors.h"

namespace {

using namespace merit;           // NOLINT: a tool of one page
using namespace merit::formats;  // NOLINT

void print(const WeightSource& source) {
  for (const TensorView& tensor : source.tensors()) {
    OrderedJson line;
    line["name"] = tensor.name;
    line["dtype"] = std::string(name(tensor.dtype));
    line["shape"] = tensor.shape;
    fmt::print("{}\n", dump_json(line));
  }
}

void write_floats(const WeightSource& source, const std::filesystem::path& path) {
  AtomicFile file(path);
  for (const TensorView& tensor : source.tensors()) {
    std::vector<float> values(static_cast<size_t>(tensor.numel()));
    to_float(tensor, values);
    file.write({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  }
  file.commit();
}

std::vector<TensorToWrite> plain_tensors(const WeightSource& source) {
  std::vector<TensorToWrite> tensors;
  for (const TensorView& tensor : source.tensors()) {
    if (is_quantized(tensor.dtype)) continue;
    tensors.push_back({tensor.name, tensor.dtype, tensor.shape, [&](const ByteSink& sink) { sink(tensor.bytes); }});
  }
  return tensors;
}

void write(const WeightSource& source, const std::filesystem::path& out, const char* shard_bytes) {
  if (shard_bytes != nullptr) {
    write_model_safetensors(out, plain_tensors(source), std::stoll(shard_bytes));
  } else if (out.extension() == ".safetensors") {
    write_safetensors(out, plain_tensors(source), {{"format", "pt"}});
  } else {
    write_floats(source, out);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    fmt::print(stderr, "usage: dump_tensors PATH [OUT [SHARD_BYTES]]\n");
    return 2;
  }
  try {
    const auto source = open_weights(argv[1]);
    print(*source);
    if (argc > 2) write(*source, argv[2], argc > 3 ? argv[3] : nullptr);
  } catch (const std::exception& error) {
    fmt::print(stderr, "dump_tensors: {}\n", error.what());
    return 1;
  }
  return 0;
}
