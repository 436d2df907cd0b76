/* The cache, and attention over it. A state is stored by position if some attention reads it as values or reads a piece
 * of it; a state read only as keys is stored by feature (struct kernel_append). The kernel has one dimension of heads
 * and one of query heads per head. Several axes of either kind form one dimension, in an order shared by queries, both
 * caches and sinks. */
#include <string.h>
#include "lower.h"

/* How attentions use a state. */
struct usage {
	bool used, by_position, mixed;
	int *order, n;
}; /* order: axes of a position as stored, heads, then the features; mixed: attentions disagree on it */

/* Follows views to the value that they view; *axis becomes that value's axis. */
static int behind_views(const struct program *p, int value, int *axis)
{
	for (;;) {
		const struct value *v = &p->values.at[value];
		if (v->op != OP_RENAME && v->op != OP_PIECE)
			return value;
		if (v->view.to == *axis)
			*axis = v->view.from;
		value = v->args[0];
	}
}

/* Records that `attend` reads the state as its operand `arg`, with features along `feature`. */
static void add_use(struct lower *w, struct usage *u, int state, const struct value *attend, int arg, int feature)
{
	const struct program *p = w->l->program;
	int value = attend->args[arg], none = -1, *order = arena_array(w->arena, int, attend->attend.n_h + 1);
	if (behind_views(p, value, &none) != state)
		return;
	int n = lower_heads_in_order(p, attend, order);
	order[n++] = feature;
	for (int i = 0; i < n; i++)
		behind_views(p, value, &order[i]);
	bool piece = p->axes.at[order[n - 1]].extent != p->axes.at[feature].extent;
	u->mixed |= u->used && (u->n != n || memcmp(u->order, order, sizeof *order * (size_t)n));
	u->by_position |= arg == 2 || piece || w->target->keys_by_position;
	u->used = true;
	u->order = order, u->n = n;
}

static struct usage usage_of(struct lower *w, int state)
{
	const struct program *p = w->l->program;
	struct usage u = {.n = 0};
	for (int i = 0; i < p->values.n; i++) {
		const struct value *v = &p->values.at[i];
		if (v->op != OP_ATTEND)
			continue;
		add_use(w, &u, state, v, 1, v->attend.dot);
		add_use(w, &u, state, v, 2, v->attend.w);
	}
	return u;
}

/* Bytes of a rank's pages of a state in one layer. */
static int64_t state_bytes(struct local *l, const struct schedule *s, int number)
{
	const struct state *state = &l->program->states.at[number];
	int64_t elements = s->pool[s->pool_of[number]].pages * s->page;
	for (int i = 0; i < state->n_axes; i++) {
		struct atoms a = place_axis(l, state->axes[i], state->region, PHASE_ANY, CLASS_CACHE);
		int64_t extent = l->program->axes.at[state->axes[i]].extent;
		int n;
		if (extent)
			elements *= extent / atoms_size(l, &a);
		else if (state->axes[i] == l->program->batch)
			elements *= owners_held(l, &a, &n);
		else
			elements /= atoms_size(l, &a);
	}
	return (elements * dtype_bytes(state->dtype) + 63) / 64 * 64;
}

/* The part of a step that uses a state. */
static int part_of_state(const struct local *l, const struct state *state)
{
	int at = l->phase[PHASE_PREFILL].of_program[state->value];
	return at < 0 ? PART_EVERY : l->phase[PHASE_PREFILL].values.at[at].part;
}

/* Places the states outside the loops that one part of a step uses, from `at` on. Returns their end. */
static int64_t place_outside(struct schedule *s, int part, int64_t at)
{
	for (int i = 0; i < s->states.n; i++) {
		struct placed_state *placed = &s->states.at[i];
		if (placed->body >= 0 || placed->part != part)
			continue;
		placed->offset = at;
		at += placed->bytes;
	}
	return at;
}

void place_states(struct schedule *s, struct local *l)
{
	const struct program *p = l->program;
	int64_t *end = arena_array(l->arena, int64_t, p->bodies.n + 1);
	for (int i = 0; i < p->states.n; i++) {
		const struct state *state = &p->states.at[i];
		struct placed_state at = {state->body, part_of_state(l, state), 0, state_bytes(l, s, i)};
		if (state->in_loop) {
			at.offset = end[state->body];
			end[state->body] += at.bytes;
		}
		vec_push(l->arena, &s->states, at);
	}
	/* each part outside the loops is on one stage, where its states follow those of earlier parts */
	int64_t every = place_outside(s, PART_EVERY, 0), *used = arena_array(l->arena, int64_t, s->stages.n);
	for (int part = part_outside(0); part < l->parts.n; part += 2) {
		int64_t *at = &used[l->parts.at[part].begin];
		*at = place_outside(s, part, *at ? *at : every);
	}
}

/* Positions in a rank's pages of a pool: those in use for one owner, all of them for several. */
static struct number cache_rows(const struct lower *w, int pool, const struct atoms *batch, const struct atoms *pages)
{
	int n;
	int64_t owners = batch ? owners_held(w->l, batch, &n) : 1, ranks = atoms_size(w->l, pages);
	if (owners > 1)
		return number_const(owners * w->s->pool[pool].pages * w->s->page / ranks);
	return (struct number){NUMBER_PAGES, w->s->page, ranks, pool};
}

/* Does a loop carry a value, from before it or from turn to turn? */
static bool is_carried(const struct program *p, int value)
{
	for (int i = 0; i < p->values.n; i++)
		if (p->values.at[i].op == OP_CARRY && (p->values.at[i].args[0] == value || p->values.at[i].next == value))
			return true;
	return false;
}

void lower_append(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	const struct state *state = &w->l->program->states.at[s->append.state];
	struct usage use = usage_of(w, v->source);
	if (!dtype_is_loaded(state->dtype))
		lower_unsupported(w, s->span, "a cache stored as %s", dtype_name(state->dtype));
	else if (is_carried(w->l->program, v->source))
		lower_unsupported(w, s->span, "a cache that a loop carries");
	else if (!use.used)
		lower_unsupported(w, s->span, "a cache that no attention reads unchanged");
	else if (use.mixed)
		lower_unsupported(w, s->span, "a cache whose axes two attentions use in different ways");
	if (w->failed)
		return;
	const struct placed_state *placed = &w->s->states.at[s->append.state];
	if (placed->bytes > MAX_BUFFER)
		lower_too_large(w, "the bytes of a cache in one layer", (double)placed->bytes, MAX_BUFFER);
	const struct phys *x = lower_materialize_contiguous(w, v->args[0], local, use.order);
	struct kernel k = kernel_of(KERNEL_APPEND);
	k.append.f = x->dim[x->n_dims - 1].extent;
	k.append.heads = phys_row_elements(x) / k.append.f;
	k.append.page = w->s->page;
	k.append.by_position = use.by_position;
	k.append.x = x->dtype;
	k.append.cache = state->dtype;
	const struct atoms *pages = layout_of(v, s->append.to);
	struct phys out = *x;
	out.state = PHYS_READY;
	out.cache = true;
	out.by_position = use.by_position;
	out.pool = w->s->pool_of[s->append.state];
	out.rows = cache_rows(w, out.pool, layout_of(v, w->l->program->batch), pages);
	phys_set_address(&out, state->in_loop ? DR_SPACE_STATE : DR_SPACE_STATE_OUTSIDE, placed->offset);
	out.offset = number_const(0);
	out.dtype = state->dtype;
	w->phys[local] = out;
	struct argument args[4] = {arg_phys(x), lower_slots(w, &w->ph->values.at[v->args[0]], out.pool, pages),
	                           arg_phys(&out), arg_number(x->rows)};
	lower_launch(w, local, -1, &k, args, 4, arena_printf(w->arena, "append %s", state->name));
}

/* The rank's part of each position's features, as other addresses in the same pages. */
static bool slice_cache(struct lower *w, int local, struct phys x)
{
	const struct local_value *v = &w->ph->values.at[local];
	int last = x.n_dims - 1;
	bool fixed = x.offset.kind == NUMBER_CONST && (x.memory == MEMORY_PLACED || !x.offset.value);
	if (!fixed || !x.by_position || last < 0 || x.dim[last].axis != v->move.to)
		return false;
	if (x.memory == MEMORY_PLACED)
		x.address.offset += x.offset.value;
	x.dim[last].extent /= atoms_size(w->l, &v->move.atoms);
	x.offset =
		(struct number){NUMBER_INDEX, x.dim[last].extent * dtype_bytes(x.dtype), 1, lower_group(w, &v->move.atoms)};
	w->phys[local] = x;
	return true;
}

/* Gathers the caches of owners, one after the other: all their pages, since each owner's begin at a fixed place. */
static void gather_owners(struct lower *w, int local, const struct phys *x)
{
	const struct local_value *v = &w->ph->values.at[local];
	struct number rows = number_const(x->rows.value);
	if (x->rows.kind == NUMBER_PAGES)
		rows.value = w->s->pool[x->pool].pages * x->rows.value / x->rows.div;
	struct phys y = *x;
	y.rows = number_times(rows, atoms_size(w->l, &v->move.atoms));
	const struct phys *to = lower_define(w, local, y);
	int c = lower_add_collective(w, DR_ALL_GATHER, lower_group(w, &v->move.atoms), x->dtype, rows,
	                             x->row_stride * dtype_bytes(x->dtype), local, v->move.cause);
	struct instr i = {.kind = INSTR_COLLECTIVE,
	                  .collective = {.index = c,
	                                 .src = arg_phys(x),
	                                 .dst = arg_phys(to),
	                                 .outer = number_const(1),
	                                 .block = number_times(rows, x->row_stride)}};
	lower_emit(w, local, -1, i, arena_printf(w->arena, "all_gather (%s)", v->move.cause));
}

/* Gathers a cache for its reader: all pages in use, from all ranks that split an axis. If positions are split, a rank
 * has every n-th page, so interleaving the ranks' pages puts them in order. */
void lower_move_cache(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct phys x = w->phys[v->args[0]];
	struct phys y = x;
	if (v->op == LOCAL_SLICE && slice_cache(w, local, x))
		return;
	int64_t n = atoms_size(w->l, &v->move.atoms), before = 1, behind = 1;
	int at = 0;
	while (at < x.n_dims && x.dim[at].axis != v->move.from)
		at++;
	bool owners = v->move.from == w->l->program->batch, positions = at == x.n_dims, features = at == x.n_dims - 1;
	if (v->op != LOCAL_ALL_GATHER || !phys_contiguous(&x) || x.offset.kind != NUMBER_CONST
	    || (positions && !owners && layout_of(v, v->move.from)->n)) {
		lower_unsupported(w, lower_source(w, v->args[0])->span, "a cache that its reader wants in another layout (%s)",
		                  v->move.cause);
		return;
	}
	if (owners) {
		gather_owners(w, local, &x);
		return;
	}
	for (int i = 0; i < x.n_dims; i++)
		*(i < at && !positions ? &before : &behind) *= x.dim[i].extent;
	*(features && x.by_position ? &before : &behind) *= w->s->page;
	if (positions)
		y.rows = cache_rows(w, x.pool, layout_of(v, w->l->program->batch), layout_of(v, v->move.from));
	else
		y.dim[at].extent *= n;
	phys_make_contiguous(&y);
	const struct phys *to = lower_define(w, local, y);
	int c = lower_add_collective(w, DR_ALL_GATHER, lower_group(w, &v->move.atoms), x.dtype, x.rows,
	                             x.row_stride * dtype_bytes(x.dtype), local, v->move.cause);
	struct instr i = {
		.kind = INSTR_COLLECTIVE,
		.collective = {.index = c,
	                   .src = arg_phys(&x),
	                   .dst = arg_phys(to),
	                   .outer = {x.rows.kind, x.rows.value / w->s->page * before, x.rows.div, x.rows.group},
	                   .block = number_const(behind)}};
	lower_emit(w, local, -1, i, arena_printf(w->arena, "all_gather (%s)", v->move.cause));
}

static int64_t extent_of(const struct phys *p, const int *axes, int n)
{
	int64_t e = 1;
	for (int i = 0; i < p->n_dims; i++)
		if (axis_among(axes, n, p->dim[i].axis))
			e *= p->dim[i].extent;
	return e;
}

/* A piece of the features stays within the rows of the cache. A piece of the heads would leave gaps between pages. */
static bool has_piece_of_heads(const struct program *p, const struct value *attend, int arg)
{
	for (int i = 0; i < attend->attend.n_h; i++) {
		int axis = attend->attend.h[i];
		behind_views(p, attend->args[arg], &axis);
		if (p->axes.at[axis].extent != p->axes.at[attend->attend.h[i]].extent)
			return true;
	}
	return false;
}

static bool attend_supported(struct lower *w, const struct local_value *v, const struct value *s)
{
	if (has_piece_of_heads(w->l->program, s, 1) || has_piece_of_heads(w->l->program, s, 2))
		lower_unsupported(w, s->span, "an attention over a piece of a cache's heads");
	else if (!w->phys[v->args[1]].cache || !w->phys[v->args[2]].cache)
		lower_unsupported(w, s->span, "an attention whose keys or values are not a state");
	else if (w->phys[v->args[1]].dtype != w->phys[v->args[2]].dtype)
		lower_unsupported(w, s->span, "an attention over keys and values of two formats");
	else if (!s->attend.causal) {
		lower_unsupported(w, s->span, "an attention that looks ahead (`causal = false`)");
		struct diag *d = w->sink->diags.at[w->sink->diags.n - 1];
		diag_note(w->sink, d,
		          "a prompt enters in chunks, and a position would see only what has entered. No `chunk` is large "
		          "enough: prompts share a step, and are cut where it is full");
	}
	return !w->failed;
}

/* Features per position in the cache that keys or values are read from. They may be a piece of it, so this is the
 * stride of its rows. */
static int64_t features_cached(const struct phys *p, int axis)
{
	for (int i = p->n_dims - 1; i >= 0; i--)
		if (p->dim[i].axis != axis)
			return p->stride[i];
	return p->row_stride;
}

static void set_cache(struct lower *w, struct kernel_attend *a, const struct value *s, const struct phys *keys,
                      const struct phys *values)
{
	int none = -1;
	a->keys_by_position = usage_of(w, behind_views(w->l->program, s->args[1], &none)).by_position;
	a->d_cached = features_cached(keys, s->attend.dot);
	a->w_cached = features_cached(values, s->attend.w);
	a->w = extent_of(values, &s->attend.w, 1);
	a->kv = keys->dtype;
	a->page = w->s->page, a->pages_per_seq = w->s->pages_per_seq;
}

/* Sinks and slopes: one per head and query head, in that order. */
static void of_heads(struct lower *w, struct kernel_attend *a, int user, const int *order, struct argument *args)
{
	const int *operand = w->ph->values.at[user].args;
	a->has_sinks = operand[OPERAND_SINKS] >= 0;
	a->has_slopes = operand[OPERAND_SLOPES] >= 0;
	if (a->has_sinks) {
		const struct phys *sinks = lower_materialize_contiguous(w, operand[OPERAND_SINKS], user, order);
		a->sink_head = a->group, a->sink_group = 1;
		a->sink = sinks->dtype;
		args[ATTEND_SINKS] = arg_phys(sinks);
	}
	if (a->has_slopes) {
		const struct phys *slopes = lower_materialize_contiguous(w, operand[OPERAND_SLOPES], user, order);
		a->slope_head = a->group, a->slope_group = 1;
		a->slope = slopes->dtype;
		args[attend_slopes_argument(a)] = arg_phys(slopes);
	}
}

/* Caches are aligned to 64 bytes, but a piece of one need not be. */
static bool aligned(const struct phys *cache)
{
	return cache->offset.kind == NUMBER_CONST && cache->offset.value % 16 == 0;
}

void lower_attend(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	if (!attend_supported(w, v, s))
		return;
	int *order = arena_array(w->arena, int, s->attend.n_h + s->attend.n_r + 1);
	int n = lower_heads_in_order(w->l->program, s, order);
	for (int i = 0; i < s->attend.n_r; i++)
		order[n++] = s->attend.r[i];
	order[n++] = s->attend.dot;
	const struct local_value *x = &w->ph->values.at[v->args[0]];
	const struct phys q = *lower_materialize_contiguous(w, v->args[0], local, order);
	const struct phys *keys = &w->phys[v->args[1]], *values = &w->phys[v->args[2]],
					  *pos = lower_materialize_contiguous(w, v->args[3], local, NULL);
	struct kernel k = kernel_of(KERNEL_ATTEND);
	struct kernel_attend *a = &k.attend;
	a->heads = extent_of(&q, s->attend.h, s->attend.n_h);
	a->group = extent_of(&q, s->attend.r, s->attend.n_r);
	a->d = extent_of(&q, &s->attend.dot, 1);
	set_cache(w, a, s, keys, values);
	struct phys y = q;
	y.dtype = s->dtype;
	y.dim[y.n_dims - 1] = (struct dim){s->attend.w, a->w};
	phys_make_contiguous(&y);
	a->q_row = q.row_stride, a->q_head = a->group * a->d, a->q_group = a->d;
	a->y_row = y.row_stride, a->y_head = a->group * a->w, a->y_group = a->w;
	a->window = s->attend.window, a->chunk = s->attend.chunk;
	a->scale = s->attend.scale, a->cap = s->attend.cap, a->causal = s->attend.causal;
	a->q = q.dtype, a->y = y.dtype;
	a->on_matrix = w->target->keys_by_position && attend_suits_matrix(a) && aligned(keys) && aligned(values);
	const struct phys *to = lower_define(w, local, y);
	struct argument args[ATTEND_ARGUMENTS] = {
		[ATTEND_Q] = arg_phys(&q),
		[ATTEND_KEYS] = arg_phys(keys),
		[ATTEND_VALUES] = arg_phys(values),
		[ATTEND_SEQ] = lower_input(w, DR_INPUT_SEQ, x),
		[ATTEND_POS] = arg_phys(pos),
		[ATTEND_PAGES] = lower_pages(w, x, keys->pool),
		[ATTEND_Y] = arg_phys(to),
		[ATTEND_M] = arg_number(q.rows),
		[ATTEND_WORKSPACE] = arg_workspace(),
	};
	of_heads(w, a, local, order, args);
	lower_launch(w, local, -1, &k, args, kernel_args(&k), "attend");
}
