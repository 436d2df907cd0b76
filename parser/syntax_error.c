/* The wording of syntax errors: "expected `)` or `,`, found name `x`". */
#include "build.h"
#include "../lexer/units.h"
#include "parser/grammar.tab.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_LISTED = 4, MAX_EXPECTED = 100 };

/* Sets of tokens that one word stands for: `members` are the grammar's names, all dropped if `sign` is expected. */
struct group {
	const char *sign, *phrase, *const *members;
};

static const char *const value_tokens[] = {"name", "number", "quantity", "string", "true", "false", "none", "auto",
                                           "if",   "not",    "'-'",      "'('",    "'['",  "'{'",   NULL};
static const char *const operator_tokens[] = {"where", "and", "or",  "in",  "divides", "mod", "per",    "'<'",    "'>'",
                                              "<=",    ">=",  "==",  "!=",  "..",      "'+'", "'-'",    "'*'",    "'/'",
                                              "@[",    "'.'", "'('", "'['", "'{'",     "as",  "within", "across", NULL};
static const char *const item_tokens[] = {"name",   "use",      "return",   "require", "assert",
                                          "prefer", "maximize", "minimize", "when",    NULL};

static const char *const likely_tokens[] = {"end of line", "'='", "':'",  "','",  "')'", "']'",
                                            "'}'",         "'{'", "then", "else", NULL};

static const struct group groups[] = {
	{"use", "an item", item_tokens},
	{"and", "an operator", operator_tokens},
	{"quantity", "a value", value_tokens},
};

struct phrases {
	const char *at[MAX_EXPECTED];
	int n;
};

static bool listed(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static bool has(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

/* `(` for the grammar's '('; `in` for in; "a name", "end of line" for kinds of tokens. */
static const char *token_phrase(struct parser *p, const char *name)
{
	static const char *const kinds[][2] = {
		{"name", "a name"},     {"number", "a number"},         {"quantity", "a quantity"},
		{"string", "a string"}, {"end of line", "end of line"}, {"end of file", "end of file"}};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!strcmp(kinds[i][0], name))
			return kinds[i][1];
	if (name[0] == '\'')
		return arena_printf(p->arena, "`%c`", name[1]);
	return arena_printf(p->arena, "`%s`", name);
}

/* The end of the file counts as a newline. */
static bool is_implied(const char *const *expected, int n, const char *name)
{
	return !strcmp(name, "end of file") && has(expected, n, "end of line");
}

/* What was expected, in the fewest words, the likely first. */
static struct phrases expected_phrases(struct parser *p, const char *const *expected, int n)
{
	struct phrases out = {.n = 0};
	bool told[MAX_EXPECTED] = {false};
	if (n > MAX_EXPECTED - (int)(sizeof groups / sizeof *groups))
		internal_error("%d tokens are expected", n);
	for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
		if (!has(expected, n, groups[g].sign))
			continue;
		out.at[out.n++] = groups[g].phrase;
		for (int i = 0; i < n; i++)
			told[i] |= listed(groups[g].members, expected[i]);
	}
	for (int first = 1; first >= 0; first--)
		for (int i = 0; i < n; i++)
			if (!told[i] && listed(likely_tokens, expected[i]) == first && !is_implied(expected, n, expected[i]))
				out.at[out.n++] = token_phrase(p, expected[i]);
	return out;
}

static const char *expected_text(struct parser *p, const char *const *expected, int n)
{
	struct phrases phrases = expected_phrases(p, expected, n);
	struct text t = {.arena = p->arena};
	int shown = phrases.n < MAX_LISTED ? phrases.n : MAX_LISTED;
	for (int i = 0; i < shown; i++)
		text_add(&t, "%s%s", i == 0 ? "" : i == phrases.n - 1 ? " or " : ", ", phrases.at[i]);
	if (phrases.n > shown)
		text_add(&t, " or %d others", phrases.n - shown);
	return t.n ? t.at : "an item";
}

static const char *source_text(struct parser *p, struct span at)
{
	return arena_strndup(p->arena, p->text + at.lo, at.hi - at.lo);
}

static bool is_word(struct parser *p)
{
	return p->last >= 0 && p->tokens.at[p->last].kind != TOK_IDENT
	       && strchr("abcdefghijklmnopqrstuvwxyz", p->text[p->tokens.at[p->last].lo]);
}

static const char *found_text(struct parser *p, const char *found, struct span at)
{
	if (at.lo == at.hi)
		return found;
	if (at.hi - at.lo > 40 || p->last_kind == TOK_STRING)
		return arena_printf(p->arena, "a %s", found);
	if (p->last_kind == TOK_IDENT || p->last_kind == TOK_NUMBER || p->last_kind == TOK_QUANTITY)
		return arena_printf(p->arena, "%s `%s`", found, source_text(p, at));
	if (is_word(p))
		return arena_printf(p->arena, "reserved word `%s`", source_text(p, at));
	return arena_printf(p->arena, "`%s`", source_text(p, at));
}

/* The token before the wrong one, or NULL at the start of the file. */
static const struct token *token_before(const struct parser *p)
{
	int index = (p->last >= 0 ? p->last : p->next) - 1;
	return index >= 0 ? &p->tokens.at[index] : NULL;
}

static void help_with_unit(struct parser *p, struct diag *d, struct span at)
{
	const char *word = source_text(p, at), *near = unit_by_habit(word);
	if (!near && strcmp(word, "to"))
		near = nearest_unit(word);
	if (!strcmp(word, "to")) {
		diag_help(p->sink, d, "write a range as `lowest..highest`");
		diag_fix(p->sink, d, at, "..");
		return;
	}
	if (near)
		diag_help(p->sink, d, "`%s` is not a unit; did you mean `%s`?", word, near);
	else
		diag_help(p->sink, d, "`%s` is not a unit", word);
	if (near)
		diag_fix(p->sink, d, at, near);
}

/* A token that belongs on the line of the one before it: the edit removes the newline. */
static void help_join(struct parser *p, struct diag *d, const struct token *before, const struct token *t,
                      const char *help)
{
	diag_help(p->sink, d, "%s", help);
	if (strspn(p->text + before->hi, " \t\r\n") == t->lo - before->hi)
		diag_fix(p->sink, d, (struct span){p->file, before->hi, t->lo}, " ");
}

static void help_write(struct parser *p, struct diag *d, struct span at, const char *token, const char *help)
{
	diag_help(p->sink, d, "%s", help);
	diag_fix(p->sink, d, at, token);
}

/* Habits from other languages. false: none of them. */
static bool help_with_habit(struct parser *p, struct diag *d, const struct token *before, const struct token *t,
                            struct span at)
{
	struct span between = {p->file, before ? before->hi : t->lo, t->lo};
	if (before && before->kind == '=' && t->kind == '>' && between.lo == between.hi)
		help_write(p, d, (struct span){p->file, before->lo, t->hi}, "->", "write an arrow as `->`");
	else if (before && before->kind == TOK_NUMBER && (t->kind == ':' || t->kind == TOK_ELLIPSIS))
		help_write(p, d, at, "..", "write a range as `lowest..highest`");
	else if (t->kind == ',' && p->frames.at[p->frames.n - 1].bracket == '{')
		help_write(p, d, at, ";", "put each item on its own line, or separate items with `;`");
	else if (before && before->kind == TOK_IDENT && (t->kind == TOK_NUMBER || t->kind == TOK_QUANTITY)
	         && !t->line_start)
		help_write(p, d, between, " = ", "write `=` between a field and its value");
	else if (before && before->kind == ':'
	         && (t->kind == TOK_NUMBER || t->kind == TOK_QUANTITY || t->kind == TOK_STRING))
		help_write(p, d, token_span(p, before), " =", "write `=` between a field and its value");
	else
		return false;
	return true;
}

/* The most common mistakes, by what was found. */
static void help(struct parser *p, struct diag *d, struct span at, const char *const *expected, int n)
{
	const struct token *before = token_before(p), *t = p->last >= 0 ? &p->tokens.at[p->last] : NULL;
	if (!t)
		return;
	if (before && before->kind == TOK_NUMBER && t->kind == TOK_IDENT && !t->line_start && t->lo - before->hi <= 1) {
		if (!help_with_thousands(p, d, before, t))
			help_with_unit(p, d, at);
	} else if (help_with_foreign_syntax(p, d, t))
		return;
	else if (t->kind == '=' && has(expected, n, "=="))
		help_write(p, d, at, "==", "compare with `==`");
	else if (before && t->kind == TOK_ELSE && t->line_start)
		help_join(p, d, before, t, "put `else` on the line of the `}` before it");
	else if (before && t->kind == '{' && t->line_start)
		help_join(p, d, before, t, "put `{` on the line of the item that it belongs to");
	else if (before && t->kind == TOK_ARROW && t->line_start)
		help_join(p, d, before, t, "put `->` on the line of the `)` before it");
	else if (help_with_habit(p, d, before, t, at))
		return;
	else if (is_word(p) && has(expected, n, "name"))
		diag_help(p->sink, d, "`%s` is a reserved word: choose another name", source_text(p, at));
}

static bool misses_value(const struct parser *p)
{
	const struct token *before = token_before(p);
	if (!before || before->kind != '=')
		return false;
	return p->last < 0 || p->last_kind == TOK_NL || !p->last_kind || is_closer(p->last_kind) || p->last_kind == ',';
}

/* The line before the wrong token ends in a token that continues it, and the next looks like an item: `x = a +`. */
static bool report_broken_off(struct parser *p)
{
	int next_line = swallowed_item(p);
	const struct token *end = next_line > 0 ? &p->tokens.at[next_line - 1] : NULL;
	if (!end || ends_item(end->kind))
		return false;
	diag_report(p->sink, DIAG_E0005, (struct span){p->file, end->hi, end->hi},
	            "expected the rest of the item after `%s`, found end of line", source_text(p, token_span(p, end)));
	return true;
}

static void report(struct parser *p, const char *found, struct span at, const char *const *expected, int n)
{
	if (misses_value(p)) {
		uint32_t end = token_before(p)->hi;
		struct diag *d =
			diag_report(p->sink, DIAG_E0002, (struct span){p->file, end, end}, "expected a value after `=`");
		diag_help(p->sink, d, "write the value on this line, or delete the item");
		return;
	}
	if (report_broken_off(p) || (p->last >= 0 && report_flags(p, &p->tokens.at[p->last])))
		return;
	struct diag *d = diag_report(p->sink, DIAG_E0005, at, "expected %s, found %s", expected_text(p, expected, n),
	                             found_text(p, found, at));
	help(p, d, at, expected, n);
}

/* The item already has a reported mistake before the wrong token. */
static bool follows_from_another(const struct parser *p, int start)
{
	if (p->failed_item == start || p->syntax_errors >= MAX_SYNTAX_ERRORS)
		return true;
	int end = p->last >= 0 ? p->last : p->next - 1;
	for (int i = start; i <= end; i++)
		if (p->tokens.at[i].tainted)
			return true;
	return p->tokens.truncated && !p->tokens.at[p->next].kind;
}

void syntax_error(struct parser *p, const char *found, struct span at, const char *const *expected, int n)
{
	int start = item_start(p);
	if (!follows_from_another(p, start)) {
		report(p, found, at, expected, n);
		p->syntax_errors++;
	}
	p->failed_item = start;
	if (p->syntax_errors < MAX_SYNTAX_ERRORS) {
		resume_at_item_end(p);
	} else {
		p->next = p->tokens.n - 1;
		p->line_end_due = false;
		p->entered = true;
	}
}

void stack_exhausted(struct parser *p, struct span at)
{
	diag_report(p->sink, DIAG_E0007, at, "expression is nested too deep");
}
