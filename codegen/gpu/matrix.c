/* The matrix units, as LLVM's intrinsics. */
#include "matrix.h"

static LLVMValueRef extract(struct codegen *g, LLVMValueRef from, unsigned i)
{
	return LLVMBuildExtractValue(g->builder, from, i, "");
}

void matrix_add(struct codegen *g, enum dtype t, LLVMValueRef *sum, const LLVMValueRef *a, const LLVMValueRef *b)
{
	LLVMValueRef args[MATRIX_A + MATRIX_B + MATRIX_SUMS];
	LLVMTypeRef pair = t == DTYPE_F16 ? LLVMVectorType(g->f16, 2) : g->i32;
	for (int i = 0; i < MATRIX_A + MATRIX_B; i++)
		args[i] = ir_bits(g, i < MATRIX_A ? a[i] : b[i - MATRIX_A], pair);
	for (int i = 0; i < MATRIX_SUMS; i++)
		args[MATRIX_A + MATRIX_B + i] = sum[i];
	const char *name =
		t == DTYPE_F16 ? "llvm.nvvm.mma.m16n8k16.row.col.f32.f32" : "llvm.nvvm.mma.m16n8k16.row.col.bf16";
	LLVMValueRef all = ir_intrinsic(g, name, NULL, args, MATRIX_A + MATRIX_B + MATRIX_SUMS);
	for (unsigned i = 0; i < MATRIX_SUMS; i++)
		sum[i] = extract(g, all, i);
}

void matrix_add_memory(struct codegen *g, enum dtype t, const LLVMValueRef *sum, const LLVMValueRef *a,
                       const LLVMValueRef *b)
{
	LLVMValueRef value[MATRIX_SUMS];
	for (int i = 0; i < MATRIX_SUMS; i++)
		value[i] = ir_load(g, g->f32, sum[i], 4);
	matrix_add(g, t, value, a, b);
	for (int i = 0; i < MATRIX_SUMS; i++)
		ir_store(g, value[i], sum[i], 4);
}

LLVMValueRef matrix_pair(struct codegen *g, enum dtype t, LLVMValueRef first, LLVMValueRef second)
{
	LLVMValueRef args[] = {second, first};
	const char *name = t == DTYPE_F16 ? "llvm.nvvm.ff2f16x2.rn" : "llvm.nvvm.ff2bf16x2.rn";
	return ir_bits(g, ir_intrinsic(g, name, NULL, args, 2), g->i32);
}

struct piece piece_load(struct codegen *g, LLVMValueRef at)
{
	struct piece p;
	LLVMValueRef words = ir_load(g, LLVMVectorType(g->i32, 4), at, PIECE_BYTES);
	for (int i = 0; i < 4; i++)
		p.word[i] = LLVMBuildExtractElement(g->builder, words, ir_i32(g, i), "");
	return p;
}

struct piece piece_or_zero(struct codegen *g, LLVMValueRef condition, struct piece p)
{
	for (int i = 0; i < 4; i++)
		p.word[i] = ir_select(g, condition, p.word[i], ir_i32(g, 0));
	return p;
}

struct piece matrix_load(struct codegen *g, LLVMValueRef shared)
{
	struct piece p;
	LLVMValueRef all = ir_intrinsic(g, "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16", LLVMTypeOf(shared), &shared, 1);
	for (unsigned i = 0; i < 4; i++)
		p.word[i] = extract(g, all, i);
	return p;
}
