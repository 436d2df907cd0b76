/* The kernels of a schedule as PTX. Each entry calls a function of the kernel with its arguments in memory, which is
 * inlined: that of a tuned family, or the general one for one worker (../emit.h), told which worker its thread is. */
#include "gpu.h"
#include <llvm-c/Target.h>
#include <stdio.h>
#include <string.h>
#include "../late.h"
#include "../pass.h"
#include "kernels.h"

/* LLVM's calling convention of entries, which host code launches, and the address space of the GPU's memory. */
enum { PTX_KERNEL = 71, GLOBAL_SPACE = 1 };
/* The oldest GPU that is supported, and a version of PTX that drivers of CUDA 12 load. */
static const char TRIPLE[] = "nvptx64-nvidia-cuda", OLDEST[] = "sm_80", FEATURES[] = "+ptx78";

/* ---- entries --------------------------------------------------------------------------------- */
/* Tells the assembler a number about an entry. */
static void annotate(struct codegen *g, LLVMValueRef f, const char *name, int64_t number)
{
	LLVMMetadataRef parts[] = {LLVMValueAsMetadata(f), LLVMMDStringInContext2(g->context, name, strlen(name)),
	                           LLVMValueAsMetadata(ir_i32(g, number))};
	LLVMValueRef node = LLVMMetadataAsValue(g->context, LLVMMDNodeInContext2(g->context, parts, 3));
	LLVMAddNamedMetadataOperand(g->module, "nvvm.annotations", node);
}

/* How many threads a block has, and so how many registers each may use. */
static void bound_registers(struct codegen *g, LLVMValueRef f, const struct gpu_kernel *k, const struct dr_entry *e)
{
	enum { FEW_THREADS = 256 };
	int at_once = k->at_once[e - k->entry];
	annotate(g, f, "maxntidx", e->threads);
	if (k->tuned && !at_once && e->threads <= FEW_THREADS)
		at_once = BLOCKS_AT_ONCE;
	if (at_once)
		annotate(g, f, "minctasm", at_once);
}

/* NAME(u64 ...): calls `body` with the arguments in memory, and with the number of this thread, or of its team, among
 * all of them. */
static void add_entry(struct codegen *g, const struct gpu_kernel *k, const struct dr_entry *e, LLVMValueRef body)
{
	struct arena arena = {0};
	int n = kernel_args(k->kernel);
	LLVMTypeRef *params = arena_array(&arena, LLVMTypeRef, n);
	for (int i = 0; i < n; i++)
		params[i] = g->i64;
	LLVMValueRef f = ir_function(g, e->name, g->nothing, params, n, false);
	LLVMSetFunctionCallConv(f, PTX_KERNEL);
	bound_registers(g, f, k, e);
	LLVMValueRef args = ir_local(g, g->i64, n);
	for (int i = 0; i < n; i++)
		ir_store(g, LLVMGetParam(f, (unsigned)i), ir_offset(g, args, ir_i64(g, (int64_t)sizeof(uint64_t) * i)), 8);
	LLVMValueRef threads = ir_i32(g, e->threads), team = ir_i32(g, k->team ? k->team : 1);
	LLVMValueRef thread = ir_add(g, ir_mul(g, block_index(g), threads), block_thread(g));
	LLVMValueRef worker = ir_div(g, thread, team), workers = ir_div(g, ir_mul(g, block_count(g), threads), team);
	LLVMValueRef call[] = {args, worker, worker, workers};
	ir_call(g, body, call, sizeof call / sizeof *call);
	LLVMBuildRetVoid(g->builder);
	arena_free(&arena);
}

static void add_kernel(struct codegen *g, const struct gpu_kernel *k)
{
	if (!k->tuned) {
		add_entry(g, k, &k->entry[0], emit_kernel(g, k->kernel));
		return;
	}
	for (int i = 0; i < k->entries; i++) {
		if (LLVMGetNamedFunction(g->module, k->entry[i].name))
			continue; /* another way to launch it */
		char name[2 * sizeof k->kernel->name];
		snprintf(name, sizeof name, "%s.%d", k->kernel->name, i);
		gpu_family(k->kernel->family)->emit(g, k, i, name);
		add_entry(g, k, &k->entry[i], LLVMGetNamedFunction(g->module, name));
	}
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

static LLVMMemoryBufferRef ptx_of(const struct gpu_kernel *kernels, int n, const char *name,
                                  const struct target *target, int level)
{
	LLVMTargetMachineRef machine = machine_of(level);
	if (!machine)
		return NULL;
	struct codegen g;
	codegen_open(&g, name, machine, target, &gpu_emitter);
	for (int i = 0; i < n; i++)
		add_kernel(&g, &kernels[i]);
	inline_all(&g);
	verify_module(g.module, "before optimisation");
	run_passes(&g, "always-inline,globaldce,function(sroa,early-cse,instcombine<no-verify-fixpoint>,simplifycfg,"
	               "loop-mssa(licm),early-cse,dce)");
	LLVMMemoryBufferRef text = module_buffer(&g, LLVMAssemblyFile);
	codegen_close(&g);
	LLVMDisposeTargetMachine(machine);
	return text;
}

LLVMMemoryBufferRef gpu_kernel_ptx(const struct gpu_kernel *k, int level)
{
	struct target target = target_gpu();
	return ptx_of(k, 1, "kernel", &target, level);
}

static struct gpu_kernel *plan_kernels(struct arena *arena, const struct schedule *s)
{
	int64_t(*align)[MAX_OPERANDS] = gpu_alignments(arena, s);
	struct gpu_kernel *kernels = arena_array(arena, struct gpu_kernel, s->kernels.n);
	for (int i = 0; i < s->kernels.n; i++)
		kernels[i] = gpu_kernel_plan(arena, &s->kernels.at[i], align[i]);
	return kernels;
}

LLVMMemoryBufferRef gpu_ptx(const struct schedule *s, int level)
{
	struct arena arena = {0};
	LLVMMemoryBufferRef text = ptx_of(plan_kernels(&arena, s), s->kernels.n, s->deploy->name, &s->target, level);
	arena_free(&arena);
	return text;
}

/* ---- the launcher's image -------------------------------------------------------------------- */
static LLVMValueRef add_text(struct codegen *g, const char *name, const char *text, size_t n)
{
	LLVMValueRef at = ir_constant(g, name, LLVMConstStringInContext2(g->context, text, n, false));
	LLVMSetLinkage(at, LLVMPrivateLinkage);
	return at;
}

/* A struct dr_entry, field by field. */
static LLVMValueRef entry_constant(struct codegen *g, const struct dr_entry *e)
{
	LLVMValueRef fields[] = {add_text(g, "entry", e->name, strlen(e->name)),
	                         ir_i64(g, e->upto),
	                         ir_i32(g, e->phases),
	                         ir_i32(g, e->then),
	                         ir_i32(g, e->threads),
	                         ir_i32(g, e->shared),
	                         ir_i32(g, e->count),
	                         ir_i32(g, e->per),
	                         ir_i32(g, e->plus),
	                         ir_i32(g, e->times),
	                         ir_i32(g, e->most)};
	return LLVMConstStructInContext(g->context, fields, sizeof fields / sizeof *fields, 0);
}

static LLVMValueRef add_table(struct codegen *g, const char *name, LLVMValueRef *at, int n)
{
	LLVMValueRef table = ir_constant(g, name, LLVMConstArray2(LLVMTypeOf(at[0]), at, (uint64_t)n));
	LLVMSetLinkage(table, LLVMInternalLinkage);
	return table;
}

/* The launcher carries the text; the driver compiles it. */
static void add_image(struct codegen *g, const struct schedule *s, struct heap *heap, int level)
{
	struct arena arena = {.heap = heap};
	struct gpu_kernel *kernels = plan_kernels(&arena, s);
	LLVMMemoryBufferRef text = ptx_of(kernels, s->kernels.n, s->deploy->name, &s->target, level);
	LLVMValueRef ptx = add_text(g, "ptx", LLVMGetBufferStart(text), LLVMGetBufferSize(text));
	LLVMDisposeMemoryBuffer(text);
	LLVMValueRef *entries = arena_array(&arena, LLVMValueRef, s->kernels.n * GPU_ENTRIES);
	LLVMValueRef *first = arena_array(&arena, LLVMValueRef, s->kernels.n + 1);
	int n = 0;
	for (int i = 0; i < s->kernels.n; i++) {
		first[i] = ir_i32(g, n);
		for (int e = 0; e < kernels[i].entries; e++)
			entries[n++] = entry_constant(g, &kernels[i].entry[e]);
	}
	first[s->kernels.n] = ir_i32(g, n);
	ir_image(g, DR_IMAGE_PTX, s->kernels.n,
	         (LLVMValueRef[IMAGE_PARTS]){[IMAGE_PTX] = ptx,
	                                     [IMAGE_ENTRIES] = add_table(g, "entries", entries, n),
	                                     [IMAGE_FIRST] = add_table(g, "first", first, s->kernels.n + 1)});
	arena_free(&arena);
}

/* A thread has up to 255 registers, but more threads hide more of the memory's latency. */
static int contract_rows(const struct codegen *g)
{
	(void)g;
	return CONTRACT_MAX_ROWS / 3;
}

/* Teams are a power of two, and blocks have whole teams. */
static LLVMValueRef member(struct codegen *g) { return ir_wide(g, ir_and(g, block_thread(g), ir_i32(g, g->team - 1))); }

const struct emitter gpu_emitter = {
	.memory = GLOBAL_SPACE, .member = member, .add_image = add_image, .contract_rows = contract_rows};
