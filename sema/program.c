/* The checker of programs, and facts about their operators. */
#include "program.h"
#include "../support/arena.h"
#include <string.h>

const char *op_name(enum op op)
{
	static const char *const names[OP_COUNT] = {
		[OP_INPUT] = "input",       [OP_PARAM] = "param",     [OP_CONST] = "const",
		[OP_IOTA] = "iota",         [OP_LIST] = "list",       [OP_ADD] = "add",
		[OP_SUB] = "sub",           [OP_MUL] = "mul",         [OP_DIV] = "div",
		[OP_MIN] = "min",           [OP_MAX] = "max",         [OP_CLAMP] = "clamp",
		[OP_EXP] = "exp",           [OP_LOG] = "log",         [OP_SQRT] = "sqrt",
		[OP_RSQRT] = "rsqrt",       [OP_TANH] = "tanh",       [OP_ERF] = "erf",
		[OP_SIN] = "sin",           [OP_COS] = "cos",         [OP_ABS] = "abs",
		[OP_FLOOR] = "floor",       [OP_CEIL] = "ceil",       [OP_CAST] = "cast",
		[OP_SUM] = "sum",           [OP_MEAN] = "mean",       [OP_REDUCE_MAX] = "reduce_max",
		[OP_RENAME] = "rename",     [OP_PIECE] = "piece",     [OP_CONTRACT] = "contract",
		[OP_EMBED] = "embed",       [OP_PICK] = "pick",       [OP_ROTATE] = "rotate",
		[OP_APPEND] = "append",     [OP_ATTEND] = "attend",   [OP_ROUTE] = "route",
		[OP_DISPATCH] = "dispatch", [OP_COMBINE] = "combine", [OP_JOIN] = "join",
		[OP_SAMPLE] = "sample",     [OP_CARRY] = "carry",     [OP_FINAL] = "final",
	};
	return names[op];
}

bool op_is_pointwise(enum op op) { return op >= OP_ADD && op <= OP_CAST; }

bool op_is_reduce(enum op op) { return op >= OP_SUM && op <= OP_REDUCE_MAX; }

struct reduced_axes value_reduced(const struct value *v)
{
	if (v->op == OP_CONTRACT || op_is_reduce(v->op))
		return (struct reduced_axes){v->reduce.over, v->reduce.n_over};
	return (struct reduced_axes){NULL, 0};
}

bool axis_among(const int *axes, int n, int axis)
{
	for (int i = 0; i < n; i++)
		if (axes[i] == axis)
			return true;
	return false;
}

int axis_root(const struct program *p, int axis)
{
	while (p->axes.at[axis].like >= 0)
		axis = p->axes.at[axis].like;
	return axis;
}

bool axis_is_within(const struct program *p, int axis, int whole)
{
	const struct axis *a = &p->axes.at[whole];
	for (int i = 0; i < a->n_parts; i++)
		if (axis_is_within(p, axis, a->part[i]))
			return true;
	return axis == whole;
}

/* ---- the checker ----------------------------------------------------------------------------- */

static int n_operands(enum op op)
{
	switch (op) {
	case OP_INPUT:
	case OP_PARAM:
	case OP_CONST:
	case OP_IOTA:
	case OP_LIST:     return 0;
	case OP_ADD:
	case OP_SUB:
	case OP_MUL:
	case OP_DIV:
	case OP_MIN:
	case OP_MAX:
	case OP_CONTRACT:
	case OP_EMBED:
	case OP_PICK:
	case OP_APPEND:
	case OP_ROUTE:
	case OP_DISPATCH:
	case OP_COMBINE:
	case OP_JOIN:     return 2;
	case OP_CLAMP:
	case OP_ROTATE:   return 3;
	case OP_ATTEND:   return 6;
	default:          return 1;
	}
}

int64_t attend_reach(const struct value *v)
{
	int64_t window = v->attend.window, chunk = v->attend.chunk;
	return !window || (chunk && chunk < window) ? chunk : window;
}

static bool is_optional(enum op op, int operand)
{
	return (op == OP_ATTEND && operand >= 4) || (op == OP_ROUTE && operand == 1);
}

static bool has_axis(const struct value *v, int axis) { return axis_among(v->axes, v->n_axes, axis); }

static const char *check_axes(const struct program *p, const struct value *v)
{
	for (int i = 0; i < v->n_axes; i++) {
		if (v->axes[i] < 0 || v->axes[i] >= p->axes.n)
			return "an axis that does not exist";
		for (int k = 0; k < i; k++)
			if (v->axes[k] == v->axes[i])
				return "an axis twice";
	}
	return NULL;
}

static const char *check_operands(const struct program *p, int index)
{
	const struct value *v = &p->values.at[index];
	if (v->n_args != n_operands(v->op))
		return "the wrong number of operands";
	for (int i = 0; i < v->n_args; i++) {
		if (v->args[i] == -1 && is_optional(v->op, i))
			continue;
		if (v->args[i] < 0 || v->args[i] >= index)
			return "an operand that does not come before it";
		int of_loop = program_loop(p, v->args[i]);
		if (of_loop >= 0 && of_loop != program_loop(p, index) && v->op != OP_FINAL)
			return "an operand from inside a loop";
	}
	return NULL;
}

/* Operands may be broadcast: the result has all of their axes. Arithmetic is in one format. */
static const char *check_pointwise(const struct program *p, const struct value *v)
{
	for (int i = 0; i < v->n_args; i++) {
		const struct value *x = &p->values.at[v->args[i]];
		for (int k = 0; k < x->n_axes; k++)
			if (!has_axis(v, x->axes[k]))
				return "an operand with an axis that the result lacks";
		if (v->op != OP_CAST && x->dtype != v->dtype)
			return "operands of different formats";
	}
	return NULL;
}

static const char *check_over(const struct program *p, const struct value *v)
{
	for (int i = 0; i < v->reduce.n_over; i++) {
		if (has_axis(v, v->reduce.over[i]))
			return "a reduced axis in the result";
		for (int k = 0; k < v->n_args; k++)
			if (!has_axis(&p->values.at[v->args[k]], v->reduce.over[i]))
				return "a reduced axis that an operand lacks";
	}
	return v->reduce.n_over ? NULL : "nothing to reduce over";
}

static const char *check_view(const struct program *p, const struct value *v)
{
	const struct value *x = &p->values.at[v->args[0]];
	bool related = v->op == OP_PIECE || axis_root(p, v->view.from) == axis_root(p, v->view.to);
	bool there = has_axis(x, v->view.from) && has_axis(v, v->view.to) && x->n_axes == v->n_axes;
	return related && there ? NULL : "a view of unrelated axes";
}

static const char *check_param(const struct program *p, const struct value *v)
{
	if (v->param < 0 || v->param >= p->params.n)
		return "no such param";
	const struct param *q = &p->params.at[v->param];
	const char *open = q->key ? strchr(q->key, '{') : NULL;
	if (!q->key || !q->stored.stride)
		return "a param without a place in the checkpoint";
	for (; open; open = strchr(open + 1, '{'))
		if (!strchr(open, '}'))
			return "a key with an open brace";
	for (int i = 0; i < q->n_axes; i++)
		if (!p->axes.at[q->axes[i]].extent)
			return "a param without a fixed extent";
	return NULL;
}

static const char *check_loop(const struct program *p, int index)
{
	const struct value *v = &p->values.at[index];
	int loop = program_loop(p, index);
	if (v->op == OP_FINAL)
		return p->values.at[v->args[0]].op == OP_CARRY ? NULL : "the last value of what is not carried";
	if (loop < 0 || v->next < 0 || v->next >= p->loops.at[loop].end)
		return "a carried value outside its loop";
	const struct value *next = &p->values.at[v->next];
	return next->dtype == v->dtype && next->n_axes == v->n_axes ? NULL : "a carried value that changes its type";
}

static const char *check_value(const struct program *p, int index)
{
	const struct value *v = &p->values.at[index];
	const char *wrong = check_axes(p, v);
	if (!wrong)
		wrong = check_operands(p, index);
	if (wrong)
		return wrong;
	if (v->region < 0 || v->region >= p->regions.n)
		return "no region";
	if (op_is_pointwise(v->op))
		return check_pointwise(p, v);
	if (op_is_reduce(v->op) || v->op == OP_CONTRACT)
		return check_over(p, v);
	if (v->op == OP_RENAME || v->op == OP_PIECE)
		return check_view(p, v);
	if (v->op == OP_PARAM)
		return check_param(p, v);
	if (v->op == OP_CARRY || v->op == OP_FINAL)
		return check_loop(p, index);
	if (v->op == OP_APPEND
	    && (v->append.state < 0 || v->append.state >= p->states.n || p->states.at[v->append.state].value != index))
		return "a cache without a state";
	return NULL;
}

static const char *check_loops(const struct program *p, struct arena *arena)
{
	int64_t turns = 0;
	for (int i = 0, bodies = 0; i < p->loops.n; i++) {
		const struct loop *l = &p->loops.at[i];
		if (l->first_turn != turns || l->first_body != bodies)
			return arena_printf(arena, "loop %d does not follow the one before it", i);
		bodies += l->n_bodies, turns += l->turns;
		for (int64_t k = l->first_turn; k < turns; k++)
			if (k >= p->body_of.n || p->body_of.at[k] < l->first_body || p->body_of.at[k] >= bodies)
				return arena_printf(arena, "turn %lld has no body of loop %d", (long long)k, i);
	}
	return NULL;
}

static const char *check_calls(const struct program *p, struct arena *arena)
{
	for (int i = 0; i < p->calls.n; i++) {
		const struct op_call *c = &p->calls.at[i];
		if (c->first > c->last || c->last >= p->values.n)
			return arena_printf(arena, "call %d of %s has no values", i, c->name);
		for (int k = c->first; k <= c->last; k++)
			if (p->values.at[k].call != i)
				return arena_printf(arena, "%%%d lies in call %d of %s but is not of it", k, i, c->name);
	}
	return NULL;
}

const char *program_check(const struct program *p, struct arena *arena)
{
	for (int i = 0; i < p->values.n; i++) {
		const char *wrong = check_value(p, i);
		if (wrong)
			return arena_printf(arena, "%%%d = %s: %s", i, op_name(p->values.at[i].op), wrong);
	}
	for (int i = 0; i < p->outputs.n; i++)
		if (p->outputs.at[i].value < 0 || p->outputs.at[i].value >= p->values.n)
			return arena_printf(arena, "output %s has no value", p->outputs.at[i].name);
	const char *wrong = check_loops(p, arena);
	return wrong ? wrong : check_calls(p, arena);
}

int program_body(const struct program *p, int value)
{
	for (int i = 0; i < p->bodies.n; i++)
		if (value >= p->bodies.at[i].begin && value < p->bodies.at[i].end)
			return i;
	return -1;
}

int program_loop(const struct program *p, int value)
{
	for (int i = 0; i < p->loops.n; i++)
		if (value >= p->loops.at[i].begin && value < p->loops.at[i].end)
			return i;
	return -1;
}
