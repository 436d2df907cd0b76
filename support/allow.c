/* `// deploy: allow CODE reason` suppresses an accepted warning. The comment itself is checked too. */
#include "diag.h"
#include "names.h"
#include <stdlib.h>
#include <string.h>

static const struct source *file_of(const struct sink *s, struct span at) { return &s->sources->files.at[at.file]; }

static uint32_t skip_blanks(const struct source *f, uint32_t at, uint32_t end)
{
	while (at < end && (f->text[at] == ' ' || f->text[at] == '\t' || f->text[at] == '\r'))
		at++;
	return at;
}

static uint32_t word_end(const struct source *f, uint32_t at, uint32_t end)
{
	while (at < end && !strchr(" \t\r", f->text[at]))
		at++;
	return at;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void wrong_form(struct sink *s, struct span comment, struct span word)
{
	struct diag *d =
		diag_report(s, DIAG_W0011, word.lo < word.hi ? word : comment, "this `// deploy:` comment is not understood");
	diag_help(s, d, "write `// deploy: allow CODE reason`, or begin the comment with another word");
	if (word.lo < word.hi)
		diag_fix(s, d, word, "allow");
}

static void check_code(struct sink *s, const struct allow *a)
{
	enum diag_code c;
	const char *names[DIAG_COUNT];
	int n = 0;
	if (diag_find(a->code, &c) && !diag_is_error(c))
		return;
	struct diag *d =
		diag_find(a->code, &c)
			? diag_report(s, DIAG_W0011, a->code_at, "`%s` is an error: only warnings can be allowed", a->code)
			: diag_report(s, DIAG_W0011, a->code_at, "no warning has the code `%s`", a->code);
	for (int i = 0; i < DIAG_COUNT; i++)
		if (!diag_is_error((enum diag_code)i))
			names[n++] = diag_code_name((enum diag_code)i);
	const char *near = diag_find(a->code, &c) ? NULL : nearest_name(a->code, names, n);
	if (!diag_suggest(s, d, a->code_at, near))
		diag_help(s, d, "`deployc explain` lists all codes; those of warnings start with W");
}

static void check_reason(struct sink *s, const struct allow *a)
{
	if (*a->reason)
		return;
	struct diag *d = diag_report(s, DIAG_W0012, a->code_at, "`%s` is allowed without a reason", a->code);
	diag_help(
		s, d,
		"say after the code why the warning is acceptable here: `// deploy: allow %s the idle ranks serve another job`",
		a->code);
}

void allow_comment(struct sink *s, struct span comment)
{
	const struct source *f = file_of(s, comment);
	uint32_t end = comment.hi, at = skip_blanks(f, comment.lo + 2, end);
	static const char directive[] = "deploy:";
	if (end - at < strlen(directive) || memcmp(f->text + at, directive, strlen(directive)) != 0)
		return;
	at = skip_blanks(f, at + (uint32_t)strlen(directive), end);
	struct span word = {comment.file, at, word_end(f, at, end)};
	uint32_t code = skip_blanks(f, word.hi, end), code_end = word_end(f, code, end),
			 reason = skip_blanks(f, code_end, end);
	if (word.hi - word.lo != 5 || memcmp(f->text + word.lo, "allow", 5) != 0 || code == end) {
		wrong_form(s, comment, code == end ? (struct span){comment.file, end, end} : word);
		return;
	}
	while (end > reason && strchr(" \t\r", f->text[end - 1]))
		end--;
	struct allow a = {.at = comment,
	                  .code_at = {comment.file, code, code_end},
	                  .code = arena_strndup(s->arena, f->text + code, code_end - code),
	                  .reason = arena_strndup(s->arena, f->text + reason, end - reason)};
	vec_push(s->arena, &s->allows, a);
}

/* ---- suppressing ----------------------------------------------------------------------------- */

static int line_of(const struct sink *s, struct span at)
{
	int line, column;
	sources_position(s->sources, at, &line, &column);
	return line;
}

/* The line that allows[allow] applies to. */
struct target {
	uint32_t file;
	int line, allow;
};

static bool stands_alone(const struct sink *s, const struct allow *a, int line)
{
	const struct source *f = file_of(s, a->at);
	return skip_blanks(f, f->lines[line - 1], a->at.lo) == a->at.lo;
}

/* The line that each comment applies to: its own if something precedes it there, else the next line that is not such a
 * comment. */
static struct target *find_targets(const struct sink *s)
{
	struct target *t = arena_array(s->arena, struct target, s->allows.n + 1);
	int after = 0; /* the line after this comment and the ones directly after it */
	for (int i = s->allows.n - 1; i >= 0; i--) {
		const struct allow *a = &s->allows.at[i], *next = i + 1 < s->allows.n ? a + 1 : NULL;
		int line = line_of(s, a->at);
		if (!next || next->at.file != a->at.file || line_of(s, next->at) != line + 1)
			after = line + 1;
		t[i] = (struct target){a->at.file, stands_alone(s, a, line) ? after : line, i};
	}
	return t;
}

static int by_line(const void *a, const void *b)
{
	const struct target *x = a, *y = b;
	return x->file != y->file ? (x->file < y->file ? -1 : 1) : x->line - y->line;
}

static int by_line_and_order(const void *a, const void *b)
{
	const struct target *x = a, *y = b;
	return by_line(a, b) ? by_line(a, b) : x->allow - y->allow;
}

/* Suppresses a warning on a line that a comment with its code applies to. `t` is sorted. */
static void suppress(struct sink *s, struct diag *d, const struct target *t)
{
	struct target here = {d->at.file, line_of(s, d->at), 0};
	int lo = 0, hi = s->allows.n;
	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;
		if (by_line(&t[mid], &here) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < s->allows.n && !by_line(&t[lo], &here); lo++) {
		struct allow *a = &s->allows.at[t[lo].allow];
		if (strcmp(diag_code_name(d->code), a->code) != 0)
			continue;
		a->used = true;
		if (!d->allowed)
			s->warnings--;
		d->allowed = *a->reason ? a->reason : "no reason given";
	}
}

/* The comment, with its newline if it is alone on its line. */
static struct span whole_line(const struct sink *s, const struct allow *a)
{
	const struct source *f = file_of(s, a->at);
	uint32_t start = f->lines[line_of(s, a->at) - 1];
	if (skip_blanks(f, start, a->at.lo) != a->at.lo)
		return a->at;
	return (struct span){a->at.file, start, a->at.hi < f->size ? a->at.hi + 1 : a->at.hi};
}

static void report_unused(struct sink *s, const struct allow *a)
{
	struct diag *d = diag_report(s, DIAG_W0013, a->at, "`allow %s` suppresses nothing here", a->code);
	diag_help(s, d, "delete the comment: it applies to its own line, or to the line after it");
	diag_fix(s, d, whole_line(s, a), "");
}

void allow_apply(struct sink *s, bool complete)
{
	struct target *t = find_targets(s);
	qsort(t, (size_t)s->allows.n, sizeof *t, by_line_and_order);
	for (int i = 0; i < s->diags.n && s->allows.n; i++)
		if (!diag_is_error(s->diags.at[i]->code))
			suppress(s, s->diags.at[i], t);
	bool all_found = complete && !s->errors;
	for (int i = 0; i < s->allows.n; i++) {
		struct allow *a = &s->allows.at[i];
		enum diag_code c;
		check_code(s, a);
		check_reason(s, a);
		if (all_found && !a->used && diag_find(a->code, &c) && !diag_is_error(c))
			report_unused(s, a);
	}
}
