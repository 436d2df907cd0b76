/* The operators of a step of training, one at a time, forward and backward. */
#include <math.h>
#include <string.h>
#include "training_time.h"

/* ---- groups ---------------------------------------------------------------------------------- */

double training_group(const struct training *t, uint64_t atoms)
{
	double ranks = 1;
	for (int i = 0; i < t->local->atoms.n; i++)
		if (atoms >> i & 1)
			ranks *= (double)t->local->atoms.at[i].size;
	return ranks;
}

void training_members(const struct training *t, uint64_t atoms, double *members)
{
	const struct atom *list[64];
	int n = 0;
	for (int i = 0; i < t->local->atoms.n; i++)
		if (atoms >> i & 1)
			list[n++] = &t->local->atoms.at[i];
	timing_members(&t->deploy->machine, list, n, members);
}

/* ---- one part of the model -------------------------------------------------------------------- */

struct costing {
	const struct training *t;
	struct timing *timing;
	const struct training_pending *pending;
	int body, part;
	struct training_cost cost;
};

static const struct local_value *at_of(const struct costing *c, int at) { return &c->t->forward->values.at[at]; }

static bool is_here(const struct training *t, int at, int body, int part)
{
	const struct local_value *v = &t->forward->values.at[at];
	return body >= 0 ? part_is_loop(v->part) && v->body == body : v->part == part;
}

static void add_kernel(struct costing *c, int at, double forward, double backward, double launches)
{
	c->cost.forward += forward;
	c->cost.backward += backward;
	c->cost.launches += launches;
	if (c->t->again[at])
		c->cost.again += forward, c->cost.launches_again += launches;
}

static double bytes_of(enum dtype t) { return dtype_millibits(t) / 8000.0; }

/* ---- products --------------------------------------------------------------------------------- */

/* y[m, n] = x[m, k] w[k, n], `batch` of them; experts > 0: rows of so many experts, each with a weight of its own, of
 * which `hit` have a row. */
struct product_sizes {
	int x, w; /* operands */
	double m, n, k, batch, experts, hit;
};

static bool has_axis(const struct local_value *v, int axis) { return axis_among(v->axes, v->n_axes, axis); }

static struct product_sizes sizes_of(const struct training *t, int at)
{
	const struct program *p = t->local->program;
	const struct local_value *out = &t->forward->values.at[at];
	bool first = training_has_tokens(t, out->args[0]);
	struct product_sizes s = {out->args[!first], out->args[first], 1, 1, 1, 1, 0, 0};
	const struct local_value *x = &t->forward->values.at[s.x], *w = &t->forward->values.at[s.w];
	int slot = training_slot(p, out), expert = slot >= 0 ? p->axes.at[slot].of : -1;
	for (int i = 0; i < w->n_axes; i++) {
		double extent = p->axes.at[w->axes[i]].extent ? (double)axis_local(t->local, w, i) : 1;
		bool in_x = has_axis(x, w->axes[i]), in_out = has_axis(out, w->axes[i]);
		if (w->axes[i] == expert)
			s.experts = extent;
		else
			*(!in_x ? &s.n : in_out ? &s.batch : &s.k) *= extent;
	}
	s.m = training_elements(t, out) / (s.n * s.batch);
	struct expert_split split;
	struct balance balance = training_balance(t, out, &split);
	s.hit = balances_even(t->balances) ? s.experts : fmin(balance.hit, s.experts);
	return s;
}

/* The format that a weight is stored in. */
static enum dtype weight_format(const struct training *t, int at)
{
	while (!training_is(t, at, OP_PARAM) && t->forward->values.at[at].n_args && t->forward->values.at[at].args[0] >= 0)
		at = t->forward->values.at[at].args[0];
	if (!training_is(t, at, OP_PARAM))
		return t->forward->values.at[at].dtype;
	return t->local->program->params.at[training_source(t, at)->param].dtype;
}

static struct kernel_work work_of(double m, double n, double k, double batch, double experts, enum dtype x,
                                  enum dtype w)
{
	return (struct kernel_work){.kind = experts > 0 ? WORK_GROUPED : WORK_PRODUCT,
	                            .product = {.rows = (int64_t)ceil(m),
	                                        .n = (int64_t)n,
	                                        .k = (int64_t)k,
	                                        .batch = (int64_t)batch,
	                                        .groups = experts > 0 ? (int64_t)experts : 1,
	                                        .activations = x,
	                                        .weights = w}};
}

static double product(struct costing *c, double m, double n, double k, double batch, enum dtype x, enum dtype w)
{
	struct kernel_work work = work_of(m, n, k, batch, 0, x, w);
	double bytes = batch * (m * k * bytes_of(x) + n * k * bytes_of(w) + 2 * m * n);
	return time_of(timing_product(c->timing, &work, 2 * m * n * k * batch, bytes));
}

static double grouped(struct costing *c, double m, double n, double k, double experts, double hit, enum dtype x,
                      enum dtype w)
{
	struct kernel_work work = work_of(m, n, k, 1, experts, x, w);
	return time_of(timing_grouped(c->timing, &work, hit, 2 * m * n * k,
	                              m * k * bytes_of(x) + hit * n * k * bytes_of(w) + 2 * m * n));
}

/* An engine that fuses products of one operand runs them as the first of them. */
static bool joins(const struct costing *c, int at, int first)
{
	const struct engine *e = c->timing->engine;
	struct product_sizes a = sizes_of(c->t, at), b = sizes_of(c->t, first);
	struct kernel_work one = work_of(a.m, a.n, a.k, a.batch, a.experts, DTYPE_BF16, weight_format(c->t, a.w));
	struct kernel_work other = work_of(b.m, b.n, b.k, b.batch, b.experts, DTYPE_BF16, weight_format(c->t, b.w));
	return e && e->fused_products && training_root(c->t, a.x) == training_root(c->t, b.x)
	       && c->t->again[at] == c->t->again[first] && timing_joined(&one, &other);
}

static bool is_product(const struct costing *c, int at)
{
	return is_here(c->t, at, c->body, c->part) && training_is(c->t, at, OP_CONTRACT)
	       && at_of(c, at)->part != PART_EVERY;
}

/* The product, its gradient of x and that of w, which is added to what other microbatches left, in the gradients'
 * format. With a format of products, operands are cast on the way back too. */
static void add_product(struct costing *c, int at)
{
	struct product_sizes s = sizes_of(c->t, at);
	for (int i = 0; i < at; i++)
		if (is_product(c, i) && joins(c, at, i))
			return;
	for (int i = at + 1; i < c->t->forward->values.n; i++)
		if (is_product(c, i) && joins(c, i, at))
			s.n += sizes_of(c->t, i).n;
	const struct workload *work = &c->t->deploy->work;
	enum dtype x = at_of(c, s.x)->dtype, w = weight_format(c->t, s.w);
	bool casts = work->has_products && c->body >= 0;
	if (casts)
		x = w = work->products;
	double sum = time_of(timing_stream(c->timing,
	                                   s.batch * (s.experts > 0 ? s.experts : 1) * s.n * s.k
	                                       * (2 * bytes_of(work->optimizer.gradient) - 2) / 2,
	                                   false));
	double forward, back;
	if (s.experts > 0) {
		forward = grouped(c, s.m, s.n, s.k, s.experts, s.hit, x, w);
		back = 2 * forward + sum;
	} else {
		forward = product(c, s.m, s.n, s.k, s.batch, x, w);
		back = product(c, s.m, s.k, s.n, s.batch, x, w) + product(c, s.n, s.k, s.m, s.batch, x, x) + sum;
	}
	if (casts)
		back += time_of(timing_pass(c->timing, 4 * s.m * s.n, false))
		        + time_of(timing_pass(c->timing, 2 * s.m * s.k, false));
	c->cost.products += forward;
	c->cost.products_back += back;
	add_kernel(c, at, forward, back, 1);
}

/* ---- attention -------------------------------------------------------------------------------- */

static double local_extent(const struct training *t, const struct local_value *v, const int *axes, int n)
{
	double product = 1;
	for (int i = 0; i < v->n_axes; i++)
		if (axis_among(axes, n, v->axes[i]) && t->local->program->axes.at[v->axes[i]].extent)
			product *= (double)axis_local(t->local, v, i);
	return product;
}

/* Products and a softmax with kernels of their own, and perhaps dropout of the probabilities. */
static bool is_unfused(const struct costing *c)
{
	const struct engine *e = c->timing->engine;
	return e && e->library && !strcmp(e->library, "unfused");
}

static void add_unfused(struct costing *c, int at, const struct attention *a, double share)
{
	enum dtype x = at_of(c, at)->dtype;
	double rows = share * a->sequences * a->heads * a->queries, scores = rows * a->context;
	double twice = product(c, rows, a->context, a->d, 1, x, x) + product(c, rows, a->w, a->context, 1, x, x);
	bool drops = c->timing->engine->dropout;
	double drop = drops ? time_of(timing_pass(c->timing, 5 * scores, false)) : 0;
	add_kernel(c, at, twice + time_of(timing_pass(c->timing, 4 * scores, true)) + drop,
	           2 * twice + time_of(timing_pass(c->timing, 6 * scores, true)) + drop, drops ? 7 : 6);
}

static void add_attention(struct costing *c, int at)
{
	const struct training *t = c->t;
	const struct local_value *v = at_of(c, at), *q = at_of(c, v->args[0]), *k = at_of(c, v->args[1]);
	const struct value *s = training_source(t, at);
	double heads = local_extent(t, v, s->attend.h, s->attend.n_h) * local_extent(t, v, s->attend.r, s->attend.n_r);
	double wide = local_extent(t, v, &s->attend.w, 1), length = (double)t->deploy->work.seq_hi;
	double tokens = training_elements(t, v) / (heads * wide), sequences = ceil(tokens / length);
	struct attention a = {.sequences = sequences,
	                      .queries = length,
	                      .heads = heads,
	                      .kv_heads = local_extent(t, k, s->attend.h, s->attend.n_h),
	                      .d = local_extent(t, q, &s->attend.dot, 1),
	                      .w = wide,
	                      .context = length,
	                      .window = (double)attend_reach(s),
	                      .cache_bytes = bytes_of(k->dtype),
	                      .causal = s->attend.causal};
	double share = tokens / (sequences * length); /* of each sequence's queries */
	if (is_unfused(c))
		add_unfused(c, at, &a, share);
	else
		add_kernel(c, at, share * time_of(timing_attention(c->timing, &a)),
		           share * timing_attention_back(c->timing, &a), 2);
}

/* ---- collectives ------------------------------------------------------------------------------ */

static double collective(struct costing *c, enum dr_collective_kind kind, uint64_t atoms, double size)
{
	training_members(c->t, atoms, c->timing->members);
	return training_group(c->t, atoms) > 1 ? time_of(timing_collective(c->timing, kind, c->timing->members, size)) : 0;
}

static void add_messages(struct costing *c, int at, uint64_t atoms, double forward, double backward)
{
	double ranks = training_group(c->t, atoms);
	c->cost.messages += forward;
	c->cost.messages_back += backward;
	c->cost.launches += forward > 0;
	c->cost.longest_group = ranks > c->cost.longest_group ? ranks : c->cost.longest_group;
	if (c->t->again[at])
		c->cost.messages_again += forward, c->cost.launches_again += forward > 0;
}

/* Weights that are stored in parts are gathered before each pass, and their gradients are scattered. */
static void add_gather(struct costing *c, int at, uint64_t atoms)
{
	double elements = training_elements(c->t, at_of(c, at));
	c->cost.gathers += collective(c, DR_ALL_GATHER, atoms, training_gathered(c->t, at));
	c->cost.scatters +=
		collective(c, DR_REDUCE_SCATTER, atoms, elements * bytes_of(c->t->deploy->work.optimizer.gradient));
}

static void add_move(struct costing *c, int at)
{
	const struct local_value *v = at_of(c, at);
	uint64_t atoms = training_move_atoms(v), sum = c->pending->of[at] & atoms;
	double out = training_value_bytes(c->t, at), in = training_value_bytes(c->t, v->args[0]);
	if (!training_has_tokens(c->t, at)) {
		if (v->op == LOCAL_ALL_GATHER)
			add_gather(c, at, atoms);
		return;
	}
	switch (v->op) {
	case LOCAL_ALL_GATHER:
		add_messages(c, at, atoms, collective(c, DR_ALL_GATHER, atoms, out),
		             sum ? collective(c, DR_REDUCE_SCATTER, atoms, out) : 0);
		break;
	case LOCAL_REDUCE_SCATTER:
		add_messages(c, at, atoms, collective(c, DR_REDUCE_SCATTER, atoms, in),
		             collective(c, DR_ALL_GATHER, atoms, in));
		break;
	case LOCAL_ALL_REDUCE: add_messages(c, at, atoms, collective(c, DR_ALL_REDUCE, atoms, out), 0); break;
	case LOCAL_ALL_TO_ALL:
		add_messages(c, at, atoms, collective(c, DR_ALL_TO_ALL, atoms, in), collective(c, DR_ALL_TO_ALL, atoms, out));
		break;
	case LOCAL_SLICE: add_messages(c, at, atoms, 0, collective(c, DR_ALL_GATHER, atoms, in)); break;
	default:          break;
	}
}

/* A gradient that is pending where the operator before it needs it. */
static void add_resolved(struct costing *c, int at)
{
	uint64_t atoms = c->pending->resolved[at];
	if (atoms && training_has_tokens(c->t, at) && training_source(c->t, at)->type == TYPE_FLOAT)
		add_messages(c, at, atoms, 0, collective(c, DR_ALL_REDUCE, atoms, training_value_bytes(c->t, at)));
}

/* Rows to the experts and back: copies, and exchanges over the ranks that tokens and experts share. The busiest rank
 * gets more of them than the others send it on average. */
static void add_exchange(struct costing *c, int at)
{
	const struct local_value *v = at_of(c, at), *tokens = training_is(c->t, at, OP_DISPATCH) ? at_of(c, v->args[0]) : v;
	uint64_t atoms = 0;
	for (int i = 0; i < v->experts.exchange.n; i++)
		atoms |= (uint64_t)1 << v->experts.exchange.at[i];
	double copy =
		time_of(timing_pass(c->timing, training_value_bytes(c->t, at) + training_value_bytes(c->t, v->args[0]), false));
	add_kernel(c, at, copy, copy, 2);
	const struct program *p = c->t->local->program;
	const struct value *route = &p->values.at[training_source(c->t, v->args[1])->routing];
	double width = 1;
	for (int i = 0; i < tokens->n_axes; i++)
		if (p->axes.at[tokens->axes[i]].extent)
			width *= (double)axis_local(c->t->local, tokens, i);
	if (training_group(c->t, atoms) <= 1)
		return;
	training_members(c->t, atoms, c->timing->members);
	struct expert_split split;
	const struct local_value *rows = tokens == v ? at_of(c, v->args[0]) : v;
	double sent = training_elements(c->t, tokens) / width * training_balance(c->t, rows, &split).busiest;
	double seconds = time_of(timing_exchange(c->timing, c->timing->members, sent, (double)route->route.top,
	                                         width * bytes_of(tokens->dtype)));
	c->cost.exchanges += seconds;
	c->cost.exchanges_back += seconds;
	c->cost.launches += 1;
	if (c->t->again[at])
		c->cost.messages_again += seconds;
}

/* ---- the rest --------------------------------------------------------------------------------- */

/* Two passes over the logits forward, one backward, and three numbers of a token over the ranks that split them. */
static void add_loss(struct costing *c, int at)
{
	const struct local_value *v = at_of(c, at);
	double elements = training_elements(c->t, v), vocab = 1;
	uint64_t atoms = 0;
	for (int i = 0; i < v->n_axes; i++)
		if (c->t->local->program->axes.at[v->axes[i]].extent) {
			vocab *= (double)axis_local(c->t->local, v, i);
			for (int k = 0; k < v->layout.axis[i].n; k++)
				atoms |= (uint64_t)1 << v->layout.axis[i].at[k];
		}
	add_kernel(c, at,
	           time_of(timing_pass(c->timing, 6 * elements, false))
	               + time_of(timing_pass(c->timing, 4 * elements, false)),
	           time_of(timing_pass(c->timing, 6 * elements, false)), 2);
	add_messages(c, at, atoms, 3 * collective(c, DR_ALL_REDUCE, atoms, 4 * elements / vocab), 0);
}

static void add_lookup(struct costing *c, int at)
{
	double bytes = 2 * training_value_bytes(c->t, at);
	add_kernel(c, at, time_of(timing_pass(c->timing, bytes, false)), time_of(timing_pass(c->timing, 2 * bytes, false)),
	           1);
}

/* Counts and orders are small: what they take is the host's time to start them. */
static void add_route(struct costing *c, int at)
{
	add_lookup(c, at);
	c->cost.launches += c->timing->engine ? c->timing->engine->route_launches : 0;
}

static void add_value(struct costing *c, int at)
{
	const struct local_value *v = at_of(c, at);
	if (local_is_move(v))
		add_move(c, at);
	else if (is_product(c, at))
		add_product(c, at);
	else if (training_is(c->t, at, OP_ATTEND))
		add_attention(c, at);
	else if (training_is(c->t, at, OP_EMBED))
		add_lookup(c, at);
	else if (training_is(c->t, at, OP_ROUTE))
		add_route(c, at);
	else if (training_is(c->t, at, OP_DISPATCH) || training_is(c->t, at, OP_COMBINE))
		add_exchange(c, at);
	add_resolved(c, at);
}

struct training_cost training_cost_of(const struct training *t, struct timing *timing,
                                      const struct training_pending *pending, int body, int part)
{
	struct costing c = {t, timing, pending, body, part, {.forward = 0}};
	const struct program *p = t->local->program;
	struct training_passes passes = training_find_passes(t);
	for (int i = 0; i < t->forward->values.n; i++)
		if (is_here(t, i, body, part))
			add_value(&c, i);
	for (int i = 0; i < passes.n; i++) {
		const struct training_pass *pass = &passes.at[i];
		if (is_here(t, pass->value, body, part))
			add_kernel(&c, pass->value, time_of(timing_pass(timing, pass->bytes, pass->reduces)),
			           time_of(timing_pass(timing, 2 * pass->bytes, pass->reduces)), 1);
	}
	for (int i = 0; i < p->outputs.n; i++) {
		int at = t->forward->of_program[p->outputs.at[i].value];
		if (at >= 0 && is_here(t, at, body, part))
			add_loss(&c, at);
	}
	return c.cost;
}

/* ---- operations of the model ------------------------------------------------------------------ */

/* Operations of a product or an attention over the sequences of a whole step, on all ranks together. Attention counts
 * all pairs of a sequence's positions, or those of a window, as published figures do. */
static double operations_of(const struct training *t, int at)
{
	const struct program *p = t->local->program;
	const struct value *s = training_source(t, at);
	double tokens = (double)t->deploy->work.batch * (double)t->deploy->work.seq_hi, n = 2 * tokens;
	int slot = training_slot(p, &t->forward->values.at[at]), expert = slot >= 0 ? p->axes.at[slot].of : -1;
	if (s->op == OP_ATTEND) {
		double seen = (double)t->deploy->work.seq_hi, reach = (double)attend_reach(s), heads = 1;
		for (int i = 0; i < s->n_axes; i++)
			if (s->axes[i] != s->attend.w && p->axes.at[s->axes[i]].extent)
				heads *= (double)p->axes.at[s->axes[i]].extent;
		return n * (reach > 0 && reach < seen ? reach : seen) * heads
		       * (double)(p->axes.at[s->attend.dot].extent + p->axes.at[s->attend.w].extent);
	}
	for (int i = 0; i < s->n_axes + s->reduce.n_over; i++) {
		int axis = i < s->n_axes ? s->axes[i] : s->reduce.over[i - s->n_axes];
		if (axis != expert && p->axes.at[axis].extent)
			n *= (double)p->axes.at[axis].extent;
	}
	return slot >= 0 && s->routing >= 0 ? n * (double)p->values.at[s->routing].route.top : n;
}

double training_peak_seconds(const struct training *t, struct timing *timing, int body, int part, bool again)
{
	const double *peak = timing->machine->device.peak;
	double seconds = 0;
	for (int i = 0; i < t->forward->values.n; i++) {
		bool counts = training_is(t, i, OP_CONTRACT) || training_is(t, i, OP_ATTEND);
		if (!counts || !is_here(t, i, body, part) || (again && !t->again[i]) || !training_has_tokens(t, i))
			continue;
		bool product = training_is(t, i, OP_CONTRACT);
		enum dtype x = product ? t->forward->values.at[sizes_of(t, i).x].dtype : DTYPE_BF16;
		if (product && t->deploy->work.has_products && body >= 0)
			x = t->deploy->work.products;
		seconds += operations_of(t, i) / (product ? peak[x] : timing->silicon.attention_peak);
	}
	return seconds;
}
