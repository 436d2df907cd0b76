/* Where parsing goes on after a syntax error. */
#include "build.h"
#include "parser/grammar.tab.h"

static bool is_use_list(const struct parser *p, int frame)
{
	return frame > 0 && p->tokens.at[p->frames.at[frame - 1].item].kind == TOK_USE;
}

static int depth_change(int kind)
{
	return bracket_closer(kind) ? 1 : is_closer(kind) ? -1 : 0;
}

/* An item starts at token k, though no line end was seen: its line is no deeper than that of the item before it. */
static bool looks_like_item(const struct token *first, const struct token *t)
{
	return t != first && t->line_start && t->indent <= first->indent && !is_closer(t->kind);
}

/* The bracket depth of token `wrong`, counted from the item's start; *restart: a line before `wrong` that looks like the
 * start of an item, or -1. Such a line was swallowed: `x = a +`, or `f(a,` that the repair closed too late. */
static int look_back(const struct parser *p, int start, int wrong, int *restart)
{
	const struct token *first = &p->tokens.at[start];
	int depth = 0;
	*restart = -1;
	for (int k = start; k < wrong; k++) {
		const struct token *t = &p->tokens.at[k];
		if (*restart < 0 && depth == 0 && looks_like_item(first, t))
			*restart = k;
		depth += depth_change(t->kind);
	}
	if (*restart < 0 && depth == 0 && looks_like_item(first, &p->tokens.at[wrong]))
		*restart = wrong;
	return depth;
}

/* The first token behind the item: `;`, the closing brace, a `{` (whose body is parsed), or one behind a line end. */
static int look_ahead(const struct parser *p, int start, int wrong, int depth)
{
	const struct token *first = &p->tokens.at[start];
	for (int k = wrong;; k++) {
		const struct token *t = &p->tokens.at[k];
		if (!t->kind)
			return k;
		if (depth == 0 && k > wrong) {
			if (t->kind == TOK_NL || t->kind == '}' || t->kind == '{' || looks_like_item(first, t))
				return k;
			if (t->line_start && ends_item(p->tokens.at[k - 1].kind))
				return k;
		}
		depth += depth_change(t->kind);
	}
}

static int closing_brace(const struct parser *p, int start)
{
	int k = start;
	for (int depth = 0; p->tokens.at[k].kind && (depth || p->tokens.at[k].kind != '}'); k++)
		depth += depth_change(p->tokens.at[k].kind);
	return k;
}

static bool bounds_items(int kind)
{
	return kind == 0 || kind == TOK_NL || kind == '{' || kind == '}';
}

/* Nothing to do where the grammar itself takes the wrong token as the end of the item. */
void resume_at_item_end(struct parser *p)
{
	if (p->last < 0 || bounds_items(p->last_kind))
		return;
	while (p->frames.at[p->frames.n - 1].bracket != '{')
		p->frames.n--;
	int start = p->frames.at[p->frames.n - 1].item;
	if (is_use_list(p, p->frames.n - 1)) {
		p->next = closing_brace(p, start);
	} else {
		int restart, depth = look_back(p, start, p->last, &restart);
		p->next = restart >= 0 ? restart : look_ahead(p, start, p->last, depth);
		p->line_end_due = !bounds_items(p->tokens.at[p->next].kind);
	}
	p->entered = true;
}
