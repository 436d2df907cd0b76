/* Builds the tables of a program, the bytes of dr_blob (runtime/abi.h): struct dr_program, then everything that it
 * refers to by offset. The blob has no pointers, and equal schedules give equal bytes. */
#include "module.h"
#include <stddef.h>
#include <string.h>
#include "../support/hash.h"

/* Both sides read the same header. These assertions catch changes of it that add padding, which this file does not
 * expect. */
_Static_assert(sizeof(struct dr_span) == 8, "span");
_Static_assert(sizeof(struct dr_atom) == 16, "atom");
_Static_assert(sizeof(struct dr_group) == 12, "group");
_Static_assert(sizeof(struct dr_collective) == 24, "collective");
_Static_assert(sizeof(struct dr_axis) == 40 && offsetof(struct dr_axis, stride) == 32, "axis");
_Static_assert(sizeof(struct dr_param) == 104 && offsetof(struct dr_param, base) == 96, "param");
_Static_assert(sizeof(struct dr_constant) == 16, "constant");
_Static_assert(sizeof(struct dr_map) == 32, "map");
_Static_assert(sizeof(struct dr_step_input) == 32, "input");
_Static_assert(sizeof(struct dr_kernel) == 216, "kernel");
_Static_assert((int)DR_RESULTS == (int)CONTRACT_MAX_PARTS, "each part has a result");
_Static_assert(sizeof(struct dr_gap) == 16, "gap");
_Static_assert(sizeof(struct dr_step_program) == 40, "step program");
_Static_assert(sizeof(struct dr_stage) == 8 + 8 * DR_SPACES, "stage");
_Static_assert(sizeof(struct dr_config) == 64 && offsetof(struct dr_config, i) == 24, "config");
_Static_assert(offsetof(struct dr_program, hash) == 16 && sizeof(struct dr_program) % 8 == 0, "program");
_Static_assert((int)PHASES == DR_PHASES && (int)PHASE_DECODE == DR_DECODE, "phases");

enum { TABLE_ALIGN = 8, DATA_ALIGN = 64 };

struct blob {
	struct arena *arena;
	unsigned char *at;
	size_t n, cap;
};

static uint32_t narrow(int64_t v, const char *what)
{
	if (v < 0 || v > UINT32_MAX)
		internal_error("%s = %lld does not fit the launcher's tables", what, (long long)v);
	return (uint32_t)v;
}

/* Reserves `bytes` zeroed bytes and returns their offset. */
static uint32_t blob_reserve(struct blob *b, size_t bytes, size_t align)
{
	size_t at = (b->n + align - 1) / align * align, end = at + bytes;
	if (end > b->cap) {
		size_t cap = end * 2;
		unsigned char *grown = arena_alloc(b->arena, cap);
		if (b->n)
			memcpy(grown, b->at, b->n);
		b->at = grown;
		b->cap = cap;
	}
	b->n = end;
	return narrow((int64_t)at, "size of the tables");
}

static struct dr_span blob_data(struct blob *b, const void *data, size_t n, size_t size, size_t align)
{
	struct dr_span span = {blob_reserve(b, n * size, align), narrow((int64_t)n, "elements of a table")};
	if (n)
		memcpy(b->at + span.at, data, n * size);
	return span;
}

static struct dr_span blob_string(struct blob *b, const char *s)
{
	size_t n = s ? strlen(s) : 0;
	struct dr_span span = {blob_reserve(b, n + 1, 1), narrow((int64_t)n, "length of a text")};
	if (n)
		memcpy(b->at + span.at, s, n);
	return span;
}

static struct dr_span blob_strings(struct blob *b, const char *const *s, int n)
{
	struct dr_span *spans = arena_array(b->arena, struct dr_span, n);
	for (int i = 0; i < n; i++)
		spans[i] = blob_string(b, s[i]);
	return blob_data(b, spans, (size_t)n, sizeof *spans, TABLE_ALIGN);
}

static struct dr_span blob_indices(struct blob *b, const int *index, int n)
{
	return blob_data(b, index, (size_t)n, sizeof(uint32_t), sizeof(uint32_t));
}

#define blob_table(b, rows, n) blob_data((b), (rows), (size_t)(n), sizeof *(rows), TABLE_ALIGN)

/* Group -1 of the schedule is the group without atoms, of one member. It comes after the others. */
static uint32_t group_index(const struct schedule *s, int group)
{
	return group < 0 ? (uint32_t)s->groups.n : (uint32_t)group;
}

static uint32_t dtype_code(enum dtype t)
{
	switch (t) {
	case DTYPE_F32:     return DR_F32;
	case DTYPE_BF16:    return DR_BF16;
	case DTYPE_F16:     return DR_F16;
	case DTYPE_I32:     return DR_I32;
	case DTYPE_FP8E4M3: return DR_FP8E4M3;
	case DTYPE_FP8E5M2: return DR_FP8E5M2;
	default:            internal_error("the runtime has no %s", dtype_name(t));
	}
}

/* ---- ranks ----------------------------------------------------------------------------------- */
static struct dr_span atoms(struct blob *b, const struct schedule *s)
{
	struct dr_atom *rows = arena_array(b->arena, struct dr_atom, s->atoms.n);
	for (int i = 0; i < s->atoms.n; i++) {
		const struct atom *a = &s->atoms.at[i];
		rows[i] = (struct dr_atom){blob_string(b, a->name), narrow(a->size, a->name), narrow(a->stride, a->name)};
	}
	return blob_table(b, rows, s->atoms.n);
}

static struct dr_span groups(struct blob *b, const struct schedule *s)
{
	int n = s->groups.n + 1;
	struct dr_group *rows = arena_array(b->arena, struct dr_group, n);
	for (int i = 0; i < s->groups.n; i++) {
		const struct group *g = &s->groups.at[i];
		rows[i] = (struct dr_group){blob_indices(b, g->atom, g->n), narrow(g->n ? g->size : 1, "group size")};
	}
	rows[n - 1] = (struct dr_group){.size = 1};
	return blob_table(b, rows, n);
}

static struct dr_span collectives(struct blob *b, const struct schedule *s)
{
	struct dr_collective *rows = arena_array(b->arena, struct dr_collective, s->collectives.n);
	for (int i = 0; i < s->collectives.n; i++) {
		const struct collective *c = &s->collectives.at[i];
		rows[i] = (struct dr_collective){
			.kind = (uint32_t)c->kind,
			.group = group_index(s, c->group),
			.dtype = dtype_code(c->dtype),
			.program = (uint32_t)c->program,
			.cause = blob_string(b, c->cause),
		};
	}
	return blob_table(b, rows, s->collectives.n);
}

static struct dr_span stages(struct blob *b, const struct schedule *s)
{
	struct dr_stage *rows = arena_array(b->arena, struct dr_stage, s->stages.n);
	for (int i = 0; i < s->stages.n; i++) {
		const struct stage *st = &s->stages.at[i];
		rows[i].layer_begin = narrow(st->layer_begin, "layer");
		rows[i].layer_end = narrow(st->layer_end, "layer");
		for (int k = 0; k < DR_SPACES; k++)
			rows[i].bytes[k] = (uint64_t)st->bytes[k];
	}
	return blob_table(b, rows, s->stages.n);
}

/* ---- what lies in memory --------------------------------------------------------------------- */
static struct dr_span param_axes(struct blob *b, const struct schedule *s, const struct placed_param *p)
{
	struct dr_axis *rows = arena_array(b->arena, struct dr_axis, p->n_axes);
	for (int i = 0; i < p->n_axes; i++) {
		const struct placed_axis *a = &p->axes[i];
		rows[i] = (struct dr_axis){
			.name = blob_string(b, a->name),
			.extent = narrow(a->extent, a->name),
			.local = narrow(a->local, a->name),
			.group = group_index(s, a->group),
			.role = (uint32_t)a->role,
			.keyed = a->keyed,
			.stride = a->stride,
		};
	}
	return blob_table(b, rows, p->n_axes);
}

static struct dr_span params(struct blob *b, const struct schedule *s)
{
	const struct program *program = s->deploy->program;
	struct dr_param *rows = arena_array(b->arena, struct dr_param, s->params.n);
	for (int i = 0; i < s->params.n; i++) {
		const struct placed_param *p = &s->params.at[i];
		const struct stored *stored = &p->param->stored;
		struct dr_param *r = &rows[i]; /* member by member: a copied struct could contain random padding */
		r->path = blob_string(b, p->param->path);
		r->key = blob_string(b, p->param->key);
		r->space = (uint32_t)p->space;
		r->in_loop = p->param->in_loop;
		r->body = (uint32_t)p->param->body;
		r->stage = (uint32_t)p->stage;
		if (p->param->in_loop) {
			const struct loop *loop = &program->loops.at[program->bodies.at[p->param->body].loop];
			r->index = blob_string(b, loop->index);
			r->first_layer = narrow(loop->first_turn, "layer");
		}
		r->offset = (uint64_t)p->offset;
		r->bytes = (uint64_t)p->bytes;
		r->dtype = dtype_code(p->param->dtype);
		r->n_tile = (uint32_t)p->pack.n_tile;
		r->k_run = (uint32_t)p->pack.k_run;
		r->swizzled = p->pack.swizzled;
		r->axes = param_axes(b, s, p);
		r->shape = blob_data(b, stored->dim, (size_t)stored->n_dims, sizeof *stored->dim, TABLE_ALIGN);
		r->base = stored->base;
	}
	return blob_table(b, rows, s->params.n);
}

static struct dr_span inputs(struct blob *b, const struct schedule *s)
{
	struct dr_step_input *rows = arena_array(b->arena, struct dr_step_input, s->inputs.n);
	for (int i = 0; i < s->inputs.n; i++) {
		const struct step_input *in = &s->inputs.at[i];
		rows[i] = (struct dr_step_input){.what = in->what,
		                                 .owner_group = group_index(s, in->owner_group),
		                                 .token_group = group_index(s, in->token_group),
		                                 .page_group = group_index(s, in->page_group),
		                                 .pool = (uint32_t)in->pool,
		                                 .offset = (uint64_t)in->offset};
	}
	return blob_table(b, rows, s->inputs.n);
}

static struct dr_span bodies(struct blob *b, const struct schedule *s)
{
	struct dr_body *rows = arena_array(b->arena, struct dr_body, s->n_bodies);
	for (int i = 0; i < s->n_bodies; i++)
		rows[i] = (struct dr_body){(uint64_t)s->bodies[i].param_bytes, (uint64_t)s->bodies[i].state_bytes};
	return blob_table(b, rows, s->n_bodies);
}

static struct dr_span constants(struct blob *b, const struct schedule *s)
{
	struct dr_constant *rows = arena_array(b->arena, struct dr_constant, s->constants.n);
	for (int i = 0; i < s->constants.n; i++) {
		const struct constant *c = &s->constants.at[i];
		rows[i].offset = (uint64_t)c->offset;
		rows[i].bytes = blob_data(b, c->data, (size_t)c->n * sizeof *c->data, 1, DATA_ALIGN);
	}
	return blob_table(b, rows, s->constants.n);
}

static struct dr_span pools(struct blob *b, const struct schedule *s)
{
	struct dr_pool *rows = arena_array(b->arena, struct dr_pool, s->n_pools);
	for (int i = 0; i < s->n_pools; i++)
		rows[i] = (struct dr_pool){narrow(pool_reach(&s->pool[i]), "positions"), narrow(s->pool[i].pages, "pages")};
	return blob_table(b, rows, s->n_pools);
}

static struct dr_span maps(struct blob *b, const struct schedule *s)
{
	struct dr_map *rows = arena_array(b->arena, struct dr_map, s->maps.n);
	for (int i = 0; i < s->maps.n; i++) {
		const struct expert_map *m = &s->maps.at[i];
		int exchange[MAX_GROUP_ATOMS] = {0};
		for (int k = 0; k < m->n; k++)
			exchange[k] = m->exchange[k];
		rows[i] = (struct dr_map){
			.offset = (uint64_t)m->offset,
			.experts = narrow(m->experts, "experts"),
			.local = narrow(m->local, "experts"),
			.atoms = blob_indices(b, m->atom, m->n),
			.exchange = blob_indices(b, exchange, m->n),
		};
	}
	return blob_table(b, rows, s->maps.n);
}

static struct dr_span gaps(struct blob *b, const struct step_program *p)
{
	struct dr_gap *rows = arena_array(b->arena, struct dr_gap, p->gaps.n);
	for (int i = 0; i < p->gaps.n; i++)
		rows[i] = (struct dr_gap){(uint64_t)p->gaps.at[i].offset, (uint64_t)p->gaps.at[i].bytes};
	return blob_table(b, rows, p->gaps.n);
}

static struct dr_span programs(struct blob *b, const struct schedule *s)
{
	struct dr_step_program *rows = arena_array(b->arena, struct dr_step_program, s->programs.n);
	for (int i = 0; i < s->programs.n; i++) {
		const struct step_program *p = &s->programs.at[i];
		rows[i] = (struct dr_step_program){
			.name = blob_string(b, p->name),
			.max_tokens = narrow(p->max_tokens, "tokens"),
			.max_rows = narrow(p->max_rows, "rows"),
			.output = {.owner_group = group_index(s, p->output.owner_group),
		               .row_group = group_index(s, p->output.row_group),
		               .vocab_group = group_index(s, p->output.vocab_group)},
			.gaps = gaps(b, p),
		};
	}
	return blob_table(b, rows, s->programs.n);
}

static struct dr_span config(struct blob *b, const struct program *p)
{
	struct dr_config *rows = arena_array(b->arena, struct dr_config, p->config.n);
	for (int i = 0; i < p->config.n; i++) {
		const struct config_entry *c = &p->config.at[i];
		rows[i] = (struct dr_config){
			.name = blob_string(b, c->name),
			.field = blob_string(b, c->field),
			.type = (uint32_t)c->type,
			.b = c->b,
			.i = c->i,
			.f = c->f,
			.s = blob_string(b, c->s),
			.absent = blob_string(b, c->absent),
			.absent_holds = c->absent_holds,
			.null_differs = c->null_differs,
		};
	}
	return blob_table(b, rows, p->config.n);
}

static struct dr_span copies(struct blob *b, const struct program *p)
{
	struct dr_span *lists = arena_array(b->arena, struct dr_span, p->copies.n);
	for (int i = 0; i < p->copies.n; i++)
		lists[i] = blob_strings(b, p->copies.at[i].at, p->copies.at[i].n);
	return blob_table(b, lists, p->copies.n);
}

/* ---- the whole ------------------------------------------------------------------------------- */
static void put_numbers(struct dr_program *p, const struct schedule *s)
{
	p->magic = DR_MAGIC;
	p->version = DR_ABI_VERSION;
	p->ranks = narrow(s->ranks, "ranks");
	p->stage_group = group_index(s, s->stage_group);
	p->owner_group = group_index(s, s->owner_group);
	p->logits_group = group_index(s, s->logits_group);
	p->token_multiple = narrow(s->token_multiple, "token multiple");
	p->row_multiple = narrow(s->row_multiple, "row multiple");
	p->order = (uint32_t)s->pipeline.order;
	p->microbatches = narrow(s->pipeline.microbatches, "microbatches");
	p->chunks = narrow(s->pipeline.chunks, "chunks");
	p->seqs = narrow(s->seqs, "sequences");
	p->page_size = narrow(s->page, "page");
	p->pages_per_seq = narrow(s->pages_per_seq, "pages");
	p->page_multiple = narrow(s->page_multiple, "pages");
	p->adjusts = narrow(s->adjusts, "changes of logits");
	p->tokens_offset = (uint64_t)s->tokens_offset;
	p->logits_offset = (uint64_t)s->logits_offset;
	p->logprobs_offset = (uint64_t)s->logprobs_offset;
	p->logprobs = s->logprobs;
	p->vocab = narrow(s->vocab, "vocabulary");
	p->comm_staging = (uint64_t)s->comm_staging;
	p->comm_mailbox = (uint64_t)s->comm_mailbox;
	p->comm_device = (uint64_t)s->comm_device;
	p->tile_kernel = s->tile_kernel;
	p->workers = narrow(s->target.workers, "workers");
	p->worker_elements = (uint64_t)s->target.worker_elements;
}

static void set_results(const struct kernel *k, struct dr_result *out)
{
	const struct kernel_contract *c = &k->contract;
	for (int i = 0; k->family == KERNEL_CONTRACT && !c->grouped && i <= c->more; i++) {
		struct contract_part p = contract_part(c, i);
		out[i] = (struct dr_result){.dtype = dtype_code(c->y),
		                            .batch = narrow(c->batch, "batches"),
		                            .argument = (uint32_t)contract_result(c, i),
		                            .n = p.n,
		                            .stride = p.y_stride,
		                            .batch_stride = p.y_batch};
	}
}

/* The position of the only NUMBER argument; -1: there are none, or several. */
static int only_number(const struct kernel *k)
{
	int found = -1;
	for (int i = 0; i < kernel_args(k); i++)
		if (kernel_arg(k, i, NULL).direction == ARG_NUMBER) {
			if (found >= 0)
				return -1;
			found = i;
		}
	return found;
}

/* What a launch does as a function of its rows alone. Kernels that depend on more are left out. */
static struct dr_work kernel_rows_work(const struct kernel *k)
{
	static const enum dr_work_kind kinds[] = {[WORK_PASS] = DR_WORK_PASS,
	                                          [WORK_REDUCTION] = DR_WORK_REDUCTION,
	                                          [WORK_PRODUCT] = DR_WORK_PRODUCT,
	                                          [WORK_GROUPED] = DR_WORK_GROUPED,
	                                          [WORK_ATTENTION] = DR_WORK_ATTENTION};
	int64_t none[ROWS_MAX_OPERANDS + 8] = {0}, one[ROWS_MAX_OPERANDS + 8] = {0};
	int at = only_number(k);
	struct dr_work out = {.kind = kinds[kernel_work(k, none).kind], .count = at};
	if (at < 0)
		return out;
	one[at] = 1;
	struct kernel_work w = kernel_work(k, one);
	struct kernel_cost row = kernel_cost(k, one, 1, 1);
	out.operations = row.operations;
	out.row_bytes = kernel_cost(k, one, 0, 1).bytes;
	out.bytes = w.kind == WORK_ATTENTION ? row.bytes - out.row_bytes : kernel_cost(k, none, 0, 1).bytes;
	out.row_bytes -= w.kind == WORK_ATTENTION ? 0 : out.bytes;
	out.groups = w.kind == WORK_GROUPED ? narrow(w.product.groups, "experts") : 0;
	if (out.kind == DR_WORK_PRODUCT || out.kind == DR_WORK_GROUPED) {
		out.weights = dtype_code(w.product.weights);
		out.activations = dtype_code(w.product.activations);
	}
	return out;
}

static struct dr_span kernels(struct blob *b, const struct schedule *s)
{
	struct dr_kernel *out = arena_array(b->arena, struct dr_kernel, s->kernels.n);
	for (int i = 0; i < s->kernels.n; i++) {
		const struct kernel *k = &s->kernels.at[i];
		out[i] = (struct dr_kernel){.elements = (uint64_t)kernel_elements(k), .work = kernel_rows_work(k)};
		set_results(k, out[i].result);
	}
	return blob_data(b, out, (size_t)s->kernels.n, sizeof *out, _Alignof(struct dr_kernel));
}

/* Hash of all bytes but the hash itself. */
static uint64_t blob_hash(const struct blob *b)
{
	size_t at = offsetof(struct dr_program, hash), behind = at + sizeof(uint64_t);
	return fnv1a(fnv1a(FNV_EMPTY, b->at, at), b->at + behind, b->n - behind);
}

/* ---- predictions ------------------------------------------------------------------------------ */
static struct dr_span levels(struct blob *b, const struct schedule *s)
{
	const struct machine *m = &s->deploy->machine;
	int n = m->levels.n < DR_LEVELS ? m->levels.n : DR_LEVELS;
	struct dr_level *rows = arena_array(b->arena, struct dr_level, n + 1);
	for (int i = 0; i < n; i++)
		rows[i] = (struct dr_level){blob_string(b, m->levels.at[i].name), (uint64_t)machine_unit(m, i)};
	return blob_table(b, rows, n);
}

static struct dr_span doubles(struct blob *b, const double *at, int n) { return blob_table(b, at, n); }

static struct dr_span forecasts(struct blob *b, const struct forecast *f)
{
	struct dr_forecast rows[DR_PHASES] = {0};
	for (int i = 0; i < DR_PHASES && !f->lacks; i++) {
		const struct forecast_grid *g = &f->grid[i];
		size_t cells = (size_t)g->n_tokens * (size_t)g->n_queries * (size_t)g->n_before;
		rows[i] = (struct dr_forecast){
			.tokens = doubles(b, g->tokens, g->n_tokens),
			.queries = doubles(b, g->queries, g->n_queries),
			.before = doubles(b, g->before, g->n_before),
			.at = blob_table(b, g->at, cells),
		};
	}
	return blob_table(b, rows, DR_PHASES);
}

static void put_predictions(struct blob *b, struct dr_program *p, const struct schedule *s, const struct forecast *f)
{
	p->levels = levels(b, s);
	if (!f)
		return;
	p->traffic = blob_table(b, f->traffic.at, f->traffic.n);
	p->forecasts = forecasts(b, f);
	p->unpredicted = blob_string(b, f->lacks);
}

/* ---- the blob --------------------------------------------------------------------------------- */
const unsigned char *blob_build(struct arena *arena, const struct schedule *s, const char *plan_text,
                                const struct forecast *forecast, size_t *size)
{
	struct blob b = {.arena = arena};
	const struct program *program = s->deploy->program;
	blob_reserve(&b, sizeof(struct dr_program), TABLE_ALIGN);
	struct dr_program *p = arena_new(arena, struct dr_program);
	put_numbers(p, s);
	p->deploy = blob_string(&b, s->deploy->name);
	p->model = blob_string(&b, s->deploy->model_name);
	p->atoms = atoms(&b, s);
	p->groups = groups(&b, s);
	p->collectives = collectives(&b, s);
	p->stages = stages(&b, s);
	p->params = params(&b, s);
	p->inputs = inputs(&b, s);
	p->programs = programs(&b, s);
	p->bodies = bodies(&b, s);
	p->body_of = blob_indices(&b, s->body_of, (int)(s->stages.n ? s->stages.at[s->stages.n - 1].layer_end : 0));
	p->constants = constants(&b, s);
	p->maps = maps(&b, s);
	p->pools = pools(&b, s);
	p->config = config(&b, program);
	p->harmless = blob_strings(&b, program->harmless.at, program->harmless.n);
	p->unused = blob_strings(&b, program->unused.at, program->unused.n);
	p->copies = copies(&b, program);
	p->op_names = blob_strings(&b, s->op_names.at, s->op_names.n);
	p->kernels = kernels(&b, s);
	p->plan_text = blob_string(&b, plan_text);
	put_predictions(&b, p, s, forecast);
	memcpy(b.at, p, sizeof *p);
	p->hash = blob_hash(&b);
	memcpy(b.at, p, sizeof *p);
	*size = b.n;
	return b.at;
}
