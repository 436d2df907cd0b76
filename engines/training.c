/* What the flags of a training say, as a draft: Megatron-LM, torchtitan, DeepSpeed. */
#include "internal.h"
#include <string.h>

static void __attribute__((format(printf, 2, 3))) add_rule(struct draft *d, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vec_push(d->request->arena, &d->rules, (const char *)arena_vprintf(d->request->arena, fmt, args));
	va_end(args);
}

static void __attribute__((format(printf, 2, 3))) add_work(struct draft *d, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vec_push(d->request->arena, &d->work, (const char *)arena_vprintf(d->request->arena, fmt, args));
	va_end(args);
}

static void __attribute__((format(printf, 2, 3))) add_note(struct draft *d, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vec_push(d->request->arena, &d->notes, (const char *)arena_vprintf(d->request->arena, fmt, args));
	va_end(args);
}

/* Degrees of a training: dp counts all groups of sequences, experts are whole on `ep` ranks each. */
struct degrees {
	int64_t tp, pp, dp, ep, expert_tp;
	int64_t world; /* 0: not stated */
};

enum { MAX_DEGREE = 1 << 20 };

/* ---- mesh ------------------------------------------------------------------------------------ */

static int64_t stated_ranks(struct request *r)
{
	int64_t of_node = said_count(r, MEANS_RANKS_OF_NODE, 1, 0), nodes = said_count(r, MEANS_NODES, 1, 1);
	if (of_node > MAX_DEGREE || nodes > MAX_DEGREE || of_node * nodes > MAX_DEGREE) {
		report_clash(r, MEANS_NODES, MEANS_RANKS_OF_NODE, "more than %d ranks", MAX_DEGREE);
		return 0;
	}
	return of_node * nodes;
}

/* The groups of sequences that are left of the ranks. false after a report. */
static bool divide_ranks(struct draft *d, struct degrees *g, int64_t least)
{
	struct request *r = d->request;
	int before = r->sink->errors;
	int64_t model = g->tp <= MAX_DEGREE && g->pp <= MAX_DEGREE ? g->tp * g->pp : MAX_DEGREE + 1;
	g->world = stated_ranks(r);
	if (!g->world && model <= MAX_DEGREE && least <= MAX_DEGREE)
		add_note(d, "the number of ranks is not stated: the smallest, %lld", (long long)((g->world = model * least)));
	if (r->sink->errors > before)
		return false;
	if (model > MAX_DEGREE || g->world > MAX_DEGREE || g->world % model) {
		report_clash(r, MEANS_TP, MEANS_RANKS_OF_NODE, "tp * pp = %lld does not divide %lld ranks", (long long)model,
		             (long long)g->world);
		return false;
	}
	g->dp = g->world / model;
	return true;
}

static void set_mesh(struct draft *d, const char *axis, int64_t size)
{
	if (size > 1)
		vec_push(d->request->arena, &d->mesh,
		         (const char *)arena_printf(d->request->arena, "%s = %lld", axis, (long long)size));
}

/* pp, groups, experts, tp from outside in: Megatron-LM's order tp-cp-ep-dp-pp, and torchtitan's. Experts are cut by
 * their width like the layers, or whole on ep ranks, tp of which hold the same sequences. false after a report. */
static bool lay_out(struct draft *d, const struct degrees *g)
{
	struct request *r = d->request;
	int before = r->sink->errors;
	bool wide = g->expert_tp == g->tp; /* experts are cut like the other layers */
	int64_t ep = wide ? g->ep : g->ep / g->tp;
	if (g->ep > 1 && !d->has_experts)
		report_clash(r, MEANS_EP, MEANS_MODEL, "`%s` has no experts", d->model);
	else if (!wide && g->expert_tp != 1)
		diag_report(r->sink, DIAG_E1004, said_at(r, MEANS_EXPERT_TP),
		            "experts cut %lld ways where other layers are cut %lld ways have no counterpart in a plan",
		            (long long)g->expert_tp, (long long)g->tp);
	else if (!wide && g->ep % g->tp)
		diag_report(
			r->sink, DIAG_E1004, said_at(r, MEANS_EP),
			"whole experts over %lld ranks, of which %lld have the same sequences, have no counterpart in a plan",
			(long long)g->ep, (long long)g->tp);
	else if (g->dp % ep)
		report_clash(r, MEANS_EP, MEANS_RANKS_OF_NODE,
		             "%lld groups of sequences are not a multiple of the %lld of experts", (long long)g->dp,
		             (long long)ep);
	if (r->sink->errors > before)
		return false;
	d->plan = "Megatron";
	d->training = true;
	d->owners = g->dp;
	d->ranks = g->world;
	set_mesh(d, "pp", g->pp), set_mesh(d, "dp", g->dp / ep), set_mesh(d, "ep", ep), set_mesh(d, "tp", g->tp);
	if (!wide && d->has_experts) {
		add_rule(d, "expert_ffn -> none");
		add_rule(d, "at moe { seq -> tp; expert -> ep * tp }");
	}
	return true;
}

/* ---- batch ----------------------------------------------------------------------------------- */

/* The batch of a step, of `micro` sequences of each group in a microbatch. false after a report. */
static bool set_batch(struct draft *d, const struct degrees *g, int64_t batch, int64_t micro, int64_t *microbatches)
{
	struct request *r = d->request;
	if (micro <= 0 || g->dp > INT32_MAX / micro || batch % (micro * g->dp) || batch / (micro * g->dp) < 1) {
		report_clash(r, MEANS_GLOBAL, said_of(r, MEANS_MICRO) ? MEANS_MICRO : MEANS_LOCAL,
		             "a batch of %lld is not a multiple of %lld sequences in each of %lld groups", (long long)batch,
		             (long long)micro, (long long)g->dp);
		return false;
	}
	*microbatches = batch / (micro * g->dp);
	add_work(d, "batch = %lld", (long long)batch);
	return true;
}

static void set_sequence(struct draft *d)
{
	int64_t length = said_count(d->request, MEANS_SEQUENCE, 1, 0);
	if (!length) {
		length = d->max_ctx;
		report_part(d->request, MEANS_SEQUENCE, "the length of sequences is not stated: the spec has %lld, the model's",
		            (long long)length);
	} else if (length > d->max_ctx && !said_of(d->request, MEANS_POSITIONS_MODEL))
		report_value(d->request, said_of(d->request, MEANS_SEQUENCE), "the model was made for at most %lld positions",
		             (long long)d->max_ctx);
	add_work(d, "seq = %lld", (long long)length);
}

/* Gradients are accumulated before the optimizer runs, so that one microbatch is saved at a time. */
static void set_pipeline(struct draft *d, int64_t microbatches, const char *schedule, int64_t chunks,
                         const char *stages)
{
	struct text t = {.arena = d->request->arena};
	if (microbatches == 1 && !chunks && !stages)
		return;
	text_add(&t, "pipeline { schedule = %s; microbatches = %lld", schedule, (long long)microbatches);
	if (chunks)
		text_add(&t, "; virtual = %lld", (long long)chunks);
	if (stages)
		text_add(&t, "; stages = [%s]", stages);
	add_rule(d, "%s }", t.at);
}

/* ---- formats --------------------------------------------------------------------------------- */

static void set_format(struct draft *d, const char *format)
{
	struct arena *a = d->request->arena;
	if (strcmp(format, "bf16") != 0) {
		vec_push(a, &d->formats, (const char *)arena_printf(a, "weight = %s", format));
		vec_push(a, &d->formats, (const char *)arena_printf(a, "act = %s", format));
	}
}

/* Masters in f32 beside weights of 16 bits; gradients in f32 unless another format is named. */
static void set_optimizer(struct draft *d, const char *format, const char *gradient)
{
	if (strcmp(gradient, "f32") != 0)
		add_work(d, "gradient = %s", gradient);
	if (!strcmp(format, "f32"))
		add_work(d, "optimizer = AdamW { master = none }");
	set_format(d, format);
}

static const char *mixed_format(struct draft *d)
{
	struct request *r = d->request;
	bool bf16 = said_on(r, MEANS_BF16), f16 = said_on(r, MEANS_F16);
	if (bf16 && f16)
		report_clash(r, MEANS_F16, MEANS_BF16, "fp16 and bf16 are both on");
	return bf16 ? "bf16" : f16 ? "f16" : "f32";
}

/* ---- Megatron-LM ----------------------------------------------------------------------------- */

static void megatron_recompute(struct draft *d)
{
	struct request *r = d->request;
	const char *how = said_text(r, MEANS_RECOMPUTE), *method = said_text(r, MEANS_RECOMPUTE_METHOD);
	if (said_on(r, MEANS_RECOMPUTE_SOME) && !how)
		how = "selective";
	if (!how)
		return;
	if (!strcmp(how, "full")) {
		add_rule(d, "memory { recompute = [layer] }");
		if (said_count(r, MEANS_RECOMPUTE_LAYERS, 1, 1) != 1 || (method && strcmp(method, "uniform") != 0))
			report_part(r, MEANS_RECOMPUTE, "the spec computes every layer again, and saves what enters each");
	} else if (!strcmp(how, "selective")) {
		if (said_of(r, MEANS_RECOMPUTE_PARTS) && strcmp(said_text(r, MEANS_RECOMPUTE_PARTS), "core_attn") != 0)
			report_part(r, MEANS_RECOMPUTE_PARTS, "the spec computes attention again, and no other part of a layer");
	} else
		report_value(r, said_of(r, MEANS_RECOMPUTE), "full or selective is expected");
}

static void megatron_pipeline(struct draft *d, const struct degrees *g, int64_t microbatches)
{
	struct request *r = d->request;
	int64_t chunks = said_count(r, MEANS_VIRTUAL, 1, 0), layers = said_count(r, MEANS_VIRTUAL_LAYERS, 1, 0);
	if (layers && d->layers % (g->pp * layers))
		report_clash(r, MEANS_VIRTUAL_LAYERS, MEANS_PP, "%lld layers are not a multiple of %lld on each of %lld stages",
		             (long long)d->layers, (long long)layers, (long long)g->pp);
	else if (layers)
		chunks = d->layers / (g->pp * layers);
	chunks = chunks > 1 && g->pp > 1 ? chunks : 0;
	set_pipeline(d, microbatches, chunks ? "interleaved" : "one_f_one_b", chunks, NULL);
}

static bool megatron(struct draft *d)
{
	struct request *r = d->request;
	struct degrees g = {.tp = said_count(r, MEANS_TP, 1, 1), .pp = said_count(r, MEANS_PP, 1, 1)};
	g.ep = said_count(r, MEANS_EP, 1, 1), g.expert_tp = said_count(r, MEANS_EXPERT_TP, 1, g.tp);
	int64_t groups = g.expert_tp == g.tp ? g.ep : g.ep > g.tp ? g.ep / g.tp : 1, microbatches;
	if (!divide_ranks(d, &g, groups) || !lay_out(d, &g))
		return false;
	int64_t micro = said_count(r, MEANS_MICRO, 1, 1);
	if (!said_of(r, MEANS_MICRO))
		diag_report(r->sink, DIAG_E1003, r->command, "`--micro-batch-size` is missing: Megatron-LM needs it");
	if (micro > INT32_MAX / g.dp
	    || !set_batch(d, &g, said_count(r, MEANS_GLOBAL, 1, micro * g.dp), micro, &microbatches))
		return false;
	set_sequence(d);
	const char *format = mixed_format(d);
	bool small = said_on(r, MEANS_GRADIENT_BF16) || (!strcmp(format, "f16") && !said_on(r, MEANS_GRADIENT_F32));
	set_optimizer(d, format, small ? format : "f32");
	if (said_of(r, MEANS_FP8))
		add_work(d, "products = fp8_e4m3");
	if (g.tp > 1 && !said_on(r, MEANS_SP))
		add_rule(d, "at residual { seq -> none }");
	if (said_on(r, MEANS_SHARD_OPTIMIZER) && g.dp > 1)
		add_rule(d, "store optimizer { d_model -> dp * ep }");
	if (said_on(r, MEANS_OVERLAP))
		add_rule(d, "comm { overlap = streams }");
	megatron_pipeline(d, &g, microbatches);
	megatron_recompute(d);
	d->engine = "Megatron_2025";
	return !r->sink->errors;
}

/* ---- torchtitan ------------------------------------------------------------------------------ */

/* Layers of each stage: one fewer on the first, for the embedding, and on the last, for the head
 * (generate_llm_fqn_per_model_part). */
static const char *torchtitan_stages(struct draft *d, int64_t pp)
{
	struct text t = {.arena = d->request->arena};
	int64_t all = d->layers + 2, base = all / pp, more = all % pp;
	if (base < 2 || pp > 64)
		return NULL;
	for (int64_t i = 0; i < pp; i++)
		text_add(&t, "%s%lld", i ? ", " : "", (long long)(base + (i < more) - (i == 0) - (i == pp - 1)));
	return t.at;
}

static void torchtitan_pipeline(struct draft *d, const struct degrees *g, int64_t microbatches)
{
	struct request *r = d->request;
	const char *schedule = said_text(r, MEANS_SCHEDULE);
	const char *stages = g->pp > 1 ? torchtitan_stages(d, g->pp) : NULL;
	if (g->pp == 1 || !schedule || !strcmp(schedule, "1F1B"))
		set_pipeline(d, microbatches, "one_f_one_b", 0, stages);
	else if (!strcmp(schedule, "GPipe"))
		set_pipeline(d, microbatches, "fill_drain", 0, stages);
	else if (!strcmp(schedule, "Interleaved1F1B")) {
		set_pipeline(d, microbatches, "interleaved", 2, NULL);
		report_part(r, MEANS_SCHEDULE,
		            "the spec gives all stages as many layers; torchtitan gives the first and the last fewer");
	} else
		report_value(r, said_of(r, MEANS_SCHEDULE), "no plan can have this schedule: 1F1B, GPipe or Interleaved1F1B");
}

/* What is saved for the backward pass. torchtitan's default is `selective`. */
static void torchtitan_recompute(struct draft *d)
{
	struct request *r = d->request;
	const char *mode = said_text(r, MEANS_RECOMPUTE);
	if (mode && !strcmp(mode, "full"))
		add_rule(d, "memory { recompute = [layer] }");
	else if (!mode || strcmp(mode, "none") != 0)
		report_part(r, MEANS_RECOMPUTE, "activation_checkpoint.mode = %s: the spec saves all activations of a layer",
		            mode ? mode : "selective, the default");
}

/* Groups that hold the same weights, and those that divide them. false after a report. */
static bool torchtitan_groups(struct draft *d, struct degrees *g, bool *sharded)
{
	struct request *r = d->request;
	const char *shard = said_text(r, MEANS_FSDP);
	bool open = !shard || !strcmp(shard, "-1");
	int64_t copies = said_count(r, MEANS_DP, 1, 1), parts = open ? 1 : said_count(r, MEANS_FSDP, 1, 1);
	if (copies > MAX_DEGREE || parts > MAX_DEGREE || copies * parts > MAX_DEGREE) {
		report_clash(r, MEANS_DP, MEANS_FSDP, "more than %d ranks", MAX_DEGREE);
		return false;
	}
	int64_t experts = g->expert_tp == g->tp ? g->ep : g->ep > g->tp ? g->ep / g->tp : 1;
	if (!divide_ranks(d, g, open && experts > copies ? experts : copies * parts))
		return false;
	if (open ? g->dp % copies : g->dp != copies * parts) {
		report_clash(r, open ? MEANS_DP : MEANS_FSDP, MEANS_RANKS_OF_NODE, "the ranks leave %lld groups, not %lld",
		             (long long)g->dp, (long long)(copies * parts));
		return false;
	}
	parts = g->dp / copies;
	*sharded = parts > 1;
	if (copies > 1 && parts > 1)
		diag_report(r->sink, DIAG_E1004, said_at(r, MEANS_DP),
		            "weights in %lld copies of %lld parts have no counterpart in a plan of the library",
		            (long long)copies, (long long)parts);
	return !r->sink->errors;
}

static const char *titan_format(struct request *r, enum flag_meaning m, const char *otherwise)
{
	const char *said = said_text(r, m);
	if (!said)
		return otherwise;
	if (strcmp(said, "bfloat16") != 0 && strcmp(said, "float32") != 0)
		report_value(r, said_of(r, m), "bfloat16 or float32 is expected");
	return !strcmp(said, "bfloat16") ? "bf16" : "f32";
}

static void torchtitan_formats(struct draft *d)
{
	struct request *r = d->request;
	const char *stored = titan_format(r, MEANS_TRAIN_DTYPE, "f32"), *computed = titan_format(r, MEANS_DTYPE, "bf16");
	if (!strcmp(stored, "bf16")) {
		add_work(d, "gradient = bf16");
		add_work(d, "optimizer = AdamW { moments = bf16; master = none }");
		set_format(d, "bf16");
	} else
		set_optimizer(d, computed, "f32");
}

static bool torchtitan(struct draft *d)
{
	struct request *r = d->request;
	struct degrees g = {.tp = said_count(r, MEANS_TP, 1, 1), .pp = said_count(r, MEANS_PP, 1, 1)};
	g.ep = said_count(r, MEANS_EP, 1, 1), g.expert_tp = said_count(r, MEANS_EXPERT_TP, 1, 1);
	bool sharded;
	if (g.ep == 1)
		g.expert_tp = g.tp;
	if (!torchtitan_groups(d, &g, &sharded) || !lay_out(d, &g))
		return false;
	int64_t local = said_count(r, MEANS_LOCAL, 1, 8), micro = g.pp > 1 ? said_count(r, MEANS_MICRO, 1, 1) : local,
			microbatches;
	const char *global = said_text(r, MEANS_GLOBAL);
	if (!said_of(r, MEANS_LOCAL))
		add_note(d, "training.local_batch_size: 8");
	if (local > INT32_MAX / g.dp)
		return report_clash(r, MEANS_LOCAL, MEANS_DP, "the batch is too large"), false;
	int64_t batch = !global || !strcmp(global, "-1") ? local * g.dp : said_count(r, MEANS_GLOBAL, 1, local * g.dp);
	if (local % micro)
		report_clash(r, MEANS_LOCAL, MEANS_MICRO, "%lld sequences are not a multiple of %lld in a microbatch",
		             (long long)local, (long long)micro);
	if (!set_batch(d, &g, batch, local, &microbatches))
		return false;
	set_sequence(d);
	torchtitan_formats(d);
	if (sharded)
		add_rule(d, "store weights { d_model -> dp * ep }");
	torchtitan_pipeline(d, &g, microbatches * (local / micro));
	torchtitan_recompute(d);
	add_rule(d, "comm { overlap = streams }");
	d->engine = "TorchTitan_2024";
	return !r->sink->errors;
}

/* ---- DeepSpeed ------------------------------------------------------------------------------- */

/* Two of three numbers give the third: batch = micro * accumulated * groups. false after a report. */
static bool deepspeed_batch(struct draft *d, struct degrees *g)
{
	struct request *r = d->request;
	int64_t batch = said_count(r, MEANS_GLOBAL, 1, 0), micro = said_count(r, MEANS_MICRO, 1, 0),
			steps = said_count(r, MEANS_ACCUMULATE, 1, 0), microbatches;
	if (!batch && !micro) {
		diag_report(r->sink, DIAG_E1003, r->command,
		            "neither `train_batch_size` nor `train_micro_batch_size_per_gpu` is set");
		return false;
	}
	int64_t least = batch && micro && batch % (micro * (steps ? steps : 1)) == 0 && steps ? batch / (micro * steps) : 1;
	if (!divide_ranks(d, g, least > 0 && least <= MAX_DEGREE ? least : 1) || !lay_out(d, g))
		return false;
	if (!micro)
		micro = batch / ((steps ? steps : 1) * g->dp);
	if (!batch && (steps ? steps : 1) <= INT32_MAX / (micro * g->dp))
		batch = micro * (steps ? steps : 1) * g->dp;
	if (!set_batch(d, g, batch, micro, &microbatches))
		return false;
	if (steps && steps != microbatches) {
		report_clash(r, MEANS_ACCUMULATE, MEANS_GLOBAL, "%lld = %lld * %lld groups * %lld steps, not %lld steps",
		             (long long)batch, (long long)micro, (long long)g->dp, (long long)microbatches, (long long)steps);
		return false;
	}
	set_pipeline(d, microbatches, "one_f_one_b", 0, NULL);
	return true;
}

static bool deepspeed(struct draft *d)
{
	struct request *r = d->request;
	static const char *const stores[] = {NULL, "optimizer", "gradients", "weights"};
	const struct said *tp = said_of(r, MEANS_TP);
	bool whole = tp && !strcmp(tp->value.text, "0"); /* AutoTP is off */
	struct degrees g = {.tp = whole ? 1 : said_count(r, MEANS_TP, 1, 1), .pp = said_count(r, MEANS_PP, 1, 1), .ep = 1};
	g.expert_tp = g.tp;
	int64_t stage = said_count(r, MEANS_ZERO, 0, 0);
	if (stage > 3) {
		report_value(r, said_of(r, MEANS_ZERO), "there are stages 0 to 3");
		stage = 0;
	}
	if (!deepspeed_batch(d, &g))
		return false;
	set_sequence(d);
	const char *format = mixed_format(d), *gradient = said_text(r, MEANS_GRADIENT);
	bool wide = gradient && !strcmp(gradient, "fp32");
	if (gradient && !wide && strcmp(gradient, "fp16") != 0 && strcmp(gradient, "bf16") != 0)
		report_value(r, said_of(r, MEANS_GRADIENT), "fp32, fp16 or bf16 is expected");
	set_optimizer(d, format, wide ? "f32" : gradient ? strcmp(gradient, "fp16") ? "bf16" : "f16" : format);
	if (g.tp > 1)
		add_rule(d, "at residual { seq -> none }");
	if (stores[stage] && g.dp > 1)
		add_rule(d, "store %s { d_model -> dp }", stores[stage]);
	if (said_on(r, MEANS_OVERLAP))
		add_rule(d, "comm { overlap = streams }");
	if (said_on(r, MEANS_RECOMPUTE_SOME))
		add_rule(d, "memory { recompute = [layer] }");
	d->engine = "DeepSpeed_2023";
	return !r->sink->errors;
}

bool draft_training(struct draft *d)
{
	return d->request->program == FLAGS_MEGATRON     ? megatron(d)
	       : d->request->program == FLAGS_TORCHTITAN ? torchtitan(d)
	                                                 : deepspeed(d);
}
