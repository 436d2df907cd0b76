/* Repairs unbalanced brackets before the grammar sees them, so a forgotten bracket damages only one item. */
#include "build.h"
#include "parser/grammar.tab.h"

enum { MAX_REPORTS = 100 };

/* Walks the tokens once. `by_indent`: a bracket also counts as never closed when a line starts no deeper than the
 * bracket's own line. Without `report`, only counts. */
struct repair {
	struct parser *p;
	bool by_indent, report;
	struct tokens out;
	VEC(int) open;      /* indices into out */
	int of_closer[128]; /* how many of them need `)`, `]` and `}` */
	int mistakes;
	bool dropped_line_start; /* a token that started a line was dropped: the next one starts it */
};

static struct token *innermost(const struct repair *r)
{
	return r->open.n ? &r->out.at[r->open.at[r->open.n - 1]] : NULL;
}

static void pop_innermost(struct repair *r)
{
	r->of_closer[(int)bracket_closer(innermost(r)->kind)]--;
	r->open.n--;
}

static struct token *before(const struct repair *r) { return r->out.n ? &r->out.at[r->out.n - 1] : NULL; }

static const char *token_text(const struct repair *r, const struct token *t)
{
	return arena_strndup(r->p->arena, r->p->text + t->lo, t->hi - t->lo);
}

/* The bracket is missing because of a mistake that has been reported. */
static bool follows_from_another(const struct repair *r, const struct token *opener)
{
	if (r->p->tokens.truncated)
		return true;
	for (const struct token *t = before(r); opener->kind != '{' && t > opener; t--)
		if (t->tainted)
			return true;
	return false;
}

static void report_unclosed(struct repair *r, const struct token *opener, const struct token *here)
{
	struct sink *sink = r->p->sink;
	if (!r->report || r->mistakes > MAX_REPORTS || follows_from_another(r, opener))
		return;
	char closer[] = {bracket_closer(opener->kind), 0};
	uint32_t end = before(r)->hi;
	struct diag *d =
		diag_report(sink, DIAG_E0003, token_span(r->p, opener), "`%s` is never closed", token_text(r, opener));
	if (here->kind)
		diag_related(sink, d, token_span(r->p, here), "no `%s` before this", closer);
	diag_help(sink, d, "insert `%s`", closer);
	diag_fix(sink, d, (struct span){r->p->file, end, end}, closer);
}

/* Closes the innermost bracket before `here`. Where the author meant to close it is unknown: its item is tainted. */
static void close_innermost(struct repair *r, const struct token *here)
{
	struct token *opener = innermost(r);
	uint32_t end = before(r)->hi;
	r->mistakes++;
	report_unclosed(r, opener, here);
	opener->tainted = true;
	pop_innermost(r);
	struct token closer = {end, end, (uint16_t)bracket_closer(opener->kind), before(r)->indent, false, true};
	vec_push(r->p->arena, &r->out, closer);
}

/* Whether `opener`, still open, must end before t. */
static bool ends_before(const struct repair *r, const struct token *opener, const struct token *t)
{
	if (t->kind == TOK_NL && opener->kind != '{')
		return true;
	if (!r->by_indent || !t->line_start)
		return false;
	return is_closer(t->kind) ? t->indent < opener->indent : t->indent <= opener->indent;
}

static void drop_closer(struct repair *r, const struct token *t)
{
	bool follows = before(r) && before(r)->tainted;
	r->mistakes++;
	if (r->report && r->mistakes <= MAX_REPORTS && !follows) {
		struct diag *d =
			diag_report(r->p->sink, DIAG_E0005, token_span(r->p, t), "`%s` closes nothing", token_text(r, t));
		diag_help(r->p->sink, d, "delete it");
		diag_fix(r->p->sink, d, token_span(r->p, t), "");
	}
	if (t->line_start)
		r->dropped_line_start = true;
	else if (before(r))
		before(r)->tainted = true;
}

static void put(struct repair *r, struct token t)
{
	t.line_start |= r->dropped_line_start;
	t.tainted |= r->dropped_line_start;
	r->dropped_line_start = false;
	if (bracket_closer(t.kind)) {
		vec_push(r->p->arena, &r->open, r->out.n);
		r->of_closer[(int)bracket_closer(t.kind)]++;
	}
	vec_push(r->p->arena, &r->out, t);
}

static void step(struct repair *r, const struct token *t)
{
	while (innermost(r) && (!t->kind || ends_before(r, innermost(r), t)))
		close_innermost(r, t);
	if (is_closer(t->kind)) {
		if (!r->of_closer[t->kind]) {
			drop_closer(r, t);
			return;
		}
		while (bracket_closer(innermost(r)->kind) != t->kind)
			close_innermost(r, t);
		pop_innermost(r);
	}
	put(r, *t);
}

static struct repair walk(struct parser *p, bool by_indent, bool report)
{
	struct repair r = {.p = p, .by_indent = by_indent, .report = report};
	for (int i = 0; i < p->tokens.n; i++)
		step(&r, &p->tokens.at[i]);
	return r;
}

/* Skips the rest of a file that is nested deeper than later passes can walk. */
static void bound_depth(struct parser *p)
{
	int depth = 0;
	for (int i = 0; i < p->tokens.n; i++) {
		struct token *t = &p->tokens.at[i];
		if (is_closer(t->kind))
			depth -= depth > 0;
		else if (bracket_closer(t->kind) && ++depth > MAX_BRACKETS) {
			struct diag *d = diag_report(p->sink, DIAG_E0007, token_span(p, t), "brackets are nested more than %d deep",
			                             MAX_BRACKETS);
			diag_help(p->sink, d, "name the inner parts with `let`");
			*t = (struct token){t->lo, t->lo, 0, 0, true, true};
			p->tokens.n = i + 1;
			p->tokens.truncated = true;
		}
	}
}

static bool is_balanced(const struct parser *p)
{
	char closers[MAX_BRACKETS + 1];
	int depth = 0;
	for (int i = 0; i < p->tokens.n; i++) {
		int kind = p->tokens.at[i].kind;
		if (bracket_closer(kind))
			closers[depth++] = bracket_closer(kind);
		else if (kind == TOK_NL && depth && closers[depth - 1] != '}')
			return false;
		else if (is_closer(kind) && (!depth || closers[--depth] != kind))
			return false;
	}
	return depth == 0;
}

/* Indentation shows best where a bracket should have been closed, unless the text is not indented by its brackets. */
void balance_brackets(struct parser *p)
{
	bound_depth(p);
	if (is_balanced(p))
		return;
	int plain = walk(p, false, false).mistakes;
	bool by_indent = walk(p, true, false).mistakes <= plain;
	bool truncated = p->tokens.truncated;
	p->tokens = walk(p, by_indent, true).out;
	p->tokens.truncated = truncated;
}
