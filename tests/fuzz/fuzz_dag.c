/* Fuzzing: bytes choose a model's sizes, a mesh, rules by region and phase, and a workload. Any such plan is rejected
 * with a diagnostic, or gives local and scheduled programs that pass their checkers. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "planner/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- bytes to a spec ------------------------------------------------------------------------- */

struct chooser {
	const uint8_t *at, *end;
	struct text text;
	long long ranks; /* product of the mesh */
};

/* 0 after the last byte: the first choice is the simplest. */
static int choose(struct chooser *c, int n) { return c->at < c->end ? *c->at++ % n : 0; }

#define CHOOSE(c, ...) \
	((const char *const[]){__VA_ARGS__}[choose((c), sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))])
#define SAY(c, ...) text_add(&(c)->text, __VA_ARGS__)

/* Sizes that divide each other or do not, and rarely an absurd one: a spec that is rejected early tests little. */
static void say_size(struct chooser *c, const char *name)
{
	const char *sane = CHOOSE(c, "4", "1", "2", "3", "6", "8", "12", "16", "24", "64", "5", "7", "32");
	const char *absurd = CHOOSE(c, "256", "1_000_003", "0", "2_147_483_648", "9_223_372_036_854_775_807");
	SAY(c, "%s = %s; ", name, choose(c, 32) == 31 ? absurd : sane);
}

static void say_mesh(struct chooser *c, const char *axis, const char *size)
{
	SAY(c, "%s = %s; ", axis, size);
	c->ranks *= atoi(size);
}

static void say_sizes(struct chooser *c, const char *const *names)
{
	for (; *names; names++)
		if (choose(c, 3))
			say_size(c, *names);
}

static void say_model(struct chooser *c)
{
	static const char *const common[] = {"vocab", "layers", "d_model", NULL};
	static const struct {
		const char *module, *name, *sizes[12];
	} families[] = {
		{"llama", "Llama", {"kv_heads", "q_group", "head_dim", "ffn", "max_ctx"}},
		{"mixtral", "Mixtral", {"kv_heads", "q_group", "head_dim", "expert", "expert_ffn", "top_k"}},
		{"deepseek_v3",
	     "DeepSeek",
	     {"heads", "q_rank", "kv_rank", "nope_dim", "rope_dim", "v_dim", "ffn", "expert", "expert_ffn", "top_k",
	      "first_dense"}},
		{"qwen3", "Qwen3", {"kv_heads", "q_group", "head_dim", "ffn"}},
	};
	int f = choose(c, sizeof families / sizeof *families);
	SAY(c, "use std.%s { %s }\n", families[f].module, families[f].name);
	SAY(c, "use std.clusters { CPUHost }\nuse std.workload { Inference, Training }\nuse std.plans { Megatron, "
	       "FoldedEP, DPAttention }\n");
	SAY(c, "model Small = %s { vocab = 64; layers = 4; d_model = 16; max_ctx = 512; ", families[f].name);
	say_sizes(c, common);
	say_sizes(c, families[f].sizes);
	SAY(c, "weight = %s; act = %s; kv = %s }\n", CHOOSE(c, "f32", "bf16", "f16", "fp8_e4m3", "i8", "mxfp4"),
	    CHOOSE(c, "f32", "bf16", "f64"), CHOOSE(c, "f32", "bf16", "fp8_e5m2"));
}

static void say_axis(struct chooser *c)
{
	SAY(c, "%s",
	    CHOOSE(c, "batch", "seq", "kv_heads * q_group", "kv_heads", "q_group", "heads", "ffn", "vocab", "expert",
	           "expert_ffn", "d_model", "head_dim", "layers", "shared_ffn", "kv_rank", "ctx"));
}

static void say_rules(struct chooser *c)
{
	for (int n = choose(c, 5); n > 0; n--) {
		say_axis(c);
		SAY(c, " -> %s", CHOOSE(c, "a", "b", "c", "a * b", "b * a", "a * b * c", "none"));
		SAY(c, "; ");
	}
}

static void say_scope(struct chooser *c)
{
	SAY(c, "at %s { ", CHOOSE(c, "residual", "attn", "mlp", "moe", "shared"));
	say_rules(c);
	SAY(c, "}\n");
}

static void say_options(struct chooser *c)
{
	if (choose(c, 3) == 1)
		SAY(c, "pipeline { microbatches = %s }\n", CHOOSE(c, "2", "1", "4", "0", "1000"));
	if (choose(c, 4) == 1)
		SAY(c, "moe { capacity = %s }\n", CHOOSE(c, "1.0", "0.1", "2.0", "1e300", "0.0"));
	if (choose(c, 4) == 1)
		SAY(c, "comm { reduce = f32 }\n");
}

static void say_own_plan(struct chooser *c)
{
	SAY(c, "plan Own {\n");
	say_mesh(c, "mesh a", CHOOSE(c, "2", "1", "3", "4", "16"));
	say_mesh(c, "mesh b", CHOOSE(c, "1", "2", "3", "8"));
	say_mesh(c, "mesh c", CHOOSE(c, "1", "2", "5"));
	say_rules(c);
	for (int n = choose(c, 4); n > 0; n--)
		say_scope(c);
	if (choose(c, 3) == 1) {
		SAY(c, "phase %s { ", CHOOSE(c, "decode", "prefill"));
		say_rules(c);
		say_scope(c);
		SAY(c, "}\n");
	}
	say_options(c);
	SAY(c, "}\n");
}

static void say_plan(struct chooser *c, bool own)
{
	static const char *const mesh[] = {"pp", "dp", "tp", NULL};
	if (own) {
		SAY(c, "  plan = Own {}\n");
		return;
	}
	SAY(c, "  plan = %s {\n", CHOOSE(c, "Megatron", "FoldedEP", "DPAttention"));
	for (const char *const *axis = mesh; *axis; axis++)
		say_mesh(c, *axis, CHOOSE(c, "1", "2", "3", "4", "6"));
	say_options(c);
	SAY(c, "}\n");
}

static const char *spec_of(struct arena *arena, const uint8_t *data, size_t size)
{
	struct chooser c = {data, data + size, {.arena = arena}, 1};
	bool own = choose(&c, 2);
	say_model(&c);
	if (own)
		say_own_plan(&c);
	SAY(&c, "deploy Test {\n  model = Small\n");
	say_plan(&c, own);
	SAY(&c, "  cluster = CPUHost { ranks = %lld }\n", choose(&c, 16) == 15 ? 6 : c.ranks);
	if (choose(&c, 8) == 1)
		SAY(&c, "  workload = Training { batch = %s; seq = 64 }\n}\n", CHOOSE(&c, "8", "7"));
	else
		SAY(&c, "  workload = Inference { batch = %s; seq = 1..%s; output = %s; chunk = %s; page = %s }\n}\n",
		    CHOOSE(&c, "8", "1", "3", "0", "1_000_000_007"), CHOOSE(&c, "64", "1", "400", "100_000"),
		    CHOOSE(&c, "1", "64"), CHOOSE(&c, "64", "1", "3", "1_000_000", "9_000_000_000"),
		    CHOOSE(&c, "16", "1", "3"));
	return c.text.at;
}

/* ---- the passes ------------------------------------------------------------------------------ */

static void must_hold(const char *wrong, const char *spec)
{
	if (!wrong)
		return;
	fprintf(stderr, "%s\nin\n%s", wrong, spec);
	abort();
}

static void plan(struct arena *arena, struct names *names, struct sink *sink, const struct deploy *d, const char *spec)
{
	const struct target target = {.lanes = 8};
	if (!d->program || !d->known || d->refused)
		return;
	must_hold(program_check(d->program, arena), spec);
	struct local *l = dag_local(arena, names, sink, d);
	if (!l)
		return;
	must_hold(local_check(l, arena), spec);
	struct schedule *s = d->needs_training ? NULL : dag_schedule(arena, sink, l, &target);
	if (s) {
		must_hold(schedule_check(s, arena), spec);
		planner_fit(arena, names, sink, d, s, &target);
		struct plan *plan = planner_plan(arena, d, s, NULL);
		plan_text(arena, plan);
		json_decref(plan_json(plan));
	}
	if (d->needs_training) {
		struct training *t = training_of(arena, l);
		planner_fit_training(arena, names, sink, t);
		struct plan *plan = planner_plan(arena, d, NULL, t);
		plan_text(arena, plan);
		json_decref(plan_json(plan));
	}
	planner_lint(arena, sink, l, s);
}

static void check_file(const char *path, const char *spec)
{
	struct arena arena = {0};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	struct names names = {.arena = &arena};
	struct sema_options options = {0};
	struct sema *sema = sema_new(&arena, &names, &sink, &options);
	if (sema_load(sema, path)) {
		int n;
		struct deploy **deploys = sema_deploys(sema, &n);
		for (int i = 0; i < n; i++)
			plan(&arena, &names, &sink, deploys[i], spec);
	}
	for (int i = 0; i < sink.diags.n; i++)
		if (getenv("FUZZ_VERBOSE"))
			fprintf(stderr, "%s: %s\n", diag_code_name(sink.diags.at[i]->code), sink.diags.at[i]->message);
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	const char *spec = spec_of(&arena, data, size);
	int fd = memfd_create("fuzz.deploy", 0);
	if (fd < 0 || dprintf(fd, "%s", spec) < 0)
		abort();
	if (getenv("FUZZ_VERBOSE"))
		fputs(spec, stderr);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	check_file(path, spec);
	close(fd);
	arena_free(&arena);
	return 0;
}
