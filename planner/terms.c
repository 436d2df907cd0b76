/* Instructions as terms: which function of time.h gives the seconds of each, and with what sizes. */
#include "terms.h"
#include <string.h>
#include "../sema/sema.h"

const char *term_kind_name(enum term_kind kind)
{
	static const char *const names[TERM_KINDS] = {
		[TERM_ROWS] = "passes over rows",          [TERM_PRODUCT] = "products",
		[TERM_EXPERTS] = "products of experts",    [TERM_ATTENTION] = "attention",
		[TERM_COLLECTIVE] = "collectives",         [TERM_EXCHANGE] = "exchanges of experts",
		[TERM_MESSAGE] = "messages between stages"};
	return names[kind];
}

/* ---- what is known ---------------------------------------------------------------------------- */

static void lack(struct timing *t, const char *what, const char *of)
{
	if (!t->lacks)
		t->lacks = arena_printf(t->arena, "%s of %s", what, of ? of : "the device");
}

/* Times without a calibration are possible with the efficiency that the spec states. */
static bool stated(const struct timing *t)
{
	const struct accelerator *d = &t->machine->device;
	return !t->calibration && figure_known(d->matmul_efficiency) && figure_known(d->memory_efficiency);
}

static const struct fit_attention *attention_by(const struct calibration *c, const char *library)
{
	for (int i = 0; c && i < c->attention.n; i++)
		if (!library || !strcmp(c->attention.at[i].library, library))
			return &c->attention.at[i];
	return c && c->attention.n ? &c->attention.at[0] : NULL;
}

struct timing timing_of(const struct schedule *s, struct arena *arena)
{
	const struct deploy *d = s->deploy;
	const struct accelerator *a = &d->machine.device;
	struct timing t = {.arena = arena,
	                   .schedule = s,
	                   .machine = &d->machine,
	                   .engine = d->engine,
	                   .silicon = {.bandwidth = a->bandwidth, .multiprocessors = a->multiprocessors},
	                   .calibration = a->calibration,
	                   .index = arena_array(arena, int64_t, s->groups.n + 1),
	                   .members = arena_array(arena, double, d->machine.levels.n + 1)};
	t.silicon.attention_peak = figure_known(a->peak[DTYPE_BF16]) ? a->peak[DTYPE_BF16] : a->peak[DTYPE_F16];
	t.attention = attention_by(t.calibration, t.engine ? t.engine->library : NULL);
	if (!figure_known(a->bandwidth))
		lack(&t, "no bandwidth", a->name);
	if (!t.calibration && !stated(&t))
		lack(&t, "neither a calibration nor an `efficiency`", a->name);
	if (t.calibration && !figure_known(a->multiprocessors))
		lack(&t, "no `sms`", a->name);
	return t;
}

/* ---- passes ----------------------------------------------------------------------------------- */

static double pass_seconds(const struct timing *t, double bytes, bool reduces)
{
	if (t->lacks)
		return ABSENT;
	return t->calibration ? time_rows(&t->silicon, &t->calibration->rows, bytes, reduces)
	                      : bytes / (t->silicon.bandwidth * t->machine->device.memory_efficiency);
}

/* ---- products --------------------------------------------------------------------------------- */

static double bytes_of(enum dtype t) { return dtype_millibits(t) / 8000.0; }

/* What multiplies x with w: the device's units for x, or, for a format that is only stored, for f16 or bf16. */
static double peak_of(struct timing *t, enum dtype x)
{
	const struct accelerator *d = &t->machine->device;
	if (!figure_known(d->peak[x]))
		lack(t, arena_printf(t->arena, "no peak in %s", dtype_name(x)), d->name);
	return d->peak[x];
}

static enum dtype as_measured(enum dtype t) { return t == DTYPE_F16 ? DTYPE_BF16 : t; }

/* How far a fit of other formats is from those wanted; 0: it is theirs. f16 and bf16 run on the same units. */
static double distance(enum dtype weights, enum dtype activations, enum dtype w, enum dtype x)
{
	if (as_measured(weights) == as_measured(w) && as_measured(activations) == as_measured(x))
		return 0;
	double apart = bytes_of(weights) - bytes_of(w), along = bytes_of(activations) - bytes_of(x);
	return 1 + (apart < 0 ? -apart : apart) + 2 * (along < 0 ? -along : along);
}

static const struct fit_product *product_fit(struct timing *t, enum dtype w, enum dtype x)
{
	const struct fit_product *best = NULL;
	double least = 0;
	for (int i = 0; i < t->calibration->products.n; i++) {
		const struct fit_product *f = &t->calibration->products.at[i];
		double apart = distance(f->weights, f->activations, w, x);
		if (!best || apart < least)
			best = f, least = apart;
	}
	if (!best)
		lack(t, "no calibration of products", t->machine->device.name);
	t->borrowed |= least > 0;
	return best;
}

static const struct fit_grouped *grouped_fit(struct timing *t, enum dtype w, enum dtype x)
{
	const struct fit_grouped *best = NULL;
	double least = 0;
	for (int i = 0; i < t->calibration->grouped.n; i++) {
		const struct fit_grouped *f = &t->calibration->grouped.at[i];
		double apart = distance(f->weights, f->activations, w, x);
		if (!best || apart < least)
			best = f, least = apart;
	}
	if (!best)
		lack(t, "no calibration of experts' products", t->machine->device.name);
	t->borrowed |= least > 0;
	return best;
}

/* Seconds by the spec's own efficiency. */
static double stated_seconds(const struct timing *t, double operations, double peak, double bytes)
{
	const struct accelerator *d = &t->machine->device;
	double compute = operations / (peak * d->matmul_efficiency), memory = bytes / (d->bandwidth * d->memory_efficiency);
	return compute > memory ? compute : memory;
}

/* A batch of products reads as many weights, so it is one with as many more outputs. */
static double product_seconds(struct timing *t, const struct kernel_work *w, double operations, double bytes)
{
	double peak = peak_of(t, w->product.activations);
	if (t->lacks)
		return ABSENT;
	if (!t->calibration)
		return stated_seconds(t, operations, peak, bytes);
	const struct fit_product *fit = product_fit(t, w->product.weights, w->product.activations);
	if (t->lacks)
		return ABSENT;
	struct product p = {.m = (double)w->product.rows,
	                    .n = (double)(w->product.n * w->product.batch),
	                    .k = (double)w->product.k,
	                    .weight_bytes = bytes_of(w->product.weights),
	                    .activation_bytes = bytes_of(w->product.activations),
	                    .peak = peak};
	bool cast_before = fit->casts && t->engine && t->engine->fused_cast;
	return cast_before ? time_product_cast_before(&t->silicon, fit, product_fit(t, DTYPE_BF16, DTYPE_BF16), &p)
	                   : time_product(&t->silicon, fit, &p);
}

/* The launch of a fit is that of an expert's two products together. */
static double grouped_seconds(struct timing *t, const struct kernel_work *w, double hit, double operations,
                              double bytes)
{
	double peak = peak_of(t, w->product.activations);
	if (t->lacks)
		return ABSENT;
	if (!t->calibration)
		return stated_seconds(t, operations, peak, bytes);
	const struct fit_grouped *fit = grouped_fit(t, w->product.weights, w->product.activations);
	if (t->lacks)
		return ABSENT;
	struct grouped g = {.rows = (double)w->product.rows,
	                    .hit = hit,
	                    .n = (double)w->product.n,
	                    .k = (double)w->product.k,
	                    .weight_bytes = bytes_of(w->product.weights),
	                    .activation_bytes = bytes_of(w->product.activations),
	                    .peak = peak};
	return time_grouped(&t->silicon, fit, &g) + fit->launch / 2;
}

/* ---- attention -------------------------------------------------------------------------------- */

/* The mean number of positions that `queries` queries see, of which the last sees `context` and, with `causal`, each
 * one fewer than the next; none sees more than `most`, if that is not 0. */
static double mean_seen(double queries, double context, bool causal, double most)
{
	double first = causal ? context - queries + 1 : context;
	if (most <= 0 || context <= most)
		return (first + context) / 2;
	if (!causal || first >= most)
		return most;
	double below = most - first; /* queries that see fewer than `most` */
	return (below * (first + most - 1) / 2 + (queries - below) * most) / queries;
}

static struct attention attention_of(const struct kernel_work *w, const struct step_load *load)
{
	double queries = load->tokens / load->sequences;
	struct attention a = {.sequences = (double)w->attention.rows / queries,
	                      .queries = queries,
	                      .heads = (double)w->attention.heads,
	                      .kv_heads = (double)w->attention.kv_heads,
	                      .d = (double)w->attention.d,
	                      .w = (double)w->attention.w,
	                      .context = load->context < queries ? queries : load->context,
	                      .window = (double)w->attention.seen,
	                      .cache_bytes = bytes_of(w->attention.cache),
	                      .causal = w->attention.causal,
	                      .latent = w->attention.latent};
	return a;
}

static double attention_operations(const struct attention *a)
{
	return 2 * a->sequences * a->queries * a->heads * (a->d + a->w)
	       * mean_seen(a->queries, a->context, a->causal, a->window);
}

/* Bytes of the cache, read once for each sequence. Queries with a window see its positions and those between them. */
static double attention_bytes(const struct attention *a)
{
	double reach = a->window > 0 ? a->window + a->queries - 1 : a->context;
	return a->sequences * (reach < a->context ? reach : a->context) * a->kv_heads * (a->latent ? a->d : a->d + a->w)
	       * a->cache_bytes;
}

static const struct fit_attention *attention_with(const struct timing *t, bool one_query, bool latent)
{
	const struct calibration *c = t->calibration;
	for (int i = -1; i < c->attention.n; i++) {
		const struct fit_attention *f = i < 0 ? t->attention : &c->attention.at[i];
		if (f && (!one_query ? f->has_prefill : latent ? f->has_latent : f->has_decode))
			return f;
	}
	return NULL;
}

static double attention_seconds(struct timing *t, const struct attention *a)
{
	if (!figure_known(t->silicon.attention_peak))
		lack(t, "no peak in bf16", t->machine->device.name);
	if (t->lacks)
		return ABSENT;
	if (!t->calibration)
		return stated_seconds(t, attention_operations(a), t->silicon.attention_peak, attention_bytes(a));
	bool one_query = a->queries < 1.5;
	const struct fit_attention *f = attention_with(t, one_query, a->latent);
	if (!f)
		lack(t, one_query ? "no calibration of attention in decode" : "no calibration of attention in prefill",
		     t->machine->device.name);
	if (t->lacks)
		return ABSENT;
	return !one_query ? time_prefill(&t->silicon, &f->prefill, a)
	                  : time_decode(&t->silicon, a->latent ? &f->latent : &f->decode, a);
}

/* ---- collectives ------------------------------------------------------------------------------ */

void group_members(const struct schedule *s, const struct group *g, double *members)
{
	const struct machine *m = &s->deploy->machine;
	double before = 1;
	for (int k = 0; k < m->levels.n; k++) {
		double inside = 1;
		for (int i = 0; i < g->n; i++) {
			const struct atom *a = &s->atoms.at[g->atom[i]];
			double unit = k + 1 < m->levels.n ? (double)machine_unit(m, k) : (double)a->stride * (double)a->size;
			double fit = unit / (double)a->stride;
			inside *= fit < 1 ? 1 : fit < (double)a->size ? fit : (double)a->size;
		}
		members[k] = inside / before;
		before = inside;
	}
}

/* The share of a collective's bytes that each of n members sends. A switch that adds lets each send its operand once.
 */
static double share_sent(enum dr_collective_kind kind, double n, bool adds)
{
	switch (kind) {
	case DR_ALL_REDUCE: return adds && n > 2 ? 1 : 2 * (n - 1) / n;
	case DR_SEND:       return 1;
	case DR_RECV:       return 0;
	default:            return (n - 1) / n;
	}
}

static enum fit_collective_of fit_of(enum dr_collective_kind kind)
{
	switch (kind) {
	case DR_ALL_REDUCE:     return OF_ALL_REDUCE;
	case DR_ALL_GATHER:     return OF_ALL_GATHER;
	case DR_REDUCE_SCATTER: return OF_REDUCE_SCATTER;
	case DR_ALL_TO_ALL:     return OF_ALL_TO_ALL;
	default:                return OF_POINT_TO_POINT;
	}
}

/* Bytes that each NIC or link must carry, over its bandwidth, at the level where that takes longest. `size`: see
 * time_collective(). */
static double collective_floor(const struct machine *m, enum dr_collective_kind kind, const double *members,
                               double size)
{
	double floor = 0, inside = 1;
	for (int k = 0; k < m->levels.n; k++) {
		const struct level *l = &m->levels.at[k];
		if (members[k] > 1 && figure_known(l->link.bandwidth)) {
			double links = k ? l->nics_per_device * (kind == DR_ALL_TO_ALL || kind == DR_SEND ? 1 : inside) : 1;
			double s = size * share_sent(kind, members[k], l->in_network_reduce) / (l->link.bandwidth * links);
			floor = s > floor ? s : floor;
		}
		inside *= members[k];
	}
	return floor;
}

static void check_links(struct timing *t, const double *members)
{
	for (int k = 0; k < t->machine->levels.n; k++)
		if (members[k] > 1 && !figure_known(t->machine->levels.at[k].link.bandwidth))
			lack(t, "no link", arena_printf(t->arena, "level `%s`", t->machine->levels.at[k].name));
}

/* By the efficiency that the spec states: bandwidth and the links' latencies alone. */
static double stated_collective(struct timing *t, enum dr_collective_kind kind, const double *members, double size)
{
	double efficiency = t->machine->device.link_efficiency, latency = 0;
	if (!figure_known(efficiency))
		lack(t, "no `efficiency` of links", t->machine->device.name);
	for (int k = 0; k < t->machine->levels.n; k++)
		if (members[k] > 1 && figure_known(t->machine->levels.at[k].link.latency))
			latency += (members[k] - 1) * t->machine->levels.at[k].link.latency;
	return t->lacks ? ABSENT : latency + collective_floor(t->machine, kind, members, size) / efficiency;
}

static double collective_seconds(struct timing *t, enum dr_collective_kind kind, const double *members, double size)
{
	check_links(t, members);
	if (t->lacks || kind == DR_RECV)
		return t->lacks ? ABSENT : 0;
	if (!t->calibration)
		return stated_collective(t, kind, members, size);
	const struct fit_collective *fits = t->calibration->collective;
	enum fit_collective_of of = fit_of(kind);
	if (!fits[of].known)
		lack(t, "no calibration of collectives", t->machine->device.name);
	if (t->lacks)
		return ABSENT;
	bool one_shot = kind == DR_ALL_REDUCE && t->engine && t->engine->one_shot && fits[OF_ONE_SHOT].known;
	struct across g = {t->machine, fits, members};
	return time_across(&g, one_shot ? OF_ONE_SHOT : of, size);
}

/* ---- instructions ----------------------------------------------------------------------------- */

static int64_t padded(double n, int64_t multiple)
{
	int64_t whole = (int64_t)n + ((double)(int64_t)n < n);
	return multiple > 1 ? (whole + multiple - 1) / multiple * multiple : whole;
}

/* The values of a microbatch on one rank. No size depends on the rank's index. */
static struct step_values values_of(const struct timing *t, const struct step_load *load)
{
	const struct schedule *s = t->schedule;
	struct step_values v = {.tokens = padded(load->tokens, s->token_multiple),
	                        .rows = padded(load->rows, s->row_multiple),
	                        .candidates = 1,
	                        .index = t->index};
	double pages = load->context / (double)s->page + 1;
	for (int i = 0; i < s->n_pools; i++) {
		int64_t reach = pool_reach(&s->pool[i]);
		double held = reach && (double)reach < load->context ? (double)reach / (double)s->page + 1 : pages;
		double used = load->sequences * held, most = (double)s->pool[i].pages;
		v.pages[i] = (int64_t)(used < most ? used : most);
	}
	return v;
}

/* Assignments that reach a rank, and those that one of its `dests` partners sends it. */
static double assignments(const struct step_values *v, const struct instr *rounds)
{
	double rows = (double)step_number(&rounds->rounds.rows, v);
	return rows * (double)(rounds->rounds.top * rounds->rounds.local) / (double)rounds->rounds.experts;
}

double expected_rounds(const struct timing *t, const struct step_load *load, const struct instr *rounds)
{
	struct step_values v = values_of(t, load);
	double each = assignments(&v, rounds), capacity = (double)rounds->rounds.capacity;
	return rounds->rounds.group < 0 || each <= capacity ? 1 : (double)padded(each / capacity, 1);
}

/* What an exchange's round moves, as a share of what it has room for. */
static double filled(const struct timing *t, const struct step_load *load, const struct instr *rounds)
{
	struct step_values v = values_of(t, load);
	double share = assignments(&v, rounds) / expected_rounds(t, load, rounds) / (double)rounds->rounds.capacity;
	return share < 1 ? share : 1;
}

/* Groups of weights that a round's rows have, and the least number that they can have. */
static double hit_of(const struct timing *t, const struct step_load *load, const struct instr *rounds, double *least)
{
	struct step_values v = values_of(t, load);
	double tokens = (double)step_number(&rounds->rounds.rows, &v) * (double)rounds->rounds.dests;
	double held = (double)rounds->rounds.local, all = (double)rounds->rounds.experts, top = (double)rounds->rounds.top;
	*least = top * held / all < 1 ? 1 : top * held / all;
	double hit = groups_hit(held, all, top, tokens);
	return hit > *least ? hit : *least;
}

/* Bytes of params and caches that a launch must read: whatever else it reads may still be on the chip. */
static bool is_resident(enum dr_space space)
{
	return space == DR_SPACE_LAYER || space == DR_SPACE_OUTSIDE || space == DR_SPACE_EVERY;
}

static double param_bytes(const struct kernel *k, const struct instr *i, const int64_t *values, double share)
{
	double bytes = 0;
	for (int a = 0; a < i->launch.n_args; a++)
		if (i->launch.args[a].kind == ARGUMENT_PLACED && is_resident(i->launch.args[a].address.space)) {
			int64_t reach = kernel_arg(k, a, values).reach;
			bytes += reach > 0 ? share * (double)reach : 0;
		}
	return bytes;
}

static struct floor floor_of(const struct timing *t, double operations, double peak, double bytes)
{
	return (struct floor){.compute = figure_known(peak) ? operations / peak : 0,
	                      .memory = figure_known(t->silicon.bandwidth) ? bytes / t->silicon.bandwidth : 0};
}

static struct term launch_term(struct timing *t, const struct step_load *load, const struct instr *i,
                               const struct instr *rounds)
{
	const struct kernel *k = &t->schedule->kernels.at[i->launch.kernel];
	struct step_values v = values_of(t, load);
	int64_t values[ROWS_MAX_OPERANDS + 8] = {0};
	double fill = rounds ? filled(t, load, rounds) : 1, least = 1;
	for (int a = 0; a < i->launch.n_args; a++) {
		const struct number *n = &i->launch.args[a].number;
		values[a] = step_number(n, &v);
		if (rounds && i->launch.args[a].kind == ARGUMENT_NUMBER && n->kind == NUMBER_CONST)
			values[a] = padded((double)values[a] * fill, 1);
	}
	double hit = rounds ? hit_of(t, load, rounds, &least) : 1;
	struct kernel_work w = kernel_work(k, values);
	struct kernel_cost cost = kernel_cost(k, values, load->context, (int64_t)(hit + 0.5));
	struct term out = {.instr = i, .level = -1, .operations = cost.operations, .bytes = cost.bytes};
	const double *peak = t->machine->device.peak;
	switch (w.kind) {
	case WORK_PASS:
	case WORK_REDUCTION:
		out.kind = TERM_ROWS;
		out.seconds = pass_seconds(t, out.bytes, w.kind == WORK_REDUCTION);
		break;
	case WORK_PRODUCT:
		out.kind = TERM_PRODUCT;
		out.seconds = product_seconds(t, &w, out.operations, out.bytes);
		out.floor = floor_of(t, out.operations, peak[w.product.activations], param_bytes(k, i, values, 1));
		break;
	case WORK_GROUPED:
		out.kind = TERM_EXPERTS;
		out.seconds = grouped_seconds(t, &w, hit, out.operations, out.bytes);
		out.floor = floor_of(t, out.operations, peak[w.product.activations],
		                     param_bytes(k, i, values, least / (double)w.product.groups));
		break;
	case WORK_ATTENTION: {
		struct attention a = attention_of(&w, load);
		out.kind = TERM_ATTENTION;
		out.operations = attention_operations(&a), out.bytes = attention_bytes(&a);
		out.seconds = attention_seconds(t, &a);
		out.floor = floor_of(t, out.operations, t->silicon.attention_peak, out.bytes);
		break;
	}
	}
	return out;
}

static struct term collective_term(struct timing *t, const struct step_load *load, const struct instr *i)
{
	const struct schedule *s = t->schedule;
	const struct collective *c = &s->collectives.at[i->collective.index];
	struct step_values v = values_of(t, load);
	double n = (double)s->groups.at[c->group].size;
	double each = (double)step_number(&i->collective.outer, &v) * (double)step_number(&i->collective.block, &v)
	              * dtype_bytes(c->dtype);
	bool whole = c->kind == DR_ALL_REDUCE || c->kind == DR_SEND || c->kind == DR_RECV;
	double size = whole ? each : n * each;
	double *members = t->members;
	group_members(s, &s->groups.at[c->group], members);
	struct term out = {.instr = i,
	                   .kind = c->kind == DR_ALL_TO_ALL                   ? TERM_EXCHANGE
	                           : c->kind == DR_SEND || c->kind == DR_RECV ? TERM_MESSAGE
	                                                                      : TERM_COLLECTIVE,
	                   .level = -1,
	                   .sent = size * share_sent(c->kind, n, false)};
	if (c->kind == DR_SEND || c->kind == DR_RECV)
		for (int k = 0; k < t->machine->levels.n; k++)
			members[k] = members[k] > 1 ? 2 : 1;
	for (int k = 0; k < t->machine->levels.n; k++)
		out.level = members[k] > 1 ? k : out.level;
	out.seconds = collective_seconds(t, c->kind, members, size);
	out.floor.links = collective_floor(t->machine, c->kind, members, size);
	return out;
}

struct term term_of(struct timing *t, const struct step_load *load, const struct instr *i,
                    const struct instr *in_rounds)
{
	if (i->kind == INSTR_LAUNCH)
		return launch_term(t, load, i, in_rounds);
	return collective_term(t, load, i);
}
