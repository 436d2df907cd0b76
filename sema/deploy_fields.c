/* Workload and settings of a deployment. Reports settings that this version does not honour (W0521). */
#include "deploy.h"
#include <string.h>

/* ---- workload -------------------------------------------------------------------------------- */

/* The ends of a Range(Int); a single value is a range of one. false: a report was made, as of an `auto`. */
static bool ends(struct deployment *c, const char *field, int64_t min, int64_t *lo, int64_t *hi)
{
	const struct field *f = record_field(c->work, field);
	struct val v = record_get(c->work, field, c->work->span);
	struct val a = v.kind == V_RANGE ? v.range[0] : v, b = v.kind == V_RANGE ? v.range[1] : v;
	if (a.kind != V_INT || b.kind != V_INT)
		return false;
	if (a.i < min || b.i < a.i || b.i > MAX_COUNT) {
		struct diag *d = deployment_report(c, DIAG_E0203, field_where(f), "`%s` expects Ints from %lld to %d, found %s",
		                                   field, (long long)min, MAX_COUNT, val_show(c->sema, v));
		const struct node *e = f->sets.n ? f->sets.at[f->sets.n - 1].value : NULL;
		if (e && e->kind == N_BIN && e->bin.op == B_SUB && v.kind == V_INT) {
			diag_help(c->sema->sink, d, "write a range as `lowest..highest`");
			diag_fix(c->sema->sink, d, e->bin.op_span, "..");
		}
		return false;
	}
	*lo = a.i;
	*hi = b.i;
	return true;
}

/* Offers a lower upper end of `seq`, if that is written as a number. */
static void offer_longest(struct deployment *c, struct diag *d, const struct field *seq, int64_t longest)
{
	const struct node *e = seq->sets.n ? seq->sets.at[seq->sets.n - 1].value : NULL;
	const struct node *end = e && e->kind == N_BIN && e->bin.op == B_RANGE ? e->bin.b : e;
	if (end && end->kind == N_NUM && (end == e || c->deploy->work.seq_lo <= longest))
		diag_fix(c->sema->sink, d, end->span, arena_printf(c->sema->arena, "%lld", (long long)longest));
}

int64_t workload_longest(const struct workload *w) { return w->seq_hi + (w->output_hi > 1 ? w->output_hi : 1) - 1; }

/* Compares the longest sequence with the context of the model. */
static void check_context(struct deployment *c, int64_t prompt, int64_t output)
{
	int64_t max = c->deploy->program->max_ctx;
	if (max <= 0 || prompt + output - 1 <= max)
		return;
	const struct field *seq = record_field(c->work, "seq"), *max_ctx = record_field(c->model, "max_ctx");
	struct sink *sink = c->sema->sink;
	struct diag *d;
	if (prompt > max)
		d = deployment_report(c, DIAG_E0703, field_where(seq), "prompt %lld exceeds `max_ctx` %lld", (long long)prompt,
		                      (long long)max);
	else
		d = deployment_report(c, DIAG_E0703, field_where(seq), "prompt %lld and output %lld exceed `max_ctx` %lld",
		                      (long long)prompt, (long long)output, (long long)max);
	if (max_ctx)
		diag_related(sink, d, field_where(max_ctx), "the longest context of `%s`", c->deploy->model_name);
	diag_note(sink, d, "positions: %lld + %lld - 1 = %lld; the last token is not read back", (long long)prompt,
	          (long long)output, (long long)(prompt + output - 1));
	int64_t longest = max - output + 1, lo = c->deploy->work.seq_lo;
	bool is_range = lo < c->deploy->work.seq_hi;
	struct suggestion value = {
		"workload.seq",
		is_range ? arena_printf(sink->arena, "%lld..%lld", (long long)(lo < longest ? lo : longest), (long long)longest)
				 : arena_printf(sink->arena, "%lld", (long long)longest)};
	if (longest >= 1 && diag_check(sink, c->deploy->name, DIAG_E0703, &value, 1) >= 0) {
		diag_help(sink, d, "prompts of at most %lld", (long long)(max - output + 1));
		offer_longest(c, d, seq, max - output + 1);
	}
}

/* The span to change: where the user set a field, else the workload. */
static struct span set_where(struct deployment *c, const char *field)
{
	const struct field *f = record_field(c->work, field);
	const struct field_set *set = f && f->sets.n ? &f->sets.at[f->sets.n - 1] : NULL;
	return set && !set->layer->module->is_std ? set->span : c->deploy->work.span;
}

/* A field with a format. false: it is none, or left open. */
static bool read_format(struct record *r, const char *field, enum dtype *out)
{
	struct val v = record_field(r, field) ? record_get(r, field, r->span) : val_none();
	if (v.kind == V_DTYPE)
		*out = v.dtype;
	return v.kind == V_DTYPE;
}

static void read_optimizer(struct deployment *c)
{
	struct optimizer *o = &c->deploy->work.optimizer;
	struct val v = record_get(c->work, "optimizer", c->work->span);
	o->gradient = o->moments = o->master = DTYPE_F32;
	read_format(c->work, "gradient", &o->gradient);
	c->deploy->work.has_products = read_format(c->work, "products", &c->deploy->work.products);
	if (v.kind != V_RECORD)
		return;
	read_format(v.record, "moments", &o->moments);
	o->has_master = read_format(v.record, "master", &o->master);
	if (record_field(v.record, "states"))
		deployment_int(c, v.record, "states", 0, &o->states);
}

/* ---- how tokens choose experts ---------------------------------------------------------------- */

/* Shares of a list may miss 100% by what their digits leave out. */
static const double SHARES_ROUNDED = 0.005;

/* The first routing whose experts a list does not fit. NULL: it fits all that the model routes to.
 * An expert has no more of the choices than all tokens can give it: of `top` choices of a token, one. */
static const struct value *misfit(const struct program *p, const double *shares, int n, int *expert)
{
	*expert = -1;
	for (int i = 0; i < p->values.n; i++) {
		const struct value *v = &p->values.at[i];
		if (v->op != OP_ROUTE)
			continue;
		if (p->axes.at[v->route.expert].extent != n)
			return v;
		for (int k = 0; k < n; k++)
			if (shares[k] * (double)v->route.top > 1 + SHARES_ROUNDED) {
				*expert = k;
				return v;
			}
	}
	return NULL;
}

static void report_misfit(struct deployment *c, struct span at, const struct value *v, const double *shares, int n,
                          int expert)
{
	const struct axis *axis = &c->deploy->program->axes.at[v->route.expert];
	if (expert < 0) {
		deployment_report(c, DIAG_E0203, at, "`shares` lists %d experts, `%s` has %lld", n, axis->name,
		                  (long long)axis->extent);
		return;
	}
	struct diag *d =
		deployment_report(c, DIAG_E0203, at, "`shares` gives expert %d a share of %.4g%%, at most %.4g%% is possible",
	                      expert, 100 * shares[expert], 100 / (double)v->route.top);
	diag_note(c->sema->sink, d, "a token chooses %lld experts, each at most once", (long long)v->route.top);
}

/* Measured shares, as parts of 1. false: a report was made, or the list is left open. */
static bool read_shares(struct deployment *c, const struct field *f, struct val v, struct expert_use *use)
{
	double *shares = arena_array(c->sema->arena, double, v.list.n + 1), sum = 0;
	for (int i = 0; i < v.list.n; i++) {
		if (!val_number(v.list.at[i], &shares[i]))
			return false;
		if (shares[i] < 0) {
			deployment_report(c, DIAG_E0203, field_where(f),
			                  "`shares` gives expert %d a share of %.4g%%, at least 0%% is possible", i,
			                  100 * shares[i]);
			return false;
		}
		sum += shares[i];
	}
	if (sum < 1 - SHARES_ROUNDED || sum > 1 + SHARES_ROUNDED) {
		struct diag *d =
			deployment_report(c, DIAG_E0203, field_where(f), "`shares` adds up to %.4g%%, not 100%%", 100 * sum);
		diag_note(c->sema->sink, d, "each is the share of all choices that an expert gets; %d are listed", v.list.n);
		return false;
	}
	for (int i = 0; i < v.list.n; i++)
		shares[i] /= sum;
	*use = (struct expert_use){EXPERTS_SHARES, 0, shares, v.list.n};
	return true;
}

static bool routes(const struct program *p)
{
	for (int i = 0; i < p->values.n; i++)
		if (p->values.at[i].op == OP_ROUTE)
			return true;
	return false;
}

static void read_experts(struct deployment *c)
{
	struct record *r = record_of(c->work, "experts");
	struct expert_use *use = &c->deploy->work.experts;
	const struct field *zipf_field, *field;
	struct val zipf = value_from(r, "zipf", &zipf_field), shares = value_from(r, "shares", &field);
	if (val_number(zipf, &use->zipf))
		use->kind = EXPERTS_ZIPF;
	if (shares.kind == V_LIST && !read_shares(c, field, shares, use))
		return;
	if (use->kind != EXPERTS_EVEN && !routes(c->deploy->program)) {
		struct diag *d = deployment_report(c, DIAG_E0203, field_where(record_field(c->work, "experts")),
		                                   "`%s` has no experts", c->deploy->model_name);
		diag_help(c->sema->sink, d, "leave `experts` out: it says how tokens choose experts");
		return;
	}
	int expert = -1;
	const struct value *v =
		use->kind == EXPERTS_SHARES ? misfit(c->deploy->program, use->shares, use->n, &expert) : NULL;
	if (v)
		report_misfit(c, field_where(field), v, use->shares, use->n, expert);
}

void deployment_workload(struct deployment *c)
{
	struct workload *w = &c->deploy->work;
	w->span = field_where(record_field(c->self, "workload"));
	w->training = record_is(c->work, "Training");
	c->deploy->needs_training = w->training;
	w->chunk = w->rows = w->page = 1;
	w->seq_span = set_where(c, "seq"), w->batch_span = set_where(c, "batch"), w->chunk_span = set_where(c, "chunk");
	w->rows_span = set_where(c, "rows"), w->cache_span = set_where(c, "cache");
	if (record_field(c->work, "cache"))
		w->cache_set = field_item(record_field(c->work, "cache"));
	if (!deployment_int(c, c->work, "batch", 1, &w->batch) || !ends(c, "seq", 1, &w->seq_lo, &w->seq_hi))
		return;
	read_experts(c);
	int64_t fewest = 0;
	if (w->training) {
		read_optimizer(c);
		check_context(c, w->seq_hi, 1);
		return;
	}
	if (ends(c, "output", 0, &fewest, &w->output_hi)) {
		check_context(c, w->seq_hi, w->output_hi > 1 ? w->output_hi : 1);
		deployment_load(c, fewest);
	}
	deployment_int(c, c->work, "chunk", 1, &w->chunk);
	deployment_within(c, c->work, "rows", 1, MAX_PER_SEQUENCE, &w->rows);
	deployment_within(c, c->work, "page", 1, MAX_PER_SEQUENCE, &w->page);
	deployment_within(c, c->work, "cache", 1, MAX_POSITIONS, &w->cache);
}

/* ---- settings -------------------------------------------------------------------------------- */

static struct record *group(struct deployment *c, const char *name)
{
	struct val v = record_field(c->plan, name) ? record_get(c->plan, name, c->plan->span) : val_bad();
	c->bad |= v.kind != V_RECORD;
	return v.kind == V_RECORD ? v.record : NULL;
}

/* `stages = [16, 15, 15, 15]`. Whether they add up to the layers is checked where the stages are made. */
static void read_stages(struct deployment *c, struct record *pipeline)
{
	struct deploy *d = c->deploy;
	const struct field *f = record_field(pipeline, "stages");
	struct val v = record_get(pipeline, "stages", pipeline->span);
	struct val open;
	if (v.kind != V_LIST || val_open(v, &open))
		return;
	d->stages_span = field_where(f);
	d->stages_set = field_item(f);
	d->stages = arena_array(c->sema->arena, int64_t, v.list.n + 1);
	for (int i = 0; i < v.list.n; i++) {
		struct val layers = v.list.at[i];
		if (layers.kind == V_INT && layers.i >= 1 && layers.i <= MAX_COUNT)
			d->stages[d->n_stages++] = layers.i;
		else
			deployment_report(c, DIAG_E0901, d->stages_span, "`stages` lists %s: a stage has at least one layer",
			                  val_show(c->sema, layers));
	}
	if (!v.list.n)
		deployment_report(c, DIAG_E0901, d->stages_span, "`stages` is empty: a pipeline has at least one stage");
}

/* Does the plan set something other than the default? */
static bool asked(struct deployment *c, struct record *r, const struct field *f, struct val v)
{
	if (!f->sets.n || v.kind == V_BAD)
		return false;
	if (v.kind == V_RECORD) {
		for (int i = 0; i < v.record->fields.n; i++)
			if (record_get(v.record, v.record->fields.at[i]->name, f->span).kind != V_NONE)
				return true;
		return false;
	}
	struct scope scope = {.parent = f->layer->scope, .module = f->layer->module, .sema = c->sema, .record = r};
	return !f->init || !val_equal(v, eval(&scope, f->init, f->type));
}

/* planned: what is planned of training takes the setting into account. */
static const struct setting {
	const char *group, *field, *version;
	bool planned;
} later[] = {
	{"pipeline", "schedule", "V2", true},
	{"pipeline", "virtual", "V2", true},
	{"pipeline", "double_buffer", "V2", true},
	{"moe", "replicate", "V3", false},
	{"moe", "migrate", "V3", false},
	{"moe", "balance", "V3", false},
	{"moe", "steal", "V3", false},
	{"comm", "hierarchical", "V2", false},
	{"comm", "overlap", "V2", true},
	{"comm", "fuse_below", "V2", false},
	{"comm", "compress", "V2", true},
	{"streams", "compute", "V2", false},
	{"streams", "experts", "V2", false},
	{"streams", "reductions", "V2", false},
	{"streams", "pipeline", "V2", false},
	{"memory", "recompute", "V2", true},
	{"memory", "prefetch", "V2", false},
};

static bool is_symbol(struct val v, const char *name) { return v.kind == V_SYMBOL && !strcmp(v.name, name); }

/* Does it change what is planned of this training? Stages hold several pieces of a model only where they interleave. */
static bool is_planned(struct deployment *c, const struct setting *s, struct val v)
{
	bool other =
		(!strcmp(s->field, "virtual") && c->deploy->order != PIPELINE_INTERLEAVED) || is_symbol(v, "zero_bubble");
	return s->planned && !other && record_is(c->work, "Training");
}

static void not_honoured(struct deployment *c)
{
	for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
		struct record *r = group(c, later[i].group);
		struct field *f = r ? record_field(r, later[i].field) : NULL;
		struct val v = f ? record_get(r, later[i].field, f->span) : val_none();
		if (!f || !asked(c, r, f, v) || is_planned(c, &later[i], v))
			continue;
		struct diag *d = deployment_report(c, DIAG_W0521, field_where(f),
		                                   "`%s.%s` is not honoured by this version (%s): it has no effect",
		                                   later[i].group, later[i].field, later[i].version);
		struct span item = field_item(f);
		if (item.lo < item.hi) {
			diag_help(c->sema->sink, d, "leave it out, or say why it is there: `// deploy: allow W0521 reason`");
			diag_fix_delete(c->sema->sink, d, item);
		}
	}
}

static bool names_something(const struct program *p, const char *word, size_t n)
{
	for (int i = 1; i < p->regions.n; i++)
		if (strlen(p->regions.at[i].name) == n && !memcmp(p->regions.at[i].name, word, n))
			return true;
	for (int i = 0; i < p->values.n; i++)
		if (p->values.at[i].name && strlen(p->values.at[i].name) == n && !memcmp(p->values.at[i].name, word, n))
			return true;
	return false;
}

/* Reads regions and values that are computed again. Each word of `layer.moe.he` is a region or a value of the model. */
static void read_recompute(struct deployment *c, struct record *memory)
{
	struct val v = record_get(memory, "recompute", memory->span);
	for (int i = 0; v.kind == V_LIST && i < v.list.n; i++) {
		const char *region = v.list.at[i].kind == V_SYMBOL ? v.list.at[i].name : "";
		vec_push(c->sema->arena, &c->deploy->recompute, region);
		for (const char *word = region; *word;) {
			size_t n = strcspn(word, ".");
			if (!names_something(c->deploy->program, word, n)) {
				deployment_report(c, DIAG_E0505, field_where(record_field(memory, "recompute")),
				                  "`%s` has no region or value `%s`", c->deploy->model_name, region);
				break;
			}
			word += n + (word[n] == '.');
		}
	}
}

/* Multiple of an even share. A capacity of as many shares as there are ranks always fits into one round. */
enum { MAX_CAPACITY = 1 << 20 };

static void read_capacity(struct deployment *c, struct record *moe)
{
	const struct field *f = record_field(moe, "capacity");
	struct val v = record_get(moe, "capacity", moe->span);
	if (val_number(v, &c->deploy->moe_capacity)
	    && !(c->deploy->moe_capacity > 0 && c->deploy->moe_capacity <= MAX_CAPACITY))
		deployment_report(c, DIAG_E0203, field_where(f), "`capacity` expects a Float above 0 and at most %d, found %s",
		                  MAX_CAPACITY, val_show(c->sema, v));
}

/* What this version does not honour, but a plan's report costs. */
static void read_steering(struct deployment *c, struct record *moe)
{
	struct expert_steering *s = &c->deploy->steering;
	struct val balance = record_get(moe, "balance", moe->span);
	deployment_within(c, moe, "replicate", 0, MAX_COUNT, &s->copies);
	val_number(record_get(moe, "migrate", moe->span), &s->every);
	s->by_load = s->every > 0 || is_symbol(balance, "measured") || is_symbol(balance, "predicted");
}

/* Settings of training: pieces of the model on a stage, what overlaps, and the format of gradients that are sent. Zero
 * bubbles are planned as one forward and one backward in turns, which takes no less time. */
static void read_training(struct deployment *c, struct record *pipeline, struct record *comm)
{
	static const char *const overlaps[OVERLAPS] = {"off", "streams", "chunks"};
	struct deploy *d = c->deploy;
	bool training = record_is(c->work, "Training");
	d->chunks = 1;
	if (training && d->order == PIPELINE_INTERLEAVED)
		deployment_int(c, pipeline, "virtual", 1, &d->chunks);
	d->zero_bubble = training && is_symbol(record_get(pipeline, "schedule", pipeline->span), "zero_bubble");
	if (d->zero_bubble)
		d->order = PIPELINE_ONE_F_ONE_B;
	struct val buffered = record_get(pipeline, "double_buffer", pipeline->span);
	d->double_buffer = buffered.kind == V_BOOL && buffered.b;
	for (int i = 0; i < OVERLAPS; i++)
		if (is_symbol(record_get(comm, "overlap", comm->span), overlaps[i]))
			d->overlap = (enum overlap)i;
	struct val compress = record_get(comm, "compress", comm->span);
	d->compressed = compress.kind == V_RECORD && read_format(compress.record, "gradient", &d->gradient_sent);
}

void deployment_settings(struct deployment *c)
{
	struct record *pipeline = group(c, "pipeline"), *moe = group(c, "moe"), *comm = group(c, "comm"),
				  *memory = group(c, "memory");
	if (!pipeline || !moe || !comm || !memory)
		return;
	c->deploy->microbatches = 1;
	c->deploy->microbatches_span = field_where(record_field(pipeline, "microbatches"));
	c->deploy->microbatches_set = field_item(record_field(pipeline, "microbatches"));
	deployment_int(c, pipeline, "microbatches", 1, &c->deploy->microbatches);
	struct val schedule = record_get(pipeline, "schedule", pipeline->span);
	for (int i = 0; i < PIPELINE_ORDERS && schedule.kind == V_SYMBOL; i++)
		if (!strcmp(schedule.name, pipeline_order_name((enum pipeline_order)i)))
			c->deploy->order = (enum pipeline_order)i;
	c->deploy->schedule_span = field_where(record_field(pipeline, "schedule"));
	read_stages(c, pipeline);
	read_capacity(c, moe);
	read_steering(c, moe);
	struct val reduce = record_get(comm, "reduce", comm->span);
	c->deploy->reduce_f32 = reduce.kind == V_DTYPE && reduce.dtype == DTYPE_F32;
	read_recompute(c, memory);
	read_training(c, pipeline, comm);
	not_honoured(c);
}
