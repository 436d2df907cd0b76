/* Deployments: which rule places an axis, totals of a model, and mistakes in meshes, rules and workloads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../planner/planner.h"

/* ---- a small program and a deployment of it, made by hand ------------------------------------ */

enum { BATCH, SEQ, FFN, EXPERT, LAYERS };
enum { MODEL, LAYER, ATTN, MOE };
enum { DP, TP };

struct fixture {
	struct arena arena;
	struct sources sources;
	struct sink sink;
	struct program program;
	struct deploy deploy;
};

static void add_axis(struct fixture *f, const char *name, int64_t extent)
{
	vec_push(&f->arena, &f->program.axes,
	         ((struct axis){.name = name, .extent = extent, .like = -1, .of = -1, .tokens = -1}));
}

static void add_region(struct fixture *f, const char *name, int parent, bool is_loop_body)
{
	vec_push(&f->arena, &f->program.regions,
	         ((struct region){.name = name, .parent = parent, .is_loop_body = is_loop_body}));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	f->sources.arena = f->sink.arena = &f->arena;
	f->sink.sources = &f->sources;
	add_axis(f, "batch", 0);
	add_axis(f, "seq", 0);
	add_axis(f, "ffn", 64);
	add_axis(f, "expert", 8);
	add_axis(f, "layers", 4);
	add_region(f, "", -1, false);
	add_region(f, "layer", MODEL, true);
	add_region(f, "attn", LAYER, false);
	add_region(f, "moe", LAYER, false);
	vec_push(&f->arena, &f->program.loops, ((struct loop){.axis = LAYERS, .n_bodies = 1}));
	f->deploy.program = &f->program;
	vec_push(&f->arena, &f->deploy.mesh, ((struct mesh_axis){.name = "dp", .size = 2}));
	vec_push(&f->arena, &f->deploy.mesh, ((struct mesh_axis){.name = "tp", .size = 4}));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	arena_free(&f->arena);
	free(f);
	return 0;
}

/* Adds axis -> mesh (-1: none) for a region, a phase and a class, each at its own place in the text. */
static int add_rule(struct fixture *f, int axis, int mesh, const char *region, int phase, int klass)
{
	struct rule r = {.region = region, .phase = phase, .klass = klass, .n_lhs = 1, .n_target = mesh >= 0};
	r.lhs = arena_new(&f->arena, int);
	r.target = arena_new(&f->arena, int);
	*r.lhs = axis;
	*r.target = mesh;
	r.span = (struct span){0, (uint32_t)f->deploy.rules.n * 10, (uint32_t)f->deploy.rules.n * 10 + 5};
	vec_push(&f->arena, &f->deploy.rules, r);
	return f->deploy.rules.n - 1;
}

static int found(struct fixture *f, int axis, int region, int phase, int klass)
{
	const struct rule *r = deploy_rule(&f->deploy, &f->sink, axis, region, phase, klass);
	return r ? (int)(r - f->deploy.rules.at) : -1;
}

/* ---- look-up --------------------------------------------------------------------------------- */

static void deeper_regions_win(void **state)
{
	struct fixture *f = *state;
	int everywhere = add_rule(f, SEQ, DP, NULL, PHASE_ANY, CLASS_ANY),
		layer = add_rule(f, SEQ, TP, "layer", PHASE_ANY, CLASS_ANY);
	int moe = add_rule(f, SEQ, -1, "moe", PHASE_ANY, CLASS_ANY);
	assert_int_equal(found(f, SEQ, MODEL, PHASE_ANY, CLASS_ANY), everywhere);
	assert_int_equal(found(f, SEQ, LAYER, PHASE_ANY, CLASS_ANY), layer);
	assert_int_equal(found(f, SEQ, ATTN, PHASE_ANY, CLASS_ANY), layer);
	assert_int_equal(found(f, SEQ, MOE, PHASE_ANY, CLASS_ANY), moe);
	assert_int_equal(found(f, FFN, MOE, PHASE_ANY, CLASS_ANY), -1);
	assert_int_equal(f->sink.errors, 0);
}

static void residual_is_the_body_of_the_loop_only(void **state)
{
	struct fixture *f = *state;
	int layer = add_rule(f, SEQ, DP, "layer", PHASE_ANY, CLASS_ANY),
		residual = add_rule(f, SEQ, TP, "residual", PHASE_ANY, CLASS_ANY);
	assert_int_equal(found(f, SEQ, LAYER, PHASE_ANY, CLASS_ANY), residual);
	assert_int_equal(found(f, SEQ, ATTN, PHASE_ANY, CLASS_ANY), layer);
	assert_int_equal(found(f, SEQ, MODEL, PHASE_ANY, CLASS_ANY), -1);
}

static void phase_comes_before_region_and_class_last(void **state)
{
	struct fixture *f = *state;
	int moe = add_rule(f, SEQ, DP, "moe", PHASE_ANY, CLASS_ANY),
		decode = add_rule(f, SEQ, TP, NULL, PHASE_DECODE, CLASS_ANY);
	int weights = add_rule(f, SEQ, -1, "moe", PHASE_ANY, CLASS_WEIGHT);
	assert_int_equal(found(f, SEQ, MOE, PHASE_DECODE, CLASS_ACTIVATION), decode);
	assert_int_equal(found(f, SEQ, MOE, PHASE_PREFILL, CLASS_ACTIVATION), moe);
	assert_int_equal(found(f, SEQ, MOE, PHASE_ANY, CLASS_WEIGHT), weights);
	assert_int_equal(found(f, SEQ, ATTN, PHASE_ANY, CLASS_ANY), -1);
}

static void two_rules_of_equal_rank_are_reported_once(void **state)
{
	struct fixture *f = *state;
	add_rule(f, BATCH, DP, "moe", PHASE_ANY, CLASS_ANY);
	add_rule(f, BATCH, TP, "moe", PHASE_ANY, CLASS_ANY);
	for (int i = 0; i < 3; i++)
		assert_int_equal(found(f, BATCH, MOE, PHASE_ANY, CLASS_ANY), -1);
	assert_int_equal(f->sink.errors, 1);
	assert_int_equal(f->sink.diags.at[0]->code, DIAG_E0504);
	assert_int_equal(f->sink.diags.at[0]->at.lo, 10);
	assert_string_equal(f->sink.diags.at[0]->message, "two rules of equal rank place `batch` in `moe`");
}

static void axes_of_one_name_share_their_rules(void **state)
{
	struct fixture *f = *state;
	int rule = add_rule(f, FFN, TP, NULL, PHASE_ANY, CLASS_ANY);
	add_axis(f, "ffn", 32);
	assert_int_equal(found(f, LAYERS + 1, MOE, PHASE_ANY, CLASS_ANY), rule);
}

/* ---- totals ---------------------------------------------------------------------------------- */

static void add_param(struct fixture *f, int axis, enum dtype dtype, bool in_loop)
{
	struct param p = {
		.name = "w", .n_axes = 1, .dtype = dtype, .in_loop = in_loop, .body = in_loop ? 0 : -1, .contracted = true};
	p.axes = arena_new(&f->arena, int);
	*p.axes = axis;
	vec_push(&f->arena, &f->program.params, p);
}

static void totals_count_layers_formats_and_chosen_experts(void **state)
{
	struct fixture *f = *state;
	struct body layers = {.turns = 4};
	vec_push(&f->arena, &f->program.bodies, layers);
	f->program.axes.at[EXPERT].top = 2;
	add_param(f, FFN, DTYPE_BF16, true);      /* 64 * 4 layers, 2 bytes */
	add_param(f, EXPERT, DTYPE_MXFP4, false); /* 8, of which a token reads 2; 4.25 bits */
	struct total t[PLANNER_TOTALS];
	assert_int_equal(planner_totals(&f->deploy, NULL, t), 4);
	assert_string_equal(t[0].name, "params");
	assert_true(t[0].value == 264);
	assert_true(t[1].value == 258);
	assert_true(t[2].value == 512 + 4.25);
}

static void totals_of_memory_are_of_the_fullest_stage(void **state)
{
	struct fixture *f = *state;
	struct schedule s = {.deploy = &f->deploy};
	struct stage first = {.bytes = {[DR_SPACE_LAYER] = 100, [DR_SPACE_OUTSIDE] = 50, [DR_SPACE_STATE] = 10}};
	struct stage last = {
		.bytes = {[DR_SPACE_LAYER] = 100, [DR_SPACE_OUTSIDE] = 20, [DR_SPACE_STATE] = 10, [DR_SPACE_ACT] = 70}};
	vec_push(&f->arena, &s.stages, first);
	vec_push(&f->arena, &s.stages, last);
	f->deploy.machine.device.memory = 500;
	f->deploy.machine.reserve = 100;
	struct total t[PLANNER_TOTALS];
	assert_int_equal(planner_totals(&f->deploy, &s, t), PLANNER_TOTALS);
	assert_true(t[4].value == 150 && t[6].value == 70 && t[8].value == 200);
	assert_true(t[9].value == 0.5);
	assert_int_equal(planner_fullest_stage(&s), 1);
}

/* ---- specs ----------------------------------------------------------------------------------- */

#define SPEC(cluster, workload, rest)                                                                                  \
	"use std.models { MoEDecoder }\nuse std.clusters { DGX_H100 }\nuse std.plans { Megatron }\nuse std.workload { "    \
	"Inference }\n"                                                                                                    \
	"deploy D {\n"                                                                                                     \
	"  model = MoEDecoder { layers = 16; expert = 16; d_model = 512; kv_heads = 16; head_dim = 32; expert_ffn = 1024 " \
	"}\n"                                                                                                              \
	"  cluster = " cluster "\n  workload = Inference { " workload " }\n  " rest "\n}\n"

/* Checks a spec. The first report must have the code `code` and a message that contains `words`. */
static void spec_reports(struct fixture *f, const char *text, enum diag_code code, const char *words)
{
	char path[] = "/tmp/test_deploy.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	struct names names = {.arena = &f->arena};
	struct sema_options options = {0};
	struct sema *s = sema_new(&f->arena, &names, &f->sink, &options);
	assert_true(sema_load(s, path));
	unlink(path);
	int n;
	struct deploy **all = sema_deploys(s, &n);
	assert_int_equal(n, 1);
	if (all[0]->program)
		planner_goals(s, all[0], NULL, NULL, NULL, NULL, NULL);
	if (f->sink.diags.n != 1)
		diag_print(&f->sink, stderr);
	assert_int_equal(f->sink.diags.n, 1);
	assert_string_equal(diag_code_name(f->sink.diags.at[0]->code), diag_code_name(code));
	assert_non_null(strstr(f->sink.diags.at[0]->message, words));
	assert_true(all[0]->program || diag_is_error(code));
}

#define MISTAKE(name, code, words, cluster, workload, rest) \
	static void name(void **state) { spec_reports(*state, SPEC(cluster, workload, rest), DIAG_##code, words); }
#define EIGHT "DGX_H100"
#define LOAD  "batch = 8; seq = 128"

MISTAKE(mesh_too_small, E0601, "mesh needs 4 ranks, the deployment has 8", EIGHT, LOAD, "plan = Megatron { tp = 4 }")
MISTAKE(mesh_axis_of_no_rank, E0203, "`tp` has 0 elements", EIGHT, LOAD, "plan = Megatron { tp = 0 }")
MISTAKE(leaves_the_node, E0602, "`tp = 16 within nvlink` leaves the level", "DGX_H100 { nodes = 2 }", LOAD,
        "plan = Megatron { tp = 16 }")
MISTAKE(no_such_level, E0606, "has no level `nvlnk`", EIGHT, LOAD, "plan = Megatron { tp = 8 within nvlnk }")
MISTAKE(no_such_mesh_axis, E0502, "unknown mesh axis `sp`", EIGHT, LOAD, "plan = Megatron { tp = 8; batch -> dp * sp }")
MISTAKE(no_such_axis, E0505, "rule on `ffm`", EIGHT, LOAD, "plan = Megatron { tp = 8; ffm -> tp }")
MISTAKE(no_such_region, E0505, "has no such region", EIGHT, LOAD, "plan = Megatron { tp = 8; at atn { seq -> tp } }")
MISTAKE(too_long, E0703, "exceed", EIGHT, "batch = 8; seq = 128..1000000", "plan = Megatron { tp = 8 }")
MISTAKE(empty_stage, E0901, "`stages` lists 0", EIGHT, LOAD,
        "plan = Megatron { tp = 8; pipeline { stages = [16, 0] } }")
MISTAKE(not_honoured, W0521, "`comm.overlap` is not honoured", EIGHT, LOAD,
        "plan = Megatron { tp = 8; comm { overlap = streams } }")
MISTAKE(open_choice, W0810, "`tp`", EIGHT, LOAD, "plan = Megatron { tp = auto in [4, 8] }")
MISTAKE(metric, W0811, "is open: `throughput", EIGHT, LOAD,
        "plan = Megatron { tp = 8 }\n  require throughput per gpu >= 1 tokens/ms")
MISTAKE(metric_of_another_dimension, E0302, "cannot compare Time with TokenRate", EIGHT, LOAD,
        "plan = Megatron { tp = 8 }\n  require ttft <= 100 tokens/ms")
MISTAKE(no_such_metric, E0101, "ttfx", EIGHT, LOAD, "plan = Megatron { tp = 8 }\n  require ttfx <= 1 s")
MISTAKE(no_such_total, E0101, "no metric or total `memory.weight`", EIGHT, LOAD,
        "plan = Megatron { tp = 8 }\n  assert memory.weight <= 1 GB")
MISTAKE(false_assertion, E0806, "a tenth: params = 0.4523 Gparam, asserted <= 0.1 Gparam", EIGHT, LOAD,
        "plan = Megatron { tp = 8 }\n  assert params <= 0.1 Gparam : \"a tenth\"")
MISTAKE(false_requirement, E0802, "required <= 1 kB", EIGHT, LOAD,
        "plan = Megatron { tp = 8 }\n  require total.kv <= 1 kB")

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(deeper_regions_win),
		TEST(residual_is_the_body_of_the_loop_only),
		TEST(phase_comes_before_region_and_class_last),
		TEST(two_rules_of_equal_rank_are_reported_once),
		TEST(axes_of_one_name_share_their_rules),
		TEST(totals_count_layers_formats_and_chosen_experts),
		TEST(totals_of_memory_are_of_the_fullest_stage),
		TEST(mesh_too_small),
		TEST(mesh_axis_of_no_rank),
		TEST(leaves_the_node),
		TEST(no_such_level),
		TEST(no_such_mesh_axis),
		TEST(no_such_axis),
		TEST(no_such_region),
		TEST(too_long),
		TEST(empty_stage),
		TEST(not_honoured),
		TEST(open_choice),
		TEST(metric),
		TEST(metric_of_another_dimension),
		TEST(no_such_metric),
		TEST(no_such_total),
		TEST(false_assertion),
		TEST(false_requirement),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
