/* One deployment of a spec, checked and planned as quietly as a trial, to be set beside others. */
#include "compile.h"

static bool is_counted(const struct sink *s, int code)
{
	for (int i = 0; i < s->diags.n; i++)
		if ((int)s->diags.at[i]->code == code && !s->diags.at[i]->allowed)
			return true;
	return false;
}

static void list_codes(struct variant *v)
{
	const struct sink *s = &v->compilation.sink;
	v->codes = arena_array(&v->planned.arena, const char *, DIAG_COUNT);
	for (int warnings = 0; warnings < 2; warnings++) {
		for (int i = 0; i < DIAG_COUNT; i++)
			if (diag_is_error((enum diag_code)i) == !warnings && is_counted(s, i))
				v->codes[v->n_codes++] = diag_code_name((enum diag_code)i);
		if (!warnings)
			v->n_errors = v->n_codes;
	}
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
	struct deploy **deploys = compilation_deploys(c, &n, &status);
	if (status == EXIT_OK && n)
		v->planned.deploy = deploys[0];
	if (v->planned.deploy)
		plan_deployment(c, &v->planned);
	allow_apply(&c->sink, false);
	list_codes(v);
	if (v->planned.deploy && v->planned.deploy->program)
		v->plan = planner_plan(&v->planned.arena, v->planned.deploy, v->planned.schedule, v->planned.training);
	return status;
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
