/* Candidates on a GPU: a block has a row of logits, and its threads take neighbouring ones. The best token is the best
 * of all threads' best ones. The n largest logits are found in two walks: each thread finds the largest of its own, and
 * the n-th of these is a bound that at least n logits reach; those that do are few, and are put in order in shared
 * memory. Where too many are equal, they are found one by one instead. Both give what the CPU's generator does, ties by
 * index; sums are in another order. */
#include "../sample.h"
#include "kernels.h"

enum {
	THREADS = 512,
	FEW_THREADS = 128,
	SHORT_ROW = 8192, /* up to so many logits, few threads are as fast */
	AT_ONCE = 4,      /* logits of a thread that are on their way together */
	ROOM = 1024       /* logits that reach the bound */
};

/* A row and its block. */
struct chooser {
	struct codegen *g;
	struct sampler s;
	int threads;
	LLVMValueRef thread, v;      /* i64: this thread's number; the shard's tokens */
	LLVMValueRef widest;         /* in memory: the largest bits of a logit without its sign, of this thread */
	LLVMValueRef value, index;   /* in memory: the best pair of this thread: f32, i32 */
	LLVMValueRef last, last_at;  /* in memory: the pair found before it: f32, i32 */
	LLVMValueRef sum;            /* in memory: f32, of this thread */
	LLVMValueRef parts, places;  /* shared: f32[warps], i32[warps] */
	LLVMValueRef largest, bound; /* shared: f32[threads]: each thread's largest logit; f32 */
	LLVMValueRef count, top;     /* shared: i32: logits that reach the bound; f32: the largest of all */
	LLVMValueRef kept, kept_at;  /* shared: these logits, f32[ROOM], and their tokens, i32[ROOM] */
};

static int threads_of(const struct gpu_kernel *gk) { return gk->kernel->sample.v > SHORT_ROW ? THREADS : FEW_THREADS; }

static bool plan(struct arena *arena, struct gpu_kernel *gk)
{
	gk->entry[0] = gpu_entry(arena_printf(arena, "dr_%s", gk->kernel->name), threads_of(gk), CANDIDATES_R);
	gk->entries = 1;
	return true;
}

/* ---- walks ----------------------------------------------------------------------------------- */
/* What is done with logit `index` (i64) of the row: x, f32. */
typedef void logit_body(struct chooser *c, LLVMValueRef index, LLVMValueRef x);

/* Calls `body` for each logit of this thread, by rising index. */
static void walk(struct chooser *c, logit_body *body)
{
	struct codegen *g = c->g;
	LLVMValueRef index[AT_ONCE], in[AT_ONCE], x[AT_ONCE];
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), c->v, ir_i64(g, (int64_t)AT_ONCE * c->threads));
	keep_loop(g);
	for (int i = 0; i < AT_ONCE; i++) {
		index[i] = ir_add(g, l.index, ir_add(g, c->thread, ir_i64(g, (int64_t)i * c->threads)));
		in[i] = ir_compare(g, LLVMIntSLT, index[i], c->v);
		LLVMValueRef at = ir_select(g, in[i], index[i], ir_i64(g, 0));
		x[i] = ir_load(g, g->f32, ir_at(g, c->s.row, DTYPE_F32, at), 4);
	}
	for (int i = 0; i < AT_ONCE; i++) {
		struct ir_branch inside = if_begin(g, in[i]);
		body(c, index[i], x[i]);
		if_end(g, &inside);
	}
	loop_end(g, &l);
}

/* Floats without the sign bit compare, as integers, like their magnitudes; infinities and NaN come last. */
static void note_widest(struct chooser *c, LLVMValueRef x)
{
	struct codegen *g = c->g;
	LLVMValueRef bits = ir_and(g, ir_bits(g, x, g->i32), ir_i32(g, 0x7fffffff));
	ir_store(g, ir_max(g, ir_load(g, g->i32, c->widest, 4), bits), c->widest, 4);
}

static LLVMValueRef token_of(struct chooser *c, LLVMValueRef index)
{
	return ir_add(c->g, sample_narrow(c->g, index), c->s.first);
}

static LLVMValueRef minus_infinity(struct chooser *c) { return sample_infinity(c->g, c->g->f32, true); }

static LLVMValueRef is_thread(struct chooser *c, int64_t i)
{
	return ir_compare(c->g, LLVMIntEQ, c->thread, ir_i64(c->g, i));
}

static void store_pair(struct chooser *c, LLVMValueRef value, LLVMValueRef index, LLVMValueRef to, LLVMValueRef slot)
{
	sample_store_pair(c->g, value, index, sample_pair_at(c->g, to, slot));
}

/* ---- the best pair --------------------------------------------------------------------------- */
static void keep_if(struct chooser *c, LLVMValueRef better, LLVMValueRef x, LLVMValueRef token)
{
	struct codegen *g = c->g;
	struct ir_branch b = if_begin(g, better);
	ir_store(g, x, c->value, 4);
	ir_store(g, token, c->index, 4);
	if_end(g, &b);
}

static LLVMValueRef above_value(struct chooser *c, LLVMValueRef x)
{
	return ir_fcompare(c->g, LLVMRealOGT, x, ir_load(c->g, c->g->f32, c->value, 4));
}

static void greedy(struct chooser *c, LLVMValueRef index, LLVMValueRef x)
{
	note_widest(c, x);
	keep_if(c, above_value(c, x), x, token_of(c, index));
}

/* Computes random numbers only if the largest noise could give a new best, and logarithms only if the noise's bound
 * does. */
static void noisy(struct chooser *c, LLVMValueRef index, LLVMValueRef x)
{
	struct codegen *g = c->g;
	note_widest(c, x);
	x = ir_fmul(g, x, c->s.inverse);
	struct ir_branch may = if_begin(g, above_value(c, ir_fadd(g, x, ir_f32(g, SAMPLE_NOISE_MAX))));
	LLVMValueRef token = token_of(c, index), u = sample_uniform(g, &c->s, ir_splat(g, token));
	struct ir_branch does = if_begin(g, above_value(c, ir_fadd(g, x, ir_reduce(g, sample_noise_bound(g, u), ir_fmax))));
	LLVMValueRef drawn = ir_fadd(g, x, ir_reduce(g, sample_noise(g, u), ir_fmax));
	keep_if(c, above_value(c, drawn), drawn, token);
	if_end(g, &does);
	if_end(g, &may);
}

static void choose_pair(struct codegen *g, LLVMValueRef *value, LLVMValueRef *index, LLVMValueRef x, LLVMValueRef at)
{
	LLVMValueRef above = ir_fcompare(g, LLVMRealOGT, x, *value), alike = ir_fcompare(g, LLVMRealOEQ, x, *value);
	alike = ir_and(g, alike, ir_compare(g, LLVMIntSLT, at, *index));
	above = LLVMBuildOr(g->builder, above, alike, "");
	*value = ir_select(g, above, x, *value);
	*index = ir_select(g, above, at, *index);
}

/* The best pair of all threads, the lower index on a tie. All get it. */
static void best_of_block(struct chooser *c, LLVMValueRef *value, LLVMValueRef *index)
{
	struct codegen *g = c->g;
	LLVMValueRef warp = ir_wide(g, block_warp(g));
	*value = ir_load(g, g->f32, c->value, 4);
	*index = ir_load(g, g->i32, c->index, 4);
	for (int bits = WARP / 2; bits; bits /= 2)
		choose_pair(g, value, index, warp_exchange(g, *value, bits), warp_exchange(g, *index, bits));
	struct ir_branch first = if_begin(g, ir_compare(g, LLVMIntEQ, block_lane(g), ir_i32(g, 0)));
	ir_store(g, *value, ir_at(g, c->parts, DTYPE_F32, warp), 4);
	ir_store(g, *index, ir_at(g, c->places, DTYPE_I32, warp), 4);
	if_end(g, &first);
	block_barrier(g);
	*value = ir_load(g, g->f32, c->parts, 4);
	*index = ir_load(g, g->i32, c->places, 4);
	for (int i = 1; i < c->threads / WARP; i++)
		choose_pair(g, value, index, ir_load(g, g->f32, ir_at(g, c->parts, DTYPE_F32, ir_i64(g, i)), 4),
		            ir_load(g, g->i32, ir_at(g, c->places, DTYPE_I32, ir_i64(g, i)), 4));
	block_barrier(g);
}

static void begin_pair(struct chooser *c, LLVMValueRef index)
{
	ir_store(c->g, minus_infinity(c), c->value, 4);
	ir_store(c->g, index, c->index, 4);
}

static void best_pair(struct chooser *c, logit_body *body, LLVMValueRef to)
{
	LLVMValueRef value, index;
	begin_pair(c, c->s.first);
	walk(c, body);
	best_of_block(c, &value, &index);
	struct ir_branch one = if_begin(c->g, is_thread(c, 0));
	sample_store_pair(c->g, value, index, to);
	if_end(c->g, &one);
}

/* ---- the largest logits, in order ------------------------------------------------------------ */
static void own_largest(struct chooser *c, LLVMValueRef index, LLVMValueRef x)
{
	(void)index;
	note_widest(c, x);
	ir_store(c->g, ir_fmax(c->g, x, ir_load(c->g, c->g->f32, c->value, 4)), c->value, 4);
}

/* How many of n pairs are before this one, which is number `own`: index NULL: their numbers are the indices. */
static LLVMValueRef rank_among(struct chooser *c, LLVMValueRef values, LLVMValueRef indices, LLVMValueRef n,
                               LLVMValueRef own, LLVMValueRef rank)
{
	struct codegen *g = c->g;
	LLVMValueRef x = ir_load(g, g->f32, ir_at(g, values, DTYPE_F32, own), 4),
				 at = indices ? ir_load_i32(g, indices, own) : own;
	ir_store(g, ir_i64(g, 0), rank, 8);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), n, ir_i64(g, 1));
	LLVMValueRef other = ir_load(g, g->f32, ir_at(g, values, DTYPE_F32, l.index), 4),
				 other_at = indices ? ir_load_i32(g, indices, l.index) : l.index;
	LLVMValueRef alike = ir_and(g, ir_fcompare(g, LLVMRealOEQ, other, x), ir_compare(g, LLVMIntSLT, other_at, at));
	LLVMValueRef before = LLVMBuildOr(g->builder, ir_fcompare(g, LLVMRealOGT, other, x), alike, "");
	ir_store(g, ir_add(g, ir_load(g, g->i64, rank, 8), LLVMBuildZExt(g->builder, before, g->i64, "")), rank, 8);
	loop_end(g, &l);
	return ir_load(g, g->i64, rank, 8);
}

/* The n-th of all threads' largest logits. */
static void find_bound(struct chooser *c, int n, LLVMValueRef rank)
{
	struct codegen *g = c->g;
	begin_pair(c, c->s.first);
	walk(c, own_largest);
	ir_store(g, ir_load(g, g->f32, c->value, 4), ir_at(g, c->largest, DTYPE_F32, c->thread), 4);
	block_barrier(g);
	LLVMValueRef before = rank_among(c, c->largest, NULL, ir_i64(g, c->threads), c->thread, rank);
	struct ir_branch nth = if_begin(g, ir_compare(g, LLVMIntEQ, before, ir_i64(g, n - 1)));
	ir_store(g, ir_load(g, g->f32, c->value, 4), c->bound, 4);
	if_end(g, &nth);
	struct ir_branch one = if_begin(g, is_thread(c, 0));
	ir_store(g, ir_i32(g, 0), c->count, 4);
	ir_store(g, minus_infinity(c), c->top, 4);
	if_end(g, &one);
	block_barrier(g);
}

/* Keeps a logit that reaches the bound, if there is room. */
static void keep_reaching(struct chooser *c, LLVMValueRef index, LLVMValueRef x)
{
	struct codegen *g = c->g;
	LLVMValueRef reaches = ir_and(g, ir_fcompare(g, LLVMRealOGE, x, ir_load(g, g->f32, c->bound, 4)),
	                              ir_fcompare(g, LLVMRealOGT, x, minus_infinity(c)));
	struct ir_branch yes = if_begin(g, reaches);
	LLVMValueRef at = LLVMBuildAtomicRMW(g->builder, LLVMAtomicRMWBinOpAdd, c->count, ir_i32(g, 1),
	                                     LLVMAtomicOrderingMonotonic, false);
	struct ir_branch room = if_begin(g, ir_compare(g, LLVMIntULT, at, ir_i32(g, ROOM)));
	ir_store(g, x, ir_at(g, c->kept, DTYPE_F32, ir_wide(g, at)), 4);
	ir_store(g, token_of(c, index), ir_at(g, c->kept_at, DTYPE_I32, ir_wide(g, at)), 4);
	if_end(g, &room);
	if_end(g, &yes);
}

/* Puts what is kept in order: pairs 1 to n of `to`, the first of them also `top`. */
static void order_kept(struct chooser *c, LLVMValueRef count, int n, LLVMValueRef to, LLVMValueRef rank)
{
	struct codegen *g = c->g;
	LLVMValueRef step = ir_i64(g, c->threads), one = ir_i64(g, 1);
	struct ir_loop l = loop_begin(g, c->thread, count, step);
	LLVMValueRef at = rank_among(c, c->kept, c->kept_at, count, l.index, rank),
				 x = ir_load(g, g->f32, ir_at(g, c->kept, DTYPE_F32, l.index), 4);
	struct ir_branch among = if_begin(g, ir_compare(g, LLVMIntSLT, at, ir_i64(g, n)));
	store_pair(c, x, ir_load(g, g->i32, ir_at(g, c->kept_at, DTYPE_I32, l.index), 4), to, ir_add(g, at, one));
	if_end(g, &among);
	struct ir_branch first = if_begin(g, ir_compare(g, LLVMIntEQ, at, ir_i64(g, 0)));
	ir_store(g, x, c->top, 4);
	if_end(g, &first);
	loop_end(g, &l);
	struct ir_loop rest = loop_begin(g, ir_add(g, count, c->thread), ir_i64(g, n), step);
	store_pair(c, minus_infinity(c), ir_i32(g, 0), to, ir_add(g, rest.index, one));
	loop_end(g, &rest);
}

/* The best pair that comes after the last one found. */
static void next_best(struct chooser *c, LLVMValueRef index, LLVMValueRef x)
{
	struct codegen *g = c->g;
	LLVMValueRef token = token_of(c, index), last = ir_load(g, g->f32, c->last, 4);
	LLVMValueRef alike = ir_and(g, ir_fcompare(g, LLVMRealOEQ, x, last),
	                            ir_compare(g, LLVMIntSGT, token, ir_load(g, g->i32, c->last_at, 4)));
	LLVMValueRef after = LLVMBuildOr(g->builder, ir_fcompare(g, LLVMRealOLT, x, last), alike, "");
	keep_if(c, ir_and(g, after, above_value(c, x)), x, token);
}

static void one_by_one(struct chooser *c, int n, LLVMValueRef to)
{
	struct codegen *g = c->g;
	LLVMValueRef value, index;
	ir_store(g, sample_infinity(g, g->f32, false), c->last, 4);
	ir_store(g, ir_i32(g, -1), c->last_at, 4);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, n), ir_i64(g, 1));
	begin_pair(c, ir_i32(g, INT32_MAX));
	walk(c, next_best);
	best_of_block(c, &value, &index);
	ir_store(g, value, c->last, 4);
	ir_store(g, index, c->last_at, 4);
	struct ir_branch one = if_begin(g, is_thread(c, 0));
	store_pair(c, value, index, to, ir_add(g, l.index, ir_i64(g, 1)));
	struct ir_branch first = if_begin(g, ir_compare(g, LLVMIntEQ, l.index, ir_i64(g, 0)));
	ir_store(g, value, c->top, 4);
	if_end(g, &first);
	if_end(g, &one);
	loop_end(g, &l);
}

static void add_weight(struct chooser *c, LLVMValueRef index, LLVMValueRef x)
{
	struct codegen *g = c->g;
	(void)index;
	LLVMValueRef w = sample_weight(g, x, ir_load(g, g->f32, c->top, 4), c->s.inverse);
	ir_store(g, ir_fadd(g, ir_load(g, g->f32, c->sum, 4), w), c->sum, 4);
}

/* Pair 0 is the largest logit and, without top-k, the shard's part of the sum that softmax divides by. */
static void sorted_pairs(struct chooser *c, int n, LLVMValueRef to)
{
	struct codegen *g = c->g;
	LLVMValueRef rank = ir_local(g, g->i64, 1);
	find_bound(c, n, rank);
	walk(c, keep_reaching);
	block_barrier(g);
	LLVMValueRef count = ir_wide(g, ir_load(g, g->i32, c->count, 4));
	struct ir_branch few = if_begin(g, ir_compare(g, LLVMIntSLE, count, ir_i64(g, ROOM)));
	order_kept(c, count, n, to, rank);
	if_else(g, &few);
	one_by_one(c, n, to);
	if_end(g, &few);
	block_barrier(g);
	ir_store(g, ir_f32(g, 0), c->sum, 4);
	struct ir_branch all = if_begin(g, ir_compare(g, LLVMIntSLE, c->s.top_k, ir_i32(g, 0)));
	walk(c, add_weight);
	if_end(g, &all);
	LLVMValueRef sum = block_reduce(g, ir_load(g, g->f32, c->sum, 4), c->threads, c->parts, ir_fadd);
	struct ir_branch one = if_begin(g, is_thread(c, 0));
	sample_store_pair(g, ir_load(g, g->f32, c->top, 4), ir_bits(g, sum, g->i32), to);
	if_end(g, &one);
	block_barrier(g);
}

/* ---- the kernel ------------------------------------------------------------------------------ */
/* Pairs of the row as the model left it, at temperature 1. */
static void row_logprobs(const struct chooser *c, LLVMValueRef how, LLVMValueRef to)
{
	struct codegen *g = c->g;
	struct chooser raw = *c;
	raw.s.inverse = ir_f32(g, 1);
	raw.s.top_k = ir_i32(g, 0);
	LLVMValueRef asked = sample_field(g, how, g->i32, offsetof(struct dr_sampling, logprobs));
	struct ir_branch some = if_begin(g, ir_compare(g, LLVMIntNE, asked, ir_i32(g, 0)));
	sorted_pairs(&raw, DR_LOGPROBS, to);
	struct ir_branch one = if_begin(g, is_thread(&raw, 0));
	LLVMValueRef logit = ir_offset(g, to, ir_i64(g, offsetof(struct dr_logprobs, logit)));
	ir_store(g, minus_infinity(&raw), logit, 4);
	if_end(g, &one);
	if_end(g, &some);
}

/* A row with a logit that is not finite has no token: its pairs take precedence over those of other shards. */
static void refuse_row(struct chooser *c, LLVMValueRef to)
{
	struct codegen *g = c->g;
	LLVMValueRef widest = block_reduce(g, ir_load(g, g->i32, c->widest, 4), c->threads, c->places, ir_max);
	LLVMValueRef wrong = ir_compare(g, LLVMIntSGE, widest, ir_i32(g, 0x7f800000)), none = ir_i32(g, DR_NO_TOKEN);
	struct ir_branch one = if_begin(g, ir_and(g, wrong, is_thread(c, 0)));
	sample_store_pair(g, sample_infinity(g, g->f32, false), none, to);
	struct ir_branch chosen = if_begin(g, c->s.chosen);
	store_pair(c, sample_infinity(g, g->f32, false), none, to, ir_i64(g, 1));
	if_end(g, &chosen);
	if_end(g, &one);
}

static void row_candidates(struct chooser *c, LLVMValueRef to)
{
	struct codegen *g = c->g;
	ir_store(g, ir_i32(g, 0), c->widest, 4);
	struct ir_branch chosen = if_begin(g, c->s.chosen);
	sorted_pairs(c, DR_CANDIDATES, to);
	if_else(g, &chosen);
	struct ir_branch hot = if_begin(g, c->s.hot);
	best_pair(c, noisy, to);
	if_else(g, &hot);
	best_pair(c, greedy, to);
	if_end(g, &hot);
	if_end(g, &chosen);
	refuse_row(c, to);
}

static struct chooser chooser_open(struct codegen *g, const struct gpu_kernel *gk, LLVMValueRef first)
{
	const struct kernel_sample *k = &gk->kernel->sample;
	int threads = threads_of(gk), warps = threads / WARP;
	struct chooser c = {.g = g,
	                    .threads = threads,
	                    .thread = ir_wide(g, block_thread(g)),
	                    .v = ir_i64(g, k->v),
	                    .widest = ir_local(g, g->i32, 1),
	                    .value = ir_local(g, g->f32, 1),
	                    .index = ir_local(g, g->i32, 1),
	                    .last = ir_local(g, g->f32, 1),
	                    .last_at = ir_local(g, g->i32, 1),
	                    .sum = ir_local(g, g->f32, 1),
	                    .parts = block_shared(g, "parts", g->f32, warps),
	                    .places = block_shared(g, "places", g->i32, warps),
	                    .largest = block_shared(g, "largest", g->f32, threads),
	                    .bound = block_shared(g, "bound", g->f32, 1),
	                    .count = block_shared(g, "reached", g->i32, 1),
	                    .top = block_shared(g, "top", g->f32, 1),
	                    .kept = block_shared(g, "kept", g->f32, ROOM),
	                    .kept_at = block_shared(g, "kept_at", g->i32, ROOM)};
	c.s.first = sample_narrow(g, first);
	if (k->n * k->v > k->total)
		c.v = ir_min(g, c.v, ir_sub(g, ir_i64(g, k->total), first));
	return c;
}

static void emit(struct codegen *g, const struct gpu_kernel *gk, int entry, const char *name)
{
	const struct kernel_sample *k = &gk->kernel->sample;
	(void)entry;
	kernel_begin(g, name);
	LLVMValueRef logits = arg_pointer(g, CANDIDATES_LOGITS), sampling = arg_pointer(g, CANDIDATES_SAMPLING),
				 pairs = arg_pointer(g, CANDIDATES_PAIRS), records = arg_pointer(g, CANDIDATES_LOGPROBS),
				 rows = arg_integer(g, CANDIDATES_R), each = ir_div(g, arg_integer(g, CANDIDATES_P), rows);
	struct chooser c = chooser_open(g, gk, arg_integer(g, CANDIDATES_FIRST));
	struct sample_adjusting a = {.entries = arg_pointer(g, CANDIDATES_ADJUST),
	                             .saved = arg_pointer(g, CANDIDATES_SAVED),
	                             .from = c.thread,
	                             .step = ir_i64(g, c.threads)};
	struct ir_loop l = blocks_begin(g, rows);
	LLVMValueRef how = sample_record(g, sampling, l.index);
	c.s.row = ir_at(g, logits, DTYPE_F32, ir_mul(g, l.index, ir_i64(g, k->v)));
	sample_read(g, &c.s, how);
	row_logprobs(&c, how, ir_offset(g, records, ir_mul(g, l.index, ir_i64(g, sizeof(struct dr_logprobs)))));
	sample_read_adjusting(g, &a, how);
	sample_adjust(g, &a, &c.s, c.v, false);
	block_barrier(g);
	row_candidates(&c, sample_pair_at(g, pairs, ir_mul(g, l.index, each)));
	sample_adjust(g, &a, &c.s, c.v, true);
	loop_end(g, &l);
	kernel_end(g);
}

const struct gpu_family gpu_candidates = {plan, emit};
