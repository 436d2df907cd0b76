/* How params are stored: decided here for both phases, from all their readers, before any instruction is made.
 * Lowering only looks up.
 *
 * A contraction reads its weight in tiles: one matrix for each expert or index of a batch axis, in it the outputs, and
 * for each output the summed elements. An embedding reads the tiles that a contraction wants of the same table, else
 * one row per index. An attention reads sinks in the order of its heads, and any other operator the param's own order.
 * Within this, axes are in the param's order, so readers that want the same share a copy. Readers that want different
 * orders, or run on different stages, have a copy each. */
#include "lower.h"
#include "../support/round.h"

/* ---- contractions ---------------------------------------------------------------------------- */
bool lower_contraction(const struct lower *w, int local, struct contraction *out)
{
	const struct local_value *v = &w->ph->values.at[local];
	if (v->op != LOCAL_OP || lower_source(w, local)->op != OP_CONTRACT)
		return false;
	int arg[2] = {lower_through_cast(w, v->args[0]), lower_through_cast(w, v->args[1])};
	int weight = lower_is_param(w, arg[1]) ? 1 : 0;
	*out = (struct contraction){.x = arg[1 - weight], .weight = arg[weight], .experts = -1};
	const struct local_value *x = &w->ph->values.at[out->x], *p = &w->ph->values.at[out->weight];
	int experts = lower_row_groups(w, x);
	if (experts >= 0 && axis_among(p->axes, p->n_axes, experts))
		out->experts = experts;
	return lower_is_param(w, out->weight) && !lower_is_param(w, out->x);
}

enum dr_role contraction_role(const struct lower *w, int local, const struct contraction *c, int axis)
{
	const struct value *s = lower_source(w, local);
	const struct local_value *x = &w->ph->values.at[c->x];
	if (axis_among(s->reduce.over, s->reduce.n_over, axis))
		return DR_WEIGHT_K;
	if (c->experts >= 0)
		return axis == c->experts ? DR_WEIGHT_GROUP : DR_WEIGHT_N;
	return axis_among(x->axes, x->n_axes, axis) ? DR_WEIGHT_GROUP : DR_WEIGHT_N;
}

/* ---- what a reader wants --------------------------------------------------------------------- */
static const struct param *param_of(const struct lower *w, int param)
{
	return &w->l->program->params.at[lower_source(w, param)->param];
}

/* The space depends on the stages that the reader runs on: one of them, or several. */
static void set_space(const struct lower *w, struct placed_param *p, int user)
{
	struct stage_range on = w->l->parts.at[w->ph->values.at[user].part];
	bool one = on.end - on.begin == 1;
	p->space = p->param->in_loop ? DR_SPACE_LAYER : one ? DR_SPACE_OUTSIDE : DR_SPACE_EVERY;
	p->stage = p->space == DR_SPACE_OUTSIDE ? on.begin : -1;
}

static struct placed_param wanted(struct lower *w, int param, int user)
{
	const struct local_value *v = &w->ph->values.at[param];
	struct placed_param p = {.param = param_of(w, param),
	                         .axes = arena_array(w->arena, struct placed_axis, v->n_axes + 1)};
	set_space(w, &p, user);
	return p;
}

static bool keyed(const struct param *p, int axis) { return axis_among(p->keyed, p->n_keyed, axis); }

/* Adds the param's axis at index `i`. */
static void add_axis(struct lower *w, struct placed_param *out, int param, int i, enum dr_role role)
{
	const struct local_value *v = &w->ph->values.at[param];
	const struct param *p = out->param;
	const struct atoms *a = &v->layout.axis[i];
	const struct axis *x = &w->l->program->axes.at[v->axes[i]];
	out->axes[out->n_axes++] = (struct placed_axis){.axis = v->axes[i],
	                                                .name = x->name,
	                                                .extent = x->extent,
	                                                .local = axis_local(w->l, v, i),
	                                                .stride = p->stored.stride[i],
	                                                .group = a->n ? lower_group(w, a) : -1,
	                                                .role = role,
	                                                .keyed = keyed(p, v->axes[i])};
}

static void set_bytes(struct placed_param *p)
{
	int64_t groups = 1, n = 1, k = 1;
	for (int i = 0; i < p->n_axes; i++)
		*(p->axes[i].role == DR_WEIGHT_GROUP ? &groups : p->axes[i].role == DR_WEIGHT_K ? &k : &n) *= p->axes[i].local;
	p->bytes = packed_bytes(&p->pack, groups, n, k, p->param->dtype);
}

/* Tiles for the contraction `user`. */
static struct placed_param tiles_for(struct lower *w, int user, const struct contraction *c)
{
	const struct local_value *v = &w->ph->values.at[c->weight];
	struct placed_param p = wanted(w, c->weight, user);
	p.pack = target_packing(w->target, p.param->dtype, w->ph->values.at[c->x].dtype);
	for (int summed = 0; summed < 2; summed++)
		for (int i = 0; i < v->n_axes; i++) {
			enum dr_role role = contraction_role(w, user, c, v->axes[i]);
			if ((role == DR_WEIGHT_K) == (summed == 1))
				add_axis(w, &p, c->weight, i, role);
		}
	set_bytes(&p);
	return p;
}

/* Row-major, in the order of axes `order`, or the param's own if NULL. */
static struct placed_param plain_for(struct lower *w, int param, int user, const int *order)
{
	const struct local_value *v = &w->ph->values.at[param];
	struct placed_param p = wanted(w, param, user);
	for (int k = 0; k < v->n_axes; k++)
		for (int i = 0; i < v->n_axes; i++)
			if (v->axes[i] == (order ? order[k] : v->axes[k]))
				add_axis(w, &p, param, i, DR_PLAIN);
	set_bytes(&p);
	return p;
}

/* ---- placements ------------------------------------------------------------------------------ */
static bool same_order(const struct placed_param *a, const struct placed_param *b)
{
	bool same = a->n_axes == b->n_axes && a->pack.n_tile == b->pack.n_tile && a->pack.k_run == b->pack.k_run
	            && a->pack.swizzled == b->pack.swizzled;
	for (int i = 0; same && i < a->n_axes; i++)
		same = a->axes[i].axis == b->axes[i].axis && a->axes[i].role == b->axes[i].role;
	return same;
}

static const struct placed_param *find(const struct schedule *s, const struct placed_param *want)
{
	for (int i = 0; i < s->params.n; i++) {
		const struct placed_param *p = &s->params.at[i];
		if (p->param == want->param && p->space == want->space && p->stage == want->stage && same_order(p, want))
			return p;
	}
	return NULL;
}

/* The tiles in which some contraction reads the table of the embedding `user`; NULL: none does. */
static const struct placed_param *tiles_of_table(const struct lower *w, int user)
{
	const struct value *s = lower_source(w, user);
	const struct param *table = param_of(w, w->ph->values.at[user].args[0]);
	for (int i = 0; i < w->s->params.n; i++) {
		const struct placed_param *p = &w->s->params.at[i];
		if (p->param == table && p->pack.n_tile && p->axes[0].role == DR_WEIGHT_N && p->axes[0].axis == s->v
		    && p->axes[1].role == DR_WEIGHT_K)
			return p;
	}
	return NULL;
}

static struct placed_param for_embedding(struct lower *w, int user)
{
	int param = w->ph->values.at[user].args[0];
	const struct local_value *table = &w->ph->values.at[param];
	const struct placed_param *tiles = tiles_of_table(w, user);
	if (tiles) {
		struct placed_param p = *tiles;
		set_space(w, &p, user);
		return p;
	}
	const int v = lower_source(w, user)->v, by_index[2] = {v, table->axes[table->axes[0] == v ? 1 : 0]};
	return plain_for(w, param, user, by_index);
}

/* The order of sinks and slopes: heads as the cache has them, then query heads. */
static const int *head_order(struct lower *w, int user)
{
	const struct value *s = lower_source(w, user);
	int *order = arena_array(w->arena, int, s->attend.n_h + s->attend.n_r + 1);
	int n = lower_heads_in_order(w->l->program, s, order);
	for (int i = 0; i < s->attend.n_r; i++)
		order[n++] = s->attend.r[i];
	return order;
}

static bool is_of_heads(const struct lower *w, int user, int param)
{
	const struct local_value *v = &w->ph->values.at[user];
	return lower_is_op(w, user, OP_ATTEND) && (v->args[OPERAND_SINKS] == param || v->args[OPERAND_SLOPES] == param);
}

/* How operand `param` of `user` is stored. */
static struct placed_param for_reader(struct lower *w, int param, int user)
{
	struct contraction c;
	if (lower_contraction(w, user, &c) && c.weight == param)
		return tiles_for(w, user, &c);
	if (lower_is_op(w, user, OP_EMBED) && w->ph->values.at[user].args[0] == param)
		return for_embedding(w, user);
	return plain_for(w, param, user, is_of_heads(w, user, param) ? head_order(w, user) : NULL);
}

/* The body or stage whose part of its space a param is in; in DR_SPACE_EVERY there is one part. */
static int part_of_space(const struct placed_param *p)
{
	return p->space == DR_SPACE_LAYER ? p->param->body : p->stage;
}

int64_t param_bytes(const struct schedule *s, enum dr_space space, int of)
{
	int64_t bytes = 0;
	for (int i = 0; i < s->params.n; i++)
		if (s->params.at[i].space == space && part_of_space(&s->params.at[i]) == of)
			bytes += round_up(s->params.at[i].bytes, 64);
	return bytes;
}

/* Places what `user` reads, unless another reader has it. */
static void add_reader(struct lower *w, int param, int user)
{
	struct schedule *s = w->s;
	struct placed_param p = for_reader(w, param, user);
	if (find(s, &p))
		return;
	if (!dtype_is_loaded(p.param->dtype) && !w->failed)
		lower_unsupported(w, p.param->span, "a weight stored as %s", dtype_name(p.param->dtype));
	vec_push(w->arena, &s->params, p);
}

static void add_contractions(struct lower *w)
{
	struct contraction c;
	for (int i = 0; i < w->ph->values.n; i++)
		if (lower_contraction(w, i, &c))
			add_reader(w, c.weight, i);
}

/* Adds the reader of `value` if `value` is a param, or a cast of one that is computed for its reader. */
static void add_operand(struct lower *w, int value, int user)
{
	int param = lower_through_cast(w, value);
	if (lower_is_param(w, param))
		add_reader(w, param, param == value ? user : value);
}

static void add_others(struct lower *w)
{
	struct contraction c;
	for (int i = 0; i < w->ph->values.n; i++) {
		const struct local_value *v = &w->ph->values.at[i];
		if (lower_through_cast(w, i) != i)
			continue; /* its readers read the param, or compute it */
		bool weighted = lower_contraction(w, i, &c);
		for (int k = 0; k < v->n_args; k++) /* the first value of a carried one is copied where it was made */
			if (v->args[k] >= 0 && !(weighted && lower_through_cast(w, v->args[k]) == c.weight))
				add_operand(w, v->args[k], lower_is_op(w, i, OP_CARRY) ? v->args[k] : i);
	}
	for (int i = 0; i < w->ph->carries.n; i++)
		add_operand(w, w->ph->carries.at[i].next, w->ph->carries.at[i].next);
}

/* Puts the placements into the order of the program's params, and gives each its offset. */
static void set_offsets(struct lower *w)
{
	const struct program *p = w->l->program;
	struct schedule *s = w->s;
	int n = s->params.n, *begin = arena_array(w->arena, int, p->params.n + 1);
	struct placed_param *found = s->params.at;
	s->params.at = arena_array(w->arena, struct placed_param, n + 1);
	for (int i = 0; i < n; i++)
		begin[found[i].param - p->params.at + 1]++;
	for (int i = 0; i < p->params.n; i++)
		begin[i + 1] += begin[i];
	for (int i = 0; i < n; i++)
		s->params.at[begin[found[i].param - p->params.at]++] = found[i];
	for (s->params.n = 0; s->params.n < n; s->params.n++) {
		struct placed_param *at = &s->params.at[s->params.n];
		at->offset = param_bytes(s, at->space, part_of_space(at));
	}
}

/* A GPU puts weights into tiles itself: the kernel, and the longest row. */
static void add_tile_kernel(struct lower *w)
{
	struct schedule *s = w->s;
	struct kernel tile = kernel_of(KERNEL_TILE);
	for (int i = 0; i < s->params.n; i++) {
		const struct placed_param *p = &s->params.at[i];
		int64_t k = 1;
		for (int a = 0; p->pack.swizzled && a < p->n_axes; a++)
			k *= p->axes[a].role == DR_WEIGHT_K ? p->axes[a].local : 1;
		int64_t row = p->pack.swizzled ? round_up(k, p->pack.k_run) * dtype_bytes(p->param->dtype) : 0;
		s->tile_row = row > s->tile_row ? row : s->tile_row;
	}
	tile.tile.pack = target_packing(w->target, DTYPE_F32, DTYPE_F32); /* words */
	s->tile_kernel = s->tile_row ? lower_kernel(w, &tile) : -1;
}

bool place_params(struct schedule *s, struct local *l, const struct target *t, struct sink *sink, struct arena *arena)
{
	struct lower w = {.l = l, .arena = arena, .sink = sink, .s = s, .target = t};
	for (int others = 0; others < 2; others++) /* tiles first: embeddings look for them */
		for (w.phase = 0; w.phase < PHASES; w.phase++) {
			w.ph = &l->phase[w.phase];
			if (others)
				add_others(&w);
			else
				add_contractions(&w);
		}
	set_offsets(&w);
	add_tile_kernel(&w);
	return !w.failed;
}

/* ---- look-up --------------------------------------------------------------------------------- */
const struct placed_param *lower_placed(struct lower *w, int param, int user)
{
	struct placed_param want = for_reader(w, param, user);
	const struct placed_param *p = find(w->s, &want);
	if (!p)
		internal_error("%s is not placed for %%%d", want.param->path, user);
	return p;
}

const struct phys *lower_param(struct lower *w, int param, int user)
{
	const struct placed_param *placed = lower_placed(w, param, user);
	struct phys *p = arena_new(w->arena, struct phys);
	*p = w->phys[param];
	for (int i = 0; i < placed->n_axes; i++)
		p->dim[i] = (struct dim){placed->axes[i].axis, placed->axes[i].local};
	phys_make_contiguous(p);
	phys_set_address(p, placed->space, placed->offset);
	return p;
}
