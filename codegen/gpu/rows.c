/* Rows on a GPU. Neighbouring threads take neighbouring vectors, of up to 16 bytes in memory. With reductions, a row is
 * shared by `lanes` threads: a part of a warp, a warp, or a block. Each keeps its vectors of the row in registers from
 * the first walk to the last if they are few; a longer row is read again in each walk. Without reductions, each vector
 * is work of its own. */
#include "../rows.h"
#include "kernels.h"

enum {
	THREADS = 256,
	MAX_THREADS = 1024,
	MAX_CHUNKS = 4,    /* vectors of a row that a thread keeps */
	MAX_REGISTERS = 96 /* of those vectors, in all operands */
};

/* How a row is shared. A chunk is `lanes` vectors. */
struct shape {
	int vector;             /* elements */
	int64_t vectors;        /* of a row */
	int lanes, chunks;      /* threads of a row; vectors that each takes at a time */
	int threads, per_block; /* of a block: threads, rows */
	bool again;             /* the row is longer than lanes * chunks vectors */
};

/* ---- shapes ---------------------------------------------------------------------------------- */
/* Can vectors of so many elements of an operand be accessed as aligned words? */
static bool fits(const struct kernel_rows *k, const struct rows_operand *o, int64_t align, int vector)
{
	int64_t bytes = vector * dtype_bytes(o->dtype);
	if (o->stride[k->dims - 1] != 1)
		return true; /* its elements are accessed one by one */
	bool ok = align % (bytes < PIECE_BYTES ? bytes : PIECE_BYTES) == 0 && o->row_stride % vector == 0
	          && o->group_stride % vector == 0;
	for (int d = 0; d + 1 < k->dims; d++)
		ok = ok && o->stride[d] % vector == 0;
	return ok;
}

static int widest(const struct kernel_rows *k)
{
	int bytes = 4;
	for (int i = 0; i < k->n_inputs + k->n_outputs; i++) {
		const struct rows_operand *o = i < k->n_inputs ? &k->input[i] : &k->output[i - k->n_inputs];
		if (o->stride[k->dims - 1] == 1 && dtype_bytes(o->dtype) < bytes)
			bytes = dtype_bytes(o->dtype) < 2 ? 2 : dtype_bytes(o->dtype);
	}
	return PIECE_BYTES / bytes;
}

static int vector_of(const struct gpu_kernel *gk)
{
	const struct kernel_rows *k = &gk->kernel->rows;
	int vector = widest(k);
	for (int i = 0; i < k->n_inputs + k->n_outputs; i++)
		while (vector > 1
		       && !fits(k, i < k->n_inputs ? &k->input[i] : &k->output[i - k->n_inputs], gk->align[i], vector))
			vector /= 2;
	while (k->extent[k->dims - 1] % vector)
		vector /= 2;
	return vector;
}

/* Vectors of a row that a thread may keep without running out of registers. */
static int chunks_that_fit(const struct rows *r, int vector)
{
	int loads = 1;
	for (int i = 0; i < r->k->n_nodes; i++)
		loads += r->varying[i] && r->k->node[i].op == ROWS_LOAD;
	int chunks = MAX_REGISTERS / (loads * vector);
	return chunks < 1 ? 1 : chunks > MAX_CHUNKS ? MAX_CHUNKS : chunks;
}

static struct shape shape_of(const struct gpu_kernel *gk)
{
	const struct kernel_rows *k = &gk->kernel->rows;
	struct rows r = {.k = k};
	rows_analyse(&r);
	struct shape s = {.vector = vector_of(gk), .threads = THREADS, .lanes = 1, .chunks = 1, .per_block = THREADS};
	s.vectors = k->extent[k->dims - 1] / s.vector;
	if (!rows_walks(&r))
		return s;
	int chunks = chunks_that_fit(&r, s.vector);
	if (s.vectors <= WARP * chunks) {
		s.lanes = s.vectors < WARP ? power_of_two(s.vectors) : WARP;
		s.per_block = THREADS / s.lanes;
	} else {
		int64_t threads = round_up(divide_up(s.vectors, chunks > 2 ? 2 : chunks), WARP);
		s.lanes = s.threads = threads > MAX_THREADS ? MAX_THREADS : (int)threads;
		s.per_block = 1;
	}
	int64_t needed = divide_up(s.vectors, s.lanes);
	s.chunks = needed > chunks ? chunks : (int)needed;
	s.again = needed > s.chunks;
	return s;
}

static int64_t rows_of_item(const struct kernel_rows *k)
{
	int64_t n = 1;
	for (int d = 0; d + 1 < k->dims; d++)
		n *= k->extent[d];
	return n;
}

static bool plan(struct arena *arena, struct gpu_kernel *gk)
{
	const struct kernel_rows *k = &gk->kernel->rows;
	struct shape s = shape_of(gk);
	struct rows r = {.k = k};
	rows_analyse(&r);
	struct dr_entry e =
		gpu_entry(arena_printf(arena, "dr_%s", gk->kernel->name), s.threads, k->n_inputs + k->n_outputs);
	int64_t items = rows_of_item(k) * (rows_walks(&r) ? 1 : s.vectors);
	gpu_spread(&e, items, s.per_block);
	gk->entry[0] = e;
	gk->entries = 1;
	return items < MAX_BLOCKS;
}

/* ---- a row of several threads ---------------------------------------------------------------- */
struct shared_row {
	struct rows r; /* first: see join */
	struct shape s;
	LLVMValueRef lane;                               /* this thread's number among those of the row, i64 */
	LLVMValueRef live;                               /* is there a row for it? NULL: always */
	LLVMValueRef parts;                              /* shared f32[warps] */
	LLVMValueRef loaded[MAX_CHUNKS][ROWS_MAX_NODES]; /* kept from walk to walk */
	LLVMValueRef inside[MAX_CHUNKS];                 /* has the thread such a vector? NULL: always */
};

/* Sums of a row's threads: within warps by exchange, then of the warps through shared memory. */
static LLVMValueRef join(struct rows *r, LLVMValueRef v, ir_binary *op)
{
	struct shared_row *w = (struct shared_row *)r;
	struct codegen *g = r->g;
	return w->s.lanes > WARP ? block_reduce(g, v, w->s.threads, w->parts, op) : warp_reduce(g, v, w->s.lanes, op);
}

static LLVMValueRef chunk_index(struct shared_row *w, LLVMValueRef base, int chunk)
{
	struct codegen *g = w->r.g;
	LLVMValueRef vector = ir_add(g, w->lane, ir_i64(g, (int64_t)chunk * w->s.lanes));
	return base ? ir_add(g, base, vector) : vector;
}

/* Sets inside[]: rows end within a chunk, and blocks within their rows. */
static void find_ends(struct shared_row *w, LLVMValueRef base)
{
	struct codegen *g = w->r.g;
	for (int c = 0; c < w->s.chunks; c++) {
		bool whole = !base && (int64_t)(c + 1) * w->s.lanes <= w->s.vectors;
		LLVMValueRef in = whole ? NULL : ir_compare(g, LLVMIntSLT, chunk_index(w, base, c), ir_i64(g, w->s.vectors));
		w->inside[c] = !in ? w->live : w->live ? ir_and(g, in, w->live) : in;
	}
}

/* Goes to the thread's vector of a chunk. */
static void enter_chunk(struct shared_row *w, LLVMValueRef base, int chunk)
{
	struct codegen *g = w->r.g;
	rows_go_to(&w->r, ir_mul(g, chunk_index(w, base, chunk), ir_i64(g, w->s.vector)), NULL);
}

/* Loads all operands that vary, of all chunks, before anything is computed. Threads without a vector get zeros. */
static void load_chunks(struct shared_row *w, LLVMValueRef base)
{
	struct codegen *g = w->r.g;
	const struct kernel_rows *k = w->r.k;
	for (int c = 0; c < w->s.chunks; c++) {
		LLVMBasicBlockRef before, after;
		struct ir_branch in = {0};
		enter_chunk(w, base, c);
		if (w->inside[c])
			in = if_begin(g, w->inside[c]);
		for (int i = 0; i < k->n_nodes; i++)
			w->loaded[c][i] = k->node[i].op == ROWS_LOAD && w->r.varying[i] ? rows_vector(&w->r, i) : NULL;
		if (!w->inside[c])
			continue;
		after = LLVMGetInsertBlock(g->builder);
		if_else(g, &in);
		before = LLVMGetInsertBlock(g->builder);
		if_end(g, &in);
		for (int i = 0; i < k->n_nodes; i++)
			if (w->loaded[c][i]) {
				LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(w->loaded[c][i]));
				LLVMValueRef phi = LLVMBuildPhi(g->builder, LLVMTypeOf(zero), "");
				LLVMAddIncoming(phi, &w->loaded[c][i], &after, 1);
				LLVMAddIncoming(phi, &zero, &before, 1);
				w->loaded[c][i] = phi;
			}
	}
}

/* One walk over what is loaded. */
static void walk_chunks(struct shared_row *w, LLVMValueRef base)
{
	struct codegen *g = w->r.g;
	bool last = w->r.walk > rows_walks(&w->r);
	for (int c = 0; c < w->s.chunks; c++) {
		enter_chunk(w, base, c);
		for (int i = 0; i < w->r.k->n_nodes; i++)
			w->r.vector[i] = w->loaded[c][i];
		if (!last) {
			w->r.mask = w->inside[c] ? ir_splat(g, w->inside[c]) : NULL;
			rows_accumulate(&w->r);
			continue;
		}
		rows_results(&w->r);
		struct ir_branch in = {0};
		if (w->inside[c])
			in = if_begin(g, w->inside[c]);
		rows_store_vectors(&w->r);
		if (w->inside[c])
			if_end(g, &in);
	}
}

/* A walk over a row that is longer than what threads keep. */
static void walk_again(struct shared_row *w)
{
	struct codegen *g = w->r.g;
	struct ir_loop l =
		loop_begin(g, ir_i64(g, 0), ir_i64(g, w->s.vectors), ir_i64(g, (int64_t)w->s.lanes * w->s.chunks));
	find_ends(w, l.index);
	load_chunks(w, l.index);
	walk_chunks(w, l.index);
	loop_end(g, &l);
}

static void store_scalars(struct shared_row *w)
{
	struct codegen *g = w->r.g;
	LLVMValueRef first = ir_compare(g, LLVMIntEQ, w->lane, ir_i64(g, 0));
	struct ir_branch b = if_begin(g, w->live ? ir_and(g, first, w->live) : first);
	rows_store_scalars(&w->r);
	if_end(g, &b);
}

static void emit_row(struct shared_row *w)
{
	if (!w->s.again) {
		find_ends(w, NULL);
		load_chunks(w, NULL);
	}
	for (w->r.walk = 1; w->r.walk <= rows_walks(&w->r) + 1; w->r.walk++) {
		rows_start(&w->r);
		rows_settle(&w->r);
		if (w->s.again)
			walk_again(w);
		else
			walk_chunks(w, NULL);
		rows_finish(&w->r, join);
	}
	store_scalars(w);
}

/* Blocks take groups of per_block rows. All threads of a block stay together, since they exchange sums; those without a
 * row work on the last one and store nothing. */
static void emit_shared_rows(struct shared_row *w)
{
	struct codegen *g = w->r.g;
	LLVMValueRef thread = ir_wide(g, block_thread(g)), lanes = ir_i64(g, w->s.lanes);
	LLVMValueRef row = ir_div(g, thread, lanes);
	w->lane = ir_rem(g, thread, lanes);
	if (w->s.lanes > WARP)
		w->parts = block_shared(g, "parts", g->f32, w->s.threads / WARP);
	struct ir_loop l = blocks_begin(g, ir_ceil_div(g, w->r.items, w->s.per_block));
	LLVMValueRef item = ir_add(g, ir_mul(g, l.index, ir_i64(g, w->s.per_block)), row);
	if (w->s.per_block > 1) {
		w->live = ir_compare(g, LLVMIntSLT, item, w->r.items);
		item = ir_min(g, item, ir_sub(g, w->r.items, ir_i64(g, 1)));
	}
	rows_place(&w->r, item);
	emit_row(w);
	loop_end(g, &l);
}

/* ---- vectors of their own -------------------------------------------------------------------- */
static void emit_vectors(struct shared_row *w)
{
	struct codegen *g = w->r.g;
	LLVMValueRef vectors = ir_i64(g, w->s.vectors), threads = ir_i64(g, w->s.threads);
	LLVMValueRef first = ir_add(g, ir_mul(g, ir_wide(g, block_index(g)), threads), ir_wide(g, block_thread(g)));
	LLVMValueRef step = ir_mul(g, ir_wide(g, block_count(g)), threads);
	struct ir_loop l = loop_begin(g, first, ir_mul(g, w->r.items, vectors), step);
	rows_place(&w->r, ir_div(g, l.index, vectors));
	w->lane = ir_rem(g, l.index, vectors);
	w->r.walk = 1;
	rows_settle(&w->r);
	enter_chunk(w, NULL, 0);
	rows_store_vectors(&w->r);
	store_scalars(w);
	loop_end(g, &l);
}

static void emit(struct codegen *g, const struct gpu_kernel *gk, int entry, const char *name)
{
	struct shared_row w = {.s = shape_of(gk)};
	(void)entry;
	int lanes = g->lanes;
	g->lanes = w.s.vector;
	g->vector_align = PIECE_BYTES;
	kernel_begin(g, name);
	rows_begin(&w.r, g, &gk->kernel->rows);
	if (rows_walks(&w.r))
		emit_shared_rows(&w);
	else
		emit_vectors(&w);
	kernel_end(g);
	g->lanes = lanes;
	g->vector_align = 0;
}

const struct gpu_family gpu_rows = {plan, emit};
