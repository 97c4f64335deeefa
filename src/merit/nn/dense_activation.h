// The non-linearities between dense layers of encoders and of score heads, by the names configurations have for them.
#pragma once

#include <string>

namespace merit::nn {

enum class DenseActivation { kNone, kTanh, kRelu, kSilu, kGelu, kGeluTanh };

// "tanh", "relu", "silu" or "swish", "gelu", and for the tanh form of it "gelu_new", "gelu_pytorch_tanh", "gelu_fast".
// Error(kUnsupported) naming `where` and the name for any other.
DenseActivation dense_activation(const std::string& name, const std::string& where);

// One value. The tanh forms differ among themselves by rounding only.
double activate(DenseActivation activation, double x);

}  // namespace merit::nn
