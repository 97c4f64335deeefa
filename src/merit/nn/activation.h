// The non-linearities of feed-forward blocks.
#pragma once

namespace merit::nn {

enum class Activation {
  kSilu,      // x / (1 + exp(-x))
  kGelu,      // x Phi(x), with the error function
  kGeluTanh,  // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  kRelu,
};

}  // namespace merit::nn
