/* Verifies, optimises and emits a module; what LLVM does with its own errors. */
#include "pass.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdlib.h>
#include <string.h>

/* Where LLVM would end the process by itself. */
static void on_fatal(const char *reason)
{
	if (!strstr(reason, "64-bit code requested"))
		internal_error("LLVM: %s", reason);
	complain("the cpu that was named has no 64-bit mode");
	give_up(EXIT_FAILURE);
}

void catch_fatal_errors(void) { LLVMInstallFatalErrorHandler(on_fatal); }

LLVMCodeGenOptLevel optimization_level(int level)
{
	static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess, LLVMCodeGenLevelDefault,
	                                             LLVMCodeGenLevelAggressive};
	return levels[level];
}

void verify_module(LLVMModuleRef module, const char *when)
{
	char *message = NULL;
	if (LLVMVerifyModule(module, LLVMReturnStatusAction, &message))
		internal_error("the module is broken %s: %s", when, message);
	LLVMDisposeMessage(message);
}

void run_passes(struct codegen *g, const char *passes)
{
	LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
	LLVMPassBuilderOptionsSetLoopVectorization(options, false);
	LLVMPassBuilderOptionsSetSLPVectorization(options, false);
	LLVMErrorRef error = LLVMRunPasses(g->module, passes, g->machine, options);
	LLVMDisposePassBuilderOptions(options);
	if (error)
		internal_error("LLVM: %s", LLVMGetErrorMessage(error));
	verify_module(g->module, "after optimisation");
}

LLVMMemoryBufferRef module_buffer(const struct codegen *g, LLVMCodeGenFileType type)
{
	LLVMMemoryBufferRef buffer;
	char *message = NULL;
	if (LLVMTargetMachineEmitToMemoryBuffer(g->machine, g->module, type, &message, &buffer))
		internal_error("LLVM: %s", message);
	return buffer;
}
