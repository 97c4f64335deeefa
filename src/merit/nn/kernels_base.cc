#define MERIT_KERNELS kernels_base
#include "merit/nn/kernels.inc"
