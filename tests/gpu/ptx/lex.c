/* Words of PTX. An instruction with its modifiers is one word, and so is a register; a directive starts with a dot. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ptx.h"

void load_error(struct loader *l, int line, const char *format, ...)
{
	va_list args;
	char text[400];
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	load_error_code(l, l->code, line, text);
}

void load_error_code(struct loader *l, int code, int line, const char *text)
{
	l->code = code;
	snprintf(l->error, l->error_size, "ptxas application ptx input, line %d; error : %s", line, text);
	longjmp(l->failed, 1);
}

static void skip_space(struct loader *l)
{
	for (;;) {
		if (isspace((unsigned char)*l->at)) {
			l->line += *l->at == '\n';
			l->at++;
		} else if (l->at[0] == '/' && l->at[1] == '/') {
			while (*l->at && *l->at != '\n')
				l->at++;
		} else if (l->at[0] == '/' && l->at[1] == '*') {
			for (l->at += 2; *l->at && !(l->at[0] == '*' && l->at[1] == '/'); l->at++)
				l->line += *l->at == '\n';
			l->at += *l->at ? 2 : 0;
		} else {
			return;
		}
	}
}

static bool starts_name(char c) { return isalpha((unsigned char)c) || c == '_' || c == '$' || c == '%'; }

/* Length of a word at `p`. `::` and dots belong to it where a letter follows: shared::cta, %tid.x, add.s32, L2::128B.
 */
static int word_length(const char *p)
{
	int n = 1;
	for (;; n++) {
		if (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == '$')
			continue;
		if (p[n] == '.' && isalnum((unsigned char)p[n + 1]))
			continue;
		if (p[n] == ':' && p[n + 1] == ':' && isalnum((unsigned char)p[n + 2])) {
			n++;
			continue;
		}
		return n;
	}
}

/* 0f3F800000, 0d..., 0x1F, 017, 12U, 1.5 */
static void lex_number(struct loader *l, struct token *t)
{
	const char *p = l->at;
	char *end;
	bool bits = p[0] == '0' && (strchr("fF", p[1]) || strchr("dD", p[1])) && p[1];
	t->kind = TOKEN_INTEGER;
	if (bits) {
		t->kind = TOKEN_FLOAT;
		t->size = strchr("fF", p[1]) ? 4 : 8;
		t->bits = strtoull(p + 2, &end, 16);
		if (end - p != 2 + 2 * t->size)
			load_error(l, l->line, "a float in hexadecimal has %d digits", 2 * t->size);
	} else {
		t->bits = strtoull(p, &end, 0);
		if (*end == '.' && isdigit((unsigned char)end[1])) {
			double value = strtod(p, &end);
			t->kind = TOKEN_FLOAT;
			t->size = 8;
			memcpy(&t->bits, &value, sizeof value);
		}
		end += *end == 'U';
	}
	if (isalnum((unsigned char)*end) || *end == '_')
		load_error(l, l->line, "`%.20s` is not a number", p);
	t->n = (int)(end - p);
}

void lex_next(struct loader *l)
{
	skip_space(l);
	struct token *t = &l->token;
	*t = (struct token){.kind = TOKEN_PUNCTUATION, .at = l->at, .n = 1, .line = l->line};
	char c = *l->at;
	if (!c) {
		t->kind = TOKEN_END;
		t->n = 0;
	} else if (starts_name(c) || (c == '.' && isalpha((unsigned char)l->at[1]))) {
		t->kind = c == '.' ? TOKEN_DIRECTIVE : TOKEN_WORD;
		t->n = word_length(l->at);
	} else if (isdigit((unsigned char)c)) {
		lex_number(l, t);
	} else if (c == '"') {
		const char *end = strpbrk(l->at + 1, "\"\n");
		if (!end || *end != '"')
			load_error(l, l->line, "a string does not end");
		t->kind = TOKEN_STRING;
		t->n = (int)(end + 1 - l->at);
	}
	l->at += t->n;
}

bool lex_is(const struct loader *l, const char *text)
{
	return (size_t)l->token.n == strlen(text) && !memcmp(l->token.at, text, (size_t)l->token.n) && l->token.n;
}

bool lex_accept(struct loader *l, const char *text)
{
	if (!lex_is(l, text))
		return false;
	lex_next(l);
	return true;
}

void lex_expect(struct loader *l, const char *text)
{
	if (!lex_accept(l, text))
		load_error(l, l->token.line, "`%s` expected before `%.*s`", text, l->token.n, l->token.at);
}

const char *lex_word(struct loader *l, const char *what)
{
	if (l->token.kind != TOKEN_WORD)
		load_error(l, l->token.line, "%s expected before `%.*s`", what, l->token.n, l->token.at);
	const char *word = arena_text(l->arena, l->token.at, (size_t)l->token.n);
	lex_next(l);
	return word;
}

uint64_t lex_integer(struct loader *l)
{
	bool minus = lex_accept(l, "-");
	if (l->token.kind != TOKEN_INTEGER)
		load_error(l, l->token.line, "an integer expected before `%.*s`", l->token.n, l->token.at);
	uint64_t v = l->token.bits;
	lex_next(l);
	return minus ? 0 - v : v;
}
