/* What crosses the cuts of a pipeline: what the loops carry, in messages from stage to stage. Everything else stays
 * where it was computed, and E0904 rejects a plan that needs it elsewhere. */
#include <stdlib.h>
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

/* Does an operand come to its reader's stage by itself? Each reader of a param has it; OP_FINAL reads what is passed.
 */
static bool follows(const struct lower *w, int operand, int user)
{
	return lower_is_op(w, user, OP_FINAL) || w->ph->values.at[operand].part == PART_EVERY
	       || (lower_is_param(w, operand) && !lower_is_op(w, user, OP_CARRY));
}

/* Does the operand reach its reader? */
static bool reaches(const struct lower *w, int operand, int user)
{
	struct stage_range has = w->l->parts.at[w->ph->values.at[operand].part], wants = read_on(w, user);
	return follows(w, operand, user) || w->ph->values.at[operand].part == w->ph->values.at[user].part
	       || (has.begin <= wants.begin && wants.end <= has.end);
}

/* The cache that a value is or views, or -1. */
static int cache_of(const struct lower *w, int local)
{
	while (lower_is_op(w, local, OP_RENAME) || lower_is_op(w, local, OP_PIECE)
	       || local_is_move(&w->ph->values.at[local]))
		local = w->ph->values.at[local].args[0];
	return lower_is_op(w, local, OP_APPEND) ? local : -1;
}

/* ---- other cuts ------------------------------------------------------------------------------ */
/* Layers that must be on one stage: those in [from, to]. */
struct together {
	int64_t from, to;
};

/* The layer whose stage a part outside the loops is on. */
static int64_t layer_of_outside(const struct program *p, int part)
{
	int next = (part - part_outside(0)) / 2;
	return next < p->loops.n ? p->loops.at[next].first_turn : p->body_of.n - 1;
}

/* The layers from where the operand is computed to the last that reads it. */
static struct together reach_of(const struct lower *w, int operand, int user)
{
	const struct program *p = w->l->program;
	int part = w->ph->values.at[user].part;
	int64_t from = layer_of_outside(p, w->ph->values.at[operand].part), to = from;
	if (!part_is_loop(part))
		to = layer_of_outside(p, part);
	else {
		const struct loop *loop = &p->loops.at[(part - part_loop(0)) / 2];
		to = loop->first_turn + (lower_is_op(w, user, OP_CARRY) ? 0 : loop->turns - 1);
	}
	return (struct together){from, to};
}

/* Marks the layers in front of which no cut may be. */
static bool *closed_layers(struct lower *w)
{
	bool *closed = arena_array(w->arena, bool, w->l->program->body_of.n + 1);
	for (int i = 0; i < w->ph->values.n; i++)
		for (int k = 0; k < w->ph->values.at[i].n_args; k++) {
			int operand = w->ph->values.at[i].args[k];
			if (operand < 0 || part_is_loop(w->ph->values.at[operand].part) || follows(w, operand, i))
				continue;
			struct together t = reach_of(w, operand, i);
			for (int64_t layer = t.from + 1; layer <= t.to; layer++)
				closed[layer] = true;
		}
	return closed;
}

/* "10, 22": as many stages, about as even as the layers where a cut may be allow; NULL: there are too few. */
static const char *open_stages(struct lower *w)
{
	const bool *closed = closed_layers(w);
	int64_t layers = w->l->program->body_of.n, stages = w->s->stages.n, begin = 0, open = 0;
	struct text out = {.arena = w->arena};
	for (int64_t i = 1; i < layers; i++)
		open += !closed[i];
	for (int64_t k = 1; k < stages; k++) {
		int64_t best = 0, even = k * layers / stages, left = open;
		for (int64_t i = begin + 1; i < layers; i++) {
			if (closed[i])
				continue;
			bool nearer = !best || llabs(i - even) < llabs(best - even);
			best = left >= stages - k && nearer ? i : best;
			left--;
		}
		if (!best)
			return NULL;
		for (int64_t i = begin + 1; i <= best; i++)
			open -= !closed[i];
		text_add(&out, "%lld, ", (long long)(best - begin));
		begin = best;
	}
	text_add(&out, "%lld", (long long)(layers - begin));
	return stages <= MAX_LISTED ? out.at : NULL;
}

/* ---- reports --------------------------------------------------------------------------------- */
static void report_value(struct lower *w, int operand, int user)
{
	int stage = w->l->parts.at[w->ph->values.at[operand].part].begin;
	struct diag *d = diag_report(w->sink, DIAG_E0904, lower_source(w, user)->span,
	                             "a value from before `repeat` is used across a pipeline cut");
	diag_related(w->sink, d, lower_source(w, operand)->span, "it is computed on stage %d only", stage);
	diag_help(w->sink, d, "compute it inside `repeat`, or carry it");
}

/* A cache is where its state is appended to, and does not move. */
static void report_cache(struct lower *w, int cache, int user)
{
	const struct state *state = &w->l->program->states.at[lower_source(w, cache)->append.state];
	int stage = w->l->parts.at[w->ph->values.at[cache].part].begin;
	struct stage_range on = read_on(w, user);
	const char *where = on.end - on.begin == 1
	                        ? arena_printf(w->arena, "stage %d reads it", on.begin)
	                        : arena_printf(w->arena, "stages %d to %d read it", on.begin, on.end - 1);
	struct diag *d = diag_report(w->sink, DIAG_E0904, lower_source(w, user)->span, "cache `%s` is on stage %d, and %s",
	                             state->name, stage, where);
	diag_related(w->sink, d, state->span, "it is appended to here, on stage %d", stage);
	const char *stages = open_stages(w);
	if (!stages || !offer_stages(w->l, d, stages, " keeps each cache and its readers on one stage"))
		diag_help(w->sink, d,
		          "layers that read one cache are on its stage: take fewer stages, or give each layer a cache");
}

/* Reports what the reader of an operand cannot get; false: nothing. */
static bool check_operand(struct lower *w, int operand, int user, bool *reported)
{
	if (operand < 0 || reaches(w, operand, user))
		return true;
	int source = w->ph->values.at[operand].source, cache = cache_of(w, operand);
	source = cache >= 0 ? w->ph->values.at[cache].source : source;
	if (!reported[source] && cache >= 0)
		report_cache(w, cache, user);
	else if (!reported[source])
		report_value(w, operand, user);
	reported[source] = true;
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
