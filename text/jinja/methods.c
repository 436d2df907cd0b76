/* Methods. Python's parameters that cannot be given by name have none here. */
#include "methods.h"
#include "sequence.h"
#include "strings.h"

#define UNNAMED ""

/* ---- strings: cutting ------------------------------------------------------------------------------------------ */
static struct value strip_sides(struct work *w, const struct value *v, int sides)
{
	bool chars = v[1].kind != ABSENT && v[1].kind != NONE;
	struct span set = chars ? text_argument(w, v[1], "what is stripped") : (struct span){0};
	work_bytes(w, v[0].s.n * (1 + set.n / 8));
	return string(strip(v[0].s, chars ? &set : NULL, sides));
}
static struct value do_strip(struct work *w, const struct value *v)
{
	return strip_sides(w, v, STRIP_LEFT | STRIP_RIGHT);
}
static struct value do_lstrip(struct work *w, const struct value *v) { return strip_sides(w, v, STRIP_LEFT); }
static struct value do_rstrip(struct work *w, const struct value *v) { return strip_sides(w, v, STRIP_RIGHT); }

static struct value do_split(struct work *w, const struct value *v)
{
	struct span sep =
		v[1].kind == ABSENT || v[1].kind == NONE ? (struct span){0} : text_argument(w, v[1], "a separator");
	return split(w, v[0].s, sep.at ? &sep : NULL, whole_argument(w, v[2], -1));
}
static struct value do_rsplit(struct work *w, const struct value *v)
{
	struct span sep =
		v[1].kind == ABSENT || v[1].kind == NONE ? (struct span){0} : text_argument(w, v[1], "a separator");
	work_bytes(w, v[0].s.n * (1 + sep.n / 8));
	return split_right(w, v[0].s, sep.at ? &sep : NULL, whole_argument(w, v[2], -1));
}
static struct value do_splitlines(struct work *w, const struct value *v)
{
	return split_lines(w, v[0].s, flag_argument(v[1], false));
}

static bool has_prefix(struct span s, struct span part) { return s.n >= part.n && !memcmp(s.at, part.at, part.n); }
static bool has_suffix(struct span s, struct span part)
{
	return s.n >= part.n && !memcmp(s.at + s.n - part.n, part.at, part.n);
}

static struct value do_removeprefix(struct work *w, const struct value *v)
{
	struct span s = v[0].s, part = text_argument(w, v[1], "a prefix");
	return string(has_prefix(s, part) ? (struct span){s.at + part.n, s.n - part.n} : s);
}
static struct value do_removesuffix(struct work *w, const struct value *v)
{
	struct span s = v[0].s, part = text_argument(w, v[1], "a suffix");
	return string(has_suffix(s, part) ? (struct span){s.at, s.n - part.n} : s);
}

static struct value partition_at(struct work *w, struct span s, struct span sep, const char *found, bool right)
{
	struct value out = list_new(w, TUPLE), empty = string(SPAN(""));
	size_t n = found ? (size_t)(found - s.at) : 0;
	if (!sep.n)
		work_fail(w, "splits by an empty string");
	list_add(w, out, found ? string((struct span){s.at, n}) : right ? empty : string(s));
	list_add(w, out, found ? string(sep) : empty);
	list_add(w, out, found ? string((struct span){found + sep.n, s.n - n - sep.n}) : right ? string(s) : empty);
	return out;
}
static struct value do_partition(struct work *w, const struct value *v)
{
	struct span sep = text_argument(w, v[1], "a separator");
	return partition_at(w, v[0].s, sep, find_span(v[0].s, sep), false);
}
static struct value do_rpartition(struct work *w, const struct value *v)
{
	struct span sep = text_argument(w, v[1], "a separator");
	work_bytes(w, v[0].s.n * (1 + sep.n / 8));
	return partition_at(w, v[0].s, sep, find_last(v[0].s, sep), true);
}

/* ---- strings: asking ------------------------------------------------------------------------------------------- */
static struct value has_any(struct work *w, const struct value *v, bool (*has)(struct span, struct span))
{
	if (v[1].kind != TUPLE)
		return boolean(has(v[0].s, text_argument(w, v[1], "what a string may begin or end with")));
	for (size_t i = 0; i < v[1].list->n; i++)
		if (has(v[0].s, text_argument(w, v[1].list->at[i], "what a string may begin or end with")))
			return boolean(true);
	return boolean(false);
}
static struct value do_startswith(struct work *w, const struct value *v) { return has_any(w, v, has_prefix); }
static struct value do_endswith(struct work *w, const struct value *v) { return has_any(w, v, has_suffix); }

/* The position in characters; -1: it is not found. */
static int64_t position(struct work *w, struct span s, const char *found)
{
	return found ? (int64_t)count_characters(w, (struct span){s.at, (size_t)(found - s.at)}) : -1;
}
static struct value do_find(struct work *w, const struct value *v)
{
	work_bytes(w, v[0].s.n);
	return integer(position(w, v[0].s, find_span(v[0].s, text_argument(w, v[1], "what is searched"))));
}
static struct value do_rfind(struct work *w, const struct value *v)
{
	struct span part = text_argument(w, v[1], "what is searched");
	work_bytes(w, v[0].s.n * (1 + part.n / 8));
	return integer(position(w, v[0].s, find_last(v[0].s, part)));
}
static struct value do_index(struct work *w, const struct value *v)
{
	struct value found = do_find(w, v);
	if (found.i < 0)
		work_fail(w, "the part of a string is not found");
	return found;
}
static struct value do_count(struct work *w, const struct value *v)
{
	struct span s = v[0].s, part = text_argument(w, v[1], "what is counted");
	int64_t n = 0;
	work_bytes(w, s.n);
	if (!part.n)
		return integer((int64_t)count_characters(w, s) + 1);
	for (const char *found; (found = find_span(s, part)); n++)
		s = (struct span){found + part.n, s.n - (size_t)(found + part.n - s.at)};
	return integer(n);
}

/* ---- strings: making ------------------------------------------------------------------------------------------- */
static struct value do_upper(struct work *w, const struct value *v) { return string(to_upper(w, v[0].s)); }
static struct value do_lower(struct work *w, const struct value *v) { return string(to_lower(w, v[0].s)); }
static struct value do_title(struct work *w, const struct value *v) { return string(title_words(w, v[0].s)); }
static struct value do_capitalize(struct work *w, const struct value *v) { return string(capitalize(w, v[0].s)); }

static struct value do_replace(struct work *w, const struct value *v)
{
	struct span old = text_argument(w, v[1], "what is replaced"), by = text_argument(w, v[2], "a replacement");
	return string(replace(w, v[0].s, old, by, whole_argument(w, v[3], -1)));
}

static struct value do_join(struct work *w, const struct value *v)
{
	struct text out = {.work = w};
	const struct list *l = elements(w, v[1]);
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			text_span(&out, v[0].s);
		text_span(&out, text_argument(w, l->at[i], "an element of what is joined"));
	}
	return string(text_end(&out));
}

/* ---- lists and dicts ------------------------------------------------------------------------------------------- */
static struct value list_index(struct work *w, const struct value *v)
{
	for (size_t i = 0; i < v[0].list->n; i++)
		if (values_equal(w, v[0].list->at[i], v[1]))
			return integer((int64_t)i);
	work_fail(w, "the element of a list is not found");
}
static struct value list_count(struct work *w, const struct value *v)
{
	int64_t n = 0;
	for (size_t i = 0; i < v[0].list->n; i++)
		n += values_equal(w, v[0].list->at[i], v[1]);
	return integer(n);
}
static struct value dict_items(struct work *w, const struct value *v) { return dict_view(w, v[0].dict, VIEW_ITEMS); }
static struct value dict_keys(struct work *w, const struct value *v) { return dict_view(w, v[0].dict, VIEW_KEYS); }
static struct value dict_values(struct work *w, const struct value *v) { return dict_view(w, v[0].dict, VIEW_VALUES); }
static struct value dict_value(struct work *w, const struct value *v)
{
	if (v[1].kind == LIST || v[1].kind == DICT)
		work_fail(w, "%s cannot be a key of a dict", kind_name(v[1]));
	size_t at = dict_find(w, v[0].dict, v[1]);
	return at != SIZE_MAX ? v[0].dict->values[at] : v[2].kind == ABSENT ? none() : v[2];
}
/* Nothing changes a value, so it is its own copy. */
static struct value do_copy(struct work *w, const struct value *v)
{
	(void)w;
	return v[0];
}

/* ---- by name --------------------------------------------------------------------------------------------------- */
static const struct builtin string_methods[] = {
	{.name = "strip", .run = do_strip, .parameters = {UNNAMED}},
	{.name = "lstrip", .run = do_lstrip, .parameters = {UNNAMED}},
	{.name = "rstrip", .run = do_rstrip, .parameters = {UNNAMED}},
	{.name = "split", .run = do_split, .parameters = {"sep", "maxsplit"}},
	{.name = "rsplit", .run = do_rsplit, .parameters = {"sep", "maxsplit"}},
	{.name = "splitlines", .run = do_splitlines, .parameters = {"keepends"}},
	{.name = "removeprefix", .run = do_removeprefix, .parameters = {UNNAMED}, .required = 1},
	{.name = "removesuffix", .run = do_removesuffix, .parameters = {UNNAMED}, .required = 1},
	{.name = "partition", .run = do_partition, .parameters = {UNNAMED}, .required = 1},
	{.name = "rpartition", .run = do_rpartition, .parameters = {UNNAMED}, .required = 1},
	{.name = "startswith", .run = do_startswith, .parameters = {UNNAMED}, .required = 1},
	{.name = "endswith", .run = do_endswith, .parameters = {UNNAMED}, .required = 1},
	{.name = "find", .run = do_find, .parameters = {UNNAMED}, .required = 1},
	{.name = "rfind", .run = do_rfind, .parameters = {UNNAMED}, .required = 1},
	{.name = "index", .run = do_index, .parameters = {UNNAMED}, .required = 1},
	{.name = "count", .run = do_count, .parameters = {UNNAMED}, .required = 1},
	{.name = "upper", .run = do_upper},
	{.name = "lower", .run = do_lower},
	{.name = "title", .run = do_title},
	{.name = "capitalize", .run = do_capitalize},
	{.name = "replace", .run = do_replace, .parameters = {UNNAMED, UNNAMED, UNNAMED}, .required = 2},
	{.name = "join", .run = do_join, .parameters = {UNNAMED}, .required = 1},
	{.name = NULL},
};
static const struct builtin list_methods[] = {
	{.name = "index", .run = list_index, .parameters = {UNNAMED}, .required = 1},
	{.name = "count", .run = list_count, .parameters = {UNNAMED}, .required = 1},
	{.name = "copy", .run = do_copy},
	{.name = NULL},
};
static const struct builtin dict_methods[] = {
	{.name = "items", .run = dict_items},
	{.name = "keys", .run = dict_keys},
	{.name = "values", .run = dict_values},
	{.name = "get", .run = dict_value, .parameters = {UNNAMED, UNNAMED}, .required = 1},
	{.name = "copy", .run = do_copy},
	{.name = NULL},
};

static bool is_one_of(struct span name, const char *const *names)
{
	for (; *names; names++)
		if (span_is(name, *names))
			return true;
	return false;
}

static const char *const string_others[] = {
	"casefold",  "center",    "encode",       "expandtabs", "format",    "format_map",  "isalnum", "isalpha", "isascii",
	"isdecimal", "isdigit",   "isidentifier", "islower",    "isnumeric", "isprintable", "isspace", "istitle", "isupper",
	"ljust",     "maketrans", "rindex",       "rjust",      "swapcase",  "translate",   "zfill",   NULL};
static const char *const list_changes[] = {"append", "clear",   "extend", "insert", "pop",
                                           "remove", "reverse", "sort",   NULL};
static const char *const dict_changes[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
static const char *const dict_others[] = {"fromkeys", NULL};
static const char *const number_others[] = {"real",      "imag",       "numerator",  "denominator", "as_integer_ratio",
                                            "bit_count", "bit_length", "conjugate",  "from_bytes",  "to_bytes",
                                            "fromhex",   "hex",        "is_integer", NULL};
static const char *const range_others[] = {"start", "stop", "step", "count", "index", NULL};

enum method_state find_method(enum kind kind, struct span name, const struct builtin **out)
{
	static const char *const no_others[] = {NULL};
	const char *const *changes = no_others, *const *others = no_others;
	const struct builtin *methods = NULL;
	switch (kind) {
	case STRING: methods = string_methods, others = string_others; break;
	case LIST:   methods = list_methods, changes = list_changes; break;
	case TUPLE:  methods = span_is(name, "copy") ? NULL : list_methods; break;
	case DICT:   methods = dict_methods, changes = dict_changes, others = dict_others; break;
	case BOOL:
	case INT:
	case FLOAT:  others = number_others; break;
	case RANGE:  others = range_others; break;
	default:     return NO_METHOD;
	}
	if (methods && (*out = builtin_named(methods, name)))
		return IS_METHOD;
	return is_one_of(name, changes) ? METHOD_FORBIDDEN : is_one_of(name, others) ? METHOD_UNSUPPORTED : NO_METHOD;
}
