/* Verifies, optimises and emits a module. */
#include "pass.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>

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
