/* Finds where parsing goes on after a syntax error. */
#include "build.h"
#include "parser/grammar.tab.h"

static int depth_change(int kind) { return bracket_closer(kind) ? 1 : is_closer(kind) ? -1 : 0; }

/* An item starts at token t, although no newline ended the one before: its line is no deeper than that item's. No item
 * starts with a bracket. */
static bool looks_like_item(const struct token *first, const struct token *t)
{
	return t != first && t->line_start && t->indent <= first->indent && !is_closer(t->kind) && !bracket_closer(t->kind);
}

/* Index of the innermost `{` frame. */
static int item_frame(const struct parser *p)
{
	int frame = p->frames.n - 1;
	while (p->frames.at[frame].bracket != '{')
		frame--;
	return frame;
}

/* The braces of `use std.ops { a, b }` hold names, not items. */
static bool is_use_list(const struct parser *p, int frame)
{
	return frame > 0 && p->tokens.at[p->frames.at[frame - 1].item].kind == TOK_USE;
}

int item_start(const struct parser *p)
{
	int frame = item_frame(p);
	return p->frames.at[is_use_list(p, frame) ? frame - 1 : frame].item;
}

/* A line is swallowed after `x = a +`, or after `f(a,` when the bracket was closed too late. */
int swallowed_item(const struct parser *p)
{
	int start = item_start(p), depth = 0;
	for (int k = start; k <= p->last; k++) {
		const struct token *t = &p->tokens.at[k];
		if (depth == 0 && looks_like_item(&p->tokens.at[start], t))
			return k;
		depth += depth_change(t->kind);
	}
	return -1;
}

static bool bounds_items(int kind) { return kind == 0 || kind == TOK_NL || kind == '{' || kind == '}'; }

/* The first token after the item: `;`, the closing brace, a `{` (whose body is parsed), or one after a newline. */
static int behind_item(const struct parser *p, int start)
{
	const struct token *first = &p->tokens.at[start];
	int depth = 0;
	for (int k = start; p->tokens.at[k].kind; k++) {
		const struct token *t = &p->tokens.at[k];
		bool bounds = bounds_items(t->kind) && !(t->kind == '{' && first->kind == TOK_USE);
		bool line_end = t->line_start && ends_item(p->tokens.at[k - (k > 0)].kind);
		if (k > p->last && depth == 0 && (bounds || line_end || looks_like_item(first, t)))
			return k;
		depth += depth_change(t->kind);
	}
	return p->tokens.n - 1;
}

static int closing_brace(const struct parser *p, int start)
{
	int k = start;
	for (int depth = 0; p->tokens.at[k].kind && (depth || p->tokens.at[k].kind != '}'); k++)
		depth += depth_change(p->tokens.at[k].kind);
	return k;
}

/* Nothing to do where the grammar itself takes the wrong token as the end of the item. */
void resume_at_item_end(struct parser *p)
{
	if (p->last < 0 || bounds_items(p->last_kind))
		return;
	int frame = item_frame(p), start = p->frames.at[frame].item;
	if (is_use_list(p, frame)) {
		p->next = closing_brace(p, start);
	} else {
		int swallowed = swallowed_item(p);
		p->next = swallowed >= 0 ? swallowed : behind_item(p, start);
		p->line_end_due = !bounds_items(p->tokens.at[p->next].kind);
	}
	p->frames.n = frame + 1;
	p->entered = true;
}
