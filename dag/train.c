/* From the program that serves to the forward program of training: a step sees whole sequences, so an attention reads
 * the step's own keys and values in place of a cache, and every position is wanted. Values keep their numbers.
 *
 *   append -> rename seq to ctx;   pick -> its operand;   row -> seq;   sample is read by nothing */
#include <string.h>
#include "local.h"

static int *renamed(struct arena *a, const int *axes, int n, int from, int to)
{
	int *out = arena_array(a, int, n + 1);
	for (int i = 0; i < n; i++)
		out[i] = axes[i] == from ? to : axes[i];
	return out;
}

static void as_rename(struct arena *a, struct value *v, int from, int to)
{
	int *args = arena_array(a, int, 1);
	args[0] = v->args[0];
	v->op = OP_RENAME;
	v->args = args;
	v->n_args = 1;
	v->view.from = from;
	v->view.to = to;
}

struct program *training_program(struct arena *a, const struct program *p)
{
	struct program *out = arena_new(a, struct program);
	*out = *p;
	out->values.at = arena_array(a, struct value, p->values.n + 1);
	memcpy(out->values.at, p->values.at, (size_t)p->values.n * sizeof *p->values.at);
	for (int i = 0; i < p->values.n; i++) {
		struct value *v = &out->values.at[i];
		v->axes = renamed(a, v->axes, v->n_axes, p->row, p->seq);
		if (v->op == OP_APPEND)
			as_rename(a, v, v->append.from, v->append.to);
		else if (v->op == OP_PICK)
			as_rename(a, v, p->seq, p->seq);
	}
	memset(&out->outputs, 0, sizeof out->outputs);
	for (int i = 0; i < p->outputs.n; i++)
		if (p->values.at[p->outputs.at[i].value].type == TYPE_FLOAT)
			vec_push(a, &out->outputs, p->outputs.at[i]);
	return out;
}
