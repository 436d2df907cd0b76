/* Sharding rules (docs/language.md, Plans): which apply to this model and mesh, and which one places an axis. */
#include "deploy.h"
#include <string.h>

static bool same(const char *a, const char *b) { return a == b || (a && b && !strcmp(a, b)); }

/* ---- collecting ------------------------------------------------------------------------------ */

static int axis_named(const struct program *p, const char *name)
{
	for (int i = 0; i < p->axes.n; i++)
		if (same(p->axes.at[i].name, name))
			return i;
	return -1;
}

static bool has_region(const struct program *p, const char *label)
{
	if (!strcmp(label, "residual"))
		return p->loops.n > 0;
	for (int i = 1; i < p->regions.n; i++)
		if (same(p->regions.at[i].name, label))
			return true;
	return false;
}

/* "batch, seq, d_model": names for a message; *out gets them for suggestions. */
static const char *axis_names(struct sema *s, const struct program *p, const char ***out)
{
	struct text t = {.arena = s->arena};
	*out = arena_array(s->arena, const char *, p->axes.n + 1);
	for (int i = 0; i < p->axes.n; i++) {
		(*out)[i] = p->axes.at[i].name;
		text_add(&t, "%s%s", i ? ", " : "", p->axes.at[i].name);
	}
	return t.n ? t.at : "none";
}

static const char *region_names(struct sema *s, const struct program *p, const char ***out, int *n)
{
	struct text t = {.arena = s->arena};
	*out = arena_array(s->arena, const char *, p->regions.n + 1);
	*n = 0;
	for (int i = 1; i < p->regions.n; i++) {
		bool seen = false;
		for (int k = 0; k < *n; k++)
			seen |= same((*out)[k], p->regions.at[i].name);
		if (!seen)
			(*out)[(*n)++] = p->regions.at[i].name;
	}
	if (p->loops.n)
		(*out)[(*n)++] = "residual";
	for (int i = 0; i < *n; i++)
		text_add(&t, "%s%s", i ? ", " : "", (*out)[i]);
	return t.n ? t.at : "none";
}

static void no_such_axis(struct deployment *c, const struct node *item, const struct path *axis)
{
	struct sema *s = c->sema;
	const struct program *p = c->deploy->program;
	const char **names, *name = axis->at[axis->n - 1].name, *all = axis_names(s, p, &names);
	struct diag *d = deployment_report(c, DIAG_E0505, axis->span, "rule on `%s`: `%s` has no such axis", name,
	                                   c->deploy->model_name);
	diag_related(s->sink, d, c->model->span, "the model");
	diag_note(s->sink, d, "its axes: %s", all);
	if (!diag_suggest(s->sink, d, axis->span, nearest_name(name, names, p->axes.n))) {
		diag_help(s->sink, d, "leave the rule out");
		diag_fix_delete(s->sink, d, item->span);
	}
}

static void no_such_region(struct deployment *c, const struct placed *item)
{
	struct sema *s = c->sema;
	int n;
	const char **names, *all = region_names(s, c->deploy->program, &names, &n);
	struct diag *d = deployment_report(c, DIAG_E0505, item->region_span, "rule at `%s`: `%s` has no such region",
	                                   item->region, c->deploy->model_name);
	diag_note(s->sink, d, "its regions: %s", all);
	diag_suggest(s->sink, d, item->region_span, nearest_name(item->region, names, n));
}

static void no_such_mesh_axis(struct deployment *c, struct span at, const char *name)
{
	struct sema *s = c->sema;
	const struct deploy *d = c->deploy;
	const char **names = arena_array(s->arena, const char *, d->mesh.n + 1);
	struct text all = {.arena = s->arena};
	for (int i = 0; i < d->mesh.n; i++) {
		names[i] = d->mesh.at[i].name;
		text_add(&all, "%s%s", i ? ", " : "", names[i]);
	}
	struct diag *diag = deployment_report(c, DIAG_E0502, at, "unknown mesh axis `%s`", name);
	diag_note(s->sink, diag, "the mesh has %s", d->mesh.n ? all.at : "no axes");
	if (!diag_suggest(s->sink, diag, at, nearest_name(name, names, d->mesh.n)))
		diag_help(s->sink, diag, "declare `mesh %s = 1` in the plan", name);
}

/* Reads mesh axes on the right; false after a report. */
static bool read_target(struct deployment *c, const struct placement *to, struct rule *r)
{
	r->target = arena_array(c->sema->arena, int, to->n + 1);
	for (int i = 0; i < to->n; i++) {
		const struct path *path = &to->axes[i];
		const char *name = path->at[path->n - 1].name;
		int m = 0;
		while (m < c->deploy->mesh.n && !same(c->deploy->mesh.at[m].name, name))
			m++;
		if (m == c->deploy->mesh.n) {
			no_such_mesh_axis(c, path->span, name);
			return false;
		}
		refer_field(c->sema, path->at[path->n - 1], record_field(c->plan, name));
		r->target[r->n_target++] = m;
	}
	return true;
}

/* Several calls may have one label. */
static void refer_regions(struct deployment *c, const struct placed *item)
{
	const struct program *p = c->deploy->program;
	for (int i = 1; item->region && i < p->regions.n; i++)
		if (same(p->regions.at[i].name, item->region))
			refer(c->sema, (struct ident){item->region, item->region_span}, p->regions.at[i].span, REFERENCE_REGION);
}

/* Reads the axes on the left. false: the rule is inert, or, if the deployment itself contains it, was reported. */
static bool read_axes(struct deployment *c, const struct placed *item, struct rule *r)
{
	const struct node *n = item->item;
	r->lhs = arena_array(c->sema->arena, int, n->rule.n_lhs + 1);
	for (int i = 0; i < n->rule.n_lhs; i++) {
		const struct path *path = &n->rule.lhs[i];
		int axis = axis_named(c->deploy->program, path->at[path->n - 1].name);
		if (axis < 0) {
			if (r->in_deploy)
				no_such_axis(c, n, path);
			return false;
		}
		refer(c->sema, path->at[path->n - 1], c->deploy->program->axes.at[axis].span, REFERENCE_AXIS);
		r->lhs[r->n_lhs++] = axis;
	}
	refer_regions(c, item);
	if (!r->region || has_region(c->deploy->program, r->region))
		return true;
	if (r->in_deploy)
		no_such_region(c, item);
	return false;
}

static void no_such_phase(struct deployment *c, struct span at, const char *phase)
{
	static const char *const phases[] = {"prefill", "decode", "train"};
	struct diag *d = deployment_report(c, DIAG_E0101, at, "no phase `%s`: there are prefill, decode and train", phase);
	diag_suggest(c->sema->sink, d, at, nearest_name(phase, phases, 3));
}

static void no_such_class(struct deployment *c, struct span at, const char *klass)
{
	static const char *const classes[] = {"weights", "optimizer", "gradients"};
	struct diag *d = deployment_report(c, DIAG_E0101, at,
	                                   "no class of tensors `%s`: there are weights, optimizer and gradients", klass);
	diag_suggest(c->sema->sink, d, at, nearest_name(klass, classes, 3));
}

/* Reads a rule's `phase` and `store`; false: a mistake in them was reported. */
static bool read_scope(struct deployment *c, const struct placed *item, struct rule *r)
{
	static const struct {
		const char *name;
		int value;
	} phases[] = {{"prefill", PHASE_PREFILL}, {"decode", PHASE_DECODE}, {"train", PHASE_TRAIN}},
	  classes[] = {{"weights", CLASS_WEIGHT}, {"optimizer", CLASS_OPTIMIZER}, {"gradients", CLASS_GRADIENT}};
	r->region = item->region;
	r->phase = r->klass = -1;
	for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
		if (same(item->phase, phases[i].name))
			r->phase = phases[i].value;
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
		if (same(item->klass, classes[i].name))
			r->klass = classes[i].value;
	if (item->phase && r->phase < 0)
		no_such_phase(c, item->phase_span, item->phase);
	if (item->klass && r->klass < 0)
		no_such_class(c, item->klass_span, item->klass);
	return (!item->phase || r->phase >= 0) && (!item->klass || r->klass >= 0);
}

static bool has_axis(const struct rule *r, const struct program *p, int axis)
{
	for (int i = 0; i < r->n_lhs; i++)
		if (r->lhs[i] == axis || same(p->axes.at[r->lhs[i]].name, p->axes.at[axis].name))
			return true;
	return false;
}

/* Do both rules have the same phase, region, class and set of axes? */
static bool same_key(const struct program *p, const struct rule *a, const struct rule *b)
{
	if (a->phase != b->phase || a->klass != b->klass || !same(a->region, b->region) || a->n_lhs != b->n_lhs)
		return false;
	for (int i = 0; i < a->n_lhs; i++)
		if (!has_axis(b, p, a->lhs[i]))
			return false;
	return true;
}

static const char *rule_text(struct arena *a, const struct deploy *d, const struct rule *r)
{
	struct text t = {.arena = a};
	for (int i = 0; i < r->n_lhs; i++)
		text_add(&t, "%s%s", i ? " * " : "", d->program->axes.at[r->lhs[i]].name);
	text_add(&t, " -> %s", r->n_target ? "" : "none");
	for (int i = 0; i < r->n_target; i++)
		text_add(&t, "%s%s", i ? " * " : "", d->mesh.at[r->target[i]].name);
	return t.at;
}

static void two_rules(const struct deploy *d, struct sink *sink, int axis, const struct rule *a, const struct rule *b)
{
	const struct rule *second = b->in_deploy || !a->in_deploy ? b : a, *first = second == b ? a : b;
	struct text where = {.arena = sink->arena};
	if (second->region)
		text_add(&where, " in `%s`", second->region);
	if (second->phase != PHASE_ANY)
		text_add(&where, " in phase %s", phase_name(second->phase));
	struct diag *diag = diag_report(sink, DIAG_E0504, second->span, "two rules of equal rank place `%s`%s",
	                                d->program->axes.at[axis].name, where.n ? where.at : "");
	diag_label(sink, diag, "`%s`", rule_text(sink->arena, d, second));
	diag_related(sink, diag, first->span, "`%s`", rule_text(sink->arena, d, first));
	diag_help(sink, diag,
	          a->body == b->body ? "leave out one of them, or make it more specific"
	                             : "make one more specific, or replace the first by repeating its left side");
}

static void add_rule(struct deployment *c, struct rule r)
{
	struct deploy *d = c->deploy;
	for (int i = 0; i < d->rules.n; i++)
		if (same_key(d->program, &d->rules.at[i], &r)) {
			if (d->rules.at[i].body == r.body) { /* a later one replaces only those of other braces */
				two_rules(d, c->sema->sink, r.lhs[0], &d->rules.at[i], &r);
				c->bad = true;
			}
			d->rules.at[i] = r;
			return;
		}
	vec_push(c->sema->arena, &d->rules, r);
}

/* ---- choices --------------------------------------------------------------------------------- */

const char *deploy_rule_target(struct arena *a, const struct deploy *d, const struct rule *r)
{
	struct text t = {.arena = a};
	for (int i = 0; i < r->n_target; i++)
		text_add(&t, "%s%s", i ? " * " : "", d->mesh.at[r->target[i]].name);
	return r->n_target ? t.at : "none";
}

const char *deploy_rule_path(struct arena *a, const struct deploy *d, const struct rule *r)
{
	static const char *const classes[] = {[CLASS_ACTIVATION] = "activation",
	                                      [CLASS_WEIGHT] = "weights",
	                                      [CLASS_GRADIENT] = "gradients",
	                                      [CLASS_OPTIMIZER] = "optimizer",
	                                      [CLASS_CACHE] = "cache"};
	struct text path = {.arena = a};
	text_add(&path, "rule ");
	for (int i = 0; i < r->n_lhs; i++)
		text_add(&path, "%s%s", i ? " * " : "", d->program->axes.at[r->lhs[i]].name);
	if (r->region)
		text_add(&path, " at %s", r->region);
	if (r->phase != PHASE_ANY)
		text_add(&path, " phase %s", phase_name(r->phase));
	if (r->klass != CLASS_ANY)
		text_add(&path, " store %s", classes[r->klass]);
	return path.at;
}

enum { MAX_OPEN_AXES = 6 };

/* Every product of mesh axes in the order of the mesh, and none. */
static void all_targets(struct deployment *c, struct choice *choice)
{
	struct arena *a = c->sema->arena;
	const struct deploy *d = c->deploy;
	if (d->mesh.n > MAX_OPEN_AXES)
		return;
	choice->whole = true;
	choice->values = arena_array(a, const char *, 1 << d->mesh.n);
	for (int set = 0; set < 1 << d->mesh.n; set++) {
		struct text t = {.arena = a};
		for (int i = 0; i < d->mesh.n; i++)
			if (set >> i & 1)
				text_add(&t, "%s%s", t.n ? " * " : "", d->mesh.at[i].name);
		choice->values[choice->n++] = set ? t.at : "none";
	}
}

/* Where a rule with `-> auto` may place its axes. false: a mistake in one of the choices was reported. */
static bool read_choices(struct deployment *c, const struct node *item, struct rule *r)
{
	struct arena *a = c->sema->arena;
	struct choice *choice = r->open = arena_new(a, struct choice);
	*choice = (struct choice){.kind = CHOICE_RULE, .at = item->rule.target.span, .text = item->rule.target.span};
	choice->values = arena_array(a, const char *, item->rule.n_choices + 1);
	for (int i = 0; i < item->rule.n_choices; i++) {
		struct rule one = {.n_lhs = 0};
		if (!read_target(c, &item->rule.choices[i], &one))
			return false;
		choice->values[choice->n++] = deploy_rule_target(a, c->deploy, &one);
	}
	if (!choice->n)
		all_targets(c, choice);
	return true;
}

/* Takes out the rules that place nothing yet, and reports them. */
static void open_rules(struct deployment *c)
{
	struct deploy *d = c->deploy;
	int n = 0;
	for (int i = 0; i < d->rules.n; i++) {
		struct rule *r = &d->rules.at[i];
		if (!r->open) {
			d->rules.at[n++] = *r;
			continue;
		}
		const char *path = deploy_rule_path(c->sema->arena, d, r);
		r->open->path = arena_printf(c->sema->arena, "plan.%s", path);
		deployment_auto(c, r->open->at, "the place of `%s`", path + strlen("rule "));
		vec_push(c->sema->arena, &d->choices, *r->open);
	}
	d->rules.n = n;
}

void deployment_rules(struct deployment *c)
{
	for (int i = 0; i < c->plan->rules.n; i++) {
		const struct placed *item = &c->plan->rules.at[i];
		const struct node *n = item->item;
		struct rule r = {.in_deploy = item->layer->in_deploy,
		                 .in_user_file = !item->layer->module->is_std,
		                 .body = item->layer,
		                 .span = n->rule.lhs_span,
		                 .target_span = n->rule.target.span};
		if ((n->rule.is_auto ? read_choices(c, n, &r) : read_target(c, &n->rule.target, &r)) && read_scope(c, item, &r)
		    && read_axes(c, item, &r))
			add_rule(c, r);
	}
	open_rules(c);
}

/* ---- look-up --------------------------------------------------------------------------------- */

/* How specific `label` is for `region`; -1: the rule does not apply there. Depths of regions are even, so that
 * `residual`, the loop's body outside labelled calls, is between the loop and the calls in it. */
static int depth(const struct program *p, const char *label, int region)
{
	int levels = 0;
	for (int r = region; r > 0; r = p->regions.at[r].parent)
		levels++;
	if (!label)
		return 0;
	if (!strcmp(label, "residual"))
		return region >= 0 && p->regions.at[region].is_loop_body ? 2 * levels + 1 : -1;
	for (int r = region; r > 0; r = p->regions.at[r].parent, levels--)
		if (same(p->regions.at[r].name, label))
			return 2 * levels;
	return -1;
}

/* (has a phase, region depth, has a class), in lexicographic order; -1: the rule does not apply. */
static int rank(const struct deploy *d, const struct rule *r, int axis, int region, int phase, int klass)
{
	int deep = depth(d->program, r->region, region);
	if (deep < 0 || !has_axis(r, d->program, axis) || (r->phase != PHASE_ANY && r->phase != phase)
	    || (r->klass != CLASS_ANY && r->klass != klass))
		return -1;
	return ((r->phase != PHASE_ANY) << 16) + (deep << 1) + (r->klass != CLASS_ANY);
}

const struct rule *deploy_rule(const struct deploy *d, struct sink *sink, int axis, int region, int phase, int klass)
{
	const struct rule *best = NULL, *other = NULL;
	int highest = -1;
	for (int i = 0; i < d->rules.n; i++) {
		const struct rule *r = &d->rules.at[i];
		int k = rank(d, r, axis, region, phase, klass);
		if (k < 0 || k < highest)
			continue;
		other = k == highest ? best : NULL;
		highest = k;
		best = r;
	}
	if (!other)
		return best;
	two_rules(d, sink, axis, other, best);
	return NULL;
}
