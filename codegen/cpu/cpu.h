/* Shared by the files of codegen/cpu/: the emitter of launchers that run kernels as functions. */
#ifndef DEPLOYC_CODEGEN_CPU_H
#define DEPLOYC_CODEGEN_CPU_H
#include "../emit.h"

extern const struct emitter cpu_emitter;

#endif
