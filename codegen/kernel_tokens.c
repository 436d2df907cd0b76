/* Kernels at the ends of a model: embedding, the choice of rows, greedy sampling. */
#include "emit.h"

struct row_copy { enum dtype from_type, to_type; LLVMValueRef from, to; };

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

/* ---- embed ------------------------------------------------------------------------------------------------------- */
/* Where element k of a row stands, counted from the row's first element. */
static LLVMValueRef packed_index(struct codegen *g, const struct packing *p, LLVMValueRef k)
{
	LLVMValueRef pair = ir_i64(g, p->k_pair);
	LLVMValueRef step = ir_mul(g, ir_div(g, k, pair), ir_i64(g, (int64_t)p->n_tile * p->k_pair));
	return ir_add(g, step, ir_rem(g, k, pair));
}

static LLVMValueRef packed_row(struct codegen *g, const struct kernel_embed *k, LLVMValueRef n)
{
	int64_t padded = (k->d + k->pack.k_pair - 1) / k->pack.k_pair * k->pack.k_pair;
	LLVMValueRef tile = ir_i64(g, k->pack.n_tile);
	LLVMValueRef start = ir_mul(g, ir_div(g, n, tile), ir_i64(g, padded * k->pack.n_tile));
	return ir_add(g, start, ir_mul(g, ir_rem(g, n, tile), ir_i64(g, k->pack.k_pair)));
}

static void embed_row(struct codegen *g, const struct kernel_embed *k, LLVMValueRef table, LLVMValueRef n, LLVMValueRef out)
{
	if (k->pack.n_tile == 0) {
		LLVMValueRef row = ir_at(g, table, k->table, ir_mul(g, n, ir_i64(g, k->d)));
		struct row_copy c = { .from_type = k->table, .to_type = k->out, .from = row, .to = out };
		for_vectors(g, ir_i64(g, 0), ir_i64(g, k->d), copy_vector, &c);
		return;
	}
	LLVMValueRef row = ir_at(g, table, k->table, packed_row(g, k, n));
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, k->d), ir_i64(g, 1));
	LLVMValueRef x = load_scalar(g, k->table, ir_at(g, row, k->table, packed_index(g, &k->pack, l.index)));
	store_scalar(g, k->out, x, ir_at(g, out, k->out, l.index));
	loop_end(g, &l);
}

void emit_embed(struct codegen *g, const char *name, const struct kernel_embed *k)
{
	kernel_begin(g, name);
	LLVMValueRef table = arg_pointer(g, 0), ids = arg_pointer(g, 1), out = arg_pointer(g, 2), first = arg_integer(g, 4);
	struct ir_loop l = share_begin(g, arg_integer(g, 3));
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

/* ---- pick -------------------------------------------------------------------------------------------------------- */
void emit_pick(struct codegen *g, const char *name, const struct kernel_pick *k)
{
	int64_t bytes = k->d * dtype_bytes(k->dtype);
	kernel_begin(g, name);
	LLVMValueRef x = arg_pointer(g, 0), want = arg_pointer(g, 1), out = arg_pointer(g, 2);
	LLVMValueRef rows = arg_integer(g, 3), first = arg_integer(g, 5), row_bytes = ir_i64(g, bytes);
	struct ir_loop l = share_begin(g, arg_integer(g, 4));
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

/* ---- argmax, best ------------------------------------------------------------------------------------------------ */
enum { BEST_BYTES = 8, BEST_INDEX = 4 };        /* { f32 value; i32 index } */

struct argmax { LLVMValueRef row, value, index; };      /* running maximum of each lane and where it was, in memory */

static LLVMValueRef minus_infinity(struct codegen *g, LLVMTypeRef f32)
{
	return ir_bits(g, ir_like_int(g, ir_with_element(f32, g->i32), 0xff800000), f32);
}

static void argmax_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	struct argmax *a = context;
	LLVMTypeRef f32 = ir_vector(g, g->f32), i32 = ir_vector(g, g->i32);
	LLVMValueRef x = load_vector(g, DTYPE_F32, ir_at(g, a->row, DTYPE_F32, index), mask);
	LLVMValueRef at = ir_add(g, ir_splat(g, LLVMBuildTrunc(g->builder, index, g->i32, "")), ir_iota(g, g->i32));
	if (mask) x = ir_select(g, mask, x, minus_infinity(g, f32));
	LLVMValueRef value = ir_load(g, f32, a->value, 4), where = ir_load(g, i32, a->index, 4);
	LLVMValueRef above = ir_fcompare(g, LLVMRealOGT, x, value);
	ir_store(g, ir_select(g, above, x, value), a->value, 4);
	ir_store(g, ir_select(g, above, at, where), a->index, 4);
}

/* Of all lanes: the maximum, and the lowest index that has it. */
static void argmax_finish(struct codegen *g, const struct argmax *a, LLVMValueRef first, LLVMValueRef best)
{
	LLVMTypeRef i32 = ir_vector(g, g->i32);
	LLVMValueRef value = ir_load(g, ir_vector(g, g->f32), a->value, 4), where = ir_load(g, i32, a->index, 4);
	LLVMValueRef most = ir_reduce(g, value, ir_fmax);
	LLVMValueRef has = ir_fcompare(g, LLVMRealOEQ, value, ir_splat(g, most));
	LLVMValueRef index = ir_reduce(g, ir_select(g, has, where, ir_like_int(g, i32, INT32_MAX)), ir_min);
	ir_store(g, most, best, 4);
	index = ir_add(g, index, LLVMBuildTrunc(g->builder, first, g->i32, ""));
	ir_store(g, index, ir_offset(g, best, ir_i64(g, BEST_INDEX)), 4);
}

void emit_argmax(struct codegen *g, const char *name, const struct kernel_argmax *k)
{
	LLVMTypeRef f32 = ir_vector(g, g->f32), i32 = ir_vector(g, g->i32);
	kernel_begin(g, name);
	LLVMValueRef logits = arg_pointer(g, 0), best = arg_pointer(g, 1), first = arg_integer(g, 3);
	struct argmax a = { .value = ir_local(g, f32, 1), .index = ir_local(g, i32, 1) };
	struct ir_loop l = share_begin(g, arg_integer(g, 2));
	a.row = ir_at(g, logits, DTYPE_F32, ir_mul(g, l.index, ir_i64(g, k->v)));
	ir_store(g, minus_infinity(g, f32), a.value, 4);
	ir_store(g, LLVMConstNull(i32), a.index, 4);
	for_vectors(g, ir_i64(g, 0), ir_i64(g, k->v), argmax_vector, &a);
	argmax_finish(g, &a, first, ir_offset(g, best, ir_mul(g, l.index, ir_i64(g, BEST_BYTES))));
	loop_end(g, &l);
	kernel_end(g);
}

/* The pair (value, index) in memory becomes `p` if that has a larger value, or the same with a lower index. */
static void keep_better(struct codegen *g, LLVMValueRef value, LLVMValueRef index, LLVMValueRef p)
{
	LLVMValueRef x = ir_load(g, g->f32, p, 4), at = ir_load(g, g->i32, ir_offset(g, p, ir_i64(g, BEST_INDEX)), 4);
	LLVMValueRef old = ir_load(g, g->f32, value, 4), old_at = ir_load(g, g->i32, index, 4);
	LLVMValueRef lower = ir_and(g, ir_fcompare(g, LLVMRealOEQ, x, old), ir_compare(g, LLVMIntSLT, at, old_at));
	LLVMValueRef better = LLVMBuildOr(g->builder, ir_fcompare(g, LLVMRealOGT, x, old), lower, "");
	ir_store(g, ir_select(g, better, x, old), value, 4);
	ir_store(g, ir_select(g, better, at, old_at), index, 4);
}

void emit_best(struct codegen *g, const char *name, const struct kernel_argmax *k)
{
	kernel_begin(g, name);
	LLVMValueRef best = arg_pointer(g, 0), token = arg_pointer(g, 1), rows = arg_integer(g, 2);
	LLVMValueRef value = ir_local(g, g->f32, 1), index = ir_local(g, g->i32, 1), bytes = ir_i64(g, BEST_BYTES);
	struct ir_loop row = share_begin(g, rows);
	LLVMValueRef first = ir_offset(g, best, ir_mul(g, row.index, bytes));
	ir_store(g, ir_load(g, g->f32, first, 4), value, 4);
	ir_store(g, ir_load(g, g->i32, ir_offset(g, first, ir_i64(g, BEST_INDEX)), 4), index, 4);
	struct ir_loop part = loop_begin(g, ir_i64(g, 1), ir_i64(g, k->n), ir_i64(g, 1));
	LLVMValueRef at = ir_add(g, ir_mul(g, part.index, rows), row.index);
	keep_better(g, value, index, ir_offset(g, best, ir_mul(g, at, bytes)));
	loop_end(g, &part);
	ir_store(g, ir_load(g, g->i32, index, 4), ir_at(g, token, DTYPE_I32, row.index), 4);
	loop_end(g, &row);
	kernel_end(g);
}
