/* The order of a stage: so many forwards to warm up, then a forward and a backward in turns, then the remaining
 * backwards. The orders of a pipeline differ in the number of the first and in chunks. */
#include "stage_order.h"

/* A chunk's run over one microbatch. */
struct unit {
	int64_t microbatch, chunk;
};

const char *pipeline_order_name(enum pipeline_order order)
{
	static const char *const names[PIPELINE_ORDERS] = {"fill_drain", "one_f_one_b", "interleaved"};
	return names[order];
}

bool pipeline_fits(const struct pipeline *p)
{
	return p->order == PIPELINE_INTERLEAVED ? p->microbatches % p->stages == 0 : p->chunks == 1;
}

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t pipeline_runs(const struct pipeline *p) { return p->microbatches * p->chunks; }

/* Forward k: as many microbatches as there are stages, through each chunk in turn. */
static struct unit forward(const struct pipeline *p, int64_t k)
{
	if (p->chunks == 1)
		return (struct unit){k, 0};
	int64_t round = p->stages * p->chunks;
	return (struct unit){k / round * p->stages + k % p->stages, k % round / p->stages};
}

/* Backward k: the same, from the last chunk to the first. */
static struct unit backward(const struct pipeline *p, int64_t k)
{
	struct unit u = forward(p, k);
	return (struct unit){u.microbatch, p->chunks - 1 - u.chunk};
}

/* The k with forward(k) == u. */
static int64_t forward_number(const struct pipeline *p, struct unit u)
{
	int64_t round = p->stages * p->chunks;
	return u.microbatch / p->stages * round + u.chunk * p->stages + u.microbatch % p->stages;
}

/* Forwards before the first pair. A later stage gets its first backward earlier. */
int64_t stage_warm_up(const struct pipeline *p, int64_t stage)
{
	int64_t after = p->stages - stage - 1;
	if (!p->backward || p->order == PIPELINE_FILL_DRAIN)
		return pipeline_runs(p);
	if (p->order == PIPELINE_ONE_F_ONE_B)
		return min(after, pipeline_runs(p));
	return min(2 * after + (p->chunks - 1) * p->stages, pipeline_runs(p));
}

/* The slot of forward k. The first of a pair takes the slot that the backward before it has freed. */
static int64_t slot(const struct pipeline *p, int64_t stage, int64_t k)
{
	int64_t first = stage_warm_up(p, stage);
	while (k > first)
		k = forward_number(p, backward(p, k - first - 1));
	return p->backward ? k : 0;
}

int64_t stage_entries(const struct pipeline *p) { return pipeline_runs(p) * (p->backward ? 2 : 1); }

int64_t stage_slots(const struct pipeline *p, int64_t stage)
{
	return p->backward ? min(stage_warm_up(p, stage) + 1, pipeline_runs(p)) : 1;
}

int64_t pipeline_busy(const struct pipeline *p) { return min(p->microbatches, p->stages); }

struct stage_entry pipeline_run(const struct pipeline *p, enum stage_program program, int64_t k)
{
	struct unit u = program == STAGE_FORWARD ? forward(p, k) : backward(p, k);
	return (struct stage_entry){program, u.microbatch, u.chunk, 0};
}

struct stage_entry stage_entry(const struct pipeline *p, int64_t stage, int64_t i)
{
	int64_t first = stage_warm_up(p, stage), n = pipeline_runs(p), pair = (i - first) / 2;
	bool pairs = i >= first && pair < n - first;
	bool back = i >= first && (!pairs || (i - first) % 2);
	int64_t k = i < first ? i : pairs ? (back ? pair : first + pair) : i - n;
	struct stage_entry e = pipeline_run(p, back ? STAGE_BACKWARD : STAGE_FORWARD, k);
	e.slot = slot(p, stage, forward_number(p, (struct unit){e.microbatch, e.chunk}));
	return e;
}
