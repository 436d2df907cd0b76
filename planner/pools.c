/* Two pools and what goes between them: devices, times of the handed-over cache, rates of both, and what follows of
 * them for a user. */
#include "pools.h"
#include <math.h>
#include <string.h>
#include "metrics_text.h"
#include "timing.h"

enum { MAX_BALANCE = 64, MAX_UNITS = 1 << 20 };
#define BALANCED 0.95 /* of what divisible units would serve */

/* ---- estimates -------------------------------------------------------------------------------- */

/* The smaller of two rates. */
static struct estimate slower(struct estimate a, struct estimate b)
{
	if (isnan(a.value) || isnan(b.value)) {
		struct estimate none = estimate_missing(isnan(a.value) ? a.lacks : b.lacks);
		none.bound = fmin(a.bound, b.bound);
		return none;
	}
	return (struct estimate){fmin(a.value, b.value),
	                         fmin(a.low80, b.low80),
	                         fmin(a.high80, b.high80),
	                         fmin(a.low90, b.low90),
	                         fmin(a.high90, b.high90),
	                         fmin(a.bound, b.bound),
	                         NULL};
}

/* What so much takes at a rate. */
static struct estimate at_rate(double much, struct estimate rate)
{
	return (struct estimate){much / rate.value, much / rate.high80, much / rate.low80, much / rate.high90,
	                         much / rate.low90, much / rate.bound,  rate.lacks};
}

static double known_or_none(double x) { return isnan(x) ? 0 : x; }

/* Of two times. One of which nothing is proved takes at least no time. */
static struct estimate one_after_other(struct estimate a, struct estimate b)
{
	a.bound = known_or_none(a.bound);
	b.bound = known_or_none(b.bound);
	return estimate_sum(a, b);
}

/* ---- devices ---------------------------------------------------------------------------------- */

/* The first device, at `at` or after it, of a unit that is spread over no two units of a level that could hold it. */
static int64_t unit_start(const struct machine *m, int64_t at, int64_t gpus)
{
	for (int i = 0; i < m->levels.n; i++) {
		int64_t size = machine_unit(m, i), into = size > 0 ? at % size : 0;
		if (into && (gpus > size || into + gpus > size))
			at += size - into;
	}
	return at;
}

static int64_t place_units(const struct machine *m, int64_t at, int64_t units, int64_t gpus, int64_t *first)
{
	for (int64_t i = 0; i < units; i++) {
		int64_t start = unit_start(m, at, gpus);
		*first = i ? *first : start;
		at = start + gpus;
	}
	return at;
}

static const struct machine *machine_of(const struct pools *s, int side)
{
	return side == SERVE_DECODE && s->joint->apart ? &s->side[side].deploy->machine : &s->joint->self->machine;
}

/* Places so many units of each pool. Returns whether the cluster has the devices. */
static bool place(struct pools *s, const int64_t *units)
{
	int64_t at = 0;
	bool fits = true;
	s->devices = 0;
	for (int i = 0; i < SERVE_SIDES; i++) {
		struct pool_side *side = &s->side[i];
		const struct machine *m = machine_of(s, i);
		at = i && s->joint->apart ? 0 : at;
		side->units = units[i];
		side->end = at = place_units(m, at, units[i], side->deploy->gpus, &side->first);
		s->devices += units[i] * side->deploy->gpus;
		fits &= at <= m->devices;
	}
	return fits;
}

/* ---- the handed-over cache -------------------------------------------------------------------- */

/* What a rank of one pool reaches one of the other by: the cluster's level whose units hold both pools, or the link
 * that the spec states, as a level of two. */
struct way {
	struct machine machine;
	struct timing timing;
	double *members;
};

static void find_way(struct arena *arena, struct pools *s, struct way *w)
{
	const struct joint *j = s->joint;
	bool stated = j->link.name != NULL;
	w->machine = j->self->machine;
	s->level = -1;
	s->link = "nothing";
	if (stated) {
		struct level levels[2] = {
			{.name = "unit", .count = 1, .link = {NULL, ABSENT, ABSENT}},
			{.name = j->link.name, .count = 2, .link = j->link, .nics_per_device = 1, .oversubscription = 1}};
		w->machine.levels.at = NULL, w->machine.levels.n = w->machine.levels.cap = 0;
		for (int i = 0; i < 2; i++)
			vec_push(arena, &w->machine.levels, levels[i]);
		s->link = j->link.name;
	}
	w->members = arena_array(arena, double, w->machine.levels.n + 1);
	for (int i = 0; i < w->machine.levels.n; i++)
		w->members[i] = 1;
	w->timing = timing_of_deploy(j->self, arena);
	w->timing.machine = &w->machine;
	int joins = stated ? 1 : w->machine.levels.n - 1;
	for (int i = 0; !stated && i < w->machine.levels.n; i++)
		if (machine_unit(&w->machine, i) >= s->side[SERVE_DECODE].end) {
			joins = i;
			break;
		}
	if (!stated && j->apart)
		w->timing.lacks = arena_printf(arena, "no `link` joins the clusters of `%s` and `%s`",
		                               s->side[SERVE_PREFILL].deploy->name, s->side[SERVE_DECODE].deploy->name);
	else if (joins < 0)
		w->timing.lacks = "the cluster has no levels";
	else
		w->members[joins] = 2;
	if (!stated && !j->apart && joins >= 0) {
		s->level = joins;
		s->link = w->machine.levels.at[joins].name;
	}
}

/* No table has handovers, of no engine. */
static struct interval never_measured(void) { return interval_of(INTERVAL_UNKNOWN, false, INTERVAL_OWN); }

/* Seconds of so many bytes of a rank, and the least that its link allows. */
static struct estimate carried(struct way *w, double bytes)
{
	double least = timing_collective_floor(&w->machine, DR_SEND, w->members, bytes);
	double seconds = time_of(timing_collective(&w->timing, DR_SEND, w->members, bytes));
	struct estimate e =
		isnan(seconds) ? estimate_missing(w->timing.lacks) : estimate_of(seconds, never_measured(), false, least);
	e.bound = least > 0 ? least : (double)NAN;
	return e;
}

/* A prompt is read and sent in n equal pieces, each sent after it was read. */
static double finished(double reads, double sends, double n)
{
	return reads / n + (n - 1) * fmax(reads / n, sends) + sends;
}

static struct estimate ready_after(const struct estimate *reads, const struct estimate *sends, int64_t pieces)
{
	double n = (double)pieces;
	struct estimate e = {finished(reads->value, sends->value, n),
	                     finished(reads->low80, sends->low80, n),
	                     finished(reads->high80, sends->high80, n),
	                     finished(reads->low90, sends->low90, n),
	                     finished(reads->high90, sends->high90, n),
	                     finished(known_or_none(reads->bound), known_or_none(sends->bound), n),
	                     isnan(reads->value) ? reads->lacks : sends->lacks};
	return e;
}

/* Pieces of the longest prompt: chunks, and layers of the stage that has most. */
static void set_pieces(struct pools *s)
{
	const struct schedule *from = s->side[SERVE_PREFILL].cache.schedule;
	int64_t chunk = from->programs.at[PHASE_PREFILL].max_tokens * from->pipeline.microbatches, layers = 1;
	int64_t chunks = (s->longest.positions + chunk - 1) / chunk;
	for (int i = 0; i < from->stages.n; i++) {
		int64_t n = from->stages.at[i].layer_end - from->stages.at[i].layer_begin;
		layers = n > layers ? n : layers;
	}
	s->pieces[SEND_WHOLE] = 1, s->pieces[SEND_CHUNKS] = chunks, s->pieces[SEND_LAYERS] = chunks * layers;
}

/* Times of the handover with the units as they are placed. */
static void set_times(struct arena *arena, struct pools *s)
{
	struct way w;
	const struct handover *h = &s->longest;
	double most = fmax(h->sent, h->received), owners[SERVE_SIDES];
	find_way(arena, s, &w);
	s->seconds = carried(&w, most);
	const double each[SERVE_SIDES] = {h->sent, h->received};
	for (int i = 0; i < SERVE_SIDES; i++) {
		const struct schedule *side = s->side[i].cache.schedule;
		owners[i] = (double)side->groups.at[side->owner_group].size;
		struct estimate t = carried(&w, each[i]);
		s->side[i].links = at_rate(owners[i], t);
	}
	for (int when = 0; when < SEND_WHENS; when++) {
		struct estimate piece = carried(&w, most / (double)s->pieces[when]);
		s->ready[when] = ready_after(&s->side[SERVE_PREFILL].metrics.of[METRIC_TTFT], &piece, s->pieces[when]);
	}
	s->lacks = w.timing.lacks;
}

/* ---- rates ------------------------------------------------------------------------------------ */

/* Sequences/s of so many units of a pool, and of their links. */
static struct estimate pool_rate(const struct pools *s, int side, double units)
{
	return estimate_scaled(slower(s->side[side].rate, s->side[side].links), units);
}

static struct estimate rate_of(const struct pools *s, const int64_t *units)
{
	return slower(pool_rate(s, SERVE_PREFILL, (double)units[SERVE_PREFILL]),
	              pool_rate(s, SERVE_DECODE, (double)units[SERVE_DECODE]));
}

/* Units that sustain a rate, as predicted. */
static int64_t units_for(const struct pools *s, int side, double rate)
{
	double units = ceil(rate / pool_rate(s, side, 1).value * (1 - 1e-12));
	return isnan(units) ? 1 : units < 1 ? 1 : units > MAX_UNITS ? MAX_UNITS : (int64_t)units;
}

/* The numbers of units that are stated, or follow from the rate. More units may be joined by a slower level. */
static void size(struct arena *arena, struct pools *s)
{
	const struct joint *j = s->joint;
	int64_t units[SERVE_SIDES];
	for (int i = 0; i < SERVE_SIDES; i++) {
		s->side[i].sized = !j->members.at[i].units && figure_known(j->rate);
		units[i] = j->members.at[i].units ? j->members.at[i].units : 1;
	}
	place(s, units);
	set_times(arena, s);
	for (bool more = s->side[0].sized || s->side[1].sized; more;) {
		more = false;
		for (int i = 0; i < SERVE_SIDES; i++) {
			int64_t enough = s->side[i].sized ? units_for(s, i, j->rate) : units[i];
			more |= enough > units[i];
			units[i] = enough > units[i] ? enough : units[i];
		}
		place(s, units);
		set_times(arena, s);
	}
}

/* The fewest units with which neither pool waits much for the other. Were units divisible, a device of both pools would
 * serve 1 / (gpus of a reading unit / its rate + those of a continuing unit / its rate). */
static void balance(struct pools *s)
{
	double a = pool_rate(s, SERVE_PREFILL, 1).value, b = pool_rate(s, SERVE_DECODE, 1).value, fewest = INFINITY;
	double reads = (double)s->side[SERVE_PREFILL].deploy->gpus, grows = (double)s->side[SERVE_DECODE].deploy->gpus;
	double ideal = 1 / (reads / a + grows / b);
	for (int64_t n = 1; n <= MAX_BALANCE && a > 0 && b > 0; n++)
		for (int64_t k = 1; k <= MAX_BALANCE; k++) {
			double devices = (double)n * reads + (double)k * grows;
			if (devices >= fewest || fmin((double)n * a, (double)k * b) < BALANCED * ideal * devices)
				continue;
			fewest = devices;
			s->balance[SERVE_PREFILL] = n, s->balance[SERVE_DECODE] = k;
		}
}

/* ---- metrics ---------------------------------------------------------------------------------- */

/* What all devices of both pools take in a second; NaN: one of them does not say. */
static double of_devices(const struct pools *s, bool price)
{
	double all = 0;
	for (int i = 0; i < SERVE_SIDES; i++) {
		const struct machine *m = machine_of(s, i);
		all += (price ? m->price : m->device.power) * (double)(s->side[i].units * s->side[i].deploy->gpus);
	}
	return all;
}

static struct estimate spent(const struct pools *s, bool price, struct estimate rate)
{
	double each = of_devices(s, price), batch = (double)s->joint->self->work.batch;
	return isnan(each) ? estimate_missing(price ? "the cluster has no `price`" : "the device has no `power`")
	                   : at_rate(each * batch, rate);
}

static void set_metrics(struct arena *arena, struct pools *s)
{
	const struct pool_side *reads = &s->side[SERVE_PREFILL], *grows = &s->side[SERVE_DECODE];
	const struct workload *w = &grows->deploy->work;
	struct metrics *m = &s->metrics;
	int64_t units[SERVE_SIDES] = {reads->units, grows->units};
	struct estimate rate = rate_of(s, units);
	for (int i = 0; i < METRICS; i++)
		m->of[i] = estimate_missing("it is a metric of one deployment: name it before the metric");
	m->of[METRIC_TTFT] = one_after_other(s->ready[s->joint->send], grows->metrics.of[METRIC_TPOT]);
	m->of[METRIC_TPOT] = grows->metrics.of[METRIC_TPOT];
	m->of[METRIC_SEQUENCES] = rate;
	m->of[METRIC_THROUGHPUT] = estimate_scaled(rate, (double)(w->seq_hi + w->output_hi));
	m->of[METRIC_COST] = spent(s, true, rate);
	m->of[METRIC_ENERGY] = spent(s, false, rate);
	m->of[METRIC_HANDOVER_BYTES] = estimate_exact(s->longest.bytes);
	m->of[METRIC_HANDOVER_TIME] = s->seconds;
	m->interval = never_measured();
	m->basis = arena_printf(arena, "%s; handovers were never measured, and have the widest interval of all tables",
	                        reads->metrics.basis ? reads->metrics.basis : "times are not known");
}

/* ---- the whole -------------------------------------------------------------------------------- */

/* What is wrong with a deployment is reported where it is planned itself. */
static void plan_side(struct arena *arena, struct names *names, struct sources *sources, const struct target *target,
                      struct pool_side *side)
{
	struct sink *silent = arena_new(arena, struct sink);
	*silent = (struct sink){.arena = arena, .sources = sources};
	side->cache.local = dag_local(arena, names, silent, side->deploy);
	if (side->cache.local)
		side->cache.schedule = dag_schedule(arena, silent, side->cache.local, target);
	if (side->cache.schedule)
		side->metrics = metrics_of(side->deploy, side->cache.schedule, arena);
}

static void set_rates(struct pools *s)
{
	const struct workload *w = &s->side[SERVE_DECODE].deploy->work;
	struct pool_side *reads = &s->side[SERVE_PREFILL], *grows = &s->side[SERVE_DECODE];
	reads->rate = estimate_scaled(reads->metrics.of[METRIC_PREFILL_THROUGHPUT], 1 / (double)w->seq_hi);
	grows->rate = estimate_scaled(grows->metrics.of[METRIC_DECODE_THROUGHPUT], 1 / (double)(w->output_hi - 1));
}

static const char *devices_text(struct arena *a, const struct pool_side *side)
{
	int64_t gpus = side->deploy->gpus;
	return arena_printf(a, "%lld unit%s of `%s` x %lld device%s = %lld", (long long)side->units, plural(side->units),
	                    side->deploy->name, (long long)gpus, plural(gpus), (long long)(side->units * gpus));
}

/* The place to change: where units are stated, else the rate that they follow from. */
static struct span units_where(const struct pools *s, int side)
{
	const struct joint_member *m = &s->joint->members.at[side];
	return m->units ? m->units_span : s->side[side].sized ? s->joint->rate_span : s->joint->self->name_span;
}

/* The pools up to side i need more devices than their cluster has. */
static void report_devices(struct arena *a, struct sink *sink, const struct pools *s, int i)
{
	const struct joint *j = s->joint;
	const struct pool_side *side = &s->side[i], *other = &s->side[SERVE_PREFILL];
	const struct machine *m = machine_of(s, i);
	bool both = !j->apart, sized = s->side[0].sized || s->side[1].sized;
	int64_t used = both ? s->devices : side->units * side->deploy->gpus;
	struct diag *d = diag_report(sink, DIAG_E0611, units_where(s, i), "the %s of `%s` need %lld devices, `%s` has %lld",
	                             both ? "pools" : "units", both ? j->self->name : side->deploy->name,
	                             (long long)side->end, m->name, (long long)m->devices);
	if (both)
		diag_note(sink, d, "%s", devices_text(a, other));
	diag_note(sink, d, "%s", devices_text(a, side));
	if (side->end > used)
		diag_note(sink, d,
		          "%lld devices stay idle, so that no unit is spread over two units of a level that could hold it",
		          (long long)(side->end - used));
	if (sized)
		diag_note(sink, d, "units are as few as sustain %s, as predicted", metric_text(a, METRIC_SEQUENCES, j->rate));
	diag_help(sink, d, "%s, or a larger cluster", sized ? "a lower rate" : "fewer units");
}

static void check_devices(struct arena *a, struct sink *sink, const struct pools *s)
{
	for (int i = s->joint->apart ? SERVE_PREFILL : SERVE_DECODE; i < SERVE_SIDES; i++)
		if (s->side[i].end > machine_of(s, i)->devices) {
			report_devices(a, sink, s, i);
			return;
		}
}

struct pools *planner_pools(struct arena *arena, struct names *names, struct sink *sink, struct joint *j,
                            const struct target *target)
{
	struct pools *s = arena_new(arena, struct pools);
	const struct workload *w = &j->self->work;
	*s = (struct pools){.joint = j, .level = -1};
	for (int i = 0; i < METRICS; i++)
		s->metrics.of[i] = estimate_missing(NULL);
	s->unplanned = j->self->refused ? "it has errors"
	               : j->open        ? "`auto` leaves a deployment open"
	                                : "a deployment has errors";
	s->metrics.lacks = s->unplanned;
	if (!j->known)
		return s;
	for (int i = 0; i < SERVE_SIDES; i++) {
		s->side[i].deploy = j->members.at[i].deploy;
		plan_side(arena, names, sink->sources, target, &s->side[i]);
		if (!s->side[i].cache.schedule)
			return s;
	}
	const struct cache_side *from = &s->side[SERVE_PREFILL].cache, *to = &s->side[SERVE_DECODE].cache;
	if (!handover_of(arena, *from, *to, w->seq_hi, &s->longest)
	    || !handover_of(arena, *from, *to, w->seq_lo, &s->shortest)) {
		s->unplanned = s->metrics.lacks = "the layouts of the caches have too many parts";
		return s;
	}
	s->unplanned = s->metrics.lacks = NULL;
	set_pieces(s);
	set_rates(s);
	size(arena, s);
	balance(s);
	check_devices(arena, sink, s);
	j->self->known = true;
	j->self->gpus = s->devices;
	j->self->work.batch = s->side[SERVE_DECODE].deploy->work.batch * s->side[SERVE_DECODE].units;
	set_metrics(arena, s);
	return s;
}

int pools_totals(const struct pools *s, struct total out[PLANNER_TOTALS])
{
	int n = 0;
	for (int side = 0; side < SERVE_SIDES && !s->unplanned; side++) {
		struct total totals[PLANNER_TOTALS];
		int all = planner_totals(s->side[side].deploy, s->side[side].cache.schedule, totals);
		for (int i = 0; i < all; i++) {
			bool least = totals[i].unit == TOTAL_RATIO; /* of headroom */
			if (!side)
				out[n++] = totals[i];
			else if (i < n && totals[i].value != out[i].value && (totals[i].value < out[i].value) == least)
				out[i] = totals[i];
		}
	}
	return n;
}

void pools_check_rate(struct arena *arena, struct sink *sink, const struct pools *s)
{
	const struct estimate *e = &s->metrics.of[METRIC_SEQUENCES];
	double rate = s->joint->rate;
	bool stated = s->joint->members.n && (s->joint->members.at[0].units || s->joint->members.at[1].units);
	if (s->unplanned || !figure_known(rate) || !stated)
		return;
	const char *wanted = metric_text(arena, METRIC_SEQUENCES, rate);
	struct span at = s->joint->rate_span;
	if (e->bound < rate) {
		struct diag *d = diag_report(sink, DIAG_E0801, at, "a rate of %s cannot hold", wanted);
		diag_note(sink, d, "throughput.sequences is at most %s", metric_text(arena, METRIC_SEQUENCES, e->bound));
		return;
	}
	if (isnan(e->value)) {
		struct diag *d =
			diag_report(sink, DIAG_W0811, at, "a rate of %s is open: `throughput.sequences` has no value", wanted);
		diag_note(sink, d, "%s", e->lacks ? e->lacks : "times are not known");
		return;
	}
	if (e->low90 >= rate)
		return;
	bool fails = e->high90 < rate;
	struct diag *d = diag_report(
		sink, fails ? DIAG_E0808 : DIAG_W0811, at, "a rate of %s is %s: throughput.sequences = %s (90%%: %s .. %s)",
		wanted, fails ? "predicted to fail" : "open", metric_text(arena, METRIC_SEQUENCES, e->value),
		metric_text(arena, METRIC_SEQUENCES, e->low90), metric_text(arena, METRIC_SEQUENCES, e->high90));
	diag_note(sink, d, "intervals: %s", s->metrics.basis);
}
