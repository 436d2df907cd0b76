/* cp.async.bulk, with and without tensor maps. What an mbarrier waits for comes
 * at any time, mostly when somebody waits for it; what a group waits for is
 * made at once, or when it is waited for. */
#include "bulk.h"
#include <stdlib.h>
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "access.h"
#include "handlers.h"
#include "mbarrier.h"
#include "race.h"
#include "tensor_map.h"
#include "weak.h"

enum { ONE_SOON_IN = 4 };
enum kind { FROM_GLOBAL, TO_GLOBAL, ARRIVAL };

/* FROM_GLOBAL: `shared` is of any CTA of the cluster. ARRIVAL: at `barrier`, when the lane's cp.async are made. */
struct async_op {
	enum kind kind;
	struct warp *w;
	const struct ins *in;
	int lane;
	uint32_t number; /* of the CTA's copies; TO_GLOBAL: the lane's group */
	uint64_t shared, global;
	uint32_t bytes;
	const struct tensor_map *map; /* NULL: the bytes are in one piece */
	int32_t corner[MAX_RANK];
	struct mbarrier_at barrier;
	bool made; /* TO_GLOBAL: only the wait is left */
	bool late; /* it comes when somebody waits */
};

static void add(struct cta *c, struct async_op op)
{
	op.late = random_next(&c->grid->seed) % ONE_SOON_IN != 0;
	if (c->n_ops == c->cap_ops) {
		c->cap_ops = c->cap_ops ? 2 * c->cap_ops : 16;
		c->ops = realloc(c->ops, (size_t)c->cap_ops * sizeof *c->ops);
	}
	c->ops[c->n_ops++] = op;
	c->under_way += op.kind != TO_GLOBAL;
}

/* ---- the bytes of a copy, piece by piece ---- */
/* Called for each row: where it is in shared and in global memory; `bytes` of `row` are inside the tensor, from byte
 * `skip` on. */
struct piece {
	uint64_t shared, global;
	unsigned row, skip, bytes;
	unsigned swizzle;
	bool nan;
};
typedef void piece_fn(const struct async_op *op, const struct piece *p);

static void each_row(const struct async_op *op, piece_fn *f)
{
	const struct tensor_map *m = op->map;
	uint32_t index[MAX_RANK] = {0};
	unsigned row = m->box[0] * m->element;
	int64_t first = op->corner[0], low = first < 0 ? -first : 0, high = (int64_t)m->sizes[0] + 1 - first;
	high = high > m->box[0] ? m->box[0] : high;
	for (uint64_t shared = op->shared;; shared += row) {
		uint64_t global = m->at + (uint64_t)(first + low) * m->element;
		bool inside = low < high;
		for (int d = 1; d < m->rank; d++) {
			int64_t i = op->corner[d] + (int64_t)index[d];
			inside &= i >= 0 && i <= (int64_t)m->sizes[d];
			global += (uint64_t)i * m->strides[d];
		}
		struct piece p = {shared, global, row, 0, 0, m->swizzle, m->nan};
		p.skip = inside ? (unsigned)low * m->element : 0;
		p.bytes = inside ? (unsigned)(high - low) * m->element : 0;
		f(op, &p);
		int d = 1;
		while (d < m->rank && ++index[d] == m->box[d])
			index[d++] = 0;
		if (d == m->rank)
			return;
	}
}

static void each_piece(const struct async_op *op, piece_fn *f)
{
	if (op->map)
		each_row(op, f);
	else
		f(op, &(struct piece){op->shared, op->global, op->bytes, 0, op->bytes, 0, false});
}

/* Shared memory byte by byte of 16, as swizzling moves these. */
static unsigned char *shared_byte(const struct async_op *op, const struct piece *p, unsigned i)
{
	uint64_t at = p->shared + i;
	if (p->swizzle)
		at = swizzled(at, p->swizzle);
	struct cta *c = shared_owner(op->w, &at);
	return c->shared + at;
}

static void read_row(const struct async_op *op, const struct piece *p)
{
	unsigned char *from = malloc(p->row);
	if (p->bytes)
		weak_read(op->w, p->global, from, p->bytes);
	for (unsigned i = 0; i < p->row; i++)
		*shared_byte(op, p, i) = i - p->skip < p->bytes ? from[i - p->skip] : p->nan ? 0xff : 0;
	free(from);
}

static void write_row(const struct async_op *op, const struct piece *p)
{
	unsigned char *from = malloc(p->row);
	for (unsigned i = 0; i < p->bytes; i++)
		from[i] = *shared_byte(op, p, i + p->skip);
	if (p->bytes)
		weak_write(op->w, p->global, from, p->bytes);
	free(from);
}

/* ---- checks, when a copy begins ---- */
static void check_row(const struct async_op *op, const struct piece *p)
{
	bool writes = op->kind == TO_GLOBAL;
	if (p->bytes)
		lane_part(op->w, op->lane, SPACE_GLOBAL, p->global, 1, p->bytes, writes);
	for (unsigned i = 0; i < p->row; i += 16)
		lane_part(op->w, op->lane, SPACE_SHARED, p->shared + i, 16, 16, !writes);
	if (!op->w->cta->races)
		return;
	if (p->bytes)
		race_async_begins(op->w, op->lane, SPACE_GLOBAL, p->global, p->bytes, writes);
	race_async_begins(op->w, op->lane, SPACE_SHARED, p->shared, p->row, !writes);
}

static void settle_row(const struct async_op *op, const struct piece *p)
{
	bool by_copy = op->kind == FROM_GLOBAL;
	if (p->bytes && by_copy)
		race_copy_ends(op->w, SPACE_GLOBAL, p->global, p->bytes, op->in, op->number);
	else if (p->bytes)
		race_ends(op->w, SPACE_GLOBAL, p->global, p->bytes, op->in);
	if (by_copy)
		race_copy_ends(op->w, SPACE_SHARED, p->shared, p->row, op->in, op->number);
	else
		race_ends(op->w, SPACE_SHARED, p->shared, p->row, op->in);
}

static void check_alignment(struct warp *w, int lane, const struct async_op *op)
{
	unsigned align = op->map ? op->map->swizzle ? op->map->swizzle * 8u : 128 : 16;
	if (op->shared % align)
		warp_fault(w, CUDA_ERROR_MISALIGNED_ADDRESS, lane, "a copy at shared address 0x%llx, not aligned to %u",
		           (unsigned long long)op->shared, align);
	if (!op->map && (op->global % 16 || op->bytes % 16))
		warp_fault(w, CUDA_ERROR_MISALIGNED_ADDRESS, lane, "a copy of %u bytes at 0x%llx: 16 are moved at a time",
		           op->bytes, (unsigned long long)op->global);
}

static const struct tensor_map *find_map(struct warp *w, int lane, uint64_t at, int rank)
{
	const struct launch *n = w->cta->grid->launch;
	bool param = at - PARAM_WINDOW < n->kernel->param_bytes;
	const struct tensor_map *m = (const void *)lane_part(w, lane, param ? SPACE_PARAM : SPACE_GLOBAL,
	                                                     param ? at - PARAM_WINDOW : at, 64, 128, false);
	if (m->magic != TENSOR_MAP_MAGIC || m->rank != rank)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, lane, "0x%llx is not a tensor map of %d dimensions",
		           (unsigned long long)at, rank);
	return m;
}

/* ---- instructions: shared, global or map, bytes or the corner, mbarrier, CTAs. in->count: dimensions of a map ---- */
static uint32_t bytes_of(const struct tensor_map *m)
{
	uint32_t bytes = m->element;
	for (int d = 0; d < m->rank; d++)
		bytes *= m->box[d];
	return bytes;
}

static struct async_op read_op(struct warp *w, const struct ins *in, int l, enum kind kind)
{
	struct async_op op = {.kind = kind, .w = w, .in = in, .lane = l, .shared = OPERAND(uint64_t, 0)[l]};
	uint64_t there = OPERAND(uint64_t, 1)[l];
	if (!in->count) {
		op.global = there;
		op.bytes = OPERAND(uint32_t, 2)[l];
	} else {
		op.map = find_map(w, l, there, in->count);
		op.bytes = bytes_of(op.map);
		for (int d = 0; d < in->count; d++)
			op.corner[d] = OPERAND(int32_t, 2 + d)[l];
	}
	check_alignment(w, l, &op);
	return op;
}

static void begin(struct async_op op)
{
	op.number = ++op.w->cta->n_copies;
	each_piece(&op, check_row);
	add(op.w->cta, op);
}

void x_bulk_load(struct warp *w, const struct ins *in)
{
	int barrier = in->count ? 2 + in->count : 3;
	LANES_IN_TURN(l)
	{
		struct async_op op = read_op(w, in, l, FROM_GLOBAL);
		uint64_t at = OPERAND(uint64_t, barrier)[l];
		uint32_t ranks = in->variant ? OPERAND(uint32_t, barrier + 1)[l] & 0xffff : 0;
		op.barrier = mbarrier_of(w, l, at);
		if (!in->variant)
			begin(op);
		for (; ranks; ranks &= ranks - 1) {
			uint64_t rank = (uint64_t)(__builtin_ctz(ranks) + 1) * SHARED_OF_CTA;
			struct async_op one = op;
			one.shared = op.shared % SHARED_OF_CTA + rank;
			one.barrier = mbarrier_of(w, l, at % SHARED_OF_CTA + rank);
			begin(one);
		}
	}
}

void x_bulk_store(struct warp *w, const struct ins *in)
{
	bool at_once = random_next(&w->cta->grid->seed) & 1;
	LANES_IN_TURN(l)
	{
		struct async_op op = read_op(w, in, l, TO_GLOBAL);
		op.number = w->bulk_committed[l];
		op.made = at_once;
		each_piece(&op, check_row);
		if (at_once)
			each_piece(&op, write_row);
		add(w->cta, op);
	}
}

void x_bulk_commit(struct warp *w, const struct ins *in)
{
	(void)in;
	EACH_LANE(w->bulk_committed[l]++);
}

static void end_store(const struct async_op *op)
{
	if (!op->made)
		each_piece(op, write_row);
	if (op->w->cta->races)
		each_piece(op, settle_row);
}

/* All groups but the in->count last. */
void x_bulk_wait(struct warp *w, const struct ins *in)
{
	struct cta *c = w->cta;
	int kept = 0;
	for (int i = 0; i < c->n_ops; i++) {
		const struct async_op *op = &c->ops[i];
		bool mine = op->kind == TO_GLOBAL && op->w == w && w->exec >> op->lane & 1;
		if (mine && w->bulk_committed[op->lane] - op->number > in->count)
			end_store(op);
		else
			c->ops[kept++] = *op;
	}
	c->n_ops = kept;
}

/* cp.async.mbarrier.arrive [at]: an arrival when what the lane copied before has come; without .noinc, one more. */
void x_cp_async_arrive(struct warp *w, const struct ins *in)
{
	const uint64_t *at = OPERAND(uint64_t, 0);
	LANES_IN_TURN(l)
	{
		struct mbarrier_at m = mbarrier_of(w, l, at[l]);
		if (!in->variant)
			mbarrier_expect_one(w, l, m);
		add(w->cta, (struct async_op){
						.kind = ARRIVAL, .w = w, .in = in, .lane = l, .number = ++w->cta->n_copies, .barrier = m});
	}
}

/* ---- progress ---- */
/* Whether the CTA whose mbarrier waits is still there. */
static bool is_alive(const struct async_op *op)
{
	const struct cluster *c = op->w->cta->cluster;
	for (int i = 0; i < c->n; i++)
		if (c->ctas[i] == op->barrier.cta)
			return true;
	return false;
}

static void finish(struct cta *c, int i)
{
	struct async_op op = c->ops[i];
	const struct ins *before = op.w->in;
	c->ops[i] = c->ops[--c->n_ops];
	c->under_way -= op.kind != TO_GLOBAL;
	op.w->in = op.in;
	if (op.kind != TO_GLOBAL && !is_alive(&op))
		warp_fault(op.w, CUDA_ERROR_ILLEGAL_ADDRESS, op.lane, "a copy into a CTA that has ended");
	if (op.kind == FROM_GLOBAL) {
		each_piece(&op, read_row);
		if (c->races)
			each_piece(&op, settle_row);
		mbarrier_complete(op.w, op.barrier, op.bytes, op.number);
	} else if (op.kind == ARRIVAL) {
		copies_finish(op.w, op.lane, op.number);
		race_copy_arrives(c, op.barrier.cta->number, op.barrier.at, op.number);
		mbarrier_count(op.w, op.lane, op.barrier, 1);
	} else {
		end_store(&op);
	}
	op.w->in = before;
}

enum which { SOON, ALL, FOR };

static bool is_meant(const struct async_op *op, enum which which, struct mbarrier_at m)
{
	if (op->kind == TO_GLOBAL) /* waits for its group */
		return false;
	return which == SOON ? !op->late : which == ALL || (op->barrier.cta == m.cta && op->barrier.at == m.at);
}

static void advance(struct cta *c, enum which which, struct mbarrier_at m)
{
	int n = 0, chosen = -1;
	for (int i = 0; i < c->n_ops; i++)
		if (is_meant(&c->ops[i], which, m) && random_next(&c->grid->seed) % (uint64_t)++n == 0)
			chosen = i;
	if (chosen >= 0)
		finish(c, chosen);
}

void bulk_advance_soon(struct cta *c) { advance(c, SOON, (struct mbarrier_at){NULL, 0}); }
void bulk_advance(struct cta *c) { advance(c, ALL, (struct mbarrier_at){NULL, 0}); }
void bulk_advance_for(struct cta *c, struct mbarrier_at m) { advance(c, FOR, m); }

void bulk_finish(struct cta *c)
{
	while (c->n_ops)
		finish(c, 0);
}
