/* Contractions of many rows on the matrix units. A block multiplies a tile of rows of x by 128 rows of weights, one run
 * (64 k) at a time. Runs come through shared memory, copied there while earlier ones are multiplied; in it, pieces are
 * swizzled as the weights are in memory, so that the reads of a warp go to different banks. Of its eight warps, each
 * computes half of the rows by 32 outputs. */
#include "contract.h"
#include "matrix.h"

enum {
	STAGES = 3, /* runs in shared memory: one is multiplied, two are on their way */
	WARPS_ACROSS = 4,
	WARPS_DOWN = TILE_THREADS / WARP / WARPS_ACROSS,
	OUTPUTS_EACH = TILE_OUTPUTS / WARPS_ACROSS, /* of a warp */
	COLUMN_BLOCKS = OUTPUTS_EACH / MATRIX_COLUMNS,
	MAX_ROW_BLOCKS = TILE_MANY / WARPS_DOWN / MATRIX_ROWS,
	STEPS = RUN_PIECES / 2, /* products along a run */
	PIECE_ELEMENTS = PIECE_BYTES / 2
};

struct tiles {
	struct contract c;
	int rows, row_blocks;      /* of the tile; of a warp */
	bool pairs;                /* two neighbouring outputs are stored at once */
	LLVMValueRef shared;       /* STAGES times runs of x[rows], then of w[TILE_OUTPUTS]: an address of shared memory */
	LLVMValueRef thread, lane; /* i64 */
	LLVMValueRef warp_row, warp_output; /* first of the warp's in the tile, i64 */
	LLVMValueRef sum[MAX_ROW_BLOCKS][COLUMN_BLOCKS][MATRIX_SUMS];
};

static int stage_bytes(int rows) { return (rows + TILE_OUTPUTS) * RUN_BYTES; }
int contract_tiles_shared(int rows) { return STAGES * stage_bytes(rows); }

/* ---- into shared memory ---------------------------------------------------------------------- */
static LLVMValueRef stage_at(struct tiles *t, LLVMValueRef run)
{
	struct codegen *g = t->c.g;
	LLVMValueRef slot = ir_rem(g, run, ir_i64(g, STAGES));
	return ir_offset(g, t->shared, ir_mul(g, slot, ir_i64(g, stage_bytes(t->rows))));
}

/* Bytes from the start of a stage's x or w to a piece of a row. */
static LLVMValueRef piece_offset(struct codegen *g, LLVMValueRef row, LLVMValueRef piece)
{
	LLVMValueRef swap = ir_and(g, row, ir_i64(g, RUN_PIECES - 1));
	LLVMValueRef at = ir_mul(g, LLVMBuildXor(g->builder, piece, swap, ""), ir_i64(g, PIECE_BYTES));
	return ir_add(g, ir_mul(g, row, ir_i64(g, RUN_BYTES)), at);
}

/* Past the rows' end, and past k, x is zeros. */
static void copy_x(struct tiles *t, LLVMValueRef run, LLVMValueRef stage)
{
	struct codegen *g = t->c.g;
	LLVMValueRef pieces = ir_i64(g, RUN_PIECES), end = ir_sub(g, t->c.end, ir_i64(g, 1)), k = ir_i64(g, t->c.k->k);
	for (int i = 0; i < t->rows * RUN_PIECES / TILE_THREADS; i++) {
		LLVMValueRef number = ir_add(g, t->thread, ir_i64(g, i * TILE_THREADS));
		LLVMValueRef row = ir_div(g, number, pieces), piece = ir_rem(g, number, pieces);
		LLVMValueRef m = ir_add(g, t->c.begin, row), first = ir_add(g, ir_mul(g, run, pieces), piece);
		first = ir_mul(g, first, ir_i64(g, PIECE_ELEMENTS));
		LLVMValueRef real = ir_and(g, ir_compare(g, LLVMIntSLE, m, end), ir_compare(g, LLVMIntSLT, first, k));
		LLVMValueRef from =
			x_element(&t->c, ir_min(g, m, end), ir_min(g, first, ir_i64(g, t->c.k->k - PIECE_ELEMENTS)));
		piece_copy(g, ir_offset(g, stage, piece_offset(g, row, piece)), from,
		           ir_select(g, real, ir_i32(g, PIECE_BYTES), ir_i32(g, 0)));
	}
}

/* The weights' runs are in memory as in shared memory. */
static void copy_w(struct tiles *t, LLVMValueRef run, LLVMValueRef stage)
{
	struct codegen *g = t->c.g;
	LLVMValueRef from = weight_run(&t->c, t->c.first_n, run), to = ir_offset(g, stage, ir_i64(g, t->rows * RUN_BYTES));
	for (int i = 0; i < TILE_OUTPUTS * RUN_PIECES / TILE_THREADS; i++) {
		LLVMValueRef at = ir_mul(g, ir_add(g, t->thread, ir_i64(g, i * TILE_THREADS)), ir_i64(g, PIECE_BYTES));
		piece_copy(g, ir_offset(g, to, at), ir_offset(g, from, at), ir_i32(g, PIECE_BYTES));
	}
}

/* Begins to copy a run, if there is one. Each call is one group of copies, empty or not. */
static void copy_run(struct tiles *t, LLVMValueRef run)
{
	struct codegen *g = t->c.g;
	struct ir_branch b = if_begin(g, ir_compare(g, LLVMIntSLT, run, ir_i64(g, t->c.runs)));
	LLVMValueRef stage = stage_at(t, run);
	copy_x(t, run, stage);
	copy_w(t, run, stage);
	if_end(g, &b);
	copies_end_group(g);
}

/* ---- products -------------------------------------------------------------------------------- */
/* The 16 x 16 elements of x from row `row` on. */
static struct piece load_rows(struct tiles *t, LLVMValueRef stage, int block, int step)
{
	struct codegen *g = t->c.g;
	LLVMValueRef of_lane = ir_rem(g, t->lane, ir_i64(g, MATRIX_ROWS)),
				 half = ir_div(g, t->lane, ir_i64(g, MATRIX_ROWS));
	LLVMValueRef row = ir_add(g, t->warp_row, ir_add(g, of_lane, ir_i64(g, block * MATRIX_ROWS)));
	return matrix_load(g, ir_offset(g, stage, piece_offset(g, row, ir_add(g, half, ir_i64(g, 2 * step)))));
}

/* The 16 elements along k of two blocks of 8 outputs. */
static struct piece load_outputs(struct tiles *t, LLVMValueRef stage, int blocks, int step)
{
	struct codegen *g = t->c.g;
	LLVMValueRef eight = ir_i64(g, 8), of_lane = ir_rem(g, t->lane, eight), matrix = ir_div(g, t->lane, eight);
	LLVMValueRef half = ir_rem(g, matrix, ir_i64(g, 2)), second = ir_mul(g, ir_div(g, matrix, ir_i64(g, 2)), eight);
	LLVMValueRef n = ir_add(g, ir_add(g, t->warp_output, of_lane), second);
	n = ir_add(g, n, ir_i64(g, blocks * 2 * MATRIX_COLUMNS));
	LLVMValueRef w = ir_offset(g, stage, ir_i64(g, t->rows * RUN_BYTES));
	return matrix_load(g, ir_offset(g, w, piece_offset(g, n, ir_add(g, half, ir_i64(g, 2 * step)))));
}

static void multiply_step(struct tiles *t, LLVMValueRef stage, int step)
{
	struct piece a[MAX_ROW_BLOCKS], b[COLUMN_BLOCKS / 2];
	for (int i = 0; i < t->row_blocks; i++)
		a[i] = load_rows(t, stage, i, step);
	for (int j = 0; j < COLUMN_BLOCKS / 2; j++)
		b[j] = load_outputs(t, stage, j, step);
	for (int i = 0; i < t->row_blocks; i++)
		for (int j = 0; j < COLUMN_BLOCKS; j++)
			matrix_add_memory(t->c.g, t->c.k->w, t->sum[i][j], a[i].word, b[j / 2].word + j % 2 * MATRIX_B);
}

static void sum_runs(struct tiles *t)
{
	struct codegen *g = t->c.g;
	for (int i = 0; i < STAGES - 1; i++)
		copy_run(t, ir_i64(g, i));
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, t->c.runs), ir_i64(g, 1));
	copies_wait(g, STAGES - 2); /* run `index` is here, this thread's copies of it */
	block_barrier(g);           /* and those of others; nobody reads the run before any more */
	copy_run(t, ir_add(g, l.index, ir_i64(g, STAGES - 1)));
	LLVMValueRef stage = stage_at(t, l.index);
	for (int step = 0; step < STEPS; step++)
		multiply_step(t, stage, step);
	loop_end(g, &l);
	copies_wait(g, 0);
}

/* ---- results --------------------------------------------------------------------------------- */
static void store_pair(struct tiles *t, LLVMValueRef row, LLVMValueRef n, const LLVMValueRef *sum)
{
	struct codegen *g = t->c.g;
	enum dtype y = t->c.k->y;
	LLVMValueRef at = y_element(&t->c, row, n), v[] = {ir_load(g, g->f32, sum[0], 4), ir_load(g, g->f32, sum[1], 4)};
	LLVMValueRef limit = t->c.n;
	if (!t->pairs) {
		for (int i = 0; i < 2; i++) {
			struct ir_branch b = if_begin(g, ir_compare(g, LLVMIntSLT, ir_add(g, n, ir_i64(g, i)), limit));
			store_scalar(g, y, v[i], ir_at(g, at, y, ir_i64(g, i)));
			if_end(g, &b);
		}
		return;
	}
	struct ir_branch b = if_begin(g, ir_compare(g, LLVMIntSLT, n, limit));
	LLVMValueRef both = LLVMGetUndef(LLVMVectorType(g->f32, 2));
	for (int i = 0; i < 2; i++)
		both = LLVMBuildInsertElement(g->builder, both, v[i], ir_i32(g, i), "");
	ir_store(g, dtype_narrow(g, y, both), at, 2 * dtype_bytes(y));
	if_end(g, &b);
}

static void store_sums(struct tiles *t)
{
	struct codegen *g = t->c.g;
	LLVMValueRef four = ir_i64(g, 4), row = ir_div(g, t->lane, four);
	LLVMValueRef pair = ir_mul(g, ir_rem(g, t->lane, four), ir_i64(g, 2));
	for (int i = 0; i < t->row_blocks; i++)
		for (int half = 0; half < 2; half++) {
			LLVMValueRef m =
				ir_add(g, t->warp_row, ir_add(g, row, ir_i64(g, i * MATRIX_ROWS + half * MATRIX_ROWS / 2)));
			m = ir_add(g, t->c.begin, m);
			struct ir_branch real = if_begin(g, ir_compare(g, LLVMIntSLT, m, t->c.end));
			for (int j = 0; j < COLUMN_BLOCKS; j++) {
				LLVMValueRef n = ir_add(g, t->c.first_n, ir_add(g, t->warp_output, pair));
				store_pair(t, m, ir_add(g, n, ir_i64(g, j * MATRIX_COLUMNS)), t->sum[i][j] + 2 * half);
			}
			if_end(g, &real);
		}
}

static void one_tile(struct tiles *t)
{
	struct codegen *g = t->c.g;
	for (int i = 0; i < t->row_blocks; i++)
		for (int j = 0; j < COLUMN_BLOCKS; j++)
			for (int s = 0; s < MATRIX_SUMS; s++)
				ir_store(g, ir_f32(g, 0), t->sum[i][j][s], 4);
	sum_runs(t);
	store_sums(t);
}

void contract_tiles(struct codegen *g, const struct gpu_kernel *gk, const char *name, int rows)
{
	struct tiles t = {.c = contract_begin(g, gk, name), .rows = rows, .pairs = contract_stores_pairs(gk)};
	LLVMValueRef warp = ir_wide(g, block_warp(g)), across = ir_i64(g, WARPS_ACROSS);
	t.row_blocks = rows / WARPS_DOWN / MATRIX_ROWS;
	t.shared = block_dynamic(g);
	t.thread = ir_wide(g, block_thread(g));
	t.lane = ir_wide(g, block_lane(g));
	t.warp_output = ir_mul(g, ir_rem(g, warp, across), ir_i64(g, OUTPUTS_EACH));
	t.warp_row = ir_mul(g, ir_div(g, warp, across), ir_i64(g, rows / WARPS_DOWN));
	for (int i = 0; i < t.row_blocks; i++)
		for (int j = 0; j < COLUMN_BLOCKS; j++)
			for (int s = 0; s < MATRIX_SUMS; s++)
				t.sum[i][j][s] = ir_local(g, g->f32, 1);
	struct tile_loop l = tiles_begin(&t.c, rows, TILE_OUTPUTS);
	one_tile(&t);
	tiles_end(&t.c, &l);
	kernel_end(g);
}
