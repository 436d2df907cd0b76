/* Where elements lie in a weight's tiles (struct packing), and the kernel that puts them there. */
#include "emit.h"

LLVMValueRef packed_row(struct codegen *g, const struct packing *p, LLVMValueRef k_padded, LLVMValueRef n)
{
	LLVMValueRef tile = ir_i64(g, p->n_tile);
	LLVMValueRef start = ir_mul(g, ir_div(g, n, tile), ir_mul(g, k_padded, tile));
	return ir_add(g, start, ir_mul(g, ir_rem(g, n, tile), ir_i64(g, p->k_run)));
}

LLVMValueRef packed_index(struct codegen *g, const struct packing *p, enum dtype t, LLVMValueRef n, LLVMValueRef k)
{
	LLVMValueRef run = ir_i64(g, p->k_run), within_run = ir_rem(g, k, run);
	LLVMValueRef step = ir_mul(g, ir_div(g, k, run), ir_i64(g, (int64_t)p->n_tile * p->k_run));
	if (p->swizzled) {
		LLVMValueRef row = ir_and(g, n, ir_i64(g, SWIZZLE_PIECES - 1));
		LLVMValueRef swap = ir_mul(g, row, ir_i64(g, SWIZZLE_PIECE / dtype_bytes(t)));
		within_run = LLVMBuildXor(g->builder, within_run, swap, "");
	}
	return ir_add(g, step, within_run);
}

/* ---- tile: bits are moved as f32, which loads and stores keep ---------------------------------- */
struct tile_row {
	const struct packing *pack;
	LLVMValueRef n, from, to; /* n: row of its group */
};

static void tile_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct tile_row *r = context;
	LLVMValueRef to = ir_at(g, r->to, DTYPE_F32, packed_index(g, r->pack, DTYPE_F32, r->n, index));
	store_vector(g, DTYPE_F32, load_vector(g, DTYPE_F32, ir_at(g, r->from, DTYPE_F32, index), mask), to, mask);
}

/* A vector is at most what stays together: a piece of a swizzled run, or a run. */
void emit_tile(struct codegen *g, const char *name, const struct kernel_tile *k)
{
	const struct packing *p = &k->pack;
	int lanes = g->lanes, together = p->swizzled ? SWIZZLE_PIECE / dtype_bytes(DTYPE_F32) : p->k_run;
	kernel_begin(g, name);
	LLVMValueRef rows = arg_pointer(g, TILE_FROM), tiles = arg_pointer(g, TILE_TO), first = arg_integer(g, TILE_FIRST),
				 per_group = arg_integer(g, TILE_N), words = arg_integer(g, TILE_WORDS);
	LLVMValueRef n_padded = ir_mul(g, ir_ceil_div(g, per_group, p->n_tile), ir_i64(g, p->n_tile));
	g->lanes = lanes < together ? lanes : together;
	struct ir_loop l = share_begin(g, arg_integer(g, TILE_M));
	LLVMValueRef row = ir_add(g, first, l.index), n = ir_rem(g, row, per_group);
	LLVMValueRef group = ir_mul(g, ir_div(g, row, per_group), ir_mul(g, n_padded, words));
	struct tile_row r = {.pack = p,
	                     .n = n,
	                     .from = ir_at(g, rows, DTYPE_F32, ir_mul(g, l.index, words)),
	                     .to = ir_at(g, tiles, DTYPE_F32, ir_add(g, group, packed_row(g, p, words, n)))};
	for_vectors(g, ir_i64(g, 0), words, tile_vector, &r);
	loop_end(g, &l);
	g->lanes = lanes;
	kernel_end(g);
}
