/* The processor that code is for: names, features, and what the schedule has to know of it. */
#include "machine.h"
#include "../codegen.h"
#include "../late.h"
#include "../pass.h"
#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* May run more than once. */
static void initialize_target(void)
{
	catch_fatal_errors();
	LLVMInitializeNativeTarget();
	LLVMInitializeNativeAsmPrinter();
}

static LLVMTargetRef target_of(const char *triple)
{
	LLVMTargetRef target;
	char *message = NULL;
	if (LLVMGetTargetFromTriple(triple, &target, &message))
		internal_error("no target for %s: %s", triple, message);
	return target;
}

static LLVMTargetMachineRef create(LLVMTargetRef target, const char *triple, const char *cpu, const char *features,
                                   int level)
{
	return LLVMCreateTargetMachine(target, triple, cpu, features, optimization_level(level), LLVMRelocPIC,
	                               LLVMCodeModelDefault);
}

/* The end of what LLVM wrote to stderr since stderr was pointed at `capture`, which is closed. */
static void end_capture(FILE *capture, int terminal, char *said, size_t size)
{
	dup2(terminal, STDERR_FILENO);
	close(terminal);
	rewind(capture);
	fseek(capture, -(long)(size - 1), SEEK_END); /* fails if it is shorter */
	said[fread(said, 1, size - 1, capture)] = '\0';
	fclose(capture);
}

/* LLVM reports a name that it does not know, and lists the names for "help", on stderr alone, and goes on with
 * another: `said` is what it says there. */
static LLVMTargetMachineRef create_heard(const char *triple, const char *cpu, int level, char *said, size_t size)
{
	LLVMTargetRef target = target_of(triple); /* an error is reported before stderr goes elsewhere */
	FILE *capture = tmpfile();
	int terminal = capture ? dup(STDERR_FILENO) : -1;
	if (terminal < 0) {
		complain("cannot make a temporary file: %s", strerror(errno));
		return NULL;
	}
	fflush(stderr);
	dup2(fileno(capture), STDERR_FILENO);
	LLVMTargetMachineRef machine = create(target, triple, cpu, "", level);
	end_capture(capture, terminal, said, size);
	return machine;
}

static LLVMTargetMachineRef create_named(const char *triple, const char *cpu, int level)
{
	char said[1 << 10] = "";
	LLVMTargetMachineRef machine = create_heard(triple, cpu, level, said, sizeof said);
	if (!machine || !strstr(said, "is not a recognized processor"))
		return machine;
	complain("no such cpu: %s (`help` lists them, `native` is this machine's)", cpu);
	LLVMDisposeTargetMachine(machine);
	return NULL;
}

static LLVMTargetMachineRef create_native(const char *triple, int level)
{
	char *cpu = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
	LLVMTargetMachineRef machine = create(target_of(triple), triple, cpu, features, level);
	LLVMDisposeMessage(cpu);
	LLVMDisposeMessage(features);
	return machine;
}

LLVMTargetMachineRef target_machine(const char *cpu, int level)
{
	if (!late_load())
		return NULL;
	initialize_target();
	char *triple = LLVMGetDefaultTargetTriple();
	LLVMTargetMachineRef machine;
	if (cpu && strcmp(cpu, "native") == 0)
		machine = create_native(triple, level);
	else
		machine = create_named(triple, cpu ? cpu : target_default(), level);
	LLVMDisposeMessage(triple);
	return machine;
}

/* void probe(ptr x): reads and stores 16 floats, and rounds them to bf16. */
static void build_probe(LLVMModuleRef module, LLVMContextRef context)
{
	LLVMTypeRef f32 = LLVMFloatTypeInContext(context), pointer = LLVMPointerTypeInContext(context, 0);
	LLVMTypeRef wide = LLVMVectorType(f32, 16), half = LLVMVectorType(LLVMBFloatTypeInContext(context), 16);
	LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(context), &pointer, 1, false);
	LLVMValueRef probe = LLVMAddFunction(module, "probe", type);
	LLVMBuilderRef b = LLVMCreateBuilderInContext(context);
	LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(context, probe, ""));
	LLVMValueRef x = LLVMBuildLoad2(b, wide, LLVMGetParam(probe, 0), "");
	LLVMValueRef twice = LLVMBuildFAdd(b, x, x, "");
	LLVMBuildStore(b, twice, LLVMGetParam(probe, 0));
	LLVMValueRef one = LLVMConstInt(LLVMInt64TypeInContext(context), 1, false);
	LLVMValueRef behind = LLVMBuildGEP2(b, wide, LLVMGetParam(probe, 0), &one, 1, "");
	LLVMBuildStore(b, LLVMBuildFPTrunc(b, twice, half, ""), behind);
	LLVMBuildRetVoid(b);
	LLVMDisposeBuilder(b);
}

/* LLVM-C does not tell a processor's features: the code that comes out of a probe does. */
static struct target shape_of(const char *assembly)
{
	int lanes = strstr(assembly, "%zmm") ? 16 : strstr(assembly, "%ymm") ? 8 : 4;
	/* vcvtneps2bf16 of 512 bits is AVX512-BF16, which also has vdpbf16ps; of 256 bits it may
	 * be AVX-NE-CONVERT alone. */
	bool bf16_dot = lanes == 16 && strstr(assembly, "vcvtneps2bf16");
	return target_cpu(lanes, bf16_dot);
}

struct target target_of_machine(LLVMTargetMachineRef machine)
{
	LLVMContextRef context = LLVMContextCreate();
	LLVMModuleRef module = LLVMModuleCreateWithNameInContext("probe", context);
	build_probe(module, context);
	char *message = NULL;
	LLVMMemoryBufferRef assembly;
	if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMAssemblyFile, &message, &assembly))
		internal_error("LLVM: %s", message);
	struct target shape = shape_of(LLVMGetBufferStart(assembly));
	LLVMDisposeMemoryBuffer(assembly);
	LLVMDisposeModule(module);
	LLVMContextDispose(context);
	return shape;
}

bool codegen_cpus(void)
{
	char said[1 << 16] = "";
	if (!late_load())
		return false;
	initialize_target();
	char *triple = LLVMGetDefaultTargetTriple();
	LLVMTargetMachineRef machine = create_heard(triple, "help", 0, said, sizeof said);
	LLVMDisposeMessage(triple);
	if (!machine)
		return false;
	fputs(said, stdout);
	LLVMDisposeTargetMachine(machine);
	return true;
}

bool codegen_target(const char *cpu, struct target *out)
{
	LLVMTargetMachineRef machine = target_machine(cpu, 1);
	if (!machine)
		return false;
	*out = target_of_machine(machine);
	LLVMDisposeTargetMachine(machine);
	return true;
}
