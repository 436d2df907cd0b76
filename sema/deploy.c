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
	static const struct {
		const char *path;
		enum choice_kind kind;
	} known[] = {{"plan", CHOICE_PART},
	             {"cluster", CHOICE_PART},
	             {"gpus", CHOICE_GPUS},
	             {"workload.batch", CHOICE_BATCH},
	             {"workload.chunk", CHOICE_CHUNK},
	             {"workload.page", CHOICE_PAGE},
	             {"plan.pipeline.microbatches", CHOICE_MICROBATCHES},
	             {"plan.pipeline.virtual", CHOICE_VIRTUAL}};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!strcmp(path, known[i].path))
			return known[i].kind;
	static const char cluster[] = "cluster.";
	size_t n = strlen(cluster);
	if (!strncmp(path, cluster, n) && !strchr(path + n, '.') && type_is(f->type, "Int"))
		return CHOICE_COUNT;
	return f->sort == FIELD_MESH ? CHOICE_MESH : CHOICE_OTHER;
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

static void add_value(struct sema *s, struct choice *c, const char *text)
{
	const char **values = arena_array(s->arena, const char *, c->n + 1);
	for (int i = 0; i < c->n; i++)
		values[i] = c->values[i];
	values[c->n++] = text;
	c->values = values;
}

/* The records of a schema that the file declares or names in a `use`. */
static void add_records(struct sema *s, struct choice *c, const char *schema)
{
	struct module *m = s->main;
	for (int i = 0; i < m->names.n; i++) {
		const struct binding *b = module_find(s, m, m->names.at[i].name);
		bool is_record = b && b->def && strcmp(b->def->kind, "schema") != 0 && !def_is_program(b->def);
		struct record *r = is_record && !b->def->failed ? def_record(s, b->def) : NULL;
		if (r && record_is(r, schema))
			add_value(s, c, b->name);
	}
}

/* The values of an open field that no text lists, if its type says which there are. */
static void add_typed(struct sema *s, struct choice *c, const struct node *type)
{
	c->whole = true;
	if (type_is(type, "Bool")) {
		add_value(s, c, "false");
		add_value(s, c, "true");
	} else if (type_is(type, "enum")) {
		for (int i = 0; i < type->type.args.n; i++) {
			const struct path *symbol = &type->type.args.at[i]->type.path;
			add_value(s, c, symbol->at[symbol->n - 1].name);
		}
	} else if (type && type->type.has_path && type_is_schema(type)) {
		add_records(s, c, type->type.path.at[type->type.path.n - 1].name);
	}
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
	                        .text = text->span,
	                        .n = v.kind == V_AUTO ? v.list.n : 0,
	                        .computed = v.kind != V_AUTO};
	choice.values = arena_array(s->arena, const char *, choice.n + 1);
	for (int i = 0; i < choice.n; i++) {
		bool own = listed && listed->kind == N_LIST && listed->list.n == choice.n;
		choice.values[i] = choice_text(s, v.list.at[i], own ? listed->list.at[i] : NULL);
		choice.computed |= !choice.values[i];
	}
	if (!choice.n && !choice.computed)
		add_typed(s, &choice, f->type);
	vec_push(s->arena, &c->deploy->choices, choice);
}

/* Reports a field whose value is left open by its own text, and adds it. prefix: of its record, as of open_choices. */
static void open_field(struct deployment *c, const struct field *f, struct val v, const char *prefix)
{
	const struct node *text = f->sets.n ? f->sets.at[f->sets.n - 1].value : f->init;
	if (!text || !is_undecided(v) || !writes_auto(text))
		return;
	deployment_auto(c, field_where(f), "%s`%s`", f->sort == FIELD_MESH ? "mesh axis " : "", f->name);
	add_choice(c, arena_printf(c->sema->arena, "%s%s", prefix, f->name), f, v, text);
}

/* Reports the choices left open in a record and in its parts. path: the record's, with a dot, or "". */
static void open_choices(struct deployment *c, struct record *r, const char *path)
{
	struct arena *a = c->sema->arena;
	for (int i = 0; i < r->fields.n; i++) {
		const struct field *f = r->fields.at[i];
		if (f->sort == FIELD_VIEW || f->sort == FIELD_ELEMENT)
			continue;
		struct val v = record_get(r, f->name, r->span);
		open_field(c, f, v, path);
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

/* The record that a field of the deployment holds; NULL after a report. may_be_open: also NULL where `auto` leaves it
 * to a search. */
static struct record *part(struct deployment *c, const char *field, bool may_be_open)
{
	struct val v = record_get(c->self, field, c->deploy->name_span);
	if (v.kind == V_RECORD && record_check(v.record, false))
		return v.record;
	if (v.kind == V_AUTO && may_be_open)
		return NULL;
	if (v.kind == V_AUTO || v.kind == V_UNKNOWN) {
		struct diag *d = deployment_report(c, DIAG_E0203, field_where(record_field(c->self, field)),
		                                   "`%s` cannot be `auto`: a search chooses plans and clusters", field);
		if (!may_be_open)
			diag_help(c->sema->sink, d, "leave one of its fields open: `batch = auto in [32, 64]`");
	}
	c->bad = true;
	return NULL;
}

struct writing {
	struct sema *sema;
	struct part_text *out;
	const char *path, *scope; /* of the body in hand: "pipeline.", "at moe" */
};

static const char *text_at(struct sema *s, struct span at)
{
	return arena_strndup(s->arena, s->sink->sources->files.at[at.file].text + at.lo, at.hi - at.lo);
}

static const char *path_text(struct arena *a, struct path p)
{
	struct text t = {.arena = a};
	for (int i = 0; i < p.n; i++)
		text_add(&t, "%s%s", i ? "." : "", p.at[i].name);
	return t.at;
}

static void written_body(const struct writing *w, struct nodes body);

static void written_item(const struct writing *w, const struct node *x)
{
	struct arena *a = w->sema->arena;
	struct writing inner = *w;
	if (x->kind == N_SUB && w->path) {
		const char *name = path_text(a, x->sub.path);
		inner.path = arena_printf(a, "%s%s.", w->path, name);
		inner.scope = *w->scope ? arena_printf(a, "%s { %s", w->scope, name) : name;
		written_body(&inner, x->sub.body);
		return;
	}
	const char *kind = x->kind == N_NAMED && x->named.tail == TAIL_BLOCK ? x->named.kind.name : "";
	if (!strcmp(kind, "at") || !strcmp(kind, "phase") || !strcmp(kind, "store")) {
		inner.path = NULL;
		const char *name = arena_printf(a, "%s %s", kind, path_text(a, x->named.name));
		inner.scope = *w->scope ? arena_printf(a, "%s { %s", w->scope, name) : name;
		written_body(&inner, x->named.body);
		return;
	}
	struct part_item item = {.scope = w->scope, .text = text_at(w->sema, x->span)};
	if (x->kind == N_SET && w->path)
		item.path = arena_printf(a, "%s%s", w->path, path_text(a, x->set.path));
	if (x->kind != N_RULE || !x->rule.is_auto)
		vec_push(a, &w->out->items, item);
}

static void written_body(const struct writing *w, struct nodes body)
{
	for (int i = 0; i < body.n; i++)
		written_item(w, body.at[i]);
}

static void written_items(struct sema *s, const struct node *e, struct part_text *out)
{
	struct writing w = {.sema = s, .out = out, .path = "", .scope = ""};
	if (e->kind != N_REFINE) {
		out->name = dotted_name(s->arena, e);
		return;
	}
	written_items(s, e->sub2.base, out);
	written_body(&w, e->sub2.body);
}

/* The value of a field as it is written. */
static struct part_text written_part(struct deployment *c, const char *field)
{
	const struct field *f = record_field(c->self, field);
	const struct node *e = NULL;
	struct part_text out = {.name = NULL};
	for (int i = 0; i < f->sets.n; i++)
		e = f->sets.at[i].value ? f->sets.at[i].value : e;
	if (e)
		written_items(c->sema, e, &out);
	return out;
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
	struct arena *before = sema_use(s, s->root); /* the text of the item is a source's */
	const struct node *item = sema_item(s, (struct suggestion){"training", "true"});
	sema_use(s, c->model->arena);
	struct nodes items = {arena_array(s->arena, struct node *, 1), 1};
	items.at[0] = (struct node *)item;
	struct layer *l = layer_new(module_scope(s, s->main), items, LAYER_REFINE, c->model->name, c->deploy->name_span);
	struct trained form = {c->model, record_refine(c->model, l)};
	sema_use(s, before);
	vec_push(s->root, &s->trained, form);
	return form.form;
}

struct deploy *deploy_check(struct sema *s, struct record *r, struct def *def)
{
	struct deploy *d = arena_new(s->arena, struct deploy);
	d->name = def->name;
	d->name_span = def->node->named.name.span;
	d->record = r;
	struct deployment c = {.sema = s, .deploy = d, .self = r, .bad = !record_check(r, false)};
	c.model = part(&c, "model", false);
	c.cluster = part(&c, "cluster", true);
	c.plan = part(&c, "plan", true);
	c.work = part(&c, "workload", false);
	struct record *engine = part(&c, "engine", false);
	if (c.bad)
		return d;
	d->engine = engine_read(s, engine);
	d->model_name = c.model->name;
	c.model = trained(&c);
	d->plan_name = c.plan ? c.plan->name : NULL;
	d->plan_text = written_part(&c, "plan");
	d->cluster_text = written_part(&c, "cluster");
	struct program *program = walk_model(s, c.model, d->name_span);
	if (!program)
		return d;
	d->program = program;
	d->headroom_required = goals_mention(r, "memory.headroom");
	if (c.cluster)
		deployment_machine(&c);
	open_choices(&c, r, "");
	open_choices(&c, c.model, "model.");
	if (c.cluster)
		open_choices(&c, c.cluster, "cluster.");
	if (c.plan)
		open_choices(&c, c.plan, "plan.");
	open_choices(&c, c.work, "workload.");
	open_choices(&c, engine, "engine.");
	if (c.cluster && c.plan) {
		deployment_mesh(&c);
		deployment_rules(&c);
		deployment_settings(&c);
	}
	d->refused = c.bad;
	c.bad = false; /* totals of a model and its workload do not depend on the plan */
	deployment_workload(&c);
	d->known &= !d->has_auto;
	d->refused |= c.bad;
	if (c.bad)
		d->program = NULL;
	return d;
}
