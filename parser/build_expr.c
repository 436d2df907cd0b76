/* Constructors of expressions. They bound the depth of the tree for the passes that walk it. */
#include "build.h"
#include "../lexer/units.h"
#include <string.h>

const char *bin_op_text(enum bin_op op)
{
	static const char *const text[] = {
		"where", "or", "and", "<", ">", "<=", ">=", "==", "!=", "in", "divides", "..", "+", "-", "*", "/", "mod"};
	_Static_assert(sizeof text / sizeof *text == B_OPS, "one text for each operator");
	return text[op];
}

static struct node *expr_new(struct parser *p, enum node_kind kind, struct span at)
{
	struct node *x = node_new(p, kind, at);
	x->depth = 1;
	return x;
}

/* Makes x one level deeper than its operand. If that is too deep, the operand is cut off, and the item fails. */
static void deepen(struct parser *p, struct node *x, struct node **operand)
{
	if ((*operand)->depth >= MAX_OPERATORS) {
		if (!p->item_failed)
			diag_report(p->sink, DIAG_E0007, x->span, "expression is nested more than %d deep", MAX_OPERATORS);
		fail_item(p, x->span);
		*operand = expr_new(p, N_NONE, (*operand)->span);
	}
	if (x->depth <= (*operand)->depth)
		x->depth = (*operand)->depth + 1;
}

static void deepen_all(struct parser *p, struct node *x, struct nodes operands)
{
	for (int i = 0; i < operands.n; i++)
		deepen(p, x, &operands.at[i]);
}

/* ---- values ---------------------------------------------------------------------------------- */

struct node *expr_number(struct parser *p, struct span at, const char *text)
{
	struct node *x = expr_new(p, N_NUM, at);
	long long i;
	double f;
	bool is_int;
	x->num.text = text;
	if (!number_value(text, &i, &f, &is_int)) {
		struct diag *d =
			diag_report(p->sink, DIAG_E0008, at, "number is too large for %s", is_int ? "an Int (63 bits)" : "a Float");
		if (is_int)
			diag_help(p->sink, d, "with an exponent it is a Float: `1e20`");
		fail_item(p, at);
	}
	return x;
}

/* A trap is reported once per word, and then taken in its first reading, so that it causes no further reports. */
static void report_traps(struct parser *p, struct span unit)
{
	for (uint32_t i = unit.lo; i < unit.hi; i++) {
		const char *word = p->text + i;
		size_t n = unit_word_length(word, unit.hi - i);
		const struct unit_trap *trap = unit_trap(word, n);
		struct span at = {unit.file, i, i + (uint32_t)n};
		if (trap) {
			struct diag *d = diag_report(p->sink, trap->code, at, "`%s` is ambiguous", trap->word);
			diag_help(p->sink, d,
			          trap->code == DIAG_E0303 ? "write `%s` (bits) or `%s` (bytes); 8 bits are one byte"
			                                   : "write `%s` (per second) or `%s` (a count)",
			          trap->meant, trap->other);
			diag_fix(p->sink, d, at, trap->meant);
		}
		i += (uint32_t)n;
	}
}

struct node *expr_quantity(struct parser *p, struct span at, const char *text)
{
	struct node *x = expr_new(p, N_QTY, at);
	uint32_t number = (uint32_t)number_length(text, strlen(text));
	x->num.text = text;
	x->num.unit = (struct span){at.file, at.lo + number + (text[number] == ' '), at.hi};
	report_traps(p, x->num.unit);
	return x;
}

struct node *expr_string(struct parser *p, struct span at, const char *text)
{
	struct node *x = expr_new(p, N_STR, at);
	x->text = string_value(p, at, text);
	return x;
}

/* true, false, none, auto */
struct node *expr_word(struct parser *p, struct span at, enum node_kind kind) { return expr_new(p, kind, at); }

struct node *expr_name(struct parser *p, struct ident name)
{
	struct node *x = expr_new(p, N_ID, name.span);
	x->ident = name;
	return x;
}

/* ---- operators ------------------------------------------------------------------------------- */

/* N_DOT, N_PER, N_ARG_NAMED */
struct node *expr_dot(struct parser *p, struct span at, enum node_kind kind, struct node *operand, struct ident name)
{
	struct node *x = expr_new(p, kind, at);
	x->dot.x = operand;
	x->dot.name = name;
	deepen(p, x, &x->dot.x);
	return x;
}

/* Arguments of a kind that has no meaning in these brackets. */
static void refuse_args(struct parser *p, struct nodes args, enum node_kind kind, const char *message)
{
	for (int i = 0; i < args.n; i++)
		if (args.at[i]->kind == kind) {
			diag_report(p->sink, DIAG_E0005, args.at[i]->span, "%s", message);
			fail_item(p, args.at[i]->span);
		}
}

/* N_CALL, N_INDEX */
struct node *expr_call(struct parser *p, struct span at, enum node_kind kind, struct node *f, struct node_list *args)
{
	struct node *x = expr_new(p, kind, at);
	x->call.f = f;
	x->call.args = nodes_of(args);
	if (kind == N_CALL)
		refuse_args(p, x->call.args, N_ARG_ARROW, "`a -> b` renames an axis in `x[a -> b]`, not in a call");
	else
		refuse_args(p, x->call.args, N_ARG_NAMED, "a named argument belongs in a call, not in `[` `]`");
	deepen(p, x, &x->call.f);
	deepen_all(p, x, x->call.args);
	return x;
}

struct node *expr_refine(struct parser *p, struct span at, struct node *base, struct span braces,
                         struct node_list *body)
{
	struct node *x = expr_new(p, N_REFINE, at);
	x->sub2.base = base;
	x->sub2.braces = braces;
	x->sub2.body = nodes_of(body);
	x->depth = 1 + nodes_depth(x->sub2.body);
	deepen(p, x, &x->sub2.base);
	return x;
}

/* `prefix` NULL: none. */
struct node *expr_label(struct parser *p, struct span at, struct node *call, struct ident name, struct node *prefix)
{
	struct node *x = expr_new(p, N_LABEL, at);
	x->label.call = call;
	x->label.name = name;
	x->label.prefix = prefix ? prefix->text : NULL;
	deepen(p, x, &x->label.call);
	return x;
}

struct node *expr_binary(struct parser *p, struct span at, enum bin_op op, struct node *a, struct span op_at,
                         struct node *b)
{
	struct node *x = expr_new(p, N_BIN, at);
	x->bin.op = op;
	x->bin.op_span = op_at;
	x->bin.a = a;
	x->bin.b = b;
	deepen(p, x, &x->bin.a);
	deepen(p, x, &x->bin.b);
	return x;
}

struct node *expr_contract(struct parser *p, struct span at, struct node *a, struct span op_at, struct ident_list *over,
                           struct node *w)
{
	struct node *x = expr_new(p, N_CONTRACT, at);
	x->contract.x = a;
	x->contract.w = w;
	x->contract.over = (struct idents){over->at, over->n};
	x->contract.op_span = op_at;
	deepen(p, x, &x->contract.x);
	deepen(p, x, &x->contract.w);
	return x;
}

/* N_NOT, N_NEG */
struct node *expr_unary(struct parser *p, struct span at, enum node_kind kind, struct node *operand)
{
	struct node *x = expr_new(p, kind, at);
	x->one.x = operand;
	deepen(p, x, &x->one.x);
	return x;
}

struct node *expr_if(struct parser *p, struct span at, struct node *c, struct node *a, struct node *b)
{
	struct node *x = expr_new(p, N_IF, at);
	x->cond.c = c;
	x->cond.a = a;
	x->cond.b = b;
	deepen(p, x, &x->cond.c);
	deepen(p, x, &x->cond.a);
	deepen(p, x, &x->cond.b);
	return x;
}

struct node *expr_list(struct parser *p, struct span at, struct node_list *args)
{
	struct node *x = list_node(p, at, N_LIST, args);
	x->depth = 1;
	refuse_args(p, x->list, N_ARG_ARROW, "`a -> b` does not belong in a list");
	refuse_args(p, x->list, N_ARG_NAMED, "a named argument does not belong in a list");
	deepen_all(p, x, x->list);
	return x;
}

struct node *arg_arrow(struct parser *p, struct span at, struct ident from, struct ident to)
{
	struct node *x = expr_new(p, N_ARG_ARROW, at);
	x->arrow.from = from;
	x->arrow.to = to;
	return x;
}
