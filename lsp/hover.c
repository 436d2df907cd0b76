/* What is known of the name under the cursor, as Markdown. */
#include <math.h>
#include <string.h>
#include "../dag/local.h"
#include "../doc/doc.h"
#include "../parser/language.h"
#include "../planner/metrics_text.h"
#include "../planner/plan.h"
#include "chosen.h"
#include "hover.h"

enum { MAX_CODE = 600, MAX_RANKS = 16, MAX_GROUPS = 4 };

/* ---- parts of a text ------------------------------------------------------------------------- */

static const char *code_of(const struct hover *h, struct span at)
{
	const struct source *f = &h->analysis->sources.files.at[at.file];
	return arena_printf(h->server->arena, "%.*s", (int)(at.hi - at.lo), f->text + at.lo);
}

static void add_code(struct hover *h, const char *code)
{
	text_add(&h->out, "%s```deploy\n%s\n```\n", h->out.n ? "\n" : "", code);
}

static void add_comment(struct hover *h, struct span item)
{
	const char *text = doc_comment(h->server->arena, &h->analysis->sources.files.at[item.file], item.lo, item.hi);
	if (*text)
		text_add(&h->out, "\n%s\n", text);
}

/* "in std.plans", "line 12" */
static const char *where(const struct hover *h, struct span at)
{
	int line, column;
	if (at.file != sema_source(h->analysis->sema))
		return arena_printf(h->server->arena, "in `%s`", h->analysis->sources.files.at[at.file].label);
	sources_position(&h->analysis->sources, at, &line, &column);
	return arena_printf(h->server->arena, "on line %d", line);
}

/* ---- deployments that a place belongs to ----------------------------------------------------- */

/* That of the declaration around the place, else the first. NULL: there is none. */
static const struct planned *planned_of(const struct hover *h)
{
	const struct node *outer = h->spot.outer;
	for (int i = 0; i < h->analysis->n; i++)
		if (outer && outer->kind == N_NAMED && outer->named.name.n
		    && !strcmp(outer->named.name.at[0].name, h->analysis->deployments[i].planned.deploy->name))
			return analysis_planned(h->analysis, i);
	return h->analysis->n ? analysis_planned(h->analysis, 0) : NULL;
}

/* ---- fields ---------------------------------------------------------------------------------- */

static const char *shown(const struct hover *h, struct val v)
{
	if (v.kind == V_BAD || v.kind == V_UNKNOWN)
		return NULL;
	if (v.kind == V_RECORD)
		return v.record->name;
	return val_show(h->analysis->sema, v);
}

/* The item that sets a field last; not one of -D or of a lock that refines a part of the value. NULL: none does. */
static const struct field_set *last_set(const struct hover *h, const struct field *f)
{
	int i = f->sets.n;
	while (i > 1 && f->sets.at[i - 1].is_sub
	       && !strcmp(h->analysis->sources.files.at[f->sets.at[i - 1].span.file].path, "<command line>"))
		i--;
	return i ? &f->sets.at[i - 1] : NULL;
}

/* Where the value of a field comes from. */
static void add_origin(struct hover *h, const struct field *f)
{
	for (int i = f->sets.n; i--;)
		if (f->sets.at[i].value && chosen_explain(&h->out, h->analysis, f->sets.at[i].value->span))
			return;
	if (f->init && chosen_explain(&h->out, h->analysis, f->init->span))
		return;
	const struct field_set *last = last_set(h, f);
	if (last)
		text_add(&h->out, "\nset %s\n", where(h, last->span));
	else if (f->init && f->sort == FIELD_DERIVED)
		text_add(&h->out, "\nderived: `%s`\n", code_of(h, f->init->span));
	else if (f->init && f->sort != FIELD_VIEW)
		text_add(&h->out, "\nthe default: `%s`, %s\n", code_of(h, f->init->span), where(h, f->init->span));
}

static void add_field(struct hover *h, const struct field *f)
{
	static const char *const words[] = {[FIELD_AXIS] = "axis ", [FIELD_MESH] = "mesh ", [FIELD_VIEW] = "axis "};
	const char *word = f->sort <= FIELD_VIEW && words[f->sort] ? words[f->sort] : "";
	const char *type = f->type ? code_of(h, f->type->span) : NULL;
	const char *value = f->progress == FIELD_DONE ? shown(h, f->value) : NULL;
	add_code(h, arena_printf(h->server->arena, "%s%s%s%s%s%s", word, f->name, type ? " : " : "", type ? type : "",
	                         value ? " = " : "", value ? value : ""));
	const char *exact = value && f->value.kind == V_QUANTITY ? val_exact(h->server->arena, f->value) : NULL;
	if (exact && strcmp(exact, value) != 0)
		text_add(&h->out, "\n`%s`\n", exact);
	add_origin(h, f);
	uint32_t end = f->init ? f->init->span.hi : f->type ? f->type->span.hi : f->span.hi;
	bool same_file = !f->init || f->init->span.file == f->span.file;
	add_comment(h, (struct span){f->span.file, f->span.lo, same_file ? end : f->span.hi});
}

/* The field of this name in the records around the place. */
static struct field *field_around(const struct hover *h, const char *name)
{
	for (struct record *r = h->spot.record; r; r = r->outer) {
		struct field *f = record_field(r, name);
		if (f)
			return f;
	}
	return NULL;
}

/* ---- declarations ---------------------------------------------------------------------------- */

/* The head of a declaration, or all of a short one. */
static const char *head_of(const struct hover *h, const struct node *n)
{
	const char *code = code_of(h, n->span);
	const char *brace = strchr(code, '{');
	if (strlen(code) <= MAX_CODE / 2 || !brace)
		return arena_printf(h->server->arena, "%.*s", MAX_CODE, code);
	return arena_printf(h->server->arena, "%.*s{ ... }", (int)(brace - code), code);
}

static void add_totals(struct hover *h, const struct program *program)
{
	struct deploy d = {.program = (struct program *)program};
	struct total totals[PLANNER_TOTALS];
	int n = planner_totals(&d, NULL, totals);
	text_add(&h->out, "\n| | |\n|---|---:|\n");
	for (int i = 0; i < n; i++) {
		struct arena *a = h->server->arena;
		const char *value = totals[i].unit == TOTAL_PARAMS  ? planner_count(a, totals[i].value)
		                    : totals[i].unit == TOTAL_BYTES ? planner_bytes(a, totals[i].value)
		                                                    : NULL;
		if (value && totals[i].value > 0)
			text_add(&h->out, "| %s | %s |\n", totals[i].name, value);
	}
}

static void add_declaration(struct hover *h, struct span name)
{
	const struct def *d = def_at(h->analysis, name);
	if (!d)
		return;
	add_code(h, head_of(h, d->node));
	if (d->module->source != sema_source(h->analysis->sema))
		text_add(&h->out, "\nin `%s`\n", d->module->label);
	add_comment(h, d->node->span);
	for (int i = 0; i < h->analysis->sema->walked.n; i++) {
		const struct walked *w = &h->analysis->sema->walked.at[i];
		if (w->program && w->model == d->record && d->record)
			add_totals(h, w->program);
	}
	for (int i = 0; i < h->analysis->n; i++) {
		const struct deploy *deploy = h->analysis->deployments[i].planned.deploy;
		if (deploy->name_span.file != name.file || deploy->name_span.lo != name.lo || !deploy->program)
			continue;
		const struct planned *p = analysis_planned(h->analysis, i);
		text_add(&h->out, "\n%s", planner_summary(h->server->arena, p->deploy, p->schedule, p->training));
	}
}

/* ---- mesh axes ------------------------------------------------------------------------------- */

/* "0 1 2 3 | 4 5 6 7 | ..." */
static void add_ranks(struct hover *h, const struct deploy *d, int64_t size, int64_t stride)
{
	int64_t groups = d->gpus / size, shown_ranks = size < MAX_RANKS ? size : MAX_RANKS;
	text_add(&h->out, "\n%lld group%s of %lld rank%s: `", (long long)groups, plural(groups), (long long)size,
	         plural(size));
	for (int64_t g = 0; g < groups && g < MAX_GROUPS; g++) {
		int64_t first = g / stride * stride * size + g % stride;
		for (int64_t i = 0; i < shown_ranks; i++)
			text_add(&h->out, "%s%lld", i ? " " : g ? " | " : "", (long long)(first + i * stride));
		text_add(&h->out, "%s", shown_ranks < size ? " ..." : "");
	}
	text_add(&h->out, "%s`\n", groups > MAX_GROUPS ? " | ..." : "");
}

static void add_mesh(struct hover *h, const char *name)
{
	const struct planned *p = planned_of(h);
	int64_t stride = 1;
	for (int i = p && p->deploy->known ? p->deploy->mesh.n : 0; i--;) {
		const struct mesh_axis *m = &p->deploy->mesh.at[i];
		if (!strcmp(m->name, name) && p->deploy->gpus % (m->size * stride) == 0) {
			int level = planner_reach_level(p->deploy, stride * m->size);
			add_ranks(h, p->deploy, m->size, stride);
			if (level >= 0)
				text_add(&h->out, "\neach group within one `%s`\n", p->deploy->machine.levels.at[level].name);
		}
		stride *= m->size;
	}
}

/* ---- values of programs ---------------------------------------------------------------------- */

static void add_layouts(struct hover *h, const struct planned *p, int source)
{
	const struct local *l = p->local;
	const char *before = NULL;
	text_add(&h->out, "\nin `%s`:\n", p->deploy->name);
	for (int phase = 0; phase < PHASES; phase++) {
		int at = l->phase[phase].of_program[source];
		struct text t = {.arena = h->server->arena};
		if (at < 0)
			continue;
		text_add(&t, "%s", dtype_name(l->phase[phase].values.at[at].dtype));
		local_layout_text(l, &l->phase[phase].values.at[at], &t);
		if (!before || strcmp(before, t.at) != 0)
			text_add(&h->out, "\n* %s: `%s`\n", phase_name(phase), t.at);
		before = t.at;
	}
	hover_moves(h, p, source);
}

static bool is_at(struct span a, struct span b) { return a.file == b.file && a.lo == b.lo; }

/* Bytes that a device keeps for a param. */
static void add_stored(struct hover *h, const struct planned *p, int value)
{
	for (int i = 0; p->schedule && i < p->schedule->params.n; i++) {
		const struct placed_param *x = &p->schedule->params.at[i];
		if (x->param->value == value)
			text_add(&h->out, "\n* %s on a device%s\n", planner_bytes(h->server->arena, (double)x->bytes),
			         x->param->in_loop ? ", for each layer" : "");
	}
}

/* Is this the value that an item binds to the name at `definition`? Its expression is around the name, or follows it.
 */
static bool is_bound_at(const struct hover *h, const struct value *x, struct span definition)
{
	const char *text = h->analysis->sources.files.at[definition.file].text + definition.lo;
	size_t n = definition.hi - definition.lo;
	if (!x->name || strlen(x->name) != n || strncmp(x->name, text, n) != 0 || x->span.file != definition.file)
		return false;
	return x->span.hi >= definition.lo && x->span.lo <= definition.hi + MAX_CODE;
}

static void add_local(struct hover *h, struct span definition)
{
	for (int i = 0; i < h->analysis->n; i++) {
		const struct planned *p = analysis_planned(h->analysis, i);
		int v = 0, n = p->local ? p->local->program->values.n : 0;
		while (v < n && !is_bound_at(h, &p->local->program->values.at[v], definition))
			v++;
		if (v == n)
			continue;
		add_layouts(h, p, v);
		add_stored(h, p, v);
	}
}

/* ---- metrics --------------------------------------------------------------------------------- */

enum { TERMS_SHOWN = 5 };

/* What takes most of the time of a batch. */
static void add_terms(struct hover *h, const struct plan *p)
{
	const struct op_time *ops = p->metrics.ops;
	double before = INFINITY, last = -1;
	text_add(&h->out, "\n| a batch | |\n|---|---:|\n");
	for (int n = 0; n < TERMS_SHOWN; n++) {
		int best = -1;
		for (int i = 0; i < p->schedule->op_names.n; i++) {
			bool later = ops[i].seconds < before || (ops[i].seconds == before && i > last);
			if (later && ops[i].seconds > (best < 0 ? 0 : ops[best].seconds))
				best = i;
		}
		if (best < 0)
			return;
		before = ops[best].seconds;
		last = best;
		text_add(&h->out, "| `%s` | %s |\n", p->schedule->op_names.at[best], metric_seconds(h->server->arena, before));
	}
}

static void add_estimate(struct hover *h, const struct planned *planned, enum metric m)
{
	struct arena *a = h->server->arena;
	const struct plan *p = planner_plan_at_rest(a, planned->deploy, planned->schedule, planned->training);
	const struct estimate *e = &p->metrics.of[m];
	const char *lacks = p->metrics.lacks ? p->metrics.lacks : e->lacks;
	text_add(&h->out, "`%s` of `%s`: ", metric_name(m), planned->deploy->name);
	if (lacks || isnan(e->value)) {
		text_add(&h->out, "not known: %s\n", lacks ? lacks : "nothing is timed");
		return;
	}
	text_add(&h->out, "**%s**\n", metric_text(a, m, e->value));
	if (e->low80 < e->high80)
		text_add(&h->out, "\n| | from | to |\n|---|---:|---:|\n| 80%% | %s | %s |\n| 90%% | %s | %s |\n",
		         metric_text(a, m, e->low80), metric_text(a, m, e->high80), metric_text(a, m, e->low90),
		         metric_text(a, m, e->high90));
	if (!isnan(e->bound))
		text_add(&h->out, "\nno schedule surpasses %s\n", metric_text(a, m, e->bound));
	if (p->metrics.ops && p->schedule)
		add_terms(h, p);
}

/* The metric that an expression of a claim names around the place: `ttft`, `comm.share`. false: none. */
static bool add_metric(struct hover *h, struct span *here)
{
	const struct node *v = h->spot.value;
	const char *name = h->spot.kind == SPOT_CLAIM && v ? dotted_name(h->server->arena, v) : NULL;
	const struct planned *p = planned_of(h);
	for (int i = 0; i < METRICS && name && p && p->deploy->program; i++) {
		if (strcmp(metric_name((enum metric)i), name) != 0)
			continue;
		*here = v->span;
		add_estimate(h, p, (enum metric)i);
		return true;
	}
	return false;
}

/* ---- functions of the language ---------------------------------------------------------------- */

/* The forms of a function that needs no declaration, if the name under the cursor is one and is called. */
static bool add_function(struct hover *h)
{
	int n;
	bool found = false;
	const struct function_form *all = sema_functions(&n);
	const struct span at = h->spot.value->span;
	bool called = h->analysis->sources.files.at[at.file].text[at.hi] == '(';
	for (int i = 0; i < n && called; i++) {
		if (strcmp(all[i].name, h->spot.value->ident.name) != 0)
			continue;
		add_code(h, arena_printf(h->server->arena, "%s(%s)", all[i].name, all[i].params));
		text_add(&h->out, "\n%s\n", all[i].text);
		found = true;
	}
	return found;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void add_quantity(struct hover *h, const struct node *x)
{
	struct dims dims = {{0}};
	double base = quantity_value(x->num.text, &dims);
	struct val v = val_quantity(base, dims);
	const char *exact = val_exact(h->analysis->sema->arena, v);
	text_add(&h->out, "`%s` = `%s`", x->num.text, exact ? exact : val_show(h->analysis->sema, v));
	text_add(&h->out, "\n");
}

/* ---- all ------------------------------------------------------------------------------------- */

/* A line of the file where the name is defined, to the end of its item. */
static const char *line_at(const struct hover *h, struct span definition)
{
	const char *text = h->analysis->sources.files.at[definition.file].text + definition.lo;
	return arena_printf(h->server->arena, "%.*s", (int)strcspn(text, "\n;}"), text);
}

static void add_field_name(struct hover *h, struct span definition, const char *name)
{
	const struct field *f = field_around(h, name);
	if (f && is_at(f->span, definition)) {
		add_field(h, f);
	} else {
		add_code(h, line_at(h, definition));
		add_comment(h, definition);
	}
	if (h->name.kind == REFERENCE_MESH_AXIS)
		add_mesh(h, name);
}

static void add_name(struct hover *h)
{
	struct span d = h->name.definition[0];
	const char *text = code_of(h, d);
	switch (h->name.kind) {
	case REFERENCE_DECLARATION: add_declaration(h, d); break;
	case REFERENCE_FIELD:
	case REFERENCE_AXIS:
	case REFERENCE_MESH_AXIS:
	case REFERENCE_LEVEL:       add_field_name(h, d, text); break;
	case REFERENCE_LOCAL:
		add_code(h, line_at(h, d));
		add_local(h, d);
		break;
	case REFERENCE_MODULE: text_add(&h->out, "module `%s`\n", h->analysis->sources.files.at[d.file].label); break;
	default:               add_code(h, text); break;
	}
}

/* `language = N` at the top of the file. */
static bool is_language(const struct hover *h)
{
	const struct node *x = h->spot.item;
	return x && x == h->spot.outer && x->kind == N_SET && x->set.path.n == 1
	       && !strcmp(x->set.path.at[0].name, "language");
}

static void add_language(struct hover *h)
{
	text_add(
		&h->out,
		"The version of the language that this file is written in. Without it: the newest that deployc knows, which is "
		"%d. An older version is read as it was meant; `deployc fmt --upgrade` writes the file in the newest.\n",
		LANGUAGE_VERSION);
}

json_t *hover_at(struct server *s, const json_t *params)
{
	struct place_at at;
	if (!server_place(s, params, &at))
		return NULL;
	struct hover h = {.server = s, .analysis = at.analysis, .out.arena = s->arena};
	h.spot = spot_at(at.analysis, at.file, at.offset);
	struct span here = {at.file, at.offset, at.offset};
	bool on_rule = h.spot.item && h.spot.item->kind == N_RULE;
	if (name_find(at.analysis, at.file, at.offset, &h.name)) {
		here = h.name.here;
		add_name(&h);
	} else if (add_metric(&h, &here)) {
		;
	} else if (h.spot.outer && h.spot.item == h.spot.outer && h.spot.on_name && h.spot.outer->kind == N_NAMED) {
		const struct path *name = &h.spot.outer->named.name;
		here = name->at[name->n - 1].span;
		add_declaration(&h, here);
	} else if (analysis_open(at.analysis, here, NULL)) {
		here = analysis_open(at.analysis, here, NULL)->at;
		if (h.spot.field)
			add_field(&h, h.spot.field);
		else
			chosen_explain(&h.out, at.analysis, here);
	} else if (h.spot.value && h.spot.value->kind == N_ID && add_function(&h)) {
		here = h.spot.value->span;
	} else if (h.spot.value && h.spot.value->kind == N_QTY) {
		here = h.spot.value->span;
		add_quantity(&h, h.spot.value);
	} else if (is_language(&h)) {
		here = h.spot.item->span;
		add_language(&h);
	} else if (h.spot.field && h.spot.on_name) {
		here = h.spot.item->span;
		add_field(&h, h.spot.field);
	}
	if (on_rule)
		hover_rule(&h, h.spot.item);
	if (!h.out.n)
		return NULL;
	return json_pack("{s:{s:s, s:o}, s:o}", "contents", "kind", "markdown", "value", json_text(h.out.at), "range",
	                 server_range_json(s, at.analysis, here));
}
