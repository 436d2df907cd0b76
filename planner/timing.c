/* What a device, its links and an engine take for one operation: which fit of the calibration counts, and with what
 * figures of the data sheet; without a calibration, by the efficiency that the spec states. */
#include "timing.h"
#include <string.h>

/* ---- what is known ---------------------------------------------------------------------------- */

static void lack(struct timing *t, const char *who, const char *what)
{
	if (!t->lacks)
		t->lacks = arena_printf(t->arena, "%s has %s", who ? who : "the device", what);
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

struct timing timing_of_deploy(const struct deploy *d, struct arena *arena)
{
	const struct accelerator *a = &d->machine.device;
	struct timing t = {.arena = arena,
	                   .machine = &d->machine,
	                   .engine = d->engine,
	                   .silicon = {.bandwidth = a->bandwidth, .multiprocessors = a->multiprocessors},
	                   .calibration = a->calibration,
	                   .balances = balances_new(arena, &d->work.experts),
	                   .members = arena_array(arena, double, d->machine.levels.n + 1),
	                   .products = arena_array(arena, struct product_time, PRODUCT_TIMES)};
	t.silicon.attention_peak = figure_known(a->peak[DTYPE_BF16]) ? a->peak[DTYPE_BF16] : a->peak[DTYPE_F16];
	t.attention = attention_by(t.calibration, t.engine ? t.engine->library : NULL);
	if (!figure_known(a->bandwidth))
		lack(&t, a->name, "no bandwidth");
	if (!t.calibration && !stated(&t))
		lack(&t, a->name, "neither a calibration nor an `efficiency`");
	if (t.calibration && !figure_known(a->multiprocessors))
		lack(&t, a->name, "no `sms`");
	return t;
}

static const struct time_parts no_time = {.launch = ABSENT};

/* ---- passes ----------------------------------------------------------------------------------- */

struct time_parts timing_pass(const struct timing *t, double bytes, bool reduces)
{
	if (t->lacks)
		return no_time;
	if (t->calibration)
		return time_rows(&t->silicon, &t->calibration->rows, bytes, reduces);
	return (struct time_parts){.memory = bytes / (t->silicon.bandwidth * t->machine->device.memory_efficiency)};
}

struct time_parts timing_stream(const struct timing *t, double bytes, bool reduces)
{
	struct time_parts p = timing_pass(t, bytes, reduces);
	p.launch = t->lacks ? ABSENT : 0;
	return p;
}

/* ---- products --------------------------------------------------------------------------------- */

static double bytes_of(enum dtype t) { return dtype_millibits(t) / 8000.0; }

/* What multiplies x with w: the device's units for x, or, for a format that is only stored, for f16 or bf16. */
static double peak_of(struct timing *t, enum dtype x)
{
	const struct accelerator *d = &t->machine->device;
	t->narrow |= dtype_millibits(x) <= 8000;
	if (!figure_known(d->peak[x]))
		lack(t, d->name, arena_printf(t->arena, "no peak in %s", dtype_name(x)));
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
		lack(t, t->machine->device.name, "no calibration of products");
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
		lack(t, t->machine->device.name, "no calibration of experts' products");
	t->borrowed |= least > 0;
	return best;
}

/* Seconds by the spec's own efficiency. */
static struct time_parts stated_parts(const struct timing *t, double operations, double peak, double bytes)
{
	const struct accelerator *d = &t->machine->device;
	return (struct time_parts){.compute = operations / (peak * d->matmul_efficiency),
	                           .memory = bytes / (d->bandwidth * d->memory_efficiency)};
}

static bool same_product(const struct product *a, const struct product *b)
{
	return a->m == b->m && a->n == b->n && a->k == b->k && a->weight_bytes == b->weight_bytes
	       && a->activation_bytes == b->activation_bytes && a->peak == b->peak;
}

/* The place of a product, with its time or free; of several that hash alike, the last place is for all. */
static struct product_time *product_place(struct timing *t, const struct product_time *wanted)
{
	enum { PROBES = 8 };
	const struct product *p = &wanted->of;
	uint64_t hash = ((uint64_t)p->m * 31 + (uint64_t)p->n) * 31 + (uint64_t)p->k;
	struct product_time *at = NULL;
	for (uint64_t i = 0; i < PROBES; i++) {
		at = &t->products[((hash ^ hash >> 12) + i) % PRODUCT_TIMES];
		bool known = at->fit == wanted->fit && at->cast_before == wanted->cast_before && same_product(&at->of, p);
		if (!at->fit || known)
			return at;
	}
	*at = (struct product_time){.fit = NULL};
	return at;
}

/* A product that was timed before, or is timed now. */
static struct time_parts product_parts(struct timing *t, const struct fit_product *fit, const struct product *p)
{
	struct product_time wanted = {
		.fit = fit, .cast_before = fit->casts && t->engine && t->engine->fused_cast, .of = *p};
	struct product_time *at = product_place(t, &wanted);
	if (at->fit)
		return at->parts;
	wanted.parts = wanted.cast_before
	                   ? time_product_cast_before(&t->silicon, fit, product_fit(t, DTYPE_BF16, DTYPE_BF16), p)
	                   : time_product(&t->silicon, fit, p);
	*at = wanted;
	t->products_timed++;
	return wanted.parts;
}

struct kernel_work timing_formats(const struct timing *t, struct kernel_work w)
{
	bool product = w.kind == WORK_PRODUCT || w.kind == WORK_GROUPED;
	enum dtype of = product ? w.product.weights : DTYPE_F32;
	if (t->engine && t->engine->fused_cast && dtype_millibits(of) <= 8000 && dtype_is_loaded(of)
	    && figure_known(t->machine->device.peak[of]))
		w.product.activations = of;
	return w;
}

bool timing_joined(const struct kernel_work *a, const struct kernel_work *b)
{
	return a->kind == b->kind && a->product.rows == b->product.rows && a->product.k == b->product.k
	       && a->product.groups == b->product.groups && a->product.batch == 1 && b->product.batch == 1
	       && a->product.activations == b->product.activations && a->product.weights == b->product.weights;
}

/* A batch of products reads as many weights, so it is one with as many more outputs. */
struct time_parts timing_product(struct timing *t, const struct kernel_work *w, double operations, double bytes)
{
	double peak = peak_of(t, w->product.activations);
	if (t->lacks)
		return no_time;
	if (!t->calibration)
		return stated_parts(t, operations, peak, bytes);
	const struct fit_product *fit = product_fit(t, w->product.weights, w->product.activations);
	if (t->lacks)
		return no_time;
	struct product p = {.m = (double)w->product.rows,
	                    .n = (double)(w->product.n * w->product.batch),
	                    .k = (double)w->product.k,
	                    .weight_bytes = bytes_of(w->product.weights),
	                    .activation_bytes = bytes_of(w->product.activations),
	                    .peak = peak};
	return product_parts(t, fit, &p);
}

/* The launch of a fit is that of an expert's two products together. */
struct time_parts timing_grouped(struct timing *t, const struct kernel_work *w, double hit, double operations,
                                 double bytes)
{
	double peak = peak_of(t, w->product.activations);
	if (t->lacks)
		return no_time;
	if (!t->calibration)
		return stated_parts(t, operations, peak, bytes);
	const struct fit_grouped *fit = grouped_fit(t, w->product.weights, w->product.activations);
	if (t->lacks)
		return no_time;
	struct grouped g = {.rows = (double)w->product.rows,
	                    .hit = hit,
	                    .n = (double)w->product.n,
	                    .k = (double)w->product.k,
	                    .weight_bytes = bytes_of(w->product.weights),
	                    .activation_bytes = bytes_of(w->product.activations),
	                    .peak = peak};
	struct time_parts p = time_grouped(&t->silicon, fit, &g);
	p.launch = fit->launch / 2;
	return p;
}

/* ---- attention -------------------------------------------------------------------------------- */

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

struct time_parts timing_attention(struct timing *t, const struct attention *a)
{
	if (!figure_known(t->silicon.attention_peak))
		lack(t, t->machine->device.name, "no peak in bf16");
	if (t->lacks)
		return no_time;
	if (!t->calibration)
		return stated_parts(t, attention_operations(a), t->silicon.attention_peak, attention_cached(a));
	bool one_query = a->queries < 1.5;
	const struct fit_attention *f = attention_with(t, one_query, a->latent);
	if (!f)
		lack(t, t->machine->device.name,
		     one_query ? "no calibration of attention in decode" : "no calibration of attention in prefill");
	if (t->lacks)
		return no_time;
	t->borrowed |= t->engine && t->engine->library && strcmp(f->library, t->engine->library) != 0;
	return !one_query ? time_prefill(&t->silicon, &f->prefill, a)
	                  : time_decode(&t->silicon, a->latent ? &f->latent : &f->decode, a);
}

/* Without a calibration, or a factor for it in the calibration: five products for two. */
double timing_attention_back(struct timing *t, const struct attention *a)
{
	double forward = time_of(timing_attention(t, a));
	if (t->lacks || !t->calibration)
		return 2.5 * forward;
	const struct fit_attention *f = attention_with(t, false, false);
	return f->backward > 0 ? time_prefill_back(&t->silicon, f, a) : 2.5 * forward;
}

static enum interval_origin origin_of(const struct timing *t)
{
	const struct calibration *c = t->calibration;
	const struct accelerator *d = &t->machine->device;
	if (!c || !c->of || !d->name || !strcmp(c->of, d->name))
		return INTERVAL_OWN;
	if (c->generation && d->generation && !strcmp(c->generation, d->generation))
		return INTERVAL_SIBLING;
	return t->narrow ? INTERVAL_OTHER_NARROW : INTERVAL_OTHER;
}

struct interval timing_interval(const struct timing *t, enum interval_kind kind)
{
	return interval_of(t->calibration ? kind : INTERVAL_UNKNOWN, timing_in_tables(t), origin_of(t));
}

/* What the constants are of, if not of this device, these formats and this engine's kernels. */
static const char *borrowed_text(const struct timing *t, struct arena *a)
{
	enum interval_origin origin = origin_of(t);
	const char *whose = origin == INTERVAL_OWN
	                        ? ""
	                        : arena_printf(a, "; constants of %s, %s: %.0f%% wider", t->calibration->of,
	                                       origin == INTERVAL_SIBLING ? "a sibling" : "of another generation",
	                                       100 * interval_moved(origin));
	return arena_printf(a, "%s%s", whose,
	                    t->borrowed ? "; the nearest format or kernels where none of its own was measured" : "");
}

bool timing_in_tables(const struct timing *t) { return t->calibration && t->engine && t->engine->measured; }

const char *timing_basis(const struct timing *t, struct arena *a)
{
	const char *engine = t->engine && t->engine->name ? t->engine->name : "deployc";
	if (!t->calibration)
		return "efficiency as stated; the widest interval of all tables";
	const char *tables =
		timing_in_tables(t)
			? "80% of known tables of its kind"
			: arena_printf(a, "%s was never measured on such devices; the widest interval of all tables", engine);
	return arena_printf(a, "%s%s", tables, borrowed_text(t, a));
}

/* ---- collectives ------------------------------------------------------------------------------ */

/* An atom's ranks are in one unit as far as the unit has room for them, a stride apart. */
void timing_members(const struct machine *m, const struct atom *const *atoms, int n, double *members)
{
	double before = 1;
	for (int k = 0; k < m->levels.n; k++) {
		double inside = 1;
		for (int i = 0; i < n; i++) {
			double size = (double)atoms[i]->size, stride = (double)atoms[i]->stride;
			double fit = k + 1 < m->levels.n ? (double)machine_unit(m, k) / stride : size;
			inside *= fit < 1 ? 1 : fit < size ? fit : size;
		}
		members[k] = inside / before;
		before = inside;
	}
}

double timing_share_sent(enum dr_collective_kind kind, double n, bool adds)
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

double timing_collective_floor(const struct machine *m, enum dr_collective_kind kind, const double *members,
                               double size)
{
	double floor = 0, inside = 1;
	for (int k = 0; k < m->levels.n; k++) {
		const struct level *l = &m->levels.at[k];
		if (members[k] > 1 && figure_known(l->link.bandwidth)) {
			double links = k ? l->nics_per_device * (kind == DR_ALL_TO_ALL || kind == DR_SEND ? 1 : inside) : 1;
			double s = size * timing_share_sent(kind, members[k], l->in_network_reduce) / (l->link.bandwidth * links);
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
			lack(t, arena_printf(t->arena, "level `%s`", t->machine->levels.at[k].name),
			     t->machine->levels.at[k].link.name ? "a link without a bandwidth" : "no link");
}

/* By the efficiency that the spec states: bandwidth and the links' latencies alone. */
static struct time_parts stated_collective(struct timing *t, enum dr_collective_kind kind, const double *members,
                                           double size)
{
	double efficiency = t->machine->device.link_efficiency, latency = 0;
	if (!figure_known(efficiency))
		lack(t, t->machine->device.name, "no `efficiency` of links");
	for (int k = 0; k < t->machine->levels.n; k++)
		if (members[k] > 1 && figure_known(t->machine->levels.at[k].link.latency))
			latency += (members[k] - 1) * t->machine->levels.at[k].link.latency;
	if (t->lacks)
		return no_time;
	return (struct time_parts){.launch = latency,
	                           .link = timing_collective_floor(t->machine, kind, members, size) / efficiency};
}

struct time_parts timing_collective(struct timing *t, enum dr_collective_kind kind, const double *members, double size)
{
	check_links(t, members);
	if (t->lacks)
		return no_time;
	if (kind == DR_RECV || size <= 0)
		return (struct time_parts){0};
	if (!t->calibration)
		return stated_collective(t, kind, members, size);
	const struct fit_collective *fits = t->calibration->collective;
	enum fit_collective_of of = fit_of(kind);
	if (!fits[of].known)
		lack(t, t->machine->device.name, "no calibration of collectives");
	if (t->lacks)
		return no_time;
	bool one_shot = kind == DR_ALL_REDUCE && t->engine && t->engine->one_shot && fits[OF_ONE_SHOT].known;
	struct across g = {t->machine, fits, members};
	return time_across(&g, one_shot ? OF_ONE_SHOT : of, size);
}

struct time_parts timing_exchange(struct timing *t, const double *members, double tokens, double top, double row_bytes)
{
	double ranks = 1;
	for (int k = 0; k < t->machine->levels.n; k++)
		ranks *= members[k];
	if (!t->calibration || t->lacks)
		return timing_collective(t, DR_ALL_TO_ALL, members, tokens * (top < ranks ? top : ranks) * row_bytes);
	check_links(t, members);
	const struct across g = {t->machine, t->calibration->collective, members};
	return t->lacks ? no_time : time_dispatch(&g, tokens, top, row_bytes);
}
