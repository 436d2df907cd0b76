/* Kernels of pointwise chains and reductions along the innermost axis, a row after the other. A row is walked once per
 * level of reductions, then once to store. Values that vary along the axis are recomputed in each walk, so only scalars
 * live across walks and rows may be of any length. */
#include "rows.h"

/* Without reductions, the innermost axis is cut into pieces, so that a single long row has work for all shares. */
enum { PIECE = 1024 };

static void walk_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	struct rows *r = context;
	(void)g;
	rows_go_to(r, index, mask);
	rows_accumulate(r);
	if (r->walk > rows_walks(r))
		rows_store_vectors(r);
}

static void emit_row(struct rows *r, LLVMValueRef from, LLVMValueRef to)
{
	int last = rows_walks(r) + 1;
	for (r->walk = 1; r->walk <= last; r->walk++) {
		rows_start(r);
		rows_settle(r);
		for_vectors(r->g, from, to, walk_vector, r);
		rows_finish(r, NULL);
	}
	rows_store_scalars(r);
}

void emit_rows(struct codegen *g, const char *name, const struct kernel_rows *k)
{
	struct rows r = {0};
	kernel_begin(g, name);
	rows_begin(&r, g, k);
	int64_t extent = k->extent[k->dims - 1], piece = rows_walks(&r) ? extent : PIECE;
	LLVMValueRef pieces = ir_ceil_div(g, ir_i64(g, extent), piece);
	struct ir_loop l = share_begin(g, ir_mul(g, r.items, pieces));
	rows_place(&r, ir_div(g, l.index, pieces));
	LLVMValueRef from = ir_mul(g, ir_rem(g, l.index, pieces), ir_i64(g, piece));
	emit_row(&r, from, ir_min(g, ir_add(g, from, ir_i64(g, piece)), ir_i64(g, extent)));
	loop_end(g, &l);
	kernel_end(g);
}
