/* Prints the schedule (--emit=dag-sched). */
#include "dag.h"

const char *space_name(enum dr_space space)
{
	static const char *const names[DR_SPACES] = {"layer", "outside", "every", "state",     "state outside",
	                                             "act",   "input",   "table", "workspace", "comm"};
	return space < DR_SPACES ? names[space] : "no space";
}

static const char *const block_text[BLOCK_KINDS] = {"", "", ", backwards", ", received", ", sent"};

static void print_number(const struct number *n, FILE *out)
{
	static const char *const of_kind[] = {[NUMBER_CONST] = "",
	                                      [NUMBER_TOKENS] = "T*",
	                                      [NUMBER_ROWS] = "R*",
	                                      [NUMBER_PAGES] = "P*",
	                                      [NUMBER_INDEX] = "index*",
	                                      [NUMBER_INDEX_TOKENS] = "index*T*",
	                                      [NUMBER_INDEX_ROWS] = "index*R*",
	                                      [NUMBER_EXCHANGE_ROUND] = "round",
	                                      [NUMBER_CANDIDATES] = "R*candidates*"};
	if (n->kind == NUMBER_EXCHANGE_ROUND)
		fprintf(out, "round");
	else
		fprintf(out, "%s%lld", of_kind[n->kind], (long long)n->value);
	if (n->kind != NUMBER_CONST && n->div > 1)
		fprintf(out, "/%lld", (long long)n->div);
	if (n->kind == NUMBER_INDEX || n->kind == NUMBER_INDEX_TOKENS || n->kind == NUMBER_INDEX_ROWS)
		fprintf(out, "@group%d", n->group);
}

static void print_argument(const struct argument *a, FILE *out)
{
	if (a->kind == ARGUMENT_NUMBER) {
		print_number(&a->number, out);
		return;
	}
	fprintf(out, "%s+%lld", space_name(a->address.space), (long long)a->address.offset);
	if (a->number.kind == NUMBER_CONST && !a->number.value)
		return;
	fprintf(out, "+");
	print_number(&a->number, out);
}

static void print_waits(const int wait[QUEUES], const char *words, FILE *out)
{
	for (int q = 0, n = 0; q < QUEUES; q++)
		if (wait[q])
			fprintf(out, "%s%s %d", n++ ? ", " : words, queue_name((enum queue)q), wait[q]);
}

/* " on reductions after compute 7 in later rounds after experts 9": its queue, if that is not compute, and the
 * instructions that it waits for, which count from 1 in each list. Ends the line with the name of the operator. */
static void end_instr(const struct schedule *s, const struct instr *i, FILE *out)
{
	if (i->queue != QUEUE_COMPUTE)
		fprintf(out, " on %s", queue_name(i->queue));
	print_waits(i->wait, " after ", out);
	print_waits(i->again, " in later rounds after ", out);
	fprintf(out, "  // %s\n", s->op_names.at[i->op]);
}

static void print_launch(const struct schedule *s, const struct instr *i, FILE *out)
{
	fprintf(out, "  %s(", s->kernels.at[i->launch.kernel].name);
	for (int k = 0; k < i->launch.n_args; k++) {
		fprintf(out, "%s", k ? ", " : "");
		print_argument(&i->launch.args[k], out);
	}
	fprintf(out, ")");
	end_instr(s, i, out);
}

static void print_collective(const struct schedule *s, const struct instr *i, FILE *out)
{
	enum dr_collective_kind kind = s->collectives.at[i->collective.index].kind;
	fprintf(out, "  %s(", kind == DR_SEND ? "send" : kind == DR_RECV ? "recv" : "collective");
	if (kind != DR_RECV)
		print_argument(&i->collective.src, out);
	if (kind != DR_SEND && kind != DR_RECV)
		fprintf(out, " -> ");
	if (kind != DR_SEND)
		print_argument(&i->collective.dst, out);
	fprintf(out, ", outer ");
	print_number(&i->collective.outer, out);
	fprintf(out, ", block ");
	print_number(&i->collective.block, out);
	fprintf(out, ")");
	end_instr(s, i, out);
}

static void print_instr(const struct schedule *s, const struct instr *i, FILE *out)
{
	switch (i->kind) {
	case INSTR_LAUNCH:     print_launch(s, i, out); break;
	case INSTR_COLLECTIVE: print_collective(s, i, out); break;
	case INSTR_ROUNDS_BEGIN:
		fprintf(out, i->rounds.group < 0 ? "  one round of %lld" : "  rounds of %lld", (long long)i->rounds.capacity);
		end_instr(s, i, out);
		break;
	case INSTR_ROUNDS_END: fprintf(out, "  end of rounds\n"); break;
	}
}

static void print_block(const struct schedule *s, const struct step_program *p, const struct step_block *b, FILE *out)
{
	for (int body = 0; body < b->n; body++) {
		fprintf(out, "%s, ", p->name);
		print_part(s->deploy->program, b->part, out);
		fputs(block_text[b->kind], out);
		if (block_repeats(b->kind))
			fprintf(out, " (%lld of them)", (long long)s->bodies[b->first_body + body].layers);
		fprintf(out, ", stages %d..%d\n", b->stages.begin, b->stages.end - 1);
		for (int i = 0; i < b->body[body].n; i++)
			print_instr(s, &b->body[body].at[i], out);
	}
}

static void print_memory(const struct schedule *s, FILE *out)
{
	for (int i = 0; i < s->stages.n; i++) {
		const struct stage *st = &s->stages.at[i];
		fprintf(out, "stage %d: layers %lld..%lld", i, (long long)st->layer_begin, (long long)st->layer_end);
		for (int k = 0; k < DR_SPACES; k++)
			fprintf(out, ", %s %lld", space_name((enum dr_space)k), (long long)st->bytes[k]);
		fprintf(out, "\n");
	}
}

void schedule_print(const struct schedule *s, FILE *out)
{
	fprintf(out, "ranks %lld, tokens in steps of %lld:", (long long)s->ranks, (long long)s->token_multiple);
	for (int i = 0; i < s->programs.n; i++)
		fprintf(out, "%s %s %lld", i ? "," : "", s->programs.at[i].name, (long long)s->programs.at[i].max_tokens);
	for (int i = 0; i < s->programs.n; i++)
		fprintf(out, "%s %lld", i ? "," : "; rows", (long long)s->programs.at[i].max_rows);
	fprintf(out, "; pages %lld of %lld", (long long)s->pool[0].pages, (long long)s->page);
	for (int i = 1; i < s->n_pools; i++)
		fprintf(out, ", %lld for windows of %lld", (long long)s->pool[i].pages, (long long)s->pool[i].window);
	fprintf(out, "\n");
	print_memory(s, out);
	for (int i = 0; i < s->groups.n; i++) {
		fprintf(out, "group%d of %lld:", i, (long long)s->groups.at[i].size);
		for (int k = 0; k < s->groups.at[i].n; k++)
			fprintf(out, " %s", s->atoms.at[s->groups.at[i].atom[k]].name);
		fprintf(out, "\n");
	}
	for (int i = 0; i < s->params.n; i++) {
		const struct placed_param *p = &s->params.at[i];
		fprintf(out, "param %s: %s+%lld, %lld bytes", p->param->path, space_name(p->space), (long long)p->offset,
		        (long long)p->bytes);
		if (p->pack.n_tile)
			fprintf(out, ", %stiles of %d x %d", p->pack.swizzled ? "swizzled " : "", p->pack.n_tile, p->pack.k_run);
		fprintf(out, "\n");
	}
	for (int i = 0; i < s->programs.n; i++)
		for (int k = 0; k < s->programs.at[i].blocks.n; k++)
			print_block(s, &s->programs.at[i], &s->programs.at[i].blocks.at[k], out);
}
