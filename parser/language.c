/* The version of the language that a file is written in, and names of older ones. */
#include "language.h"
#include <stdlib.h>
#include <string.h>
#include "parser/grammar.tab.h"

static const struct renamed renamed[] = {
#define RENAMED(version, kind, old, new) {version, RENAMED_##kind, old, new},
#include "language.def"
#undef RENAMED
	{0},
};
const struct language this_language = {LANGUAGE_VERSION, renamed, (int)(sizeof renamed / sizeof *renamed) - 1};

static const char word[] = "language";

static bool says(const char *text, const struct token *t, const char *what)
{
	size_t n = t->hi - t->lo;
	return t->kind == TOK_IDENT && strlen(what) == n && !memcmp(text + t->lo, what, n);
}

/* ---- the version ----------------------------------------------------------------------------- */

static int newer(struct sink *sink, struct span at, const char *version, const struct language *known)
{
	diag_forget(sink, at.file);
	struct diag *d =
		diag_report(sink, DIAG_E0014, at, "version %s of the language is newer than this deployc", version);
	diag_note(sink, d, "the newest version that it knows is %d; nothing else in the file is checked", known->version);
	diag_help(sink, d, "install a newer deployc, or write the file in version %d", known->version);
	return -1;
}

/* `at`: what is in place of the number. */
static int not_a_version(struct sink *sink, struct span at, const struct language *known)
{
	struct diag *d =
		diag_report(sink, DIAG_E0015, at, "`language` is a version, a whole number: the newest is %d", known->version);
	diag_help(sink, d, "write `language = %d`, or leave the item out", known->version);
	if (at.lo < at.hi)
		diag_fix(sink, d, at, arena_printf(sink->arena, "%d", known->version));
	return 0;
}

static bool ends_line(const struct token *t) { return !t->kind || t->line_start || t->kind == TOK_NL; }

int language_of(struct sink *sink, uint32_t file, const struct tokens *tokens, const struct language *known,
                int *number)
{
	const char *text = sink->sources->files.at[file].text;
	const struct token *t = tokens->at;
	*number = -1;
	if (tokens->n < 3 || !says(text, t, word) || t[1].kind != '=' || t[1].line_start || ends_line(&t[2]))
		return known->version; /* a value that is missing is reported by the parser */
	int last = 2;
	while (!ends_line(&t[last + 1]))
		last++;
	struct span at = {file, t[2].lo, t[last].hi};
	char *end;
	const char *digits = arena_strndup(sink->arena, text + at.lo, at.hi - at.lo);
	long version = strtol(digits, &end, 10);
	if (last > 2 || t[2].kind != TOK_NUMBER || *end || version < 1)
		return not_a_version(sink, at, known);
	if (version > known->version)
		return newer(sink, at, digits, known);
	*number = 2;
	return (int)version;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_field(const struct tokens *tokens, int i)
{
	const struct token *t = &tokens->at[i];
	int next = i + 1 < tokens->n ? t[1].kind : 0;
	return next == '=' || next == ':' || (next == '{' && t->line_start) || (i && t[-1].kind == '.');
}

const char *language_renamed(const struct language *known, int version, const char *text, const struct tokens *tokens,
                             int i)
{
	const char *now = NULL;
	for (int k = 0; k < known->n; k++) {
		const struct renamed *r = &known->renamed[k];
		enum renamed_kind kind = is_field(tokens, i) ? RENAMED_FIELD : RENAMED_NAME;
		if (r->version > version && r->kind == kind && !strcmp(now ? now : text, r->old))
			now = r->new;
	}
	return now;
}

struct output {
	char *at;
	int n, cap;
};

static void put(struct arena *arena, struct output *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		vec_push(arena, out, text[i]);
}

struct upgraded language_upgrade(struct arena *arena, struct sink *sink, uint32_t file, const struct language *known)
{
	const struct source source = sink->sources->files.at[file];
	struct tokens tokens = lex(arena, sink, file);
	struct upgraded upgraded = {0};
	struct output out = {0};
	int number;
	upgraded.from = language_of(sink, file, &tokens, known, &number);
	if (upgraded.from < 1)
		return upgraded;
	uint32_t copied = 0;
	for (int i = 0; i < tokens.n; i++) {
		const struct token *t = &tokens.at[i];
		const char *now = NULL, *was = arena_strndup(arena, source.text + t->lo, t->hi - t->lo);
		if (t->kind == TOK_IDENT)
			now = language_renamed(known, upgraded.from, was, &tokens, i);
		upgraded.renamed += now != NULL;
		if (i == number)
			now = arena_printf(arena, "%d", known->version);
		if (!now)
			continue;
		put(arena, &out, source.text + copied, t->lo - copied);
		put(arena, &out, now, strlen(now));
		copied = t->hi;
	}
	put(arena, &out, source.text + copied, source.size - copied);
	put(arena, &out, "", 1);
	upgraded.text = out.at;
	upgraded.size = (size_t)out.n - 1;
	return upgraded;
}
