/* Kernels that run before attention: rotary angles, rotation, and writing keys and values to the paged cache. */
#include "emit.h"

/* ---- append ---------------------------------------------------------------------------------- */
struct append {
	const struct kernel_append *k;
	LLVMValueRef from, to;
};

static void append_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct append *a = context;
	int64_t stride = a->k->by_position ? 1 : a->k->page;
	LLVMValueRef x = load_vector(g, a->k->x, ir_at(g, a->from, a->k->x, index), mask);
	LLVMValueRef at = ir_at(g, a->to, a->k->cache, ir_mul(g, index, ir_i64(g, stride)));
	if (a->k->by_position)
		store_vector(g, a->k->cache, x, at, mask);
	else
		store_strided(g, a->k->cache, x, at, stride, mask);
}

void emit_append(struct codegen *g, const char *name, const struct kernel_append *k)
{
	kernel_begin(g, name);
	LLVMValueRef x = arg_pointer(g, APPEND_X), slots = arg_pointer(g, APPEND_SLOT),
				 cache = arg_pointer(g, APPEND_CACHE), zero = ir_i64(g, 0);
	LLVMValueRef heads = ir_i64(g, k->heads), page = ir_i64(g, k->page), block = ir_i64(g, k->f * k->page);
	struct ir_loop l = share_begin(g, ir_mul(g, arg_integer(g, APPEND_M), heads));
	LLVMValueRef token = ir_div(g, l.index, heads), head = ir_rem(g, l.index, heads);
	LLVMValueRef slot = ir_load_i32(g, slots, token);
	struct ir_branch real = if_begin(g, ir_compare(g, LLVMIntSGE, slot, zero));
	LLVMValueRef place = ir_rem(g, slot, page),
				 at = ir_mul(g, ir_add(g, ir_mul(g, ir_div(g, slot, page), heads), head), block);
	at = ir_add(g, at, ir_mul(g, place, ir_i64(g, k->by_position ? k->f : 1)));
	struct append a = {
		.k = k, .from = ir_at(g, x, k->x, ir_mul(g, l.index, ir_i64(g, k->f))), .to = ir_at(g, cache, k->cache, at)};
	for_vectors(g, zero, ir_i64(g, k->f), append_vector, &a);
	if_end(g, &real);
	loop_end(g, &l);
	kernel_end(g);
}

/* ---- two-element records: (cosine, sine), and pairs of neighbouring features ----------------- */
static LLVMValueRef double_mask(struct codegen *g, LLVMValueRef mask)
{
	return mask ? ir_interleave(g, mask, mask) : NULL;
}

/* Loads elements 2 * index, 2 * index + 1, .. of an array, separated into even and odd ones. */
static void load_pairs(struct codegen *g, enum dtype t, LLVMValueRef p, LLVMValueRef index, LLVMValueRef mask,
                       LLVMValueRef out[2])
{
	LLVMTypeRef type = LLVMVectorType(dtype_storage(g, t), 2 * (unsigned)g->lanes);
	LLVMValueRef at = ir_at(g, p, t, ir_mul(g, index, ir_i64(g, 2)));
	int align = vector_align(g, t, 2 * g->lanes);
	LLVMValueRef both = mask ? load_masked(g, type, at, double_mask(g, mask), align) : ir_load(g, type, at, align);
	for (int i = 0; i < 2; i++)
		out[i] = dtype_widen(g, t, ir_deinterleave(g, both, i));
}

static void store_pairs(struct codegen *g, enum dtype t, LLVMValueRef p, LLVMValueRef index, LLVMValueRef mask,
                        const LLVMValueRef in[2])
{
	LLVMValueRef at = ir_at(g, p, t, ir_mul(g, index, ir_i64(g, 2)));
	LLVMValueRef both = ir_interleave(g, dtype_narrow(g, t, in[0]), dtype_narrow(g, t, in[1]));
	int align = vector_align(g, t, 2 * g->lanes);
	if (mask)
		store_masked(g, both, at, double_mask(g, mask), align);
	else
		ir_store(g, both, at, align);
}

/* ---- angles ---------------------------------------------------------------------------------- */
struct angles {
	LLVMValueRef freq, out, pos;
}; /* pos: f64, in all lanes */

static void angles_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct angles *a = context;
	LLVMValueRef freq = load_vector(g, DTYPE_F32, ir_at(g, a->freq, DTYPE_F32, index), mask), pair[2];
	LLVMValueRef wide = LLVMBuildFPExt(g->builder, freq, ir_vector(g, g->f64), "");
	math_sincos(g, ir_fmul(g, wide, a->pos), &pair[1], &pair[0]);
	store_pairs(g, DTYPE_F32, a->out, index, mask, pair);
}

void emit_angles(struct codegen *g, const char *name, const struct kernel_angles *k)
{
	kernel_begin(g, name);
	LLVMValueRef freq = arg_pointer(g, ANGLES_FREQ), pos = arg_pointer(g, ANGLES_POS), out = arg_pointer(g, ANGLES_OUT),
				 p = ir_i64(g, k->p);
	struct ir_loop l = share_begin(g, arg_integer(g, ANGLES_M));
	LLVMValueRef position = LLVMBuildSIToFP(g->builder, ir_load_i32(g, pos, l.index), g->f64, "");
	LLVMValueRef row = ir_at(g, out, DTYPE_F32, ir_mul(g, l.index, ir_i64(g, 2 * k->p)));
	struct angles a = {.freq = freq, .out = row, .pos = ir_splat(g, position)};
	for_vectors(g, ir_i64(g, 0), p, angles_vector, &a);
	loop_end(g, &l);
	kernel_end(g);
}

/* ---- rotate ---------------------------------------------------------------------------------- */
struct rotate {
	const struct kernel_rotate *k;
	LLVMValueRef x, y, angles;
};

static LLVMValueRef second_half(struct codegen *g, const struct rotate *r, enum dtype t, LLVMValueRef p,
                                LLVMValueRef index)
{
	return ir_at(g, p, t, ir_add(g, index, ir_i64(g, r->k->f / 2)));
}

static void rotate_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct rotate *r = context;
	enum dtype tx = r->k->x, ty = r->k->y;
	LLVMValueRef angle[2], x[2], y[2];
	load_pairs(g, DTYPE_F32, r->angles, index, mask, angle);
	if (r->k->interleaved) {
		load_pairs(g, tx, r->x, index, mask, x);
	} else {
		x[0] = load_vector(g, tx, ir_at(g, r->x, tx, index), mask);
		x[1] = load_vector(g, tx, second_half(g, r, tx, r->x, index), mask);
	}
	y[0] = ir_fsub(g, ir_fmul(g, x[0], angle[0]), ir_fmul(g, x[1], angle[1]));
	y[1] = ir_fadd(g, ir_fmul(g, x[1], angle[0]), ir_fmul(g, x[0], angle[1]));
	if (r->k->interleaved) {
		store_pairs(g, ty, r->y, index, mask, y);
	} else {
		store_vector(g, ty, y[0], ir_at(g, r->y, ty, index), mask);
		store_vector(g, ty, y[1], second_half(g, r, ty, r->y, index), mask);
	}
}

void emit_rotate(struct codegen *g, const char *name, const struct kernel_rotate *k)
{
	kernel_begin(g, name);
	LLVMValueRef x = arg_pointer(g, ROTATE_X), angles = arg_pointer(g, ROTATE_ANGLES), y = arg_pointer(g, ROTATE_Y),
				 heads = ir_i64(g, k->heads);
	struct ir_loop l = share_begin(g, ir_mul(g, arg_integer(g, ROTATE_M), heads));
	LLVMValueRef row = ir_div(g, l.index, heads), head = ir_rem(g, l.index, heads);
	LLVMValueRef from = ir_add(g, ir_mul(g, row, ir_i64(g, k->x_row)), ir_mul(g, head, ir_i64(g, k->x_head)));
	LLVMValueRef to = ir_add(g, ir_mul(g, row, ir_i64(g, k->y_row)), ir_mul(g, head, ir_i64(g, k->y_head)));
	struct rotate r = {.k = k,
	                   .x = ir_at(g, x, k->x, from),
	                   .y = ir_at(g, y, k->y, to),
	                   .angles = ir_at(g, angles, DTYPE_F32, ir_mul(g, row, ir_i64(g, k->f)))};
	for_vectors(g, ir_i64(g, 0), ir_i64(g, k->f / 2), rotate_vector, &r);
	loop_end(g, &l);
	kernel_end(g);
}
