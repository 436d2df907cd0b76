/* Cuts a template into text and tags, and tags into tokens. Newlines are trimmed as by Jinja2 with trim_blocks and
 * lstrip_blocks: the first one after a block or comment, and the indentation of one that begins a line. */
#include "../utf8.h"
#include "lex.h"
#include "literal.h"
#include "strings.h"

struct lexer {
	struct work *w;
	const char *at, *end;
	bool line_start; /* the last tag took the newline after it */
	struct tokens_of_template *out;
	char open[64]; /* brackets of the current tag */
	int opened;
};

static struct token_of_template *add(struct lexer *x, enum token_kind kind, const char *from, const char *to)
{
	struct tokens_of_template *t = x->out;
	work_steps(x->w, 1);
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 256;
		t->at = work_grow(x->w, t->at, t->n, t->room, sizeof *t->at);
	}
	t->at[t->n] = (struct token_of_template){.kind = kind, .line = x->w->line, .text = {from, (size_t)(to - from)}};
	return &t->at[t->n++];
}

static bool begins(const struct lexer *x, const char *at, const char *word)
{
	size_t n = strlen(word);
	return (size_t)(x->end - at) >= n && !memcmp(at, word, n);
}

static void count_lines(struct lexer *x, const char *from, const char *to)
{
	for (; from < to; from++)
		x->w->line += *from == '\n';
}

static void skip_whitespace(struct lexer *x)
{
	struct span rest = strip((struct span){x->at, (size_t)(x->end - x->at)}, NULL, STRIP_LEFT);
	count_lines(x, x->at, rest.at);
	x->at = rest.at;
}

/* The end of a tag is at x->at: its sign, "%}", and what that trims. */
static void end_tag(struct lexer *x, bool trims_newline)
{
	char sign = *x->at;
	const char *from = x->at;
	x->at += sign == '-' || sign == '+' ? 3 : 2;
	if (sign == '-')
		skip_whitespace(x);
	else if (sign != '+' && trims_newline && x->at < x->end && *x->at == '\n') {
		x->w->line++;
		x->at++;
	}
	x->line_start = x->at > from && x->at[-1] == '\n';
}

/* Adds the text before a tag, which begins at `tag` with a sign after two bytes. */
static void add_text(struct lexer *x, const char *tag, bool is_print)
{
	struct span s = {x->at, (size_t)(tag - x->at)};
	char sign = tag + 2 < x->end ? tag[2] : 0;
	if (sign == '-')
		s = strip(s, NULL, STRIP_RIGHT);
	else if (sign != '+' && !is_print) {
		const char *line = s.n ? memrchr(s.at, '\n', s.n) : NULL;
		const char *from = line ? line + 1 : s.at;
		if (line || x->line_start) {
			struct span indent = {from, (size_t)(s.at + s.n - from)};
			if (!strip(indent, NULL, STRIP_LEFT).n)
				s.n -= indent.n;
		}
	}
	if (s.n)
		add(x, T_TEXT, s.at, s.at + s.n);
	count_lines(x, x->at, tag);
	x->at = tag + 2 + (sign == '-' || sign == '+');
}

/* ---- in a tag -------------------------------------------------------------------------------------------------- */
static bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void balance(struct lexer *x, char c)
{
	const char *opens = strchr("([{", c), *closes = strchr(")]}", c);
	if (opens) {
		if (x->opened == sizeof x->open)
			work_fail(x->w, "is nested too deeply");
		x->open[x->opened++] = ")]}"[opens - "([{"];
	} else if (closes && (!x->opened || x->open[--x->opened] != c))
		work_fail(x->w, "unexpected `%c`", c);
}

static void lex_sign(struct lexer *x)
{
	static const char *const twos[] = {"**", "//", "==", "!=", "<=", ">="};
	const char *from = x->at;
	size_t n = 0;
	for (size_t i = 0; i < sizeof twos / sizeof *twos; i++)
		if (begins(x, from, twos[i]))
			n = 2;
	if (!n && *from && strchr("+-*/%~<>=.:|,()[]{}", *from))
		n = 1;
	if (!n)
		work_fail(x->w, "unexpected character `%.*s`", utf8_length(*from), from);
	if (n == 1)
		balance(x, *from);
	x->at += n;
	add(x, T_SIGN, from, x->at);
}

static void lex_token(struct lexer *x)
{
	const char *from = x->at;
	if (is_name_start(*from)) {
		while (x->at < x->end && (is_name_start(*x->at) || is_digit(*x->at)))
			x->at++;
		if (x->at < x->end && (unsigned char)*x->at >= 0x80)
			work_fail(x->w, "names of other letters than a to z are not supported");
		add(x, T_WORD, from, x->at);
	} else if (*from == '"' || *from == '\'') {
		struct token_of_template *t = add(x, T_LITERAL, from, from);
		t->value = read_string(x->w, &x->at, x->end);
		count_lines(x, from, x->at);
	} else if (is_digit(*from)) {
		bool after_dot = from[-1] == '.';
		struct token_of_template *t = add(x, T_LITERAL, from, from);
		t->value = read_number(x->w, &x->at, x->end, after_dot);
		t->text = (struct span){from, (size_t)(x->at - from)};
	} else
		lex_sign(x);
}

/* Whether the tag ends here; in brackets, it does not. */
static bool at_end(const struct lexer *x, bool is_print)
{
	if (x->opened)
		return false;
	if (is_print)
		return begins(x, x->at, "}}") || begins(x, x->at, "-}}");
	return begins(x, x->at, "%}") || begins(x, x->at, "-%}") || begins(x, x->at, "+%}");
}

static void lex_tag(struct lexer *x, bool is_print)
{
	add(x, is_print ? T_PRINT : T_BLOCK, x->at, x->at);
	x->opened = 0;
	for (skip_whitespace(x); x->at < x->end && !at_end(x, is_print); skip_whitespace(x))
		lex_token(x);
	if (x->at == x->end)
		work_fail(x->w, "a tag has no end");
	add(x, is_print ? T_PRINT_END : T_BLOCK_END, x->at, x->at);
	end_tag(x, !is_print);
}

static void lex_comment(struct lexer *x)
{
	const char *close = memmem(x->at, (size_t)(x->end - x->at), "#}", 2);
	if (!close)
		work_fail(x->w, "a comment has no end");
	if (close > x->at && (close[-1] == '-' || close[-1] == '+'))
		close--;
	count_lines(x, x->at, close);
	x->at = close;
	end_tag(x, true);
}

/* ---- {% raw %} ------------------------------------------------------------------------------------------------- */
/* Whether a block tag with only this word is here: where it ends, at its sign or "%}"; else NULL. */
static const char *only_word(const struct lexer *x, const char *tag, const char *word, bool plus)
{
	const char *at = tag + 2 + (tag + 2 < x->end && (tag[2] == '-' || tag[2] == '+'));
	struct span rest = strip((struct span){at, (size_t)(x->end - at)}, NULL, STRIP_LEFT);
	if (!begins(x, rest.at, word))
		return NULL;
	rest.at += strlen(word);
	rest = strip((struct span){rest.at, (size_t)(x->end - rest.at)}, NULL, STRIP_LEFT);
	return begins(x, rest.at, "%}") || begins(x, rest.at, "-%}") || (plus && begins(x, rest.at, "+%}")) ? rest.at
	                                                                                                    : NULL;
}

/* After {% raw %}, whose end trims no newline. */
static void lex_raw(struct lexer *x, const char *end)
{
	const char *close = NULL, *tag;
	count_lines(x, x->at, end);
	x->at = end;
	end_tag(x, false);
	for (tag = x->at; (tag = memmem(tag, (size_t)(x->end - tag), "{%", 2)) && !close; tag++)
		if ((close = only_word(x, tag, "endraw", true)))
			break;
	if (!close)
		work_fail(x->w, "`raw` has no end");
	add_text(x, tag, false);
	count_lines(x, x->at, close);
	x->at = close;
	end_tag(x, true);
}

/* ---- the template ---------------------------------------------------------------------------------------------- */
/* The next {{, {% or {#, or NULL. */
static const char *next_tag(const struct lexer *x)
{
	for (const char *at = x->at; (at = memchr(at, '{', (size_t)(x->end - at))) && at + 1 < x->end; at++)
		if (at[1] == '{' || at[1] == '%' || at[1] == '#')
			return at;
	return NULL;
}

/* \r\n and \r are newlines, and the last newline is not part of the template. */
static struct span with_newlines(struct work *w, struct span s)
{
	struct text out = {.work = w};
	for (size_t i = 0; i < s.n; i++) {
		if (s.at[i] == '\r' && i + 1 < s.n && s.at[i + 1] == '\n')
			continue;
		text_append(&out, s.at[i] == '\r' ? "\n" : s.at + i, 1);
	}
	if (out.n && out.at[out.n - 1] == '\n')
		out.n--;
	return text_end(&out);
}

void lex_template(struct work *w, struct span source, struct tokens_of_template *out)
{
	source = with_newlines(w, source);
	struct lexer x = {.w = w, .at = source.at, .end = source.at + source.n, .line_start = true, .out = out};
	for (const char *tag; (tag = next_tag(&x));) {
		const char *raw = tag[1] == '%' ? only_word(&x, tag, "raw", false) : NULL;
		add_text(&x, tag, tag[1] == '{');
		if (raw)
			lex_raw(&x, raw);
		else if (tag[1] == '#')
			lex_comment(&x);
		else
			lex_tag(&x, tag[1] == '{');
	}
	if (x.at < x.end)
		add(&x, T_TEXT, x.at, x.end);
	add(&x, T_END, x.end, x.end);
}
