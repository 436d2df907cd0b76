/* Experts: routing, the exchange of tokens in rounds of fixed capacity, and back (docs/language.md, Layouts and
 * collectives).
 *
 * dispatch sorts the assignments by destination and expert. Each round packs at most C for every destination, exchanges
 * them if experts and tokens share mesh axes, and sorts what arrived by expert. combine undoes this and adds.
 * Everything between the two runs once per round. */
#include <math.h>
#include <string.h>
#include "lower.h"

static struct argument arg_const(int64_t v) { return arg_number(number_const(v)); }
static struct argument arg_round(void) { return arg_number((struct number){NUMBER_EXCHANGE_ROUND, 1, 1, 0}); }

void lower_route(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	int bias = v->n_args > 1 ? v->args[1] : -1;
	const struct phys score = *lower_materialize_contiguous(w, v->args[0], local, NULL);
	struct kernel k = kernel_of(KERNEL_ROUTE);
	k.route.experts = phys_row_elements(&score);
	k.route.top = s->route.top;
	k.route.renormalize = s->route.renormalize;
	k.route.factor = s->route.factor;
	k.route.biased = bias >= 0;
	k.route.groups = s->route.groups, k.route.top_groups = s->route.top_groups;
	k.route.by_best = s->route.by_best;
	if (score.n_dims != 1 || (score.rows.kind != NUMBER_TOKENS && score.rows.kind != NUMBER_ROWS)) {
		lower_unsupported(w, s->span, "a routing of anything but the tokens or rows of a step");
		return;
	}
	struct phys out = lower_shape(w, local);
	out.n_dims = 0;
	out.dim[out.n_dims++] = (struct dim){AXIS_CHOICE, s->route.top};
	phys_make_contiguous(&out);
	struct phys *to = lower_define(w, local, out);
	to->weight = lower_buffer(w, lower_rows_max(w, &out) * s->route.top * 4);
	/* the input that is negative for padding: WANT for rows, else SEQ */
	enum dr_input real = axis_among(s->axes, s->n_axes, w->l->program->row) ? DR_INPUT_WANT : DR_INPUT_SEQ;
	struct argument args[ROUTE_ARGUMENTS] = {
		[ROUTE_SCORE] = arg_phys(&score), [ROUTE_SEQ] = lower_input(w, real, v),
		[ROUTE_INDEX] = arg_phys(to),     [ROUTE_WEIGHT] = arg_buffer(to->weight),
		[ROUTE_M] = arg_number(out.rows), [ROUTE_WORKSPACE] = arg_workspace(),
	};
	if (bias >= 0)
		args[ROUTE_BIAS] = arg_phys(lower_materialize_f32(w, bias, local));
	lower_launch(w, local, -1, &k, args, kernel_args(&k), "route");
}

/* ---- dispatch -------------------------------------------------------------------------------- */
static struct argument expert_map(struct lower *w, const struct local_value *v, const struct expert_exchange *m)
{
	struct schedule *s = w->s;
	struct expert_map map = {.experts = m->experts, .local = m->local, .n = v->experts.all.n};
	for (int i = 0; i < v->experts.all.n; i++) {
		map.atom[i] = v->experts.all.at[i];
		map.exchange[i] = atoms_have(&v->experts.exchange, v->experts.all.at[i]);
	}
	for (int i = 0; i < s->maps.n; i++) {
		struct expert_map *have = &s->maps.at[i];
		bool same = have->experts == map.experts && have->local == map.local && have->n == map.n;
		for (int k = 0; same && k < map.n; k++)
			same = have->atom[k] == map.atom[k] && have->exchange[k] == map.exchange[k];
		if (!same)
			continue;
		return arg_placed(DR_SPACE_TABLE, have->offset);
	}
	map.offset = lower_table(w, NULL, 0);
	vec_push(w->arena, &s->maps, map);
	return arg_placed(DR_SPACE_TABLE, map.offset);
}

/* Sets a round's capacity per destination: an even share times the plan's factor, at most what all tokens could send.
 * Decode always takes that maximum, so that one round is enough. */
static void set_capacity(struct lower *w, struct expert_exchange *m, int64_t tokens, int64_t ranks)
{
	int64_t worst = tokens * (m->top < m->local ? m->top : m->local);
	double share = ceil(w->l->deploy->moe_capacity * (double)(tokens * m->top) / (double)ranks);
	m->capacity = w->phase == PHASE_DECODE || share >= (double)worst ? worst : share < 1 ? 1 : (int64_t)share;
	m->one_round = m->capacity == worst;
	m->rows = m->capacity > INT32_MAX / m->dests ? INT32_MAX : m->dests * m->capacity;
	if (m->rows == INT32_MAX)
		lower_too_large(w, "the rows of an exchange with experts", (double)m->dests * (double)m->capacity, INT32_MAX);
}

static void emit_all_to_all(struct lower *w, int local, int exchange, int from, int to, int64_t block, enum dtype dtype,
                            const char *what)
{
	const struct expert_exchange *m = &w->exchanges.at[exchange];
	int c = lower_add_collective(w, DR_ALL_TO_ALL, m->group, dtype, number_const(m->dests),
	                             m->capacity * block * dtype_bytes(dtype), local, what);
	struct instr i = {.kind = INSTR_COLLECTIVE,
	                  .collective = {.index = c,
	                                 .src = arg_buffer(from),
	                                 .dst = arg_buffer(to),
	                                 .outer = number_const(1),
	                                 .block = number_const(m->capacity * block),
	                                 .dst_block = number_const(m->capacity * block)}};
	lower_emit(w, local, exchange, i, what);
}

static int64_t row_bytes(const struct phys *x) { return phys_row_elements(x) * dtype_bytes(x->dtype); }

/* Begins an exchange: sorts the assignments of the routing by destination and expert. */
static void begin_exchange(struct lower *w, int exchange, const struct phys *index, const struct phys *x)
{
	struct expert_exchange *m = &w->exchanges.at[exchange];
	const struct local_value *v = &w->ph->values.at[m->dispatch];
	int64_t tokens = lower_rows_max(w, x);
	m->experts = w->l->program->axes.at[lower_source(w, m->dispatch)->axes[0]].extent;
	m->dests = atoms_size(w->l, &v->experts.exchange);
	m->top = lower_source(w, v->args[1])->route.top;
	m->tokens = x->rows;
	m->local = m->experts / atoms_size(w->l, &v->experts.all);
	m->group = lower_group(w, &v->experts.exchange);
	set_capacity(w, m, tokens, atoms_size(w->l, &v->experts.all));
	m->map = expert_map(w, v, m);
	m->order = lower_buffer(w, tokens * m->top * 4);
	m->inverse = lower_buffer(w, tokens * m->top * 4);
	m->start = lower_buffer(w, (m->dests * m->local + 1) * 4);
	m->meta = lower_buffer(w, m->rows * 4);
	m->offsets = lower_buffer(w, (m->local + 1) * 4);
	struct kernel k = kernel_of(KERNEL_ASSIGN);
	k.assign.top = m->top, k.assign.experts = m->experts, k.assign.keys = m->dests * m->local;
	struct argument args[6] = {arg_phys(index),      m->map,
	                           arg_buffer(m->order), arg_buffer(m->inverse),
	                           arg_buffer(m->start), arg_number(x->rows)};
	lower_launch(w, m->dispatch, -1, &k, args, 6, "dispatch: assign");
}

/* Packs a round's rows by destination, into a buffer that it returns. */
static int pack(struct lower *w, int local, int exchange, const struct phys *x)
{
	const struct expert_exchange *m = &w->exchanges.at[exchange];
	int packed = lower_buffer(w, m->rows * row_bytes(x));
	struct kernel k = kernel_of(KERNEL_PACK);
	k.pack.d = phys_row_elements(x), k.pack.top = m->top, k.pack.dests = m->dests, k.pack.local = m->local;
	k.pack.dtype = x->dtype;
	struct argument args[7] = {arg_phys(x),         arg_buffer(m->order), arg_buffer(m->start),  arg_buffer(packed),
	                           arg_buffer(m->meta), arg_round(),          arg_const(m->capacity)};
	lower_launch(w, local, exchange, &k, args, 7, "dispatch: pack");
	return packed;
}

/* Says which rows of a round are of which expert: on one rank they are sorted already; else `from` sorts what the other
 * ranks send. */
static void group_rows(struct lower *w, int local, int exchange)
{
	struct expert_exchange *m = &w->exchanges.at[exchange];
	if (m->dests == 1) {
		struct kernel k = kernel_of(KERNEL_OFFSETS);
		k.offsets.local = m->local;
		struct argument a[4] = {arg_buffer(m->start), arg_buffer(m->offsets), arg_round(), arg_const(m->capacity)};
		lower_launch(w, local, exchange, &k, a, 4, "dispatch: offsets");
		return;
	}
	int meta = lower_buffer(w, m->rows * 4);
	m->from = lower_buffer(w, m->rows * 4);
	emit_all_to_all(w, local, exchange, m->meta, meta, 1, DTYPE_I32, "dispatch: experts");
	struct kernel k = kernel_of(KERNEL_SORT);
	k.sort.local = m->local;
	struct argument a[4] = {arg_buffer(meta), arg_buffer(m->from), arg_buffer(m->offsets), arg_const(m->rows)};
	lower_launch(w, local, exchange, &k, a, 4, "dispatch: sort");
}

/* Moves a round's rows between the order in which they arrive and that of experts: `family` is gather or scatter. */
static void reorder(struct lower *w, int local, int exchange, enum kernel_family family, struct argument rows, int to,
                    const struct phys *like, const char *what)
{
	const struct expert_exchange *m = &w->exchanges.at[exchange];
	struct kernel k = kernel_of(family);
	k.gather.d = phys_row_elements(like);
	k.gather.dtype = like->dtype;
	struct argument count = arg_buffer(m->offsets);
	count.number = number_const(4 * m->local);
	struct argument args[GATHER_ARGUMENTS] = {rows, arg_buffer(m->from), arg_buffer(to), count, arg_const(m->rows)};
	lower_launch(w, local, exchange, &k, args, GATHER_ARGUMENTS, what);
}

/* Sends the packed rows and sorts what arrives by expert. */
static int receive(struct lower *w, int local, int exchange, int packed, const struct phys *x, bool first)
{
	int64_t d = phys_row_elements(x), rows = w->exchanges.at[exchange].rows;
	int arrived = lower_buffer(w, rows * row_bytes(x)), sorted = lower_buffer(w, rows * row_bytes(x));
	emit_all_to_all(w, local, exchange, packed, arrived, d, x->dtype, "dispatch");
	if (first)
		group_rows(w, local, exchange);
	reorder(w, local, exchange, KERNEL_GATHER, arg_buffer(arrived), sorted, x, "dispatch: gather");
	return sorted;
}

void lower_dispatch(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct phys x = *lower_materialize_contiguous(w, v->args[0], local, NULL),
					  index = *lower_materialize_contiguous(w, v->args[1], local, NULL);
	int exchange = w->exchange_of[local];
	bool first = w->exchanges.at[exchange].dispatch == local;
	if (!phys_contiguous(&x))
		internal_error("dispatch of a value with gaps");
	if (first)
		begin_exchange(w, exchange, &index, &x);
	int rows = pack(w, local, exchange, &x);
	if (w->exchanges.at[exchange].dests > 1)
		rows = receive(w, local, exchange, rows, &x, first);
	else if (first)
		group_rows(w, local, exchange);
	struct phys out = lower_shape(w, local);
	out.state = PHYS_READY;
	out.dtype = x.dtype;
	out.n_dims = 0;
	for (int i = 0; i < x.n_dims; i++)
		out.dim[out.n_dims++] = x.dim[i];
	phys_make_contiguous(&out);
	phys_set_buffer(&out, rows);
	w->phys[local] = out;
}

/* ---- combine --------------------------------------------------------------------------------- */
static int send_back(struct lower *w, int local, int exchange, const struct phys *y)
{
	const struct expert_exchange *m = &w->exchanges.at[exchange];
	int64_t d = phys_row_elements(y), bytes = m->rows * d * dtype_bytes(y->dtype);
	int unsorted = lower_buffer(w, bytes), back = lower_buffer(w, bytes);
	reorder(w, local, exchange, KERNEL_SCATTER, arg_phys(y), unsorted, y, "combine: scatter");
	emit_all_to_all(w, local, exchange, unsorted, back, d, y->dtype, "combine");
	return back;
}

/* The atoms that cut a dispatch's tokens. */
static const struct group *cut_tokens(struct lower *w, int dispatch)
{
	const struct program *p = w->l->program;
	const struct local_value *x = &w->ph->values.at[w->ph->values.at[dispatch].args[0]];
	struct atoms all = {.n = 0};
	struct group *out = arena_new(w->arena, struct group);
	for (int i = 0; i < x->n_axes; i++)
		for (int k = 0; is_token_axis(p, x->axes[i]) && k < x->layout.axis[i].n; k++)
			atoms_add(&all, x->layout.axis[i].at[k]);
	*out = (struct group){.n = all.n, .size = atoms_size(w->l, &all)};
	memcpy(out->atom, all.at, sizeof out->atom);
	return out;
}

/* Rounds a sum to its value's format. */
static void round_sum(struct lower *w, const struct rounding *r)
{
	const struct phys *to = &w->phys[r->local];
	struct kernel k = kernel_of(KERNEL_ROWS);
	k.rows.dims = k.rows.n_inputs = k.rows.n_outputs = k.rows.n_nodes = 1;
	k.rows.extent[0] = r->sum.row_stride;
	k.rows.input[0] = (struct rows_operand){.dtype = DTYPE_F32, .row_stride = r->sum.row_stride, .stride = {1}};
	k.rows.output[0] = (struct rows_operand){.dtype = to->dtype, .row_stride = to->row_stride, .stride = {1}};
	struct argument args[3] = {arg_phys(&r->sum), arg_phys(to), arg_number(to->rows)};
	lower_launch(w, r->local, -1, &k, args, 3, "combine: round");
}

/* Writes the loop over the rounds into the step. Its body is what was collected since the first dispatch. */
static void end_exchange(struct lower *w, int local, int exchange)
{
	struct expert_exchange *m = &w->exchanges.at[exchange];
	struct atoms all = w->ph->values.at[m->dispatch].experts.all;
	struct instr begin = {.kind = INSTR_ROUNDS_BEGIN,
	                      .rounds = {.group = m->one_round ? -1 : lower_group(w, &all),
	                                 .dests = (int)m->dests,
	                                 .local = (int)m->local,
	                                 .start = arg_buffer(m->start),
	                                 .capacity = m->capacity,
	                                 .tokens = cut_tokens(w, m->dispatch),
	                                 .experts = m->experts,
	                                 .top = m->top,
	                                 .rows = m->tokens}};
	struct instr end = {.kind = INSTR_ROUNDS_END};
	lower_emit(w, local, -1, begin, "rounds");
	for (int i = 0; i < m->body.n; i++)
		vec_push(w->arena, lower_instrs(w, local), m->body.at[i]);
	lower_emit(w, local, -1, end, "rounds");
	for (int i = 0; i < m->roundings.n; i++)
		round_sum(w, &m->roundings.at[i]);
}

void lower_combine(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct phys y = *lower_materialize_contiguous(w, v->args[0], local, NULL),
					  index = *lower_materialize_contiguous(w, v->args[1], local, NULL);
	int exchange = y.exchange;
	if (exchange < 0 || exchange != w->exchange_of[local])
		internal_error("%%%d combines rows that were not dispatched", local);
	struct expert_exchange *m = &w->exchanges.at[exchange];
	int rows = m->dests > 1 ? send_back(w, local, exchange, &y) : -1;
	struct kernel k = kernel_of(KERNEL_COMBINE);
	k.combine.d = phys_row_elements(&y);
	k.combine.top = m->top, k.combine.dests = m->dests, k.combine.local = m->local, k.combine.dtype = y.dtype;
	struct phys out = lower_shape(w, local);
	out.rows = index.rows;
	out.n_dims = 0;
	for (int i = 0; i < y.n_dims; i++)
		out.dim[out.n_dims++] = y.dim[i];
	phys_make_contiguous(&out);
	struct phys sum = out;
	sum.dtype = DTYPE_F32;
	if (v->dtype != DTYPE_F32) {
		phys_set_buffer(&sum, lower_buffer(w, lower_rows_max(w, &sum) * sum.row_stride * 4));
		lower_define(w, local, out);
		vec_push(w->arena, &m->roundings, ((struct rounding){local, sum}));
	} else
		sum = *lower_define(w, local, sum);
	struct argument args[10] = {rows >= 0 ? arg_buffer(rows) : arg_phys(&y),
	                            arg_phys(&index),
	                            arg_buffer(index.weight),
	                            m->map,
	                            arg_buffer(m->inverse),
	                            arg_buffer(m->start),
	                            arg_phys(&sum),
	                            arg_number(index.rows),
	                            arg_round(),
	                            arg_const(m->capacity)};
	lower_launch(w, local, exchange, &k, args, 10, "combine");
	if (--m->results == 0)
		end_exchange(w, local, exchange);
}
