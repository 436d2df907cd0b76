/* Branches, calls, barriers, and what lanes of a warp do together. */
#include <string.h>
#include "lower.h"

/* ---- branches and calls ---- */
static void branch_to(struct lowering *lo, int label) { emit(lo, x_bra, 0, 0, NULL)->target = label; }

void select_bra(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 1, 1);
	if (s->operands[0].kind != OPERAND_NAME)
		lower_error(lo, "`%s` needs a label", s->name);
	branch_to(lo, label_named(lo, s->operands[0].name, lo->expansion));
}

/* The end of a kernel is the end of the thread. */
void select_ret(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 0, 0);
	if (lo->end_label >= 0)
		branch_to(lo, lo->end_label);
	else
		emit(lo, x_exit, 0, 0, NULL);
}

void select_exit(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 0, 0);
	emit(lo, x_exit, 0, 0, NULL);
}

static struct function *callee(struct lowering *lo, const struct operand_text *o)
{
	uint32_t op;
	if (o->kind != OPERAND_NAME || find_register(lo, o->name, &op))
		lower_error(lo, "calls through a register are not possible here");
	for (struct function *f = lo->l->functions; f; f = f->next)
		if (!strcmp(f->name, o->name) && !f->entry) {
			if (f->external)
				lower_error(lo, "function `%s` has no body", f->name);
			if (f->active)
				lower_error(lo, "`%s` calls itself, which is not possible here", f->name);
			return f;
		}
	lower_error(lo, "function `%s` is missing", o->name);
}

/* A parameter of the function is the variable that the caller names for it: nothing is copied. */
static struct binding *bind_arguments(struct lowering *lo, const struct variable *params,
                                      const struct operand_text *list, struct binding *bound)
{
	int i = 0, n = list ? list->n : 0;
	for (const struct variable *v = params; v; v = v->next, i++) {
		struct place place;
		if (i >= n || list->list[i].kind != OPERAND_NAME || !find_variable_place(lo, list->list[i].name, &place))
			lower_error(lo, "parameter `%s` needs a .param variable", v->name);
		struct binding *caller = lo->bindings;
		lo->bindings = bound;
		bind_variable(lo, v, place);
		bound = lo->bindings;
		lo->bindings = caller;
	}
	if (i != n)
		lower_error(lo, "a call with %d values for %d", n, i);
	return bound;
}

static void expand_call(struct lowering *lo, struct function *f, struct binding *bound)
{
	struct binding *caller = lo->bindings;
	const struct statement *s = lo->s;
	int expansion = lo->expansion, end = lo->end_label;
	lo->bindings = bound;
	lo->expansion = ++lo->n_expansions;
	lo->end_label = label_named(lo, "the end", lo->expansion);
	expand(lo, f);
	lo->s = s;
	place_label(lo, lo->end_label);
	lo->bindings = caller;
	lo->expansion = expansion;
	lo->end_label = end;
}

/* call (result), name, (arguments): the function's statements are expanded here. */
void select_call(struct lowering *lo, const struct statement *s)
{
	const struct operand_text *o = s->operands;
	operand_count(lo, s, 1, 3);
	bool has_result = o[0].kind == OPERAND_LIST;
	int at = has_result ? 1 : 0;
	if (at >= s->n_operands)
		lower_error(lo, "a call of nothing");
	struct function *f = callee(lo, &o[at]);
	const struct operand_text *list = at + 1 < s->n_operands ? &o[at + 1] : NULL;
	struct binding *bound = bind_arguments(lo, f->params, list, NULL);
	bound = bind_arguments(lo, f->result, has_result ? &o[0] : NULL, bound);
	/* @p call: the others go around it. */
	int around = -1;
	if (s->guard) {
		around = label_named(lo, arena_text(lo->l->arena, "around", 6), ++lo->n_expansions);
		branch_to(lo, around);
		lo->code[lo->n - 1].unless ^= true;
	}
	expand_call(lo, f, bound);
	if (around >= 0)
		place_label(lo, around);
}

/* ---- barriers ---- */
void select_bar(struct lowering *lo, const struct statement *s)
{
	static const char *const kinds[] = {"sync", "arrive", "popc", "and", "or", NULL};
	int kind = which_word(s, kinds), reduces = kind >= 2;
	operand_count(lo, s, kind == 1 ? 2 : reduces ? 3 : 1, kind == 1 ? 2 : reduces ? 4 : 2);
	const struct operand_text *o = &s->operands[reduces];
	bool counted = s->n_operands - 2 * reduces == 2;
	if (o[0].kind == OPERAND_INTEGER && o[0].bits >= BARRIERS)
		lower_error(lo, "`%s`: there are %d barriers", s->name, BARRIERS);
	if (counted && o[1].kind == OPERAND_INTEGER && o[1].bits % LANES)
		lower_error(lo, "`%s` for a number of threads that is not one of warps", s->name);
	uint32_t ops[4];
	ops[reduces] = source(lo, &o[0], 'r');
	ops[reduces + 1] = counted ? source(lo, &o[1], 'r') : constant(lo, 0, 4);
	if (reduces) {
		ops[3] = source(lo, &s->operands[s->n_operands - 1], 'p');
		ops[0] = definition(lo, &s->operands[0], kind == 2 ? 'r' : 'p');
	}
	emit(lo, x_bar, reduces, reduces ? 4 : 2, ops)->variant = (uint8_t)kind;
}

/* ---- lanes of a warp ---- */
/* shfl d|p, a, b, c, mask; p says whether the source lane was in range. */
void select_shfl(struct lowering *lo, const struct statement *s)
{
	static const char *const modes[] = {"up", "down", "bfly", "idx", NULL};
	operand_count(lo, s, 5, 6);
	int two = s->n_operands == 6;
	uint32_t ops[6];
	for (int i = 0; i < 4; i++)
		ops[2 + i] = source(lo, &s->operands[1 + two + i], i ? 'r' : 'R');
	ops[0] = definition(lo, &s->operands[0], 'R');
	ops[1] = two ? definition(lo, &s->operands[1], 'p') : new_register(lo, 0, KIND_PREDICATE);
	emit(lo, x_shfl, 2, 6, ops)->variant = (uint8_t)which_word(s, modes);
}

void select_vote(struct lowering *lo, const struct statement *s)
{
	static const char *const modes[] = {"all", "any", "uni", "ballot", NULL};
	operand_count(lo, s, 3, 3);
	int mode = which_word(s, modes);
	uint32_t p = source(lo, &s->operands[1], 'p'), mask = source(lo, &s->operands[2], 'r');
	uint32_t d = definition(lo, &s->operands[0], mode == 3 ? 'R' : 'p');
	emit(lo, x_vote, 1, 3, (uint32_t[]){d, p, mask})->variant = (uint8_t)mode;
}

void select_match(struct lowering *lo, const struct statement *s)
{
	bool all = has_word(s, "all");
	operand_count(lo, s, 3, all ? 4 : 3);
	int two = s->n_operands == 4, size = last_type(s)->size;
	uint32_t a = source(lo, &s->operands[1 + two], size == 4 ? 'R' : 'L'),
			 mask = source(lo, &s->operands[2 + two], 'r');
	uint32_t d = definition(lo, &s->operands[0], 'R');
	uint32_t p = two ? definition(lo, &s->operands[1], 'p') : new_register(lo, 0, KIND_PREDICATE);
	emit(lo, size == 4 ? x_match_32 : x_match_64, 2, 4, (uint32_t[]){d, p, a, mask})->variant = all;
}

void select_redux(struct lowering *lo, const struct statement *s)
{
	static const char *const operations[] = {"add", "min", "max", "and", "or", "xor", NULL};
	operand_count(lo, s, 3, 3);
	uint32_t a = source(lo, &s->operands[1], 'R'), mask = source(lo, &s->operands[2], 'r');
	struct ins *in = emit(lo, x_redux, 1, 3, (uint32_t[]){definition(lo, &s->operands[0], 'R'), a, mask});
	in->variant = (uint8_t)which_word(s, operations);
	in->number = last_type(s)->number;
}

void select_elect(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 3, 3);
	uint32_t mask = source(lo, &s->operands[2], 'r');
	uint32_t d = definition(lo, &s->operands[0], 'R'), p = definition(lo, &s->operands[1], 'p');
	emit(lo, x_elect, 2, 3, (uint32_t[]){d, p, mask});
}
