/* Step programs and tables of a hand-made schedule: emitted, loaded into this process, and run with a runtime that only
 * records calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <llvm-c/LLJIT.h>
#include <string.h>
#include "../../codegen/module.h"

/* ---- the runtime of these tests -------------------------------------------------------------- */
static struct text calls;
static int32_t rounds_wanted;

void dr_launch(struct dr_frame *f, int32_t kernel, int32_t op, const uint64_t *args, int32_t n_args)
{
	text_add(&calls, "launch %d op %d layer %d:", kernel, op, f->layer);
	for (int32_t i = 0; i < n_args; i++)
		text_add(&calls, " %llu", (unsigned long long)args[i]);
	text_add(&calls, "\n");
}

void dr_collective(struct dr_frame *f, int32_t collective, int32_t op, uint64_t src, uint64_t dst, int64_t outer,
                   int64_t block, int64_t dst_block)
{
	(void)dst_block;
	text_add(&calls, "collective %d op %d layer %d: %llu -> %llu, %lld x %lld\n", collective, op, f->layer,
	         (unsigned long long)src, (unsigned long long)dst, (long long)outer, (long long)block);
}

int32_t dr_rounds(struct dr_frame *f, int32_t group, int32_t op, uint64_t start, int32_t dests, int32_t local,
                  int64_t capacity)
{
	(void)f;
	text_add(&calls, "rounds over %d op %d: %llu, %d x %d, %lld\n", group, op, (unsigned long long)start, dests, local,
	         (long long)capacity);
	return rounds_wanted;
}

int dr_main(int argc, char **argv)
{
	(void)argv;
	return argc + 40;
}

/* ---- a program, loaded ----------------------------------------------------------------------- */
struct loaded {
	LLVMOrcLLJITRef jit;
	const dr_step_fn *step;
	const unsigned char *blob;
	const struct dr_image *image;
	int (*main)(int, char **);
	int layers; /* of a stage */
};

static void must(LLVMErrorRef error)
{
	if (error)
		fail_msg("%s", LLVMGetErrorMessage(error));
}

static void *lookup(LLVMOrcLLJITRef jit, const char *name)
{
	LLVMOrcExecutorAddress at;
	must(LLVMOrcLLJITLookup(jit, &at, name));
	return (void *)(uintptr_t)at;
}

static void define_runtime(LLVMOrcLLJITRef jit)
{
	const struct {
		const char *name;
		uintptr_t at;
	} functions[] = {
		{"dr_launch", (uintptr_t)dr_launch},
		{"dr_collective", (uintptr_t)dr_collective},
		{"dr_rounds", (uintptr_t)dr_rounds},
		{"dr_main", (uintptr_t)dr_main},
	};
	LLVMOrcCSymbolMapPair pairs[4];
	for (int i = 0; i < 4; i++) {
		LLVMJITSymbolFlags flags = {LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable, 0};
		pairs[i].Name = LLVMOrcLLJITMangleAndIntern(jit, functions[i].name);
		pairs[i].Sym = (LLVMJITEvaluatedSymbol){functions[i].at, flags};
	}
	must(LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(jit), LLVMOrcAbsoluteSymbols(pairs, 4)));
}

static struct loaded load(const struct schedule *s, int level)
{
	const struct codegen_options options = {.level = level, .plan_text = "the plan"};
	struct loaded l = {.layers = 2};
	LLVMMemoryBufferRef object = codegen_buffer(s, &options, CODEGEN_OBJ);
	must(LLVMOrcCreateLLJIT(&l.jit, NULL));
	define_runtime(l.jit);
	must(LLVMOrcLLJITAddObjectFile(l.jit, LLVMOrcLLJITGetMainJITDylib(l.jit), object));
	l.step = lookup(l.jit, "dr_step_table");
	assert_ptr_equal(*(void *const *)&l.step[PHASE_DECODE], lookup(l.jit, "dr_step_decode"));
	*(void **)&l.main = lookup(l.jit, "main");
	l.blob = lookup(l.jit, "dr_blob");
	l.image = lookup(l.jit, "dr_image");
	return l;
}

static void unload(struct loaded *l) { must(LLVMOrcDisposeLLJIT(l->jit)); }

/* ---- the schedule of these tests ------------------------------------------------------------- */
/* A block; a loop's layers are all of the model. */
static void add_block(struct arena *a, struct step_program *p, enum block_kind kind, int part, struct stage_range on)
{
	struct step_block b = {kind, part, on, .layer_end = 2 * on.end, .body = arena_array(a, struct instrs, 1), .n = 1};
	vec_push(a, &p->blocks, b);
}

static struct schedule *make_schedule(struct arena *a, int stages)
{
	struct schedule *s = arena_new(a, struct schedule);
	struct deploy *d = arena_new(a, struct deploy);
	d->name = "small";
	d->model_name = "tiny";
	d->program = arena_new(a, struct program);
	vec_push(a, &d->program->loops, ((struct loop){.index = "layer", .n_bodies = 1, .turns = 2 * stages}));
	vec_push(a, &d->program->bodies, ((struct body){.turns = 2 * stages}));
	s->deploy = d;
	s->target = target_cpu(8, false);
	s->stage_group = stages > 1 ? 0 : -1;
	s->owner_group = s->logits_group = -1;
	s->ranks = stages;
	s->vocab = 96;
	s->n_pools = 2;
	vec_push(a, &s->atoms, ((struct atom){.name = "pp", .size = 2, .stride = 1}));
	vec_push(a, &s->groups, ((struct group){.atom = {0}, .n = 1, .size = 2}));
	struct kernel offsets = {.family = KERNEL_OFFSETS, .name = "offsets_0", .offsets = {.local = 2}};
	vec_push(a, &s->kernels, offsets);
	for (int i = 0; i < stages; i++)
		vec_push(a, &s->stages, ((struct stage){.layer_begin = 2 * i, .layer_end = 2 * i + 2}));
	s->n_bodies = 1;
	s->bodies = arena_array(a, struct layer_body, 1);
	s->bodies[0] = (struct layer_body){256, 64, 2 * stages};
	s->body_of = arena_array(a, int, 2 * stages);
	for (int phase = 0; phase < PHASES; phase++) {
		struct step_program p = {.name = phase_name(phase), .output = {-1, -1, -1}, .max_tokens = 8 - phase};
		const struct stage_range all = {0, stages}, first = {0, 1}, last = {stages - 1, stages};
		add_block(a, &p, BLOCK_ONCE, PART_EVERY, all);
		add_block(a, &p, BLOCK_ONCE, part_outside(0), first);
		add_block(a, &p, BLOCK_RECEIVE, part_loop(0), (struct stage_range){1, stages});
		add_block(a, &p, BLOCK_LAYERS, part_loop(0), all);
		add_block(a, &p, BLOCK_SEND, part_loop(0), (struct stage_range){0, stages - 1});
		add_block(a, &p, BLOCK_ONCE, part_outside(1), last);
		vec_push(a, &s->programs, p);
	}
	vec_push(a, &s->op_names, "embed");
	vec_push(a, &s->op_names, "layer: mlp");
	return s;
}

static struct argument at(enum dr_space space, int64_t offset)
{
	return (struct argument){.kind = ARGUMENT_PLACED, .address = {space, offset}};
}

static struct argument count(enum number_kind kind, int64_t value, int64_t div, int group)
{
	return (struct argument){.number = {kind, value, div, group}};
}

static struct instr launch_of(struct arena *a, int op, const struct argument *args, int n)
{
	struct instr in = {
		.kind = INSTR_LAUNCH, .op = op, .launch = {.args = arena_array(a, struct argument, n), .n_args = n}};
	memcpy(in.launch.args, args, sizeof *args * (size_t)n);
	return in;
}

static void launch(struct arena *a, struct step_program *p, int part, int op, const struct argument *args, int n)
{
	enum block_kind kind = part_is_loop(part) ? BLOCK_LAYERS : BLOCK_ONCE;
	vec_push(a, program_instrs(p, kind, part, 0), launch_of(a, op, args, n));
}

/* The two lines of a text, the second one first. */
static const char *backwards(struct arena *a, const char *text)
{
	const char *second = strchr(text, '\n') + 1;
	return arena_printf(a, "%s%.*s", second, (int)(second - text), text);
}

/* body_of: of the stage's layers. */
static void run_layers(const struct loaded *l, enum phase phase, int stage, int stages, const uint32_t *body_of)
{
	static const int32_t index[] = {1, 0};
	struct dr_frame f = {.index = index,
	                     .body_of = body_of,
	                     .stage = stage,
	                     .stages = stages,
	                     .first_layer = stage * l->layers,
	                     .layers = l->layers,
	                     .tokens = 6,
	                     .rows = 4,
	                     .pages = {9, 3},
	                     .candidates = 5};
	static const enum dr_space spaces[] = {DR_SPACE_LAYER, DR_SPACE_TABLE, DR_SPACE_OUTSIDE,
	                                       DR_SPACE_EVERY, DR_SPACE_STATE, DR_SPACE_ACT};
	for (unsigned i = 0; i < sizeof spaces / sizeof *spaces; i++)
		f.base[spaces[i]] = 1000 * (i + 1);
	calls.n = 0;
	l->step[phase](&f);
}

static void run_step(const struct loaded *l, enum phase phase, int stage, int stages)
{
	static const uint32_t body_of[] = {0, 1, 1, 0};
	run_layers(l, phase, stage, stages, body_of);
}

/* ---- tests ----------------------------------------------------------------------------------- */
static void check_order(int level)
{
	struct arena a = {0};
	calls = (struct text){.arena = &a};
	struct schedule *s = make_schedule(&a, 1);
	struct step_program *step = &s->programs.at[PHASE_PREFILL];
	struct argument shifted = at(DR_SPACE_ACT, 8);
	shifted.number = (struct number){NUMBER_INDEX_TOKENS, 12, 2, 0};
	launch(&a, step, PART_EVERY, 0, (struct argument[]){count(NUMBER_CONST, 7, 0, 0), shifted}, 2);
	launch(&a, step, part_outside(0), 0,
	       (struct argument[]){count(NUMBER_TOKENS, 3, 2, 0), count(NUMBER_ROWS, 5, 1, 0)}, 2);
	launch(&a, step, part_loop(0), 1,
	       (struct argument[]){at(DR_SPACE_LAYER, 16), count(NUMBER_INDEX, 9, 0, 0), count(NUMBER_INDEX, 9, 0, -1)}, 3);
	launch(&a, step, part_outside(1), 0, (struct argument[]){at(DR_SPACE_OUTSIDE, 4)}, 1);
	struct loaded l = load(s, level);
	run_step(&l, PHASE_PREFILL, 0, 1);
	assert_string_equal(calls.at, "launch 0 op 0 layer -1: 7 6044\n"
	                              "launch 0 op 0 layer -1: 9 20\n"
	                              "launch 0 op 1 layer 0: 1016 9 0\n"
	                              "launch 0 op 1 layer 1: 1272 9 0\n"
	                              "launch 0 op 0 layer -1: 3004\n");
	run_step(&l, PHASE_DECODE, 0, 1);
	assert_int_equal(calls.n, 0);
	unload(&l);
	arena_free(&a);
}

static void order_of_a_step(void **state)
{
	(void)state;
	for (int level = 0; level <= 3; level++)
		check_order(level);
}

/* Generated code and compiler passes compute the same values of numbers. */
static void numbers(void **state)
{
	(void)state;
	static const int64_t index[] = {1, 0};
	const struct step_values values = {.tokens = 6, .rows = 4, .pages = {9, 3}, .candidates = 5, .index = index};
	struct arena a = {0};
	calls = (struct text){.arena = &a};
	struct text expected = {.arena = &a};
	struct schedule *s = make_schedule(&a, 1);
	struct argument all[NUMBER_CANDIDATES + 1];
	int n = 0;
	text_add(&expected, "launch 0 op 0 layer -1:");
	for (int kind = NUMBER_CONST; kind <= NUMBER_CANDIDATES; kind++) {
		if (kind == NUMBER_EXCHANGE_ROUND)
			continue;
		all[n] = count((enum number_kind)kind, 10, kind % 2 ? 4 : 1, kind == NUMBER_PAGES);
		text_add(&expected, " %lld", (long long)step_number(&all[n++].number, &values));
	}
	text_add(&expected, "\n");
	assert_string_equal(expected.at, "launch 0 op 0 layer -1: 10 15 40 7 10 15 40 200\n");
	launch(&a, &s->programs.at[PHASE_PREFILL], PART_EVERY, 0, all, n);
	struct loaded l = load(s, 2);
	run_step(&l, PHASE_PREFILL, 0, 1);
	assert_string_equal(calls.at, expected.at);
	unload(&l);
	arena_free(&a);
}

/* A block that goes backwards, over layers of two bodies. */
static void layers_from_the_last_to_the_first(void **state)
{
	(void)state;
	struct arena a = {0};
	calls = (struct text){.arena = &a};
	struct schedule *s = make_schedule(&a, 1);
	struct layer_body bodies[2] = {{256, 64, 1}, {32, 8, 1}};
	s->bodies = bodies;
	s->n_bodies = 2;
	struct step_program *p = &s->programs.at[PHASE_PREFILL];
	struct step_block back = {
		BLOCK_LAYERS_BACK, part_loop(0), {0, 1}, .layer_end = 4, .body = arena_array(&a, struct instrs, 2), .n = 2};
	p->blocks.n = 0;
	vec_push(&a, &p->blocks, back);
	for (int body = 0; body < 2; body++) {
		struct argument args[] = {count(NUMBER_CONST, body, 0, 0), at(DR_SPACE_LAYER, 0), at(DR_SPACE_STATE, 0)};
		vec_push(&a, &p->blocks.at[0].body[body], launch_of(&a, 0, args, 3));
	}
	struct loaded l = load(s, 2);
	l.layers = 4;
	run_step(&l, PHASE_PREFILL, 0, 1);
	assert_string_equal(calls.at, "launch 0 op 0 layer 3: 0 1320 5080\n"
	                              "launch 0 op 0 layer 2: 1 1288 5072\n"
	                              "launch 0 op 0 layer 1: 1 1256 5064\n"
	                              "launch 0 op 0 layer 0: 0 1000 5000\n");
	unload(&l);
	arena_free(&a);
}

/* Two loops, of one body and of two, on three stages: each runs its layers of both, at their params and pages. */
static void layers_of_two_loops(void **state)
{
	(void)state;
	static const char *const expected[] = {"launch 0 op 0 layer 0: 0 1000 5000\n"
	                                       "launch 0 op 0 layer 1: 0 1256 5064\n",
	                                       "launch 0 op 0 layer 0: 0 1000 5000\n"
	                                       "launch 0 op 0 layer 1: 1 1256 5064\n",
	                                       "launch 0 op 0 layer 0: 2 1000 5000\n"
	                                       "launch 0 op 0 layer 1: 1 1032 5008\n"};
	static const uint32_t body_of[] = {0, 0, 0, 1, 2, 1};
	struct layer_body bodies[3] = {{256, 64, 3}, {16, 4, 2}, {32, 8, 1}};
	for (int back = 0; back < 2; back++) {
		struct arena a = {0};
		calls = (struct text){.arena = &a};
		struct schedule *s = make_schedule(&a, 3);
		struct step_program *p = &s->programs.at[PHASE_PREFILL];
		s->bodies = bodies;
		s->n_bodies = 3;
		p->blocks.n = 0;
		enum block_kind kind = back ? BLOCK_LAYERS_BACK : BLOCK_LAYERS;
		struct step_block first = {kind, part_loop(0), {0, 2}, 0, 3, 0, arena_array(&a, struct instrs, 1), 1};
		struct step_block second = {kind, part_loop(1), {1, 3}, 3, 6, 1, arena_array(&a, struct instrs, 2), 2};
		for (int body = 0; body < 3; body++) {
			struct argument args[] = {count(NUMBER_CONST, body, 0, 0), at(DR_SPACE_LAYER, 0), at(DR_SPACE_STATE, 0)};
			vec_push(&a, body ? &second.body[body - 1] : first.body, launch_of(&a, 0, args, 3));
		}
		vec_push(&a, &p->blocks, back ? second : first);
		vec_push(&a, &p->blocks, back ? first : second);
		struct loaded l = load(s, 2);
		for (int stage = 0; stage < 3; stage++) {
			run_layers(&l, PHASE_PREFILL, stage, 3, body_of + 2 * stage);
			assert_string_equal(calls.at, back ? backwards(&a, expected[stage]) : expected[stage]);
		}
		unload(&l);
		arena_free(&a);
	}
}

static void stages_hand_on_the_carried_values(void **state)
{
	(void)state;
	struct arena a = {0};
	calls = (struct text){.arena = &a};
	struct schedule *s = make_schedule(&a, 2);
	for (int i = 0; i < 4; i++) /* the parts in order */
		launch(&a, &s->programs.at[PHASE_DECODE], i, i, (struct argument[]){count(NUMBER_CONST, i, 0, 0)}, 1);
	static const enum block_kind messages[] = {BLOCK_RECEIVE, BLOCK_SEND};
	for (int i = 0; i < 4; i++) {
		struct argument here = at(DR_SPACE_ACT, 64 + i / 2 * 64), none = count(NUMBER_CONST, 0, 0, 0);
		struct instr in = {.kind = INSTR_COLLECTIVE,
		                   .op = 1,
		                   .collective = {.index = 2 + i,
		                                  .src = i % 2 ? here : none,
		                                  .dst = i % 2 ? none : here,
		                                  .outer = {NUMBER_TOKENS, 1, 1, 0},
		                                  .block = {NUMBER_CONST, 32, 1, 0}}};
		vec_push(&a, program_instrs(&s->programs.at[PHASE_DECODE], messages[i % 2], part_loop(0), 0), in);
	}
	struct loaded l = load(s, 2);
	run_step(&l, PHASE_DECODE, 0, 2);
	assert_string_equal(calls.at, "launch 0 op 0 layer -1: 0\n"
	                              "launch 0 op 1 layer -1: 1\n"
	                              "launch 0 op 2 layer 0: 2\n"
	                              "launch 0 op 2 layer 1: 2\n"
	                              "collective 3 op 1 layer -1: 6064 -> 0, 6 x 32\n"
	                              "collective 5 op 1 layer -1: 6128 -> 0, 6 x 32\n");
	run_step(&l, PHASE_DECODE, 1, 2);
	assert_string_equal(calls.at, "launch 0 op 0 layer -1: 0\n"
	                              "collective 2 op 1 layer -1: 0 -> 6064, 6 x 32\n"
	                              "collective 4 op 1 layer -1: 0 -> 6128, 6 x 32\n"
	                              "launch 0 op 2 layer 0: 2\n"
	                              "launch 0 op 2 layer 1: 2\n"
	                              "launch 0 op 3 layer -1: 3\n");
	unload(&l);
	arena_free(&a);
}

static void add_rounds(struct arena *a, struct step_program *p, int group)
{
	vec_push(a, program_instrs(p, BLOCK_ONCE, PART_EVERY, 0),
	         ((struct instr){
				 .kind = INSTR_ROUNDS_BEGIN,
				 .op = 1,
				 .rounds = {.group = group, .dests = 2, .local = 4, .start = at(DR_SPACE_ACT, 32), .capacity = 5}}));
	launch(a, p, PART_EVERY, 0, (struct argument[]){count(NUMBER_EXCHANGE_ROUND, 0, 0, 0)}, 1);
	vec_push(a, program_instrs(p, BLOCK_ONCE, PART_EVERY, 0),
	         ((struct instr){.kind = INSTR_COLLECTIVE,
	                         .op = 1,
	                         .collective = {.index = 6,
	                                        .src = at(DR_SPACE_ACT, 0),
	                                        .dst = at(DR_SPACE_ACT, 100),
	                                        .outer = {NUMBER_CONST, 5, 0, 0},
	                                        .block = {NUMBER_CONST, 8, 0, 0}}}));
	vec_push(a, program_instrs(p, BLOCK_ONCE, PART_EVERY, 0), ((struct instr){.kind = INSTR_ROUNDS_END, .op = 1}));
}

static void rounds_repeat(void **state)
{
	(void)state;
	struct arena a = {0};
	calls = (struct text){.arena = &a};
	struct schedule *s = make_schedule(&a, 1);
	add_rounds(&a, &s->programs.at[PHASE_PREFILL], 0);
	add_rounds(&a, &s->programs.at[PHASE_PREFILL], -1);
	struct loaded l = load(s, 2);
	rounds_wanted = 2;
	run_step(&l, PHASE_PREFILL, 0, 1);
	assert_string_equal(calls.at, "rounds over 0 op 1: 6032, 2 x 4, 5\n"
	                              "launch 0 op 0 layer -1: 0\n"
	                              "collective 6 op 1 layer -1: 6000 -> 6100, 5 x 8\n"
	                              "launch 0 op 0 layer -1: 1\n"
	                              "collective 6 op 1 layer -1: 6000 -> 6100, 5 x 8\n"
	                              "launch 0 op 0 layer -1: 0\n"
	                              "collective 6 op 1 layer -1: 6000 -> 6100, 5 x 8\n");
	assert_int_equal(l.main(2, NULL), 42);
	unload(&l);
	arena_free(&a);
}

/* ---- tables ---------------------------------------------------------------------------------- */
#define ROW(blob, span, type, i) ((const type *)(const void *)((blob) + (span).at) + (i))

static void assert_text(const unsigned char *blob, struct dr_span s, const char *expected)
{
	assert_string_equal((const char *)blob + s.at, expected);
	assert_int_equal(s.n, strlen(expected));
}

static void add_tables(struct arena *a, struct schedule *s)
{
	static const float frequencies[] = {1, 0.5f, 0.25f};
	static struct param param = {.path = "layer.attn.wq",
	                             .key = "model.layers.{layer}.q_proj.weight",
	                             .dtype = DTYPE_BF16,
	                             .in_loop = true,
	                             .stored = {.dim = {64, 32}, .n_dims = 2, .base = 96}};
	static struct placed_axis axes[] = {
		{.name = "heads", .extent = 64, .local = 32, .stride = 32, .group = 0, .role = DR_WEIGHT_N},
		{.name = "d", .extent = 32, .local = 32, .stride = 1, .group = -1, .role = DR_WEIGHT_K},
	};
	vec_push(a, &s->params,
	         ((struct placed_param){.param = &param,
	                                .space = DR_SPACE_LAYER,
	                                .offset = 128,
	                                .bytes = 4096,
	                                .pack = {16, 1, false},
	                                .axes = axes,
	                                .n_axes = 2}));
	vec_push(a, &s->constants, ((struct constant){.offset = 64, .data = frequencies, .n = 3}));
	vec_push(a, &s->maps,
	         ((struct expert_map){.offset = 256, .experts = 8, .local = 4, .atom = {0}, .exchange = {true}, .n = 1}));
	vec_push(
		a, &s->collectives,
		((struct collective){
			.kind = DR_ALL_GATHER, .group = -1, .dtype = DTYPE_BF16, .program = PHASE_DECODE, .cause = "all_gather"}));
	vec_push(a, &s->deploy->program->config,
	         ((struct config_entry){.name = "rope_theta", .type = CONFIG_FLOAT, .f = 1e4}));
}

static void check_ranks(const unsigned char *blob, const struct dr_program *p)
{
	assert_int_equal(p->groups.n, 2);
	assert_int_equal(p->stage_group, 1);
	assert_int_equal(ROW(blob, p->groups, struct dr_group, 0)->size, 2);
	assert_int_equal(ROW(blob, p->groups, struct dr_group, 1)->size, 1);
	assert_int_equal(ROW(blob, p->groups, struct dr_group, 1)->atoms.n, 0);
	assert_text(blob, ROW(blob, p->atoms, struct dr_atom, 0)->name, "pp");
	assert_int_equal(ROW(blob, p->collectives, struct dr_collective, 0)->group, 1);
	assert_int_equal(ROW(blob, p->collectives, struct dr_collective, 0)->dtype, DR_BF16);
}

static void check_param(const unsigned char *blob, const struct dr_param *p)
{
	assert_text(blob, p->path, "layer.attn.wq");
	assert_text(blob, p->index, "layer");
	assert_int_equal(p->first_layer, 0);
	assert_int_equal(p->bytes, 4096);
	assert_int_equal(p->n_tile, 16);
	assert_int_equal(p->base, 96);
	assert_int_equal(p->shape.n, 2);
	assert_int_equal(*ROW(blob, p->shape, int64_t, 0), 64);
	assert_text(blob, ROW(blob, p->axes, struct dr_axis, 0)->name, "heads");
	assert_int_equal(ROW(blob, p->axes, struct dr_axis, 0)->stride, 32);
	assert_int_equal(ROW(blob, p->axes, struct dr_axis, 1)->group, 1);
}

static void check_rest(const unsigned char *blob, const struct dr_program *p)
{
	const struct dr_constant *c = ROW(blob, p->constants, struct dr_constant, 0);
	assert_int_equal(c->bytes.n, 12);
	assert_true(*ROW(blob, c->bytes, float, 2) == 0.25f);
	const struct dr_map *m = ROW(blob, p->maps, struct dr_map, 0);
	assert_int_equal(m->experts, 8);
	assert_int_equal(*ROW(blob, m->exchange, uint32_t, 0), 1);
	const struct dr_config *config = ROW(blob, p->config, struct dr_config, 0);
	assert_text(blob, config->name, "rope_theta");
	assert_true(config->f == 1e4);
	assert_text(blob, *ROW(blob, p->op_names, struct dr_span, 1), "layer: mlp");
	assert_int_equal(ROW(blob, p->kernels, struct dr_kernel, 0)->elements, 2);
	assert_text(blob, p->plan_text, "the plan");
}

static void tables_read_back(void **state)
{
	(void)state;
	struct arena a = {0};
	struct schedule *s = make_schedule(&a, 1);
	add_tables(&a, s);
	struct loaded l = load(s, 2);
	const struct dr_program *p = (const struct dr_program *)(const void *)l.blob;
	assert_int_equal((uintptr_t)l.blob % 64, 0);
	assert_true(p->magic == DR_MAGIC);
	assert_text(l.blob, p->deploy, "small");
	assert_text(l.blob, p->model, "tiny");
	assert_int_equal(p->vocab, 96);
	assert_int_equal(p->programs.n, 2);
	assert_text(l.blob, ROW(l.blob, p->programs, struct dr_step_program, 1)->name, "decode");
	assert_int_equal(ROW(l.blob, p->programs, struct dr_step_program, 1)->max_tokens, 7);
	check_ranks(l.blob, p);
	check_param(l.blob, ROW(l.blob, p->params, struct dr_param, 0));
	check_rest(l.blob, p);
	unload(&l);
	arena_free(&a);
}

static void kernels_stand_in_the_table(void **state)
{
	(void)state;
	struct arena a = {0};
	struct loaded l = load(make_schedule(&a, 1), 2);
	int32_t start[] = {0, 2, 5}, offsets[3] = {-1, -1, -1};
	const uint64_t args[] = {(uintptr_t)start, (uintptr_t)offsets, 0, 16};
	assert_int_equal(l.image->form, DR_IMAGE_FUNCTIONS);
	assert_int_equal(l.image->n_kernels, 1);
	l.image->functions[0](args, 0, 0, 1);
	assert_int_equal(offsets[0], 0);
	assert_int_equal(offsets[1], 2);
	assert_int_equal(offsets[2], 5);
	unload(&l);
	arena_free(&a);
}

static void bytes_and_hash_follow_the_schedule(void **state)
{
	(void)state;
	struct arena a = {0};
	struct schedule *s = make_schedule(&a, 1);
	add_tables(&a, s);
	size_t n, again;
	const unsigned char *first = blob_build(&a, s, "the plan", NULL, &n),
						*second = blob_build(&a, s, "the plan", NULL, &again);
	assert_int_equal(n, again);
	assert_memory_equal(first, second, n);
	const unsigned char *other = blob_build(&a, s, "another ", NULL, &again);
	assert_int_equal(n, again);
	assert_true(((const struct dr_program *)(const void *)first)->hash
	            != ((const struct dr_program *)(const void *)other)->hash);
	arena_free(&a);
}

static void vectors_of_processors(void **state)
{
	(void)state;
	struct target t;
	assert_true(codegen_target(NULL, &t));
	assert_true(t.lanes >= 4 && !t.bf16_dot);
	assert_true(codegen_target("native", &t));
#ifdef __x86_64__
	assert_true(codegen_target("x86-64-v3", &t));
	assert_true(t.lanes == 8 && !t.bf16_dot);
	assert_true(codegen_target("skylake-avx512", &t));
	assert_true(t.lanes == 16 && !t.bf16_dot);
	assert_true(codegen_target("sapphirerapids", &t));
	assert_true(t.lanes == 16 && t.bf16_dot);
	assert_true(codegen_target("sierraforest", &t));
	assert_true(t.lanes == 8 && !t.bf16_dot);
	assert_true(codegen_target("znver4", &t));
	assert_true(t.lanes == 16 && t.bf16_dot);
	assert_true(codegen_target("x86-64", &t));
	assert_true(t.lanes == 4);
#endif
	assert_false(codegen_target("abacus", &t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_processors),
		cmocka_unit_test(bytes_and_hash_follow_the_schedule),
		cmocka_unit_test(tables_read_back),
		cmocka_unit_test(order_of_a_step),
		cmocka_unit_test(numbers),
		cmocka_unit_test(layers_from_the_last_to_the_first),
		cmocka_unit_test(layers_of_two_loops),
		cmocka_unit_test(stages_hand_on_the_carried_values),
		cmocka_unit_test(rounds_repeat),
		cmocka_unit_test(kernels_stand_in_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
