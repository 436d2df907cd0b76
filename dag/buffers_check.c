/* Checks buffer placement by replaying a step on each kind of stage, with two iterations of every loop: each read must
 * find the value written for it. Shares no code with buffers.c, and does not use its live ranges. */
#include <string.h>
#include "lower.h"

struct play {
	struct lower *w;
	int *written;    /* written[b]: place in `writes`, from 1, of the last write to buffer b; 0: none */
	VEC(int) writes; /* buffers, in the order of writes */
	const char *wrong;
};

static int buffer_of(const struct argument *a) { return a->kind == ARGUMENT_BUFFER ? a->buffer : -1; }

static void reads(struct play *p, const struct argument *a, const struct instr *i)
{
	int b = buffer_of(a);
	if (b < 0 || p->wrong)
		return;
	const struct buffer *mine = &p->w->buffers.at[b];
	if (!p->written[b])
		p->wrong = arena_printf(p->w->arena, "%s reads buffer %d, which nothing wrote", p->w->s->op_names.at[i->op], b);
	for (int n = p->written[b]; n < p->writes.n && !p->wrong; n++) {
		int k = p->writes.at[n];
		const struct buffer *other = &p->w->buffers.at[k];
		bool apart = other->offset + other->bytes <= mine->offset || mine->offset + mine->bytes <= other->offset;
		if (k == b || apart)
			continue;
		p->wrong = arena_printf(p->w->arena, "%s reads buffer %d, which %d has overwritten",
		                        p->w->s->op_names.at[i->op], b, k);
	}
}

static void write_to(struct play *p, const struct argument *a)
{
	int b = buffer_of(a);
	if (b < 0)
		return;
	vec_push(p->w->arena, &p->writes, b);
	p->written[b] = p->writes.n;
}

static void play_instr(struct play *p, const struct instr *i)
{
	struct memory_operands o = instr_operands(p->w->s, i);
	for (int k = 0; k < o.n; k++)
		if (o.at[k].direction == ARG_IN)
			reads(p, o.at[k].argument, i);
	for (int k = 0; k < o.n; k++)
		if (o.at[k].direction != ARG_IN)
			write_to(p, o.at[k].argument);
}

/* A later round adds to what combine wrote in the round before; nothing may have overwritten it. */
static void play_sum(struct play *p, const struct instr *i)
{
	struct memory_operands o = instr_operands(p->w->s, i);
	for (int k = 0; k < o.n; k++)
		if (o.at[k].direction == ARG_INOUT)
			reads(p, o.at[k].argument, i);
}

static void play_instrs(struct play *p, const struct instrs *in)
{
	for (int i = 0, begin = 0, round = 0; i < in->n; i++) {
		if (in->at[i].kind == INSTR_ROUNDS_BEGIN)
			begin = i, round = 0;
		if (round)
			play_sum(p, &in->at[i]);
		play_instr(p, &in->at[i]);
		if (in->at[i].kind == INSTR_ROUNDS_END && !round++)
			i = begin;
	}
}

static void play_stage(struct play *p, int stage)
{
	const struct lower *w = p->w;
	memset(p->written, 0, sizeof *p->written * (size_t)w->buffers.n);
	p->writes.n = 0;
	for (int i = 0; i < w->step->blocks.n; i++) {
		const struct step_block *b = &w->step->blocks.at[i];
		for (int turn = 0; turn < (block_repeats(b->kind) ? 2 : 1) && stages_have(b->stages, stage); turn++)
			for (int body = 0; body < b->n; body++)
				play_instrs(p, &b->body[body]);
	}
}

/* Does a stage run other blocks than the one before it? */
static bool is_new(const struct step_program *step, int stage)
{
	bool new = stage == 0;
	for (int i = 0; i < step->blocks.n; i++)
		new |= stages_have(step->blocks.at[i].stages, stage) != stages_have(step->blocks.at[i].stages, stage - 1);
	return new;
}

const char *buffers_check(struct lower *w)
{
	struct play p = {.w = w, .written = arena_array(w->arena, int, w->buffers.n + 1)};
	for (int stage = 0; stage < w->s->stages.n; stage++)
		if (is_new(w->step, stage))
			play_stage(&p, stage);
	return p.wrong;
}
