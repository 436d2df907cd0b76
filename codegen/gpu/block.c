/* Threads of a block: their numbers, barriers, exchanges, shared memory. */
#include "block.h"

enum { SHARED_SPACE = 3, ALL_LANES = -1, SHARED_ALIGN = 128, DYNAMIC_ALIGN = 1024 };

static LLVMValueRef special(struct codegen *g, const char *name) { return ir_intrinsic(g, name, NULL, NULL, 0); }

LLVMValueRef block_thread(struct codegen *g) { return special(g, "llvm.nvvm.read.ptx.sreg.tid.x"); }
LLVMValueRef block_index(struct codegen *g) { return special(g, "llvm.nvvm.read.ptx.sreg.ctaid.x"); }
LLVMValueRef block_count(struct codegen *g) { return special(g, "llvm.nvvm.read.ptx.sreg.nctaid.x"); }

LLVMValueRef block_lane(struct codegen *g) { return ir_and(g, block_thread(g), ir_i32(g, WARP - 1)); }

LLVMValueRef block_warp(struct codegen *g)
{
	return LLVMBuildLShr(g->builder, block_thread(g), ir_i32(g, __builtin_ctz(WARP)), "");
}

void block_barrier(struct codegen *g) { ir_intrinsic(g, "llvm.nvvm.barrier0", NULL, NULL, 0); }

LLVMValueRef warp_exchange(struct codegen *g, LLVMValueRef v, int bits)
{
	LLVMTypeRef type = LLVMTypeOf(v);
	LLVMValueRef args[] = {ir_i32(g, ALL_LANES), ir_bits(g, v, g->i32), ir_i32(g, bits), ir_i32(g, WARP - 1)};
	return ir_bits(g, ir_intrinsic(g, "llvm.nvvm.shfl.sync.bfly.i32", NULL, args, 4), type);
}

LLVMValueRef warp_reduce(struct codegen *g, LLVMValueRef v, int lanes, ir_binary *op)
{
	for (int bits = lanes / 2; bits; bits /= 2)
		v = op(g, v, warp_exchange(g, v, bits));
	return v;
}

LLVMValueRef block_reduce(struct codegen *g, LLVMValueRef v, int threads, LLVMValueRef shared, ir_binary *op)
{
	LLVMTypeRef type = LLVMTypeOf(v);
	v = warp_reduce(g, v, WARP, op);
	struct ir_branch first = if_begin(g, ir_compare(g, LLVMIntEQ, block_lane(g), ir_i32(g, 0)));
	ir_store(g, v, ir_at(g, shared, DTYPE_F32, ir_wide(g, block_warp(g))), 4);
	if_end(g, &first);
	block_barrier(g);
	v = ir_load(g, type, shared, 4);
	for (int i = 1; i < threads / WARP; i++)
		v = op(g, v, ir_load(g, type, ir_at(g, shared, DTYPE_F32, ir_i64(g, i)), 4));
	block_barrier(g);
	return v;
}

void warp_barrier(struct codegen *g)
{
	LLVMValueRef all = ir_i32(g, ALL_LANES);
	ir_intrinsic(g, "llvm.nvvm.bar.warp.sync", NULL, &all, 1);
}

LLVMValueRef warp_from(struct codegen *g, LLVMValueRef v, LLVMValueRef lane)
{
	LLVMValueRef args[] = {ir_i32(g, ALL_LANES), v, lane, ir_i32(g, WARP - 1)};
	return ir_intrinsic(g, "llvm.nvvm.shfl.sync.idx.i32", NULL, args, 4);
}

LLVMValueRef warp_sums(struct codegen *g, LLVMValueRef v)
{
	for (int below = 1; below < WARP; below *= 2) {
		LLVMValueRef args[] = {ir_i32(g, ALL_LANES), v, ir_i32(g, below), ir_i32(g, 0)};
		LLVMValueRef other = ir_intrinsic(g, "llvm.nvvm.shfl.sync.up.i32", NULL, args, 4);
		LLVMValueRef has = ir_compare(g, LLVMIntSGE, block_lane(g), ir_i32(g, below));
		v = ir_add(g, v, ir_select(g, has, other, ir_i32(g, 0)));
	}
	return v;
}

LLVMValueRef block_shared(struct codegen *g, const char *name, LLVMTypeRef type, int64_t n)
{
	LLVMTypeRef array = LLVMArrayType2(type, (uint64_t)n);
	LLVMValueRef at = LLVMAddGlobalInAddressSpace(g->module, array, name, SHARED_SPACE);
	LLVMSetLinkage(at, LLVMInternalLinkage);
	LLVMSetInitializer(at, LLVMGetUndef(array));
	LLVMSetAlignment(at, SHARED_ALIGN);
	return LLVMConstAddrSpaceCast(at, g->ptr);
}

LLVMValueRef block_dynamic(struct codegen *g)
{
	LLVMValueRef made = LLVMGetNamedGlobal(g->module, "dr_shared");
	if (made)
		return made;
	made = LLVMAddGlobalInAddressSpace(g->module, LLVMArrayType2(g->i8, 0), "dr_shared", SHARED_SPACE);
	LLVMSetAlignment(made, DYNAMIC_ALIGN);
	return made;
}

void piece_copy(struct codegen *g, LLVMValueRef shared, LLVMValueRef from, LLVMValueRef bytes)
{
	LLVMTypeRef there = LLVMPointerTypeInContext(g->context, g->emitter->memory);
	LLVMValueRef args[] = {shared, LLVMBuildAddrSpaceCast(g->builder, from, there, ""), bytes};
	ir_intrinsic(g, "llvm.nvvm.cp.async.cg.shared.global.16.s", NULL, args, 3);
}

void copies_end_group(struct codegen *g) { ir_intrinsic(g, "llvm.nvvm.cp.async.commit.group", NULL, NULL, 0); }

void copies_wait(struct codegen *g, int groups)
{
	LLVMValueRef n = ir_i32(g, groups);
	ir_intrinsic(g, "llvm.nvvm.cp.async.wait.group", NULL, &n, 1);
}

void keep_loop(struct codegen *g)
{
	static const char text[] = ".pragma \"nounroll\";";
	LLVMTypeRef type = LLVMFunctionType(g->nothing, NULL, 0, false);
	LLVMValueRef line =
		LLVMGetInlineAsm(type, text, sizeof text - 1, "", 0, true, false, LLVMInlineAsmDialectATT, false);
	LLVMBuildCall2(g->builder, type, line, NULL, 0, "");
}

struct ir_loop blocks_begin(struct codegen *g, LLVMValueRef items)
{
	return loop_begin(g, ir_wide(g, block_index(g)), items, ir_wide(g, block_count(g)));
}
