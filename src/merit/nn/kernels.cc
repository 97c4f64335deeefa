#include "merit/nn/kernels.h"

namespace merit::nn {

const KernelTable& kernels_base(at::ScalarType dtype);
#if defined(__x86_64__)
const KernelTable& kernels_v3(at::ScalarType dtype);
const KernelTable& kernels_v4(at::ScalarType dtype);
#endif

const KernelTable& kernels(at::ScalarType dtype) {
#if defined(__x86_64__)
  static const auto best = __builtin_cpu_supports("x86-64-v4")   ? kernels_v4
                           : __builtin_cpu_supports("x86-64-v3") ? kernels_v3
                                                                 : kernels_base;
  return best(dtype);
#else
  return kernels_base(dtype);
#endif
}

}  // namespace merit::nn
