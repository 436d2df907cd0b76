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

void mark_live(struct local *l)
{
	const struct program *p = l->program;
	l->live = arena_array(l->arena, bool, p->values.n + 1);
	for (int i = 0; i < p->outputs.n; i++)
		mark(l, p->outputs.at[i].value);
	for (int i = 0; i < p->states.n; i++)
		mark(l, p->states.at[i].value);
	for (int i = 0; i < p->values.n; i++) /* a name carried by one body is carried by all */
		if (p->values.at[i].op == OP_CARRY && l->live[i])
			for (int k = i; k < p->values.n; k++)
				if (p->values.at[k].op == OP_CARRY && p->values.at[k].name == p->values.at[i].name)
					mark(l, k);
}
