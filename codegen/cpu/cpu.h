/* Shared by the files of codegen/cpu/: the emitter of launchers that run kernels as functions. */
#ifndef DEPLOYC_CODEGEN_CPU_H
#define DEPLOYC_CODEGEN_CPU_H
#include "../emit.h"

extern const struct emitter cpu_emitter;

/* The members of cpu_emitter: see struct emitter. */
int cpu_contract_rows(const struct codegen *g);
LLVMValueRef cpu_contract_tile(struct codegen *g, const struct contract_tile *t);
void cpu_add_image(struct codegen *g, const struct schedule *s, struct heap *heap);
#endif
