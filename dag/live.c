/* Marks the program values that outputs, states and carried values need. */
#include "local.h"

static void mark(struct local *l, int root)
{
	VEC(int) todo = {0};
	vec_push(l->arena, &todo, root);
	while (todo.n) {
		int v = todo.at[--todo.n];
		if (v < 0 || l->live[v])
			continue;
		l->live[v] = true;
		const struct value *p = &l->program->values.at[v];
		for (int i = 0; i < p->n_args; i++)
			vec_push(l->arena, &todo, p->args[i]);
		if (p->op == OP_CARRY)
			vec_push(l->arena, &todo, p->next);
	}
}

/* A name that one body of a loop carries is carried by all its bodies. Returns whether that marked more. */
static bool mark_carried(struct local *l, const struct loop *loop)
{
	const struct value *v = l->program->values.at;
	bool more = false;
	for (int i = loop->begin; i < loop->end; i++)
		for (int k = loop->begin; v[i].op == OP_CARRY && l->live[i] && k < loop->end; k++)
			if (v[k].op == OP_CARRY && v[k].name == v[i].name && !l->live[k]) {
				mark(l, k);
				more = true;
			}
	return more;
}

void mark_live(struct local *l)
{
	const struct program *p = l->program;
	l->live = arena_array(l->arena, bool, p->values.n + 1);
	for (int i = 0; i < p->outputs.n; i++)
		mark(l, p->outputs.at[i].value);
	for (int i = 0; i < p->states.n; i++)
		mark(l, p->states.at[i].value);
	for (int i = p->loops.n; i-- > 0;) /* from the last one on: it may need what an earlier one carries */
		while (mark_carried(l, &p->loops.at[i]))
			;
}
