#if defined(__x86_64__)
#define MERIT_KERNELS kernels_v3
#include "merit/nn/kernels.inc"
#endif
