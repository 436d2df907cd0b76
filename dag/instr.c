/* Instructions: the memory that each reads and writes. The dependencies between instructions follow from it. */
#include "dag.h"

bool block_repeats(enum block_kind kind) { return kind == BLOCK_LAYERS || kind == BLOCK_LAYERS_BACK; }

void print_part(const struct program *p, int part, FILE *out)
{
	int loop = (part - 1) / 2;
	if (part_is_loop(part))
		fprintf(out, "layers of %s", p->axes.at[p->loops.at[loop].axis].name);
	else
		fputs(part == PART_EVERY   ? "every stage"
		      : loop == 0          ? "before the layers"
		      : p->loops.n == loop ? "after the layers"
		                           : "between layers",
		      out);
}

int block_instrs(const struct step_block *b)
{
	int n = 0;
	for (int i = 0; i < b->n; i++)
		n += b->body[i].n;
	return n;
}

struct instrs *program_instrs(const struct step_program *p, enum block_kind kind, int part, int body)
{
	for (int i = 0; i < p->blocks.n; i++)
		if (p->blocks.at[i].kind == kind && p->blocks.at[i].part == part)
			return &p->blocks.at[i].body[body];
	internal_error("%s has no block of kind %d in part %d", p->name, (int)kind, part);
}

static void add(struct memory_operands *o, struct argument *a, enum arg_direction direction)
{
	if (o->n == MAX_OPERANDS)
		internal_error("an instruction of more than %d operands", MAX_OPERANDS);
	o->at[o->n++] = (struct memory_operand){a, direction};
}

struct memory_operands instr_operands(const struct schedule *s, const struct instr *i)
{
	struct memory_operands o = {.n = 0};
	struct instr *in = (struct instr *)i; /* a caller that may modify the instruction may modify its operands */
	switch (i->kind) {
	case INSTR_LAUNCH:
		for (int a = 0; a < i->launch.n_args; a++)
			if (i->launch.args[a].kind != ARGUMENT_NUMBER)
				add(&o, &i->launch.args[a], kernel_arg(&s->kernels.at[i->launch.kernel], a, NULL).direction);
		break;
	case INSTR_COLLECTIVE:
		if (s->collectives.at[i->collective.index].kind != DR_RECV)
			add(&o, &in->collective.src, ARG_IN);
		if (s->collectives.at[i->collective.index].kind != DR_SEND)
			add(&o, &in->collective.dst, ARG_OUT);
		break;
	case INSTR_ROUNDS_BEGIN: add(&o, &in->rounds.start, ARG_IN); break;
	case INSTR_ROUNDS_END:   break;
	}
	return o;
}
