/* Deployments on the same devices: the sum of what they hold, and their rates by their shares of the time. */
#include "share.h"
#include <math.h>
#include <string.h>
#include "metrics_text.h"
#include "plan.h"
#include "../support/json.h"

static const char NO_TURNS[] = "no `turns` say how they take turns";
static const char ONE_REQUEST[] = "a request waits for the turns of others, and how long a turn is is not stated";

/* ---- memory ----------------------------------------------------------------------------------- */

static int stage_of_rank(const struct schedule *s, int64_t rank)
{
	const struct group *g = &s->groups.at[s->stage_group];
	int64_t stage = 0;
	for (int i = 0; i < g->n; i++) {
		const struct atom *a = &s->atoms.at[g->atom[i]];
		stage = stage * a->size + rank / a->stride % a->size;
	}
	return (int)stage;
}

/* What the rank of one deployment takes on a device. */
static struct memory memory_on(const struct sharer *x, int64_t device)
{
	return device < x->deploy->gpus ? planner_stage_memory(x->schedule, stage_of_rank(x->schedule, device))
	                                : (struct memory){0};
}

static void add_memory(struct memory *sum, const struct memory *m)
{
	sum->weights += m->weights;
	sum->kv += m->kv;
	sum->activations += m->activations;
	sum->comm += m->comm;
	sum->peak += m->peak;
}

static void find_fullest(struct share *s)
{
	for (int64_t device = 0; device < s->devices; device++) {
		struct memory sum = {0};
		for (int i = 0; i < s->joint->members.n; i++) {
			struct memory m = memory_on(&s->of[i], device);
			add_memory(&sum, &m);
		}
		if (sum.peak > s->memory.peak)
			s->memory = sum, s->fullest = device;
	}
	for (int i = 0; i < s->joint->members.n; i++)
		s->of[i].memory = memory_on(&s->of[i], s->fullest);
}

static void check_memory(struct arena *a, struct sink *sink, const struct share *s)
{
	const struct deploy *self = s->joint->self;
	if (!(s->memory.peak > s->usable))
		return;
	struct diag *d = diag_report(sink, DIAG_E0701, self->name_span, "does not fit: %s needed on device %lld, %s usable",
	                             planner_bytes(a, s->memory.peak), (long long)s->fullest, planner_bytes(a, s->usable));
	for (int i = 0; i < s->joint->members.n; i++) {
		const struct memory *m = &s->of[i].memory;
		diag_table(sink, d, "%-13s %10s  weights %s, kv cache %s, activations %s", s->of[i].deploy->name,
		           planner_bytes(a, m->peak), planner_bytes(a, m->weights), planner_bytes(a, m->kv),
		           planner_bytes(a, m->activations));
	}
	diag_table(sink, d, "%-13s %10s  %s - %s reserve", "usable", planner_bytes(a, s->usable),
	           planner_bytes(a, self->machine.device.memory), planner_bytes(a, self->machine.reserve));
	diag_note(sink, d, "all of them hold weights, cache and buffers all the time, whoever has the turn");
	diag_help(sink, d, "smaller caches, `batch` or `cache` of their workloads; or more ranks for one of them");
}

static void check_devices(struct sink *sink, const struct share *s)
{
	const struct machine *m = &s->joint->self->machine;
	for (int i = 0; i < s->joint->members.n; i++) {
		const struct deploy *d = s->of[i].deploy;
		if (d->gpus <= m->devices)
			continue;
		struct diag *diag =
			diag_report(sink, DIAG_E0611, s->joint->members.at[i].span, "`%s` has %lld ranks, `%s` has %lld devices",
		                d->name, (long long)d->gpus, m->name, (long long)m->devices);
		diag_help(sink, diag, "a larger cluster, or another plan");
	}
}

/* ---- rates ------------------------------------------------------------------------------------ */

static struct estimate in_turns(struct estimate alone, double turn)
{
	if (!figure_known(turn)) {
		struct estimate open = estimate_missing(NO_TURNS);
		open.bound = alone.bound;
		return open;
	}
	return estimate_scaled(alone, turn);
}

static void set_metrics(struct share *s)
{
	struct metrics *m = &s->metrics;
	bool turns = true, same = s->of[0].metrics.basis != NULL;
	for (int i = 0; i < METRICS; i++)
		m->of[i] = estimate_missing("it is a metric of one deployment: name it before the metric");
	m->of[METRIC_TTFT].lacks = m->of[METRIC_TPOT].lacks = ONE_REQUEST;
	for (int i = 0; i < s->joint->members.n; i++) {
		struct sharer *x = &s->of[i];
		double turn = s->joint->members.at[i].turn;
		turns &= figure_known(turn);
		x->throughput = in_turns(x->metrics.of[METRIC_THROUGHPUT], turn);
		x->sequences = in_turns(x->metrics.of[METRIC_SEQUENCES], turn);
		m->of[METRIC_THROUGHPUT] = i ? estimate_sum(m->of[METRIC_THROUGHPUT], x->throughput) : x->throughput;
		m->of[METRIC_SEQUENCES] = i ? estimate_sum(m->of[METRIC_SEQUENCES], x->sequences) : x->sequences;
	}
	if (!turns) /* whoever is fastest may have all turns */
		m->of[METRIC_THROUGHPUT].bound = m->of[METRIC_SEQUENCES].bound = (double)NAN;
	for (int i = 1; i < s->joint->members.n; i++)
		same &=
			s->of[i].metrics.basis && s->of[0].metrics.basis && !strcmp(s->of[i].metrics.basis, s->of[0].metrics.basis);
	m->basis = same ? s->of[0].metrics.basis : "intervals as of each deployment";
	m->interval = s->of[0].metrics.interval;
}

/* ---- the whole -------------------------------------------------------------------------------- */

static bool plan_sharer(struct arena *arena, struct names *names, struct sources *sources, const struct target *target,
                        struct sharer *x)
{
	struct sink *silent = arena_new(arena, struct sink);
	*silent = (struct sink){.arena = arena, .sources = sources};
	struct local *l = dag_local(arena, names, silent, x->deploy);
	x->schedule = l ? dag_schedule(arena, silent, l, target) : NULL;
	if (x->schedule)
		x->metrics = metrics_of(x->deploy, x->schedule, arena);
	return x->schedule != NULL;
}

struct share *planner_share(struct arena *arena, struct names *names, struct sink *sink, struct joint *j,
                            const struct target *target)
{
	struct share *s = arena_new(arena, struct share);
	*s = (struct share){.joint = j, .usable = planner_usable(j->self)};
	s->of = arena_array(arena, struct sharer, j->members.n + 1);
	for (int i = 0; i < METRICS; i++)
		s->metrics.of[i] = estimate_missing(NULL);
	s->unplanned = s->metrics.lacks = j->self->refused ? "it has errors"
	                                  : j->open        ? "`auto` leaves a deployment open"
	                                                   : "a deployment has errors";
	if (!j->known)
		return s;
	for (int i = 0; i < j->members.n; i++) {
		s->of[i].deploy = j->members.at[i].deploy;
		if (!plan_sharer(arena, names, sink->sources, target, &s->of[i]))
			return s;
		s->devices = s->of[i].deploy->gpus > s->devices ? s->of[i].deploy->gpus : s->devices;
	}
	s->unplanned = s->metrics.lacks = NULL;
	j->self->known = true;
	j->self->gpus = s->devices;
	find_fullest(s);
	set_metrics(s);
	check_devices(sink, s);
	check_memory(arena, sink, s);
	return s;
}

int share_totals(const struct share *s, struct total out[PLANNER_TOTALS])
{
	const struct memory *m = &s->memory;
	if (s->unplanned)
		return 0;
	out[0] = (struct total){"memory.weights", m->weights, TOTAL_BYTES};
	out[1] = (struct total){"memory.kv", m->kv, TOTAL_BYTES};
	out[2] = (struct total){"memory.activations", m->activations, TOTAL_BYTES};
	out[3] = (struct total){"memory.comm", m->comm, TOTAL_BYTES};
	out[4] = (struct total){"memory.peak", m->peak, TOTAL_BYTES};
	out[5] = (struct total){"memory.headroom", 1 - m->peak / s->usable, TOTAL_RATIO};
	return s->usable > 0 ? 6 : 5;
}

struct plan *share_plan(struct arena *arena, const struct share *s)
{
	struct plan *p = arena_new(arena, struct plan);
	*p = (struct plan){.deploy = s->joint->self, .usable = s->usable, .metrics = s->metrics};
	p->n_totals = share_totals(s, p->totals);
	return p;
}

/* ---- text ------------------------------------------------------------------------------------- */

static void print_rate(struct text *t, const char *name, const struct estimate *e)
{
	struct arena *a = t->arena;
	if (!isnan(e->value))
		text_add(t, "    %-24s %16s%s\n", name, metric_text(a, METRIC_THROUGHPUT, e->value),
		         metric_interval(a, METRIC_THROUGHPUT, e));
	else if (e->bound > 0)
		text_add(t, "    %-24s at most %s\n", name, metric_text(a, METRIC_THROUGHPUT, e->bound));
}

const char *share_text(struct arena *arena, const struct share *s)
{
	const struct joint *j = s->joint;
	struct text t = {.arena = arena};
	text_add(&t, "share %s: ", j->self->name);
	if (s->unplanned) {
		text_add(&t, "not planned: %s\n", s->unplanned);
		return t.at;
	}
	for (int i = 0; i < j->members.n; i++)
		text_add(&t, "%s%s", i ? i + 1 < j->members.n ? ", " : " and " : "", s->of[i].deploy->name);
	text_add(&t, " on %lld device%s of %s\n", (long long)s->devices, plural(s->devices), j->self->machine.name);
	text_add(&t, "\n  bytes of device %-6lld weights      kv cache   activations communication          peak\n",
	         (long long)s->fullest);
	for (int i = 0; i <= j->members.n; i++) {
		const struct memory *m = i < j->members.n ? &s->of[i].memory : &s->memory;
		text_add(&t, "    %-16s %13s %13s %13s %13s %13s\n", i < j->members.n ? s->of[i].deploy->name : "together",
		         planner_bytes(arena, m->weights), planner_bytes(arena, m->kv), planner_bytes(arena, m->activations),
		         planner_bytes(arena, m->comm), planner_bytes(arena, m->peak));
	}
	text_add(&t, "    usable: %s; headroom %.1f%%\n", planner_bytes(arena, s->usable),
	         100 * (1 - s->memory.peak / s->usable));
	text_add(&t, "\n  throughput in turns (%s)\n", s->metrics.basis ? s->metrics.basis : "times are not known");
	for (int i = 0; i < j->members.n; i++) {
		double turn = j->members.at[i].turn;
		print_rate(&t,
		           figure_known(turn) ? arena_printf(arena, "%s, %g%% of the time", s->of[i].deploy->name, 100 * turn)
		                              : s->of[i].deploy->name,
		           &s->of[i].throughput);
	}
	print_rate(&t, "together", &s->metrics.of[METRIC_THROUGHPUT]);
	if (isnan(s->metrics.of[METRIC_THROUGHPUT].value))
		text_add(&t, "    undecided: %s\n",
		         s->metrics.of[METRIC_THROUGHPUT].lacks ? s->metrics.of[METRIC_THROUGHPUT].lacks
		                                                : "times are not known");
	text_add(&t, "    ttft and tpot are undecided: %s\n", ONE_REQUEST);
	return t.at;
}

const char *share_summary(struct arena *arena, const struct share *s)
{
	const struct joint *j = s->joint;
	if (s->unplanned)
		return arena_printf(arena, "%s: not planned: %s\n", j->self->name, s->unplanned);
	return arena_printf(arena, "%s: %d deployments on %lld devices; device %lld takes %s of %s usable\n", j->self->name,
	                    j->members.n, (long long)s->devices, (long long)s->fullest,
	                    planner_bytes(arena, s->memory.peak), planner_bytes(arena, s->usable));
}

/* ---- JSON ------------------------------------------------------------------------------------- */

json_t *share_json(const struct share *s)
{
	const struct joint *j = s->joint;
	json_t *o = json_object(), *of = json_array(), *metrics = json_object();
	for (int i = 0; i < j->members.n && !s->unplanned; i++) {
		const struct sharer *x = &s->of[i];
		json_t *one = json_object();
		json_set(one, "deploy", json_text(x->deploy->name));
		json_set(one, "ranks", json_integer(x->deploy->gpus));
		json_set(one, "turn", json_figure(j->members.at[i].turn));
		json_set(one, "bytes", plan_memory_json(&x->memory));
		json_set(one, "throughput", estimate_json(&x->throughput));
		json_set(one, "throughput.sequences", estimate_json(&x->sequences));
		json_array_append_new(of, one);
	}
	for (int i = 0; i < METRICS; i++)
		json_set(metrics, metric_name((enum metric)i), estimate_json(&s->metrics.of[i]));
	json_set(o, "share", json_text(j->self->name));
	json_set(o, "unplanned", json_text_or_null(s->unplanned));
	json_set(o, "cluster", json_text_or_null(j->self->machine.name));
	json_set(o, "devices", s->unplanned ? json_null() : json_integer(s->devices));
	json_set(o, "fullest", s->unplanned ? json_null() : json_integer(s->fullest));
	json_set(o, "bytes", s->unplanned ? json_null() : plan_memory_json(&s->memory));
	json_set(o, "usable", json_figure(s->usable));
	json_set(o, "of", of);
	json_set(o, "basis", json_text_or_null(s->metrics.basis));
	json_set(o, "metrics", metrics);
	return o;
}
