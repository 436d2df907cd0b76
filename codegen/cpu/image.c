/* The emitter of CPUs: the kernels as functions of the launcher, and what processors with vectors do in a way of their
 * own. */
#include "cpu.h"

enum { WIDE_LANES = 16 }; /* processors with vectors so wide have twice the registers */

static int contract_rows(const struct codegen *g)
{
	return g->lanes >= WIDE_LANES ? CONTRACT_MAX_ROWS : CONTRACT_MAX_ROWS / 2;
}

/* AVX512-BF16: see target.bf16_dot. */
static LLVMValueRef dot(struct codegen *g, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef w)
{
	LLVMValueRef args[] = {sum, x, w};
	return ir_intrinsic(g, "llvm.x86.avx512bf16.dpbf16ps.512", NULL, args, 3);
}

static void add_image(struct codegen *g, const struct schedule *s, struct heap *heap, int level)
{
	(void)level;
	struct arena arena = {.heap = heap};
	LLVMValueRef *table = arena_array(&arena, LLVMValueRef, s->kernels.n);
	for (int i = 0; i < s->kernels.n; i++) {
		table[i] = emit_kernel(g, &s->kernels.at[i]);
		LLVMSetLinkage(table[i], LLVMInternalLinkage);
	}
	LLVMValueRef functions = ir_constant(g, "kernels", LLVMConstArray2(g->ptr, table, (uint64_t)s->kernels.n));
	LLVMSetLinkage(functions, LLVMInternalLinkage);
	ir_image(g, DR_IMAGE_FUNCTIONS, s->kernels.n, (LLVMValueRef[IMAGE_PARTS]){[IMAGE_FUNCTIONS] = functions});
	arena_free(&arena);
}

const struct emitter cpu_emitter = {.add_image = add_image, .contract_rows = contract_rows, .dot = dot};
