/* Functions: those of Jinja2, and those that transformers adds. */
#include <time.h>
#include "functions.h"
#include "print.h"
#include "sequence.h"

/* ---- range ----------------------------------------------------------------------------------------------------- */
enum { MAX_RANGE = 100000 }; /* Jinja2's sandbox has the same */

static struct value do_range(struct work *w, struct value in, const struct arguments *a)
{
	(void)in;
	struct range *r = work_alloc(w, sizeof *r);
	if (!a->n || a->n > 3 || a->n_named)
		work_fail(w, "`range` takes one to three integers");
	*r = (struct range){.step = 1, .stop = whole_argument(w, a->positional[a->n > 1], 0)};
	if (a->n > 1)
		r->start = whole_argument(w, a->positional[0], 0);
	if (a->n > 2)
		r->step = whole_argument(w, a->positional[2], 1);
	if (!r->step)
		work_fail(w, "the step of a range is 0");
	const int64_t bounds[] = {r->start, r->stop, r->step};
	for (size_t i = 0; i < 3; i++)
		if (bounds[i] > INT64_MAX / 8 || bounds[i] < -(INT64_MAX / 8))
			work_fail(w, "a bound of a range is too large");
	int64_t way = r->step > 0 ? r->stop - r->start : r->start - r->stop, step = r->step > 0 ? r->step : -r->step;
	r->n = way > 0 ? (way + step - 1) / step : 0;
	if (r->n > MAX_RANGE)
		work_fail(w, "a range has %lld numbers; at most %d are supported", (long long)r->n, MAX_RANGE);
	return (struct value){.kind = RANGE, .range = r};
}

/* ---- dict, namespace ------------------------------------------------------------------------------------------- */
static void add_pairs(struct work *w, struct dict *to, struct value from)
{
	if (from.kind == DICT) {
		for (size_t i = 0; i < from.dict->n; i++)
			dict_set(w, to, from.dict->keys[i], from.dict->values[i]);
		return;
	}
	const struct list *l = elements(w, from);
	for (size_t i = 0; i < l->n; i++) {
		const struct list *p = elements(w, l->at[i]);
		if (p->n != 2)
			work_fail(w, "an element that a dict is made of is not a pair");
		dict_set(w, to, p->at[0], p->at[1]);
	}
}

static struct value make_dict(struct work *w, enum kind kind, const struct arguments *a)
{
	struct value out = dict_new(w, kind);
	if (a->n > 1)
		work_fail(w, "a dict is made of at most one value and of names");
	if (a->n)
		add_pairs(w, out.dict, a->positional[0]);
	for (size_t i = 0; i < a->n_named; i++)
		dict_set(w, out.dict, string(a->names[i]), a->named[i]);
	return out;
}
static struct value do_dict(struct work *w, struct value in, const struct arguments *a)
{
	(void)in;
	return make_dict(w, DICT, a);
}
static struct value do_namespace(struct work *w, struct value in, const struct arguments *a)
{
	(void)in;
	struct value out = make_dict(w, NAMESPACE, a);
	for (size_t i = 0; i < out.dict->n; i++)
		if (out.dict->keys[i].kind == STRING && out.dict->keys[i].s.n && *out.dict->keys[i].s.at == '_')
			work_fail(w, "attribute `%.*s` of a namespace is forbidden: it begins with an underscore",
			          SHOWN(out.dict->keys[i].s));
	return out;
}

/* ---- of transformers ------------------------------------------------------------------------------------------- */
static struct value do_raise(struct work *w, const struct value *v)
{
	struct span s = value_text(w, v[1]);
	work_fail(w, "the template refuses: %.*s", (int)(s.n < 300 ? s.n : 300), s.at);
}

/* What follows a % in a format, in the locale "C"; those that need a time zone or more than seconds are refused. */
static void add_time(struct text *out, char directive)
{
	static const char supported[] = "aAbBcCdDeFgGhHIjklmMnprRStTuUVwWxXyY%";
	char s[128], format[] = {'%', directive, 0};
	if (directive == 'z' || directive == 'Z')
		return; /* a time without a zone */
	if (!directive || !strchr(supported, directive))
		work_fail(out->work, "`%%%c` in the format of a time is not supported", directive ? directive : ' ');
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	size_t n = strftime(s, sizeof s, format, out->work->now);
#pragma GCC diagnostic pop
	text_append(out, s, n);
}

static struct value do_strftime(struct work *w, const struct value *v)
{
	struct span format = text_argument(w, v[1], "the format of a time");
	struct text out = {.work = w};
	if (!w->now)
		work_fail(w, "`strftime_now` needs the time, which is not known here");
	for (size_t i = 0; i < format.n; i++) {
		if (format.at[i] != '%')
			text_append(&out, format.at + i, 1);
		else
			add_time(&out, ++i < format.n ? format.at[i] : 0);
	}
	return string(text_end(&out));
}

const struct builtin all_functions[] = {
	{.name = "range", .run_any = do_range},
	{.name = "dict", .run_any = do_dict},
	{.name = "namespace", .run_any = do_namespace},
	{.name = "raise_exception", .run = do_raise, .parameters = {"message"}, .required = 1},
	{.name = "strftime_now", .run = do_strftime, .parameters = {"format"}, .required = 1},
	{.name = NULL},
};
