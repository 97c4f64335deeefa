#if defined(__x86_64__)
#define MERIT_KERNELS kernels_v4
#include "merit/nn/kernels.inc"
#endif
