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
	if (score.n_dims != 1 || (score.rows.kind != NUMBER_TOKENS && score.rows.kind != NUMBER_ROWS)) {
		lower_unsupported(w, s->span, "a routing of anything but the tokens or rows of a step");
		return;
	}
	if (k.route.experts > ROUTE_MAX_EXPERTS)
		lower_unsupported(w, s->span, "a choice among %lld experts, more than %d,", (long long)k.route.experts,
		                  ROUTE_MAX_EXPERTS);
	struct phys out = lower_shape(w, local);
	out.n_dims = 0;
	out.dim[out.n_dims++] = (struct dim){AXIS_CHOICE, s->route.top};
	phys_make_contiguous(&out);
	struct phys *to = lower_define(w, local, out);
	to->weight = lower_buffer(w, lower_rows_max(w, &out) * s->route.top * 4);
	/* the input that is negative for padding: WANT for rows, else SEQ */
	enum dr_input real = axis_among(s->axes, s->n_axes, w->l->program->row) ? DR_INPUT_WANT : DR_INPUT_SEQ;
	struct argument args[6] = {arg_phys(&score), lower_input(w, real, v), arg_phys(to), arg_buffer(to->weight),
	                           arg_number(out.rows)};
	if (bias >= 0)
		args[5] = arg_phys(lower_materialize_f32(w, bias, local));
	lower_launch(w, local, -1, &k, args, bias >= 0 ? 6 : 5, "route");
}

/* ---- dispatch -------------------------------------------------------------------------------- */
static struct argument expert_map(struct lower *w, const struct local_value *v, const struct expert_exchange *m)
{
	struct schedule *s = w->s;
	struct expert_map map = {.experts = m->experts, .local = m->local, .n = v->experts.n};
	for (int i = 0; i < v->experts.n; i++) {
		map.atom[i] = v->experts.at[i];
		map.exchange[i] = atoms_have(&v->exchange, v->experts.at[i]);
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

static void make_buffers(struct lower *w, struct expert_exchange *m, int64_t tokens)
{
	int64_t row = m->d * dtype_bytes(m->dtype);
	m->order = lower_buffer(w, tokens * m->top * 4);
	m->inverse = lower_buffer(w, tokens * m->top * 4);
	m->start = lower_buffer(w, (m->dests * m->local + 1) * 4);
	m->packed = lower_buffer(w, m->rows * row);
	m->meta = lower_buffer(w, m->rows * 4);
	m->offsets = lower_buffer(w, (m->local + 1) * 4);
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

/* Sorts by expert what the other ranks sent, into `packed`. */
static int receive(struct lower *w, int local, int exchange)
{
	struct expert_exchange *m = &w->exchanges.at[exchange];
	int64_t row = m->d * dtype_bytes(m->dtype);
	int arrived = lower_buffer(w, m->rows * row), meta = lower_buffer(w, m->rows * 4),
		sorted = lower_buffer(w, m->rows * row);
	m->from = lower_buffer(w, m->rows * 4);
	emit_all_to_all(w, local, exchange, m->packed, arrived, m->d, m->dtype, "dispatch");
	emit_all_to_all(w, local, exchange, m->meta, meta, 1, DTYPE_I32, "dispatch: experts");
	struct kernel sort = kernel_of(KERNEL_SORT), gather = kernel_of(KERNEL_GATHER);
	sort.sort.local = m->local;
	struct argument a[4] = {arg_buffer(meta), arg_buffer(m->from), arg_buffer(m->offsets), arg_const(m->rows)};
	lower_launch(w, local, exchange, &sort, a, 4, "dispatch: sort");
	gather.gather.d = m->d;
	gather.gather.dtype = m->dtype;
	struct argument count = arg_buffer(m->offsets);
	count.number = number_const(4 * m->local);
	struct argument b[GATHER_ARGUMENTS] = {arg_buffer(arrived), arg_buffer(m->from), arg_buffer(sorted), count,
	                                       arg_const(m->rows)};
	lower_launch(w, local, exchange, &gather, b, GATHER_ARGUMENTS, "dispatch: gather");
	return sorted;
}

static void pack(struct lower *w, int local, int exchange, const struct phys *x)
{
	const struct expert_exchange *m = &w->exchanges.at[exchange];
	struct kernel k = kernel_of(KERNEL_PACK);
	k.pack.d = m->d, k.pack.top = m->top, k.pack.dests = m->dests, k.pack.local = m->local, k.pack.dtype = m->dtype;
	struct argument args[7] = {arg_phys(x),         arg_buffer(m->order), arg_buffer(m->start),  arg_buffer(m->packed),
	                           arg_buffer(m->meta), arg_round(),          arg_const(m->capacity)};
	lower_launch(w, local, exchange, &k, args, 7, "dispatch: pack");
}

void lower_dispatch(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	const struct phys x = *lower_materialize_contiguous(w, v->args[0], local, NULL),
					  index = *lower_materialize_contiguous(w, v->args[1], local, NULL);
	const struct value *r = &w->l->program->values.at[w->ph->values.at[v->args[1]].source];
	if (w->exchanges.n && !w->exchanges.at[w->exchanges.n - 1].combined) {
		lower_unsupported(w, s->span, "a `dispatch` before the rows of another are combined");
		return;
	}
	struct expert_exchange m = {.experts = w->l->program->axes.at[s->axes[0]].extent,
	                            .dests = atoms_size(w->l, &v->exchange),
	                            .top = r->route.top,
	                            .dispatch = local,
	                            .d = phys_row_elements(&x),
	                            .dtype = x.dtype};
	int64_t tokens = lower_rows_max(w, &x);
	m.local = m.experts / atoms_size(w->l, &v->experts);
	m.group = lower_group(w, &v->exchange);
	set_capacity(w, &m, tokens, atoms_size(w->l, &v->experts));
	m.map = expert_map(w, v, &m);
	make_buffers(w, &m, tokens);
	vec_push(w->arena, &w->exchanges, m);
	int exchange = w->exchanges.n - 1;
	if (!phys_contiguous(&x))
		internal_error("dispatch of a value with gaps");

	struct kernel assign = kernel_of(KERNEL_ASSIGN);
	assign.assign.top = m.top, assign.assign.experts = m.experts, assign.assign.keys = m.dests * m.local;
	struct argument args[6] = {
		arg_phys(&index), m.map, arg_buffer(m.order), arg_buffer(m.inverse), arg_buffer(m.start), arg_number(x.rows)};
	lower_launch(w, local, -1, &assign, args, 6, "dispatch: assign");
	pack(w, local, exchange, &x);
	struct phys out = lower_shape(w, local);
	out.state = PHYS_READY;
	out.dtype = x.dtype;
	out.n_dims = 0;
	for (int i = 0; i < x.n_dims; i++)
		out.dim[out.n_dims++] = x.dim[i];
	phys_make_contiguous(&out);
	phys_set_buffer(&out, m.dests > 1 ? receive(w, local, exchange) : w->exchanges.at[exchange].packed);
	if (m.dests == 1) {
		struct kernel k = kernel_of(KERNEL_OFFSETS);
		k.offsets.local = m.local;
		struct argument a[4] = {arg_buffer(m.start), arg_buffer(m.offsets), arg_round(), arg_const(m.capacity)};
		lower_launch(w, local, exchange, &k, a, 4, "dispatch: offsets");
	}
	w->phys[local] = out;
}

/* ---- combine --------------------------------------------------------------------------------- */
static int send_back(struct lower *w, int local, int exchange, const struct phys *y)
{
	const struct expert_exchange *m = &w->exchanges.at[exchange];
	int64_t d = phys_row_elements(y), bytes = m->rows * d * dtype_bytes(y->dtype);
	int unsorted = lower_buffer(w, bytes), back = lower_buffer(w, bytes);
	struct kernel k = kernel_of(KERNEL_SCATTER);
	k.gather.d = d;
	k.gather.dtype = y->dtype;
	struct argument count = arg_buffer(m->offsets);
	count.number = number_const(4 * m->local);
	struct argument a[SCATTER_ARGUMENTS] = {arg_phys(y), arg_buffer(m->from), arg_buffer(unsorted), count,
	                                        arg_const(m->rows)};
	lower_launch(w, local, exchange, &k, a, SCATTER_ARGUMENTS, "combine: scatter");
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

/* Writes the loop over the rounds into the step. Its body is what was collected since dispatch. */
static void close_rounds(struct lower *w, int local, int exchange)
{
	struct expert_exchange *m = &w->exchanges.at[exchange];
	struct atoms all = w->ph->values.at[m->dispatch].experts;
	struct instr begin = {.kind = INSTR_ROUNDS_BEGIN,
	                      .rounds = {.group = m->one_round ? -1 : lower_group(w, &all),
	                                 .dests = (int)m->dests,
	                                 .local = (int)m->local,
	                                 .start = arg_buffer(m->start),
	                                 .capacity = m->capacity,
	                                 .tokens = cut_tokens(w, m->dispatch)}};
	struct instr end = {.kind = INSTR_ROUNDS_END};
	lower_emit(w, local, -1, begin, "rounds");
	for (int i = 0; i < m->body.n; i++)
		vec_push(w->arena, lower_part(w, local), m->body.at[i]);
	lower_emit(w, local, -1, end, "rounds");
}

void lower_combine(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	const struct phys y = *lower_materialize_contiguous(w, v->args[0], local, NULL),
					  index = *lower_materialize_contiguous(w, v->args[1], local, NULL);
	int exchange = y.exchange;
	if (exchange < 0 || exchange != w->exchanges.n - 1) {
		lower_unsupported(w, s->span, "combine of rows that were not dispatched just before");
		return;
	}
	if (w->exchanges.at[exchange].combined) {
		lower_unsupported(w, s->span, "a second `combine` of what was dispatched once");
		return;
	}
	w->exchanges.at[exchange].combined = true;
	const struct expert_exchange m = w->exchanges.at[exchange];
	int rows = m.dests > 1 ? send_back(w, local, exchange, &y) : -1;
	struct kernel k = kernel_of(KERNEL_COMBINE);
	k.combine.d = phys_row_elements(&y);
	k.combine.top = m.top, k.combine.dests = m.dests, k.combine.local = m.local, k.combine.dtype = y.dtype;
	struct phys sum = lower_shape(w, local);
	sum.exchange = -1;
	sum.rows = index.rows;
	sum.n_dims = 0;
	for (int i = 0; i < y.n_dims; i++)
		sum.dim[sum.n_dims++] = y.dim[i];
	phys_make_contiguous(&sum);
	bool direct = v->dtype == DTYPE_F32;
	struct phys acc = sum;
	acc.dtype = DTYPE_F32;
	if (direct)
		acc = *lower_define(w, local, acc);
	else
		phys_set_buffer(&acc, lower_buffer(w, lower_rows_max(w, &acc) * acc.row_stride * 4));
	struct argument args[10] = {rows >= 0 ? arg_buffer(rows) : arg_phys(&y),
	                            arg_phys(&index),
	                            arg_buffer(index.weight),
	                            m.map,
	                            arg_buffer(m.inverse),
	                            arg_buffer(m.start),
	                            arg_phys(&acc),
	                            arg_number(index.rows),
	                            arg_round(),
	                            arg_const(m.capacity)};
	lower_launch(w, local, exchange, &k, args, 10, "combine");
	close_rounds(w, local, exchange);
	if (direct)
		return;
	struct kernel cast = kernel_of(KERNEL_ROWS);
	cast.rows.dims = cast.rows.n_inputs = cast.rows.n_outputs = cast.rows.n_nodes = 1;
	cast.rows.extent[0] = acc.row_stride;
	cast.rows.input[0] = (struct rows_operand){.dtype = DTYPE_F32, .row_stride = acc.row_stride, .stride = {1}};
	cast.rows.output[0] = (struct rows_operand){.dtype = v->dtype, .row_stride = acc.row_stride, .stride = {1}};
	const struct phys *to = lower_define(w, local, sum);
	struct argument a[3] = {arg_phys(&acc), arg_phys(to), arg_number(index.rows)};
	lower_launch(w, local, -1, &cast, a, 3, "combine: round");
}
