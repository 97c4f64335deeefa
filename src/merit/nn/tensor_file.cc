#include "merit/nn/tensor_file.h"

#include <ATen/ops/empty.h>

#include <cstring>

#include "merit/core/error.h"
#include "merit/formats/safetensors.h"

namespace merit::nn {
namespace {

formats::DType dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return formats::DType::kF32;
    case at::kDouble:
      return formats::DType::kF64;
    case at::kBFloat16:
      return formats::DType::kBF16;
    case at::kLong:
      return formats::DType::kI64;
    default:
      MERIT_CHECK(false);
      return formats::DType::kF32;
  }
}

}  // namespace

void save_tensors(const std::filesystem::path& file, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<formats::TensorToWrite> out;
  for (const auto& [name, value] : tensors) {
    out.push_back({name, dtype_of(value), value.sizes().vec(), [value = value](const formats::ByteSink& sink) {
                     const at::Tensor whole = value.contiguous();
                     sink({static_cast<const std::byte*>(whole.const_data_ptr()), whole.nbytes()});
                   }});
  }
  formats::write_safetensors(file, out, metadata);
}

std::map<std::string, at::Tensor> load_tensors(const std::filesystem::path& file) {
  const formats::SafetensorsFile source(file);
  std::map<std::string, at::Tensor> out;
  for (const formats::TensorView& view : source.tensors()) {
    const bool wide = view.dtype == formats::DType::kF64, whole = view.dtype == formats::DType::kI64;
    at::Tensor value = at::empty(view.shape, whole ? at::kLong : wide ? at::kDouble : at::kFloat);
    if (wide || whole) {
      std::memcpy(value.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
    } else {
      formats::to_float(view, {value.mutable_data_ptr<float>(), static_cast<size_t>(value.numel())});
    }
    out.emplace(view.name, std::move(value));
  }
  return out;
}

}  // namespace merit::nn
