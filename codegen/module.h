/* Shared by the files of codegen/ that make the module; emit.h is for emitting instructions. */
#ifndef DEPLOYC_MODULE_H
#define DEPLOYC_MODULE_H
#include "codegen.h"
#include "emit.h"

/* blob.c: the bytes of dr_blob, in the arena. */
const unsigned char *blob_build(struct arena *arena, const struct schedule *s, const char *plan_text,
                                const struct forecast *forecast, size_t *size);

/* step.c: emits a step program as a function: dr_step_prefill, dr_step_decode. */
LLVMValueRef emit_step(struct codegen *g, const struct schedule *s, const struct step_program *p);

/* sanitize.c, for tests: prepares all functions for a sanitizer's pass and returns the pass. */
const char *sanitize(struct codegen *g, const char *sanitizer);

/* module.c: the module in a form, in memory. NULL: trouble with the environment (printed). The caller disposes of
 * it. */
LLVMMemoryBufferRef codegen_buffer(const struct schedule *s, const struct codegen_options *o, enum codegen_form form);
#endif
