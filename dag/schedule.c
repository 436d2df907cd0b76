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

/* Makes buffers 0 and 1, the tokens and logits read after a step, at the same offsets in all programs. */
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
	for (int i = 0; i < OUTPUT_BUFFERS; i++)
		w->buffers.at[i].fixed = true;
	w->buffers.at[BUFFER_LOGITS].offset = w->buffers.at[BUFFER_TOKENS].bytes + w->target->gap;
	s->tokens_offset = 0;
	s->logits_offset = w->buffers.at[BUFFER_LOGITS].offset;
}

static bool on_gpu(const struct schedule *s) { return s->target.image == DR_IMAGE_PTX; }

/* Sends or receives a carried value. */
static void add_message(struct lower *w, int carry, enum dr_collective_kind kind, const char *what)
{
	bool sends = kind == DR_SEND;
	int at = w->ph->carries.at[carry].begin;
	const struct phys *p = &w->carry[carry];
	const struct argument here = arg_phys(p), none = arg_number(number_const(0));
	int64_t row = p->row_stride * dtype_bytes(p->dtype), bytes = lower_rows_max(w, p) * row;
	struct instr i = {.kind = INSTR_COLLECTIVE,
	                  .op = lower_op_name(w, at, "carried to the next stage"),
	                  .collective = {.src = sends ? here : none,
	                                 .dst = sends ? none : here,
	                                 .outer = number_const(1),
	                                 .block = number_times(p->rows, p->row_stride),
	                                 .dst_block = number_times(p->rows, p->row_stride)}};
	i.collective.index = lower_add_collective(w, kind, w->s->stage_group, p->dtype, p->rows, row, at, what);
	vec_push(w->arena, program_instrs(w->step, sends ? BLOCK_EARLIER_STAGES : BLOCK_LATER_STAGES, 0), i);
	if (!on_gpu(w->s) && bytes > w->s->comm_mailbox)
		w->s->comm_mailbox = round_up(bytes, 64);
}

/* Carried values pass from stage to stage. */
static void pass_carried(struct lower *w)
{
	for (int i = 0; i < w->n_carry && w->s->stages.n > 1; i++) {
		const char *name = lower_source(w, w->ph->carries.at[i].begin)->name;
		const char *what = w->n_carry > 1 && name ? name : "the residual stream";
		add_message(w, i, DR_SEND, arena_printf(w->arena, "%s to the next stage", what));
		add_message(w, i, DR_RECV, arena_printf(w->arena, "%s from the stage before", what));
	}
}

/* Only carried values cross a pipeline cut. Anything else computed before the loop stays on the first stage. */
static void check_captures(struct lower *w)
{
	for (int i = 0; i < w->ph->values.n && w->s->stages.n > 1; i++) {
		const struct local_value *v = &w->ph->values.at[i];
		for (int k = 0; k < v->n_args; k++) {
			const struct local_value *x = v->args[k] < 0 ? v : &w->ph->values.at[v->args[k]];
			bool param = x->op == LOCAL_OP && w->l->program->values.at[x->source].op == OP_PARAM;
			bool carry = v->op == LOCAL_OP && w->l->program->values.at[v->source].op == OP_CARRY;
			if (x->section == SECTION_EVERY_STAGE || x->section >= v->section || param || carry
			    || (v->op == LOCAL_OP && w->l->program->values.at[v->source].op == OP_FINAL))
				continue;
			struct diag *d = diag_report(w->sink, DIAG_E0904, w->l->program->values.at[v->source].span,
			                             "a value from before `repeat` is used across a pipeline cut");
			diag_related(w->sink, d, w->l->program->values.at[x->source].span,
			             "it is computed on the first stage only");
			diag_help(w->sink, d, "compute it inside `repeat`, or carry it");
			w->failed = true;
		}
	}
	const int output[2] = {w->ph->token, w->ph->logits};
	for (int i = 0; i < 2 && w->s->stages.n > 1; i++) {
		if (w->ph->values.at[output[i]].section != SECTION_FIRST_STAGE)
			continue;
		struct diag *d = diag_report(w->sink, DIAG_E0904, lower_source(w, output[i])->span,
		                             "an output from before `repeat` does not reach the last stage");
		diag_help(w->sink, d, "compute it after the loop, from what the loop carries");
		w->failed = true;
	}
}

/* Ends a turn: writes the carried values of a body, from w->ph->carries.at[first] on. A single one is computed in
 * place. With several, each may depend on the others, so all are computed before the first is overwritten. */
static void end_turn(struct lower *w, int first)
{
	w->turn_ends = w->n_carry == 1;
	for (int i = first; i < first + w->n_carry; i++) {
		int next = w->ph->carries.at[i].next;
		if (w->ph->values.at[next].section != SECTION_LAYER)
			lower_unsupported(w, lower_source(w, next)->span, "a carried value that a turn does not compute");
		else if (w->n_carry > 1 && lower_in_carry(w, lower_materialize_contiguous(w, next, next, NULL))
		         && next != w->ph->carries.at[i].begin)
			lower_copy(w, next);
	}
	for (int i = first; i < first + w->n_carry && !w->failed; i++)
		lower_into(w, w->ph->carries.at[i].next, &w->carry[i - first]);
}

/* Moves outputs and carried values to the memory that their readers use. */
static void end_step(struct lower *w)
{
	const int output[OUTPUT_BUFFERS] = {[BUFFER_TOKENS] = w->ph->token, [BUFFER_LOGITS] = w->ph->logits};
	for (int i = 0; i < OUTPUT_BUFFERS && !w->failed; i++) {
		struct phys to = *lower_materialize_contiguous(w, output[i], output[i], NULL);
		phys_set_buffer(&to, i);
		lower_into(w, output[i], &to);
	}
	for (int i = 0; i < w->ph->carries.n && !w->failed; i += w->n_carry)
		end_turn(w, i);
}

static void add_block(struct lower *w, enum block_kind kind, int bodies)
{
	struct step_block b = {kind, arena_array(w->arena, struct instrs, bodies + 1), bodies};
	vec_push(w->arena, &w->step->blocks, b);
}

static void add_blocks(struct lower *w)
{
	add_block(w, BLOCK_EVERY_STAGE, 1);
	add_block(w, BLOCK_FIRST_STAGE, 1);
	if (w->s->stages.n > 1)
		add_block(w, BLOCK_LATER_STAGES, 1);
	add_block(w, BLOCK_LAYERS, w->l->program->loop.n_bodies);
	if (w->s->stages.n > 1)
		add_block(w, BLOCK_EARLIER_STAGES, 1);
	add_block(w, BLOCK_LAST_STAGE, 1);
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
	check_captures(&w);
	w.n_carry = l->program->loop.n_bodies ? w.ph->carries.n / l->program->loop.n_bodies : 0;
	w.carry = arena_array(arena, struct phys, w.n_carry + 1);
	lower_order(&w);
	for (int i = 0; i < w.order.n && !w.failed; i++)
		lower_op(&w, w.order.at[i]);
	if (!w.failed)
		end_step(&w);
	if (!w.failed)
		pass_carried(&w);
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

/* Do ranks of a stage run this part of a step? */
static bool runs(const struct schedule *s, int stage, enum step_section section)
{
	return section == SECTION_FIRST_STAGE  ? stage == 0
	       : section == SECTION_LAST_STAGE ? stage == s->stages.n - 1
	                                       : true;
}

/* Bytes of the states outside the loop that a stage uses. */
static int64_t outside_bytes(const struct schedule *s, int stage)
{
	int64_t bytes = 0;
	for (int i = 0; i < s->states.n; i++)
		if (s->states.at[i].body < 0 && runs(s, stage, s->states.at[i].section))
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
		st->bytes[DR_SPACE_PRE] = i == 0 ? param_bytes(s, DR_SPACE_PRE, -1) : 0;
		st->bytes[DR_SPACE_POST] = i == s->stages.n - 1 ? param_bytes(s, DR_SPACE_POST, -1) : 0;
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
	const struct loop *loop = &l->program->loop;
	s->n_bodies = loop->n_bodies;
	s->body_of = loop->body_of;
	s->bodies = arena_array(l->arena, struct layer_body, loop->n_bodies + 1);
	for (int i = 0; i < loop->n_bodies; i++)
		s->bodies[i] =
			(struct layer_body){param_bytes(s, DR_SPACE_LAYER, i), body_state_bytes(s, i), loop->bodies[i].turns};
}

/* How the rows of an output are split. */
static struct output_cut cut_of(struct lower *w, const struct local_value *v)
{
	const struct program *p = w->l->program;
	const struct atoms none = {.n = 0}, *batch = layout_of(v, p->batch), *row = layout_of(v, p->row);
	return (struct output_cut){lower_group(w, batch ? batch : &w->l->owners), lower_group(w, row ? row : &none)};
}

/* How the rows of the outputs are split: one way for tokens and logits, which the launcher reads row by row. */
static struct output_cut output_cut(struct lower *w)
{
	const struct local_phase *ph = w->ph;
	struct output_cut token = cut_of(w, &ph->values.at[ph->token]), logits = cut_of(w, &ph->values.at[ph->logits]);
	if (logits.owner_group != token.owner_group || logits.row_group != token.row_group)
		lower_unsupported(w, lower_source(w, ph->token)->span,
		                  "a token whose rows are split in another way than its logits'");
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
	set_queues(s, arena);
	set_bodies(s, l);
	s->comm_device = on_gpu(s) ? device_staging(s, arena) : 0;
	set_stage_bytes(s, act > s->tile_row ? act : s->tile_row);
	return s;
}
