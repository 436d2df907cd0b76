/* Checks the schedule. The bytes that an instruction accesses, with its strides and the largest numbers of any step and
 * rank, stay inside one thing that is placed there: a param, a table, a step's input, a state, or a buffer alive at
 * that instruction. The ranks that run this block have it. No rank waits in a collective that another rank
 * of its group never enters: all ranks run one list, which branches only on the stage and on the number of rounds, and
 * neither differs within a group. Shares only the descriptions with lowering. */
#include "dag.h"
#include "../support/round.h"

/* The place of an instruction: program and block. body: loop body, or -1. */
struct at {
	const struct schedule *s;
	struct arena *arena;
	const char *op;
	const struct step_program *program;
	const struct step_block *block;
	int body, number;          /* number: index of the instruction in the program, from 1 */
	struct step_values values; /* the maximum over all steps and ranks */
};

static const char *wrong(const struct at *at, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const char *wrong(const struct at *at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const char *what = arena_vprintf(at->arena, fmt, args);
	va_end(args);
	return arena_printf(at->arena, "%s: %s", at->op, what);
}

/* ---- ranges ---------------------------------------------------------------------------------- */
struct range {
	int64_t begin, end;
};

static bool within(const struct range *r, int64_t begin, int64_t end) { return r->begin <= begin && end <= r->end; }

/* Is a param outside the loops on all stages that run the block? */
static bool has_param(const struct at *at, const struct placed_param *p)
{
	struct stage_range on = at->block->stages;
	return p->space == DR_SPACE_EVERY || (on.begin == p->stage && on.end == p->stage + 1);
}

/* Does one thing placed in the space contain these bytes? */
static bool in_params(const struct at *at, enum dr_space space, int64_t begin, int64_t end)
{
	for (int i = 0; i < at->s->params.n; i++) {
		const struct placed_param *p = &at->s->params.at[i];
		struct range r = {p->offset, p->offset + p->bytes};
		bool here = space == DR_SPACE_LAYER ? p->param->body == at->body : has_param(at, p);
		if (p->space == space && here && within(&r, begin, end))
			return true;
	}
	return false;
}

static bool in_tables(const struct at *at, int64_t begin, int64_t end)
{
	for (int i = 0; i < at->s->constants.n; i++) {
		const struct constant *c = &at->s->constants.at[i];
		if (within(&(struct range){c->offset, c->offset + 4 * c->n}, begin, end))
			return true;
	}
	for (int i = 0; i < at->s->maps.n; i++) {
		const struct expert_map *m = &at->s->maps.at[i];
		if (within(&(struct range){m->offset, m->offset + 4 * m->experts}, begin, end))
			return true;
	}
	return false;
}

static bool in_inputs(const struct at *at, int64_t begin, int64_t end)
{
	for (int i = 0; i < at->s->inputs.n; i++) {
		const struct step_input *in = &at->s->inputs.at[i];
		if (within(&(struct range){in->offset, in->offset + in->bytes}, begin, end))
			return true;
	}
	return false;
}

/* Do the stages that run the block hold a state outside the loops that a part of a step uses? */
static bool holds_outside(const struct at *at, int part)
{
	struct stage_range on = at->block->stages, held = at->s->parts.at[part];
	return held.begin <= on.begin && on.end <= held.end;
}

static bool in_states(const struct at *at, bool outside, int64_t begin, int64_t end)
{
	for (int i = 0; i < at->s->states.n; i++) {
		const struct placed_state *p = &at->s->states.at[i];
		bool here = outside ? p->body < 0 && holds_outside(at, p->part) : p->body == at->body;
		if (here && within(&(struct range){p->offset, p->offset + p->bytes}, begin, end))
			return true;
	}
	return false;
}

/* Does a buffer that is alive now contain these bytes? */
static bool in_buffers(const struct at *at, int64_t begin, int64_t end)
{
	for (int i = 0; i < at->program->live.n; i++) {
		const struct live *b = &at->program->live.at[i];
		if (b->first <= at->number && at->number <= b->last
		    && within(&(struct range){b->offset, b->offset + b->bytes}, begin, end))
			return true;
	}
	return false;
}

/* Bytes of a space on each stage that runs this block. */
static int64_t common_bytes(const struct at *at, enum dr_space space)
{
	int64_t least = INT64_MAX;
	for (int i = 0; i < at->s->stages.n; i++) {
		int64_t bytes = at->s->stages.at[i].bytes[space];
		if (stages_have(at->block->stages, i) && bytes < least)
			least = bytes;
	}
	return least;
}

/* Do the ranks that run this block have the space? */
static bool has_space(const struct at *at, enum dr_space space)
{
	return (space != DR_SPACE_LAYER && space != DR_SPACE_STATE) || block_repeats(at->block->kind);
}

static int64_t number_max(const struct at *at, const struct number *n) { return step_number(n, &at->values); }

/* The range that `bytes` from this address on may cover, over all ranks and steps. A constant number is part of the
 * address. */
static struct range reach(const struct at *at, const struct argument *a, int64_t bytes)
{
	int64_t more = number_max(at, &a->number);
	int64_t begin = a->address.offset + (a->number.kind == NUMBER_CONST ? more : 0);
	return (struct range){begin, a->address.offset + more + bytes};
}

/* Checks an access of up to `bytes` from the address on. ARG_INDEXED: indices select within the thing that starts
 * there. */
static const char *check_address(const struct at *at, const struct argument *a, int64_t bytes, bool writes)
{
	if (a->kind != ARGUMENT_PLACED)
		return wrong(at, "a buffer that nobody placed");
	enum dr_space space = a->address.space;
	struct range r = reach(at, a, bytes > 0 ? bytes : 1);
	int64_t size = space == DR_SPACE_LAYER && at->body >= 0   ? at->s->bodies[at->body].param_bytes
	               : space == DR_SPACE_STATE && at->body >= 0 ? at->s->bodies[at->body].state_bytes
	               : space < DR_SPACES                        ? common_bytes(at, space)
	                                                          : 0;
	bool placed = true;
	if (space >= DR_SPACES || !has_space(at, space))
		return wrong(at, "an address in %s, which a rank does not have there", space_name(space));
	if (r.begin < 0 || r.end > size)
		return wrong(at, "bytes %lld to %lld of %s, which has %lld", (long long)r.begin, (long long)r.end,
		             space_name(space), (long long)size);
	switch (space) {
	case DR_SPACE_LAYER:
	case DR_SPACE_OUTSIDE:
	case DR_SPACE_EVERY:         placed = in_params(at, space, r.begin, r.end); break;
	case DR_SPACE_TABLE:         placed = in_tables(at, r.begin, r.end); break;
	case DR_SPACE_INPUT:         placed = in_inputs(at, r.begin, r.end); break;
	case DR_SPACE_STATE:         placed = in_states(at, false, r.begin, r.end); break;
	case DR_SPACE_STATE_OUTSIDE: placed = in_states(at, true, r.begin, r.end); break;
	case DR_SPACE_ACT:           placed = in_buffers(at, r.begin, r.end); break;
	default:                     break;
	}
	if (!placed)
		return wrong(at, "bytes %lld to %lld of %s, where nothing of that extent is placed", (long long)r.begin,
		             (long long)r.end, space_name(space));
	if (writes && space != DR_SPACE_ACT && space != DR_SPACE_STATE && space != DR_SPACE_STATE_OUTSIDE
	    && space != DR_SPACE_WORKSPACE)
		return wrong(at, "writes to %s", space_name(space));
	return NULL;
}

/* ---- instructions ---------------------------------------------------------------------------- */
static const char *check_launch(const struct at *at, const struct instr *i)
{
	const struct kernel *k = &at->s->kernels.at[i->launch.kernel];
	if (i->launch.n_args != kernel_args(k))
		return wrong(at, "%s is given %d arguments", k->name, i->launch.n_args);
	int64_t *values = arena_array(at->arena, int64_t, i->launch.n_args + 1);
	for (int a = 0; a < i->launch.n_args; a++) {
		const struct argument *arg = &i->launch.args[a];
		if (arg->number.div < 1)
			return wrong(at, "%s divides by %lld", k->name, (long long)arg->number.div);
		values[a] = arg->kind == ARGUMENT_NUMBER ? number_max(at, &arg->number) : 0;
	}
	const char *bad = NULL;
	for (int a = 0; a < i->launch.n_args && !bad; a++) {
		struct kernel_arg known = kernel_arg(k, a, values);
		bool is_number = i->launch.args[a].kind == ARGUMENT_NUMBER;
		if ((known.direction == ARG_NUMBER) != is_number)
			bad = wrong(at, "%s of %s is %s", known.name, k->name, is_number ? "a number" : "an address");
		else if (!is_number)
			bad = check_address(at, &i->launch.args[a], known.reach, known.direction != ARG_IN);
	}
	return bad;
}

/* Bytes that a collective reads and writes on a rank (runtime/abi.h, enum dr_collective_kind). */
static struct moved {
	int64_t from, to;
} moved(const struct at *at, const struct instr *i)
{
	const struct collective *c = &at->s->collectives.at[i->collective.index];
	int64_t n = at->s->groups.at[c->group].size;
	int64_t bytes = number_max(at, &i->collective.outer) * number_max(at, &i->collective.block) * dtype_bytes(c->dtype);
	bool splits = c->kind == DR_REDUCE_SCATTER || c->kind == DR_ALL_TO_ALL;
	bool joins = c->kind == DR_ALL_GATHER || c->kind == DR_ALL_TO_ALL;
	return (struct moved){splits ? n * bytes : bytes, joins ? n * bytes : bytes};
}

static bool group_has(const struct group *g, int atom)
{
	for (int i = 0; i < g->n; i++)
		if (g->atom[i] == atom)
			return true;
	return false;
}

/* Do all ranks of the group enter a collective here? `rounds`: the enclosing loop over rounds, or NULL. */
static const char *check_group(const struct at *at, int group, const struct instr *rounds)
{
	const struct schedule *s = at->s;
	if (group < 0 || group >= s->groups.n)
		return wrong(at, "a group that does not exist");
	for (int i = 0; i < s->groups.at[group].n; i++) {
		int atom = s->groups.at[group].atom[i];
		if (s->stages.n > 1 && group_has(&s->groups.at[s->stage_group], atom))
			return wrong(at, "a collective over %s, which ranks of one stage only enter", s->atoms.at[atom].name);
		if (rounds && rounds->rounds.group >= 0 && !group_has(&s->groups.at[rounds->rounds.group], atom)
		    && group_has(rounds->rounds.tokens, atom))
			return wrong(at, "a collective over %s, whose ranks count other rounds", s->atoms.at[atom].name);
	}
	return NULL;
}

static bool is_message(const struct schedule *s, const struct instr *i)
{
	return i->kind == INSTR_COLLECTIVE && s->collectives.at[i->collective.index].kind > DR_ALL_TO_ALL;
}

static const char *check_message(const struct at *at, const struct instr *i)
{
	const struct collective *c = &at->s->collectives.at[i->collective.index];
	bool sends = c->kind == DR_SEND;
	if (c->group != at->s->stage_group || at->s->stages.n == 1)
		return wrong(at, "a message between ranks that are not stages");
	if (at->block->kind != (sends ? BLOCK_SEND : BLOCK_RECEIVE))
		return wrong(at, "a stage without a %s neighbour %s", sends ? "next" : "previous",
		             sends ? "sends" : "receives");
	int64_t bytes = moved(at, i).from;
	const char *bad = sends ? check_address(at, &i->collective.src, bytes, false)
	                        : check_address(at, &i->collective.dst, bytes, true);
	bool fits = at->s->target.image == DR_IMAGE_PTX || bytes <= at->s->comm_mailbox;
	return bad || fits ? bad : wrong(at, "a message larger than the mailbox");
}

static bool same_number(const struct number *a, const struct number *b)
{
	return a->kind == b->kind && a->value == b->value && a->div == b->div && a->group == b->group;
}

/* The next message of the instructions from *i on, or NULL. */
static const struct instr *next_message(const struct schedule *s, const struct instrs *in, int *i)
{
	while (*i < in->n)
		if (is_message(s, &in->at[(*i)++]))
			return &in->at[*i - 1];
	return NULL;
}

/* The only block of messages of a kind that a stage runs, or NULL. */
static const struct step_block *messages_of(const struct step_program *p, enum block_kind kind, int stage)
{
	const struct step_block *found = NULL;
	int n = 0;
	for (int i = 0; i < p->blocks.n; i++) {
		if (p->blocks.at[i].kind != kind || !stages_have(p->blocks.at[i].stages, stage))
			continue;
		found = &p->blocks.at[i];
		n++;
	}
	return n == 1 ? found : NULL;
}

/* Checks that each message that a stage sends is the one that the next stage receives. */
static const char *check_cut(const struct schedule *s, const struct step_program *p, int stage, struct arena *arena)
{
	const struct step_block *from = messages_of(p, BLOCK_SEND, stage), *to = messages_of(p, BLOCK_RECEIVE, stage + 1);
	if (!from || !to || from->part != to->part)
		return arena_printf(arena, "%s: stages %d and %d do not pass what one loop carries", p->name, stage, stage + 1);
	const struct instrs *out = from->body, *in = to->body;
	for (int i = 0, k = 0;;) {
		const struct instr *a = next_message(s, out, &i), *b = next_message(s, in, &k);
		if (!a && !b)
			return NULL;
		if (!a || !b)
			return arena_printf(arena, "%s: stages send and receive different numbers of messages", p->name);
		if (s->collectives.at[a->collective.index].dtype != s->collectives.at[b->collective.index].dtype
		    || !same_number(&a->collective.outer, &b->collective.outer)
		    || !same_number(&a->collective.block, &b->collective.block))
			return arena_printf(arena, "%s: a stage receives another message than was sent", s->op_names.at[b->op]);
	}
}

static const char *check_messages(const struct schedule *s, const struct step_program *p, struct arena *arena)
{
	const char *bad = NULL;
	for (int i = 0; i + 1 < s->stages.n && !bad; i++)
		bad = check_cut(s, p, i, arena);
	return bad;
}

static const char *check_instr(const struct at *at, const struct instr *i, const struct instr *rounds)
{
	const struct schedule *s = at->s;
	const char *bad = NULL;
	switch (i->kind) {
	case INSTR_LAUNCH: return check_launch(at, i);
	case INSTR_ROUNDS_BEGIN:
		if (rounds)
			return wrong(at, "rounds in rounds");
		bad = i->rounds.group < 0 ? NULL : check_group(at, i->rounds.group, NULL);
		return bad ? bad
		           : check_address(at, &i->rounds.start, (int64_t)(i->rounds.dests * i->rounds.local + 1) * 4, false);
	case INSTR_ROUNDS_END: return rounds ? NULL : wrong(at, "the end of rounds that have no begin");
	case INSTR_COLLECTIVE:
		if (is_message(s, i))
			return check_message(at, i);
		bad = check_group(at, s->collectives.at[i->collective.index].group, rounds);
		if (!bad)
			bad = check_address(at, &i->collective.src, moved(at, i).from, false);
		return bad ? bad : check_address(at, &i->collective.dst, moved(at, i).to, true);
	}
	return wrong(at, "an instruction of no kind");
}

/* Checks that the parts of a param on all ranks, counting replicas once, have all elements of the param: none is lost
 * or stored twice. Only the last rank's part may be padded. */
static const char *check_param(const struct schedule *s, const struct placed_param *p, struct arena *arena)
{
	for (int i = 0; i < p->n_axes; i++) {
		int64_t ways = p->axes[i].group < 0 ? 1 : s->groups.at[p->axes[i].group].size;
		if (p->axes[i].local != divide_up(p->axes[i].extent, ways)
		    || p->axes[i].local * (ways - 1) >= p->axes[i].extent)
			return arena_printf(arena, "param %s: axis %s is not conserved", p->param->path, p->axes[i].name);
	}
	return NULL;
}

/* Checks that things placed in one space do not overlap. */
static const char *check_apart(const struct schedule *s, struct arena *arena)
{
	for (int i = 0; i < s->params.n; i++)
		for (int k = 0; k < i; k++) {
			const struct placed_param *a = &s->params.at[i], *b = &s->params.at[k];
			bool same = a->space == b->space && a->stage == b->stage
			            && (a->space != DR_SPACE_LAYER || a->param->body == b->param->body);
			if (same && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes)
				return arena_printf(arena, "params %s and %s overlap", a->param->path, b->param->path);
		}
	return NULL;
}

/* at: place of the instruction before them. */
static const char *check_instrs(struct at *at, const struct instrs *instrs)
{
	const char *bad = NULL;
	const struct instr *rounds = NULL;
	for (int i = 0; i < instrs->n && !bad; i++) {
		const struct instr *in = &instrs->at[i];
		at->op = at->s->op_names.at[in->op];
		at->number++;
		bad = check_instr(at, in, rounds);
		if (in->kind == INSTR_ROUNDS_BEGIN || in->kind == INSTR_ROUNDS_END)
			rounds = in->kind == INSTR_ROUNDS_BEGIN ? in : NULL;
	}
	return bad || !rounds ? bad : wrong(at, "rounds without an end");
}

static const char *check_program(const struct schedule *s, const struct step_program *p, struct arena *arena)
{
	struct at at = {.s = s, .arena = arena, .program = p, .values = step_values_max(s, p, arena)};
	const char *bad = NULL;
	for (int i = 0; i < p->blocks.n; i++)
		for (int k = 0; k < p->blocks.at[i].n && !bad; k++) {
			at.block = &p->blocks.at[i];
			at.body = block_repeats(at.block->kind) ? at.block->first_body + k : -1;
			bad = check_instrs(&at, &at.block->body[k]);
		}
	return bad;
}

const char *schedule_check(const struct schedule *s, struct arena *arena)
{
	const char *bad = check_apart(s, arena);
	if (s->pipeline.stages != s->stages.n || !pipeline_fits(&s->pipeline))
		return "a pipeline that its stages cannot run";
	for (int i = 0; i < s->params.n && !bad; i++)
		bad = check_param(s, &s->params.at[i], arena);
	for (int i = 0; i < s->programs.n && !bad; i++) {
		bad = check_program(s, &s->programs.at[i], arena);
		bad = bad ? bad : check_messages(s, &s->programs.at[i], arena);
	}
	return bad ? bad : queues_check(s, arena);
}
