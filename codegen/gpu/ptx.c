/* The kernels of a schedule as PTX. Each is a function for one worker (../emit.h), inlined into an entry that finds out
 * which worker its thread is. */
#include "gpu.h"
#include <llvm-c/Target.h>
#include <string.h>
#include "../late.h"
#include "../pass.h"

/* LLVM's calling convention of entries, which host code launches. */
enum { PTX_KERNEL = 71 };
/* The oldest GPU that is supported, and a version of PTX that drivers of CUDA 12 load. */
static const char TRIPLE[] = "nvptx64-nvidia-cuda", OLDEST[] = "sm_80", FEATURES[] = "+ptx78";

/* A thread has up to 255 registers, but more threads hide more of the memory's latency. */
static int contract_rows(const struct codegen *g)
{
	(void)g;
	return CONTRACT_MAX_ROWS / 3;
}

/* ---- entries --------------------------------------------------------------------------------- */
static LLVMValueRef special(struct codegen *g, const char *name) { return ir_intrinsic(g, name, NULL, NULL, 0); }

static const char *entry_name(struct arena *arena, const struct kernel *k)
{
	return arena_printf(arena, "dr_%s", k->name);
}

/* dr_NAME(u64 ...): calls the kernel with its arguments in memory, and with this thread's number among all of them. */
static void add_entry(struct codegen *g, const struct kernel *k, LLVMValueRef body)
{
	struct arena arena = {0};
	int n = kernel_args(k);
	LLVMTypeRef *params = arena_array(&arena, LLVMTypeRef, n);
	for (int i = 0; i < n; i++)
		params[i] = g->i64;
	LLVMValueRef f = ir_function(g, entry_name(&arena, k), g->nothing, params, n, false);
	LLVMSetFunctionCallConv(f, PTX_KERNEL);
	LLVMValueRef args = ir_local(g, g->i64, n);
	for (int i = 0; i < n; i++)
		ir_store(g, LLVMGetParam(f, (unsigned)i), ir_offset(g, args, ir_i64(g, (int64_t)sizeof(uint64_t) * i)), 8);
	LLVMValueRef per_block = special(g, "llvm.nvvm.read.ptx.sreg.ntid.x");
	LLVMValueRef before = ir_mul(g, special(g, "llvm.nvvm.read.ptx.sreg.ctaid.x"), per_block);
	LLVMValueRef call[] = {args, ir_add(g, before, special(g, "llvm.nvvm.read.ptx.sreg.tid.x")),
	                       ir_mul(g, special(g, "llvm.nvvm.read.ptx.sreg.nctaid.x"), per_block)};
	ir_call(g, body, call, 3);
	LLVMBuildRetVoid(g->builder);
	arena_free(&arena);
}

/* A call costs a thread its registers: everything becomes part of the entries. */
static void inline_all(struct codegen *g)
{
	unsigned always = LLVMGetEnumAttributeKindForName("alwaysinline", strlen("alwaysinline"));
	unsigned never = LLVMGetEnumAttributeKindForName("noinline", strlen("noinline"));
	for (LLVMValueRef f = LLVMGetFirstFunction(g->module); f; f = LLVMGetNextFunction(f)) {
		if (LLVMIsDeclaration(f) || LLVMGetFunctionCallConv(f) == PTX_KERNEL)
			continue;
		LLVMRemoveEnumAttributeAtIndex(f, (unsigned)LLVMAttributeFunctionIndex, never);
		LLVMAddAttributeAtIndex(f, (unsigned)LLVMAttributeFunctionIndex,
		                        LLVMCreateEnumAttribute(g->context, always, 0));
		LLVMSetLinkage(f, LLVMInternalLinkage);
	}
}

/* ---- the module ------------------------------------------------------------------------------ */
static LLVMTargetMachineRef machine_of(int level)
{
	if (!late_load())
		return NULL;
	catch_fatal_errors();
	LLVMInitializeNVPTXTargetInfo();
	LLVMInitializeNVPTXTarget();
	LLVMInitializeNVPTXTargetMC();
	LLVMInitializeNVPTXAsmPrinter();
	LLVMTargetRef target;
	char *message = NULL;
	if (LLVMGetTargetFromTriple(TRIPLE, &target, &message))
		internal_error("no target for %s: %s", TRIPLE, message);
	return LLVMCreateTargetMachine(target, TRIPLE, OLDEST, FEATURES, optimization_level(level), LLVMRelocDefault,
	                               LLVMCodeModelDefault);
}

static LLVMValueRef add_text(struct codegen *g, const char *name, const char *text, size_t n)
{
	LLVMValueRef at = ir_constant(g, name, LLVMConstStringInContext2(g->context, text, n, false));
	LLVMSetLinkage(at, LLVMPrivateLinkage);
	return at;
}

/* The launcher carries the text; the driver compiles it. */
static void add_image(struct codegen *g, const struct schedule *s, struct heap *heap, int level)
{
	struct arena arena = {.heap = heap};
	LLVMMemoryBufferRef text = gpu_ptx(s, level);
	LLVMValueRef ptx = add_text(g, "ptx", LLVMGetBufferStart(text), LLVMGetBufferSize(text));
	LLVMDisposeMemoryBuffer(text);
	LLVMValueRef *table = arena_array(&arena, LLVMValueRef, s->kernels.n);
	for (int i = 0; i < s->kernels.n; i++) {
		const char *name = entry_name(&arena, &s->kernels.at[i]);
		table[i] = add_text(g, "entry", name, strlen(name));
	}
	LLVMValueRef entries = ir_constant(g, "entries", LLVMConstArray2(g->ptr, table, (uint64_t)s->kernels.n));
	LLVMSetLinkage(entries, LLVMInternalLinkage);
	ir_image(g, DR_IMAGE_PTX, s->kernels.n, NULL, ptx, entries);
	arena_free(&arena);
}

const struct emitter gpu_emitter = {.add_image = add_image, .contract_rows = contract_rows};

LLVMMemoryBufferRef gpu_ptx(const struct schedule *s, int level)
{
	LLVMTargetMachineRef machine = machine_of(level);
	if (!machine)
		return NULL;
	struct codegen g;
	codegen_open(&g, s->deploy->name, machine, &s->target, &gpu_emitter);
	for (int i = 0; i < s->kernels.n; i++)
		add_entry(&g, &s->kernels.at[i], emit_kernel(&g, &s->kernels.at[i]));
	inline_all(&g);
	verify_module(g.module, "before optimisation");
	run_passes(&g, "always-inline,globaldce,function(sroa,early-cse,instcombine<no-verify-fixpoint>,simplifycfg,"
	               "loop-mssa(licm),early-cse,dce)");
	LLVMMemoryBufferRef text = module_buffer(&g, LLVMAssemblyFile);
	codegen_close(&g);
	LLVMDisposeTargetMachine(machine);
	return text;
}
