/* Kernels that move rows, or compute each element of a row by itself: the generators of codegen/, with a team of
 * threads as a worker. The team's threads take a row's vectors in turn, each of up to 16 bytes in memory. */
#include <stdio.h>
#include "kernels.h"

enum { THREADS = 256 };

/* What a kernel does for each of args[count]. */
struct team_work {
	int count;       /* argument */
	int64_t rows;    /* for each of it */
	int64_t vectors; /* of a row */
	int lanes;       /* elements of a vector */
	int align;       /* bytes that vectors are aligned to; 0: as their elements */
};

/* The largest power of two up to `most` that divides n. */
static int power_in(int64_t n, int most)
{
	while (n % most)
		most /= 2;
	return most;
}

/* Elements of rows that are converted: as many as both sides have in aligned pieces. */
static int lanes_for(int64_t elements, enum dtype a, int64_t a_align, enum dtype b, int64_t b_align)
{
	int least = dtype_bytes(a) < dtype_bytes(b) ? dtype_bytes(a) : dtype_bytes(b);
	int lanes = power_in(elements, PIECE_BYTES / (least < 2 ? 2 : least));
	while (lanes > 1
	       && (a_align % (lanes * dtype_bytes(a) < PIECE_BYTES ? lanes * dtype_bytes(a) : PIECE_BYTES)
	           || b_align % (lanes * dtype_bytes(b) < PIECE_BYTES ? lanes * dtype_bytes(b) : PIECE_BYTES)))
		lanes /= 2;
	return lanes;
}

static struct team_work convert(int count, int64_t rows, int64_t elements, int lanes)
{
	return (struct team_work){count, rows, elements / lanes, lanes, lanes > 1 ? PIECE_BYTES : 0};
}

/* Rows that are copied as they are. */
static struct team_work copy(int count, int64_t rows, int64_t bytes, int64_t from_align, int64_t to_align)
{
	int align = power_in(bytes, PIECE_BYTES);
	align = power_in(from_align, align);
	align = power_in(to_align, align);
	return (struct team_work){count, rows, bytes / align, 1, align};
}

static struct team_work embed(const struct kernel_embed *k, const int64_t *align)
{
	int lanes = lanes_for(k->d, k->table, align[EMBED_TABLE], k->out, align[EMBED_OUT]);
	if (k->pack.swizzled)
		lanes = power_in(lanes, PIECE_BYTES / dtype_bytes(k->table));
	return convert(EMBED_M, 1, k->d, lanes);
}

static struct team_work angles(const struct kernel_angles *k, const int64_t *align)
{
	int lanes = power_in(k->p, 2);
	while (lanes > 1 && (align[ANGLES_FREQ] % 8 || align[ANGLES_OUT] % PIECE_BYTES))
		lanes = 1;
	return convert(ANGLES_M, 1, k->p, lanes);
}

/* A vector of pairs is two vectors of features, or one of twice as many. */
static struct team_work rotate(const struct kernel_rotate *k, const int64_t *align)
{
	int lanes = lanes_for(k->f / 2, k->x, align[ROTATE_X], k->y, align[ROTATE_Y]), pair = k->interleaved ? 2 : 1;
	if (k->interleaved)
		lanes = lanes > 2 ? lanes / 2 : 1;
	const int64_t stride[] = {k->x_row, k->x_head, k->y_row, k->y_head};
	for (int i = 0; i < 4; i++)
		while (lanes > 1 && stride[i] % (pair * lanes))
			lanes /= 2;
	while (lanes > 1 && align[ROTATE_ANGLES] % PIECE_BYTES)
		lanes /= 2;
	return convert(ROTATE_M, k->heads, k->f / 2, lanes);
}

static bool work_of(const struct gpu_kernel *gk, struct team_work *w)
{
	const struct kernel *k = gk->kernel;
	const int64_t *a = gk->align;
	switch (k->family) {
	case KERNEL_EMBED:  *w = embed(&k->embed, a); return true;
	case KERNEL_ANGLES: *w = angles(&k->angles, a); return true;
	case KERNEL_ROTATE: *w = rotate(&k->rotate, a); return true;
	case KERNEL_APPEND:
		*w = convert(APPEND_M, k->append.heads, k->append.f,
		             lanes_for(k->append.f, k->append.x, a[APPEND_X], k->append.cache, a[APPEND_CACHE]));
		return k->append.by_position; /* else neighbours in x are far apart in the cache */
	case KERNEL_PICK:
		*w = copy(PICK_ROWS, 1, k->pick.d * dtype_bytes(k->pick.dtype), a[PICK_X], a[PICK_OUT]);
		return true;
	case KERNEL_SLICE:
		*w = copy(SLICE_M, 1, k->slice.d * dtype_bytes(k->slice.dtype), a[SLICE_X], a[SLICE_Y]);
		return true;
	case KERNEL_PACK:
		*w = copy(PACK_C, k->pack.dests, k->pack.d * dtype_bytes(k->pack.dtype), a[PACK_X], a[PACK_ROWS]);
		return true;
	case KERNEL_GATHER:
	case KERNEL_SCATTER:
		*w = copy(GATHER_S, 1, k->gather.d * dtype_bytes(k->gather.dtype), a[GATHER_ROWS], a[GATHER_OUT]);
		return true;
	case KERNEL_COMBINE:
		*w = convert(COMBINE_M, 1, k->combine.d,
		             lanes_for(k->combine.d, k->combine.dtype, a[COMBINE_ROWS], DTYPE_F32, a[COMBINE_OUT]));
		return true;
	case KERNEL_TILE: /* rows are long */
		*w = convert(TILE_M, 1, WARP * SWIZZLE_PIECE / 4, SWIZZLE_PIECE / 4);
		return a[TILE_FROM] % SWIZZLE_PIECE == 0 && a[TILE_TO] % SWIZZLE_PIECE == 0;
	default: return false;
	}
}

static bool plan(struct arena *arena, struct gpu_kernel *gk)
{
	struct team_work w;
	if (!work_of(gk, &w))
		return false;
	gk->team = w.vectors < WARP ? power_of_two(w.vectors) : WARP;
	gk->entry[0] = gpu_entry(arena_printf(arena, "dr_%s", gk->kernel->name), THREADS, w.count);
	gpu_spread(&gk->entry[0], w.rows, THREADS / gk->team);
	gk->at_once[0] = 4; /* memory waits for many warps rather than for many loads of each */
	gk->entries = 1;
	return true;
}

static void emit(struct codegen *g, const struct gpu_kernel *gk, int entry, const char *name)
{
	struct kernel named = *gk->kernel;
	struct team_work w;
	(void)entry;
	work_of(gk, &w);
	snprintf(named.name, sizeof named.name, "%s", name);
	int lanes = g->lanes;
	g->lanes = w.lanes;
	g->vector_align = w.align;
	g->team = gk->team;
	emit_kernel(g, &named);
	g->lanes = lanes;
	g->vector_align = g->team = 0;
}

const struct gpu_family gpu_team = {plan, emit};
