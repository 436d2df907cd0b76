/* Contractions of few rows on the matrix units: their time is that of reading the weights. A block multiplies 32 rows
 * of weights by up to 16 rows of x at a time; its four warps take runs of k in turn, so that many reads are on their
 * way. Nothing goes through shared memory but the sums.
 *
 * Weights are the 16-row side of a product of 16 x 8 x 16, x's rows its columns. A thread reads pieces of 16 bytes: 8
 * neighbours of k of a row. They serve as the k that the unit expects to be 2t, 2t + 1, 2t + 8, 2t + 9, of two
 * products: which k are summed together does not matter, as long as both sides agree. */
#include "contract.h"
#include "matrix.h"

enum {
	WARPS = FEW_THREADS / WARP,
	ROW_BLOCKS = FEW_OUTPUTS / MATRIX_ROWS, /* blocks of weights' rows */
	COLUMN_BLOCKS = FEW_ROWS / MATRIX_COLUMNS,
	AT_ONCE = 2, /* runs that a warp reads before it multiplies */
	PITCH = 4,   /* more than the outputs: a warp's sums are in different banks */
	HALVES = 2   /* pieces of a run that a thread reads: t and t + 4 */
};

struct few {
	struct contract c;
	LLVMValueRef first;                /* first row of x in this pass, i64 */
	LLVMValueRef row, part;            /* the lane's row of a block and its piece: lane / 4, lane % 4, i64 */
	LLVMValueRef x_row[COLUMN_BLOCKS]; /* the lane's rows of x, i64 */
	LLVMValueRef sum[ROW_BLOCKS][COLUMN_BLOCKS][MATRIX_SUMS];
	LLVMValueRef sums; /* shared f32[WARPS][FEW_ROWS][FEW_OUTPUTS + PITCH] */
};

/* One run, as a thread holds it: rows of weights by blocks of 8, and of x. */
struct run {
	struct piece w[2 * ROW_BLOCKS][HALVES], x[COLUMN_BLOCKS][HALVES];
};

/* The block's rows lie in one tile of the weights: those of a lane are a fixed distance apart, at the same pieces. */
static void read_weights(struct few *f, LLVMValueRef number, struct run *r)
{
	struct codegen *g = f->c.g;
	LLVMValueRef n = ir_add(g, f->c.first_n, f->row), run = weight_run(&f->c, n, number);
	for (int h = 0; h < HALVES; h++) {
		LLVMValueRef p = ir_add(g, f->part, ir_i64(g, h * RUN_PIECES / HALVES));
		p = LLVMBuildXor(g->builder, p, f->row, "");
		LLVMValueRef at = ir_offset(g, run, ir_mul(g, p, ir_i64(g, PIECE_BYTES)));
		for (int b = 0; b < 2 * ROW_BLOCKS; b++)
			r->w[b][h] = piece_load(g, ir_offset(g, at, ir_i64(g, b * MATRIX_ROWS / 2 * RUN_BYTES)));
	}
}

/* x is zero past its rows' ends, where the weights are zeros too but memory may hold anything. */
static void read_x(struct few *f, LLVMValueRef number, LLVMValueRef is_there, struct run *r)
{
	struct codegen *g = f->c.g;
	const int64_t piece = PIECE_BYTES / 2, k = f->c.k->k;
	for (int b = 0; b < COLUMN_BLOCKS; b++)
		for (int h = 0; h < HALVES; h++) {
			LLVMValueRef p = ir_add(g, ir_mul(g, number, ir_i64(g, RUN_PIECES)), f->part), inside = is_there;
			p = ir_mul(g, ir_add(g, p, ir_i64(g, h * RUN_PIECES / HALVES)), ir_i64(g, piece));
			if (k % (RUN_PIECES * piece)) {
				inside = ir_and(g, inside, ir_compare(g, LLVMIntSLT, p, ir_i64(g, k)));
				p = ir_min(g, p, ir_i64(g, k - piece));
			}
			r->x[b][h] = piece_or_zero(g, inside, piece_load(g, x_element(&f->c, f->x_row[b], p)));
		}
}

static void multiply(struct few *f, const struct run *r)
{
	for (int h = 0; h < HALVES; h++)
		for (int half = 0; half < 2; half++)
			for (int b = 0; b < ROW_BLOCKS; b++)
				for (int column = 0; column < COLUMN_BLOCKS; column++) {
					const struct piece *low = &r->w[2 * b][h], *high = &r->w[2 * b + 1][h], *x = &r->x[column][h];
					LLVMValueRef a[] = {low->word[2 * half], high->word[2 * half], low->word[2 * half + 1],
					                    high->word[2 * half + 1]};
					matrix_add_memory(f->c.g, f->c.k->w, f->sum[b][column], a, x->word + 2 * half);
				}
}

/* The warp's runs: those with its number modulo the warps. */
static void sum_runs(struct few *f)
{
	struct codegen *g = f->c.g;
	LLVMValueRef runs = ir_i64(g, f->c.runs), last = ir_i64(g, f->c.runs - 1);
	struct ir_loop l = loop_begin(g, ir_wide(g, block_warp(g)), runs, ir_i64(g, (int64_t)WARPS * AT_ONCE));
	struct run run[AT_ONCE];
	keep_loop(g);
	for (int i = 0; i < AT_ONCE; i++)
		read_weights(f, ir_min(g, ir_add(g, l.index, ir_i64(g, i * WARPS)), last), &run[i]);
	for (int i = 0; i < AT_ONCE; i++) {
		LLVMValueRef number = ir_add(g, l.index, ir_i64(g, i * WARPS));
		read_x(f, ir_min(g, number, last), ir_compare(g, LLVMIntSLT, number, runs), &run[i]);
		multiply(f, &run[i]);
	}
	loop_end(g, &l);
}

static LLVMValueRef shared_sum(struct few *f, LLVMValueRef warp, LLVMValueRef output, LLVMValueRef row)
{
	struct codegen *g = f->c.g;
	LLVMValueRef at = ir_add(g, ir_mul(g, warp, ir_i64(g, FEW_ROWS)), row);
	return ir_at(g, f->sums, DTYPE_F32, ir_add(g, ir_mul(g, at, ir_i64(g, FEW_OUTPUTS + PITCH)), output));
}

static void share_sums(struct few *f)
{
	struct codegen *g = f->c.g;
	LLVMValueRef warp = ir_wide(g, block_warp(g));
	for (int b = 0; b < ROW_BLOCKS; b++)
		for (int column = 0; column < COLUMN_BLOCKS; column++)
			for (int i = 0; i < MATRIX_SUMS; i++) {
				LLVMValueRef output = ir_add(g, f->row, ir_i64(g, b * MATRIX_ROWS + i / 2 * (MATRIX_ROWS / 2)));
				LLVMValueRef row =
					ir_add(g, ir_mul(g, f->part, ir_i64(g, 2)), ir_i64(g, column * MATRIX_COLUMNS + i % 2));
				ir_store(g, ir_load(g, g->f32, f->sum[b][column][i], 4), shared_sum(f, warp, output, row), 4);
			}
}

/* Adds up the warps' sums, in their order. Neighbouring threads store neighbouring outputs. */
static void store_sums(struct few *f)
{
	struct codegen *g = f->c.g;
	LLVMValueRef thread = ir_wide(g, block_thread(g)), outputs = ir_i64(g, FEW_OUTPUTS);
	LLVMValueRef output = ir_rem(g, thread, outputs), n = ir_add(g, f->c.first_n, output);
	for (int i = 0; i < FEW_OUTPUTS * FEW_ROWS / FEW_THREADS; i++) {
		LLVMValueRef within = ir_add(g, ir_div(g, thread, outputs), ir_i64(g, i * FEW_THREADS / FEW_OUTPUTS));
		LLVMValueRef row = ir_add(g, f->first, within), sum = NULL;
		for (int w = 0; w < WARPS; w++) {
			LLVMValueRef part = ir_load(g, g->f32, shared_sum(f, ir_i64(g, w), output, within), 4);
			sum = sum ? ir_fadd(g, sum, part) : part;
		}
		LLVMValueRef real = ir_and(g, ir_compare(g, LLVMIntSLT, row, f->c.end), ir_compare(g, LLVMIntSLT, n, f->c.n));
		struct ir_branch b = if_begin(g, real);
		store_scalar(g, f->c.k->y, sum, y_element(&f->c, row, n));
		if_end(g, &b);
	}
}

static void one_pass(struct few *f)
{
	struct codegen *g = f->c.g;
	for (int b = 0; b < ROW_BLOCKS; b++)
		for (int column = 0; column < COLUMN_BLOCKS; column++)
			for (int i = 0; i < MATRIX_SUMS; i++)
				ir_store(g, ir_f32(g, 0), f->sum[b][column][i], 4);
	for (int b = 0; b < COLUMN_BLOCKS; b++) {
		LLVMValueRef row = ir_add(g, f->first, ir_add(g, f->row, ir_i64(g, b * MATRIX_COLUMNS)));
		f->x_row[b] = ir_min(g, row, ir_sub(g, f->c.end, ir_i64(g, 1)));
	}
	sum_runs(f);
	share_sums(f);
	block_barrier(g);
	store_sums(f);
	block_barrier(g);
}

void contract_few(struct codegen *g, const struct gpu_kernel *gk, const char *name)
{
	struct few f = {.c = contract_begin(g, gk, name)};
	const struct kernel_contract *k = f.c.k;
	LLVMValueRef lane = ir_wide(g, block_lane(g)), parts = ir_i64(g, RUN_PIECES / HALVES);
	LLVMValueRef columns = ir_i64(g, contract_columns(k, FEW_OUTPUTS));
	f.row = ir_div(g, lane, parts);
	f.part = ir_rem(g, lane, parts);
	f.sums = block_shared(g, "sums", g->f32, (int64_t)WARPS * FEW_ROWS * (FEW_OUTPUTS + PITCH));
	for (int b = 0; b < ROW_BLOCKS; b++)
		for (int column = 0; column < COLUMN_BLOCKS; column++)
			for (int i = 0; i < MATRIX_SUMS; i++)
				f.sum[b][column][i] = ir_local(g, g->f32, 1);
	struct ir_loop l = blocks_begin(g, ir_mul(g, columns, ir_i64(g, k->grouped ? k->groups : k->batch)));
	LLVMValueRef number = ir_div(g, l.index, columns);
	f.c.column = ir_rem(g, l.index, columns);
	f.c.outputs = FEW_OUTPUTS;
	contract_whole(&f.c, number);
	struct ir_loop pass = loop_begin(g, f.c.begin, f.c.end, ir_i64(g, FEW_ROWS));
	f.first = pass.index;
	one_pass(&f);
	loop_end(g, &pass);
	loop_end(g, &l);
	kernel_end(g);
}
