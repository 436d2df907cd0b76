/* Filters by name, and those that apply another filter or test to each element. */
#include "filters.h"
#include "sequence.h"

static const struct builtin applying_filters[];

const struct builtin *find_builtin(struct work *w, enum builtins which, struct span name)
{
	const struct builtin *found, *lists[] = {applying_filters, text_filters, list_filters, number_filters};
	if (which == TESTS && (found = builtin_named(all_tests, name)))
		return found;
	for (size_t i = 0; which == FILTERS && i < sizeof lists / sizeof *lists; i++)
		if ((found = builtin_named(lists[i], name)))
			return found;
	work_fail(w, "%s `%.*s` is not supported", which == FILTERS ? "filter" : "test", SHOWN(name));
}

static struct value iterator(struct work *w) { return list_new(w, ITERATOR); }

/* Jinja2 asks whether there is anything before it walks; an iterator always says yes. */
static const struct list *walked(struct work *w, struct value in)
{
	return is_true(in) ? elements(w, in) : list_new(w, LIST).list;
}

static struct value named(const struct arguments *a, const char *name)
{
	for (size_t i = 0; i < a->n_named; i++)
		if (span_is(a->names[i], name))
			return a->named[i];
	return (struct value){.kind = ABSENT};
}

/* The arguments after the first n. */
static struct arguments rest(const struct arguments *a, size_t n)
{
	struct arguments out = *a;
	out.positional += n;
	out.n -= n;
	return out;
}

/* map("filter", ...) or map(attribute=..., default=...) */
static struct value do_map(struct work *w, struct value in, const struct arguments *a)
{
	struct value out = iterator(w), path = named(a, "attribute"), missing = named(a, "default");
	const struct list *l = walked(w, in);
	const struct builtin *filter = NULL;
	struct arguments others = {0};
	if (a->n) {
		filter = find_builtin(w, FILTERS, text_argument(w, a->positional[0], "a filter's name"));
		others = rest(a, 1);
	} else if (path.kind == ABSENT || a->n_named > 1 + (size_t)(missing.kind != ABSENT))
		work_fail(w, "`map` needs a filter or `attribute`, and with the latter at most `default`");
	for (size_t i = 0; i < l->n; i++)
		list_add(w, out,
		         filter ? call_builtin(w, filter, l->at[i], &others) : item_by_path(w, l->at[i], path, missing));
	return out;
}

/* by_attribute: the first argument says what of an element is tested. The next one names the test. */
static struct value choose(struct work *w, struct value in, const struct arguments *a, bool wanted, bool by_attribute)
{
	static const char *const names[2][2] = {{"reject", "rejectattr"}, {"select", "selectattr"}};
	struct value out = iterator(w), path = {.kind = ABSENT}, absent = {.kind = ABSENT};
	const struct list *l = walked(w, in);
	const struct builtin *test = NULL;
	struct arguments others = *a;
	if (by_attribute && !a->n)
		work_fail(w, "`%s` needs an attribute", names[wanted][1]);
	if (by_attribute) {
		path = a->positional[0];
		others = rest(&others, 1);
	}
	if (others.n) {
		test = find_builtin(w, TESTS, text_argument(w, others.positional[0], "a test's name"));
		others = rest(&others, 1);
	} else if (others.n_named)
		work_fail(w, "`%s` has no such parameter: `%.*s`", names[wanted][by_attribute], SHOWN(others.names[0]));
	for (size_t i = 0; i < l->n; i++) {
		struct value v = item_by_path(w, l->at[i], path, absent);
		if (is_true(test ? call_builtin(w, test, v, &others) : v) == wanted)
			list_add(w, out, l->at[i]);
	}
	return out;
}
static struct value do_select(struct work *w, struct value in, const struct arguments *a)
{
	return choose(w, in, a, true, false);
}
static struct value do_reject(struct work *w, struct value in, const struct arguments *a)
{
	return choose(w, in, a, false, false);
}
static struct value do_selectattr(struct work *w, struct value in, const struct arguments *a)
{
	return choose(w, in, a, true, true);
}
static struct value do_rejectattr(struct work *w, struct value in, const struct arguments *a)
{
	return choose(w, in, a, false, true);
}

static const struct builtin applying_filters[] = {
	{.name = "map", .run_any = do_map, .names_by = 1, .names_filter = true},
	{.name = "select", .run_any = do_select, .names_by = 1},
	{.name = "reject", .run_any = do_reject, .names_by = 1},
	{.name = "selectattr", .run_any = do_selectattr, .names_by = 2},
	{.name = "rejectattr", .run_any = do_rejectattr, .names_by = 2},
	{.name = NULL},
};
