/* The cache, and attention over it. A state that some attention reads as values, or a piece of, is stored by position; one that
 * is only keys by feature (struct kernel_append). The kernel counts heads, and in each the query heads that share it: several axes
 * of either count as one, in an order that queries, both caches and sinks share. */
#include <string.h>
#include "lower.h"

/* How the attentions use a state. */
struct usage {
	bool used, by_position, mixed;
	int *order, n;
}; /* its axes as a position holds them: heads, then what is summed, or a value's; mixed: attentions differ in it */

/* Axes of heads lie as they are declared, one that is a view of another as that one. */
static bool lies_before(const struct program *p, int a, int b)
{
	int of_a = axis_root(p, a), of_b = axis_root(p, b);
	return of_a != of_b ? of_a < of_b : a < b;
}

/* Puts the axes of heads to `out`, major to minor. */
static int heads_in_order(const struct program *p, const struct value *attend, int *out)
{
	int n = attend->attend.n_h;
	for (int i = 0; i < n; i++) {
		int at = i;
		for (; at && lies_before(p, attend->attend.h[i], out[at - 1]); at--) out[at] = out[at - 1];
		out[at] = attend->attend.h[i];
	}
	return n;
}

/* The value that views are made of; `axis` becomes its axis of that value. */
static int behind_views(const struct program *p, int value, int *axis)
{
	for (;;) {
		const struct value *v = &p->values.at[value];
		if (v->op != OP_RENAME && v->op != OP_PIECE) return value;
		if (v->to == *axis) *axis = v->from;
		value = v->args[0];
	}
}

/* `attend` reads the state as its operand `arg`, whose features are `feature`. */
static void add_use(struct lower *w, struct usage *u, int state, const struct value *attend, int arg, int feature)
{
	const struct program *p = w->l->program;
	int value = attend->args[arg], none = -1, *order = arena_array(w->arena, int, attend->attend.n_h + 1);
	if (behind_views(p, value, &none) != state) return;
	int n = heads_in_order(p, attend, order);
	order[n++] = feature;
	for (int i = 0; i < n; i++) behind_views(p, value, &order[i]);
	bool piece = p->axes.at[order[n - 1]].extent != p->axes.at[feature].extent;
	u->mixed |= u->used && (u->n != n || memcmp(u->order, order, sizeof *order * (size_t)n));
	u->by_position |= arg == 2 || piece;
	u->used = true;
	u->order = order, u->n = n;
}

static struct usage usage_of(struct lower *w, int state)
{
	const struct program *p = w->l->program;
	struct usage u = { .n = 0 };
	for (int i = 0; i < p->values.n; i++) {
		const struct value *v = &p->values.at[i];
		if (v->op != OP_ATTEND) continue;
		add_use(w, &u, state, v, 1, v->attend.dot);
		add_use(w, &u, state, v, 2, v->attend.w);
	}
	return u;
}

/* Where a state's pages begin: states of a layer lie one behind the other. */
static int64_t state_offset(const struct lower *w, int state)
{
	const struct program *p = w->l->program;
	int64_t at = 0;
	for (int i = 0; i < state; i++) {
		const struct state *s = &p->states.at[i];
		if (s->body != p->states.at[state].body) continue;
		int64_t elements = w->s->pages * w->s->page;
		for (int k = 0; k < s->n_axes; k++) {
			struct atoms a = place_axis(w->l, s->axes[k], s->region, PHASE_ANY, CLASS_CACHE);
			if (p->axes.at[s->axes[k]].extent) elements *= p->axes.at[s->axes[k]].extent / atoms_size(w->l, &a);
		}
		at += (elements * dtype_bytes(s->dtype) + 63) / 64 * 64;
	}
	return at;
}

void lower_append(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	const struct state *state = &w->l->program->states.at[s->state];
	struct usage use = usage_of(w, v->source);
	if (!dtype_is_loaded(state->dtype)) lower_unsupported(w, s->span, "a cache stored as %s", dtype_name(state->dtype));
	else if (!use.used) lower_unsupported(w, s->span, "a cache that no attention reads");
	else if (use.mixed) lower_unsupported(w, s->span, "a cache whose axes two attentions use in different ways");
	if (w->failed) return;
	const struct phys *x = lower_ready(w, v->args[0], use.order);
	struct kernel k = kernel_of(KERNEL_APPEND);
	k.append.f = x->dim[x->n_dims - 1].extent;
	k.append.heads = phys_row_elements(x) / k.append.f;
	k.append.page = w->s->page;
	k.append.by_position = use.by_position;
	k.append.x = x->dtype;
	k.append.cache = state->dtype;
	struct phys out = *x;
	out.state = PHYS_READY;
	out.buffer = -1;
	out.address = (struct address){ DR_SPACE_STATE, state_offset(w, s->state) };
	out.offset = number_const(0);
	out.dtype = state->dtype;
	w->phys[local] = out;
	struct argument args[4] = { arg_phys(x), lower_input(w, DR_INPUT_SLOT, &w->ph->values.at[v->args[0]]),
				    arg_phys(&out), arg_number(x->rows) };
	lower_launch(w, local, -1, &k, args, 4, arena_printf(w->arena, "append %s", state->name));
}

static int64_t extent_of(const struct phys *p, const int *axes, int n)
{
	int64_t e = 1;
	for (int i = 0; i < p->n_dims; i++)
		if (axis_among(axes, n, p->dim[i].axis)) e *= p->dim[i].extent;
	return e;
}

static bool is_cache(const struct phys *p)
{
	return p->state == PHYS_READY && p->buffer < 0 && p->address.space == DR_SPACE_STATE;
}

/* A piece of a position's features lies within the cache's rows; one of its heads would leave gaps between pages. */
static bool has_piece_of_heads(const struct program *p, const struct value *attend, int arg)
{
	for (int i = 0; i < attend->attend.n_h; i++) {
		int axis = attend->attend.h[i];
		behind_views(p, attend->args[arg], &axis);
		if (p->axes.at[axis].extent != p->axes.at[attend->attend.h[i]].extent) return true;
	}
	return false;
}

static bool attend_supported(struct lower *w, const struct local_value *v, const struct value *s)
{
	if (has_piece_of_heads(w->l->program, s, 1) || has_piece_of_heads(w->l->program, s, 2))
		lower_unsupported(w, s->span, "an attention over a piece of a cache's heads");
	else if (!is_cache(&w->phys[v->args[1]]) || !is_cache(&w->phys[v->args[2]]))
		lower_unsupported(w, s->span, "an attention whose keys or values are not a state in its own layout");
	else if (w->phys[v->args[1]].dtype != w->phys[v->args[2]].dtype)
		lower_unsupported(w, s->span, "an attention over keys and values of two formats");
	return !w->failed;
}

/* Features that a position has in the cache behind keys or values, which may be a piece of it: the stride of its rows. */
static int64_t features_cached(const struct phys *p, int axis)
{
	for (int i = p->n_dims - 1; i >= 0; i--)
		if (p->dim[i].axis != axis) return p->stride[i];
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

/* One for each head and query head, in that order. */
static struct argument sinks(struct lower *w, struct kernel_attend *a, int sink, int user, const int *order)
{
	a->has_sinks = true;
	a->sink_head = a->group, a->sink_group = 1;
	a->sink = w->phys[sink].dtype;
	return lower_is_param(w, sink) ? lower_plain(w, sink, user, order) : arg_phys(lower_ready(w, sink, order));
}

void lower_attend(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	if (!attend_supported(w, v, s)) return;
	int *order = arena_array(w->arena, int, s->attend.n_h + s->attend.n_r + 1);
	int n = heads_in_order(w->l->program, s, order);
	for (int i = 0; i < s->attend.n_r; i++) order[n++] = s->attend.r[i];
	order[n++] = s->attend.dot;
	const struct phys q = *lower_ready(w, v->args[0], order);
	const struct phys *keys = &w->phys[v->args[1]], *values = &w->phys[v->args[2]],
			  *pos = lower_ready(w, v->args[3], NULL);
	struct kernel k = kernel_of(KERNEL_ATTEND);
	struct kernel_attend *a = &k.attend;
	a->heads = extent_of(&q, s->attend.h, s->attend.n_h);
	a->group = extent_of(&q, s->attend.r, s->attend.n_r);
	a->d = extent_of(&q, &s->attend.dot, 1);
	set_cache(w, a, s, keys, values);
	struct phys y = q;
	y.dtype = s->dtype;
	y.dim[y.n_dims - 1] = (struct dim){ s->attend.w, a->w };
	phys_make_contiguous(&y);
	a->q_row = q.row_stride, a->q_head = a->group * a->d, a->q_group = a->d;
	a->y_row = y.row_stride, a->y_head = a->group * a->w, a->y_group = a->w;
	a->window = s->attend.window, a->scale = s->attend.scale, a->causal = s->attend.causal;
	a->q = q.dtype, a->y = y.dtype;
	const struct phys *to = lower_define(w, local, y);
	struct argument pages = { .is_address = true,
				  .address = { DR_SPACE_INPUT, w->s->input_offset[DR_INPUT_PAGES] },
				  .number = number_const(0) };
	struct argument args[9] = { arg_phys(&q),     arg_phys(keys),
				    arg_phys(values), lower_input(w, DR_INPUT_SEQ, &w->ph->values.at[v->args[0]]),
				    arg_phys(pos),    pages,
				    arg_phys(to),     arg_number(q.rows) };
	if (v->n_args > 4 && v->args[4] >= 0) args[8] = sinks(w, a, v->args[4], local, order);
	lower_launch(w, local, -1, &k, args, a->has_sinks ? 9 : 8, "attend");
}
