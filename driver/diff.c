/* deployc diff: two deployments beside each other. */
#include "compile.h"
#include <string.h>
#include <unistd.h>
#include "../planner/diff.h"
#include "../support/json.h"

/* FILE, or FILE:NAME of a deployment in it. *name NULL: none is named. */
static const char *split_operand(struct arena *arena, const char *word, const char **name)
{
	const char *colon = strrchr(word, ':');
	*name = NULL;
	if (!colon || !access(word, F_OK))
		return word;
	*name = colon + 1;
	return arena_strndup(arena, word, (size_t)(colon - word));
}

static struct compared compared_of(const struct variant *v)
{
	struct compared c = {.spec = v->compilation.label,
	                     .plan = v->plan,
	                     .codes = v->codes,
	                     .n_codes = v->n_codes,
	                     .n_errors = v->n_errors};
	c.deploy = v->planned.deploy ? v->planned.deploy->name : "-";
	if (v->planned.deploy)
		c.settings = sema_settings(v->planned.deploy, &c.n_settings);
	return c;
}

/* The second one has the values of -D. With one operand it is the first one with these values. */
static int plan_both(struct arena *arena, const struct options *o, struct variant v[2], const char *spec[2])
{
	struct options first = *o, second = *o;
	struct lock lock;
	const char *name;
	first.sema.set = NULL;
	first.sema.n_set = 0;
	spec[0] = split_operand(arena, o->specs[0], &name);
	first = lock_use(&first, spec[0], arena, &lock);
	first.deploy = name ? name : o->deploy;
	int status = variant_plan(&v[0], &first, spec[0], NULL);
	if (status != EXIT_OK)
		return status;
	const struct compilation *c = &v[0].compilation;
	spec[1] = o->n_specs > 1 ? split_operand(arena, o->specs[1], &name) : spec[0];
	second.deploy = name ? name : o->deploy;
	if (o->n_specs == 1)
		second.sema.overlays = compilation_overlays(c, arena);
	second = lock_use(&second, spec[1], arena, &lock);
	return variant_plan(&v[1], &second, spec[1], &c->target);
}

static int compare(struct arena *arena, const struct options *o, struct variant v[2])
{
	const char *spec[2] = {NULL, NULL};
	int status = plan_both(arena, o, v, spec);
	for (int i = 0, printed = 0; i < 2 && spec[i]; i++)
		if (v[i].compilation.sink.errors)
			print_diagnostics(o, &v[i].compilation.sink, printed++ == 0);
	if (status != EXIT_OK || !v[0].planned.deploy || !v[1].planned.deploy)
		return status == EXIT_OK ? EXIT_ERRORS : status;
	const struct compared side[2] = {compared_of(&v[0]), compared_of(&v[1])};
	const struct diff *d = planner_diff(arena, side);
	if (o->format == FORM_JSON)
		json_put_lines(diff_json(d), stdout);
	else
		fputs(diff_text(arena, d), stdout);
	return v[0].n_errors || v[1].n_errors ? EXIT_ERRORS : EXIT_OK;
}

static int compare_specs(const struct options *o, int i)
{
	(void)i;
	struct arena arena = {.heap = o->heap};
	struct variant v[2] = {{.n_codes = 0}, {.n_codes = 0}};
	int status = compare(&arena, o, v);
	variant_free(&v[0]);
	variant_free(&v[1]);
	arena_free(&arena);
	return status;
}

int diff_specs(const struct options *o) { return run_alone(o, compare_specs, 0); }
