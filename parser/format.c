/* Formatting: pieces get their gaps, lines their indentation, and the text is written out. */
#include "format.h"
#include <string.h>
#include "build.h"
#include "format_pieces.h"
#include "parser.h"
#include "parser/grammar.tab.h"

enum { INDENT = 2, CONTINUED = 4 };

/* ---- indentation ----------------------------------------------------------------------------- */

/* A comment belongs to the item that starts after it, or to the end of the body. */
static bool continues_item(const struct module_text *m, int i)
{
	int opener = m->pieces.at[i].opener;
	const struct piece *p = &m->pieces.at[i];
	for (; p && p->kind == COMMENT; p = piece_at(m, ++i))
		;
	return p && !p->starts_item && p->kind != TOK_NL && !(is_closer(p->kind) && p->opener == opener);
}

/* Inside `(`, `[` and the names of a `use`: aligned with what follows the bracket on its line. */
static int indent_in_bracket(const struct module_text *m, int opener)
{
	const struct piece *bracket = &m->pieces.at[opener], *next = piece_at(m, opener + 1);
	bool on_line = next && next->line == bracket->line && next->kind != COMMENT;
	return on_line ? next->column : bracket->base + INDENT;
}

static int indent_of(const struct module_text *m, const struct line *l)
{
	const struct piece *p = &m->pieces.at[l->first];
	const struct piece *opener = piece_at(m, p->opener);
	if (is_closer(p->kind) && opener)
		return opener->base;
	if (!holds_items(m, p->opener))
		return indent_in_bracket(m, p->opener);
	int body = opener ? opener->base + INDENT : 0;
	const struct piece *item = piece_at(m, p->item);
	if (!item || !continues_item(m, l->first))
		return body;
	const struct piece *hang = piece_at(m, item->hang);
	return hang && hang->line < p->line ? hang->column : body + CONTINUED;
}

/* The body of `op f(a,\n b) {` is indented from the start of its item. */
static int base_of(const struct module_text *m, const struct piece *bracket, const struct line *l)
{
	const struct piece *item = piece_at(m, bracket->item);
	bool is_body = holds_items(m, (int)(bracket - m->pieces.at)) && holds_items(m, bracket->opener);
	return is_body && item ? m->lines.at[item->line].indent : l->indent;
}

static void lay_out(struct module_text *m)
{
	for (int i = 0; i < m->lines.n; i++) {
		struct line *l = &m->lines.at[i];
		int column = l->indent = indent_of(m, l);
		for (int k = l->first; k < line_end(l); k++) {
			struct piece *p = &m->pieces.at[k];
			p->column = column += p->gap;
			column += piece_width(m, k, column);
			if (bracket_closer(p->kind))
				p->base = base_of(m, p, l);
		}
	}
}

/* ---- output ---------------------------------------------------------------------------------- */

struct output {
	struct arena *arena;
	char *at;
	int n, cap;
};

static void put(struct output *o, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		vec_push(o->arena, o, text[i]);
}

static void put_blanks(struct output *o, int n)
{
	for (; n > 0; n--)
		put(o, " ", 1);
}

/* A comment's lines lose their trailing spaces. */
static void put_piece(struct output *o, const char *text, const struct piece *p)
{
	if (p->kind != COMMENT) {
		put(o, text + p->lo, p->hi - p->lo);
		return;
	}
	for (const char *at = text + p->lo, *end = text + p->hi, *next; at < end; at = next) {
		const char *line_feed = memchr(at, '\n', (size_t)(end - at)), *shown = line_feed ? line_feed : end;
		next = shown + 1;
		while (line_feed && shown > at && strchr(" \t\r", shown[-1]))
			shown--;
		put(o, at, (size_t)(shown - at));
		if (line_feed)
			put(o, "\n", 1);
	}
}

static struct output write_out(const struct module_text *m)
{
	struct output o = {.arena = m->arena};
	for (int i = 0; i < m->lines.n; i++) {
		const struct line *l = &m->lines.at[i];
		if (l->blank_before)
			put(&o, "\n", 1);
		put_blanks(&o, l->indent);
		for (int k = l->first; k < line_end(l); k++) {
			bool trails = k == line_end(l) - 1 && ends_in_comment(m, l);
			const struct piece *p = &m->pieces.at[k];
			if (trails)
				put_blanks(&o, p->column - p[-1].column - piece_width(m, k - 1, p[-1].column));
			else if (k > l->first)
				put_blanks(&o, p->gap);
			put_piece(&o, m->text, p);
		}
		put(&o, "\n", 1);
	}
	put(&o, "", 1);
	o.n--;
	return o;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool same_token(const char *text_a, const struct token *a, const char *text_b, const struct token *b)
{
	uint32_t n = a->hi - a->lo;
	return a->kind == b->kind && a->line_start == b->line_start && b->hi - b->lo == n
	       && !memcmp(text_a + a->lo, text_b + b->lo, n);
}

static void must_keep_tokens(const struct arena *arena, const char *text, struct tokens tokens, const struct output *o)
{
	struct arena scratch = {.heap = arena->heap};
	struct sources sources = {.arena = &scratch};
	struct sink sink = {.arena = &scratch, .sources = &sources};
	struct tokens now = lex(&scratch, &sink, sources_add(&sources, "", "", o->at, (size_t)o->n));
	for (int i = 0; i < now.n && i < tokens.n; i++)
		if (!same_token(text, &tokens.at[i], o->at, &now.at[i]))
			internal_error("formatting changes token %d, `%.*s`", i, (int)(tokens.at[i].hi - tokens.at[i].lo),
			               text + tokens.at[i].lo);
	if (now.n != tokens.n)
		internal_error("formatting makes %d tokens of %d", now.n, tokens.n);
	arena_free(&scratch);
}

struct formatted format_module(struct arena *arena, struct names *names, struct sink *sink, uint32_t file)
{
	int errors = sink->errors;
	struct arena tree = {.heap = arena->heap};
	parse_module(&tree, names, sink, file);
	arena_free(&tree);
	if (sink->errors > errors)
		return (struct formatted){0};
	const struct source source = sink->sources->files.at[file];
	struct tokens tokens = lex(arena, sink, file);
	struct module_text m = module_pieces(arena, &source, tokens);
	space_pieces(&m);
	align_items(&m);
	lay_out(&m);
	align_comments(&m);
	struct output o = write_out(&m);
	must_keep_tokens(arena, source.text, tokens, &o);
	return (struct formatted){o.at, (size_t)o.n};
}
