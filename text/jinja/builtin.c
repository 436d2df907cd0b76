/* Calls of what is built in: arguments for parameters. */
#include "builtin.h"

const struct builtin *builtin_named(const struct builtin *list, struct span name)
{
	for (; list->name; list++)
		if (span_is(name, list->name))
			return list;
	return NULL;
}

static void bind_named(struct work *w, const struct builtin *b, struct span name, struct value v, struct value *out)
{
	size_t i = 0;
	while (i < MAX_PARAMETERS && b->parameters[i] && !span_is(name, b->parameters[i]))
		i++;
	if (i == MAX_PARAMETERS || !b->parameters[i])
		work_fail(w, "`%s` has no parameter `%.*s`", b->name, SHOWN(name));
	if (out[i].kind != ABSENT)
		work_fail(w, "parameter `%.*s` of `%s` is given twice", SHOWN(name), b->name);
	out[i] = v;
}

struct value call_builtin(struct work *w, const struct builtin *b, struct value in, const struct arguments *a)
{
	struct value v[1 + MAX_PARAMETERS] = {in};
	size_t n = 0;
	work_steps(w, 1);
	if (b->run_any)
		return b->run_any(w, in, a);
	while (n < MAX_PARAMETERS && b->parameters[n])
		n++;
	if (a->n > n)
		work_fail(w, "`%s` takes at most %zu argument%s", b->name, n, n == 1 ? "" : "s");
	for (size_t i = 0; i < a->n; i++)
		v[1 + i] = a->positional[i];
	for (size_t i = 0; i < a->n_named; i++)
		bind_named(w, b, a->names[i], a->named[i], v + 1);
	for (size_t i = 0; i < b->required; i++)
		if (v[1 + i].kind == ABSENT)
			work_fail(w, "`%s` needs an argument `%s`", b->name, b->parameters[i]);
	return b->run(w, v);
}

int64_t whole_argument(struct work *w, struct value v, int64_t missing)
{
	if (v.kind == ABSENT)
		return missing;
	if (v.kind == UNDEFINED)
		fail_undefined(w, v);
	if (!is_whole(v))
		work_fail(w, "expected an integer, found %s", kind_name(v));
	return whole(v);
}

bool flag_argument(struct value v, bool missing) { return v.kind == ABSENT ? missing : is_true(v); }

struct span text_argument(struct work *w, struct value v, const char *what)
{
	if (v.kind == UNDEFINED)
		fail_undefined(w, v);
	if (v.kind != STRING)
		work_fail(w, "%s must be a string, found %s", what, kind_name(v));
	return v.s;
}
