/* What the flags of a server say, as a draft: vLLM, SGLang. */
#include "internal.h"
#include <string.h>

/* ---- formats --------------------------------------------------------------------------------- */

/* The language's name of a number format; NULL: it has none. */
static const char *format_of(const char *name)
{
	static const struct {
		const char *name, *ours;
	} known[] = {{"bfloat16", "bf16"}, {"bf16", "bf16"},         {"float16", "f16"},
	             {"half", "f16"},      {"float", "f32"},         {"float32", "f32"},
	             {"fp8", "fp8_e4m3"},  {"fp8_e4m3", "fp8_e4m3"}, {"fp8_e5m2", "fp8_e5m2"}};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!strcmp(name, known[i].name))
			return known[i].ours;
	return NULL;
}

/* The format that a flag names; NULL: it names none, or `auto`. */
static const char *said_format(struct request *r, enum flag_meaning m)
{
	const struct said *s = said_of(r, m);
	if (!s || !strcmp(s->value.text, "auto"))
		return NULL;
	const char *format = format_of(s->value.text);
	if (!format)
		report_value(r, s, "no plan can have this format");
	return format;
}

/* That of what kernels compute. */
static const char *computed_format(struct request *r)
{
	const char *format = said_format(r, MEANS_DTYPE);
	if (format && !strncmp(format, "fp8", 3))
		report_value(r, said_of(r, MEANS_DTYPE), "only weights and the cache can have 8 bits: `%s` stores weights so",
		             "--quantization fp8");
	return format;
}

static void set_field(struct draft *d, const char *field, const char *value)
{
	vec_push(d->request->arena, &d->formats, (const char *)arena_printf(d->request->arena, "%s = %s", field, value));
}

static void set_formats(struct draft *d)
{
	struct request *r = d->request;
	const char *dtype = computed_format(r), *kv = said_format(r, MEANS_KV);
	const char *quantised = said_text(r, MEANS_QUANTIZED);
	bool stores = false; /* does the checkpoint decide how weights are stored? */
	for (int i = 0; i < d->formats.n; i++)
		stores |= !strncmp(d->formats.at[i], "weight", 6);
	if (quantised && !strcmp(quantised, "fp8")) {
		if (!stores)
			set_field(d, "weight", "fp8_e4m3");
		report_part(r, MEANS_QUANTIZED,
		            "the spec stores all weights in fp8_e4m3, without scales; %s keeps embeddings, norms "
		            "and the head in 16 bits",
		            flag_program_name(r->program));
	} else if (quantised && strcmp(quantised, "none") != 0)
		report_part(r, MEANS_QUANTIZED, "weights with separate scales (`%s`) are not carried over: the spec stores %s",
		            quantised, dtype ? dtype : "bf16");
	else if (dtype && !stores)
		set_field(d, "weight", dtype);
	if (dtype)
		set_field(d, "act", dtype);
	if (kv || dtype)
		set_field(d, "kv", kv ? kv : dtype);
}

/* ---- mesh ------------------------------------------------------------------------------------ */

static void set_mesh(struct draft *d, const char *axis, int64_t size)
{
	struct arena *a = d->request->arena;
	if (size > 1)
		vec_push(a, &d->mesh, (const char *)arena_printf(a, "%s = %lld", axis, (long long)size));
}

static void add_rule(struct draft *d, const char *rule) { vec_push(d->request->arena, &d->rules, rule); }

/* A pipeline has as many batches in flight as stages. Layers that they do not divide: vLLM gives one more to stages
 * from the last but one backwards, SGLang to the last ones. */
static void set_pipeline(struct draft *d, int64_t pp)
{
	struct request *r = d->request;
	int64_t base = d->layers / pp, left = d->layers % pp;
	if (pp <= 1)
		return;
	if (base == 0) {
		report_value(r, said_of(r, MEANS_PP), "the model has %lld layers", (long long)d->layers);
		return;
	}
	struct text t = {.arena = r->arena};
	text_add(&t, "pipeline { microbatches = %lld", (long long)pp);
	for (int64_t i = 0; left && i < pp; i++) {
		bool more = r->program == FLAGS_VLLM ? i < pp - 1 && i >= pp - 1 - left : i >= pp - left;
		text_add(&t, "%s%lld", i ? ", " : "; stages = [", (long long)(base + more));
	}
	text_add(&t, "%s }", left ? "]" : "");
	add_rule(d, t.at);
}

enum { MAX_DEGREE = 1 << 20 };

static bool degrees_fit(struct draft *d, int64_t tp, int64_t pp, int64_t dp)
{
	bool fits =
		tp <= MAX_DEGREE && pp <= MAX_DEGREE && dp <= MAX_DEGREE && tp * pp <= MAX_DEGREE && tp * pp * dp <= MAX_DEGREE;
	if (!fits)
		diag_report(d->request->sink, DIAG_E1002, d->request->command, "the degrees multiply to more than %d ranks",
		            MAX_DEGREE);
	d->ranks = fits ? tp * pp * dp : 1;
	return fits;
}

static bool vllm_mesh(struct draft *d)
{
	struct request *r = d->request;
	int64_t tp = said_count(r, MEANS_TP, 1, 1), pp = said_count(r, MEANS_PP, 1, 1), dp = said_count(r, MEANS_DP, 1, 1);
	bool whole = said_on(r, MEANS_EP_ALL);
	if (whole && !d->has_experts)
		diag_report(r->sink, DIAG_E1002, said_at(r, MEANS_EP_ALL), "`%s` has no experts", d->model);
	d->plan = whole && d->has_experts ? "VLLM_EP" : "VLLM";
	d->owners = dp;
	set_mesh(d, "dp", dp), set_mesh(d, "pp", pp), set_mesh(d, "tp", tp);
	if (d->has_experts && !whole && dp > 1)
		add_rule(d, "at moe { batch -> none; expert_ffn -> dp * tp }");
	set_pipeline(d, pp);
	d->engine = "vLLM_2025";
	return degrees_fit(d, tp, pp, dp);
}

/* Backends of the exchange that need whole experts on all ranks (SGLang, _A2A_EP_SPANNING_BACKENDS). */
static bool spans_all(const char *backend)
{
	return backend && strcmp(backend, "none") != 0 && strcmp(backend, "ascend_tp") != 0;
}

/* Attention in dp groups; experts over all ranks, whole or by their width. */
static void sglang_groups(struct draft *d, int64_t dp, bool whole)
{
	struct request *r = d->request;
	d->plan = "SGLang";
	if (d->has_experts && !whole) {
		add_rule(d, "expert -> none");
		add_rule(d, "at moe { batch -> none; expert_ffn -> dp * tp }");
	}
	if (!said_on(r, MEANS_DP_HEAD) && dp > 1)
		report_part(r, MEANS_DP_ATTENTION,
		            "the spec gives each group a head of its own, as `--enable-dp-lm-head` does");
}

static bool sglang_mesh(struct draft *d)
{
	struct request *r = d->request;
	int64_t all = said_count(r, MEANS_TP_ALL, 1, 1), pp = said_count(r, MEANS_PP, 1, 1),
			dp = said_count(r, MEANS_DP, 1, 1);
	int64_t ep = spans_all(said_text(r, MEANS_EP_BACKEND)) ? all : said_count(r, MEANS_EP, 1, 1);
	bool groups = said_on(r, MEANS_DP_ATTENTION) && dp > 1, whole = ep == all && ep > 1;
	if (ep > 1 && !d->has_experts)
		report_clash(r, MEANS_EP, MEANS_MODEL, "`%s` has no experts", d->model);
	else if (ep > 1 && ep != all) {
		struct diag *g = diag_report(r->sink, DIAG_E1004, said_at(r, MEANS_EP),
		                             "experts over %lld of %lld ranks have no counterpart in a plan of the library",
		                             (long long)ep, (long long)all);
		diag_help(r->sink, g, "with %lld they are whole on each rank; with 1 each rank has a part of the width of all",
		          (long long)all);
	}
	if (groups && all % dp) {
		report_clash(r, MEANS_DP, MEANS_TP_ALL, "%lld groups do not divide %lld ranks", (long long)dp, (long long)all);
		return false;
	}
	int64_t tp = groups ? all / dp : all;
	d->owners = dp;
	d->engine = "SGLang_2025";
	if (groups)
		sglang_groups(d, dp, whole);
	else {
		d->plan = "VLLM";
		if (whole)
			add_rule(d, "expert -> tp"), add_rule(d, "expert_ffn -> none");
	}
	set_mesh(d, "dp", dp), set_mesh(d, "pp", pp), set_mesh(d, "tp", tp);
	set_pipeline(d, pp);
	return degrees_fit(d, tp, pp, dp);
}

/* ---- workload -------------------------------------------------------------------------------- */

static void work(struct draft *d, const char *field, int64_t value)
{
	struct arena *a = d->request->arena;
	vec_push(a, &d->work, (const char *)arena_printf(a, "%s = %lld", field, (long long)value));
}

static void note_default(struct draft *d, enum flag_meaning m, const char *what)
{
	struct arena *a = d->request->arena;
	const struct flag *f = flag_meaning_row(d->request->program, m);
	char name[FLAG_NAME];
	if (!said_of(d->request, m) && f)
		vec_push(a, &d->notes, (const char *)arena_printf(a, "%s: %s", flag_name(f, name), what));
}

/* Defaults of vLLM 0.33 by the memory of a device (EngineArgs.get_batch_defaults), of SGLang 0.5
 * (handle_gpu_memory_settings). */
static int64_t default_chunk(const struct draft *d)
{
	double gib = d->device_memory / (double)(1 << 30);
	if (d->request->program == FLAGS_SGLANG)
		return gib < 20 ? 2048 : gib < 60 ? 4096 : gib < 160 ? 8192 : 16384;
	return gib >= 160 ? 16384 : gib >= 70 && !strstr(d->device, "A100") ? 8192 : 2048;
}

static int64_t default_sequences(const struct draft *d)
{
	double gib = d->device_memory / (double)(1 << 30);
	return d->request->program == FLAGS_SGLANG ? 256 : gib >= 70 && !strstr(d->device, "A100") ? 1024 : 256;
}

static int64_t chunk_of(struct draft *d, bool groups)
{
	struct request *r = d->request;
	const char *said = said_text(r, MEANS_CHUNK);
	bool whole = said && !strcmp(said, "-1") && r->program == FLAGS_SGLANG; /* prompts are not divided */
	if (whole)
		return d->longest > 16384 ? d->longest : 16384;
	int64_t chunk = said_count(r, MEANS_CHUNK, 1, default_chunk(d));
	int64_t own = groups ? chunk / d->owners : chunk;
	if (own < 1)
		report_clash(r, MEANS_CHUNK, MEANS_DP, "%lld tokens are fewer than the %lld groups", (long long)chunk,
		             (long long)d->owners);
	return own < 1 ? 1 : own;
}

static void set_length(struct draft *d)
{
	struct request *r = d->request;
	const struct said *s = said_of(r, MEANS_LENGTH);
	bool open = s && (!strcmp(s->value.text, "-1") || !strcmp(s->value.text, "auto"));
	d->longest = open ? d->max_ctx : said_count(r, MEANS_LENGTH, 2, d->max_ctx);
	if (d->longest > d->max_ctx)
		report_value(r, s, "the model was made for at most %lld positions", (long long)d->max_ctx);
}

static void set_work(struct draft *d)
{
	struct request *r = d->request;
	struct arena *a = r->arena;
	bool groups = r->program == FLAGS_SGLANG && said_on(r, MEANS_DP_ATTENTION) && d->owners > 1;
	set_length(d);
	int64_t chunk = chunk_of(d, groups), most = default_sequences(d);
	int64_t own = said_count(r, MEANS_SEQUENCES, 1, r->program == FLAGS_VLLM && most > chunk ? chunk : most);
	d->batch = groups && said_of(r, MEANS_SEQUENCES) ? own : own * d->owners;
	d->page = said_count(r, MEANS_PAGE, 1, r->program == FLAGS_SGLANG ? 1 : 16);
	int64_t pages = said_count(r, MEANS_PAGES, 1, 0), positions = said_count(r, MEANS_POSITIONS, 1, pages * d->page);
	d->cache = positions * d->owners;
	work(d, "batch", d->batch);
	vec_push(a, &d->work, (const char *)arena_printf(a, "seq = 1..%lld", (long long)d->longest - 1));
	work(d, "output", 1);
	work(d, "chunk", chunk), work(d, "page", d->page);
	note_default(d, MEANS_SEQUENCES, arena_printf(a, "%lld for a group", (long long)own));
	note_default(d, MEANS_CHUNK, arena_printf(a, "%lld for a group, by the memory of %s", (long long)chunk, d->device));
	note_default(d, MEANS_LENGTH, arena_printf(a, "%lld, the model's", (long long)d->longest));
}

static void set_memory(struct draft *d)
{
	struct request *r = d->request;
	if (r->program == FLAGS_VLLM) {
		d->used = said_share(r, MEANS_MEMORY_ALL, 0.92);
		note_default(d, MEANS_MEMORY_ALL, "0.92");
	} else
		d->fixed_share = said_share(r, MEANS_MEMORY_STATIC, 0);
}

bool draft_serving(struct draft *d)
{
	set_formats(d);
	if (!(d->request->program == FLAGS_VLLM ? vllm_mesh(d) : sglang_mesh(d)))
		return false;
	set_work(d);
	set_memory(d);
	vec_push(
		d->request->arena, &d->notes,
		(const char *)"lengths: the longest sequence that is let in; write the prompts and outputs that are served");
	return !d->request->sink->errors;
}
