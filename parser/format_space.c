/* How many spaces are between two pieces of a line. */
#include "format_pieces.h"
#include "build.h"
#include "parser/grammar.tab.h"

/* The kind of the nearest token before (step -1) or after (step 1) piece i; 0 if there is none. */
static int neighbour(const struct module_text *m, int i, int step)
{
	const struct piece *p;
	do
		p = piece_at(m, i += step);
	while (p && p->kind == COMMENT);
	return p ? p->kind : 0;
}

static bool opens_tight(int kind) { return kind == '(' || kind == '[' || kind == TOK_ATLB; }

static bool closes_tight(int kind) { return kind == ')' || kind == ']' || kind == ',' || kind == TOK_NL; }

/* `-x`, and the `+` of a pending axis: [batch | +tp]. */
static bool is_prefix(const struct module_text *m, int i)
{
	int kind = m->pieces.at[i].kind, before = neighbour(m, i, -1);
	return (kind == '-' && !ends_item(before)) || (kind == '+' && (before == '|' || before == ','));
}

/* The marks of an axis in a signature: `a+`, `a!`; and `T?`. */
static bool is_postfix(const struct module_text *m, int i)
{
	int kind = m->pieces.at[i].kind, behind = neighbour(m, i, 1);
	return kind == '!' || kind == '?' || (kind == '+' && (behind == ',' || behind == ']' || behind == '|'));
}

static bool binds_tighter_than_range(int kind)
{
	return kind == '+' || kind == '-' || kind == '*' || kind == '/' || kind == TOK_MOD || kind == TOK_PER
	       || kind == TOK_ATLB || kind == '.';
}

/* Whether the operand of a range on that side is one number or name. */
static bool is_simple(const struct module_text *m, int range, int side)
{
	int operand = neighbour(m, range, side), at = range + side;
	if (operand != TOK_NUMBER && operand != TOK_IDENT)
		return false;
	while (m->pieces.at[at].kind == COMMENT)
		at += side;
	int beyond = neighbour(m, at, side);
	bool goes_on = side < 0 ? beyond == ']' : beyond == '(' || beyond == '[' || beyond == '{' || beyond == TOK_AS;
	return !goes_on && !binds_tighter_than_range(beyond);
}

/* 128..10240, but 140 Gparam .. 141.5 Gparam and a + 1 .. b. */
static bool is_tight_range(const struct module_text *m, int i)
{
	return m->pieces.at[i].kind == TOK_DOTDOT && is_simple(m, i, -1) && is_simple(m, i, 1);
}

static int gap_beside_comment(int before, int behind) { return opens_tight(before) || closes_tight(behind) ? 0 : 1; }

/* Between pieces i - 1 and i of one line. */
static int gap_before(const struct module_text *m, int i)
{
	const struct piece *b = &m->pieces.at[i];
	int before = b[-1].kind, behind = b->kind;
	if (before == COMMENT || behind == COMMENT)
		return gap_beside_comment(before, behind);
	if (opens_tight(before) || closes_tight(behind) || before == '.' || behind == '.' || before == '@' || behind == '@')
		return 0;
	if ((before == '{' && behind == '}') || (before == TOK_ELLIPSIS && behind == TOK_IDENT))
		return 0;
	if (is_prefix(m, i - 1) || is_postfix(m, i) || is_tight_range(m, i - 1) || is_tight_range(m, i))
		return 0;
	if (behind == ':')
		return holds_items(m, b->opener) ? 1 : 0;
	if (behind == '(' || behind == '[')
		return ends_item(before) ? 0 : 1;
	return 1;
}

void space_pieces(struct module_text *m)
{
	for (int l = 0; l < m->lines.n; l++)
		for (int i = m->lines.at[l].first + 1; i < line_end(&m->lines.at[l]); i++)
			m->pieces.at[i].gap = gap_before(m, i);
}
