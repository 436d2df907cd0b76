/* Tokens and the text between them -> pieces in lines, and the brackets and items around each. */
#include "format_pieces.h"
#include <string.h>
#include "../support/columns.h"
#include "build.h"
#include "parser/grammar.tab.h"

/* ---- pieces ---------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static uint32_t comment_end(const char *text, uint32_t lo, uint32_t end)
{
	if (text[lo + 1] == '/') {
		const char *line_feed = memchr(text + lo, '\n', end - lo);
		return line_feed ? (uint32_t)(line_feed - text) : end;
	}
	uint32_t at = lo + 3;
	while (at < end && !(text[at - 1] == '*' && text[at] == '/'))
		at++;
	return at < end ? at + 1 : end;
}

/* line_ends: newlines before the piece that are not in comments. */
static void add_piece(struct module_text *m, struct piece p, int line_ends)
{
	int index = m->pieces.n;
	if (!index || line_ends) {
		struct line l = {.first = index, .blank_before = index && line_ends > 1};
		vec_push(m->arena, &m->lines, l);
	}
	p.line = m->lines.n - 1;
	p.opener = p.closer = p.item = p.hang = NOWHERE;
	m->lines.at[p.line].n++;
	vec_push(m->arena, &m->pieces, p);
}

/* Adds the comments of [lo, hi), where there is no token. Returns the number of newlines after the last one. */
static int add_comments(struct module_text *m, uint32_t lo, uint32_t hi)
{
	int line_ends = 0;
	while (lo < hi) {
		if (m->text[lo] != '/') { /* whitespace, or the byte order mark */
			line_ends += m->text[lo++] == '\n';
			continue;
		}
		uint32_t end = comment_end(m->text, lo, hi), shown = end;
		while (is_blank(m->text[shown - 1]))
			shown--;
		add_piece(m, (struct piece){.lo = lo, .hi = shown, .kind = COMMENT}, line_ends);
		line_ends = 0;
		lo = end;
	}
	return line_ends;
}

static void add_pieces(struct module_text *m, const struct source *source, struct tokens tokens)
{
	uint32_t end = 0;
	for (int i = 0; i < tokens.n; i++) {
		const struct token *t = &tokens.at[i];
		int line_ends = add_comments(m, end, t->kind ? t->lo : source->size);
		if (t->kind)
			add_piece(m, (struct piece){.lo = t->lo, .hi = t->hi, .kind = t->kind}, line_ends);
		end = t->hi;
	}
}

/* ---- structure ------------------------------------------------------------------------------- */

/* An open bracket, or the file. `item`: of the innermost item, inside the bracket or around it. */
struct open {
	int opener, item;
	bool items, fresh;
};
struct structure {
	struct module_text *m;
	VEC(struct open) open;
	const struct piece *before;
};

static bool starts_claim(int kind)
{
	return kind == TOK_RETURN || kind == TOK_REQUIRE || kind == TOK_ASSERT || kind == TOK_PREFER || kind == TOK_MAXIMIZE
	       || kind == TOK_MINIMIZE;
}

static void enter_item(struct structure *s, struct open *in, int index, bool line_start)
{
	struct piece *p = &s->m->pieces.at[index];
	if (in->items && p->kind != TOK_NL && (in->fresh || (line_start && ends_item(s->before->kind)))) {
		in->item = index;
		in->fresh = false;
		p->starts_item = true;
		if (starts_claim(p->kind))
			p->hang = index + 1;
	} else if (in->items && p->kind == TOK_NL) {
		in->fresh = true;
	} else if (in->items && p->kind == '=' && in->item != NOWHERE && s->m->pieces.at[in->item].hang == NOWHERE) {
		s->m->pieces.at[in->item].hang = index + 1;
	}
}

static void enter_token(struct structure *s, int index, bool line_start)
{
	struct piece *p = &s->m->pieces.at[index];
	struct open *in = &s->open.at[s->open.n - 1];
	if (is_closer(p->kind) && s->open.n > 1) {
		p->opener = in->opener;
		s->m->pieces.at[in->opener].closer = index;
		s->open.n--;
		p->item = s->open.at[s->open.n - 1].item;
		return;
	}
	enter_item(s, in, index, line_start);
	p->opener = in->opener;
	p->item = in->item;
	if (!bracket_closer(p->kind))
		return;
	p->holds_names = p->kind == '{' && in->items && p->item != NOWHERE && s->m->pieces.at[p->item].kind == TOK_USE;
	bool items = p->kind == '{' && !p->holds_names;
	vec_push(s->m->arena, &s->open, ((struct open){index, in->item, items, true}));
}

static void find_structure(struct module_text *m)
{
	struct structure s = {.m = m};
	vec_push(m->arena, &s.open, ((struct open){NOWHERE, NOWHERE, true, true}));
	bool line_start = true;
	for (int i = 0; i < m->pieces.n; i++) {
		struct piece *p = &m->pieces.at[i];
		line_start |= m->lines.at[p->line].first == i;
		if (p->kind == COMMENT) {
			p->opener = s.open.at[s.open.n - 1].opener;
			p->item = s.open.at[s.open.n - 1].item;
			line_start |= memchr(m->text + p->lo, '\n', p->hi - p->lo) != NULL;
			continue;
		}
		enter_token(&s, i, line_start);
		s.before = &m->pieces.at[i];
		line_start = false;
	}
}

/* ---- comments that go on --------------------------------------------------------------------- */

static bool is_line_comment(const struct module_text *m, const struct piece *p)
{
	return p->kind == COMMENT && m->text[p->lo + 1] == '/' && (p->hi - p->lo < 3 || m->text[p->lo + 2] != '/');
}

static int written_column(const struct module_text *m, uint32_t at)
{
	uint32_t start = at;
	while (start > 0 && m->text[start - 1] != '\n')
		start--;
	return text_columns(m->text + start, m->text + at, 0);
}

static void find_attached(struct module_text *m)
{
	for (int i = 1; i < m->lines.n; i++) {
		const struct line *above = &m->lines.at[i - 1];
		struct line *l = &m->lines.at[i];
		const struct piece *last = &m->pieces.at[line_end(above) - 1], *p = &m->pieces.at[l->first];
		l->attached = !l->blank_before && l->n == 1 && (above->n > 1 || above->attached) && is_line_comment(m, last)
		              && is_line_comment(m, p) && written_column(m, last->lo) == written_column(m, p->lo);
	}
}

/* Bodies neither start nor end with a blank line. */
static void drop_blank_lines(struct module_text *m)
{
	for (int i = 1; i < m->lines.n; i++) {
		const struct line *above = &m->lines.at[i - 1];
		struct line *l = &m->lines.at[i];
		int last = line_end(above) - 1 - ends_in_comment(m, above);
		l->blank_before &= !bracket_closer(m->pieces.at[last].kind) && !is_closer(m->pieces.at[l->first].kind);
	}
}

struct module_text module_pieces(struct arena *arena, const struct source *source, struct tokens tokens)
{
	struct module_text m = {.arena = arena, .text = source->text};
	add_pieces(&m, source, tokens);
	find_structure(&m);
	drop_blank_lines(&m);
	find_attached(&m);
	return m;
}

/* ---- questions ------------------------------------------------------------------------------- */

const struct piece *piece_at(const struct module_text *m, int i)
{
	return i >= 0 && i < m->pieces.n ? &m->pieces.at[i] : NULL;
}

bool holds_items(const struct module_text *m, int opener)
{
	const struct piece *p = piece_at(m, opener);
	return !p || (p->kind == '{' && !p->holds_names);
}

int line_end(const struct line *l) { return l->first + l->n; }

static bool is_long(const struct module_text *m, const struct piece *p)
{
	return p->kind == COMMENT && memchr(m->text + p->lo, '\n', p->hi - p->lo);
}

bool ends_in_comment(const struct module_text *m, const struct line *l)
{
	const struct piece *last = &m->pieces.at[line_end(l) - 1];
	return l->n > 1 && last->kind == COMMENT && !is_long(m, last);
}

bool has_long_comment(const struct module_text *m, const struct line *l)
{
	for (int i = l->first; i < line_end(l); i++)
		if (is_long(m, &m->pieces.at[i]))
			return true;
	return false;
}

int piece_width(const struct module_text *m, int i, int column)
{
	const struct piece *p = &m->pieces.at[i];
	const char *start = m->text + p->lo, *end = m->text + p->hi;
	const char *line_feed = p->kind == COMMENT ? memrchr(start, '\n', (size_t)(end - start)) : NULL;
	return line_feed ? text_columns(line_feed + 1, end, 0) - column : text_columns(start, end, column);
}
