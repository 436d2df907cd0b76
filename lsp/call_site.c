/* Finds the call around a place of a text. */
#include "call_site.h"
#include "../lexer/lexer.h"
#include "parser/grammar.tab.h"

enum { MAX_OPEN = 64 };

/* A bracket that is not closed before the place. */
struct opened {
	int bracket;  /* index of its token */
	int before;   /* arguments before the one at the place */
	int argument; /* index of that one's first token */
};

struct scan {
	struct arena *arena;
	const char *text;
	struct tokens tokens;
	uint32_t offset;
};

static bool is_opener(uint16_t kind) { return kind == '(' || kind == '[' || kind == '{' || kind == TOK_ATLB; }

static uint16_t kind_at(const struct scan *s, int i) { return i >= 0 && i < s->tokens.n ? s->tokens.at[i].kind : 0; }

/* Lines end items in braces, as `;` does. */
static bool starts_item(const struct scan *s, const struct opened *o, int i)
{
	return s->tokens.at[i].line_start && kind_at(s, o->bracket) == '{' && i > o->argument;
}

/* The innermost parenthesis or brace that is open at the place and follows a name. false: there is none. */
static bool find_open(const struct scan *s, struct opened *out)
{
	struct opened stack[MAX_OPEN];
	int n = 0;
	for (int i = 0; i < s->tokens.n && s->tokens.at[i].lo < s->offset; i++) {
		uint16_t kind = kind_at(s, i);
		if (n && starts_item(s, &stack[n - 1], i))
			stack[n - 1] = (struct opened){stack[n - 1].bracket, stack[n - 1].before + 1, i};
		if (is_opener(kind) && n < MAX_OPEN)
			stack[n++] = (struct opened){i, 0, i + 1};
		else if (n && (kind == ')' || kind == ']' || kind == '}'))
			n--;
		else if (n && (kind == ',' || kind == TOK_NL /* `;` */))
			stack[n - 1] = (struct opened){stack[n - 1].bracket, stack[n - 1].before + 1, i + 1};
	}
	while (n--) {
		*out = stack[n];
		uint16_t kind = kind_at(s, out->bracket);
		if ((kind == '(' || kind == '{') && kind_at(s, out->bracket - 1) == TOK_IDENT)
			return true;
		if (kind == '{')
			return false;
	}
	return false;
}

static const char *text_at(const struct scan *s, int i)
{
	const struct token *t = &s->tokens.at[i];
	return arena_printf(s->arena, "%.*s", (int)(t->hi - t->lo), s->text + t->lo);
}

/* The name in front of the argument's `=`, or the one that is being written. */
static const char *given_at(const struct scan *s, int i)
{
	bool is_name = kind_at(s, i) == TOK_IDENT && s->tokens.at[i].lo < s->offset;
	return is_name && (kind_at(s, i + 1) == '=' || s->tokens.at[i].hi >= s->offset) ? text_at(s, i) : NULL;
}

bool call_site_find(struct arena *a, const char *text, size_t size, uint32_t offset, struct call_site *out)
{
	struct sources sources = {.arena = a};
	struct sink sink = {.arena = a, .sources = &sources};
	struct scan s = {a, text, lex(a, &sink, sources_add(&sources, "", "", text, size)), offset};
	struct opened o;
	if (!find_open(&s, &o))
		return false;
	int name = o.bracket - 1;
	bool dotted = kind_at(&s, name - 1) == '.' && kind_at(&s, name - 2) == TOK_IDENT;
	*out = (struct call_site){.name = text_at(&s, name),
	                          .module = dotted ? text_at(&s, name - 2) : NULL,
	                          .braces = kind_at(&s, o.bracket) == '{',
	                          .declared = kind_at(&s, name - 1) == TOK_IDENT && !s.tokens.at[name].line_start,
	                          .before = o.before,
	                          .given = given_at(&s, o.argument)};
	return true;
}
