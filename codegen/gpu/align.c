/* What all launches of a kernel guarantee about the alignment of its arguments: wide accesses depend on it. */
#include "kernels.h"

enum { MAX_ALIGN = 128 }; /* of an allocation, and more than any access asks for */

static int64_t common(int64_t a, int64_t b)
{
	while (b) {
		int64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* Bytes that a number is always a multiple of. */
static int64_t number_align(const struct number *n)
{
	switch (n->kind) {
	case NUMBER_CONST:
	case NUMBER_INDEX:          return n->value;
	case NUMBER_TOKENS:
	case NUMBER_ROWS:
	case NUMBER_INDEX_TOKENS:
	case NUMBER_INDEX_ROWS:     return n->div > 1 ? 1 : n->value;
	case NUMBER_PAGES:
	case NUMBER_EXCHANGE_ROUND:
	case NUMBER_CANDIDATES:     return 1;
	}
	internal_error("number of kind %d", (int)n->kind);
}

static int64_t argument_align(const struct schedule *s, const struct argument *a)
{
	int64_t align = common(MAX_ALIGN, number_align(&a->number));
	align = common(align, a->address.offset);
	for (int b = 0; b < s->n_bodies; b++) {
		if (a->address.space == DR_SPACE_LAYER)
			align = common(align, s->bodies[b].param_bytes);
		if (a->address.space == DR_SPACE_STATE)
			align = common(align, s->bodies[b].state_bytes);
	}
	return align;
}

void gpu_each_launch(const struct schedule *s, gpu_see_launch *see, void *context)
{
	for (int p = 0; p < s->programs.n; p++)
		for (int b = 0; b < s->programs.at[p].blocks.n; b++) {
			const struct step_block *block = &s->programs.at[p].blocks.at[b];
			for (int list = 0; list < block->n; list++)
				for (int i = 0; i < block->body[list].n; i++)
					if (block->body[list].at[i].kind == INSTR_LAUNCH)
						see(s, &block->body[list].at[i], context);
		}
}

static void see_alignments(const struct schedule *s, const struct instr *in, void *context)
{
	int64_t(*align)[MAX_OPERANDS] = context, *of_kernel = align[in->launch.kernel];
	for (int i = 0; i < in->launch.n_args && i < MAX_OPERANDS; i++)
		if (in->launch.args[i].kind == ARGUMENT_PLACED)
			of_kernel[i] = common(argument_align(s, &in->launch.args[i]), of_kernel[i]);
}

int64_t (*gpu_alignments(struct arena *arena, const struct schedule *s))[MAX_OPERANDS]
{
	int64_t(*align)[MAX_OPERANDS] = arena_alloc(arena, (size_t)s->kernels.n * sizeof *align);
	for (int k = 0; k < s->kernels.n; k++)
		for (int i = 0; i < MAX_OPERANDS; i++)
			align[k][i] = MAX_ALIGN;
	gpu_each_launch(s, see_alignments, align);
	return align;
}
