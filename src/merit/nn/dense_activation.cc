#include "merit/nn/dense_activation.h"

#include <cmath>
#include <numbers>

#include "merit/core/error.h"

namespace merit::nn {

DenseActivation dense_activation(const std::string& name, const std::string& where) {
  if (name == "tanh") return DenseActivation::kTanh;
  if (name == "relu") return DenseActivation::kRelu;
  if (name == "silu" || name == "swish") return DenseActivation::kSilu;
  if (name == "gelu") return DenseActivation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return DenseActivation::kGeluTanh;
  fail(ErrorKind::kUnsupported, "{}: activation {} is not computed; expected tanh, relu, silu, gelu or gelu_new", where,
       quote(name));
}

double activate(DenseActivation activation, double x) {
  switch (activation) {
    case DenseActivation::kNone:
      return x;
    case DenseActivation::kTanh:
      return std::tanh(x);
    case DenseActivation::kRelu:
      return x < 0 ? 0 : x;
    case DenseActivation::kSilu:
      return x / (1 + std::exp(-x));
    case DenseActivation::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
    case DenseActivation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  }
  return x;
}

}  // namespace merit::nn
