/* Which values a rule of a plan cuts, and how. */
#include <string.h>
#include "../dag/local.h"
#include "hover.h"

enum { MAX_VALUES = 16 };

/* A rule of a deployment, and the values that were found to follow it. */
struct following {
	struct hover *hover;
	const struct planned *planned;
	const struct rule *rule;
	struct sink *quiet;
	int n;
	struct index seen;
};

static bool has_axis(const struct rule *r, int axis)
{
	for (int i = 0; i < r->n_lhs; i++)
		if (r->lhs[i] == axis)
			return true;
	return false;
}

static int class_of(const struct value *x)
{
	return x->op == OP_PARAM ? CLASS_WEIGHT : x->op == OP_APPEND ? CLASS_CACHE : CLASS_ACTIVATION;
}

/* Does the rule place an axis of the value? deploy_rule says which rule does. */
static bool follows(const struct following *f, const struct value *x, int phase)
{
	for (int i = 0; i < x->n_axes; i++)
		if (has_axis(f->rule, x->axes[i])
		    && deploy_rule(f->planned->deploy, f->quiet, x->axes[i], x->region, phase, class_of(x)) == f->rule)
			return true;
	return false;
}

/* A `|` within a cell of a table. */
static const char *escaped(struct arena *a, const char *text)
{
	struct text out = {.arena = a};
	for (; *text; text++)
		text_add(&out, "%s%c", *text == '|' ? "\\" : "", *text);
	return out.at;
}

static void add_value(struct following *f, const struct value *x, int phase, int local)
{
	const struct local *l = f->planned->local;
	struct arena *a = f->hover->server->arena;
	struct text layout = {.arena = a};
	text_add(&layout, "%s", dtype_name(l->phase[phase].values.at[local].dtype));
	local_layout_text(l, &l->phase[phase].values.at[local], &layout);
	const char *region = l->program->regions.at[x->region].name;
	const char *name = *region ? arena_printf(a, "%s.%s", region, x->name) : x->name;
	const char *key = arena_printf(a, "%s %s", name, layout.at), *verb = f->rule->n_target ? "cuts" : "keeps whole";
	if (index_find(&f->seen, key) >= 0)
		return;
	index_add(a, &f->seen, key);
	if (!f->n++)
		text_add(&f->hover->out, "\nin `%s` this rule %s:\n\n| value | phase | layout |\n|---|---|---|\n",
		         f->planned->deploy->name, verb);
	if (f->n <= MAX_VALUES)
		text_add(&f->hover->out, "| `%s` | %s | `%s` |\n", name, phase_name(phase), escaped(a, layout.at));
}

/* The axis of layers: a rule on it cuts the model into stages. */
static void add_stages(struct following *f)
{
	const struct local *l = f->planned->local;
	text_add(&f->hover->out, "\nin `%s` this rule cuts the layers into stages:", f->planned->deploy->name);
	for (int i = 0; i < l->stage_layers.n && i < MAX_VALUES; i++)
		text_add(&f->hover->out, "%s %lld", i ? "," : "", (long long)l->stage_layers.at[i]);
	text_add(&f->hover->out, "%s\n", l->stage_layers.n > MAX_VALUES ? " ..." : "");
}

static bool is_same(struct span a, struct span b) { return a.file == b.file && a.lo == b.lo && a.hi == b.hi; }

static void follow(struct following *f)
{
	const struct local *l = f->planned->local;
	bool layers = f->rule->n_lhs == 1 && !strcmp(l->program->axes.at[f->rule->lhs[0]].name, "layers");
	if (layers)
		add_stages(f);
	for (int phase = 0; phase < PHASES && !layers; phase++)
		for (int v = 0; v < l->program->values.n; v++) {
			const struct value *x = &l->program->values.at[v];
			int local = l->phase[phase].of_program[v];
			bool fits = f->rule->phase == PHASE_ANY || f->rule->phase == phase;
			if (x->name && local >= 0 && fits && follows(f, x, phase))
				add_value(f, x, phase, local);
		}
	if (f->n > MAX_VALUES)
		text_add(&f->hover->out, "\nand %d more\n", f->n - MAX_VALUES);
	if (!f->n && !layers)
		text_add(&f->hover->out, "\nin `%s` this rule places no value that has a name\n", f->planned->deploy->name);
}

void hover_rule(struct hover *h, const struct node *rule)
{
	struct sources sources = {.arena = h->server->arena};
	struct sink quiet = {.arena = h->server->arena, .sources = &sources};
	for (int i = 0; i < h->analysis->n; i++) {
		const struct planned *p = analysis_planned(h->analysis, i);
		for (int k = 0; p->local && k < p->deploy->rules.n; k++) {
			struct following f = {.hover = h, .planned = p, .rule = &p->deploy->rules.at[k], .quiet = &quiet};
			if (is_same(f.rule->span, rule->rule.lhs_span))
				follow(&f);
		}
	}
}
