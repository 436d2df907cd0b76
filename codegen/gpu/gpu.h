/* The device code of a launcher for NVIDIA GPUs. */
#ifndef DEPLOYC_CODEGEN_GPU_H
#define DEPLOYC_CODEGEN_GPU_H
#include "../emit.h"

extern const struct emitter gpu_emitter;

/* PTX for sm_80 and later, as text. The kernel NAME of the schedule has entries dr_NAME...(u64 ...), which take the
 * kernel's arguments in order. NULL: no LLVM (printed). The caller disposes of it. */
LLVMMemoryBufferRef gpu_ptx(const struct schedule *s, int level);
#endif
