/* The weights of a rank as blocks of rows, in the order in which the checkpoint has them, so that its files are read
 * from begin to end, each byte once, whatever the order of the params. Whoever takes a block asks the kernel for those
 * that come next: otherwise loaders would wait for each page where they fault it in. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "weights.h"

static const uint64_t AHEAD_BYTES = 256 << 20; /* that are asked for before they are loaded */

/* All that is asked for: in order, with `before` the bytes of earlier blocks. */
struct ask {
	uintptr_t begin, end;
	uint64_t before;
};

struct weight_blocks {
	struct weight_block *block;
	struct ask *ask; /* of each block */
	size_t n, room;
	struct weight_item *item;
	size_t items, item_room;
	atomic_size_t next;
	pthread_mutex_t asking;
	size_t asked; /* blocks; under the lock */
	uintptr_t page;
};

/* What weights_each makes blocks of. */
struct building {
	struct weight_blocks *blocks;
	const struct memory *memory;
	struct weight_block_size size;
};

static void add_block(struct weight_blocks *b, const struct weight_block *block)
{
	if (b->n == b->room) {
		b->room = b->room ? 2 * b->room : 256;
		b->block = host_grow(b->block, b->room, sizeof *b->block);
	}
	b->block[b->n++] = *block;
}

/* The stored bytes of a block's rows, from the first to the last one that the file has. */
static void set_place(struct weight_block *block, struct weight_rows *r)
{
	struct stored_bytes first = weight_row_bytes(r, block->first), last = {NULL, NULL};
	for (int64_t i = block->n; i-- > 0 && !last.begin;)
		last = weight_row_bytes(r, block->first + i);
	block->begin = first.begin;
	block->end = (uintptr_t)last.end > (uintptr_t)first.end ? last.end : first.end;
}

/* Rows that follow each other in one tensor, where the file has several for a param. */
static int64_t rows_of_tensor(const struct weight_rows *r)
{
	int64_t rows = 1;
	for (int i = r->n.n; i-- > 0 && !r->axes[r->n.axis[i]].keyed;)
		rows *= r->axes[r->n.axis[i]].local;
	return rows;
}

/* The rows of one group. */
static void add_group(struct building *b, struct weight_rows *r, int64_t group)
{
	int64_t tile = b->size.whole_tiles && r->param->n_tile ? r->param->n_tile : 1, n;
	int64_t together = tile > 1 ? r->n.size : rows_of_tensor(r);
	int64_t most = (int64_t)((r->param->swizzled ? b->size.swizzled : b->size.plain) / r->row_bytes) / tile * tile;
	most = most > tile ? most : tile;
	for (int64_t at = 0; at < r->n.size; at += n) {
		n = together - at % together < most ? together - at % together : most;
		struct weight_block block = {.number = b->blocks->items, .first = group * r->n.size + at, .n = n};
		if (r->checkpoint)
			set_place(&block, r);
		add_block(b->blocks, &block);
	}
}

static bool add_layer(void *context, struct weight_rows *r, uint64_t offset)
{
	struct building *b = context;
	struct weight_blocks *to = b->blocks;
	for (int64_t g = 0; g < r->g.size; g++)
		add_group(b, r, g);
	if (to->items == to->item_room) {
		to->item_room = to->item_room ? 2 * to->item_room : 64;
		to->item = host_grow(to->item, to->item_room, sizeof *to->item);
	}
	to->item[to->items++] = (struct weight_item){*r, b->memory->base[r->param->space] + offset};
	return true;
}

/* Files are mapped whole, so the order of addresses is that within each file. */
static int by_place(const void *a, const void *b)
{
	const struct weight_block *x = a, *y = b;
	uintptr_t i = (uintptr_t)x->begin, j = (uintptr_t)y->begin;
	if (i != j)
		return i < j ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return (x->first > y->first) - (x->first < y->first);
}

/* What each block reads that no earlier one does. */
static void plan_asks(struct weight_blocks *b)
{
	uintptr_t until = 0;
	uint64_t before = 0;
	b->ask = host_alloc(b->n, sizeof *b->ask);
	for (size_t i = 0; i < b->n; i++) {
		uintptr_t begin = (uintptr_t)b->block[i].begin, end = (uintptr_t)b->block[i].end;
		begin = begin > until ? begin : until;
		b->ask[i] = (struct ask){begin, end > begin ? end : begin, before};
		before += b->ask[i].end - begin;
		until = end > until ? end : until;
	}
}

struct weight_blocks *weight_blocks_open(const struct plan *plan, int rank, const struct checkpoint *c,
                                         const struct memory *m, struct weight_block_size size)
{
	struct weight_blocks *b = host_alloc(1, sizeof *b);
	struct building building = {b, m, size};
	b->page = (uintptr_t)sysconf(_SC_PAGESIZE);
	pthread_mutex_init(&b->asking, NULL);
	weights_each(plan, rank, c, add_layer, &building);
	for (size_t i = 0; i < b->n; i++)
		b->block[i].item = &b->item[b->block[i].number];
	if (c && b->n) {
		qsort(b->block, b->n, sizeof *b->block, by_place);
		plan_asks(b);
	}
	return b;
}

size_t weight_blocks_count(const struct weight_blocks *b) { return b->n; }

/* Asks for what follows block `taken`, unless another thread is at it. */
static void ask_ahead(struct weight_blocks *b, size_t taken)
{
	if (!b->ask || pthread_mutex_trylock(&b->asking))
		return;
	for (; b->asked < b->n && b->ask[b->asked].before <= b->ask[taken].before + AHEAD_BYTES; b->asked++) {
		const struct ask *a = &b->ask[b->asked];
		uintptr_t from = a->begin / b->page * b->page;
		if (a->end > a->begin)
			madvise((void *)from, a->end - from, MADV_WILLNEED); /* without it, loading is only slower */
	}
	pthread_mutex_unlock(&b->asking);
}

const struct weight_block *weight_blocks_next(struct weight_blocks *b)
{
	size_t i = atomic_fetch_add(&b->next, 1);
	if (i >= b->n)
		return NULL;
	ask_ahead(b, i);
	return &b->block[i];
}

void weight_blocks_close(struct weight_blocks *b)
{
	pthread_mutex_destroy(&b->asking);
	free(b->block);
	free(b->ask);
	free(b->item);
	free(b);
}
