/* One module for a schedule: the tables, the kernels, the step programs and a main; verified, optimised, emitted. */
#include "module.h"
#include "cpu/cpu.h"
#include "cpu/machine.h"
#include "gpu/gpu.h"
#include "pass.h"
#include <errno.h>
#include <string.h>

static const struct emitter *const emitters[] = {[DR_IMAGE_FUNCTIONS] = &cpu_emitter, [DR_IMAGE_PTX] = &gpu_emitter};

/* ---- contents -------------------------------------------------------------------------------- */
static void add_blob(struct codegen *g, const struct schedule *s, const struct codegen_options *o)
{
	struct arena arena = {.heap = o->heap};
	size_t size;
	const unsigned char *bytes = blob_build(&arena, s, o->plan_text, o->forecast, &size);
	LLVMValueRef text = LLVMConstStringInContext2(g->context, (const char *)bytes, size, true);
	LLVMValueRef blob = LLVMAddGlobal(g->module, LLVMTypeOf(text), "dr_blob");
	LLVMSetInitializer(blob, text);
	LLVMSetGlobalConstant(blob, true);
	LLVMSetAlignment(blob, 64);
	arena_free(&arena);
}

/* The step programs, and dr_step_table. */
static void add_steps(struct codegen *g, const struct schedule *s, struct heap *heap)
{
	struct arena arena = {.heap = heap};
	LLVMValueRef *table = arena_array(&arena, LLVMValueRef, s->programs.n);
	for (int i = 0; i < s->programs.n; i++)
		table[i] = emit_step(g, s, &s->programs.at[i]);
	ir_constant(g, "dr_step_table", LLVMConstArray2(g->ptr, table, (uint64_t)s->programs.n));
	arena_free(&arena);
}

/* int main(int argc, char **argv) { return dr_main(argc, argv); } */
static void add_main(struct codegen *g)
{
	LLVMTypeRef params[] = {g->i32, g->ptr};
	LLVMValueRef runtime = LLVMAddFunction(g->module, "dr_main", LLVMFunctionType(g->i32, params, 2, false));
	LLVMValueRef f = ir_function(g, "main", g->i32, params, 2, false);
	LLVMValueRef args[] = {LLVMGetParam(f, 0), LLVMGetParam(f, 1)};
	LLVMBuildRet(g->builder, ir_call(g, runtime, args, 2));
}

static void build(struct codegen *g, LLVMTargetMachineRef machine, const struct schedule *s,
                  const struct codegen_options *o)
{
	codegen_open(g, s->deploy->name, machine, &s->target, emitters[s->target.image]);
	add_blob(g, s, o);
	g->emitter->add_image(g, s, o->heap, o->level);
	add_steps(g, s, o->heap);
	add_main(g);
	verify_module(g->module, "before optimisation");
}

/* ---- forms ----------------------------------------------------------------------------------- */
/* Kernels come vectorised and tiled: what is left is to put their variables into registers and constants out of loops.
 * The whole of default<O2> gives contractions and norms that are no faster, for twice the time and half as much code
 * again. */
static const char *passes_of(int level)
{
	static const char *const by_level[] = {
		"function(mem2reg)",
		"function(mem2reg)",
		"function(mem2reg,early-cse,loop-mssa(licm))",
		"function(mem2reg,early-cse,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),early-cse,dce)",
	};
	return by_level[level];
}

static LLVMMemoryBufferRef print_ir(const struct codegen *g)
{
	char *text = LLVMPrintModuleToString(g->module);
	LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "llvm");
	LLVMDisposeMessage(text);
	return buffer;
}

static LLVMMemoryBufferRef emit(struct codegen *g, const struct codegen_options *o, enum codegen_form form)
{
	if (form == CODEGEN_LLVM)
		return print_ir(g);
	run_passes(g, passes_of(o->level));
	if (o->sanitizer)
		run_passes(g, sanitize(g, o->sanitizer));
	return module_buffer(g, form == CODEGEN_ASM ? LLVMAssemblyFile : LLVMObjectFile);
}

LLVMMemoryBufferRef codegen_buffer(const struct schedule *s, const struct codegen_options *o, enum codegen_form form)
{
	if (form == CODEGEN_PTX)
		return gpu_ptx(s, o->level);
	LLVMTargetMachineRef machine = target_machine(o->cpu, o->level);
	if (!machine)
		return NULL;
	struct codegen g;
	build(&g, machine, s, o);
	LLVMMemoryBufferRef buffer = emit(&g, o, form);
	codegen_close(&g);
	LLVMDisposeTargetMachine(machine);
	return buffer;
}

bool codegen_emit(const struct schedule *s, const struct codegen_options *o, enum codegen_form form, FILE *out)
{
	LLVMMemoryBufferRef buffer = codegen_buffer(s, o, form);
	if (!buffer)
		return false;
	size_t n = LLVMGetBufferSize(buffer);
	bool ok = fwrite(LLVMGetBufferStart(buffer), 1, n, out) == n && fflush(out) == 0;
	if (!ok)
		complain("cannot write the module: %s", strerror(errno));
	LLVMDisposeMemoryBuffer(buffer);
	return ok;
}

bool codegen_object(struct arena *arena, const struct schedule *s, const struct codegen_options *o,
                    struct object_code *out)
{
	LLVMMemoryBufferRef buffer = codegen_buffer(s, o, CODEGEN_OBJ);
	if (!buffer)
		return false;
	out->size = LLVMGetBufferSize(buffer);
	out->at = memcpy(arena_alloc(arena, out->size), LLVMGetBufferStart(buffer), out->size);
	LLVMDisposeMemoryBuffer(buffer);
	return true;
}
