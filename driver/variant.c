/* One deployment of a spec, checked and planned as quietly as a trial, to be set beside others. */
#include "compile.h"

static bool is_counted(const struct sink *s, int code)
{
	for (int i = 0; i < s->diags.n; i++)
		if ((int)s->diags.at[i]->code == code && !s->diags.at[i]->allowed)
			return true;
	return false;
}

static void list_codes(struct variant *v, const struct sink *s)
{
	v->codes = arena_array(&v->planned.arena, const char *, DIAG_COUNT);
	for (int warnings = 0; warnings < 2; warnings++) {
		for (int i = 0; i < DIAG_COUNT; i++)
			if (diag_is_error((enum diag_code)i) == !warnings && is_counted(s, i))
				v->codes[v->n_codes++] = diag_code_name((enum diag_code)i);
		if (!warnings)
			v->n_errors = v->n_codes;
	}
}

/* Deployments together: each is checked, and what they are together is the plan. */
static void plan_together(struct variant *v, struct deploy **deploys, int n)
{
	struct compilation *c = &v->compilation;
	for (int i = 0; i < n; i++) {
		struct planned p = {.deploy = deploys[i], .arena.heap = c->options->heap};
		plan_deployment(c, &p);
		arena_free(&p.arena);
	}
	v->planned.deploy = c->joint->self;
	if (!sema_guessed(c->sema))
		v->plan = plan_joint(c, &v->planned.arena, c->joint, NULL);
	allow_apply(&c->sink, false);
	list_codes(v, &c->sink);
}

/* Plans the deployment of `v`, which was checked in `c`. */
static void plan(struct variant *v, struct compilation *c)
{
	struct planned *p = &v->planned;
	if (p->deploy)
		plan_deployment(c, p);
	allow_apply(&c->sink, false);
	list_codes(v, &c->sink);
	if (p->deploy && p->deploy->program && !sema_guessed(c->sema))
		v->plan = planner_plan(&p->arena, p->deploy, p->schedule, p->training);
}

static int plan_variant(struct variant *v, const struct target *target)
{
	struct compilation *c = &v->compilation;
	int n, status;
	if (target)
		c->target = *target;
	else if (!compilation_target(c))
		return EXIT_USAGE;
	if (!compilation_load(c))
		return EXIT_ERRORS;
	v->n_loaded = c->sink.diags.n;
	v->errors_loaded = c->sink.errors;
	struct deploy **deploys = compilation_deploys(c, &n, &status);
	if (status == EXIT_OK && n && !c->joint)
		v->planned.deploy = deploys[0];
	if (status == EXIT_OK && c->joint)
		plan_together(v, deploys, n);
	else
		plan(v, c);
	return status;
}

/* Reports of the file that concern none of its deployments. */
static void keep_reports(struct sink *sink, const struct sink *of, const struct variant *base)
{
	int n;
	struct deploy **deploys = sema_deploys(base->compilation.sema, &n);
	for (int i = 0; i < base->n_loaded; i++) {
		bool concerns = false;
		for (int k = 0; k < n; k++)
			concerns |= i >= deploys[k]->first_report && i < deploys[k]->end_report;
		if (!concerns)
			vec_push(sink->arena, &sink->diags, of->diags.at[i]);
	}
}

void variant_with(struct variant *v, struct variant *base, const struct node *const *items, int n)
{
	struct compilation *c = &base->compilation;
	struct sink saved = c->sink;
	*v = (struct variant){.planned.arena.heap = c->options->heap};
	c->sink = (struct sink){.arena = &v->planned.arena, .sources = &c->sources, .allows = saved.allows};
	keep_reports(&c->sink, &saved, base);
	v->planned.deploy = sema_deploy_with(c->sema, base->planned.deploy, items, n);
	plan(v, c);
	c->sink = saved;
}

int variant_plan(struct variant *v, const struct options *o, const char *spec, const struct target *target)
{
	*v = (struct variant){.options = *o, .planned.arena.heap = o->heap};
	compilation_begin(&v->compilation, &v->options, spec);
	return plan_variant(v, target);
}

void variant_free(struct variant *v)
{
	arena_free(&v->planned.arena);
	arena_free(&v->compilation.arena);
}
