/* Do the entries of a contraction agree? They are made by different generators: a launch of many rows and one of few
 * must give the same rows, up to the rounding of the result. Full-size shapes take tiles that no fixture has. */
#include <math.h>
#include <stdlib.h>
#include "../../runtime/entry.h"
#include "card_step.h"

enum { ROWS = 8 };            /* that are compared */
#define TOLERANCE (1.0 / 128) /* of the largest: one unit in the last place of bf16 */

static float number_at(const unsigned char *from, uint32_t dtype, int64_t i)
{
	float f;
	uint16_t half;
	if (dtype == DR_F32) {
		memcpy(&f, from + i * (int64_t)sizeof f, sizeof f);
		return f;
	}
	memcpy(&half, from + i * (int64_t)sizeof half, sizeof half);
	uint32_t bits = (uint32_t)half << 16;
	memcpy(&f, &bits, sizeof f);
	return f;
}

static const struct dr_result *results_of(const struct card *c, const struct card_launch *l)
{
	return c->plan.kernels[l->kernel].result;
}

/* Numbers in a row of all results. */
static int64_t row_numbers(const struct dr_result *r)
{
	int64_t n = 0;
	for (int i = 0; i < DR_RESULTS; i++)
		n += r[i].n;
	return n;
}

static size_t bytes_of_rows(const struct dr_result *r)
{
	return (size_t)((ROWS - 1) * r->stride + r->n) * (r->dtype == DR_F32 ? 4 : 2);
}

/* The first rows of a result, [ROWS][n], from `at` on. */
static void read_rows(const struct dr_result *r, uint64_t at, float *out)
{
	unsigned char *raw = malloc(bytes_of_rows(r));
	gpu_get(raw, at, bytes_of_rows(r));
	for (int row = 0; row < ROWS; row++)
		for (int64_t i = 0; i < r->n; i++)
			out[row * r->n + i] = number_at(raw, r->dtype, row * r->stride + i);
	free(raw);
}

/* The first rows of what the launch makes of `m` rows, result after result; they were NaN before. */
static void rows_of(const struct card *c, struct card_launch *l, int64_t m, float *out)
{
	const struct dr_result *r = results_of(c, l);
	l->args[3] = (uint64_t)m;
	l->entry = entry_for(&dr_image, l->kernel, c->phase, l->args);
	for (int i = 0; i < DR_RESULTS && r[i].n; i++)
		GOOD(cu.cuMemsetD8_v2(l->args[r[i].argument], 0xff, bytes_of_rows(&r[i])));
	GOOD(cu.cuCtxSynchronize());
	card_queue(c, l);
	GOOD(cu.cuStreamSynchronize(c->stream));
	for (int i = 0; i < DR_RESULTS && r[i].n; i++) {
		read_rows(&r[i], l->args[r[i].argument], out);
		out += ROWS * r[i].n;
	}
}

/* The largest difference as a share of the largest number; infinity where a number is not finite. */
static double difference(const float *a, const float *b, int64_t n)
{
	double most = 0, largest = 0;
	for (int64_t i = 0; i < n; i++) {
		if (!isfinite(a[i]) || !isfinite(b[i]))
			return INFINITY;
		most = fmax(most, fabs((double)a[i] - (double)b[i]));
		largest = fmax(largest, fabs((double)a[i]));
	}
	return largest > 0 ? most / largest : INFINITY;
}

/* -> whether all entries that take some number of rows up to that of the launch agree */
static bool launch_agrees(const struct card *c, const struct card_launch *l, int *compared)
{
	static const int64_t fewer[] = {64, ROWS};
	struct card_launch many = *l, few = *l;
	size_t n = (size_t)(ROWS * row_numbers(results_of(c, l)));
	float *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
	bool good = true;
	rows_of(c, &many, (int64_t)l->args[3], a);
	for (size_t i = 0; i < sizeof fewer / sizeof *fewer; i++) {
		const struct dr_entry *before = i ? few.entry : many.entry;
		few.args[3] = (uint64_t)fewer[i];
		if (fewer[i] >= (int64_t)l->args[3] || entry_for(&dr_image, l->kernel, c->phase, few.args) == before)
			continue;
		rows_of(c, &few, fewer[i], b);
		double d = difference(a, b, (int64_t)n);
		printf("%-22s %-22s differ by %.1e of the largest%s\n", many.entry->name, few.entry->name, d,
		       d <= TOLERANCE ? "" : ": WRONG");
		good &= d <= TOLERANCE;
		++*compared;
	}
	free(a);
	free(b);
	return good;
}

bool card_agree(struct card *c)
{
	bool good = true;
	int compared = 0;
	card_step(c, DR_PREFILL, card_tokens(c, DR_PREFILL));
	card_random(c->frame.base[DR_SPACE_ACT], c->bytes[DR_SPACE_ACT]);
	for (int i = 0; i < c->launches; i++) {
		const struct card_launch *l = &c->launch[i];
		bool seen = false;
		for (int k = 0; k < i; k++)
			seen |= c->launch[k].kernel == l->kernel;
		if (!results_of(c, l)->n || seen || (int64_t)l->args[3] < ROWS)
			continue;
		good &= launch_agrees(c, l, &compared);
	}
	return good && compared > 0;
}
