/* Requirements of a deployment that exclude each other, whatever its plan is. */
#include "goals.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

/* What a comparison with a number leaves for a term, in the base units of its dimensions. */
struct limits {
	const char *term; /* without spaces: "throughputpergpu" */
	struct dims dims;
	double low, high;
	bool without_low, without_high; /* the end itself is excluded */
	const struct node *at;
};

static bool is_literal(const struct node *e)
{
	return e->kind == N_NUM || e->kind == N_QTY || (e->kind == N_NEG && is_literal(e->one.x))
	       || (e->kind == N_BIN && is_literal(e->bin.a) && is_literal(e->bin.b));
}

static const char *text_without_spaces(struct goals *g, struct span at)
{
	const char *from = g->sema->sink->sources->files.at[at.file].text;
	char *out = arena_alloc(g->sema->arena, at.hi - at.lo + 1);
	int n = 0;
	for (uint32_t i = at.lo; i < at.hi; i++)
		if (!isspace((unsigned char)from[i]))
			out[n++] = from[i];
	return out;
}

/* a op b, seen from b. */
static enum bin_op turned(enum bin_op op)
{
	return op == B_LT ? B_GT : op == B_GT ? B_LT : op == B_LE ? B_GE : op == B_GE ? B_LE : op;
}

static bool number(struct val v, double *x, struct dims *dims)
{
	*dims = v.kind == V_QUANTITY ? v.dims : (struct dims){{0}};
	return val_number(v, x);
}

/* false: the comparison limits no term by a number. */
static bool limits_of(struct goals *g, const struct placed *goal, const struct node *e, struct limits *out)
{
	enum bin_op op = e->bin.op;
	bool left = !is_literal(e->bin.a);
	if (!is_comparison(op) || op == B_NE || left != is_literal(e->bin.b))
		return false;
	struct val v = goal_value(g, goal, left ? e->bin.b : e->bin.a);
	const struct node *term = left ? e->bin.a : e->bin.b;
	*out = (struct limits){text_without_spaces(g, term->span), .low = -INFINITY, .high = INFINITY, .at = e};
	if (op == B_IN)
		return v.kind == V_RANGE && number(v.range[0], &out->low, &out->dims)
		       && number(v.range[1], &out->high, &out->dims);
	double x;
	if (!number(v, &x, &out->dims))
		return false;
	op = left ? op : turned(op);
	if (op != B_LT && op != B_LE)
		out->low = x;
	if (op != B_GT && op != B_GE)
		out->high = x;
	out->without_low = op == B_GT;
	out->without_high = op == B_LT;
	return true;
}

static bool exclude(const struct limits *a, const struct limits *b)
{
	double low = a->low > b->low ? a->low : b->low, high = a->high < b->high ? a->high : b->high;
	bool without = (a->low == low && a->without_low) || (b->low == low && b->without_low)
	               || (a->high == high && a->without_high) || (b->high == high && b->without_high);
	return !strcmp(a->term, b->term) && dims_equal(a->dims, b->dims) && (low > high || (low == high && without));
}

static const char *source(struct goals *g, struct span at)
{
	return arena_strndup(g->sema->arena, g->sema->sink->sources->files.at[at.file].text + at.lo, at.hi - at.lo);
}

struct known_limits {
	struct limits *at;
	int n, cap;
};

/* Reports a part of a goal that excludes an earlier one. */
static bool check_part(struct goals *g, const struct placed *goal, const struct node *e, struct known_limits *known)
{
	struct limits own;
	if (e->kind == N_BIN && e->bin.op == B_AND) {
		bool first = check_part(g, goal, e->bin.a, known);
		return check_part(g, goal, e->bin.b, known) || first;
	}
	if (e->kind != N_BIN || !limits_of(g, goal, e, &own))
		return false;
	for (int i = 0; i < known->n; i++) {
		const struct limits *other = &known->at[i];
		if (!exclude(other, &own))
			continue;
		struct diag *d = sema_report(g->sema, DIAG_E0816, e->span, "`%s` and `%s` exclude each other",
		                             source(g, e->span), source(g, other->at->span));
		diag_related(g->sema->sink, d, other->at->span, "the other one");
		diag_help(g->sema->sink, d, "leave one of them out, or swap their limits");
		return true;
	}
	vec_push(g->sema->arena, known, own);
	return false;
}

bool *goals_excluded(struct goals *g)
{
	const struct record *r = g->self.deploy->record;
	bool *excluded = arena_array(g->sema->arena, bool, r->goals.n + 1);
	struct known_limits known = {0};
	for (int i = 0; i < r->goals.n; i++) {
		const struct node *item = r->goals.at[i].item;
		if (item->kind == N_REQUIRE) /* what an `assert` states is compared with what is derived */
			excluded[i] = check_part(g, &r->goals.at[i], item->claim.value, &known);
	}
	return excluded;
}
