/* Neighbouring lines as a table: `=` below `=`, `from` below `from`, trailing comments in one column. */
#include "format_pieces.h"
#include <stdlib.h>
#include <string.h>
#include "build.h"
#include "parser/grammar.tab.h"

/* Widest difference that is filled with spaces: after the name of an item, after another part, before comments. */
enum { PAD_NAME = 32, PAD_PART = 18, PAD_COMMENT = 40, MAX_STOPS = 16, GAP_OF_COMMENT = 2 };

/* A piece of a line that may align with one of another line. `key`: what the line has up to there; the stops of two
 * lines match if their keys are equal. */
struct stop {
	int piece;
	const char *key;
};
struct row {
	int first;
	const char *kind;
	struct stop stops[MAX_STOPS];
	int n, width;
};
struct rows {
	struct row **at;
	int n, cap;
};

/* ---- the stops of a line --------------------------------------------------------------------- */

/* Walks the pieces of a line up to `end`. */
struct cursor {
	const struct module_text *m;
	struct row *row;
	int at, end;
	const char *key;
};

static int kind_at(const struct cursor *c) { return c->at < c->end ? c->m->pieces.at[c->at].kind : 0; }

static void skip(struct cursor *c)
{
	const struct piece *p = &c->m->pieces.at[c->at];
	c->at = bracket_closer(p->kind) && p->closer != NOWHERE ? p->closer + 1 : c->at + 1;
}

/* Up to one of the kinds, at this depth; false at the end of the line or the item. */
static bool skip_to(struct cursor *c, const int *kinds, int n)
{
	for (; c->at < c->end && kind_at(c) != TOK_NL && !is_closer(kind_at(c)); skip(c))
		for (int i = 0; i < n; i++)
			if (kind_at(c) == kinds[i])
				return true;
	return false;
}
#define SKIP_TO(c, ...) skip_to((c), (const int[]){__VA_ARGS__}, (int)(sizeof(int[]){__VA_ARGS__} / sizeof(int)))

static void add_stop(struct cursor *c, const char *what)
{
	c->key = arena_printf(c->m->arena, "%s%s", c->key, what);
	if (c->row->n < MAX_STOPS)
		c->row->stops[c->row->n++] = (struct stop){c->at, c->key};
}

/* a.b.c; `last`: where its last name starts. */
static const char *read_path(struct cursor *c, int *last)
{
	struct text path = {.arena = c->m->arena};
	text_add(&path, "%s", "");
	*last = 0;
	for (; kind_at(c) == TOK_IDENT || kind_at(c) == '.'; c->at++) {
		const struct piece *p = &c->m->pieces.at[c->at];
		if (p->kind == TOK_IDENT)
			*last = path.n;
		text_add(&path, "%.*s", (int)(p->hi - p->lo), c->m->text + p->lo);
	}
	return path.at;
}

static bool at_separator(struct cursor *c)
{
	skip_to(c, NULL, 0);
	return kind_at(c) == TOK_NL;
}

/* The items of a list `a; b; c` after the first. An item aligns with one of the same name. */
static void stops_of_list(struct cursor *c)
{
	while (c->row->n < MAX_STOPS && at_separator(c)) {
		int last;
		c->at++;
		struct cursor name = *c;
		const char *path = read_path(&name, &last);
		if (c->at < c->end && !is_closer(kind_at(c)))
			add_stop(c, arena_printf(c->m->arena, "; %s", path));
	}
}

/* { a = 1; b = 2 } on this line. */
static void stops_of_block(struct cursor *c)
{
	int closer = c->m->pieces.at[c->at].closer;
	if (closer == NOWHERE || closer >= c->end)
		return;
	add_stop(c, " {");
	struct cursor inside = *c;
	inside.at++;
	inside.end = closer;
	stops_of_list(&inside);
	c->at = closer + 1;
}

/* After `name :`. */
static void stops_of_type(struct cursor *c)
{
	c->at++;
	if (!SKIP_TO(c, '=', TOK_FROM, '{'))
		return;
	if (kind_at(c) == '{') {
		stops_of_block(c);
		return;
	}
	bool from = kind_at(c) == TOK_FROM;
	add_stop(c, from ? " : from" : " : =");
	if (from && SKIP_TO(c, TOK_AS))
		add_stop(c, " as");
}

/* After the name of an item; `prefix`: the path before its last name. */
static void stops_of_tail(struct cursor *c, const char *prefix)
{
	int kind = kind_at(c);
	c->key = prefix;
	if (kind == '=' || kind == ':') {
		add_stop(c, " ="); /* fields with and without a type align */
		if (kind == ':')
			stops_of_type(c);
	} else if (kind == '{') {
		stops_of_block(c);
	} else if (kind == '(') {
		if (SKIP_TO(c, '{'))
			stops_of_block(c);
	} else if (SKIP_TO(c, TOK_ARROW)) {
		add_stop(c, " ->");
	}
}

static const char *piece_text(const struct module_text *m, int i)
{
	const struct piece *p = &m->pieces.at[i];
	return arena_strndup(m->arena, m->text + p->lo, p->hi - p->lo);
}

static void stops_of_item(struct cursor *c)
{
	int last;
	c->row->kind = "";
	if (kind_at(c) != TOK_IDENT) { /* `require`, `use` ... */
		c->row->kind = piece_text(c->m, c->at);
		return;
	}
	if (c->at + 1 < c->end && c->m->pieces.at[c->at + 1].kind == TOK_IDENT)
		c->row->kind = piece_text(c->m, c->at++);
	const char *path = read_path(c, &last);
	stops_of_tail(c, arena_strndup(c->m->arena, path, (size_t)last));
	stops_of_list(c);
}

static bool has_inner_comment(const struct module_text *m, const struct line *l, int end)
{
	for (int i = l->first; i < end; i++)
		if (m->pieces.at[i].kind == COMMENT)
			return true;
	return false;
}

static struct row *row_of(const struct module_text *m, const struct line *l)
{
	struct row *r = arena_new(m->arena, struct row);
	*r = (struct row){.first = l->first, .kind = ""};
	struct cursor c = {.m = m, .row = r, .at = l->first, .end = line_end(l) - ends_in_comment(m, l), .key = ""};
	if (!has_inner_comment(m, l, c.end))
		stops_of_item(&c);
	return r;
}

/* ---- rows that align ------------------------------------------------------------------------- */

/* Columns from piece `from` up to piece `to` of the same line, without the gap before `to`. */
static int cell_width(const struct module_text *m, int from, int to)
{
	int width = 0;
	for (int i = from; i < to; i++)
		width += (i > from ? m->pieces.at[i].gap : 0) + piece_width(m, i, width);
	return width;
}

static int width_before(const struct module_text *m, const struct row *r, int k)
{
	return cell_width(m, k ? r->stops[k - 1].piece : r->first, r->stops[k].piece);
}

/* By what the lines have up to stop k, then by the width of the part before it. */
static int compare_rows(const void *a, const void *b, void *k)
{
	const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
	int keys = strcmp(x->stops[*(int *)k].key, y->stops[*(int *)k].key);
	return keys ? keys : x->width - y->width;
}

static bool go_together(const struct row *narrow, const struct row *wide, int k)
{
	return !strcmp(narrow->stops[k].key, wide->stops[k].key)
	       && wide->width - narrow->width <= (k ? PAD_PART : PAD_NAME);
}

/* Rows that align up to stop k - 1. Those that agree up to stop k are padded to the widest, except that rows much wider
 * than the others align among themselves. */
static void align_from(struct module_text *m, struct row **rows, int n, int k)
{
	struct rows some = {0};
	for (int i = 0; i < n; i++)
		if (rows[i]->n > k) {
			rows[i]->width = width_before(m, rows[i], k);
			vec_push(m->arena, &some, rows[i]);
		}
	if (some.n < 2)
		return;
	qsort_r(some.at, (size_t)some.n, sizeof *some.at, compare_rows, &k);
	for (int from = 0, to; from < some.n; from = to) {
		for (to = from + 1; to < some.n && go_together(some.at[from], some.at[to], k);)
			to++;
		int widest = some.at[to - 1]->width;
		for (int i = from; i < to; i++)
			m->pieces.at[some.at[i]->stops[k].piece].gap += widest - some.at[i]->width;
		align_from(m, some.at + from, to - from, k + 1);
	}
}

static bool goes_with(const struct module_text *m, const struct row *a, const struct row *b)
{
	return m->pieces.at[a->first].opener == m->pieces.at[b->first].opener && !strcmp(a->kind, b->kind);
}

static void flush_rows(struct module_text *m, struct rows *rows)
{
	align_from(m, rows->at, rows->n, 0);
	rows->n = 0;
}

/* Items of one kind in one body, line by line; a blank line or an item of several lines ends the table, a comment does
 * not. */
void align_items(struct module_text *m)
{
	struct rows rows = {0};
	for (int i = 0; i < m->lines.n; i++) {
		const struct line *l = &m->lines.at[i];
		bool is_item = m->pieces.at[l->first].starts_item && !has_long_comment(m, l);
		bool is_comment = m->pieces.at[l->first].kind == COMMENT && l->n == 1;
		struct row *row = is_item ? row_of(m, l) : NULL;
		if (l->blank_before || (!row && !is_comment) || (row && rows.n && !goes_with(m, rows.at[rows.n - 1], row)))
			flush_rows(m, &rows);
		if (row)
			vec_push(m->arena, &rows, row);
	}
	flush_rows(m, &rows);
}

/* ---- trailing comments ----------------------------------------------------------------------- */

/* Lines [from, to) whose comments share a column. */
struct margin {
	struct module_text *m;
	int from, least, most;
};

static void flush_comments(struct margin *margin, int to)
{
	struct module_text *m = margin->m;
	for (int i = margin->from; i < to; i++) {
		struct line *l = &m->lines.at[i];
		int column = margin->most + GAP_OF_COMMENT;
		if (l->attached)
			l->indent = column;
		else if (ends_in_comment(m, l))
			m->pieces.at[line_end(l) - 1].column = column;
	}
	*margin = (struct margin){m, to, -1, -1};
}

void align_comments(struct module_text *m)
{
	struct margin margin = {m, 0, -1, -1};
	for (int i = 0; i < m->lines.n; i++) {
		const struct line *l = &m->lines.at[i];
		if (l->blank_before)
			flush_comments(&margin, i);
		if (!ends_in_comment(m, l))
			continue;
		int last = line_end(l) - 2, end = m->pieces.at[last].column + piece_width(m, last, m->pieces.at[last].column);
		bool fits = margin.least < 0 || (end - margin.least <= PAD_COMMENT && margin.most - end <= PAD_COMMENT);
		if (!fits)
			flush_comments(&margin, i);
		margin.least = margin.least < 0 || end < margin.least ? end : margin.least;
		margin.most = end > margin.most ? end : margin.most;
	}
	flush_comments(&margin, m->lines.n);
}
