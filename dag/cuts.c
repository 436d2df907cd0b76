/* What crosses the cuts of a pipeline: what the loops carry, in messages from stage to stage. Everything else stays
 * where it was computed, and E0904 rejects a plan that needs it elsewhere. */
#include <string.h>
#include "lower.h"
#include "../support/round.h"

int lower_carried_by(const struct lower *w, int body)
{
	int n = 0;
	for (int i = 0; i < w->ph->carries.n; i++)
		n += w->ph->carries.at[i].body == body;
	return n;
}

/* ---- messages -------------------------------------------------------------------------------- */
/* Sends or receives a carried value. */
static void add_message(struct lower *w, const struct loop_carry *c, enum dr_collective_kind kind, const char *what)
{
	bool sends = kind == DR_SEND, on_gpu = w->s->target.image == DR_IMAGE_PTX;
	const struct phys *p = &w->carry[c->slot];
	const struct argument here = arg_phys(p), none = arg_number(number_const(0));
	int64_t row = p->row_stride * dtype_bytes(p->dtype), bytes = lower_rows_max(w, p) * row;
	struct instr i = {.kind = INSTR_COLLECTIVE,
	                  .op = lower_op_name(w, c->begin, "carried to the next stage"),
	                  .collective = {.src = sends ? here : none,
	                                 .dst = sends ? none : here,
	                                 .outer = number_const(1),
	                                 .block = number_times(p->rows, p->row_stride),
	                                 .dst_block = number_times(p->rows, p->row_stride)}};
	i.collective.index = lower_add_collective(w, kind, w->s->stage_group, p->dtype, p->rows, row, c->begin, what);
	int part = w->ph->values.at[c->begin].part;
	vec_push(w->arena, program_instrs(w->step, sends ? BLOCK_SEND : BLOCK_RECEIVE, part, 0), i);
	if (!on_gpu && bytes > w->s->comm_mailbox)
		w->s->comm_mailbox = round_up(bytes, 64);
}

/* Is there a cut after a layer of the loop? */
static bool is_cut(const struct lower *w, int part)
{
	for (int i = 0; i < w->step->blocks.n; i++)
		if (w->step->blocks.at[i].kind == BLOCK_SEND && w->step->blocks.at[i].part == part)
			return true;
	return false;
}

void pass_carried(struct lower *w)
{
	const struct program *p = w->l->program;
	for (int i = 0; i < w->ph->carries.n; i++) {
		const struct loop_carry *c = &w->ph->carries.at[i];
		if (c->body != p->loops.at[p->bodies.at[c->body].loop].first_body
		    || !is_cut(w, w->ph->values.at[c->begin].part))
			continue;
		const char *name = lower_source(w, c->begin)->name;
		const char *what = lower_carried_by(w, c->body) > 1 && name ? name : "the residual stream";
		add_message(w, c, DR_SEND, arena_printf(w->arena, "%s to the next stage", what));
		add_message(w, c, DR_RECV, arena_printf(w->arena, "%s from the stage before", what));
	}
}

/* ---- what stays ------------------------------------------------------------------------------ */
/* The stages on which `user` reads its operands. What a loop carries is read where the loop begins. */
static struct stage_range read_on(const struct lower *w, int user)
{
	struct stage_range on = w->l->parts.at[w->ph->values.at[user].part];
	return lower_is_op(w, user, OP_CARRY) ? (struct stage_range){on.begin, on.begin + 1} : on;
}

/* Does the operand reach its reader? Each reader of a param has it; OP_FINAL reads where the last value is passed to.
 */
static bool reaches(const struct lower *w, int operand, int user)
{
	struct stage_range has = w->l->parts.at[w->ph->values.at[operand].part], wants = read_on(w, user);
	if (lower_is_op(w, user, OP_FINAL) || (lower_is_param(w, operand) && !lower_is_op(w, user, OP_CARRY)))
		return true;
	return w->ph->values.at[operand].part == w->ph->values.at[user].part
	       || (has.begin <= wants.begin && wants.end <= has.end);
}

static void report_value(struct lower *w, int operand, int user)
{
	int stage = w->l->parts.at[w->ph->values.at[operand].part].begin;
	struct diag *d = diag_report(w->sink, DIAG_E0904, lower_source(w, user)->span,
	                             "a value from before `repeat` is used across a pipeline cut");
	diag_related(w->sink, d, lower_source(w, operand)->span, "it is computed on stage %d only", stage);
	diag_help(w->sink, d, "compute it inside `repeat`, or carry it");
}

/* Reports what the reader of an operand cannot get; false: nothing. */
static bool check_operand(struct lower *w, int operand, int user, bool *reported)
{
	if (operand < 0 || reaches(w, operand, user))
		return true;
	if (!reported[w->ph->values.at[operand].source])
		report_value(w, operand, user);
	reported[w->ph->values.at[operand].source] = true;
	return false;
}

static void check_output(struct lower *w, int output)
{
	struct stage_range on = w->l->parts.at[w->ph->values.at[output].part];
	if (on.end == w->s->stages.n)
		return;
	struct diag *d = diag_report(w->sink, DIAG_E0904, lower_source(w, output)->span,
	                             "an output from before `repeat` does not reach the last stage");
	diag_help(w->sink, d, "compute it after the loop, from what the loop carries");
	w->failed = true;
}

void check_cuts(struct lower *w)
{
	bool *reported = arena_array(w->arena, bool, w->l->program->values.n + 1);
	for (int i = 0; i < w->ph->values.n; i++)
		for (int k = 0; k < w->ph->values.at[i].n_args; k++)
			w->failed |= !check_operand(w, w->ph->values.at[i].args[k], i, reported);
	check_output(w, w->ph->token);
	check_output(w, w->ph->logits);
}
