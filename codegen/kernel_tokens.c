/* Kernels at the ends of a model: embedding, the choice of rows. */
#include "emit.h"
#include "../support/round.h"

struct row_copy {
	enum dtype from_type, to_type;
	LLVMValueRef from, to;
};

static void copy_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct row_copy *c = context;
	LLVMValueRef v = load_vector(g, c->from_type, ir_at(g, c->from, c->from_type, index), mask);
	store_vector(g, c->to_type, v, ir_at(g, c->to, c->to_type, index), mask);
}

/* 0 <= index < bound */
static LLVMValueRef within(struct codegen *g, LLVMValueRef index, LLVMValueRef bound)
{
	return ir_compare(g, LLVMIntULT, index, bound);
}

/* ---- embed ----------------------------------------------------------------------------------- */
/* Vectors of a row in swizzled tiles: neighbours stay neighbours within a piece. */
struct piece_copy {
	const struct kernel_embed *k;
	LLVMValueRef n, from, to;
};

static void copy_piece(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct piece_copy *c = context;
	LLVMValueRef at = ir_at(g, c->from, c->k->table, packed_index(g, &c->k->pack, c->k->table, c->n, index));
	store_vector(g, c->k->out, load_vector(g, c->k->table, at, mask), ir_at(g, c->to, c->k->out, index), mask);
}

static void embed_row(struct codegen *g, const struct kernel_embed *k, LLVMValueRef table, LLVMValueRef n,
                      LLVMValueRef out)
{
	if (k->pack.n_tile == 0) {
		LLVMValueRef row = ir_at(g, table, k->table, ir_mul(g, n, ir_i64(g, k->d)));
		struct row_copy c = {.from_type = k->table, .to_type = k->out, .from = row, .to = out};
		for_vectors(g, ir_i64(g, 0), ir_i64(g, k->d), copy_vector, &c);
		return;
	}
	LLVMValueRef padded = ir_i64(g, round_up(k->d, k->pack.k_run));
	LLVMValueRef row = ir_at(g, table, k->table, packed_row(g, &k->pack, padded, n));
	if (k->pack.swizzled) {
		struct piece_copy c = {.k = k, .n = n, .from = row, .to = out};
		for_vectors(g, ir_i64(g, 0), ir_i64(g, k->d), copy_piece, &c);
		return;
	}
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, k->d), ir_i64(g, 1));
	LLVMValueRef x = load_scalar(g, k->table, ir_at(g, row, k->table, packed_index(g, &k->pack, k->table, n, l.index)));
	store_scalar(g, k->out, x, ir_at(g, out, k->out, l.index));
	loop_end(g, &l);
}

void emit_embed(struct codegen *g, const char *name, const struct kernel_embed *k)
{
	kernel_begin(g, name);
	LLVMValueRef table = arg_pointer(g, EMBED_TABLE), ids = arg_pointer(g, EMBED_IDS), out = arg_pointer(g, EMBED_OUT),
				 first = arg_integer(g, EMBED_FIRST);
	struct ir_loop l = share_begin(g, arg_integer(g, EMBED_M));
	LLVMValueRef n = ir_sub(g, ir_load_i32(g, ids, l.index), first);
	LLVMValueRef to = ir_at(g, out, k->out, ir_mul(g, l.index, ir_i64(g, k->d)));
	struct ir_branch here = if_begin(g, within(g, n, ir_i64(g, k->v)));
	embed_row(g, k, table, n, to);
	if_else(g, &here);
	ir_clear(g, to, k->d * dtype_bytes(k->out));
	if_end(g, &here);
	loop_end(g, &l);
	kernel_end(g);
}

/* ---- pick ------------------------------------------------------------------------------------ */
void emit_pick(struct codegen *g, const char *name, const struct kernel_pick *k)
{
	int64_t bytes = k->d * dtype_bytes(k->dtype);
	kernel_begin(g, name);
	LLVMValueRef x = arg_pointer(g, PICK_X), want = arg_pointer(g, PICK_WANT), out = arg_pointer(g, PICK_OUT);
	LLVMValueRef rows = arg_integer(g, PICK_TOKENS), first = arg_integer(g, PICK_FIRST), row_bytes = ir_i64(g, bytes);
	struct ir_loop l = share_begin(g, arg_integer(g, PICK_ROWS));
	LLVMValueRef wanted = ir_load_i32(g, want, l.index), row = ir_sub(g, wanted, first);
	LLVMValueRef to = ir_offset(g, out, ir_mul(g, l.index, row_bytes));
	LLVMValueRef real = ir_compare(g, LLVMIntSGE, wanted, ir_i64(g, 0));
	struct ir_branch here = if_begin(g, ir_and(g, real, within(g, row, rows)));
	ir_copy(g, to, ir_offset(g, x, ir_mul(g, row, row_bytes)), bytes);
	if_else(g, &here);
	ir_clear(g, to, bytes);
	if_end(g, &here);
	loop_end(g, &l);
	kernel_end(g);
}

/* ---- slice ----------------------------------------------------------------------------------- */
void emit_slice(struct codegen *g, const char *name, const struct kernel_slice *k)
{
	int64_t bytes = k->d * dtype_bytes(k->dtype);
	kernel_begin(g, name);
	LLVMValueRef x = arg_pointer(g, SLICE_X), y = arg_pointer(g, SLICE_Y), rows = arg_integer(g, SLICE_M),
				 stride = arg_integer(g, SLICE_STRIDE);
	struct ir_loop l = share_begin(g, ir_mul(g, rows, arg_integer(g, SLICE_OWNERS)));
	LLVMValueRef from = ir_add(g, ir_mul(g, ir_div(g, l.index, rows), stride), ir_rem(g, l.index, rows));
	from = ir_add(g, from, arg_integer(g, SLICE_FIRST));
	ir_copy(g, ir_offset(g, y, ir_mul(g, l.index, ir_i64(g, bytes))),
	        ir_offset(g, x, ir_mul(g, from, ir_i64(g, bytes))), bytes);
	loop_end(g, &l);
	kernel_end(g);
}
