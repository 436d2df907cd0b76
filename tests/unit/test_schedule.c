/* The checker of schedules: a valid one passes, and each way to break it is reported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../dag/lower.h"
#include "../../support/round.h"

struct fixture {
	struct arena arena;
	struct names names;
	struct sources sources;
	struct sink sink;
	struct schedule *s;
	char file[64];
};

static const char text[] =
	"use std.decoder { Decoder, GQA, GatedMLP }\n"
	"use std.ops { embed, pick, rms_norm, rope_freq, sample }\n"
	"use std.clusters { CPUHost }\n"
	"use std.workload { Inference }\n"
	"model M : Decoder {\n"
	"  vocab = 64; layers = 4; max_ctx = 64; weight = f32; act = f32; kv = f32\n"
	"  axis d_model = 32; axis kv_heads = 4; axis q_group = 2; axis head_dim = 16; axis ffn = 96; axis pair = head_dim "
	"/ 2\n"
	"  param table : [vocab, d_model] from \"table\"\n"
	"  param norm  : [d_model] from \"norm\"\n"
	"  let freq = rope_freq(10_000.0, p = pair)\n"
	"  let x = embed(table, ids)\n"
	"  repeat layers as layer from \"layers.{layer}\" {\n"
	"    param own : f32[pair] from \"freq\"\n"
	"    let h = x + GQA(rms_norm(x, norm, 1e-5), pos, own, 1e-5) as attn from \"attn\"\n"
	"    let g = h + GQA(rms_norm(h, norm, 1e-5), pos, freq, 1e-5) as second from \"second\"\n"
	"    x = g + GatedMLP(rms_norm(g, norm, 1e-5)) as mlp from \"mlp\"\n"
	"  }\n"
	"  output logits : f32[batch, row, vocab] = rms_norm(pick(x, want), norm, 1e-5) @[d_model] table\n"
	"  output token  : index(vocab)[batch, row] = sample(logits, v = vocab)\n"
	"}\n"
	"plan P { mesh pp = 2; mesh tp = 2; layers -> pp; kv_heads -> tp; ffn -> tp; vocab -> tp }\n"
	"deploy D {\n"
	"  model = M; cluster = CPUHost { ranks = 4 }; plan = P {}\n"
	"  workload = Inference { batch = 2; seq = 1..16; output = 8; page = 16 }\n"
	"}\n";

/* A library model with experts, which are exchanged in rounds. */
static const char experts[] =
	"use std.mixtral { Mixtral }\n"
	"use std.clusters { CPUHost }\n"
	"use std.plans { Megatron }\n"
	"use std.workload { Inference }\n"
	"model Tiny = Mixtral {\n"
	"  vocab = 256; layers = 4; d_model = 32; kv_heads = 4; q_group = 2; head_dim = 8; expert = 8; expert_ffn = 16\n"
	"  rope_theta = 10_000.0; max_ctx = 512; weight = f32; act = f32; kv = f32\n"
	"}\n"
	"deploy D {\n"
	"  model = Tiny; cluster = CPUHost { ranks = 8 }; plan = Megatron { pp = 2; tp = 2; ep = 2 }\n"
	"  workload = Inference { batch = 4; seq = 1..64; output = 64; chunk = 64; page = 16 }\n"
	"}\n";

/* A GPU takes what collectives need beside their operands: features are gathered here, whose blocks alternate. */
static const char gathered[] =
	"use std.llama { Llama }\n"
	"use std.clusters { CPUHost }\n"
	"use std.plans { Megatron }\n"
	"use std.workload { Inference }\n"
	"model Tiny = Llama {\n"
	"  vocab = 64; layers = 4; d_model = 32; kv_heads = 4; q_group = 2; head_dim = 8; ffn = 96\n"
	"  rope_theta = 10_000.0; max_ctx = 64; weight = f32; act = f32; kv = f32\n"
	"}\n"
	"deploy D {\n"
	"  model = Tiny; cluster = CPUHost { ranks = 4 }\n"
	"  plan = Megatron { pp = 2; tp = 2; at mlp { d_model -> tp; ffn -> none } }\n"
	"  workload = Inference { batch = 2; seq = 1..16; output = 8; page = 16 }\n"
	"}\n";

/* Two loops, a param between them, and stages that end in the first, at its end, and in the second. */
static const char loops[] =
	"use std.decoder { Decoder }\n"
	"use std.ops { embed, pick, sample }\n"
	"use std.clusters { CPUHost }\n"
	"use std.workload { Inference }\n"
	"model M : Decoder {\n"
	"  vocab = 64; layers = 6; max_ctx = 64; weight = f32; act = f32; kv = f32\n"
	"  axis d_model = 16; axis first = 2; axis rest = layers - first\n"
	"  param table : [vocab, d_model] from \"table\"\n"
	"  let x = embed(table, ids)\n"
	"  repeat first as layer from \"l.{layer}\" { param a : [d_model] from \"a\"; x = x * a }\n"
	"  param gain : [d_model] from \"gain\"\n"
	"  let y = x * gain\n"
	"  repeat rest as layer from \"l.{layer + first}\" { param b : [d_model] from \"b\"; y = y * b }\n"
	"  output logits : f32[batch, row, vocab] = pick(y, want) @[d_model] table\n"
	"  output token  : index(vocab)[batch, row] = sample(logits, v = vocab)\n"
	"}\n"
	"plan P { mesh pp = 4; layers -> pp; pipeline { stages = [1, 1, 3, 1] } }\n"
	"deploy D {\n"
	"  model = M; cluster = CPUHost { ranks = 4 }; plan = P {}\n"
	"  workload = Inference { batch = 2; seq = 1..16; output = 8; page = 16 }\n"
	"}\n";

static int make(void **state, const char *spec, struct target target)
{
	struct fixture *f = calloc(1, sizeof *f);
	strcpy(f->file, "/tmp/test_schedule_XXXXXX");
	int fd = mkstemp(f->file);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, spec, strlen(spec)), strlen(spec));
	close(fd);
	f->names.arena = f->sources.arena = f->sink.arena = &f->arena;
	f->sink.sources = &f->sources;
	struct sema_options options = {0};
	struct sema *sema = sema_new(&f->arena, &f->names, &f->sink, &options);
	assert_true(sema_load(sema, f->file));
	int n;
	struct deploy **d = sema_deploys(sema, &n);
	assert_int_equal(f->sink.errors, 0);
	assert_int_equal(n, 1);
	struct local *l = dag_local(&f->arena, &f->names, &f->sink, d[0]);
	assert_non_null(l);
	f->s = dag_schedule(&f->arena, &f->sink, l, &target);
	assert_non_null(f->s);
	*state = f;
	return 0;
}

static int setup(void **state) { return make(state, text, target_cpu(8, false)); }
static int setup_experts(void **state) { return make(state, experts, target_cpu(8, false)); }
static int setup_loops(void **state) { return make(state, loops, target_cpu(8, false)); }
static int setup_gpu(void **state) { return make(state, text, target_gpu()); }
static int setup_gathered(void **state) { return make(state, gathered, target_gpu()); }

static int teardown(void **state)
{
	struct fixture *f = *state;
	unlink(f->file);
	arena_free(&f->arena);
	free(f);
	return 0;
}

/* The launches of a layer in decode, with fusions switched off. Each such schedule must be sound. */
static int launches(const char *spec, unsigned unfused)
{
	struct target target = target_cpu(8, false);
	void *state;
	target.unfused = unfused;
	make(&state, spec, target);
	struct fixture *f = state;
	const struct instrs *in = program_instrs(&f->s->programs.at[PHASE_DECODE], BLOCK_LAYERS, part_loop(0), 0);
	int n = 0;
	for (int i = 0; i < in->n; i++)
		n += in->at[i].kind == INSTR_LAUNCH;
	assert_null(schedule_check(f->s, &f->arena));
	teardown(&state);
	return n;
}

/* rows: the norm after the residual sum of attention; that of the experts' sum is the next layer's. products: queries,
 * keys and values; gate and up. */
static void test_fusion(void **state)
{
	enum { ROWS = 1u << FUSION_ROWS, PRODUCTS = 1u << FUSION_PRODUCTS };
	(void)state;
	assert_int_equal(launches(experts, ROWS | PRODUCTS), 26);
	assert_int_equal(launches(experts, PRODUCTS), 25);
	assert_int_equal(launches(experts, ROWS), 23);
	assert_int_equal(launches(experts, 0), 22);
}

/* The first launch of a family in a block of the prefill program. */
static struct instr *launch_of(struct fixture *f, enum kernel_family family, enum block_kind block, int part)
{
	struct instrs *in = program_instrs(&f->s->programs.at[PHASE_PREFILL], block, part, 0);
	for (int i = 0; i < in->n; i++)
		if (in->at[i].kind == INSTR_LAUNCH && f->s->kernels.at[in->at[i].launch.kernel].family == family)
			return &in->at[i];
	fail_msg("no launch of family %d", (int)family);
	return NULL;
}

static struct instr *collective_of(struct fixture *f, enum block_kind block, int part)
{
	struct instrs *in = program_instrs(&f->s->programs.at[PHASE_PREFILL], block, part, 0);
	for (int i = 0; i < in->n; i++)
		if (in->at[i].kind == INSTR_COLLECTIVE)
			return &in->at[i];
	fail_msg("no collective");
	return NULL;
}

static void holds(struct fixture *f)
{
	const char *wrong = schedule_check(f->s, &f->arena);
	if (wrong)
		fail_msg("%s", wrong);
}

/* Expects a report that contains `what`. */
static void breaks(struct fixture *f, const char *what)
{
	const char *wrong = schedule_check(f->s, &f->arena);
	if (!wrong || !strstr(wrong, what))
		fail_msg("expected \"%s\", the checker says %s", what, wrong ? wrong : "nothing");
}

static void test_sound(void **state) { holds(*state); }

/* The region of workspaces is as large as the largest of them, for each worker. */
static void test_workspace(void **state)
{
	struct fixture *f = *state;
	struct instr *i = launch_of(f, KERNEL_ATTEND, BLOCK_LAYERS, part_loop(0));
	struct address *at = &i->launch.args[ATTEND_WORKSPACE].address;
	int64_t *bytes = &f->s->stages.at[0].bytes[DR_SPACE_WORKSPACE];
	assert_int_equal(at->space, DR_SPACE_WORKSPACE);
	assert_int_equal(*bytes, kernel_workspace(&f->s->kernels.at[i->launch.kernel]));
	--*bytes;
	breaks(f, " of workspace, which has ");
	++*bytes;
	at->offset = 128;
	breaks(f, " of workspace, which has ");
	at->offset = 0;
	at->space = DR_SPACE_TABLE;
	breaks(f, "attend");
	at->space = DR_SPACE_WORKSPACE;
	holds(f);
}

/* A param without a place: the kernel would read the address of another one. */
static void test_param_that_is_not_placed(void **state)
{
	struct fixture *f = *state;
	struct address *a = &launch_of(f, KERNEL_ANGLES, BLOCK_LAYERS, part_loop(0))->launch.args[0].address, was = *a;
	assert_int_equal(a->space, DR_SPACE_LAYER);
	for (int i = 0; i < f->s->params.n; i++) {
		struct placed_param *p = &f->s->params.at[i];
		if (p->space != a->space || p->offset != a->offset)
			continue;
		assert_string_equal(p->param->name, "own");
		*p = f->s->params.at[--f->s->params.n];
	}
	breaks(f, "angles: bytes");
	breaks(f, "where nothing of that extent is placed");
	f->s->params.n++;
	*a = was;
}

static void test_weight_that_is_moved(void **state)
{
	struct fixture *f = *state;
	int64_t *offset = &launch_of(f, KERNEL_CONTRACT, BLOCK_LAYERS, part_loop(0))->launch.args[1].address.offset;
	*offset += 4;
	breaks(f, "where nothing of that extent is placed");
	*offset += 1 << 20;
	breaks(f, "of layer, which has");
	*offset = -4;
	breaks(f, "of layer, which has");
}

/* A kernel that reads past its operand. */
static void test_kernel_that_reads_more(void **state)
{
	struct fixture *f = *state;
	struct kernel *k = &f->s->kernels.at[launch_of(f, KERNEL_EMBED, BLOCK_ONCE, part_outside(0))->launch.kernel];
	k->embed.v += k->embed.pack.n_tile;
	breaks(f, "embed: bytes 0 to");
}

/* Does a result take the place of a buffer, in the pass that reads it last, or the buffer that of another one? */
static bool is_replaced(const struct step_program *p, const struct live *b)
{
	for (int i = 0; i < p->live.n; i++) {
		const struct live *other = &p->live.at[i];
		if (other != b && other->offset == b->offset && (other->first == b->last || other->last == b->first))
			return true;
	}
	return false;
}

/* A buffer read after its bytes were reused for another one. */
static void test_buffer_that_is_dead(void **state)
{
	struct fixture *f = *state;
	enum { OUTPUTS = 3 }; /* tokens, logits, log-probabilities: always alive */
	const struct step_program *p = &f->s->programs.at[PHASE_PREFILL];
	struct live *b = &p->live.at[OUTPUTS];
	while (b->last == b->first || is_replaced(p, b))
		b++;
	b->last--;
	breaks(f, "of act, where nothing");
	b->last++;
	holds(f);
	b->first++;
	breaks(f, "of act, where nothing");
}

/* A kernel whose extents and strides leave its operand, and a collective that moves more than its operand has. */
static void test_operand_that_is_left(void **state)
{
	struct fixture *f = *state;
	struct kernel *k = &f->s->kernels.at[launch_of(f, KERNEL_ROTATE, BLOCK_LAYERS, part_loop(0))->launch.kernel];
	k->rotate.y_row++;
	breaks(f, ": bytes ");
	k->rotate.y_row--;
	holds(f);
	launch_of(f, KERNEL_ATTEND, BLOCK_LAYERS, part_loop(0))->launch.args[ATTEND_M].number.value++;
	breaks(f, "attend: bytes ");
	launch_of(f, KERNEL_ATTEND, BLOCK_LAYERS, part_loop(0))->launch.args[ATTEND_M].number.value--;
	holds(f);
	const struct step_program *p = &f->s->programs.at[PHASE_PREFILL];
	for (int b = 0; b < p->blocks.n; b++)
		for (int i = 0; i < p->blocks.at[b].body->n; i++) {
			struct instr *in = &p->blocks.at[b].body->at[i];
			if (in->kind != INSTR_COLLECTIVE)
				continue;
			in->collective.block.value++;
			breaks(f, ": bytes ");
			in->collective.block.value--;
			holds(f);
		}
}

/* An instruction that does not wait for another queue's, where both touch the same bytes. */
static void test_queues(void **state)
{
	struct fixture *f = *state;
	struct instrs *in = program_instrs(&f->s->programs.at[PHASE_PREFILL], BLOCK_LAYERS, part_loop(0), 0);
	int waits = 0;
	for (int i = 0; i < in->n; i++) {
		bool launch = in->at[i].kind == INSTR_LAUNCH;
		assert_int_equal(in->at[i].queue, launch ? QUEUE_COMPUTE : QUEUE_REDUCTIONS);
		for (int q = 0; q < QUEUES; q++) {
			int earlier = in->at[i].wait[q];
			if (!earlier)
				continue;
			assert_int_not_equal(q, in->at[i].queue);
			assert_in_range(earlier, 1, i);
			assert_true(in->at[earlier - 1].event);
			in->at[i].wait[q] = 0;
			breaks(f, f->s->op_names.at[in->at[i].op]);
			breaks(f, "does not wait for an instruction that touches the same bytes");
			in->at[i].wait[q] = earlier;
			holds(f);
			waits++;
		}
	}
	assert_true(waits >= 4); /* two sums of each layer's block, each between its producer and its reader */
}

/* Expects that an instruction that skips a wait for another queue may run too early. Returns the number of waits. */
static int needed(struct fixture *f, const struct instr *i, int wait[QUEUES])
{
	int n = 0;
	for (int q = 0; q < QUEUES; q++) {
		int other = wait[q];
		wait[q] = 0;
		if (other)
			breaks(f, "does not wait for an instruction that touches the same bytes");
		n += other != 0;
		wait[q] = other;
	}
	assert_int_equal(wait[i->queue], 0);
	return n;
}

/* Only the host waits for the number of rounds. */
static void test_queues_of_experts(void **state)
{
	struct fixture *f = *state;
	struct instrs *in = program_instrs(&f->s->programs.at[PHASE_PREFILL], BLOCK_LAYERS, part_loop(0), 0);
	int asked = 0;
	for (int i = 0; i < in->n; i++) {
		struct instr *at = &in->at[i];
		needed(f, at, at->wait);
		needed(f, at, at->again);
		if (at->kind != INSTR_ROUNDS_BEGIN)
			continue;
		asked++;
		assert_true(at->rounds.group >= 0);
		assert_int_equal(at->queue, QUEUE_HOST);
		assert_int_equal(at->wait[QUEUE_COMPUTE], i); /* the instruction before it sorts the assignments */
		for (int q = 0; q < QUEUES; q++)
			assert_true(q == QUEUE_COMPUTE || !at->wait[q]);
	}
	assert_int_equal(asked, 1);
	holds(f);
}

/* A kernel that overwrites what a collective of the round before sends waits for it, but not in the first round. */
static void test_queues_of_rounds(void **state)
{
	struct fixture *f = *state;
	struct step_program *p = &f->s->programs.at[PHASE_PREFILL];
	struct instrs *in = program_instrs(p, BLOCK_LAYERS, part_loop(0), 0);
	for (int i = 0; i < p->live.n; i++) /* instructions change their numbers here */
		p->live.at[i].first = 0;
	int at = (int)(collective_of(f, BLOCK_LAYERS, part_loop(0)) - in->at),
		reduces = f->s->collectives.at[in->at[at].collective.index].group;
	assert_int_equal(in->at[at].wait[QUEUE_COMPUTE], at); /* the launch before it, which is instruction `at` */
	struct instr list[] = {{.kind = INSTR_ROUNDS_BEGIN,
	                        .rounds = {.group = reduces,
	                                   .dests = 1,
	                                   .local = 1,
	                                   .start = in->at[at].collective.src,
	                                   .tokens = &f->s->groups.at[reduces]}},
	                       in->at[at - 1],
	                       in->at[at],
	                       {.kind = INSTR_ROUNDS_END}};
	for (int i = 0; i < 4; i++) {
		memset(list[i].wait, 0, sizeof list[i].wait);
		in->at[i] = list[i];
	}
	in->n = 4;
	set_queues(f->s, &f->arena);
	holds(f);
	assert_int_equal(in->at[1].again[QUEUE_REDUCTIONS], 3);
	assert_int_equal(needed(f, &in->at[1], in->at[1].again), 1);
	assert_int_equal(needed(f, &in->at[2], in->at[2].wait), 1);
	in->at[1].wait[QUEUE_REDUCTIONS] = 5;
	breaks(f, "does not wait for an instruction");
}

static void test_state(void **state)
{
	struct fixture *f = *state;
	struct address *cache = &launch_of(f, KERNEL_APPEND, BLOCK_LAYERS, part_loop(0))->launch.args[APPEND_CACHE].address;
	assert_int_equal(f->s->states.n, 4);
	assert_int_equal(f->s->states.at[3].offset + f->s->states.at[3].bytes, f->s->bodies[0].state_bytes);
	cache->offset = f->s->states.at[3].offset;
	holds(f);
	f->s->states.n--;
	breaks(f, "of state, where nothing");
}

/* A state outside the loop, used by a stage that does not hold it. */
static void test_state_of_another_stage(void **state)
{
	struct fixture *f = *state;
	struct placed_state *s = &f->s->states.at[0];
	struct address *cache = &launch_of(f, KERNEL_APPEND, BLOCK_LAYERS, part_loop(0))->launch.args[APPEND_CACHE].address;
	for (int i = 0; i < f->s->stages.n; i++)
		f->s->stages.at[i].bytes[DR_SPACE_STATE_OUTSIDE] = s->bytes;
	*cache = (struct address){DR_SPACE_STATE_OUTSIDE, 0};
	*s = (struct placed_state){.body = -1, .part = part_outside(0), .bytes = s->bytes};
	breaks(f, "of state outside, where nothing");
	s->part = part_outside(1);
	breaks(f, "of state outside, where nothing");
	s->part = PART_EVERY;
	breaks(f, "attend: ");
}

/* The first and the last stage read states outside the loop of their own parts of a step, and not the other's. */
static void test_states_of_both_ends(void **state)
{
	struct fixture *f = *state;
	struct address *first = &launch_of(f, KERNEL_EMBED, BLOCK_ONCE, part_outside(0))->launch.args[1].address,
				   *last = &launch_of(f, KERNEL_CANDIDATES, BLOCK_ONCE, part_outside(1))->launch.args[0].address;
	const struct address outside = {DR_SPACE_STATE_OUTSIDE, 0}, was_first = *first, was_last = *last;
	vec_push(&f->arena, &f->s->states, ((struct placed_state){.body = -1, .bytes = 1 << 20}));
	struct placed_state *s = &f->s->states.at[f->s->states.n - 1];
	for (int i = 0; i < f->s->stages.n; i++)
		f->s->stages.at[i].bytes[DR_SPACE_STATE_OUTSIDE] = s->bytes;
	for (int at_last = 0; at_last < 2; at_last++)
		for (int of_last = 0; of_last < 2; of_last++) {
			s->part = part_outside(of_last);
			*(at_last ? last : first) = outside;
			const char *wrong = schedule_check(f->s, &f->arena);
			bool refused = wrong && strstr(wrong, "of state outside, where nothing");
			assert_int_equal(refused, at_last != of_last);
			*first = was_first, *last = was_last;
		}
	holds(f);
}

static void test_stage_without_the_space(void **state)
{
	struct fixture *f = *state;
	struct address *a = &launch_of(f, KERNEL_CONTRACT, BLOCK_LAYERS, part_loop(0))->launch.args[1].address;
	*a = launch_of(f, KERNEL_EMBED, BLOCK_ONCE, part_outside(0))->launch.args[0].address;
	assert_int_equal(a->space, DR_SPACE_OUTSIDE);
	breaks(f, "of outside, ");
	a->space = DR_SPACES;
	breaks(f, "an address in no space");
}

static void test_write_to_a_weight(void **state)
{
	struct fixture *f = *state;
	struct instr *i = launch_of(f, KERNEL_CONTRACT, BLOCK_LAYERS, part_loop(0));
	i->launch.args[2].address = i->launch.args[1].address;
	breaks(f, "writes to layer");
}

static void test_input_and_table(void **state)
{
	struct fixture *f = *state;
	struct address *ids = &launch_of(f, KERNEL_EMBED, BLOCK_ONCE, part_outside(0))->launch.args[1].address;
	ids->offset += 4;
	breaks(f, "of input, where nothing");
	ids->offset -= 4;
	holds(f);
	for (int i = 0; i < f->s->constants.n; i++)
		f->s->constants.at[i].n--;
	breaks(f, "of table, where nothing");
}

static void test_params_overlap(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < f->s->params.n; i++)
		if (!strcmp(f->s->params.at[i].param->name, "own"))
			f->s->params.at[i].bytes += 64;
	breaks(f, "overlap");
}

static void test_param_that_loses_a_part(void **state)
{
	struct fixture *f = *state;
	f->s->params.at[0].axes[0].local--;
	breaks(f, "is not conserved");
}

static void test_arguments(void **state)
{
	struct fixture *f = *state;
	struct instr *i = launch_of(f, KERNEL_ATTEND, BLOCK_LAYERS, part_loop(0));
	i->launch.n_args--;
	breaks(f, "is given 8 arguments");
	i->launch.n_args++;
	i->launch.args[ATTEND_SEQ].kind = ARGUMENT_NUMBER;
	breaks(f, "SEQ of attend_0 is a number");
	i->launch.args[ATTEND_SEQ].kind = ARGUMENT_BUFFER;
	breaks(f, "a buffer that nobody placed");
	i->launch.args[ATTEND_SEQ].kind = ARGUMENT_PLACED;
	i->launch.args[ATTEND_M].number.div = 0;
	breaks(f, "attend_0 divides by 0");
	i->launch.args[ATTEND_M].number.div = 1;
	i->kind = (enum instr_kind)9;
	breaks(f, "an instruction of no kind");
}

static void test_group_over_stages(void **state)
{
	struct fixture *f = *state;
	f->s->collectives.at[collective_of(f, BLOCK_LAYERS, part_loop(0))->collective.index].group = f->s->stage_group;
	breaks(f, "a collective over pp, which ranks of one stage only enter");
}

/* A stage receives what the previous one sends. */
static struct step_block *block_of(struct fixture *f, enum block_kind kind, int part)
{
	struct step_program *p = &f->s->programs.at[PHASE_PREFILL];
	for (int i = 0; i < p->blocks.n; i++)
		if (p->blocks.at[i].kind == kind && p->blocks.at[i].part == part)
			return &p->blocks.at[i];
	fail_msg("no block of kind %d", (int)kind);
	return NULL;
}

static void runs_on(struct fixture *f, enum block_kind kind, int part, int begin, int end)
{
	const struct step_block *b = block_of(f, kind, part);
	assert_int_equal(b->stages.begin, begin);
	assert_int_equal(b->stages.end, end);
}

/* What lies between two loops is on the stage where the second begins, which receives what the first carried. */
static void test_parts_and_stages(void **state)
{
	struct fixture *f = *state;
	runs_on(f, BLOCK_ONCE, PART_EVERY, 0, 4);
	runs_on(f, BLOCK_ONCE, part_outside(0), 0, 1);
	runs_on(f, BLOCK_LAYERS, part_loop(0), 0, 2);
	runs_on(f, BLOCK_SEND, part_loop(0), 0, 2);
	runs_on(f, BLOCK_RECEIVE, part_loop(0), 1, 3);
	runs_on(f, BLOCK_ONCE, part_outside(1), 2, 3);
	runs_on(f, BLOCK_LAYERS, part_loop(1), 2, 4);
	runs_on(f, BLOCK_SEND, part_loop(1), 2, 3);
	runs_on(f, BLOCK_RECEIVE, part_loop(1), 3, 4);
	runs_on(f, BLOCK_ONCE, part_outside(2), 3, 4);
	static const int64_t outside[] = {64 * 16 * 4, 0, 16 * 4, 64 * 16 * 4};
	for (int i = 0; i < 4; i++)
		assert_int_equal(f->s->stages.at[i].bytes[DR_SPACE_OUTSIDE], outside[i]);
	holds(f);
	block_of(f, BLOCK_ONCE, part_outside(1))->stages = (struct stage_range){1, 2};
	breaks(f, "of outside, ");
	block_of(f, BLOCK_ONCE, part_outside(1))->stages = (struct stage_range){2, 3};
	block_of(f, BLOCK_RECEIVE, part_loop(0))->stages.end--;
	breaks(f, "stages 1 and 2 do not pass what one loop carries");
	block_of(f, BLOCK_RECEIVE, part_loop(1))->stages.begin--;
	breaks(f, "stages 1 and 2 do not pass what one loop carries");
}

static void test_messages(void **state)
{
	struct fixture *f = *state;
	struct step_program *p = &f->s->programs.at[PHASE_PREFILL];
	for (int i = 0; i < p->live.n; i++) /* instructions change their numbers here */
		p->live.at[i].first = 0;
	struct instrs *out = program_instrs(p, BLOCK_SEND, part_loop(0), 0),
				  *in = program_instrs(p, BLOCK_RECEIVE, part_loop(0), 0);
	assert_int_equal(out->n, 1);
	assert_int_equal(in->n, 1);
	struct collective *sent = &f->s->collectives.at[out->at[0].collective.index];
	sent->group = f->s->logits_group;
	breaks(f, "a message between ranks that are not stages");
	sent->group = f->s->stage_group;
	sent->kind = DR_RECV;
	breaks(f, "a stage without a previous neighbour receives");
	sent->kind = DR_SEND;
	sent->dtype = DTYPE_BF16;
	breaks(f, "receives another message than was sent");
	sent->dtype = DTYPE_F32;
	in->at[0].collective.block.value--;
	breaks(f, "receives another message than was sent");
	in->at[0].collective.block.value++;
	in->at[0].collective.dst.address.offset += 64;
	breaks(f, "where nothing of that extent is placed");
	in->at[0].collective.dst.address.offset -= 64;
	out->n = 0;
	breaks(f, "different numbers of messages");
	out->n = 1;
	int64_t mailbox = f->s->comm_mailbox;
	f->s->comm_mailbox = 64;
	breaks(f, "a message larger than the mailbox");
	f->s->comm_mailbox = mailbox;
	holds(f);
	struct instrs *last = program_instrs(p, BLOCK_ONCE, part_outside(1), 0), was = *last;
	*last = *out;
	breaks(f, "a stage without a next neighbour sends");
	*last = was;
	holds(f);
}

static void test_pipeline(void **state)
{
	struct fixture *f = *state;
	f->s->pipeline.stages++;
	breaks(f, "a pipeline that its stages cannot run");
	f->s->pipeline.stages--;
	f->s->pipeline.chunks = 2;
	breaks(f, "a pipeline that its stages cannot run");
	f->s->pipeline.chunks = 1;
	f->s->pipeline.order = PIPELINE_INTERLEAVED; /* one microbatch, two stages */
	breaks(f, "a pipeline that its stages cannot run");
}

/* In rounds, a collective over ranks with different tokens, which may run different numbers of rounds. */
static void test_rounds(void **state)
{
	struct fixture *f = *state;
	struct instrs *part = program_instrs(&f->s->programs.at[PHASE_PREFILL], BLOCK_LAYERS, part_loop(0), 0);
	for (int i = 0; i < f->s->programs.at[PHASE_PREFILL].live.n; i++) /* instructions change their numbers here */
		f->s->programs.at[PHASE_PREFILL].live.at[i].first = 0;
	struct instr collective = *collective_of(f, BLOCK_LAYERS, part_loop(0));
	memset(collective.wait, 0, sizeof collective.wait);
	int over = f->s->collectives.at[collective.collective.index].group, alone = 0;
	while (f->s->groups.at[alone].n)
		alone++;
	struct instr begin = {.kind = INSTR_ROUNDS_BEGIN,
	                      .rounds = {.group = alone,
	                                 .dests = 1,
	                                 .local = 1,
	                                 .start = collective.collective.src,
	                                 .tokens = &f->s->groups.at[over]}};
	part->at[0] = begin;
	part->at[1] = collective;
	part->at[2] = (struct instr){.kind = INSTR_ROUNDS_END};
	part->n = 3;
	set_queues(f->s, &f->arena);
	breaks(f, "whose ranks count other rounds");
	part->at[0].rounds.group = -1; /* always one round */
	holds(f);
	part->at[0].rounds.group = over; /* the same number for all */
	holds(f);
	part->n = 2;
	breaks(f, "rounds without an end");
	part->at[1] = begin;
	breaks(f, "rounds in rounds");
	part->at[0] = (struct instr){.kind = INSTR_ROUNDS_END};
	breaks(f, "have no begin");
}

/* The copy of a family's first launch that has `buffer` for its first operand of a direction. */
static struct instr with_buffer(struct fixture *f, enum kernel_family family, enum block_kind block, int part,
                                enum arg_direction direction, int buffer)
{
	struct instr i = *launch_of(f, family, block, part);
	struct argument *args = arena_array(&f->arena, struct argument, i.launch.n_args);
	memcpy(args, i.launch.args, sizeof *args * (size_t)i.launch.n_args);
	i.launch.args = args;
	struct memory_operands o = instr_operands(f->s, &i);
	for (int k = 0; k < o.n; k++)
		if (o.at[k].direction == direction) {
			*o.at[k].argument = (struct argument){.kind = ARGUMENT_BUFFER, .buffer = buffer};
			return i;
		}
	fail_msg("no such operand");
	return i;
}

/* On a GPU nothing is staged on the host, messages between stages have no mailbox, and a kernel makes tiles of weights.
 */
static void test_gpu(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(f->s->comm_staging + f->s->comm_mailbox + f->s->comm_device, 0);
	for (int i = 0; i < f->s->stages.n; i++)
		assert_int_equal(f->s->stages.at[i].bytes[DR_SPACE_COMM], 0);
	assert_int_equal(f->s->kernels.at[f->s->tile_kernel].family, KERNEL_TILE);
	assert_int_equal(f->s->tile_row, 64 * 4); /* of wo, 4 heads of 16 f32; 48 of ffn are padded to as much */
	assert_true(f->s->stages.at[0].bytes[DR_SPACE_ACT] >= f->s->tile_row);
	holds(f);
}

/* Two ranks: an all-to-all of [T / 2][2][16] f32 is packed before it. Its result [2][T / 2 * 16] is one run of each. */
static void test_staging(void **state)
{
	struct fixture *f = *state;
	int64_t tokens = f->s->programs.at[PHASE_PREFILL].max_tokens;
	assert_int_equal(f->s->comm_device, round_up(tokens * 16 * 4, 256));
	assert_int_equal(f->s->stages.at[0].bytes[DR_SPACE_COMM], f->s->comm_device);
	holds(f);
}

/* What each kind needs, with 3 blocks of 5 f32 for each of 2 members. */
static void test_staging_of_kinds(void **state)
{
	static const struct {
		enum dr_collective_kind kind;
		int64_t outer, block, dst_block, bytes;
	} cases[] = {
		{DR_ALL_REDUCE, 3, 5, 5, 0},       {DR_SEND, 3, 5, 5, 0},
		{DR_ALL_GATHER, 1, 15, 15, 0},     {DR_ALL_GATHER, 3, 5, 5, 120},
		{DR_REDUCE_SCATTER, 1, 15, 15, 0}, {DR_REDUCE_SCATTER, 3, 5, 5, 256},
		{DR_ALL_TO_ALL, 1, 15, 15, 0},     {DR_ALL_TO_ALL, 3, 5, 15, 256},
		{DR_ALL_TO_ALL, 1, 15, 5, 120},    {DR_ALL_TO_ALL, 3, 5, 5, 376},
	};
	struct fixture *f = *state;
	struct instr i = *collective_of(f, BLOCK_LAYERS, part_loop(0));
	struct collective *c = &f->s->collectives.at[i.collective.index];
	struct step_values max = step_values_max(f->s, &f->s->programs.at[PHASE_PREFILL], &f->arena);
	assert_int_equal(f->s->groups.at[c->group].size, 2);
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		c->kind = cases[k].kind;
		i.collective.outer = number_const(cases[k].outer);
		i.collective.block = number_const(cases[k].block);
		i.collective.dst_block = number_const(cases[k].dst_block);
		assert_int_equal(step_staging(f->s, &i, &max), cases[k].bytes);
	}
}

/* A read of a buffer that nothing wrote, or whose bytes another one has taken. */
static void test_buffers(void **state)
{
	struct fixture *f = *state;
	struct instr part[] = {
		with_buffer(f, KERNEL_EMBED, BLOCK_ONCE, part_outside(0), ARG_OUT, 0),
		with_buffer(f, KERNEL_EMBED, BLOCK_ONCE, part_outside(0), ARG_OUT, 1),
		with_buffer(f, KERNEL_APPEND, BLOCK_LAYERS, part_loop(0), ARG_IN, 0),
	};
	struct instrs body = {.at = part, .n = 3};
	struct step_block block = {BLOCK_ONCE, part_outside(0), {0, 1}, .body = &body, .n = 1};
	struct step_program step = {.blocks = {.at = &block, .n = 1}};
	struct buffer buffers[] = {{.offset = 0, .bytes = 64}, {.offset = 64, .bytes = 64}};
	struct lower w = {.s = f->s, .arena = &f->arena, .step = &step, .buffers = {.at = buffers, .n = 2}};
	assert_null(buffers_check(&w));
	buffers[1].offset = 63;
	assert_non_null(strstr(buffers_check(&w), "append kc reads buffer 0, which 1 has overwritten"));
	body.at++, body.n--;
	assert_non_null(strstr(buffers_check(&w), "append kc reads buffer 0, which nothing wrote"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_sound),
		TEST(test_param_that_is_not_placed),
		TEST(test_weight_that_is_moved),
		TEST(test_kernel_that_reads_more),
		TEST(test_buffer_that_is_dead),
		TEST(test_buffers),
		TEST(test_operand_that_is_left),
		TEST(test_workspace),
		TEST(test_queues),
		TEST(test_state),
		TEST(test_state_of_another_stage),
		TEST(test_states_of_both_ends),
		TEST(test_stage_without_the_space),
		TEST(test_write_to_a_weight),
		TEST(test_input_and_table),
		TEST(test_params_overlap),
		TEST(test_param_that_loses_a_part),
		TEST(test_arguments),
		TEST(test_group_over_stages),
		TEST(test_pipeline),
		TEST(test_messages),
		TEST(test_rounds),
		TEST(test_queues_of_rounds),
		cmocka_unit_test(test_fusion),
		cmocka_unit_test_setup_teardown(test_queues_of_experts, setup_experts, teardown),
		cmocka_unit_test_setup_teardown(test_gpu, setup_gpu, teardown),
		cmocka_unit_test_setup_teardown(test_staging, setup_gathered, teardown),
		TEST(test_staging_of_kinds),
		cmocka_unit_test_setup_teardown(test_parts_and_stages, setup_loops, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
