/* Repairs unbalanced brackets before the grammar sees them, so that one forgotten bracket damages one item. */
#include "build.h"
#include "parser/grammar.tab.h"

enum { MAX_REPORTS = 100 };

/* Walks the tokens once. `by_indent`: a bracket is also taken as never closed when a line starts no deeper than the
 * bracket's own line. Without `report` it only counts. */
struct repair {
	struct parser *p;
	bool by_indent, report;
	VEC(struct token) open;
	struct tokens out;
	int mistakes;
	struct token last;                      /* the token before the current one */
};

static const char *token_text(const struct repair *r, const struct token *t)
{
	return arena_strndup(r->p->arena, r->p->text + t->lo, t->hi - t->lo);
}

/* The report is left out where the bracket is missing because of a mistake that was reported. */
static bool follows_from_another(const struct repair *r, const struct token *opener)
{
	if (r->p->tokens.truncated)
		return true;
	for (int i = r->out.n; opener->kind != '{' && i-- > 0 && r->out.at[i].lo > opener->lo;)
		if (r->out.at[i].tainted)
			return true;
	return false;
}

static void report_unclosed(struct repair *r, const struct token *opener, const struct token *here)
{
	struct sink *sink = r->p->sink;
	if (!r->report || r->mistakes > MAX_REPORTS || follows_from_another(r, opener))
		return;
	char closer[] = {bracket_closer(opener->kind), 0};
	struct diag *d = diag_report(sink, DIAG_E0003, token_span(r->p, opener), "`%s` is never closed", token_text(r, opener));
	if (here->kind)
		diag_related(sink, d, token_span(r->p, here), "no `%s` before this", closer);
	diag_help(sink, d, "insert `%s`", closer);
	diag_fix(sink, d, (struct span){r->p->file, r->last.hi, r->last.hi}, closer);
}

static void put(struct repair *r, struct token t)
{
	if (r->report)
		vec_push(r->p->arena, &r->out, t);
}

static void close_innermost(struct repair *r, const struct token *here)
{
	struct token opener = r->open.at[--r->open.n];
	r->mistakes++;
	report_unclosed(r, &opener, here);
	put(r, (struct token){r->last.hi, r->last.hi, (uint16_t)bracket_closer(opener.kind), r->last.indent, false, true});
}

/* Whether `opener`, still open, cannot reach as far as t. */
static bool ends_before(const struct repair *r, const struct token *opener, const struct token *t)
{
	if (t->kind == TOK_NL && opener->kind != '{')
		return true;
	if (!r->by_indent || !t->line_start)
		return false;
	return is_closer(t->kind) ? t->indent < opener->indent : t->indent <= opener->indent;
}

static bool has_opener(const struct repair *r, int closer)
{
	for (int i = r->open.n; i-- > 0;)
		if (bracket_closer(r->open.at[i].kind) == closer)
			return true;
	return false;
}

static void report_stray_closer(struct repair *r, const struct token *t)
{
	r->mistakes++;
	if (r->report && r->mistakes <= MAX_REPORTS && !r->last.tainted)
		diag_report(r->p->sink, DIAG_E0005, token_span(r->p, t), "`%s` closes nothing", token_text(r, t));
}

static void step(struct repair *r, const struct token *t)
{
	while (r->open.n && ends_before(r, &r->open.at[r->open.n - 1], t))
		close_innermost(r, t);
	if (is_closer(t->kind)) {
		if (!has_opener(r, t->kind)) {
			report_stray_closer(r, t);
			return;
		}
		while (bracket_closer(r->open.at[r->open.n - 1].kind) != t->kind)
			close_innermost(r, t);
		r->open.n--;
	}
	if (bracket_closer(t->kind))
		vec_push(r->p->arena, &r->open, *t);
	while (!t->kind && r->open.n)
		close_innermost(r, t);
	put(r, *t);
	r->last = *t;
}

static struct repair walk(struct parser *p, bool by_indent, bool report)
{
	struct repair r = {.p = p, .by_indent = by_indent, .report = report};
	for (int i = 0; i < p->tokens.n; i++)
		step(&r, &p->tokens.at[i]);
	return r;
}

/* Gives up the rest of a file that is nested deeper than the passes behind can walk. */
static void bound_depth(struct parser *p)
{
	int depth = 0;
	for (int i = 0; i < p->tokens.n; i++) {
		struct token *t = &p->tokens.at[i];
		if (is_closer(t->kind))
			depth -= depth > 0;
		else if (bracket_closer(t->kind) && ++depth > MAX_BRACKETS) {
			struct diag *d = diag_report(p->sink, DIAG_E0007, token_span(p, t), "brackets are nested more than %d deep", MAX_BRACKETS);
			diag_help(p->sink, d, "name the inner parts with `let`");
			*t = (struct token){t->lo, t->lo, 0, 0, true, true};
			p->tokens.n = i + 1;
			p->tokens.truncated = true;
		}
	}
}

/* Indentation tells best where a bracket should have been closed, unless the text is not indented as its brackets say. */
void balance_brackets(struct parser *p)
{
	bound_depth(p);
	int plain = walk(p, false, false).mistakes;
	if (!plain)
		return;
	bool by_indent = walk(p, true, false).mistakes <= plain;
	bool truncated = p->tokens.truncated;
	p->tokens = walk(p, by_indent, true).out;
	p->tokens.truncated = truncated;
}
