/* A deployment: its five records checked, then turned into the plain data of `struct deploy`. */
#include "deploy.h"
#include "record.h"
#include <string.h>

const char *phase_name(int phase)
{
	static const char *const names[] = {"any phase", "prefill", "decode", "train"};
	return names[phase + 1];
}

struct diag *deployment_report(struct deployment *c, enum diag_code code, struct span at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const char *message = arena_vprintf(c->sema->arena, fmt, args);
	va_end(args);
	c->bad |= diag_is_error(code);
	return sema_report(c->sema, code, at, "%s", message);
}

struct span field_where(const struct field *f) { return f->sets.n ? f->sets.at[f->sets.n - 1].span : f->span; }

struct span field_item(const struct field *f)
{
	const struct field_set *set = f->sets.n ? &f->sets.at[f->sets.n - 1] : NULL;
	struct span none = {f->span.file, f->span.lo, f->span.lo};
	return set && set->value && !set->layer->module->is_std ? span_join(set->span, set->value->span) : none;
}

void deployment_auto(struct deployment *c, struct span at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const char *what = arena_vprintf(c->sema->arena, fmt, args);
	va_end(args);
	struct diag *d = deployment_report(c, DIAG_W0810, at, "`auto` leaves %s open", what);
	diag_help(c->sema->sink, d,
	          "`deployc search` chooses a value; until then nothing can be built from this deployment");
	if (!c->deploy->has_auto)
		c->deploy->auto_span = at;
	c->deploy->has_auto = true;
}

static bool any_writes_auto(struct nodes list);

/* Is `auto` written in the expression? What is computed from a field that holds it is no other choice. */
static bool writes_auto(const struct node *e)
{
	switch (e->kind) {
	case N_AUTO:  return true;
	case N_BIN:   return writes_auto(e->bin.a) || writes_auto(e->bin.b);
	case N_IF:    return writes_auto(e->cond.c) || writes_auto(e->cond.a) || writes_auto(e->cond.b);
	case N_NOT:
	case N_NEG:   return writes_auto(e->one.x);
	case N_DOT:   return writes_auto(e->dot.x);
	case N_LIST:  return any_writes_auto(e->list);
	case N_CALL:
	case N_INDEX: return any_writes_auto(e->call.args) || writes_auto(e->call.f);
	default:      return false;
	}
}

static bool any_writes_auto(struct nodes list)
{
	for (int i = 0; i < list.n; i++)
		if (writes_auto(list.at[i]))
			return true;
	return false;
}

/* Does the value depend on a choice: that of the field itself, or one in it? */
static bool is_undecided(struct val v)
{
	struct val open;
	return val_open(v, &open) || (v.kind == V_RANGE && (val_open(v.range[0], &open) || val_open(v.range[1], &open)));
}

/* Is a value a part of r: written in it, the device of the cluster, its calibration, or the link of a level? */
static bool is_part(const struct deployment *c, const struct record *r, struct val v)
{
	if (v.kind != V_RECORD || v.record->outer == r)
		return v.kind == V_RECORD;
	if (!strcmp(r->kind, "device") && !strcmp(v.record->kind, "calibration"))
		return true;
	bool of_machine = r == c->cluster || r->outer == c->cluster;
	return of_machine && (!strcmp(v.record->kind, "device") || !strcmp(v.record->kind, "link"));
}

static enum choice_kind kind_of(const char *path, const struct field *f)
{
	return f->sort == FIELD_MESH                         ? CHOICE_MESH
	       : !strcmp(path, "gpus")                       ? CHOICE_GPUS
	       : !strcmp(path, "plan.pipeline.microbatches") ? CHOICE_MICROBATCHES
	       : !strcmp(path, "workload.chunk")             ? CHOICE_CHUNK
	                                                     : CHOICE_OTHER;
}

/* A value of a list as text of the language; NULL: only its own text says it, and it has none here. */
static const char *choice_text(struct sema *s, struct val v, const struct node *e)
{
	switch (v.kind) {
	case V_NONE:
	case V_BOOL:
	case V_INT:
	case V_SYMBOL:
	case V_DTYPE:
	case V_STRING: return val_show(s, v);
	default:       break;
	}
	return e ? arena_strndup(s->arena, s->sink->sources->files.at[e->span.file].text + e->span.lo,
	                         e->span.hi - e->span.lo)
	         : NULL;
}

/* Adds a field that is left open, with the values that its text lists. */
static void add_choice(struct deployment *c, const char *path, const struct field *f, struct val v,
                       const struct node *text)
{
	struct sema *s = c->sema;
	for (int i = 0; i < c->deploy->choices.n; i++)
		if (!strcmp(c->deploy->choices.at[i].path, path))
			return;
	const struct node *listed = text->kind == N_BIN && text->bin.op == B_IN ? text->bin.b : NULL;
	struct choice choice = {.path = path,
	                        .kind = kind_of(path, f),
	                        .at = field_where(f),
	                        .n = v.kind == V_AUTO ? v.list.n : 0,
	                        .computed = v.kind != V_AUTO};
	choice.values = arena_array(s->arena, const char *, choice.n + 1);
	for (int i = 0; i < choice.n; i++) {
		bool own = listed && listed->kind == N_LIST && listed->list.n == choice.n;
		choice.values[i] = choice_text(s, v.list.at[i], own ? listed->list.at[i] : NULL);
		choice.computed |= !choice.values[i];
	}
	vec_push(s->arena, &c->deploy->choices, choice);
}

/* Reports the choices left open in a record and in its parts. path: the record's, with a dot, or "". */
static void open_choices(struct deployment *c, struct record *r, const char *path)
{
	struct arena *a = c->sema->arena;
	for (int i = 0; i < r->fields.n; i++) {
		const struct field *f = r->fields.at[i];
		if (f->sort == FIELD_VIEW || f->sort == FIELD_ELEMENT)
			continue;
		const struct node *text = f->sets.n ? f->sets.at[f->sets.n - 1].value : f->init;
		struct val v = record_get(r, f->name, r->span);
		if (text && is_undecided(v) && writes_auto(text)) {
			deployment_auto(c, field_where(f), "%s`%s`", f->sort == FIELD_MESH ? "mesh axis " : "", f->name);
			add_choice(c, arena_printf(a, "%s%s", path, f->name), f, v, text);
		}
		if (is_part(c, r, v))
			open_choices(c, v.record, arena_printf(a, "%s%s.", path, f->name));
		for (int k = 0; v.kind == V_LIST && k < v.list.n; k++)
			if (is_part(c, r, v.list.at[k]))
				open_choices(c, v.list.at[k].record, arena_printf(a, "%s%s.", path, v.list.at[k].record->name));
	}
}

bool deployment_within(struct deployment *c, struct record *r, const char *field, int64_t min, int64_t max,
                       int64_t *out)
{
	const struct field *f = record_field(r, field);
	struct val v = f ? record_get(r, field, r->span) : val_bad();
	if (v.kind != V_INT) {
		c->bad |= v.kind != V_AUTO && v.kind != V_UNKNOWN;
		return false;
	}
	if (v.i < min || v.i > max) {
		deployment_report(c, DIAG_E0203, field_where(f), "`%s` expects an Int of at %s %lld, found %lld", field,
		                  v.i < min ? "least" : "most", (long long)(v.i < min ? min : max), (long long)v.i);
		return false;
	}
	*out = v.i;
	return true;
}

bool deployment_int(struct deployment *c, struct record *r, const char *field, int64_t min, int64_t *out)
{
	return deployment_within(c, r, field, min, MAX_COUNT, out);
}

/* The record that a field of the deployment holds; NULL after a report. */
static struct record *part(struct deployment *c, const char *field)
{
	struct val v = record_get(c->self, field, c->deploy->name_span);
	if (v.kind == V_RECORD && record_check(v.record, false))
		return v.record;
	if (v.kind == V_AUTO || v.kind == V_UNKNOWN)
		deployment_report(c, DIAG_E0203, field_where(record_field(c->self, field)),
		                  "`%s` cannot be `auto`: this version does not choose it", field);
	c->bad = true;
	return NULL;
}

/* The name that the value of a field is written with, without its refinement. */
static const char *name_in_text(struct deployment *c, const char *field)
{
	const struct field *f = record_field(c->self, field);
	const struct node *e = NULL;
	for (int i = 0; i < f->sets.n; i++)
		e = f->sets.at[i].value ? f->sets.at[i].value : e;
	while (e && e->kind == N_REFINE)
		e = e->sub2.base;
	return e ? dotted_name(c->sema->arena, e) : NULL;
}

static bool mentions(struct arena *a, const struct node *e, const char *term)
{
	const char *name = dotted_name(a, e);
	bool found = name && !strcmp(name, term);
	switch (name ? N_ID : e->kind) {
	case N_BIN: return mentions(a, e->bin.a, term) || mentions(a, e->bin.b, term);
	case N_IF:  return mentions(a, e->cond.c, term) || mentions(a, e->cond.a, term) || mentions(a, e->cond.b, term);
	case N_NOT:
	case N_NEG: return mentions(a, e->one.x, term);
	case N_PER: return mentions(a, e->dot.x, term);
	case N_CALL:
		for (int i = 0; i < e->call.args.n; i++)
			found |= mentions(a, e->call.args.at[i], term);
		return found;
	default: return found;
	}
}

/* Does a `require` or an `assert` of a deployment name this metric or total? */
static bool goals_mention(const struct record *deploy, const char *term)
{
	for (int i = 0; i < deploy->goals.n; i++) {
		const struct node *goal = deploy->goals.at[i].item;
		if ((goal->kind == N_REQUIRE || goal->kind == N_ASSERT)
		    && mentions(deploy->sema->arena, goal->claim.value, term))
			return true;
	}
	return false;
}

/* The model, refined by `training = true` where it is trained; what sets that field is left alone. */
static struct record *trained(struct deployment *c)
{
	struct sema *s = c->sema;
	const struct field *f = record_field(c->model, "training");
	if (!record_is(c->work, "Training") || !f || f->sets.n)
		return c->model;
	for (int i = 0; i < s->trained.n; i++)
		if (s->trained.at[i].model == c->model)
			return s->trained.at[i].form;
	const struct node *item = sema_item(s, (struct suggestion){"training", "true"});
	struct nodes items = {arena_array(s->arena, struct node *, 1), 1};
	items.at[0] = (struct node *)item;
	struct layer *l = layer_new(module_scope(s, s->main), items, LAYER_REFINE, c->model->name, c->deploy->name_span);
	struct trained form = {c->model, record_refine(c->model, l)};
	vec_push(s->arena, &s->trained, form);
	return form.form;
}

struct deploy *deploy_check(struct sema *s, struct record *r, struct def *def)
{
	struct deploy *d = arena_new(s->arena, struct deploy);
	d->name = def->name;
	d->name_span = def->node->named.name.span;
	d->record = r;
	struct deployment c = {.sema = s, .deploy = d, .self = r, .bad = !record_check(r, false)};
	c.model = part(&c, "model");
	c.cluster = part(&c, "cluster");
	c.plan = part(&c, "plan");
	c.work = part(&c, "workload");
	struct record *engine = part(&c, "engine");
	if (c.bad)
		return d;
	d->engine = engine_read(s, engine);
	d->model_name = c.model->name;
	c.model = trained(&c);
	d->plan_name = c.plan->name;
	d->plan_text = name_in_text(&c, "plan");
	struct program *program = walk_model(s, c.model, d->name_span);
	if (!program)
		return d;
	d->program = program;
	d->headroom_required = goals_mention(r, "memory.headroom");
	deployment_machine(&c);
	open_choices(&c, r, "");
	open_choices(&c, c.model, "model.");
	open_choices(&c, c.cluster, "cluster.");
	open_choices(&c, c.plan, "plan.");
	open_choices(&c, c.work, "workload.");
	open_choices(&c, engine, "engine.");
	deployment_mesh(&c);
	deployment_rules(&c);
	deployment_settings(&c);
	d->refused = c.bad;
	c.bad = false; /* totals of a model and its workload do not depend on the plan */
	deployment_workload(&c);
	d->known &= !d->has_auto;
	d->refused |= c.bad;
	if (c.bad)
		d->program = NULL;
	return d;
}
