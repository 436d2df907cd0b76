/* Habits from other languages and from command lines, seen in the text around a syntax error. */
#include "build.h"
#include "parser/grammar.tab.h"
#include <ctype.h>
#include <string.h>

static bool in_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static bool in_name(char c) { return in_word(c) || c == '-' || c == '.'; }

static uint32_t line_begin(const char *text, uint32_t at)
{
	while (at && text[at - 1] != '\n')
		at--;
	return at;
}

/* The end of the line, without spaces there, a comment, or a brace that closes the item. */
static uint32_t line_end(const char *text, uint32_t at)
{
	uint32_t end = at + (uint32_t)strcspn(text + at, "\r\n;}#");
	while (end > at && strchr(" \t,\\", text[end - 1]))
		end--;
	return end;
}

static void suggest(struct parser *p, struct diag *d, struct span at, const char *text)
{
	diag_help(p->sink, d, "write `%s`", text);
	diag_fix(p->sink, d, at, text);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* The word around a byte, if `-` or `.` keep it from being a name: `my-chat`, `Llama-3.1-8B`. Empty if not. */
static struct span dashed_word(struct parser *p, uint32_t at)
{
	uint32_t lo = at, hi = at;
	while (lo && in_name(p->text[lo - 1]))
		lo--;
	while (in_name(p->text[hi]))
		hi++;
	bool word = isalpha((unsigned char)p->text[lo]) && in_word(p->text[hi - 1]);
	return (struct span){p->file, lo, word ? hi : lo};
}

static bool help_with_dashes(struct parser *p, struct diag *d, const struct token *t)
{
	struct span word = t->kind == '-' ? dashed_word(p, t->lo) : (struct span){p->file, 0, 0};
	if (word.hi - word.lo < 3 || word.lo == t->lo || word.hi == t->hi)
		return false;
	char *name = arena_strndup(p->arena, p->text + word.lo, word.hi - word.lo);
	for (char *c = name; *c; c++)
		*c = in_word(*c) ? *c : '_';
	diag_help(p->sink, d, "a name has letters, digits and `_`: write `%s`", name);
	diag_fix(p->sink, d, word, name);
	return true;
}

/* ---- imports --------------------------------------------------------------------------------- */

/* `from std.models import A, B` */
static bool python_import(struct parser *p, struct diag *d, const struct token *t)
{
	const char *module = p->text + t->hi + strspn(p->text + t->hi, " \t");
	size_t n = strspn(module, "abcdefghijklmnopqrstuvwxyz0123456789_.");
	const char *word = module + n + strspn(module + n, " \t");
	if (t->kind != TOK_FROM || strncmp(word, "import ", 7) != 0)
		return false;
	uint32_t end = line_end(p->text, (uint32_t)(word - p->text));
	const char *names = arena_strndup(p->arena, word + 7, (size_t)(p->text + end - word - 7));
	struct span line = {p->file, t->lo, end};
	if (*names == '*')
		return false;
	suggest(p, d, line, arena_printf(p->arena, "use %.*s { %s }", (int)n, module, names));
	return true;
}

/* `use std.models *`: without the item, names that are used are reported, each with the edit that imports it. */
static bool star_import(struct parser *p, struct diag *d, const struct token *t)
{
	uint32_t line = line_begin(p->text, t->lo);
	if (t->kind != '*' || strncmp(p->text + line, "use ", 4) != 0)
		return false;
	uint32_t end = line_end(p->text, t->lo);
	diag_help(p->sink, d, "list the names that are used: `use std.models { A, B }`");
	diag_fix(p->sink, d, (struct span){p->file, line, end + (p->text[end] == '\n')}, "");
	return true;
}

/* ---- operators ------------------------------------------------------------------------------- */

/* `=<`, and `=>` of a comparison. */
static bool help_with_sign(struct parser *p, struct diag *d, const struct token *t)
{
	if (t->kind != '=' || (t[1].kind != '<' && t[1].kind != '>') || t[1].lo != t->hi)
		return false;
	suggest(p, d, (struct span){p->file, t->lo, t[1].hi}, t[1].kind == '<' ? "<=" : ">=");
	return true;
}

/* `plan: Megatron { tp = 8 }`: a field that is set. */
static bool help_with_colon(struct parser *p, struct diag *d, const struct token *t)
{
	const struct token *first = &p->tokens.at[item_start(p)];
	if (t->kind != '{' || first->kind != TOK_IDENT || first[1].kind != ':')
		return false;
	diag_help(p->sink, d, "a field is set with `=`");
	diag_fix(p->sink, d, token_span(p, &first[1]), " =");
	return true;
}

bool help_with_foreign_syntax(struct parser *p, struct diag *d, const struct token *t)
{
	return python_import(p, d, t) || star_import(p, d, t) || help_with_sign(p, d, t) || help_with_colon(p, d, t)
	       || help_with_dashes(p, d, t);
}

/* ---- units ----------------------------------------------------------------------------------- */

const char *unit_by_habit(const char *word)
{
	static const char *const habits[][2] = {
		{"sec", "s"},          {"secs", "s"},          {"second", "s"},      {"seconds", "s"},   {"msec", "ms"},
		{"millisecond", "ms"}, {"milliseconds", "ms"}, {"minute", "min"},    {"minutes", "min"}, {"hour", "h"},
		{"hours", "h"},        {"days", "day"},        {"tok", "tokens"},    {"toks", "tokens"}, {"Ki", "KiB"},
		{"Mi", "MiB"},         {"Gi", "GiB"},          {"Ti", "TiB"},        {"gb", "GB"},       {"mb", "MB"},
		{"tb", "TB"},          {"req", "requests"},    {"reqs", "requests"}, {"usd", "USD"},
	};
	for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
		if (!strcmp(habits[i][0], word))
			return habits[i][1];
	return NULL;
}

/* `4k`: thousands are written out; of lengths, usually as powers of two. */
bool help_with_thousands(struct parser *p, struct diag *d, const struct token *number, const struct token *word)
{
	char letter = word->hi - word->lo == 1 ? (char)tolower((unsigned char)p->text[word->lo]) : 0;
	const char *text = arena_strndup(p->arena, p->text + number->lo, number->hi - number->lo);
	long long n = 0;
	if ((letter != 'k' && letter != 'm') || strlen(text) > 6 || strspn(text, "0123456789") != strlen(text))
		return false;
	for (const char *c = text; *c; c++)
		n = 10 * n + (*c - '0');
	long long two = letter == 'k' ? n << 10 : n << 20, ten = letter == 'k' ? n * 1000 : n * 1000000;
	diag_help(p->sink, d, "write `%lld`, or `%lld`", two, ten);
	diag_fix(p->sink, d, (struct span){p->file, number->lo, word->hi}, arena_printf(p->arena, "%lld", two));
	return true;
}

/* ---- flags ----------------------------------------------------------------------------------- */

struct flag {
	const char *name, *value;
	size_t n_name, n_value;
};

/* `--max-model-len 8192`, `--tp=8`, `--enable-expert-parallel`. Returns the bytes read; 0: no flag. */
static size_t flag_at(const char *text, const char *end, struct flag *f)
{
	const char *at = text + strspn(text, " \t\"',-");
	*f = (struct flag){.name = at};
	if (at >= end || at < text + 2 || strncmp(at - 2, "--", 2) != 0)
		return 0;
	while (in_name(*at))
		at++;
	f->n_name = (size_t)(at - f->name);
	const char *value = at + strspn(at, " \t=");
	if (value < end && value[0] == '-' && value[1] == '-')
		value = at;
	f->value = value;
	while (value < end && !strchr(" \t\"',;", *value))
		value++;
	f->n_value = (size_t)(value - f->value);
	return f->n_name ? (size_t)(value - text) : 0;
}

static bool is_number(const char *s, size_t n) { return n && strspn(s, "0123456789.") >= n; }

static void put_flag(struct text *t, const struct flag *f)
{
	const char *quote = f->n_value && !is_number(f->value, f->n_value) && memchr(f->value, '/', f->n_value) ? "\"" : "";
	text_add(t, "%s", t->n ? "; " : "");
	for (size_t i = 0; i < f->n_name; i++)
		text_add(t, "%c", in_word(f->name[i]) ? tolower((unsigned char)f->name[i]) : '_');
	text_add(t, " = %s%.*s%s", quote, f->n_value ? (int)f->n_value : 4, f->n_value ? f->value : "true", quote);
}

bool report_flags(struct parser *p, const struct token *t)
{
	struct span line = {p->file, t->lo, line_end(p->text, t->lo)};
	struct text items = {.arena = p->arena};
	struct flag f;
	if (!t->line_start || t->kind != '-' || p->text[t->hi] != '-')
		return false;
	for (uint32_t at = line.lo; at < line.hi;) {
		size_t n = flag_at(p->text + at, p->text + line.hi, &f);
		if (!n)
			break;
		put_flag(&items, &f);
		at += (uint32_t)n;
	}
	if (!items.n)
		return false;
	struct diag *d = diag_report(p->sink, DIAG_E0010, line, "`%s` is a flag of a command line",
	                             arena_strndup(p->arena, p->text + line.lo, line.hi - line.lo));
	if (p->frames.n > 1)
		suggest(p, d, line, items.at);
	else
		diag_help(p->sink, d, "`deployc import --from FILE` writes the spec of a command line");
	return true;
}
