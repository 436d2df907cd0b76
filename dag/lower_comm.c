/* Collectives and slices: from changes of layout to blocks of bytes. */
#include <string.h>
#include "lower.h"

static const char *const kind_text[] = { [DR_ALL_REDUCE] = "all_reduce",
					 [DR_ALL_GATHER] = "all_gather",
					 [DR_REDUCE_SCATTER] = "reduce_scatter",
					 [DR_ALL_TO_ALL] = "all_to_all",
					 [DR_SEND] = "send",
					 [DR_RECV] = "recv" };

int lower_add_collective(struct lower *w, enum dr_collective_kind kind, int group, enum dtype dtype, struct number outer,
			 int64_t bytes, int local, const char *what)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct group *g = &w->s->groups.at[group];
	struct atoms atoms = { .n = g->n };
	memcpy(atoms.at, g->atom, sizeof atoms.at);
	struct collective c = { .kind = kind,
				.group = group,
				.dtype = dtype,
				.phase = w->phase,
				.outer = outer,
				.bytes_per_outer = bytes,
				.per_layer = v->where == WHERE_LAYER };
	const struct region *r = &w->l->program->regions.at[v->region];
	c.where = r->parent < 0 ? "model" : r->name;
	c.cause = arena_printf(w->arena, "%s over %s at %s (%s)", kind_text[kind], atoms_text(w->l, &atoms), c.where, what);
	vec_push(w->arena, &w->s->collectives, c);
	return w->s->collectives.n - 1;
}

/* How an axis cuts a value: `outer` blocks of `block` elements each are contiguous on a rank. */
struct cut { struct number outer, block; };

static bool cut_along(struct lower *w, const struct phys *p, int axis, struct cut *out)
{
	const struct program *g = w->l->program;
	int64_t inner = 1, owners = p->rows.value;
	if (axis == g->batch) {
		*out = (struct cut){ number_const(1), number_times(p->rows, p->row_stride) };
		return true;
	}
	if (axis == g->seq || axis == g->row) {
		struct number each = p->rows;
		each.value = p->row_stride;
		*out = (struct cut){ number_const(owners), each };
		return true;
	}
	for (int i = p->n_dims - 1; i >= 0; i--) {
		inner *= p->dim[i].extent;
		if (p->dim[i].axis != axis) continue;
		*out = (struct cut){ number_times(p->rows, p->row_stride / inner), number_const(inner) };
		return true;
	}
	return false;
}

static void reshape(const struct lower *w, struct phys *p, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct program *g = w->l->program;
	struct number rows = number_const(1);
	for (int i = 0; i < v->n_axes; i++) {
		int64_t size = atoms_size(w->l, &v->layout.axis[i]);
		if (v->axes[i] == g->batch) rows.value *= atoms_size(w->l, &w->l->owners) / size;
		if (v->axes[i] == g->seq || v->axes[i] == g->row) {
			rows.kind = v->axes[i] == g->seq ? NUMBER_TOKENS : NUMBER_ROWS;
			rows.div *= size;
		}
		for (int k = 0; k < p->n_dims; k++)
			if (p->dim[k].axis == v->axes[i]) p->dim[k].extent = g->axes.at[v->axes[i]].extent / size;
	}
	if (p->moe < 0) p->rows = rows;
}

/* A rank's part of a replicated value: a view, no bytes move. */
static void lower_slice(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	struct phys p = *lower_ready(w, v->args[0], NULL);
	if (p.offset.kind != NUMBER_CONST) p = *lower_copied(w, v->args[0]);    /* an address has one part that depends on the rank */
	const struct program *g = w->l->program;
	int group = lower_group(w, &v->atoms), bytes = dtype_bytes(p.dtype);
	if (p.moe >= 0 || (v->to == g->seq && p.rows.value > 1)) {
		lower_unsupported(w, lower_source(w, local)->span, "a slice of several owners' tokens");
		return;
	}
	bool by_rows = v->to == g->batch || v->to == g->seq || v->to == g->row;
	if (!by_rows)
		for (int i = 0; i < p.n_dims; i++)
			if (p.dim[i].axis == v->to) {
				int64_t part = p.dim[i].extent / atoms_size(w->l, &v->atoms);
				p.offset = (struct number){ NUMBER_INDEX, part * p.stride[i] * bytes, 1, group };
			}
	reshape(w, &p, local);
	if (by_rows && v->to == g->row) {
		lower_unsupported(w, lower_source(w, local)->span, "wanted rows split over ranks");
		return;
	}
	if (by_rows)
		p.offset = (struct number){ NUMBER_INDEX_TOKENS, p.rows.value * p.row_stride * bytes, p.rows.div, group };
	p.state = PHYS_READY;
	w->phys[local] = p;
}

static bool reuse_in_place(const struct lower *w, int local, int arg)
{
	const struct phys *x = &w->phys[arg];
	if (w->ph->values.at[arg].op == LOCAL_OP && lower_source(w, arg)->op == OP_RENAME)
		return false; /* another name of bytes that others may read */
	return w->uses[arg] == 1 && x->buffer > 1 && !lower_in_carry(w, x) && x->offset.kind == NUMBER_CONST
	       && local != w->ph->logits && local != w->ph->token && lower_carried_as(w, local) < 0;
}

static bool is_row_axis(const struct lower *w, int axis)
{
	const struct program *p = w->l->program;
	return axis == p->batch || axis == p->seq || axis == p->row;
}

/* The value is cut along one axis, and what arrives is joined along another: blocks of different size, elements in one order. */
static void lower_all_to_all(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct phys x = *lower_ready(w, v->args[0], NULL);
	struct phys y = x, part = x;
	struct cut from, into;
	reshape(w, &y, local);
	phys_make_contiguous(&y);
	/* what goes to one member: x with the cut axis as short as it is after */
	for (int i = 0; i < part.n_dims; i++)
		if (part.dim[i].axis == v->to) part.dim[i].extent = y.dim[i].extent;
	if (is_row_axis(w, v->to)) part.rows = y.rows;
	phys_make_contiguous(&part);
	if (x.moe >= 0 || (is_row_axis(w, v->to) && is_row_axis(w, v->from)) || !phys_contiguous(&x)
	    || !cut_along(w, &part, v->to, &from) || !cut_along(w, &part, v->from, &into)) {
		lower_unsupported(w, lower_source(w, local)->span, "an all-to-all from axis `%s` to `%s` (%s)",
				  w->l->program->axes.at[v->from].name, w->l->program->axes.at[v->to].name, v->cause);
		return;
	}
	const struct phys *to = lower_define(w, local, y);
	int group = lower_group(w, &v->atoms);
	int c = lower_add_collective(w, DR_ALL_TO_ALL, group, x.dtype, x.rows, x.row_stride * dtype_bytes(x.dtype), local,
				     v->cause);
	struct instr i = { .kind = INSTR_COLLECTIVE,
			   .collective = c,
			   .src = arg_phys(&x),
			   .dst = arg_phys(to),
			   .outer = from.outer,
			   .block = from.block,
			   .joined = into.block };
	lower_emit(w, local, -1, i, arena_printf(w->arena, "all_to_all (%s)", v->cause));
}

void lower_collective(struct lower *w, int local)
{
	static const enum dr_collective_kind kind_of[LOCAL_OPS] = { [LOCAL_ALL_REDUCE] = DR_ALL_REDUCE,
								    [LOCAL_REDUCE_SCATTER] = DR_REDUCE_SCATTER,
								    [LOCAL_ALL_GATHER] = DR_ALL_GATHER,
								    [LOCAL_ALL_TO_ALL] = DR_ALL_TO_ALL };
	const struct local_value *v = &w->ph->values.at[local];
	int arg = v->args[0];
	if (lower_is_param(w, arg)) w->phys[arg].address = lower_plain(w, arg, local, NULL).address;
	if (w->phys[arg].state == PHYS_READY && w->phys[arg].buffer < 0 && w->phys[arg].address.space == DR_SPACE_STATE) {
		lower_unsupported(w, lower_source(w, arg)->span, "a cache that its reader wants in another layout (%s)",
				  v->cause);
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
	struct phys x = *lower_ready(w, arg, NULL), y = x;
	struct cut cut = { number_const(1), number_times(x.rows, x.row_stride) };
	if (!phys_contiguous(&x)) internal_error("a collective on a value with gaps");
	reshape(w, &y, local);
	phys_make_contiguous(&y);
	int axis = v->op == LOCAL_REDUCE_SCATTER ? v->to : v->from;
	if (v->op != LOCAL_ALL_REDUCE && !cut_along(w, v->op == LOCAL_ALL_GATHER ? &x : &y, axis, &cut))
		internal_error("a collective along an axis that is not there");
	if (v->op == LOCAL_ALL_REDUCE && reuse_in_place(w, local, arg)) w->phys[local] = x;
	else y = *lower_define(w, local, y);
	int group = lower_group(w, &v->atoms);
	int c = lower_add_collective(w, kind_of[v->op], group, x.dtype, x.rows, x.row_stride * dtype_bytes(x.dtype),
				     local, v->cause);
	struct instr i = { .kind = INSTR_COLLECTIVE,
			   .collective = c,
			   .src = arg_phys(&x),
			   .dst = arg_phys(&w->phys[local]),
			   .outer = cut.outer,
			   .block = cut.block };
	lower_emit(w, local, x.moe, i, arena_printf(w->arena, "%s (%s)", kind_text[kind_of[v->op]], v->cause));
}

/* Sequences of one owner are what a step brings; those of several are gathered from the ranks that hold them, before the layers. */
static int gather_sequences(struct lower *w, int local, const struct gathered *g)
{
	const struct local_value *v = &w->ph->values.at[local];
	int64_t owners = atoms_size(w->l, &g->owners);
	struct number tokens = { NUMBER_TOKENS, 1, atoms_size(w->l, &g->tokens), 0 };
	int buffer = lower_buffer(w, 4 * owners * w->s->chunk[w->phase] / tokens.div);
	const char *why = "which tokens are padding";
	int c = lower_add_collective(w, DR_ALL_GATHER, lower_group(w, &g->owners), DTYPE_I32, tokens, 4, local, why);
	w->s->collectives.at[c].per_layer = false;
	struct argument from = { .is_address = true, .address = { DR_SPACE_INPUT, w->s->input_offset[DR_INPUT_SEQ] }, .number = number_const(0) };
	if (g->tokens.n) from.number = (struct number){ NUMBER_INDEX_TOKENS, 4, tokens.div, lower_group(w, &g->tokens) };
	struct instr i = { .kind = INSTR_COLLECTIVE, .collective = c, .src = from, .dst = arg_buffer(buffer), .outer = number_const(1), .block = tokens };
	i.op = lower_op_name(w, local, arena_printf(w->arena, "all_gather (%s)", why));
	vec_push(w->arena, step_part(&w->s->step[w->phase], WHERE_EVERY_STAGE, v->body), i);
	return buffer;
}

struct argument lower_sequences(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct program *p = w->l->program;
	const struct atoms *batch = layout_of(v, p->batch), *seq = layout_of(v, p->seq);
	if (!batch || !seq || atoms_equal(batch, &w->l->owners)) return lower_input(w, DR_INPUT_SEQ, v);
	struct gathered g = { .tokens = *seq };
	for (int i = batch->n; i < w->l->owners.n; i++) atoms_add(&g.owners, w->l->owners.at[i]);
	for (int i = 0; i < w->gathered.n; i++)
		if (atoms_equal(&w->gathered.at[i].owners, &g.owners) && atoms_equal(&w->gathered.at[i].tokens, &g.tokens))
			return arg_buffer(w->gathered.at[i].buffer);
	g.buffer = gather_sequences(w, local, &g);
	vec_push(w->arena, &w->gathered, g);
	return arg_buffer(g.buffer);
}
