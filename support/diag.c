/* The diagnostics sink: collects what the passes report. */
#include "diag.h"
#include <stdlib.h>
#include <string.h>

static const char *const code_names[] = {
#define X(code, ...) #code,
#include "diag.def"
#undef X
};
static const char *const texts[][DIAG_TEXTS] = {
#define X(code, ...) {__VA_ARGS__},
#include "diag.def"
#undef X
};

const char *diag_code_name(enum diag_code c) { return code_names[c]; }

bool diag_is_error(enum diag_code c) { return code_names[c][0] == 'E'; }

bool diag_find(const char *name, enum diag_code *c)
{
	for (int i = 0; i < DIAG_COUNT; i++)
		if (!strcmp(code_names[i], name)) {
			*c = (enum diag_code)i;
			return true;
		}
	return false;
}

const char *diag_text(enum diag_code c, enum diag_text which) { return texts[c][which]; }

static bool same_span(struct span a, struct span b) { return a.file == b.file && a.lo == b.lo && a.hi == b.hi; }

/* The key that distinguishes a report from all others. */
static const char *identity(struct sink *s, enum diag_code code, struct span at, const char *message)
{
	return arena_printf(s->arena, "%d %x %x %x %s", code, at.file, at.lo, at.hi, message);
}

struct diag *diag_report(struct sink *s, enum diag_code code, struct span at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const char *message = arena_vprintf(s->arena, fmt, args);
	va_end(args);
	const char *id = identity(s, code, at, message);
	int first = index_find(&s->reported, id);
	if (first >= 0) {
		s->repeated = first < s->repeated ? first : s->repeated;
		return s->diags.at[first];
	}
	struct diag *d = arena_new(s->arena, struct diag);
	d->code = code;
	d->at = at;
	d->message = message;
	vec_push(s->arena, &s->diags, d);
	index_add(s->arena, &s->reported, id);
	*(diag_is_error(code) ? &s->errors : &s->warnings) += 1;
	return d;
}

void diag_forget(struct sink *s, uint32_t file)
{
	for (; s->diags.n && s->diags.at[s->diags.n - 1]->at.file == file; s->diags.n--)
		*(diag_is_error(s->diags.at[s->diags.n - 1]->code) ? &s->errors : &s->warnings) -= 1;
	index_cut(&s->reported, s->diags.n);
}

/* The text of one `fmt, ...` call. */
#define FORMAT(s, fmt, result)                            \
	do {                                                  \
		va_list args_;                                    \
		va_start(args_, fmt);                             \
		(result) = arena_vprintf((s)->arena, fmt, args_); \
		va_end(args_);                                    \
	} while (0)

void diag_label(struct sink *s, struct diag *d, const char *fmt, ...) { FORMAT(s, fmt, d->label); }

void diag_related(struct sink *s, struct diag *d, struct span at, const char *fmt, ...)
{
	struct diag_label label = {.at = at};
	FORMAT(s, fmt, label.text);
	for (int i = 0; i < d->related.n; i++)
		if (same_span(d->related.at[i].at, at) && !strcmp(d->related.at[i].text, label.text))
			return;
	vec_push(s->arena, &d->related, label);
}

static bool has_line(const char *const *lines, int n, const char *line)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(lines[i], line))
			return true;
	return false;
}

void diag_note(struct sink *s, struct diag *d, const char *fmt, ...)
{
	const char *note;
	FORMAT(s, fmt, note);
	if (!has_line(d->notes.at, d->notes.n, note))
		vec_push(s->arena, &d->notes, note);
}

void diag_table(struct sink *s, struct diag *d, const char *fmt, ...)
{
	const char *line;
	FORMAT(s, fmt, line);
	vec_push(s->arena, &d->table, line);
}

void diag_help(struct sink *s, struct diag *d, const char *fmt, ...) { FORMAT(s, fmt, d->help); }

void diag_fix(struct sink *s, struct diag *d, struct span at, const char *replacement)
{
	d->fix_at = at;
	d->fix = arena_strndup(s->arena, replacement, strlen(replacement));
}

static int by_offset(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;
	if (x->at.lo != y->at.lo)
		return x->at.lo < y->at.lo ? -1 : 1;
	return (x->at.hi > y->at.hi) - (x->at.hi < y->at.hi);
}

void diag_fix_edits(struct sink *s, struct diag *d, const struct edit *edits, int n)
{
	struct edit *sorted = arena_array(s->arena, struct edit, n);
	memcpy(sorted, edits, sizeof *sorted * (size_t)n);
	qsort(sorted, (size_t)n, sizeof *sorted, by_offset);
	const char *text = s->sources->files.at[sorted[0].at.file].text;
	struct text all = {.arena = s->arena};
	uint32_t end = sorted[0].at.lo;
	for (int i = 0; i < n; i++) {
		if (sorted[i].at.lo < end)
			internal_error("edits overlap at byte %u", sorted[i].at.lo);
		text_add(&all, "%.*s%s", (int)(sorted[i].at.lo - end), text + end, sorted[i].text);
		end = sorted[i].at.hi;
	}
	diag_fix(s, d, (struct span){sorted[0].at.file, sorted[0].at.lo, end}, all.at);
}

bool diag_suggest(struct sink *s, struct diag *d, struct span at, const char *near)
{
	if (!near)
		return false;
	diag_help(s, d, "did you mean `%s`?", near);
	diag_fix(s, d, at, near);
	return true;
}

enum { MAX_COMPARED = 64 << 20, MAX_NAME = 64 }; /* COMPARED: sum of products of lengths, the cost of nearest_name */

int diag_check(const struct sink *s, const char *deploy, enum diag_code mistake, const struct suggestion *values, int n)
{
	return s->check ? s->check(s->context, deploy, mistake, values, n) : -1;
}

bool diag_affords(struct sink *s, const char *name, int candidates)
{
	int64_t length = (int64_t)strnlen(name, MAX_NAME);
	if (s->compared < MAX_COMPARED)
		s->compared += candidates * length * length;
	return s->compared < MAX_COMPARED;
}

void diag_fix_delete(struct sink *s, struct diag *d, struct span item)
{
	const struct source *f = &s->sources->files.at[item.file];
	uint32_t end = item.hi + (uint32_t)strspn(f->text + item.hi, " \t");
	if (f->text[end] == ';')
		item.hi = end + 1 + (uint32_t)strspn(f->text + end + 1, " \t");
	diag_fix(s, d, item, "");
}

/* ---- order of the output --------------------------------------------------------------------- */

struct numbered {
	struct diag *diag;
	int number;
};

/* Reports at the same place stay in the order in which they were made. */
static int by_place(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	struct span s = x->diag->at, t = y->diag->at;
	if (s.file != t.file)
		return s.file < t.file ? -1 : 1;
	if (s.lo != t.lo)
		return s.lo < t.lo ? -1 : 1;
	return x->number - y->number;
}

struct diag *const *diag_sorted(const struct sink *s)
{
	int n = s->diags.n;
	struct numbered *numbered = arena_array(s->arena, struct numbered, n + 1);
	struct diag **sorted = arena_array(s->arena, struct diag *, n + 1);
	for (int i = 0; i < n; i++)
		numbered[i] = (struct numbered){s->diags.at[i], i};
	qsort(numbered, (size_t)n, sizeof *numbered, by_place);
	for (int i = 0; i < n; i++)
		sorted[i] = numbered[i].diag;
	return sorted;
}
