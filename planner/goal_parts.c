/* Goals about parts: other deployments of the file, and the bytes, the time and the hidden share of an operation, a
 * kind or a region of a batch. */
#include <math.h>
#include <string.h>
#include "../dag/local.h"
#include "goals.h"
#include "training.h"

/* ---- other deployments ------------------------------------------------------------------------ */

/* What is wrong with it is reported where it is planned itself. */
static void plan_other(struct goals *g, struct subject *s)
{
	struct sink silent = {.arena = g->sema->arena, .sources = g->sema->sink->sources};
	const struct deploy *d = s->deploy;
	const struct local *l =
		d->program && d->known && !d->refused ? dag_local(g->sema->arena, g->sema->names, &silent, d) : NULL;
	s->schedule = l && !d->needs_training ? dag_schedule(g->sema->arena, &silent, l, g->target) : NULL;
	if (d->program)
		s->n_totals = planner_totals(d, s->schedule, s->totals);
	s->training = l && d->needs_training ? training_of(g->sema->arena, l) : NULL;
	if (s->training)
		s->n_totals += planner_training_totals(s->training, s->totals + s->n_totals);
}

struct subject pools_subject(struct arena *arena, const struct pools *s)
{
	struct subject out = {.deploy = s->joint->self, .metrics = arena_new(arena, struct metrics)};
	*out.metrics = s->metrics;
	out.n_totals = pools_totals(s, out.totals);
	return out;
}

struct subject share_subject(struct arena *arena, const struct share *s)
{
	struct subject out = {.deploy = s->joint->self, .metrics = arena_new(arena, struct metrics)};
	*out.metrics = s->metrics;
	out.n_totals = share_totals(s, out.totals);
	return out;
}

/* Deployments of the file that are planned together; NULL: there are none of that name. */
static struct subject *other_joint(struct goals *g, const char *name)
{
	int n;
	struct sema *sema = g->sema;
	struct joint **all = sema_joints(sema, &n);
	struct sink silent = {.arena = sema->arena, .sources = sema->sink->sources};
	for (int i = 0; i < n; i++) {
		struct joint *j = all[i];
		if (strcmp(j->self->name, name) || j->self == g->self.deploy)
			continue;
		struct subject *s = arena_new(sema->arena, struct subject);
		*s = j->kind == JOINT_SHARE
		         ? share_subject(sema->arena, planner_share(sema->arena, sema->names, &silent, j, g->target))
		         : pools_subject(sema->arena, planner_pools(sema->arena, sema->names, &silent, j, g->target));
		vec_push(sema->arena, &g->others, s);
		return s;
	}
	return NULL;
}

struct subject *goal_other(struct goals *g, const char *name)
{
	int n;
	struct deploy **all = sema_deploys(g->sema, &n);
	for (int i = 0; i < g->others.n; i++)
		if (!strcmp(g->others.at[i]->deploy->name, name))
			return g->others.at[i];
	for (int i = 0; i < n; i++) {
		if (strcmp(all[i]->name, name))
			continue;
		struct subject *s = arena_new(g->sema->arena, struct subject);
		s->deploy = all[i];
		plan_other(g, s);
		vec_push(g->sema->arena, &g->others, s);
		return s;
	}
	return other_joint(g, name);
}

/* ---- parts of a batch ------------------------------------------------------------------------- */

static const struct part_kind {
	const char *name;
	enum { OF_TERMS, OF_COLLECTIVES, OF_PARAMS, OF_STATES } of;
	int which; /* enum term_kind or enum dr_collective_kind; -1: all */
} kinds[] = {
	{"all_reduce", OF_COLLECTIVES, DR_ALL_REDUCE},
	{"all_gather", OF_COLLECTIVES, DR_ALL_GATHER},
	{"reduce_scatter", OF_COLLECTIVES, DR_REDUCE_SCATTER},
	{"all_to_all", OF_COLLECTIVES, DR_ALL_TO_ALL},
	{"send", OF_COLLECTIVES, DR_SEND},
	{"products", OF_TERMS, TERM_PRODUCT},
	{"experts", OF_TERMS, TERM_EXPERTS},
	{"attention", OF_TERMS, TERM_ATTENTION},
	{"rows", OF_TERMS, TERM_ROWS},
	{"communication", OF_COLLECTIVES, -1},
	{"weight", OF_PARAMS, 0},
	{"cache", OF_STATES, 0},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct part {
	const struct part_kind *kind; /* NULL: all terms */
	const char *region;           /* "": everywhere */
};

static const struct part_kind *kind_named(const char *name)
{
	for (int i = 0; i < KINDS; i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

/* Does a path such as `layer.attn.wq`, or the name of an operation such as `layer.attn: contract wq`, lie in a region,
 * or in one below it? `end` comes after the path's own region. */
static bool lies_in(const char *path, char end, const char *region)
{
	const char *last = strrchr(path, end);
	size_t n = strlen(region);
	for (const char *at = path; n && last && at < last; at++) {
		bool begins = at == path || at[-1] == '.';
		if (begins && !strncmp(at, region, n) && (at[n] == '.' || at + n == last))
			return true;
	}
	return !n;
}

static bool has_term(const struct schedule *s, const struct part *p, const struct op_time *o, int op)
{
	if (!o->term || !lies_in(s->op_names.at[op], ':', p->region))
		return false;
	bool sent = o->term->kind >= TERM_COLLECTIVE;
	if (!p->kind)
		return true;
	if (p->kind->of == OF_TERMS)
		return (int)o->term->kind == p->kind->which;
	return sent
	       && (p->kind->which < 0 || (int)s->collectives.at[o->term->instr->collective.index].kind == p->kind->which);
}

/* Bytes of params in a region, on the rank of a stage. */
static double param_bytes(const struct schedule *s, const struct part *p, int stage)
{
	double bytes = 0;
	for (int i = 0; i < s->params.n; i++) {
		const struct placed_param *at = &s->params.at[i];
		if (!lies_in(at->param->path, '.', p->region) || (at->stage >= 0 && at->stage != stage))
			continue;
		int64_t layers = at->space == DR_SPACE_LAYER ? 0 : 1;
		const struct stage *st = &s->stages.at[stage];
		for (int64_t k = st->layer_begin; at->space == DR_SPACE_LAYER && k < st->layer_end; k++)
			layers += s->body_of[k] == at->param->body;
		bytes += (double)layers * (double)at->bytes;
	}
	return bytes;
}

static double state_bytes(const struct schedule *s, const struct part *p, int stage)
{
	const struct program *program = s->deploy->program;
	double bytes = 0;
	for (int i = 0; i < s->states.n; i++) {
		const struct placed_state *at = &s->states.at[i];
		if (!lies_in(program->states.at[i].path, '.', p->region))
			continue;
		const struct stage *st = &s->stages.at[stage];
		int64_t layers = at->body >= 0 ? 0 : stages_have(s->parts.at[at->part], stage);
		for (int64_t k = st->layer_begin; at->body >= 0 && k < st->layer_end; k++)
			layers += s->body_of[k] == at->body;
		bytes += (double)layers * (double)at->bytes;
	}
	return bytes;
}

/* On the stage that has most. */
static double resident_bytes(const struct schedule *s, const struct part *p)
{
	double most = 0;
	for (int i = 0; i < s->stages.n; i++) {
		double bytes = p->kind->of == OF_PARAMS ? param_bytes(s, p, i) : state_bytes(s, p, i);
		most = bytes > most ? bytes : most;
	}
	return most;
}

/* ---- calls ------------------------------------------------------------------------------------ */

static const char *call_text(struct goals *g, const struct node *e)
{
	return arena_strndup(g->sema->arena, g->sema->sink->sources->files.at[e->span.file].text + e->span.lo,
	                     e->span.hi - e->span.lo);
}

/* The arguments: at most one kind, and `at = region`. false after a report. */
static bool read_part(struct goals *g, const struct node *e, struct part *out)
{
	const char *f = e->call.f->ident.name;
	const struct program *program = g->self.deploy->program;
	*out = (struct part){NULL, ""};
	for (int i = 0; i < e->call.args.n; i++) {
		const struct node *arg = e->call.args.at[i];
		bool named = arg->kind == N_ARG_NAMED;
		const char *name = dotted_name(g->sema->arena, named ? arg->dot.x : arg);
		if (named && name && !strcmp(arg->dot.name.name, "at") && !*out->region) {
			out->region = name;
			if (!dag_has_region(program, name)) {
				sema_report(g->sema, DIAG_E0505, arg->dot.x->span, "the model has no region `%s`", name);
				return false;
			}
		} else if (!named && name && !out->kind && kind_named(name)) {
			out->kind = kind_named(name);
		} else {
			struct diag *d = sema_report(g->sema, DIAG_E0411, arg->span, "`%s` takes a kind and `at = region`", f);
			diag_help(g->sema->sink, d,
			          "kinds are all_reduce, all_gather, reduce_scatter, all_to_all, send, communication; products, "
			          "experts, attention, rows; weight, cache");
			return false;
		}
	}
	return true;
}

static struct val part_time(struct goals *g, const struct node *e, const struct part *p, bool hidden)
{
	const struct schedule *s = g->self.schedule;
	const struct metrics *m = goal_metrics(g, &g->self);
	double seconds = 0, exposed = 0;
	for (int i = 0; m->ops && s && i < s->op_names.n; i++)
		if (has_term(s, p, &m->ops[i], i)) {
			seconds += m->ops[i].seconds;
			exposed += m->ops[i].exposed;
		}
	struct dims time = {.power[DIM_TIME] = 1}, none = {{0}};
	struct estimate x = m->lacks || !m->ops ? estimate_missing(m->lacks)
	                    : !hidden           ? estimate_of(seconds, m->interval, false, NAN)
	                    : seconds > 0       ? estimate_share(seconds - exposed, seconds, m->interval)
	                                        : estimate_missing("nothing of the kind takes time");
	return goal_figure(g, &g->self, call_text(g, e), hidden ? METRIC_COMM_HIDDEN : METRIC_COMM_TIME, &x,
	                   hidden ? none : time);
}

/* Exact: what a rank holds, or sends for a batch. */
static struct val part_bytes(struct goals *g, const struct part *p)
{
	const struct schedule *s = g->self.schedule;
	struct dims data = {.power[DIM_DATA] = 1};
	double sent = 0;
	if (!s)
		return val_unknown("bytes");
	if (p->kind && (p->kind->of == OF_PARAMS || p->kind->of == OF_STATES))
		return val_quantity(resident_bytes(s, p), data);
	const struct metrics *m = goal_metrics(g, &g->self);
	for (int i = 0; m->ops && i < s->op_names.n; i++)
		sent += has_term(s, p, &m->ops[i], i) ? m->ops[i].sent : 0;
	return m->ops ? val_quantity(sent, data) : val_unknown("bytes");
}

bool goal_part(struct goals *g, const struct node *e, struct val *out)
{
	const char *f = e->call.f->kind == N_ID ? e->call.f->ident.name : "";
	bool bytes = !strcmp(f, "bytes"), time = !strcmp(f, "time"), hidden = !strcmp(f, "hidden");
	struct part p;
	if (!bytes && !time && !hidden)
		return false;
	if (!read_part(g, e, &p))
		*out = val_bad();
	else if (bytes)
		*out = part_bytes(g, &p);
	else
		*out = g->level == CORNER_NONE ? val_unknown(call_text(g, e)) : part_time(g, e, &p, hidden);
	return true;
}
