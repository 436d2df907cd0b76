/* A deployment as the command line of another program. Its degrees and its load are written as flags; then the flags
 * are imported, and what they start is compared with the deployment, rank by rank. So what is written runs what was
 * checked, or nothing is written. */
#include "internal.h"
#include <string.h>
#include "../dag/local.h"
#include "../planner/passes.h"
#include "../sema/deploy.h"

struct export
{
	struct arena *arena;
	struct names *names;
	struct sink *sink;
	const struct engine_spec *spec;
	const struct deploy *deploy;
	const struct engine_options *options;
	enum flag_program program;
	struct local *local;  /* of the deployment */
	struct memory memory; /* of its fullest rank, serving */
	struct model_facts facts;
	int64_t tp, pp, dp, experts; /* ranks that experts are divided among, by number; 1: none */
	struct text flags;           /* of the variant that is tried */
	const char *differs;         /* what the first variant has otherwise */
};

/* ---- flags ----------------------------------------------------------------------------------- */

static const struct flag *row_of(struct export *x, enum flag_program p, enum flag_meaning m)
{
	const struct flag *f = flag_meaning_row(p, m);
	if (!f)
		internal_error("%s has no flag of meaning %d", flag_program_name(x->program), (int)m);
	return f;
}

static void say_of(struct export *x, enum flag_program p, enum flag_meaning m, const char *value)
{
	char name[FLAG_NAME];
	text_add(&x->flags, " %s%s%s", flag_name(row_of(x, p, m), name), *value ? " " : "", value);
}

static void say(struct export *x, enum flag_meaning m, const char *value) { say_of(x, x->program, m, value); }

static void say_count(struct export *x, enum flag_meaning m, int64_t value, int64_t otherwise)
{
	if (value != otherwise)
		say(x, m, arena_printf(x->arena, "%lld", (long long)value));
}

/* The number format as these programs write it; NULL: they have none. */
static const char *format_name(enum dtype t, bool torch)
{
	const char *ours = dtype_name(t);
	return !strcmp(ours, "bf16")  ? "bfloat16"
	       : !strcmp(ours, "f16") ? "float16"
	       : !strcmp(ours, "f32") ? "float32"
	       : torch                ? NULL
	                              : ours;
}

/* ---- servers --------------------------------------------------------------------------------- */

static enum dtype field_format(const struct export *x, const char *field)
{
	struct record *model = record_of(x->deploy->record, "model");
	struct val v = value_of(model, field);
	return v.kind == V_DTYPE ? v.dtype : DTYPE_BF16;
}

static bool say_formats(struct export *x)
{
	enum dtype act = field_format(x, "act"), kv = field_format(x, "kv");
	const char *dtype = format_name(act, true);
	if (!dtype) {
		x->differs = "the format of activations";
		return false;
	}
	say(x, MEANS_DTYPE, dtype);
	if (kv != act)
		say(x, MEANS_KV, format_name(kv, false));
	return true;
}

static void say_server(struct export *x, bool groups)
{
	const struct workload *w = &x->deploy->work;
	int64_t owners = x->dp;
	say_count(x, MEANS_LENGTH, w->seq_hi + w->output_hi, 0);
	say_count(x, MEANS_SEQUENCES, groups ? w->batch : w->batch / owners, 0);
	say_count(x, MEANS_CHUNK, groups ? w->chunk * owners : w->chunk, 0);
	say_count(x, MEANS_PAGE, w->page, 0);
	double device = x->deploy->machine.device.memory;
	if (x->program == FLAGS_VLLM) {
		say_count(x, MEANS_PAGES, w->cache / (owners * w->page), 0);
		say(x, MEANS_MEMORY_ALL,
		    arena_printf(x->arena, "%.3g", (double)(int64_t)((1 - x->deploy->machine.reserve / device) * 1000) / 1000));
	} else {
		say_count(x, MEANS_POSITIONS, w->cache / owners, 0);
		double share = (double)((int64_t)((x->memory.weights + x->memory.kv) / device * 1000) + 1) / 1000;
		if (share > 0.8) /* SGLang takes about as much by itself */
			say(x, MEANS_MEMORY_STATIC, arena_printf(x->arena, "%.3g", share < 1 ? share : 1));
	}
}

static bool vllm_variant(struct export *x, int variant)
{
	if (variant > (x->facts.has_experts ? 1 : 0))
		return false;
	say_count(x, MEANS_TP, x->tp, 1), say_count(x, MEANS_PP, x->pp, 1), say_count(x, MEANS_DP, x->dp, 1);
	if (variant == 1)
		say(x, MEANS_EP_ALL, "");
	say_server(x, false);
	return say_formats(x);
}

/* Variants: experts by their width or whole, without and with groups in attention. */
static bool sglang_variant(struct export *x, int variant)
{
	bool groups = variant >= 2, whole = variant % 2;
	if (variant > 3 || (groups && x->dp == 1))
		return false;
	int64_t all = groups ? x->tp * x->dp : x->tp;
	say_count(x, MEANS_TP_ALL, all, 1), say_count(x, MEANS_PP, x->pp, 1), say_count(x, MEANS_DP, x->dp, 1);
	if (groups)
		say(x, MEANS_DP_ATTENTION, ""), say(x, MEANS_DP_HEAD, "");
	if (whole && x->facts.has_experts)
		say_count(x, MEANS_EP, all, 1);
	say_server(x, groups);
	return say_formats(x);
}

/* ---- trainings ------------------------------------------------------------------------------- */

static bool recomputes_layers(const struct deploy *d)
{
	return d->recompute.n == 1 && !strcmp(d->recompute.at[0], "layer");
}

static const char *launcher(struct export *x)
{
	const struct deploy *d = x->deploy;
	int64_t ranks = x->tp * x->pp * x->dp, of_node = d->machine.levels.n ? d->machine.levels.at[0].count : ranks;
	of_node = of_node < 1 || of_node > ranks || ranks % of_node ? ranks : of_node;
	char of[FLAG_NAME], nodes[FLAG_NAME];
	return arena_printf(x->arena, "torchrun %s %lld %s %lld",
	                    flag_name(row_of(x, FLAGS_LAUNCHER, MEANS_RANKS_OF_NODE), of), (long long)of_node,
	                    flag_name(row_of(x, FLAGS_LAUNCHER, MEANS_NODES), nodes), (long long)(ranks / of_node));
}

/* Variants, as bits: experts whole over ep * tp ranks; tokens of the residual not divided; the optimizer divided. */
static bool megatron_variant(struct export *x, int variant)
{
	const struct deploy *d = x->deploy;
	bool folded = variant & 1, whole_tokens = variant & 2, sharded = variant & 4;
	if (variant > 7)
		return false;
	say_count(x, MEANS_TP, x->tp, 1), say_count(x, MEANS_PP, x->pp, 1), say_count(x, MEANS_EP, x->experts, 1);
	if (folded)
		say(x, MEANS_EXPERT_TP, "1");
	if (x->tp > 1 && !whole_tokens)
		say(x, MEANS_SP, "");
	if (sharded)
		say(x, MEANS_SHARD_OPTIMIZER, "");
	say_count(x, MEANS_MICRO, d->work.batch / (x->dp * d->microbatches), 0);
	say_count(x, MEANS_GLOBAL, d->work.batch, 0);
	say_count(x, MEANS_SEQUENCE, d->work.seq_hi, 0);
	say_count(x, MEANS_VIRTUAL, d->chunks, 1);
	enum dtype act = field_format(x, "act");
	if (act != DTYPE_F32)
		say(x, act == DTYPE_F16 ? MEANS_F16 : MEANS_BF16, "");
	if (act == DTYPE_BF16 && d->work.optimizer.gradient == DTYPE_BF16)
		say(x, MEANS_GRADIENT_BF16, "");
	if (act == DTYPE_F16 && d->work.optimizer.gradient == DTYPE_F32)
		say(x, MEANS_GRADIENT_F32, "");
	if (d->work.has_products)
		say(x, MEANS_FP8, "e4m3");
	if (d->overlap != OVERLAP_OFF)
		say(x, MEANS_OVERLAP, "");
	if (recomputes_layers(d))
		say(x, MEANS_RECOMPUTE, "full"), say(x, MEANS_RECOMPUTE_METHOD, "uniform"), say(x, MEANS_RECOMPUTE_LAYERS, "1");
	return true;
}

/* Variants, as bits: experts whole over ep * tp ranks; copies of the weights, not parts. */
static bool torchtitan_variant(struct export *x, int variant)
{
	const struct deploy *d = x->deploy;
	bool folded = variant & 1, copies = variant & 2;
	if (variant > 3)
		return false;
	int64_t own = d->work.batch / (x->dp * d->microbatches), local = x->pp > 1 ? own * d->microbatches : own;
	say_count(x, MEANS_DP, copies ? x->dp : 1, 0), say_count(x, MEANS_FSDP, copies ? 1 : x->dp, 0);
	say_count(x, MEANS_TP, x->tp, 1), say_count(x, MEANS_PP, x->pp, 1), say_count(x, MEANS_EP, x->experts, 1);
	if (x->experts > 1)
		say_count(x, MEANS_EXPERT_TP, folded ? 1 : x->tp, 0);
	say_count(x, MEANS_LOCAL, local, 0), say_count(x, MEANS_GLOBAL, d->work.batch, 0);
	if (x->pp > 1)
		say_count(x, MEANS_MICRO, own, 0);
	say_count(x, MEANS_SEQUENCE, d->work.seq_hi, 0);
	if (x->pp > 1)
		say(x, MEANS_SCHEDULE, d->order == PIPELINE_FILL_DRAIN ? "GPipe" : "1F1B");
	say(x, MEANS_RECOMPUTE, recomputes_layers(d) ? "full" : "none");
	if (field_format(x, "act") == DTYPE_F32)
		say(x, MEANS_DTYPE, "float32");
	if (!d->work.optimizer.has_master && field_format(x, "weight") == DTYPE_BF16)
		say(x, MEANS_TRAIN_DTYPE, "bfloat16");
	return true;
}

/* ---- the way back ---------------------------------------------------------------------------- */

static bool begin_variant(struct export *x, int variant)
{
	x->flags = (struct text){.arena = x->arena};
	switch (x->program) {
	case FLAGS_VLLM:       return vllm_variant(x, variant);
	case FLAGS_SGLANG:     return sglang_variant(x, variant);
	case FLAGS_MEGATRON:   return megatron_variant(x, variant);
	case FLAGS_TORCHTITAN: return torchtitan_variant(x, variant);
	default:               return false;
	}
}

static const char *command_of(struct export *x)
{
	switch (x->program) {
	case FLAGS_VLLM: return arena_printf(x->arena, "vllm serve \"$CHECKPOINT\"%s", x->flags.at);
	case FLAGS_SGLANG:
		return arena_printf(x->arena, "python -m sglang.launch_server --model-path \"$CHECKPOINT\"%s", x->flags.at);
	case FLAGS_MEGATRON:
		return arena_printf(x->arena, "%s pretrain_gpt.py%s%s", launcher(x), x->facts.flags, x->flags.at);
	default: return arena_printf(x->arena, "%s -m torchtitan.train%s%s", launcher(x), x->facts.flags, x->flags.at);
	}
}

static const char *load_difference(const struct deploy *d, const struct deploy *e)
{
	const struct workload *v = &d->work, *w = &e->work;
	if (v->batch != w->batch || d->microbatches != e->microbatches)
		return "the batch and its microbatches";
	if (v->seq_hi + v->output_hi != w->seq_hi + w->output_hi)
		return "the longest sequence";
	if (!v->training)
		return v->chunk != w->chunk   ? "the chunk"
		       : v->page != w->page   ? "the page"
		       : v->cache != w->cache ? "the cache"
		                              : NULL;
	const struct optimizer *o = &v->optimizer, *p = &w->optimizer;
	if (o->gradient != p->gradient || o->states != p->states || o->moments != p->moments
	    || o->has_master != p->has_master || (o->has_master && o->master != p->master))
		return "the formats of gradients and optimizer";
	if (v->has_products != w->has_products || (v->has_products && v->products != w->products))
		return "the format of products";
	if (d->chunks != e->chunks || (d->order != e->order && d->microbatches > 1))
		return "the schedule of the pipeline";
	if (d->recompute.n != e->recompute.n || (d->recompute.n && strcmp(d->recompute.at[0], e->recompute.at[0]) != 0))
		return "what is computed again";
	return d->overlap != e->overlap ? "what overlaps" : NULL;
}

/* The deployment with the plan and the load of the flags, which is compared with it. NULL: nothing differs. */
static const char *difference(struct export *x, const struct draft *d)
{
	struct request *r = d->request;
	struct arena *a = x->arena;
	struct text t = {.arena = a};
	text_add(&t,
	         "%s\nuse std.plans as exported_plans\nuse std.workload as exported_workload\ndeploy Exported_ = %s {\n",
	         x->spec->text, x->deploy->name);
	draft_overrides(d, &t);
	text_add(&t, "}\n");
	struct sources sources = {.arena = a};
	struct sink sink = {.arena = a, .sources = &sources};
	struct sema_options sema = *r->options->sema;
	sema.overlays = overlays_with(a, &r->options->sema->overlays, x->spec->path, (struct file_text){t.at, (size_t)t.n});
	struct sema *s = sema_new(a, x->names, &sink, &sema);
	int n = 0;
	struct deploy **all = sema_load(s, x->spec->path) ? sema_deploys(s, &n) : NULL;
	struct deploy *e = NULL;
	for (int i = 0; i < n; i++)
		if (!strcmp(all[i]->name, "Exported_"))
			e = all[i];
	if (!e || !e->program || !e->known || e->refused)
		return "the mesh";
	const char *load = load_difference(x->deploy, e);
	struct local *other = load ? NULL : dag_local(a, x->names, &sink, e);
	return load ? load : other ? layout_difference(a, x->local, other) : "the mesh";
}

/* Does the variant start what the deployment is? */
static bool try_variant(struct export *x)
{
	struct sources sources = {.arena = x->arena};
	struct sink sink = {.arena = x->arena, .sources = &sources};
	struct engine_options options = *x->options;
	options.facts = &x->facts;
	struct request r = {.arena = x->arena, .names = x->names, .sink = &sink, .options = &options};
	struct draft d = {.request = &r};
	const char *command = arena_printf(x->arena, "CHECKPOINT=it\n%s\n", command_of(x));
	uint32_t source = sources_add(&sources, "exported", "exported", command, strlen(command));
	r.command = (struct span){source, 0, 0};
	bool serves = x->program == FLAGS_VLLM || x->program == FLAGS_SGLANG;
	if (!request_commands(&r, shell_commands(x->arena, &sink, source)))
		internal_error("the exported command cannot be read: %s", command);
	const char *differs;
	if (!draft_model(&d) || !check_values(&r) || !(serves ? draft_serving(&d) : draft_training(&d)))
		differs = sink.diags.n ? sink.diags.at[0]->message : "the mesh";
	else
		differs = difference(x, &d);
	if (differs && !x->differs)
		x->differs = differs;
	return !differs;
}

/* ---- what flags do not say ------------------------------------------------------------------- */

static void report_rest(struct export *x)
{
	const struct deploy *d = x->deploy;
	const struct workload *w = &d->work;
	const char *program = flag_program_name(x->program);
	if (!w->training && (w->output_hi != 1 || w->seq_lo != 1))
		diag_report(x->sink, DIAG_W1009, w->seq_span,
		            "%s has no flag for the lengths of prompts and outputs: only their sum, %lld, is written", program,
		            (long long)(w->seq_hi + w->output_hi));
	if (w->arrivals.law != ARRIVAL_NONE)
		diag_report(x->sink, DIAG_W1009, w->arrivals.at, "%s has no flag for what arrives", program);
	if (field_format(x, "weight") != field_format(x, "act"))
		diag_report(x->sink, DIAG_W1009, d->name_span, "weights in %s are those of a checkpoint, not of a flag of %s",
		            dtype_name(field_format(x, "weight")), program);
	if (d->reduce_f32)
		diag_report(x->sink, DIAG_W1009, d->name_span, "%s has no flag for `comm { reduce = f32 }`", program);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int64_t atoms_ranks(const struct local *l, const struct atoms *a) { return a->n ? atoms_size(l, a) : 1; }

/* Ranks that divide the axis `expert` of a param; 1: none. */
static int64_t expert_ranks(struct local *l)
{
	for (int i = 0; i < l->program->params.n; i++) {
		const struct param *p = &l->program->params.at[i];
		for (int k = 0; k < p->n_axes; k++)
			if (!strcmp(l->program->axes.at[p->axes[k]].name, "expert")) {
				struct layout at = place_stored(l, p, CLASS_WEIGHT);
				return atoms_ranks(l, &at.axis[k]);
			}
	}
	return 1;
}

static bool read_deploy(struct export *x)
{
	const struct deploy *d = x->deploy;
	const char *program = flag_program_name(x->program);
	bool serves = x->program == FLAGS_VLLM || x->program == FLAGS_SGLANG;
	if (d->work.training == serves) {
		diag_report(x->sink, DIAG_E1008, d->work.span, "%s does not %s", program, serves ? "train" : "serve");
		return false;
	}
	x->local = dag_local(x->arena, x->names, x->sink, d);
	if (!x->local)
		return false;
	x->pp = atoms_ranks(x->local, &x->local->stages), x->dp = atoms_ranks(x->local, &x->local->owners);
	x->experts = expert_ranks(x->local);
	int64_t ranks = 1;
	for (int i = 0; i < d->mesh.n; i++)
		ranks *= d->mesh.at[i].size;
	x->tp = ranks / (x->pp * x->dp);
	if (serves) {
		struct schedule *s = dag_schedule(x->arena, x->sink, x->local, x->options->target);
		if (!s)
			return false;
		x->memory = planner_stage_memory(s, planner_fullest_stage(s));
	}
	x->facts = facts_of(x->arena, d, x->program);
	return true;
}

const char *engine_export(struct arena *arena, struct names *names, struct sink *sink, const struct engine_spec *spec,
                          const struct deploy *d, enum flag_program program, const struct engine_options *o)
{
	struct export x = {
		.arena = arena, .names = names, .sink = sink, .spec = spec, .deploy = d, .options = o, .program = program};
	if (!read_deploy(&x))
		return NULL;
	for (int variant = 0; variant < 8; variant++) {
		if (!begin_variant(&x, variant) || !try_variant(&x))
			continue;
		report_rest(&x);
		bool serves = program == FLAGS_VLLM || program == FLAGS_SGLANG;
		struct text t = {.arena = arena};
		if (serves)
			text_add(&t, "CHECKPOINT=%s # of %s\n", x.facts.checkpoint, d->model_name);
		text_add(&t, "%s\n", command_of(&x));
		return t.at;
	}
	struct diag *g = diag_report(sink, DIAG_E1008, d->name_span, "%s would run another plan than `%s`",
	                             flag_program_name(program), d->name);
	if (x.differs)
		diag_note(sink, g, "with the nearest flags it has otherwise: %s", x.differs);
	return NULL;
}
