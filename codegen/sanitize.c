/* For tests: instruments generated code for LLVM's address or thread sanitizer. The launcher must be linked with the
 * sanitizer's runtime; see docs/testing.md. */
#include "module.h"
#include <llvm-c/Target.h>
#include <string.h>

/* The largest access that the thread sanitizer's pass instruments; it ignores larger ones silently. */
enum { MAX_BYTES = 16 };

static void mark(struct codegen *g, LLVMValueRef f, const char *name)
{
	unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
	LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
	                        LLVMCreateEnumAttribute(g->context, kind, 0));
}

static LLVMValueRef range_function(struct codegen *g, const char *name)
{
	LLVMTypeRef params[] = {g->ptr, g->i64};
	LLVMValueRef known = LLVMGetNamedFunction(g->module, name);
	return known ? known
	             : LLVMAddFunction(g->module, name,
	                               LLVMFunctionType(LLVMVoidTypeInContext(g->context), params, 2, false));
}

/* Inserts, before the access of a wide vector, a call that reports it to the sanitizer. */
static void report_wide(struct codegen *g, LLVMValueRef in)
{
	bool store = LLVMGetInstructionOpcode(in) == LLVMStore;
	if (!store && LLVMGetInstructionOpcode(in) != LLVMLoad)
		return;
	LLVMTypeRef type = LLVMTypeOf(store ? LLVMGetOperand(in, 0) : in);
	unsigned long long bytes = LLVMStoreSizeOfType(LLVMGetModuleDataLayout(g->module), type);
	if (bytes <= MAX_BYTES)
		return;
	LLVMValueRef args[] = {LLVMGetOperand(in, store), LLVMConstInt(g->i64, bytes, false)};
	LLVMPositionBuilderBefore(g->builder, in);
	ir_call(g, range_function(g, store ? "__tsan_write_range" : "__tsan_read_range"), args, 2);
}

static void report_all_wide(struct codegen *g, LLVMValueRef f)
{
	for (LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f); block; block = LLVMGetNextBasicBlock(block))
		for (LLVMValueRef in = LLVMGetFirstInstruction(block); in; in = LLVMGetNextInstruction(in))
			report_wide(g, in);
}

const char *sanitize(struct codegen *g, const char *sanitizer)
{
	bool thread = !strcmp(sanitizer, "thread");
	for (LLVMValueRef f = LLVMGetFirstFunction(g->module); f; f = LLVMGetNextFunction(f)) {
		if (LLVMIsDeclaration(f))
			continue;
		mark(g, f, thread ? "sanitize_thread" : "sanitize_address");
		if (thread)
			report_all_wide(g, f);
	}
	return thread ? "function(scalarize-masked-mem-intrin,tsan),tsan-module" : "asan";
}
