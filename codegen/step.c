/* The step programs, such as dr_step_prefill and dr_step_decode: a straight line of launches and collectives, with two
 * kinds of loops: over layers, and over the rounds of an expert exchange. */
#include "module.h"
#include <stddef.h>

struct step_emitter {
	struct codegen *g;
	LLVMValueRef frame;
	LLVMValueRef base[DR_SPACES], group_index, tokens, rows, candidates,
		pages[DR_POOLS];       /* read from the frame once; numbers are i64 */
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
	case NUMBER_PAGES:        return scaled(e, e->pages[n->group], n);
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

static void emit_collective(const struct step_emitter *e, const struct instr *in)
{
	struct codegen *g = e->g;
	LLVMValueRef args[] = {e->frame,
	                       ir_i32(g, in->collective.index),
	                       ir_i32(g, in->op),
	                       argument(e, &in->collective.src),
	                       argument(e, &in->collective.dst),
	                       number(e, &in->collective.outer),
	                       number(e, &in->collective.block),
	                       number(e, &in->collective.dst_block)};
	call_runtime(e, "dr_collective", g->nothing, args, 8);
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
static void read_frame(struct step_emitter *e, const struct schedule *s)
{
	struct codegen *g = e->g;
	for (size_t i = 0; i < DR_SPACES; i++)
		e->base[i] = ir_load(g, g->i64, field(e, offsetof(struct dr_frame, base) + sizeof(uint64_t) * i), 8);
	e->group_index = ir_load(g, g->ptr, field(e, offsetof(struct dr_frame, index)), 8);
	e->tokens = read_i32(e, offsetof(struct dr_frame, tokens));
	e->rows = read_i32(e, offsetof(struct dr_frame, rows));
	e->candidates = read_i32(e, offsetof(struct dr_frame, candidates));
	for (int i = 0; i < s->n_pools; i++)
		e->pages[i] = read_i32(e, offsetof(struct dr_frame, pages) + sizeof(int32_t) * (size_t)i);
}

static int most_args(const struct step_program *p)
{
	int most = 1;
	for (int i = 0; i < p->blocks.n; i++)
		for (int body = 0; body < p->blocks.at[i].n; body++) {
			const struct instrs *in = &p->blocks.at[i].body[body];
			for (int k = 0; k < in->n; k++)
				if (in->at[k].kind == INSTR_LAUNCH && in->at[k].launch.n_args > most)
					most = in->at[k].launch.n_args;
		}
	return most;
}

static void store_layer(const struct step_emitter *e, LLVMValueRef layer)
{
	ir_store_i32(e->g, layer, field(e, offsetof(struct dr_frame, layer)), ir_i64(e->g, 0));
}

/* Moves to the next layer's params and pages, or back, where the layer in between has this body. */
static void pass_body(const struct step_emitter *e, const struct layer_body *body, bool back)
{
	struct codegen *g = e->g;
	const int64_t bytes[2] = {body->param_bytes, body->state_bytes};
	for (int i = 0; i < 2; i++) {
		int64_t by = back ? -bytes[i] : bytes[i];
		ir_store(g, ir_add(g, ir_load(g, g->i64, e->layer_at[i], 8), ir_i64(g, by)), e->layer_at[i], 8);
	}
}

/* Emits a loop over `turns` of the stage's layers from `begin` on, forwards, or backwards from the last of them. It
 * moves past each of them, whose bodies are [first, first + n), and runs `body`, if not NULL. */
static void emit_turns(struct step_emitter *e, const struct schedule *s, LLVMValueRef begin, LLVMValueRef turns,
                       int first, int n, const struct instrs *run, bool back)
{
	struct codegen *g = e->g;
	LLVMValueRef last = ir_sub(g, ir_add(g, begin, turns), ir_i64(g, 1));
	LLVMValueRef body_of = n > 1 ? ir_load(g, g->ptr, field(e, offsetof(struct dr_frame, body_of)), 8) : NULL;
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), turns, ir_i64(g, 1));
	e->layer = back ? ir_sub(g, last, l.index) : ir_add(g, begin, l.index);
	store_layer(e, e->layer);
	LLVMValueRef body = body_of ? ir_load_i32(g, body_of, e->layer) : NULL;
	for (int i = 0; i < n; i++) {
		struct ir_branch mine;
		if (body)
			mine = if_begin(g, ir_compare(g, LLVMIntEQ, body, ir_i64(g, first + i)));
		if (back)
			pass_body(e, &s->bodies[first + i], true);
		if (run)
			emit_instrs(e, &run[i]);
		if (!back)
			pass_body(e, &s->bodies[first + i], false);
		if (body)
			if_end(g, &mine);
	}
	e->layer = NULL;
	loop_end(g, &l);
	store_layer(e, ir_i64(g, -1));
}

/* The number of the stage's layers that come before one of the model, at least 0 and at most all. */
static LLVMValueRef layers_before(const struct step_emitter *e, int64_t layer)
{
	struct codegen *g = e->g;
	LLVMValueRef n = ir_sub(g, ir_i64(g, layer), read_i32(e, offsetof(struct dr_frame, first_layer)));
	return ir_min(g, ir_max(g, n, ir_i64(g, 0)), read_i32(e, offsetof(struct dr_frame, layers)));
}

/* Emits the stage's layers of a loop. Its params and pages follow those of earlier loops. */
static void emit_layers(struct step_emitter *e, const struct schedule *s, const struct step_block *b)
{
	struct codegen *g = e->g;
	bool back = b->kind == BLOCK_LAYERS_BACK;
	LLVMValueRef begin = layers_before(e, b->layer_begin), end = layers_before(e, b->layer_end);
	for (int i = 0; i < 2; i++) {
		e->layer_at[i] = ir_local(g, g->i64, 1);
		ir_store(g, ir_i64(g, 0), e->layer_at[i], 8);
	}
	if (back)
		emit_turns(e, s, ir_i64(g, 0), end, 0, s->n_bodies, NULL, false);
	else if (b->layer_begin > 0)
		emit_turns(e, s, ir_i64(g, 0), begin, 0, b->first_body, NULL, false);
	emit_turns(e, s, begin, ir_sub(g, end, begin), b->first_body, b->n, b->body, back);
}

/* Emits a block, which some stages run, or all. */
static void emit_block(struct step_emitter *e, const struct schedule *s, const struct step_block *b)
{
	struct codegen *g = e->g;
	bool everywhere = b->stages.begin == 0 && b->stages.end == s->stages.n;
	struct ir_branch from, to;
	if (!everywhere) {
		LLVMValueRef stage = read_i32(e, offsetof(struct dr_frame, stage));
		from = if_begin(g, ir_compare(g, LLVMIntSGE, stage, ir_i64(g, b->stages.begin)));
		to = if_begin(g, ir_compare(g, LLVMIntSLT, stage, ir_i64(g, b->stages.end)));
	}
	if (block_repeats(b->kind))
		emit_layers(e, s, b);
	else
		emit_instrs(e, b->body);
	if (!everywhere) {
		if_end(g, &to);
		if_end(g, &from);
	}
}

LLVMValueRef emit_step(struct codegen *g, const struct schedule *s, const struct step_program *p)
{
	char name[64];
	snprintf(name, sizeof name, "dr_step_%s", p->name);
	LLVMValueRef f = ir_function(g, name, g->nothing, &g->ptr, 1, false);
	struct step_emitter e = {.g = g, .frame = LLVMGetParam(f, 0)};
	e.args = ir_local(g, g->i64, most_args(p));
	read_frame(&e, s);
	store_layer(&e, ir_i64(g, -1));
	for (int i = 0; i < p->blocks.n; i++)
		emit_block(&e, s, &p->blocks.at[i]);
	LLVMBuildRetVoid(g->builder);
	return f;
}
