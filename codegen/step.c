/* The step programs, dr_step_prefill and dr_step_decode: a straight line of launches and collectives, with two kinds of
 * loops: over layers, and over the rounds of an expert exchange. */
#include "module.h"
#include <stddef.h>

struct step_emitter {
	struct codegen *g;
	LLVMValueRef frame;
	LLVMValueRef base[DR_SPACES], group_index, tokens, rows, candidates,
		pages;                 /* read from the frame once; numbers are i64 */
	LLVMValueRef args;         /* u64[max arguments of a launch] */
	LLVMValueRef layer, round; /* i64; NULL outside their loops */
	LLVMValueRef layer_at[2];  /* offsets of the layer's params and pages: i64 in memory */
	struct ir_loop rounds;
};

/* ---- small pieces ---------------------------------------------------------------------------- */
static LLVMValueRef field(const struct step_emitter *e, size_t offset)
{
	return ir_offset(e->g, e->frame, ir_i64(e->g, (int64_t)offset));
}

static LLVMValueRef read_i32(const struct step_emitter *e, size_t offset)
{
	return ir_load_i32(e->g, field(e, offset), ir_i64(e->g, 0));
}

/* Calls a function of the runtime, and declares it at its first use. */
static LLVMValueRef call_runtime(const struct step_emitter *e, const char *name, LLVMTypeRef result, LLVMValueRef *args,
                                 int n)
{
	enum { MAX_ARGUMENTS = 8 };
	LLVMTypeRef types[MAX_ARGUMENTS];
	if (n > MAX_ARGUMENTS)
		internal_error("%d arguments for %s", n, name);
	for (int i = 0; i < n; i++)
		types[i] = LLVMTypeOf(args[i]);
	LLVMValueRef f = LLVMGetNamedFunction(e->g->module, name);
	if (!f)
		f = LLVMAddFunction(e->g->module, name, LLVMFunctionType(result, types, (unsigned)n, false));
	return ir_call(e->g, f, args, n);
}

/* ---- operands -------------------------------------------------------------------------------- */
/* count * value / div; exact, or rounded down */
static LLVMValueRef scaled(const struct step_emitter *e, LLVMValueRef count, const struct number *n)
{
	struct codegen *g = e->g;
	return ir_div(g, ir_mul(g, count, ir_i64(g, n->value)), ir_i64(g, n->div ? n->div : 1));
}

/* This rank's index in a group; 0 in the group without atoms. */
static LLVMValueRef rank_index(const struct step_emitter *e, int group)
{
	return group < 0 ? ir_i64(e->g, 0) : ir_load_i32(e->g, e->group_index, ir_i64(e->g, group));
}

static LLVMValueRef number(const struct step_emitter *e, const struct number *n)
{
	struct codegen *g = e->g;
	switch (n->kind) {
	case NUMBER_CONST:        return ir_i64(g, n->value);
	case NUMBER_TOKENS:       return scaled(e, e->tokens, n);
	case NUMBER_ROWS:         return scaled(e, e->rows, n);
	case NUMBER_CANDIDATES:   return ir_mul(g, scaled(e, e->rows, n), e->candidates);
	case NUMBER_INDEX:        return ir_mul(g, rank_index(e, n->group), ir_i64(g, n->value));
	case NUMBER_PAGES:        return scaled(e, e->pages, n);
	case NUMBER_INDEX_TOKENS: return ir_mul(g, rank_index(e, n->group), scaled(e, e->tokens, n));
	case NUMBER_INDEX_ROWS:   return ir_mul(g, rank_index(e, n->group), scaled(e, e->rows, n));
	case NUMBER_EXCHANGE_ROUND:
		if (!e->round)
			internal_error("a round's number outside rounds");
		return e->round;
	}
	internal_error("number of kind %d", (int)n->kind);
}

/* The constant part of the number is added to the offset. */
static LLVMValueRef address(const struct step_emitter *e, const struct address *a, const struct number *more)
{
	struct codegen *g = e->g;
	bool constant = more->kind == NUMBER_CONST;
	LLVMValueRef at = ir_add(g, e->base[a->space], ir_i64(g, a->offset + (constant ? more->value : 0)));
	if (!constant)
		at = ir_add(g, at, number(e, more));
	if (a->space != DR_SPACE_LAYER && a->space != DR_SPACE_STATE)
		return at;
	if (!e->layer)
		internal_error("a layer's address outside the layers");
	return ir_add(g, at, ir_load(g, g->i64, e->layer_at[a->space == DR_SPACE_STATE], 8));
}

static LLVMValueRef argument(const struct step_emitter *e, const struct argument *a)
{
	switch (a->kind) {
	case ARGUMENT_NUMBER: return number(e, &a->number);
	case ARGUMENT_PLACED: return address(e, &a->address, &a->number);
	case ARGUMENT_BUFFER: internal_error("a buffer that nobody placed");
	}
	internal_error("argument of kind %d", (int)a->kind);
}

/* ---- instructions ---------------------------------------------------------------------------- */
static void emit_launch(const struct step_emitter *e, const struct instr *in)
{
	struct codegen *g = e->g;
	for (int i = 0; i < in->launch.n_args; i++)
		ir_store(g, argument(e, &in->launch.args[i]), ir_offset(g, e->args, ir_i64(g, (int64_t)sizeof(uint64_t) * i)),
		         8);
	LLVMValueRef args[] = {e->frame, ir_i32(g, in->launch.kernel), ir_i32(g, in->op), e->args,
	                       ir_i32(g, in->launch.n_args)};
	call_runtime(e, "dr_launch", g->nothing, args, 5);
}

static void call_collective(const struct step_emitter *e, int collective, int op, LLVMValueRef src, LLVMValueRef dst,
                            const struct number *outer, const struct number *block, const struct number *dst_block)
{
	struct codegen *g = e->g;
	LLVMValueRef args[] = {e->frame, ir_i32(g, collective), ir_i32(g, op),    src,
	                       dst,      number(e, outer),      number(e, block), number(e, dst_block)};
	call_runtime(e, "dr_collective", g->nothing, args, 8);
}

static void emit_collective(const struct step_emitter *e, const struct instr *in)
{
	LLVMValueRef src = argument(e, &in->collective.src), dst = argument(e, &in->collective.dst);
	call_collective(e, in->collective.index, in->op, src, dst, &in->collective.outer, &in->collective.block,
	                &in->collective.dst_block);
}

static LLVMValueRef count_rounds(const struct step_emitter *e, const struct instr *in)
{
	struct codegen *g = e->g;
	if (in->rounds.group < 0)
		return ir_i64(g, 1);
	LLVMValueRef start = argument(e, &in->rounds.start);
	LLVMValueRef args[] = {e->frame,
	                       ir_i32(g, in->rounds.group),
	                       ir_i32(g, in->op),
	                       start,
	                       ir_i32(g, in->rounds.dests),
	                       ir_i32(g, in->rounds.local),
	                       ir_i64(g, in->rounds.capacity)};
	return ir_wide(g, call_runtime(e, "dr_rounds", g->i32, args, 7));
}

static void rounds_begin(struct step_emitter *e, const struct instr *in)
{
	struct codegen *g = e->g;
	if (e->round)
		internal_error("rounds inside rounds");
	e->rounds = loop_begin(g, ir_i64(g, 0), count_rounds(e, in), ir_i64(g, 1));
	e->round = e->rounds.index;
}

static void rounds_end(struct step_emitter *e)
{
	if (!e->round)
		internal_error("an end of rounds without a beginning");
	loop_end(e->g, &e->rounds);
	e->round = NULL;
}

static void emit_instrs(struct step_emitter *e, const struct instrs *part)
{
	for (int i = 0; i < part->n; i++) {
		const struct instr *in = &part->at[i];
		switch (in->kind) {
		case INSTR_LAUNCH:       emit_launch(e, in); break;
		case INSTR_COLLECTIVE:   emit_collective(e, in); break;
		case INSTR_ROUNDS_BEGIN: rounds_begin(e, in); break;
		case INSTR_ROUNDS_END:   rounds_end(e); break;
		}
	}
	if (e->round)
		internal_error("rounds that do not end");
}

/* ---- the step -------------------------------------------------------------------------------- */
static void read_frame(struct step_emitter *e)
{
	struct codegen *g = e->g;
	for (size_t i = 0; i < DR_SPACES; i++)
		e->base[i] = ir_load(g, g->i64, field(e, offsetof(struct dr_frame, base) + sizeof(uint64_t) * i), 8);
	e->group_index = ir_load(g, g->ptr, field(e, offsetof(struct dr_frame, index)), 8);
	e->tokens = read_i32(e, offsetof(struct dr_frame, tokens));
	e->rows = read_i32(e, offsetof(struct dr_frame, rows));
	e->candidates = read_i32(e, offsetof(struct dr_frame, candidates));
	e->pages = read_i32(e, offsetof(struct dr_frame, pages));
}

static int most_args(const struct step *step)
{
	int most = 1;
	for (int p = 0; p < step->n; p++)
		for (int i = 0; i < step->part[p].n; i++)
			if (step->part[p].at[i].kind == INSTR_LAUNCH && step->part[p].at[i].launch.n_args > most)
				most = step->part[p].at[i].launch.n_args;
	return most;
}

static void store_layer(const struct step_emitter *e, LLVMValueRef layer)
{
	ir_store_i32(e->g, layer, field(e, offsetof(struct dr_frame, layer)), ir_i64(e->g, 0));
}

/* Emits one loop body, then advances to the next layer's params and pages. */
static void emit_body(struct step_emitter *e, const struct schedule *s, const struct step *step, int body)
{
	struct codegen *g = e->g;
	const int64_t bytes[2] = {s->bodies[body].param_bytes, s->bodies[body].state_bytes};
	emit_instrs(e, step_part(step, SECTION_LAYER, body));
	for (int i = 0; i < 2; i++)
		ir_store(g, ir_add(g, ir_load(g, g->i64, e->layer_at[i], 8), ir_i64(g, bytes[i])), e->layer_at[i], 8);
}

static void emit_layers(struct step_emitter *e, const struct schedule *s, const struct step *step)
{
	struct codegen *g = e->g;
	LLVMValueRef layers = read_i32(e, offsetof(struct dr_frame, layers)), body_of = NULL;
	if (s->n_bodies > 1)
		body_of = ir_load(g, g->ptr, field(e, offsetof(struct dr_frame, body_of)), 8);
	for (int i = 0; i < 2; i++) {
		e->layer_at[i] = ir_local(g, g->i64, 1);
		ir_store(g, ir_i64(g, 0), e->layer_at[i], 8);
	}
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), layers, ir_i64(g, 1));
	e->layer = l.index;
	store_layer(e, e->layer);
	LLVMValueRef body = body_of ? ir_load_i32(g, body_of, e->layer) : NULL;
	for (int i = 0; i < s->n_bodies; i++) {
		struct ir_branch mine;
		if (body)
			mine = if_begin(g, ir_compare(g, LLVMIntEQ, body, ir_i64(g, i)));
		emit_body(e, s, step, i);
		if (body)
			if_end(g, &mine);
	}
	e->layer = NULL;
	loop_end(g, &l);
	store_layer(e, ir_i64(g, -1));
}

/* Emits: on stage `here` the instructions of `part`, on other stages the collectives that receive or send the carried
 * values. */
static void emit_at_stage(struct step_emitter *e, const struct instrs *part, LLVMValueRef here,
                          const struct carried *carried, int n, bool send)
{
	struct codegen *g = e->g;
	const struct number none = {.kind = NUMBER_CONST};
	LLVMValueRef stage = read_i32(e, offsetof(struct dr_frame, stage));
	struct ir_branch branch = if_begin(g, ir_compare(g, LLVMIntEQ, stage, here));
	emit_instrs(e, part);
	if_else(g, &branch);
	for (int i = 0; i < n; i++) {
		const struct carried *c = &carried[i];
		LLVMValueRef at = address(e, &c->at, &none);
		call_collective(e, send ? c->send : c->recv, c->op, at, at, &c->outer, &c->block, &c->block);
	}
	if_end(g, &branch);
}

static void emit_stages(struct step_emitter *e, const struct schedule *s, const struct step *step, enum phase phase)
{
	struct codegen *g = e->g;
	const struct carried *carried = s->carried[phase].at;
	int n = s->carried[phase].n;
	LLVMValueRef last = ir_sub(g, read_i32(e, offsetof(struct dr_frame, stages)), ir_i64(g, 1));
	emit_at_stage(e, step_part(step, SECTION_FIRST_STAGE, 0), ir_i64(g, 0), carried, n, false);
	emit_layers(e, s, step);
	emit_at_stage(e, step_part(step, SECTION_LAST_STAGE, 0), last, carried, n, true);
}

void emit_step(struct codegen *g, const struct schedule *s, enum phase phase)
{
	const struct step *step = &s->step[phase];
	const char *name = phase == PHASE_PREFILL ? "dr_step_prefill" : "dr_step_decode";
	struct step_emitter e = {.g = g, .frame = LLVMGetParam(ir_function(g, name, g->nothing, &g->ptr, 1, false), 0)};
	e.args = ir_local(g, g->i64, most_args(step));
	read_frame(&e);
	store_layer(&e, ir_i64(g, -1));
	emit_instrs(&e, step_part(step, SECTION_EVERY_STAGE, 0));
	if (s->stages.n > 1) {
		emit_stages(&e, s, step, phase);
	} else {
		emit_instrs(&e, step_part(step, SECTION_FIRST_STAGE, 0));
		emit_layers(&e, s, step);
		emit_instrs(&e, step_part(step, SECTION_LAST_STAGE, 0));
	}
	LLVMBuildRetVoid(g->builder);
}
