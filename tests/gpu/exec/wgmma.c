/* wgmma: products of a warpgroup, whose operands are in shared memory. Each warp makes its 16 rows of 64. All of a
 * group are made at once, or when they are waited for. */
#include <stdlib.h>
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "access.h"
#include "bulk.h"
#include "handlers.h"
#include "matrix.h"
#include "race.h"

enum { K = 16, LINE = 16, MAX_PENDING = 64 };

/* A matrix in shared memory, as a descriptor says: rows (of a, or columns of b) that are contiguous along k, or the
 * other way round. */
struct tile {
	uint64_t at;
	unsigned leading, stride; /* bytes */
	unsigned swizzle;         /* bytes of a row, or 0 */
	bool transposed;          /* contiguous along rows, not along k */
};

struct pending_product {
	const struct ins *in;
	struct tile a, b;
	_Alignas(64) uint16_t fragment[4][FRAGMENT]; /* a, where it is in registers */
	bool zero;
	uint32_t group;
	bool made; /* only the wait is left */
};

/* ---- tiles ---- */
static struct tile tile_of(struct warp *w, uint64_t descriptor, bool transposed)
{
	static const unsigned swizzles[] = {0, 128, 64, 32};
	struct tile t = {(descriptor & 0x3fff) << 4, (unsigned)(descriptor >> 16 & 0x3fff) << 4,
	                 (unsigned)(descriptor >> 32 & 0x3fff) << 4, swizzles[descriptor >> 62], transposed};
	if (descriptor >> 49 & 7)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "a matrix descriptor with a base offset is not emulated");
	if (transposed && t.swizzle != 128)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "a transposed matrix without 128-byte swizzling is not emulated");
	return t;
}

/* Where a line of 16 bytes is before swizzling: 8 elements of row i along k from 8j on; transposed, of 8 rows from 8i
 * on, at k = j. */
static uint64_t plain_line_at(const struct tile *t, unsigned i, unsigned j)
{
	if (t->transposed)
		return t->at + i % 8 * LINE + i / 8 * t->leading + j % 8 * 128 + j / 8 * t->stride;
	if (t->swizzle)
		return t->at + i / 8 * t->stride + i % 8 * t->swizzle + j * LINE;
	return t->at + i / 8 * t->stride + i % 8 * LINE + j * t->leading;
}

static uint64_t line_at(const struct tile *t, unsigned i, unsigned j)
{
	uint64_t at = plain_line_at(t, i, j);
	return t->swizzle ? swizzled(at, t->swizzle) : at;
}

/* Lines of `rows` rows: `outer` times `inner`. */
static unsigned outer_lines(const struct tile *t, unsigned rows) { return t->transposed ? rows / 8 : rows; }
static unsigned inner_lines(const struct tile *t) { return t->transposed ? K : K / 8; }

/* Is all of the tile in the CTA's memory? Swizzling moves a line within 128 bytes. */
static bool is_inside(const struct warp *w, const struct tile *t, unsigned rows)
{
	unsigned outer = outer_lines(t, rows), last = outer < 8 ? outer - 1 : 7;
	uint64_t end = plain_line_at(t, (outer - 1) / 8 * 8 + last, inner_lines(t) - 1) + LINE;
	return shared_has(w, t->at / 128 * 128, (end + 127) / 128 * 128);
}

/* Lines of a tile. Each warp counts as reading all of a. */
static void each_line(struct warp *w, const struct tile *t, unsigned rows,
                      void (*f)(struct warp *w, uint64_t at, const struct ins *in), const struct ins *in)
{
	for (unsigned i = 0; i < outer_lines(t, rows); i++)
		for (unsigned j = 0; j < inner_lines(t); j++)
			f(w, line_at(t, i, j), in);
}

/* Rows first .. first + 7 as floats, [k][8]. */
static void load_columns(struct warp *w, const struct tile *t, unsigned first, row *b, bool brain)
{
	halves lines[8];
	const unsigned char *shared = w->cta->shared;
	for (unsigned j = 0; j < K / 8; j++) {
		for (unsigned i = 0; i < 8; i++) {
			uint64_t at = t->transposed ? line_at(t, first / 8, 8 * j + i) : line_at(t, first + i, j);
			memcpy(&lines[i], shared + at, LINE);
		}
		if (!t->transposed)
			transpose(lines, &b[8 * j], brain);
		for (unsigned i = 0; i < 8 && t->transposed; i++)
			b[8 * j + i] = widen_row(lines[i], brain);
	}
}

/* The warp's 16 rows, [16][k]. */
static void load_rows(struct warp *w, const struct pending_product *p, float *a, bool brain)
{
	row columns[K];
	if (p->in->variant) {
		for (int r = 0; r < 4; r++)
			spread(p->fragment[r], r, a, K, brain);
		return;
	}
	for (unsigned h = 0; h < 2; h++) {
		load_columns(w, &p->a, (unsigned)(w->index % 4) * ROWS + 8 * h, columns, brain);
		for (int j = 0; j < K; j++)
			for (unsigned i = 0; i < 8; i++)
				a[(8 * h + i) * K + (unsigned)j] = columns[j][i];
	}
}

/* ---- products ---- */
/* in->n_defs: 32-bit registers of sums, 4 for 8 columns; in->round: bits of negated factors */
static void make_product(struct warp *w, const struct pending_product *p)
{
	const struct ins *in = p->in;
	bool brain = in->number == BF16;
	float a[ROWS * K];
	row b[K], c[ROWS];
	load_rows(w, p, a, brain);
	for (int i = 0; i < ROWS * K && (in->round == 1 || in->round == 2); i++)
		a[i] = -a[i];
	for (int first = 0; first < in->n_defs; first += 4) {
		load_columns(w, &p->b, (unsigned)first * 2, b, brain);
		if (p->zero)
			memset(c, 0, sizeof c);
		else
			read_sums(w, in, first, c);
		multiply(a, b, c, K);
		write_sums(w, in, first, c);
	}
}

static void check_line(struct warp *w, uint64_t at, const struct ins *in)
{
	(void)in;
	lane_memory(w, 0, SPACE_SHARED, at, LINE, false);
	if (w->cta->races)
		race_async_begins(w, 0, SPACE_SHARED, at, LINE, false);
}

static void settle_line(struct warp *w, uint64_t at, const struct ins *in) { race_ends(w, SPACE_SHARED, at, LINE, in); }

static void each_line_of(struct warp *w, const struct pending_product *p,
                         void (*f)(struct warp *w, uint64_t at, const struct ins *in))
{
	if (!p->in->variant)
		each_line(w, &p->a, 4 * ROWS, f, p->in);
	each_line(w, &p->b, (unsigned)p->in->n_defs * 2, f, p->in);
}

/* Sums, then the source operands: a, b, and whether the sums are added to. in->variant: a is in registers;
 * in->size: which are transposed */
void x_wgmma(struct warp *w, const struct ins *in)
{
	int at_b = in->n_defs + (in->variant ? 4 : 1);
	check_whole(w);
	if (w->index / 4 * 4 + 4 > w->cta->n_warps)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "wgmma by a group of less than four warps");
	if (!w->products)
		w->products = aligned_alloc(64, MAX_PENDING * sizeof *w->products);
	if (!w->product_fence)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "wgmma without a wgmma.fence before");
	if (w->n_products == MAX_PENDING)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "more than %d products that are not waited for", MAX_PENDING);
	struct pending_product *p = &w->products[w->n_products++];
	p->in = in;
	p->group = w->products_committed;
	p->zero = !(warp_predicate(w, in->op[at_b + 1]) & 1);
	p->b = tile_of(w, OPERAND(uint64_t, at_b)[0], in->size & 2);
	if (in->variant)
		for (int r = 0; r < 4; r++)
			memcpy(p->fragment[r], OPERAND(uint16_t, in->n_defs + r), sizeof p->fragment[r]);
	else
		p->a = tile_of(w, OPERAND(uint64_t, in->n_defs)[0], in->size & 1);
	w->cta->grid->counters.products++;
	if (w->cta->races || !is_inside(w, &p->b, (unsigned)in->n_defs * 2)
	    || (!in->variant && !is_inside(w, &p->a, 4 * ROWS)))
		each_line_of(w, p, check_line);
	/* In their order: only where none before it is late. */
	p->made = (w->n_products == 1 || p[-1].made) && random_next(&w->cta->grid->seed) % 4 == 0;
	if (p->made)
		make_product(w, p);
}

void x_wgmma_fence(struct warp *w, const struct ins *in)
{
	(void)in;
	check_whole(w);
	w->product_fence = true;
}

void x_wgmma_commit(struct warp *w, const struct ins *in)
{
	(void)in;
	check_whole(w);
	w->products_committed++;
}

/* All groups but the in->count last. */
void x_wgmma_wait(struct warp *w, const struct ins *in)
{
	int done = 0;
	check_whole(w);
	while (done < w->n_products && w->products_committed - w->products[done].group > in->count) {
		struct pending_product *p = &w->products[done++];
		if (!p->made)
			make_product(w, p);
		if (w->cta->races)
			each_line_of(w, p, settle_line);
	}
	w->n_products -= done;
	memmove(w->products, w->products + done, (size_t)w->n_products * sizeof *w->products);
}
