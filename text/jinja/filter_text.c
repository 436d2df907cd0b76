/* Filters that make text. What they are applied to need not be a string. */
#include "filters.h"
#include "print.h"
#include "sequence.h"
#include "strings.h"

static struct span text_of(struct work *w, const struct value *v)
{
	check_unsafe(w, v[0]);
	return value_text(w, v[0]);
}

static struct value do_string(struct work *w, const struct value *v)
{
	return v[0].kind == STRING ? v[0] : string(value_text(w, v[0]));
}
static struct value do_upper(struct work *w, const struct value *v) { return string(to_upper(w, text_of(w, v))); }
static struct value do_lower(struct work *w, const struct value *v) { return string(to_lower(w, text_of(w, v))); }
static struct value do_title(struct work *w, const struct value *v) { return string(title_parts(w, text_of(w, v))); }
static struct value do_capitalize(struct work *w, const struct value *v)
{
	return string(capitalize(w, text_of(w, v)));
}

static struct value do_trim(struct work *w, const struct value *v)
{
	bool chars = v[1].kind != ABSENT && v[1].kind != NONE;
	struct span set = chars ? text_argument(w, v[1], "what is trimmed") : (struct span){0}, s = text_of(w, v);
	work_bytes(w, s.n * (1 + set.n / 8));
	return string(strip(s, chars ? &set : NULL, STRIP_LEFT | STRIP_RIGHT));
}

static struct value do_replace(struct work *w, const struct value *v)
{
	int64_t max = v[3].kind == NONE ? -1 : whole_argument(w, v[3], -1);
	return string(replace(w, value_text(w, v[0]), value_text(w, v[1]), value_text(w, v[2]), max));
}

static struct value do_join(struct work *w, const struct value *v)
{
	struct span between = v[1].kind == ABSENT ? SPAN("") : value_text(w, v[1]);
	struct text out = {.work = w};
	const struct list *l = elements(w, v[0]);
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			text_span(&out, between);
		print_value(&out, item_by_path(w, l->at[i], v[2], (struct value){.kind = ABSENT}));
	}
	return string(text_end(&out));
}

static struct span spaces(struct work *w, int64_t n)
{
	struct text out = {.work = w};
	for (int64_t i = 0; i < n; i++)
		text_word(&out, " ");
	return text_end(&out);
}

/* A number of spaces, or a string. */
static struct span indentation(struct work *w, struct value v, int64_t missing)
{
	return v.kind == STRING ? v.s : spaces(w, whole_argument(w, v, missing));
}

static struct value do_indent(struct work *w, const struct value *v)
{
	check_unsafe(w, v[0]);
	struct span s = text_argument(w, v[0], "what is indented"), by = indentation(w, v[1], 4);
	bool first = flag_argument(v[2], false), empty = flag_argument(v[3], false);
	struct text all = {.work = w}, out = {.work = w};
	text_span(&all, s);
	text_word(&all, "\n"); /* so that a newline at the end remains one */
	const struct list *lines = split_lines(w, text_end(&all), false).list;
	for (size_t i = 0; i < lines->n; i++) {
		struct span line = lines->at[i].s;
		if (i)
			text_word(&out, "\n");
		if (i ? line.n || empty : first)
			text_span(&out, by);
		text_span(&out, line);
	}
	return string(text_end(&out));
}

static struct value do_tojson(struct work *w, const struct value *v)
{
	struct json_form form = {.ascii = flag_argument(v[1], false), .sort = flag_argument(v[4], false)};
	struct text out = {.work = w};
	form.lines = v[2].kind != ABSENT && v[2].kind != NONE;
	form.indent = form.lines ? indentation(w, v[2], 0) : SPAN("");
	form.comma = form.lines ? SPAN(",") : SPAN(", ");
	form.colon = SPAN(": ");
	if (v[3].kind == LIST || v[3].kind == TUPLE) {
		if (v[3].list->n != 2)
			work_fail(w, "`separators` of `tojson` must be two strings");
		form.comma = text_argument(w, v[3].list->at[0], "a separator");
		form.colon = text_argument(w, v[3].list->at[1], "a separator");
	} else if (v[3].kind != ABSENT && v[3].kind != NONE)
		work_fail(w, "`separators` of `tojson` must be two strings");
	print_json(&out, v[0], &form);
	return string(text_end(&out));
}

static struct value do_safe(struct work *w, const struct value *v) { return safe_string(value_text(w, v[0])); }
static struct value do_escape(struct work *w, const struct value *v)
{
	return is_safe(v[0]) ? v[0] : safe_string(escape_html(w, value_text(w, v[0])));
}

const struct builtin text_filters[] = {
	{.name = "string", .run = do_string},
	{.name = "safe", .run = do_safe},
	{.name = "escape", .run = do_escape},
	{.name = "e", .run = do_escape},
	{.name = "upper", .run = do_upper},
	{.name = "lower", .run = do_lower},
	{.name = "title", .run = do_title},
	{.name = "capitalize", .run = do_capitalize},
	{.name = "trim", .run = do_trim, .parameters = {"chars"}},
	{.name = "replace", .run = do_replace, .parameters = {"old", "new", "count"}, .required = 2},
	{.name = "join", .run = do_join, .parameters = {"d", "attribute"}},
	{.name = "indent", .run = do_indent, .parameters = {"width", "first", "blank"}},
	{.name = "tojson", .run = do_tojson, .parameters = {"ensure_ascii", "indent", "separators", "sort_keys"}},
	{.name = NULL},
};
