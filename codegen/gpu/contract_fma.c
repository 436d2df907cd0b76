/* Contractions by multiply-adds in f32, of any formats, strides and alignments. A block computes a tile of rows and 64
 * outputs; both operands come through shared memory as f32, 32 elements of k at a time. Each sum is one chain in the
 * order of k, as on the CPU, so its bits are the same. */
#include "contract.h"

enum {
	STEP = 32, /* of k */
	SIDE = 16, /* threads along rows and along outputs */
	OUTPUTS_EACH = FMA_OUTPUTS / SIDE,
	MAX_ROWS_EACH = FMA_MANY / SIDE,
	LOADED = 8, /* neighbouring elements of k that a thread loads */
	PITCH = 1   /* more than the tile's width: a warp's stores go to different banks */
};

struct fma {
	struct contract c;
	int rows, each;                    /* each: rows of a thread */
	int vector;                        /* elements of x that are loaded at once: LOADED or 1 */
	LLVMValueRef xs, ws;               /* shared f32[STEP][rows + PITCH], f32[STEP][FMA_OUTPUTS + PITCH] */
	LLVMValueRef thread, across, down; /* i64: number, output and row of the first sum */
	LLVMValueRef sum[MAX_ROWS_EACH][OUTPUTS_EACH];
};

/* Stores LOADED neighbours of k as one column each of a shared array. */
static void stage(struct fma *f, LLVMValueRef to, int width, LLVMValueRef k, LLVMValueRef column, const LLVMValueRef *v)
{
	struct codegen *g = f->c.g;
	for (int i = 0; i < LOADED; i++) {
		LLVMValueRef at = ir_mul(g, ir_add(g, k, ir_i64(g, i)), ir_i64(g, width + PITCH));
		ir_store(g, v[i], ir_at(g, to, DTYPE_F32, ir_add(g, at, column)), 4);
	}
}

static void load_some(struct codegen *g, enum dtype t, LLVMValueRef at, int n, LLVMValueRef *to)
{
	if (n == 1) {
		to[0] = load_scalar(g, t, at);
		return;
	}
	int lanes = g->lanes;
	g->lanes = n;
	g->vector_align = PIECE_BYTES;
	LLVMValueRef v = load_vector(g, t, at, NULL);
	for (int i = 0; i < n; i++)
		to[i] = LLVMBuildExtractElement(g->builder, v, ir_i32(g, i), "");
	g->lanes = lanes;
	g->vector_align = 0;
}

/* Elements past the row's end are zeros, whatever memory holds there. */
static void load_x(struct fma *f, LLVMValueRef from)
{
	struct codegen *g = f->c.g;
	const struct kernel_contract *k = f->c.k;
	LLVMValueRef parts = ir_i64(g, STEP / LOADED), v[LOADED];
	struct ir_branch mine = if_begin(g, ir_compare(g, LLVMIntSLT, f->thread, ir_i64(g, f->rows * STEP / LOADED)));
	LLVMValueRef row = ir_div(g, f->thread, parts), part = ir_mul(g, ir_rem(g, f->thread, parts), ir_i64(g, LOADED));
	LLVMValueRef m = ir_add(g, f->c.begin, row), real = ir_compare(g, LLVMIntSLT, m, f->c.end);
	m = ir_min(g, m, ir_sub(g, f->c.end, ir_i64(g, 1)));
	for (int i = 0; i < LOADED; i += f->vector) {
		LLVMValueRef at = ir_add(g, ir_add(g, from, part), ir_i64(g, i));
		LLVMValueRef inside = ir_and(g, real, ir_compare(g, LLVMIntSLT, at, ir_i64(g, k->k)));
		at = ir_min(g, at, ir_i64(g, k->k - f->vector));
		load_some(g, k->x, x_element(&f->c, m, at), f->vector, v + i);
		for (int j = i; j < i + f->vector; j++)
			v[j] = ir_select(g, inside, v[j], ir_f32(g, 0));
	}
	stage(f, f->xs, f->rows, part, row, v);
	if_end(g, &mine);
}

/* The thread's elements of a weight row: whole pieces of a run, or a part of one. */
static void load_w(struct fma *f, LLVMValueRef from)
{
	struct codegen *g = f->c.g;
	const struct kernel_contract *k = f->c.k;
	int bytes = dtype_bytes(k->w), at_once = PIECE_BYTES / bytes < LOADED ? PIECE_BYTES / bytes : LOADED;
	LLVMValueRef parts = ir_i64(g, STEP / LOADED), run = ir_i64(g, k->pack.k_run), v[LOADED];
	LLVMValueRef row = ir_div(g, f->thread, parts), part = ir_mul(g, ir_rem(g, f->thread, parts), ir_i64(g, LOADED));
	LLVMValueRef n = ir_add(g, f->c.first_n, row), first = ir_add(g, from, part);
	LLVMValueRef at = weight_run(&f->c, n, ir_div(g, first, run)), swap = ir_and(g, n, ir_i64(g, RUN_PIECES - 1));
	LLVMValueRef byte = ir_mul(g, ir_rem(g, first, run), ir_i64(g, bytes));
	for (int i = 0; i < LOADED; i += at_once) {
		LLVMValueRef here = ir_add(g, byte, ir_i64(g, i * bytes)), size = ir_i64(g, PIECE_BYTES);
		LLVMValueRef piece = LLVMBuildXor(g->builder, ir_div(g, here, size), swap, "");
		load_some(g, k->w, ir_offset(g, at, ir_add(g, ir_mul(g, piece, size), ir_rem(g, here, size))), at_once, v + i);
	}
	stage(f, f->ws, FMA_OUTPUTS, part, row, v);
}

static void multiply(struct fma *f)
{
	struct codegen *g = f->c.g;
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, STEP), ir_i64(g, 1));
	LLVMValueRef x_row = ir_add(g, ir_mul(g, l.index, ir_i64(g, f->rows + PITCH)), f->down);
	LLVMValueRef w_row = ir_add(g, ir_mul(g, l.index, ir_i64(g, FMA_OUTPUTS + PITCH)), f->across), w[OUTPUTS_EACH];
	for (int j = 0; j < OUTPUTS_EACH; j++)
		w[j] = load_scalar(g, DTYPE_F32, ir_at(g, f->ws, DTYPE_F32, ir_add(g, w_row, ir_i64(g, j * SIDE))));
	for (int i = 0; i < f->each; i++) {
		LLVMValueRef x = load_scalar(g, DTYPE_F32, ir_at(g, f->xs, DTYPE_F32, ir_add(g, x_row, ir_i64(g, i * SIDE))));
		for (int j = 0; j < OUTPUTS_EACH; j++)
			ir_store(g, ir_fma(g, x, w[j], ir_load(g, g->f32, f->sum[i][j], 4)), f->sum[i][j], 4);
	}
	loop_end(g, &l);
}

static void store_sums(struct fma *f)
{
	struct codegen *g = f->c.g;
	for (int i = 0; i < f->each; i++) {
		LLVMValueRef row = ir_add(g, f->c.begin, ir_add(g, f->down, ir_i64(g, i * SIDE)));
		LLVMValueRef real = ir_compare(g, LLVMIntSLT, row, f->c.end);
		for (int j = 0; j < OUTPUTS_EACH; j++) {
			LLVMValueRef n = ir_add(g, f->c.first_n, ir_add(g, f->across, ir_i64(g, j * SIDE)));
			struct ir_branch b = if_begin(g, ir_and(g, real, ir_compare(g, LLVMIntSLT, n, f->c.n)));
			store_scalar(g, f->c.k->y, ir_load(g, g->f32, f->sum[i][j], 4), y_element(&f->c, row, n));
			if_end(g, &b);
		}
	}
}

static void one_tile(struct fma *f)
{
	struct codegen *g = f->c.g;
	for (int i = 0; i < f->each; i++)
		for (int j = 0; j < OUTPUTS_EACH; j++)
			ir_store(g, ir_f32(g, 0), f->sum[i][j], 4);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, f->c.k->k), ir_i64(g, STEP));
	load_x(f, l.index);
	load_w(f, l.index);
	block_barrier(g);
	multiply(f);
	block_barrier(g);
	loop_end(g, &l);
	store_sums(f);
}

void contract_fma(struct codegen *g, const struct gpu_kernel *gk, const char *name, int rows)
{
	const struct kernel_contract *k = &gk->kernel->contract;
	struct fma f = {.c = contract_begin(g, gk, name), .rows = rows, .each = rows / SIDE};
	int64_t bytes = LOADED * dtype_bytes(k->x);
	bool whole = gk->align[CONTRACT_X] % (bytes < PIECE_BYTES ? bytes : PIECE_BYTES) == 0 && k->k % LOADED == 0
	             && k->x_stride % LOADED == 0 && k->x_batch % LOADED == 0;
	f.vector = whole ? LOADED : 1;
	f.xs = block_shared(g, "xs", g->f32, (int64_t)STEP * (rows + PITCH));
	f.ws = block_shared(g, "ws", g->f32, (int64_t)STEP * (FMA_OUTPUTS + PITCH));
	f.thread = ir_wide(g, block_thread(g));
	f.across = ir_rem(g, f.thread, ir_i64(g, SIDE));
	f.down = ir_div(g, f.thread, ir_i64(g, SIDE));
	for (int i = 0; i < f.each; i++)
		for (int j = 0; j < OUTPUTS_EACH; j++)
			f.sum[i][j] = ir_local(g, g->f32, 1);
	struct tile_loop l = tiles_begin(&f.c, rows, FMA_OUTPUTS);
	one_tile(&f);
	tiles_end(&f.c, &l);
	kernel_end(g);
}
