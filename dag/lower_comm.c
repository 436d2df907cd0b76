/* Collectives and slices: turns changes of layout into moves of blocks of bytes. */
#include <string.h>
#include "lower.h"

/* How an axis cuts a value: a rank has `outer` contiguous blocks of `block` elements. */
struct cut {
	struct number outer, block;
};

static bool cut_along(struct lower *w, const struct phys *p, int axis, struct cut *out)
{
	const struct program *g = w->l->program;
	int64_t inner = 1, owners = p->rows.value;
	if (axis == g->batch) {
		*out = (struct cut){number_const(1), number_times(p->rows, p->row_stride)};
		return true;
	}
	if (axis == g->seq || axis == g->row) {
		struct number each = p->rows;
		each.value = p->row_stride;
		*out = (struct cut){number_const(owners), each};
		return true;
	}
	for (int i = p->n_dims - 1; i >= 0; i--) {
		inner *= p->dim[i].extent;
		if (p->dim[i].axis != axis)
			continue;
		*out = (struct cut){number_times(p->rows, p->row_stride / inner), number_const(inner)};
		return true;
	}
	return false;
}

static void reshape(const struct lower *w, struct phys *p, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	for (int i = 0; i < v->n_axes; i++)
		for (int k = 0; k < p->n_dims; k++)
			if (p->dim[k].axis == v->axes[i])
				p->dim[k].extent = axis_local(w->l, v, i);
	if (p->exchange < 0)
		p->rows = lower_rows_of(w, v);
}

/* The rank's index in `group`, times `each` rows, times `unit`. */
static struct number indexed(struct number each, int64_t unit, int group)
{
	static const enum number_kind kind[] = {
		[NUMBER_CONST] = NUMBER_INDEX, [NUMBER_TOKENS] = NUMBER_INDEX_TOKENS, [NUMBER_ROWS] = NUMBER_INDEX_ROWS};
	return (struct number){kind[each.kind], each.value * unit, each.div, group};
}

/* Takes the rank's part of each owner's rows. The parts have gaps between them, so they are copied. */
static void slice_of_each(struct lower *w, int local, const struct phys *x, struct phys y, int group)
{
	int64_t owners = x->rows.value;
	struct number mine = y.rows, all = x->rows;
	mine.value = all.value = 1;
	struct kernel k = kernel_of(KERNEL_SLICE);
	k.slice.d = x->row_stride;
	k.slice.dtype = x->dtype;
	phys_make_contiguous(&y);
	const struct phys from = *x, *to = lower_define(w, local, y);
	struct argument args[6] = {arg_phys(&from),  arg_phys(to),
	                           arg_number(mine), arg_number(number_const(owners)),
	                           arg_number(all),  arg_number(indexed(mine, 1, group))};
	lower_launch(w, local, -1, &k, args, 6, "slice");
}

/* Takes a rank's part of a replicated value. This is a view; no bytes move. */
static void lower_slice(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	struct phys p = *lower_materialize_contiguous(w, v->args[0], local, NULL);
	if (p.offset.kind != NUMBER_CONST)
		p = *lower_copy(w, v->args[0]); /* an address has only one term that depends on the rank */
	const struct phys x = p;
	const struct program *g = w->l->program;
	int group = lower_group(w, &v->move.atoms), bytes = dtype_bytes(p.dtype);
	bool tokens = v->move.to == g->seq || v->move.to == g->row;
	if (p.exchange >= 0) {
		lower_unsupported(w, lower_source(w, local)->span, "a slice of experts' rows");
		return;
	}
	for (int i = 0; i < p.n_dims; i++)
		if (p.dim[i].axis == v->move.to) {
			int64_t part = p.dim[i].extent / atoms_size(w->l, &v->move.atoms);
			p.offset = (struct number){NUMBER_INDEX, part * p.stride[i] * bytes, 1, group};
		}
	reshape(w, &p, local);
	if (tokens && x.rows.value > 1) {
		slice_of_each(w, local, &x, p, group);
		return;
	}
	if (tokens || v->move.to == g->batch)
		p.offset = indexed(p.rows, p.row_stride * bytes, group);
	p.state = PHYS_READY;
	w->phys[local] = p;
}

static bool reuse_in_place(const struct lower *w, int local, int arg)
{
	const struct phys *x = &w->phys[arg];
	enum op op = w->ph->values.at[arg].op == LOCAL_OP ? lower_source(w, arg)->op : OP_COUNT;
	if (op == OP_RENAME || op == OP_PIECE)
		return false; /* others may read the same bytes */
	return w->uses[arg] == 1 && x->memory == MEMORY_BUFFER && x->buffer >= OUTPUT_BUFFERS && !lower_in_carry(w, x)
	       && x->offset.kind == NUMBER_CONST && local != w->ph->logits && local != w->ph->token
	       && lower_carried_as(w, local) < 0;
}

/* Cuts the value along one axis, and joins what arrives along another. The blocks on both sides differ in size, but the
 * elements keep their order. */
static void lower_all_to_all(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct phys x = *lower_materialize_contiguous(w, v->args[0], local, NULL);
	struct phys y = x, part = x;
	struct cut from, into;
	reshape(w, &y, local);
	phys_make_contiguous(&y);
	/* what one member receives: x, with the cut axis as short as afterwards */
	for (int i = 0; i < part.n_dims; i++)
		if (part.dim[i].axis == v->move.to)
			part.dim[i].extent = y.dim[i].extent;
	if (v->move.to == w->l->program->batch)
		part.rows.value = y.rows.value;
	else if (is_token_axis(w->l->program, v->move.to))
		part.rows.div = y.rows.div;
	phys_make_contiguous(&part);
	if (x.exchange >= 0 || !phys_contiguous(&x) || !cut_along(w, &part, v->move.to, &from)
	    || !cut_along(w, &part, v->move.from, &into)) {
		lower_unsupported(w, lower_source(w, local)->span, "an all-to-all from axis `%s` to `%s` (%s)",
		                  w->l->program->axes.at[v->move.from].name, w->l->program->axes.at[v->move.to].name,
		                  v->move.cause);
		return;
	}
	const struct phys *to = lower_define(w, local, y);
	int group = lower_group(w, &v->move.atoms);
	int c = lower_add_collective(w, DR_ALL_TO_ALL, group, x.dtype, x.rows, x.row_stride * dtype_bytes(x.dtype), local,
	                             v->move.cause);
	struct instr i = {.kind = INSTR_COLLECTIVE,
	                  .collective = {.index = c,
	                                 .src = arg_phys(&x),
	                                 .dst = arg_phys(to),
	                                 .outer = from.outer,
	                                 .block = from.block,
	                                 .dst_block = into.block}};
	lower_emit(w, local, -1, i, arena_printf(w->arena, "all_to_all (%s)", v->move.cause));
}

void lower_collective(struct lower *w, int local)
{
	static const enum dr_collective_kind kind_of[LOCAL_OPS] = {[LOCAL_ALL_REDUCE] = DR_ALL_REDUCE,
	                                                           [LOCAL_REDUCE_SCATTER] = DR_REDUCE_SCATTER,
	                                                           [LOCAL_ALL_GATHER] = DR_ALL_GATHER,
	                                                           [LOCAL_ALL_TO_ALL] = DR_ALL_TO_ALL};
	const struct local_value *v = &w->ph->values.at[local];
	int arg = v->args[0];
	if (lower_source(w, local)->type == TYPE_ROUTING) { /* its weights would have to move too */
		lower_unsupported(w, lower_source(w, local)->span, "a routing whose reader wants it in another layout (%s)",
		                  v->move.cause);
		return;
	}
	if (w->phys[arg].cache) {
		lower_move_cache(w, local);
		return;
	}
	if (v->op == LOCAL_SLICE) {
		lower_slice(w, local);
		return;
	}
	if (v->op == LOCAL_ALL_TO_ALL) {
		lower_all_to_all(w, local);
		return;
	}
	struct phys x = *lower_materialize_contiguous(w, arg, local, NULL), y = x;
	struct cut cut = {number_const(1), number_times(x.rows, x.row_stride)};
	if (!phys_contiguous(&x))
		internal_error("a collective on a value with gaps");
	reshape(w, &y, local);
	phys_make_contiguous(&y);
	int axis = v->op == LOCAL_REDUCE_SCATTER ? v->move.to : v->move.from;
	if (v->op != LOCAL_ALL_REDUCE && !cut_along(w, v->op == LOCAL_ALL_GATHER ? &x : &y, axis, &cut))
		lower_unsupported(w, lower_source(w, local)->span, "a collective along axis `%s` here (%s)",
		                  w->l->program->axes.at[axis].name, v->move.cause);
	if (w->failed)
		return;
	if (v->op == LOCAL_ALL_REDUCE && reuse_in_place(w, local, arg))
		w->phys[local] = x;
	else
		y = *lower_define(w, local, y);
	int group = lower_group(w, &v->move.atoms);
	int c = lower_add_collective(w, kind_of[v->op], group, x.dtype, x.rows, x.row_stride * dtype_bytes(x.dtype), local,
	                             v->move.cause);
	struct instr i = {
		.kind = INSTR_COLLECTIVE,
		.collective = {
			.index = c, .src = arg_phys(&x), .dst = arg_phys(&w->phys[local]), .outer = cut.outer, .block = cut.block}};
	lower_emit(w, local, x.exchange, i,
	           arena_printf(w->arena, "%s (%s)", collective_name(kind_of[v->op]), v->move.cause));
}
