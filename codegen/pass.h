/* What is done with a module once it is built: for the launcher's code, and for that of a device. */
#ifndef DEPLOYC_PASS_H
#define DEPLOYC_PASS_H
#include "emit.h"

/* Before LLVM works for a target: an error that would end the process by itself is reported like others. May be called
 * again. */
void catch_fatal_errors(void);
LLVMCodeGenOptLevel optimization_level(int level); /* 0..3 */
void verify_module(LLVMModuleRef module, const char *when);
void run_passes(struct codegen *g, const char *passes); /* in LLVM's notation; verifies what comes out */
LLVMMemoryBufferRef module_buffer(const struct codegen *g, LLVMCodeGenFileType type); /* the caller disposes of it */
#endif
