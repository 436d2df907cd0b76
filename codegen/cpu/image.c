/* The kernels as functions of the launcher. */
#include "cpu.h"

void cpu_add_image(struct codegen *g, const struct schedule *s, struct heap *heap)
{
	struct arena arena = {.heap = heap};
	LLVMValueRef *table = arena_array(&arena, LLVMValueRef, s->kernels.n);
	for (int i = 0; i < s->kernels.n; i++) {
		table[i] = emit_kernel(g, &s->kernels.at[i]);
		LLVMSetLinkage(table[i], LLVMInternalLinkage);
	}
	LLVMValueRef functions = ir_constant(g, "kernels", LLVMConstArray2(g->ptr, table, (uint64_t)s->kernels.n));
	LLVMSetLinkage(functions, LLVMInternalLinkage);
	LLVMValueRef fields[] = {ir_i32(g, DR_IMAGE_FUNCTIONS), ir_i32(g, s->kernels.n), functions};
	ir_constant(g, "dr_image", LLVMConstStructInContext(g->context, fields, 3, 0));
	arena_free(&arena);
}

const struct emitter cpu_emitter = {cpu_add_image, cpu_contract_rows, cpu_contract_tile};
