/* Filters of what has elements. */
#include "filters.h"
#include "sequence.h"
#include "strings.h"

static struct value no_element(void)
{
	return undefined(SPAN("an element of an empty sequence is missing"), NO_ELEMENT);
}

static struct value list_of(struct work *w, enum kind kind, const struct list *l)
{
	struct value out = list_new(w, kind);
	for (size_t i = 0; i < l->n; i++)
		list_add(w, out, l->at[i]);
	return out;
}

static struct value do_list(struct work *w, const struct value *v) { return list_of(w, LIST, elements(w, v[0])); }

static struct value do_length(struct work *w, const struct value *v)
{
	int64_t n = length(w, v[0]);
	if (n < 0)
		work_fail(w, "%s has no length", kind_name(v[0]));
	return integer(n);
}

static struct value do_first(struct work *w, const struct value *v)
{
	if (v[0].kind == ITERATOR) {
		struct list *l = v[0].list;
		return l->next < l->n ? l->at[l->next++] : no_element();
	}
	const struct list *l = elements(w, v[0]);
	return l->n ? l->at[0] : no_element();
}

static struct value do_last(struct work *w, const struct value *v)
{
	if (v[0].kind == ITERATOR)
		work_fail(w, "%s has no last element", kind_name(v[0]));
	const struct list *l = elements(w, v[0]);
	return l->n ? l->at[l->n - 1] : no_element();
}

/* Python's reversed() is an iterator; what has no such is copied to a list. */
static struct value do_reverse(struct work *w, const struct value *v)
{
	if (v[0].kind == STRING)
		return slice(w, v[0], none(), none(), integer(-1));
	struct value out = list_of(w, v[0].kind == ITERATOR ? LIST : ITERATOR, elements(w, v[0]));
	for (size_t i = 0, n = out.list->n; i < n / 2; i++) {
		struct value other = out.list->at[i];
		out.list->at[i] = out.list->at[n - 1 - i];
		out.list->at[n - 1 - i] = other;
	}
	return out;
}

static struct value do_items(struct work *w, const struct value *v)
{
	if (v[0].kind == UNDEFINED)
		return list_new(w, ITERATOR);
	if (v[0].kind != DICT)
		work_fail(w, "%s has no items", kind_name(v[0]));
	struct value out = dict_view(w, v[0].dict, VIEW_ITEMS);
	out.kind = ITERATOR;
	return out;
}

/* ---- by keys --------------------------------------------------------------------------------------------------- */
static struct value without_case(struct work *w, struct value v, bool keeps)
{
	return v.kind == STRING && !keeps ? string(to_lower(w, v.s)) : v;
}

/* What elements are compared by. */
static struct list *keys_of(struct work *w, const struct list *l, struct value path, bool case_sensitive)
{
	struct value keys = list_new(w, LIST), absent = {.kind = ABSENT};
	for (size_t i = 0; i < l->n; i++)
		list_add(w, keys, without_case(w, item_by_path(w, l->at[i], path, absent), case_sensitive));
	return keys.list;
}

static struct value do_sort(struct work *w, const struct value *v)
{
	struct value out = list_of(w, LIST, elements(w, v[0]));
	if (v[3].kind == STRING && memchr(v[3].s.at, ',', v[3].s.n))
		work_fail(w, "sorting by several attributes is not supported");
	sort_by(w, out.list, keys_of(w, out.list, v[3], flag_argument(v[2], false)), flag_argument(v[1], false));
	return out;
}

static struct value do_dictsort(struct work *w, const struct value *v)
{
	struct value by = v[2].kind == ABSENT ? string(SPAN("key")) : v[2];
	if (v[0].kind != DICT)
		work_fail(w, "%s has no items to sort", kind_name(v[0]));
	if (by.kind != STRING || (!span_is(by.s, "key") && !span_is(by.s, "value")))
		work_fail(w, "`dictsort` sorts by `key` or by `value`");
	struct value out = dict_view(w, v[0].dict, VIEW_ITEMS);
	out.kind = LIST;
	struct list *keys = keys_of(w, out.list, integer(span_is(by.s, "value")), flag_argument(v[1], false));
	sort_by(w, out.list, keys, flag_argument(v[3], false));
	return out;
}

static struct value do_unique(struct work *w, const struct value *v)
{
	struct value out = list_new(w, ITERATOR), seen = dict_new(w, DICT);
	const struct list *l = elements(w, v[0]), *keys = keys_of(w, l, v[2], flag_argument(v[1], false));
	for (size_t i = 0; i < l->n; i++) {
		if (keys->at[i].kind == UNDEFINED)
			fail_undefined(w, keys->at[i]);
		if (dict_find(w, seen.dict, keys->at[i]) == SIZE_MAX)
			list_add(w, out, l->at[i]);
		dict_set(w, seen.dict, keys->at[i], none());
	}
	return out;
}

/* The first of the smallest, or of the largest. */
static struct value extreme(struct work *w, const struct value *v, bool largest)
{
	const struct list *l = elements(w, v[0]), *keys = keys_of(w, l, v[2], flag_argument(v[1], false));
	size_t best = 0;
	if (!l->n)
		return no_element();
	for (size_t i = 1; i < l->n; i++)
		if (largest ? is_less(w, keys->at[best], keys->at[i]) : is_less(w, keys->at[i], keys->at[best]))
			best = i;
	return l->at[best];
}
static struct value do_min(struct work *w, const struct value *v) { return extreme(w, v, false); }
static struct value do_max(struct work *w, const struct value *v) { return extreme(w, v, true); }

const struct builtin list_filters[] = {
	{.name = "list", .run = do_list},
	{.name = "length", .run = do_length},
	{.name = "count", .run = do_length},
	{.name = "first", .run = do_first},
	{.name = "last", .run = do_last},
	{.name = "reverse", .run = do_reverse},
	{.name = "items", .run = do_items},
	{.name = "sort", .run = do_sort, .parameters = {"reverse", "case_sensitive", "attribute"}},
	{.name = "dictsort", .run = do_dictsort, .parameters = {"case_sensitive", "by", "reverse"}},
	{.name = "unique", .run = do_unique, .parameters = {"case_sensitive", "attribute"}},
	{.name = "min", .run = do_min, .parameters = {"case_sensitive", "attribute"}},
	{.name = "max", .run = do_max, .parameters = {"case_sensitive", "attribute"}},
	{.name = NULL},
};
