/* Deployments that are planned together: `serve` joins two that hand over caches. Each is checked by itself before. */
#include "deploy.h"
#include <stdlib.h>
#include <string.h>

bool kind_is_joint(const char *kind) { return !strcmp(kind, "serve") || !strcmp(kind, "share"); }

const char *send_when_name(enum send_when when)
{
	static const char *const names[SEND_WHENS] = {"whole", "chunks", "layers"};
	return names[when];
}

struct joining {
	struct deployment c;
	struct joint *joint;
};

static struct span where(const struct joining *j, const char *field)
{
	return field_where(record_field(j->c.self, field));
}

/* Nothing chooses a value: E0203. */
static bool is_open(struct joining *j, const char *name, struct span at, struct val v)
{
	struct val open;
	if (!val_open(v, &open))
		return false;
	struct diag *d = deployment_report(&j->c, DIAG_E0203, at, "`%s` cannot be `auto`", name);
	diag_help(j->c.sema->sink, d, "%s",
	          !strncmp(name, "units", 5) ? "leave it out, and state the `rate`: units are then as few as sustain it"
	                                     : "state it: a search chooses values of one deployment");
	return true;
}

static void check_open(struct joining *j)
{
	struct record *r = j->c.self;
	for (int i = 0; i < r->fields.n; i++)
		is_open(j, r->fields.at[i]->name, field_where(r->fields.at[i]), record_get(r, r->fields.at[i]->name, r->span));
}

/* The deployment of the file that a value of a field is; NULL after a report. */
static const struct deploy *member_of(struct joining *j, const char *field, struct val v)
{
	struct sema *s = j->c.sema;
	for (int i = 0; i < s->deploys.n && v.kind == V_RECORD; i++)
		if (s->deploys.at[i]->record == v.record)
			return s->deploys.at[i];
	if (v.kind != V_RECORD) {
		j->c.bad = true;
		return NULL;
	}
	struct diag *d = deployment_report(&j->c, DIAG_E0203, where(j, field),
	                                   "`%s` expects the name of a deployment of this file", field);
	const char *base = v.record->name ? v.record->name : "Base";
	diag_help(s->sink, d, "declare it, `deploy Name = %s { ... }`, and name it here", base);
	return NULL;
}

static int64_t units_of(struct joining *j, const char *pool, struct span *at)
{
	struct record *units = record_of(j->c.self, "units");
	const struct field *f = units ? record_field(units, pool) : NULL;
	struct val v = f ? record_get(units, pool, f->span) : val_none();
	int64_t n = 0;
	if (f)
		*at = field_where(f);
	if (!is_open(j, arena_printf(j->c.sema->arena, "units.%s", pool), *at, v) && v.kind == V_INT)
		deployment_int(&j->c, units, pool, 1, &n);
	return n;
}

static void add_member(struct joining *j, const char *field, struct val v)
{
	struct joint_member m = {.deploy = member_of(j, field, v), .span = where(j, field)};
	vec_push(j->c.sema->arena, &j->joint->members, m);
}

static void add_pool(struct joining *j, const char *pool)
{
	add_member(j, pool, record_get(j->c.self, pool, j->joint->self->name_span));
	struct joint_member *m = &j->joint->members.at[j->joint->members.n - 1];
	m->units = units_of(j, pool, &m->units_span);
}

/* ---- what both pools must agree on ------------------------------------------------------------ */

static const struct joint_member *side(const struct joining *j, int i) { return &j->joint->members.at[i]; }

static struct diag *differ(struct joining *j, const char *message)
{
	struct diag *d = deployment_report(&j->c, DIAG_E0612, side(j, SERVE_DECODE)->span, "%s", message);
	diag_related(j->c.sema->sink, d, side(j, SERVE_PREFILL)->span, "the pool that reads prompts");
	return d;
}

static char *dump(const struct program *p)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	if (!out)
		out_of_memory(n);
	program_print(p, out);
	fclose(out);
	return text;
}

static bool same_program(const struct program *a, const struct program *b)
{
	if (a == b)
		return true;
	char *one = dump(a), *other = dump(b);
	bool same = !strcmp(one, other);
	free(one);
	free(other);
	return same;
}

static const char *setting_of(const struct deploy_setting *all, int n, const char *path)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(all[i].path, path))
			return all[i].text;
	return "unset";
}

/* The first field of the model in which two deployments differ: "model.layers = 32 in `A`, 16 in `B`". */
static const char *different_field(struct joining *j, const struct deploy *a, const struct deploy *b)
{
	int n, m;
	const struct deploy_setting *of_a = sema_settings(a, &n), *of_b = sema_settings(b, &m);
	for (int i = 0; i < n; i++) {
		const char *other = setting_of(of_b, m, of_a[i].path);
		if (!strncmp(of_a[i].path, "model.", 6) && strcmp(of_a[i].text, other) != 0)
			return arena_printf(j->c.sema->arena, "%s = %s in `%s`, %s in `%s`", of_a[i].path, of_a[i].text, a->name,
			                    other, b->name);
	}
	return NULL;
}

/* Reports a cache whose format differs. */
static bool formats_differ(struct joining *j, const struct deploy *a, const struct deploy *b)
{
	const struct program *p = a->program, *q = b->program;
	for (int i = 0; i < p->states.n && i < q->states.n; i++) {
		enum dtype one = p->states.at[i].dtype, other = q->states.at[i].dtype;
		if (one == other)
			continue;
		struct diag *d = differ(j, arena_printf(j->c.sema->arena, "the cache is %s in `%s`, %s in `%s`",
		                                        dtype_name(one), a->name, dtype_name(other), b->name));
		diag_note(j->c.sema->sink, d, "a cache is handed over as it is: no format is converted");
		diag_help(j->c.sema->sink, d, "give both models the same `kv`");
		return true;
	}
	return false;
}

static void check_models(struct joining *j, const struct deploy *a, const struct deploy *b)
{
	if (!a->program->states.n) {
		differ(j, arena_printf(j->c.sema->arena, "`%s` keeps no cache: there is nothing to hand over", a->model_name));
		return;
	}
	if (same_program(a->program, b->program) || formats_differ(j, a, b))
		return;
	struct diag *d = differ(j, arena_printf(j->c.sema->arena, "`%s` and `%s` hold different models", a->name, b->name));
	const char *field = different_field(j, a, b);
	if (strcmp(a->model_name, b->model_name) != 0)
		diag_note(j->c.sema->sink, d, "`%s` and `%s`", a->model_name, b->model_name);
	else if (field)
		diag_note(j->c.sema->sink, d, "%s", field);
	diag_help(j->c.sema->sink, d, "a cache means something only to the model that made it: name one model in both");
}

static const char *lengths(struct joining *j, const struct workload *w)
{
	return w->seq_lo == w->seq_hi
	           ? arena_printf(j->c.sema->arena, "%lld", (long long)w->seq_hi)
	           : arena_printf(j->c.sema->arena, "%lld to %lld", (long long)w->seq_lo, (long long)w->seq_hi);
}

static void check_workloads(struct joining *j, const struct deploy *a, const struct deploy *b)
{
	struct arena *arena = j->c.sema->arena;
	const struct workload *w = &a->work, *v = &b->work;
	if (w->training || v->training) {
		struct diag *d = differ(j, arena_printf(arena, "`%s` trains", (w->training ? a : b)->name));
		diag_help(j->c.sema->sink, d, "pools serve: their workload is an `Inference`");
		return;
	}
	if (w->seq_lo != v->seq_lo || w->seq_hi != v->seq_hi) {
		struct diag *d = differ(j, arena_printf(arena, "prompts have %s tokens in `%s`, %s in `%s`", lengths(j, w),
		                                        a->name, lengths(j, v), b->name));
		diag_help(j->c.sema->sink, d, "the prompts of both are the same ones: give both the same `seq`");
	} else if (v->output_hi < 2) {
		struct diag *d = differ(j, arena_printf(arena, "`%s` has nothing to do: one token is generated", b->name));
		diag_help(j->c.sema->sink, d, "`output` of its workload is 2 or more");
	}
}

/* ---- machines --------------------------------------------------------------------------------- */

static bool same_figure(double a, double b) { return a == b || (!figure_known(a) && !figure_known(b)); }

/* Are the devices of one machine those of another, joined by the same links? How many there are may differ, on the
 * outermost level that both have. NULL, or what differs. */
static const char *different_machine(struct arena *a, const struct machine *m, const struct machine *n)
{
	if (m->device.name != n->device.name && strcmp(m->device.name, n->device.name) != 0)
		return arena_printf(a, "devices are %s, not %s", m->device.name, n->device.name);
	if (!same_figure(m->device.memory, n->device.memory) || !same_figure(m->device.bandwidth, n->device.bandwidth)
	    || !same_figure(m->reserve, n->reserve))
		return arena_printf(a, "figures of `%s` differ", m->device.name);
	int levels = m->levels.n < n->levels.n ? m->levels.n : n->levels.n;
	for (int i = 0; i < levels; i++) {
		const struct level *x = &m->levels.at[i], *y = &n->levels.at[i];
		if (strcmp(x->name, y->name) != 0)
			return arena_printf(a, "level %d is `%s`, not `%s`", i, x->name, y->name);
		if (!same_figure(x->link.bandwidth, y->link.bandwidth) || !same_figure(x->link.latency, y->link.latency)
		    || !same_figure(x->nics_per_device, y->nics_per_device)
		    || !same_figure(x->oversubscription, y->oversubscription))
			return arena_printf(a, "links of level `%s` differ", x->name);
		if (i + 1 < levels && x->count != y->count)
			return arena_printf(a, "level `%s` joins %lld, not %lld", x->name, (long long)x->count,
			                    (long long)y->count);
	}
	return NULL;
}

/* Was a deployment planned on the devices and links of the cluster? Else E0613. */
static void check_machine(struct joining *j, const struct deploy *d)
{
	const struct machine *m = &j->joint->self->machine;
	const char *why = different_machine(j->c.sema->arena, &d->machine, m);
	if (!why)
		return;
	struct diag *diag = deployment_report(&j->c, DIAG_E0613, where(j, "cluster"),
	                                      "`%s` is planned on another machine than `%s`", d->name, m->name);
	diag_related(j->c.sema->sink, diag, d->machine.span, "its cluster: %s", why);
	diag_help(j->c.sema->sink, diag, "leave `cluster` out, or give the deployment the same devices and links");
}

/* ---- deployments that share devices ------------------------------------------------------------ */

static double share_of(struct val v, int i)
{
	double x;
	return v.kind == V_LIST && i < v.list.n && val_number(v.list.at[i], &x) ? x : ABSENT;
}

/* Turns are shares of the time, one for each deployment: E0614. */
static void check_turns(struct joining *j)
{
	struct val v = record_get(j->c.self, "turns", j->c.self->span);
	struct arena *a = j->c.sema->arena;
	struct text t = {.arena = a};
	double all = 0;
	bool good = true;
	for (int i = 0; v.kind == V_LIST && i < v.list.n; i++) {
		double x = share_of(v, i);
		good &= x > 0;
		all += x;
		text_add(&t, "%s%g%%", i ? " + " : "", 100 * x);
	}
	if (v.kind != V_LIST)
		return;
	if (v.list.n != j->joint->members.n) {
		struct diag *d = deployment_report(&j->c, DIAG_E0614, where(j, "turns"), "%d turn%s for %d deployments",
		                                   v.list.n, plural(v.list.n), j->joint->members.n);
		diag_help(j->c.sema->sink, d, "`turns` has a share of the time for each of them, in the order of `of`");
	} else if (!good) {
		struct diag *d =
			deployment_report(&j->c, DIAG_E0614, where(j, "turns"), "a turn takes none of the time: %s", t.at);
		diag_help(j->c.sema->sink, d, "leave the deployment out, or give it a share above 0%%");
	} else if (all > 1 + 1e-9) {
		struct diag *d =
			deployment_report(&j->c, DIAG_E0614, where(j, "turns"), "turns take %g%% of the time", 100 * all);
		diag_note(j->c.sema->sink, d, "%s", t.at);
		diag_help(j->c.sema->sink, d, "all together are at most 100%%");
	}
}

static void add_sharers(struct joining *j)
{
	struct val of = record_get(j->c.self, "of", j->joint->self->name_span);
	struct val turns = record_get(j->c.self, "turns", j->c.self->span);
	for (int i = 0; of.kind == V_LIST && i < of.list.n; i++) {
		add_member(j, "of", of.list.at[i]);
		struct joint_member *m = &j->joint->members.at[i];
		m->turn = share_of(turns, i);
		for (int k = 0; k < i && m->deploy; k++)
			if (j->joint->members.at[k].deploy == m->deploy)
				deployment_report(&j->c, DIAG_E0614, m->span, "`%s` is listed twice", m->deploy->name);
		if (m->deploy && m->deploy->work.training) {
			struct diag *d = deployment_report(&j->c, DIAG_E0614, m->span, "`%s` trains: it leaves no turn to others",
			                                   m->deploy->name);
			diag_help(j->c.sema->sink, d, "what shares devices serves: its workload is an `Inference`");
		}
	}
	if (!j->c.bad && j->joint->members.n < 2)
		deployment_report(&j->c, DIAG_E0614, where(j, "of"), "`%s` lists %d deployment%s: at least 2 share devices",
		                  j->joint->self->name, j->joint->members.n, plural(j->joint->members.n));
	check_turns(j);
}

/* ---- the whole -------------------------------------------------------------------------------- */

static void read_self(struct joining *j)
{
	struct deploy *self = j->joint->self;
	const struct deploy *first = side(j, 0)->deploy, *last = side(j, j->joint->members.n - 1)->deploy;
	struct val cluster = record_get(j->c.self, "cluster", self->name_span);
	self->program = last->program;
	self->model_name = last->model_name;
	self->work = last->work;
	self->engine = first->engine;
	j->c.bad |= cluster.kind != V_RECORD;
	if (j->c.bad)
		return;
	j->c.cluster = cluster.record;
	deployment_read_machine(&j->c);
	if (!self->machine.devices)
		is_open(j, "cluster", where(j, "cluster"), val_unknown("cluster"));
}

static void read_fields(struct joining *j)
{
	struct val send = record_get(j->c.self, "send", j->c.self->span);
	j->joint->rate = figure_of(j->c.self, "rate");
	j->joint->rate_span = where(j, "rate");
	j->joint->link = deployment_read_link(j->c.self);
	for (int i = 0; i < SEND_WHENS && send.kind == V_SYMBOL; i++)
		if (!strcmp(send.name, send_when_name((enum send_when)i)))
			j->joint->send = (enum send_when)i;
}

/* Checks what joins the members, which have programs. */
static void check_serve(struct joining *j)
{
	const struct deploy *a = side(j, SERVE_PREFILL)->deploy, *b = side(j, SERVE_DECODE)->deploy;
	check_models(j, a, b);
	check_workloads(j, a, b);
	if (j->c.bad)
		return;
	check_machine(j, a);
	j->joint->apart = different_machine(j->c.sema->arena, &b->machine, &j->joint->self->machine) != NULL;
}

static void read_members(struct joining *j)
{
	check_open(j);
	if (j->c.bad)
		return;
	if (j->joint->kind == JOINT_SHARE) {
		add_sharers(j);
		return;
	}
	add_pool(j, "prefill");
	add_pool(j, "decode");
	read_fields(j);
}

static bool have_programs(const struct joint *j)
{
	bool all = j->members.n > 0;
	for (int i = 0; i < j->members.n; i++)
		all &= j->members.at[i].deploy && j->members.at[i].deploy->program;
	return all;
}

/* Whether the members can be planned, or only what `auto` leaves open is missing. */
static void set_known(struct joint *j)
{
	j->known = true;
	for (int i = 0; i < j->members.n; i++) {
		const struct deploy *d = j->members.at[i].deploy;
		j->known &= d->known && !d->refused;
		j->open |= d->has_auto;
	}
	for (int i = 0; i < j->members.n; i++)
		j->open &= !j->members.at[i].deploy->refused;
}

struct joint *joint_check(struct sema *s, struct record *r, struct def *def)
{
	struct joint *joint = arena_new(s->arena, struct joint);
	struct deploy *self = joint->self = arena_new(s->arena, struct deploy);
	self->name = def->name;
	self->name_span = def->node->named.name.span;
	self->record = r;
	joint->kind = !strcmp(def->kind, "share") ? JOINT_SHARE : JOINT_SERVE;
	struct joining j = {{.sema = s, .deploy = self, .self = r}, joint};
	j.c.bad = !record_check(r, false);
	if (!j.c.bad)
		read_members(&j);
	if (!j.c.bad && have_programs(joint))
		read_self(&j);
	else
		j.c.bad = true;
	for (int i = 0; i < joint->members.n && !j.c.bad && joint->kind == JOINT_SHARE; i++)
		check_machine(&j, side(&j, i)->deploy);
	if (!j.c.bad && joint->kind == JOINT_SERVE)
		check_serve(&j);
	self->refused = j.c.bad;
	if (!j.c.bad)
		set_known(joint);
	return joint;
}
