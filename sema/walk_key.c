/* Names of tensors in a checkpoint (docs/language.md, Checkpoints): what stands for the {braces} in them. */
#include "walk.h"
#include <stdlib.h>
#include <string.h>

/* What may be counted in a name: no product or sum of these leaves 63 bits. */
enum { MAX_COUNTED = 1 << 24 };

/* The axis in `own` called `name`, by declaration or by a name in scope; -1: none. */
static int key_axis(struct env *e, const char *name, struct axes own)
{
	for (int i = 0; i < own.n; i++)
		if (!strcmp(e->walk->p->axes.at[own.at[i]].name, name))
			return own.at[i];
	int axis = env_axis(e, name);
	return axis >= 0 && axes_have(own, axis) ? axis : -1;
}

/* Is it the index of the loop that is walked? */
static bool is_index(const struct walk *w, const char *name)
{
	return w->loop >= 0 && name == w->p->loops.at[w->loop].index;
}

static bool report_name(struct env *e, const char *name, struct val v, struct span at)
{
	struct walk *w = e->walk;
	w->failed = true;
	if (v.kind == V_BAD)
		return false;
	struct diag *d =
		walk_report(w, DIAG_E0409, at, "`{%s}` is not a loop index, an axis of the tensor or a String", name);
	diag_help(w->s->sink, d,
	          "a name in a checkpoint is filled from the index of `repeat`, String parameters, and axes of the param");
	return false;
}

/* Adds the replacement of {name}. false after E0409. */
static bool fill_name(struct env *e, const char *name, struct axes own, struct axes *keyed, struct text *out,
                      struct span at)
{
	struct walk *w = e->walk;
	struct val v = val_none();
	int axis = key_axis(e, name, own);
	if (axis >= 0) {
		text_add(out, "{%s}", w->p->axes.at[axis].name);
		if (!axes_have(*keyed, axis))
			*keyed = axes_add(w, *keyed, axis);
		return true;
	}
	if (is_index(w, name)) {
		text_add(out, "{%s}", name);
		return true;
	}
	scope_find(&e->scope, name, at, &v);
	if (v.kind == V_STRING)
		text_add(out, "%s", v.name);
	else if (v.kind == V_INT)
		text_add(out, "%lld", (long long)v.i);
	else
		return report_name(e, name, v, at);
	return true;
}

/* ---- sums: {2 * layer + first} --------------------------------------------------------------- */

/* times * index + plus */
struct count {
	int64_t times, plus;
};

static bool report_sum(struct env *e, const char *text, size_t n, struct span at)
{
	struct walk *w = e->walk;
	struct diag *d = walk_report(w, DIAG_E0409, at, "`{%.*s}` does not count turns of a loop", (int)n, text);
	diag_help(w->s->sink, d, "write a sum of products of Ints and one loop index: `{layer + 3}`, `{2 * layer + 1}`");
	w->failed = true;
	return false;
}

static size_t skip_blanks(const char *text, size_t at) { return at + strspn(text + at, " "); }

/* A factor from *at on: an Int, a name of one, or the loop's index. */
static bool read_factor(struct env *e, const char *text, size_t *at, struct count *out, struct span span)
{
	static const char digits[] = "0123456789",
					  letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	size_t n = strspn(text + *at, letters);
	const char *name = names_intern(e->walk->s->names, text + *at, n);
	struct val v = val_none();
	*at += n;
	*out = (struct count){0, 0};
	if (is_index(e->walk, name)) {
		out->times = 1;
		return true;
	}
	if (n && strspn(name, digits) == n && n < 10)
		v = val_int(strtoll(name, NULL, 10));
	else if (n)
		scope_find(&e->scope, name, span, &v);
	out->plus = v.kind == V_INT ? v.i : 0;
	return v.kind == V_INT && v.i >= 0 && v.i <= MAX_COUNTED;
}

/* Factors from *at on, up to `+` or the end. */
static bool read_product(struct env *e, const char *text, size_t *at, struct count *out, struct span span)
{
	*out = (struct count){0, 1};
	for (;; ++*at) {
		struct count factor;
		*at = skip_blanks(text, *at);
		if (!read_factor(e, text, at, &factor, span) || (out->times && factor.times))
			return false;
		out->times = out->times * factor.plus + factor.times * out->plus;
		out->plus *= factor.plus;
		*at = skip_blanks(text, *at);
		if (text[*at] != '*' || out->times > MAX_COUNTED || out->plus > MAX_COUNTED)
			return text[*at] != '*';
	}
}

/* A sum of products up to `}`; false: it is none, or too large. */
static bool read_sum(struct env *e, const char *text, struct count *sum, struct span span)
{
	*sum = (struct count){0, 0};
	for (size_t at = 0;; at++) {
		struct count product;
		if (!read_product(e, text, &at, &product, span) || (sum->times && product.times))
			return false;
		sum->times += product.times, sum->plus += product.plus;
		if (text[at] != '+' || sum->times > MAX_COUNTED || sum->plus > MAX_COUNTED)
			return text[at] == '}' && sum->times <= MAX_COUNTED && sum->plus <= MAX_COUNTED;
	}
}

/* Adds a number, or {index*times+plus}, which a launcher counts. */
static bool fill_sum(struct env *e, const char *text, size_t n, struct text *out, struct span at)
{
	struct count sum;
	if (!read_sum(e, text, &sum, at))
		return report_sum(e, text, n, at);
	if (!sum.times)
		text_add(out, "%lld", (long long)sum.plus);
	else
		text_add(out, "{%s*%lld+%lld}", e->walk->p->loops.at[e->walk->loop].index, (long long)sum.times,
		         (long long)sum.plus);
	return true;
}

const char *walk_fill_key(struct env *e, const char *text, struct axes own, struct axes *keyed, struct span at)
{
	struct text out = {.arena = e->walk->arena};
	text_add(&out, "%s", "");
	while (*text) {
		size_t plain = strcspn(text, "{");
		text_add(&out, "%.*s", (int)plain, text);
		text += plain;
		if (!*text)
			break;
		size_t n = strcspn(++text, "}");
		if (!text[n]) {
			walk_report(e->walk, DIAG_E0409, at, "`{` is never closed in the name of a tensor");
			return NULL;
		}
		bool sum = strcspn(text, "+*") < n;
		if (sum ? !fill_sum(e, text, n, &out, at)
		        : !fill_name(e, names_intern(e->walk->s->names, text, n), own, keyed, &out, at))
			return NULL;
		text += n + 1;
	}
	return out.at;
}

const char *walk_full_key(struct walk *w, const char *own)
{
	const char *key = own;
	for (int r = w->region; r >= 0; r = w->p->regions.at[r].parent)
		if (*w->prefix.at[r])
			key = arena_printf(w->arena, "%s.%s", w->prefix.at[r], key);
	return key;
}
