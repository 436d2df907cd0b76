/* Local DAG -> schedule: lowers each phase and adds up the memory of each stage. */
#include <string.h>
#include "lower.h"
#include "../support/round.h"

enum {
	COMM_STAGING = 1 << 20 /* bytes: collectives communicate in pieces of this size */
};

static void count_uses(struct lower *w)
{
	w->uses = arena_array(w->arena, int, w->ph->values.n + 1);
	for (int i = 0; i < w->ph->values.n; i++)
		for (int k = 0; k < w->ph->values.at[i].n_args; k++)
			if (w->ph->values.at[i].args[k] >= 0)
				w->uses[w->ph->values.at[i].args[k]]++;
	for (int i = 0; i < w->ph->carries.n; i++)
		w->uses[w->ph->carries.at[i].next]++;
	w->uses[w->ph->logits]++;
	w->uses[w->ph->token]++;
}

/* Makes the first buffers: tokens, logits and log-probabilities, read after a step, at the same offsets in all
 * programs. */
static void output_buffers(struct lower *w)
{
	struct schedule *s = w->s;
	int64_t rows = 0, shard = divide_up(s->vocab, s->groups.at[s->logits_group].size);
	for (int i = 0; i < s->programs.n; i++) {
		const struct step_program *p = &s->programs.at[i];
		int64_t owners = atoms_size(w->l, &w->l->owners) / s->groups.at[p->output.owner_group].size;
		int64_t most = owners * p->max_rows / s->groups.at[p->output.row_group].size;
		rows = most > rows ? most : rows;
	}
	lower_buffer(w, rows * 4);
	lower_buffer(w, rows * shard * 4);
	lower_buffer(w, rows * (int64_t)sizeof(struct dr_logprobs));
	int64_t end = 0;
	for (int i = 0; i < OUTPUT_BUFFERS; i++) {
		w->buffers.at[i].fixed = true;
		w->buffers.at[i].offset = end;
		end += w->buffers.at[i].bytes + w->target->gap;
	}
	s->tokens_offset = w->buffers.at[BUFFER_TOKENS].offset;
	s->logits_offset = w->buffers.at[BUFFER_LOGITS].offset;
	s->logprobs_offset = w->buffers.at[BUFFER_LOGPROBS].offset;
}

static bool on_gpu(const struct schedule *s) { return s->target.image == DR_IMAGE_PTX; }

/* Ends a turn: writes the carried values of a body, from w->ph->carries.at[first] on. A single one is computed in
 * place. With several, each may depend on the others, so all are computed before the first is overwritten. */
static void end_turn(struct lower *w, int first, int n)
{
	w->turn_ends = n == 1;
	for (int i = first; i < first + n; i++) {
		int next = w->ph->carries.at[i].next;
		if (!part_is_loop(w->ph->values.at[next].part))
			lower_unsupported(w, lower_source(w, next)->span, "a carried value that a turn does not compute");
		else if (n > 1 && lower_in_carry(w, lower_materialize_contiguous(w, next, next, NULL))
		         && next != w->ph->carries.at[i].begin)
			lower_copy(w, next);
	}
	for (int i = first; i < first + n && !w->failed; i++)
		lower_into(w, w->ph->carries.at[i].next, &w->carry[w->ph->carries.at[i].slot]);
}

/* Moves outputs and carried values to the memory that their readers use. */
static void end_step(struct lower *w)
{
	const int output[] = {[BUFFER_TOKENS] = w->ph->token, [BUFFER_LOGITS] = w->ph->logits};
	for (int i = 0; i <= BUFFER_LOGITS && !w->failed; i++) {
		struct phys to = *lower_materialize_contiguous(w, output[i], output[i], NULL);
		phys_set_buffer(&to, i);
		lower_into(w, output[i], &to);
	}
	for (int i = 0, n; i < w->ph->carries.n && !w->failed; i += n) {
		n = lower_carried_by(w, w->ph->carries.at[i].body);
		end_turn(w, i, n);
	}
}

static void add_block(struct lower *w, enum block_kind kind, int part, struct stage_range stages)
{
	struct step_block b = {.kind = kind, .part = part, .stages = stages, .n = 1};
	if (block_repeats(kind)) {
		const struct loop *loop = &w->l->program->loops.at[(part - part_loop(0)) / 2];
		b.n = loop->n_bodies;
		b.first_body = loop->first_body;
		b.layer_begin = loop->first_turn, b.layer_end = loop->first_turn + loop->turns;
	}
	b.body = arena_array(w->arena, struct instrs, b.n);
	vec_push(w->arena, &w->step->blocks, b);
}

/* A loop, and the messages of the cuts after its layers: a stage that begins with the first layer of another loop
 * receives what this one carried. */
static void add_loop(struct lower *w, int loop)
{
	const struct loop *of = &w->l->program->loops.at[loop];
	struct stage_range cuts = {0, 0}; /* the stages that begin after a layer of the loop */
	for (int i = 1; i < w->s->stages.n; i++) {
		int64_t before = w->s->stages.at[i].layer_begin - 1;
		if (before < of->first_turn || before >= of->first_turn + of->turns)
			continue;
		cuts = (struct stage_range){cuts.end ? cuts.begin : i, i + 1};
	}
	if (cuts.end)
		add_block(w, BLOCK_RECEIVE, part_loop(loop), cuts);
	add_block(w, BLOCK_LAYERS, part_loop(loop), w->l->parts.at[part_loop(loop)]);
	if (cuts.end)
		add_block(w, BLOCK_SEND, part_loop(loop), (struct stage_range){cuts.begin - 1, cuts.end - 1});
}

static void add_blocks(struct lower *w)
{
	const struct local *l = w->l;
	add_block(w, BLOCK_ONCE, PART_EVERY, l->parts.at[PART_EVERY]);
	add_block(w, BLOCK_ONCE, part_outside(0), l->parts.at[part_outside(0)]);
	for (int i = 0; i < l->program->loops.n; i++) {
		add_loop(w, i);
		add_block(w, BLOCK_ONCE, part_outside(i + 1), l->parts.at[part_outside(i + 1)]);
	}
}

/* The number of carried values of all loops. */
static int count_slots(const struct local_phase *ph)
{
	int n = 0;
	for (int i = 0; i < ph->carries.n; i++)
		n = ph->carries.at[i].slot >= n ? ph->carries.at[i].slot + 1 : n;
	return n;
}

static int64_t lower_phase(struct schedule *s, struct arena *arena, struct sink *sink, struct local *l,
                           const struct target *t, int phase)
{
	struct lower w = {.l = l,
	                  .ph = &l->phase[phase],
	                  .phase = phase,
	                  .step = &s->programs.at[phase],
	                  .arena = arena,
	                  .sink = sink,
	                  .s = s,
	                  .target = t};
	w.phys = arena_array(arena, struct phys, w.ph->values.n + 1);
	add_blocks(&w);
	count_uses(&w);
	output_buffers(&w);
	check_cuts(&w);
	w.n_carry = count_slots(w.ph);
	w.carry = arena_array(arena, struct phys, w.n_carry + 1);
	lower_order(&w);
	for (int i = 0; i < w.order.n && !w.failed; i++)
		lower_op(&w, w.order.at[i]);
	if (!w.failed)
		end_step(&w);
	if (!w.failed)
		pass_carried(&w);
	if (!w.failed)
		fuse_launches(&w);
	return w.failed ? -1 : place_buffers(&w);
}

static int64_t body_state_bytes(const struct schedule *s, int body)
{
	int64_t bytes = 0;
	for (int i = 0; i < s->states.n; i++)
		bytes += s->states.at[i].body == body ? s->states.at[i].bytes : 0;
	return bytes;
}

/* Adds bytes. On overflow the sum is INT64_MAX, more than any device has. */
static void add_bytes(int64_t *sum, int64_t bytes)
{
	if (__builtin_add_overflow(*sum, bytes, sum))
		*sum = INT64_MAX;
}

/* Bytes of the states outside the loops that a stage uses. */
static int64_t outside_bytes(const struct schedule *s, int stage)
{
	int64_t bytes = 0;
	for (int i = 0; i < s->states.n; i++)
		if (s->states.at[i].body < 0 && stages_have(s->parts.at[s->states.at[i].part], stage))
			add_bytes(&bytes, s->states.at[i].bytes);
	return bytes;
}

static int64_t table_bytes(const struct schedule *s)
{
	int64_t bytes = 0;
	for (int i = 0; i < s->constants.n; i++)
		bytes += round_up(s->constants.at[i].n * 4, 64);
	for (int i = 0; i < s->maps.n; i++)
		bytes += round_up(s->maps.at[i].experts * 4, 64);
	return bytes;
}

static int64_t workspace_bytes(const struct schedule *s)
{
	int64_t most = 0;
	for (int i = 0; i < s->kernels.n; i++) {
		int64_t bytes = kernel_workspace(&s->kernels.at[i]);
		most = bytes > most ? bytes : most;
	}
	return most;
}

/* The most that a collective needs beside its operands. */
static int64_t device_staging(const struct schedule *s, struct arena *arena)
{
	int64_t most = 0;
	for (int i = 0; i < s->programs.n; i++) {
		const struct step_program *p = &s->programs.at[i];
		struct step_values max = step_values_max(s, p, arena);
		for (int b = 0; b < p->blocks.n; b++)
			for (int k = 0; k < p->blocks.at[b].n; k++) {
				const struct instrs *list = &p->blocks.at[b].body[k];
				for (int n = 0; n < list->n; n++) {
					int64_t bytes = list->at[n].kind == INSTR_COLLECTIVE ? step_staging(s, &list->at[n], &max) : 0;
					most = bytes > most ? bytes : most;
				}
			}
	}
	return most;
}

static void set_stage_bytes(struct schedule *s, int64_t act)
{
	for (int i = 0; i < s->stages.n; i++) {
		struct stage *st = &s->stages.at[i];
		for (int64_t k = st->layer_begin; k < st->layer_end; k++) {
			add_bytes(&st->bytes[DR_SPACE_LAYER], s->bodies[s->body_of[k]].param_bytes);
			add_bytes(&st->bytes[DR_SPACE_STATE], s->bodies[s->body_of[k]].state_bytes);
		}
		st->bytes[DR_SPACE_OUTSIDE] = param_bytes(s, DR_SPACE_OUTSIDE, i);
		st->bytes[DR_SPACE_EVERY] = param_bytes(s, DR_SPACE_EVERY, -1);
		st->bytes[DR_SPACE_STATE_OUTSIDE] = outside_bytes(s, i);
		st->bytes[DR_SPACE_ACT] = act;
		st->bytes[DR_SPACE_INPUT] = s->input_bytes;
		st->bytes[DR_SPACE_TABLE] = table_bytes(s);
		st->bytes[DR_SPACE_WORKSPACE] = workspace_bytes(s);
		st->bytes[DR_SPACE_COMM] = s->comm_staging + 2 * s->comm_mailbox + s->comm_device;
	}
}

/* Sets the bytes that a layer of each body takes. */
static void set_bodies(struct schedule *s, struct local *l)
{
	const struct program *p = l->program;
	s->n_bodies = p->bodies.n;
	s->body_of = p->body_of.at;
	s->bodies = arena_array(l->arena, struct layer_body, p->bodies.n + 1);
	for (int i = 0; i < p->bodies.n; i++)
		s->bodies[i] =
			(struct layer_body){param_bytes(s, DR_SPACE_LAYER, i), body_state_bytes(s, i), p->bodies.at[i].turns};
}

/* How the rows of an output are split. */
static struct output_cut cut_of(struct lower *w, const struct local_value *v)
{
	const struct program *p = w->l->program;
	const struct atoms none = {.n = 0}, *batch = layout_of(v, p->batch), *row = layout_of(v, p->row);
	return (struct output_cut){.owner_group = lower_group(w, batch ? batch : &w->l->owners),
	                           .row_group = lower_group(w, row ? row : &none)};
}

/* How the rows of the outputs are split: one way for tokens and logits, which the launcher reads row by row. */
static struct output_cut output_cut(struct lower *w)
{
	const struct local_phase *ph = w->ph;
	const struct atoms none = {.n = 0};
	struct output_cut token = cut_of(w, &ph->values.at[ph->token]), logits = cut_of(w, &ph->values.at[ph->logits]);
	if (logits.owner_group != token.owner_group || logits.row_group != token.row_group)
		lower_unsupported(w, lower_source(w, ph->token)->span,
		                  "a token whose rows are split in another way than its logits'");
	const struct local_value *v = &ph->values.at[ph->token];
	const struct value *s = lower_source(w, ph->token);
	bool sampled = v->op == LOCAL_OP && s->op == OP_SAMPLE;
	logits.vocab_group = lower_group(w, sampled ? layout_of(&ph->values.at[v->args[0]], s->v) : &none);
	w->s->logprobs &= sampled;
	return logits;
}

/* Sets the groups that the runtime needs by name. They come first. */
static void named_groups(struct schedule *s, struct local *l, struct arena *arena, struct sink *sink)
{
	struct lower w = {.l = l, .arena = arena, .sink = sink, .s = s};
	struct atoms logits = {.n = 0};
	const struct local_phase *ph = &l->phase[PHASE_PREFILL];
	if (layout_of(&ph->values.at[ph->logits], l->program->vocab))
		logits = *layout_of(&ph->values.at[ph->logits], l->program->vocab);
	s->stage_group = lower_group(&w, &l->stages);
	s->owner_group = lower_group(&w, &l->owners);
	s->logits_group = lower_group(&w, &logits);
	s->logprobs = true;
	for (int phase = 0; phase < PHASES; phase++) {
		w.ph = &l->phase[phase];
		s->programs.at[phase].output = output_cut(&w);
	}
}

struct schedule *dag_schedule(struct arena *arena, struct sink *sink, const struct local *const_l,
                              const struct target *t)
{
	struct local *l = arena_new(arena, struct local);
	*l = *const_l;
	struct schedule *s = arena_new(arena, struct schedule);
	int before = sink->errors;
	s->deploy = l->deploy;
	s->target = *t;
	s->ranks = 1;
	for (int i = 0; i < l->atoms.n; i++) {
		vec_push(arena, &s->atoms, l->atoms.at[i]);
		s->ranks *= l->atoms.at[i].size;
	}
	int64_t begin = 0;
	for (int i = 0; i < l->stage_layers.n; begin += l->stage_layers.at[i++]) {
		struct stage st = {.layer_begin = begin, .layer_end = begin + l->stage_layers.at[i]};
		vec_push(arena, &s->stages, st);
	}
	for (int i = 0; i < l->parts.n; i++)
		vec_push(arena, &s->parts, l->parts.at[i]);
	for (int phase = 0; phase < PHASES; phase++)
		vec_push(arena, &s->programs, ((struct step_program){.name = phase_name(phase)}));
	named_groups(s, l, arena, sink);
	s->vocab = l->program->vocab >= 0 ? l->program->axes.at[l->program->vocab].extent : 0;
	s->comm_staging = s->ranks > 1 && !on_gpu(s) ? COMM_STAGING : 0;
	if (!set_step_sizes(s, l, sink))
		return NULL;
	place_states(s, l);
	if (!place_params(s, l, t, sink, arena))
		return NULL;
	int64_t act = 0;
	for (int phase = 0; phase < PHASES; phase++) {
		int64_t bytes = lower_phase(s, arena, sink, l, t, phase);
		if (bytes < 0)
			return NULL;
		if (bytes > act)
			act = bytes;
	}
	if (sink->errors != before)
		return NULL;
	drop_unused(s, arena);
	set_queues(s, arena);
	set_bodies(s, l);
	s->comm_device = on_gpu(s) ? device_staging(s, arena) : 0;
	set_stage_bytes(s, act > s->tile_row ? act : s->tile_row);
	return s;
}
