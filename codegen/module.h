/* What the files of codegen/ share around the module; emit.h is what emitting instructions shares. */
#ifndef DEPLOYC_MODULE_H
#define DEPLOYC_MODULE_H
#include <llvm-c/TargetMachine.h>
#include "codegen.h"
#include "emit.h"

/* target.c: the machine that `cpu` names, position-independent code. NULL: no such cpu, or no LLVM (printed).
 * Disposed by the caller. */
LLVMTargetMachineRef target_machine(const char *cpu, int level);
struct target_shape target_shape(LLVMTargetMachineRef machine);

/* blob.c: the bytes of dr_blob, in the arena. */
const unsigned char *blob_build(struct arena *arena, const struct schedule *s, const char *plan_text, size_t *size);

/* step.c: the function dr_step_prefill or dr_step_decode. */
void emit_step(struct codegen *g, const struct schedule *s, enum phase phase);

/* sanitize.c, for tests: prepares all functions for a sanitizer's pass and returns the pass. */
const char *sanitize(struct codegen *g, const char *sanitizer);

/* module.c: the module in a form, in memory, to be disposed by the caller. NULL: environment trouble (printed). */
LLVMMemoryBufferRef codegen_buffer(const struct schedule *s, const struct codegen_options *o, enum codegen_form form);
#endif
