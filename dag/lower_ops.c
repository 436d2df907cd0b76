/* Operators with their own kernels (embedding, rotary embedding, sampling), and what is not an operator: inputs,
 * params, and carried values. */
#include <string.h>
#include "lower.h"

enum { PAIR_BYTES = 8 }; /* bytes of a candidate: value and index */

/* ---- tokens ---------------------------------------------------------------------------------- */
static void lower_embed(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local], *table = &w->ph->values.at[v->args[0]];
	const struct value *s = lower_source(w, local);
	if (!lower_is_param(w, v->args[0])) {
		lower_unsupported(w, s->span, "an embedding whose table is not a param in its own layout");
		return;
	}
	struct kernel k = kernel_of(KERNEL_EMBED);
	struct phys out = lower_shape(w, local);
	const struct placed_param *placed = lower_placed(w, v->args[0], local);
	int d = table->axes[0] == s->v ? 1 : 0;
	k.embed.v = axis_local(w->l, table, 1 - d);
	k.embed.d = axis_local(w->l, table, d);
	k.embed.table = placed->param->dtype;
	k.embed.out = out.dtype;
	k.embed.pack = placed->pack;
	const struct phys *ids = lower_materialize_contiguous(w, v->args[1], local, NULL);
	const struct atoms *over = &table->layout.axis[1 - d];
	struct number first = over->n ? (struct number){NUMBER_INDEX, k.embed.v, 1, lower_group(w, over)} : number_const(0);
	const struct phys *to = lower_define(w, local, out);
	struct argument args[5] = {arg_placed(placed->space, placed->offset), arg_phys(ids), arg_phys(to),
	                           arg_number(out.rows), arg_number(first)};
	lower_launch(w, local, -1, &k, args, 5, "embed");
}

static void lower_pick(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct phys *x = lower_materialize_contiguous(w, v->args[0], local, NULL),
					  *want = lower_materialize_contiguous(w, v->args[1], local, NULL);
	struct phys xs = *x, out = *x, shape = lower_shape(w, local);
	struct kernel k = kernel_of(KERNEL_PICK);
	out.rows = shape.rows;
	k.pick.d = phys_row_elements(x);
	k.pick.dtype = x->dtype;
	const struct atoms *seq = layout_of(&w->ph->values.at[v->args[0]], w->l->program->seq);
	struct number first = number_const(0);
	if (seq && seq->n)
		first = (struct number){NUMBER_INDEX_TOKENS, xs.rows.value, xs.rows.div, lower_group(w, seq)};
	const struct phys *to = lower_define(w, local, out);
	struct argument args[6] = {arg_phys(&xs),       arg_phys(want),       arg_phys(to),
	                           arg_number(xs.rows), arg_number(out.rows), arg_number(first)};
	lower_launch(w, local, -1, &k, args, 6, "pick");
}

/* Gathers the pairs of all shards. */
static void gather_candidates(struct lower *w, int local, int group, int from, int to, struct number rows)
{
	int c = lower_add_collective(w, DR_ALL_GATHER, group, DTYPE_I32, rows, PAIR_BYTES, local,
	                             "candidates of each shard of the vocabulary");
	struct number words = {NUMBER_CANDIDATES, rows.value * (PAIR_BYTES / 4), rows.div, 0};
	struct instr i = {
		.kind = INSTR_COLLECTIVE,
		.collective = {
			.index = c, .src = arg_buffer(from), .dst = arg_buffer(to), .outer = number_const(1), .block = words}};
	lower_emit(w, local, -1, i, "sample: gather candidates");
}

static void lower_sample(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local], *logits = &w->ph->values.at[v->args[0]];
	const struct value *s = lower_source(w, local);
	const struct phys x = *lower_materialize_contiguous(w, v->args[0], local, NULL);
	const struct atoms *over = layout_of(logits, s->v);
	if (x.n_dims != 1 || x.rows.kind != NUMBER_ROWS) {
		lower_unsupported(w, s->span, "a `sample` of anything but the rows of a step");
		return;
	}
	struct kernel k = kernel_of(KERNEL_CANDIDATES);
	k.sample.v = phys_row_elements(&x);
	k.sample.n = atoms_size(w->l, over);
	k.sample.total = w->l->program->axes.at[s->v].extent;
	int group = lower_group(w, over);
	int64_t ranks = k.sample.n, most = lower_rows_max(w, &x), bytes = most * (1 + DR_CANDIDATES) * PAIR_BYTES;
	int mine = lower_buffer(w, bytes), all = ranks > 1 ? lower_buffer(w, ranks * bytes) : mine;
	int records =
		local == w->ph->token ? (int)BUFFER_LOGPROBS : lower_buffer(w, most * (int64_t)sizeof(struct dr_logprobs));
	struct number first = ranks > 1 ? (struct number){NUMBER_INDEX, k.sample.v, 1, group} : number_const(0);
	struct argument pairs = arg_number((struct number){NUMBER_CANDIDATES, x.rows.value, x.rows.div, 0});
	struct argument sampling = lower_input(w, DR_INPUT_SAMPLE, v), rows = arg_number(x.rows);
	struct argument saved = arg_buffer(lower_buffer(w, lower_owners(w, v) * w->s->adjusts * 4));
	struct argument args[CANDIDATES_ARGUMENTS] = {
		[CANDIDATES_LOGITS] = arg_phys(&x),
		[CANDIDATES_SAMPLING] = sampling,
		[CANDIDATES_ADJUST] = lower_input(w, DR_INPUT_ADJUST, v),
		[CANDIDATES_SAVED] = saved,
		[CANDIDATES_LOGPROBS] = arg_buffer(records),
		[CANDIDATES_PAIRS] = arg_buffer(mine),
		[CANDIDATES_R] = rows,
		[CANDIDATES_P] = pairs,
		[CANDIDATES_FIRST] = arg_number(first),
	};
	lower_launch(w, local, -1, &k, args, CANDIDATES_ARGUMENTS, "sample: candidates");
	if (ranks > 1)
		gather_candidates(w, local, group, mine, all, x.rows);
	k.family = KERNEL_DRAW;
	struct argument last[DRAW_ARGUMENTS] = {
		[DRAW_PAIRS] = arg_buffer(all),
		[DRAW_SAMPLING] = sampling,
		[DRAW_LOGITS] = arg_phys(&x),
		[DRAW_TOKEN] = arg_phys(lower_define(w, local, lower_shape(w, local))),
		[DRAW_LOGPROBS] = arg_buffer(records),
		[DRAW_R] = rows,
		[DRAW_P] = pairs,
		[DRAW_FIRST] = arg_number(first),
	};
	lower_launch(w, local, -1, &k, last, DRAW_ARGUMENTS, "sample");
}

/* ---- positions ------------------------------------------------------------------------------- */
static void lower_angles(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	struct phys out = lower_shape(w, local);
	const struct phys *freq = lower_materialize_f32(w, v->args[0], local),
					  *pos = lower_materialize_contiguous(w, v->args[1], local, NULL);
	struct kernel k = kernel_of(KERNEL_ANGLES);
	k.angles.p = out.dim[0].extent;
	const struct phys *to = lower_define(w, local, out);
	struct argument args[4] = {arg_phys(freq), arg_phys(pos), arg_phys(to), arg_number(out.rows)};
	lower_launch(w, local, -1, &k, args, 4, "angles");
}

/* Is `feature` the last axis, without gaps, and do the other axes have one stride? */
static bool one_stride_of_heads(const struct phys *x, int feature)
{
	int f = x->n_dims - 1;
	return x->dim[f].axis == feature && phys_merges(x, f, f + 1, 1) && (!f || phys_merges(x, 0, f, x->stride[f - 1]));
}

static void lower_rotate(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	const struct phys *x = lower_materialize(w, v->args[0], local, NULL);
	if (!one_stride_of_heads(x, s->rotate.f))
		x = lower_materialize_contiguous(w, v->args[0], local, lower_axes_last(w, x, &s->rotate.f, 1));
	const struct phys from = *x, *angles = lower_materialize_contiguous(w, v->args[1], local, NULL);
	struct kernel k = kernel_of(KERNEL_ROTATE);
	int f = from.n_dims - 1;
	k.rotate.f = from.dim[f].extent;
	k.rotate.heads = phys_row_elements(&from) / k.rotate.f;
	k.rotate.interleaved = s->rotate.interleaved;
	struct phys out = from;
	out.dtype = s->dtype;
	phys_make_contiguous(&out);
	struct phys *to = lower_define_in_join(w, local, out);
	if (!to || !one_stride_of_heads(to, s->rotate.f))
		to = lower_define(w, local, out);
	k.rotate.x = from.dtype, k.rotate.x_row = from.row_stride, k.rotate.x_head = f ? from.stride[f - 1] : 0;
	k.rotate.y = to->dtype, k.rotate.y_row = to->row_stride, k.rotate.y_head = f ? to->stride[f - 1] : 0;
	struct argument args[4] = {arg_phys(&from), arg_phys(angles), arg_phys(to), arg_number(from.rows)};
	lower_launch(w, local, -1, &k, args, 4, "rotate");
}

/* ---- one operator ---------------------------------------------------------------------------- */
static void lower_source_value(struct lower *w, int local)
{
	static const enum dr_input of_kind[3] = {
		[INPUT_IDS] = DR_INPUT_IDS, [INPUT_POS] = DR_INPUT_POS, [INPUT_WANT] = DR_INPUT_WANT};
	const struct local_value *v = &w->ph->values.at[local];
	struct phys p = lower_shape(w, local);
	p.state = PHYS_READY;
	if (v->op == LOCAL_CONST) {
		p.dtype = DTYPE_F32; /* scalars are constants in the code */
		phys_set_address(&p, DR_SPACE_TABLE, v->n_axes ? lower_table(w, v->constant.data, v->constant.n) : 0);
	} else if (lower_source(w, local)->op == OP_INPUT) {
		struct address at = lower_input(w, of_kind[lower_source(w, local)->input], v).address;
		phys_set_address(&p, at.space, at.offset);
	} else {
		p.dtype = w->l->program->params.at[lower_source(w, local)->param].dtype;
		p.memory = MEMORY_PER_READER;
	}
	w->phys[local] = p;
}

/* Slot of the carried value that `local` is at the start of a turn, or after the loop. */
static int carry_slot(const struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	int carry = lower_source(w, local)->op == OP_FINAL ? v->args[0] : local;
	for (int i = 0; i < w->ph->carries.n; i++)
		if (w->ph->carries.at[i].begin == carry)
			return w->ph->carries.at[i].slot;
	internal_error("no turn carries %%%d", local);
}

static void lower_carry(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	struct phys *carry = &w->carry[carry_slot(w, local)];
	if (lower_source(w, local)->type == TYPE_ROUTING) {
		lower_unsupported(w, lower_source(w, local)->span, "a routing that the loop carries");
		return;
	}
	if (carry->state == PHYS_NONE) { /* the value before the loop is copied once; layers then write in place */
		*carry = *lower_materialize_contiguous(w, v->args[0], v->args[0], NULL);
		carry->dtype = lower_shape(w, local).dtype; /* the stored format of a param may differ */
		int64_t bytes = lower_rows_max(w, carry) * carry->row_stride * dtype_bytes(carry->dtype);
		phys_set_buffer(carry, lower_buffer(w, bytes));
		lower_into(w, v->args[0], carry);
	}
	w->phys[local] = *carry; /* all bodies of the loop use the same memory */
}

enum { DEEPEST = 200 }; /* max depth of a chain of virtual values, since computing it recurses */

static void lower_rows(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	struct phys p = lower_shape(w, local);
	p.state = PHYS_VIRTUAL;
	p.depth = 1;
	for (int i = 0; i < v->n_args; i++) {
		const struct phys *arg = v->args[i] < 0 ? NULL : &w->phys[v->args[i]];
		if (arg && arg->state == PHYS_VIRTUAL && arg->depth >= p.depth)
			p.depth = arg->depth + 1;
	}
	w->phys[local] = p;
	if (p.depth > DEEPEST)
		lower_materialize(w, local, local, NULL);
}

void lower_op(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	if (v->op == LOCAL_ANGLES)
		lower_angles(w, local);
	else if (v->op == LOCAL_CONST)
		lower_source_value(w, local);
	else if (lower_is_rows(w, local))
		lower_rows(w, local);
	else if (v->op != LOCAL_OP)
		lower_collective(w, local);
	else
		switch (s->op) {
		case OP_INPUT:
		case OP_PARAM:    lower_source_value(w, local); break;
		case OP_CARRY:
		case OP_FINAL:    lower_carry(w, local); break;
		case OP_RENAME:
		case OP_PIECE:    lower_view(w, local); break;
		case OP_JOIN:     lower_join(w, local); break;
		case OP_CONTRACT: lower_contract(w, local); break;
		case OP_EMBED:    lower_embed(w, local); break;
		case OP_PICK:     lower_pick(w, local); break;
		case OP_SAMPLE:   lower_sample(w, local); break;
		case OP_ROTATE:   lower_rotate(w, local); break;
		case OP_APPEND:   lower_append(w, local); break;
		case OP_ATTEND:   lower_attend(w, local); break;
		case OP_ROUTE:    lower_route(w, local); break;
		case OP_DISPATCH: lower_dispatch(w, local); break;
		case OP_COMBINE:  lower_combine(w, local); break;
		default:          internal_error("`%s` is lowered nowhere", op_name(s->op));
		}
}
