/* Collectives of the local communicator: in chunks through the ports, device to device. */
#include "../support/round.h"
#include "comm_local.h"
#include "number.h"
#include "reduce.h"

/* From this many elements times members on, each member computes a part of the sum. */
enum { SHARED_SUM = 1 << 16 };

/* A chunk of [outer][block]: whole rows, or a piece of a row if a row is larger than `bytes`. */
struct chunking {
	int64_t width, rows; /* width: elements */
};

static struct chunking chunk_rows(const struct local_comm *c, const struct collective_args *x, size_t bytes)
{
	int64_t room = (int64_t)(bytes / dtype_size(x->dtype));
	if (room == 0)
		rank_fail(&c->reporter, "internal: the communicator's buffers of %zu bytes are too small", c->data.size);
	struct chunking k = {.width = x->block < room ? x->block : room, .rows = 1};
	if (k.width == x->block && x->block > 0)
		k.rows = room / x->block < x->outer ? room / x->block : x->outer;
	return k;
}

static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }

/* Sums elements [from, to) of all parts into host memory at `sink`, or, if that is NULL, to the device at `dst`. */
static void reduce_range(struct local_comm *c, const struct collective_args *x, int64_t from, int64_t to, void *sink,
                         uint64_t dst)
{
	size_t size = dtype_size(x->dtype);
	int members = plan_group_size(c->plan, x->group);
	uint32_t block[REDUCE_BLOCK];
	for (int64_t at = from; at < to; at += REDUCE_BLOCK) {
		int n = (int)min_i64(REDUCE_BLOCK, to - at);
		uint64_t done = (uint64_t)(at - from) * size;
		void *out = sink ? (char *)sink + done : (void *)block;
		reduce_block(x->dtype, c->part, members, (size_t)at * size, n, out);
		if (!sink)
			c->device->write(c->device, flat(dst + done, (uint64_t)n * size), out);
	}
}

/* Each member sums everything: one exchange. */
static void all_reduce_alone(struct local_comm *c, const struct collective_args *x, int64_t n, uint64_t dst)
{
	port_wait_all(c, &c->data, x->group);
	reduce_range(c, x, 0, n, NULL, dst);
	port_release_all(c, &c->data, x->group);
}

/* Member i sums part i, then all gather the parts: two exchanges, and every element is summed once. */
static void all_reduce_shared(struct local_comm *c, const struct collective_args *x, int64_t n, uint64_t dst)
{
	int members = plan_group_size(c->plan, x->group), me = plan_group_index(c->plan, x->group, c->reporter.rank);
	int64_t share = divide_up(n, members);
	size_t size = dtype_size(x->dtype);
	void *sum = port_acquire(c, &c->data);
	port_wait_all(c, &c->data, x->group);
	reduce_range(c, x, min_i64(me * share, n), min_i64((me + 1) * share, n), sum, 0);
	port_release_all(c, &c->data, x->group);
	port_publish(c, &c->data, x->group, members);
	for (int i = 0; i < members; i++) {
		int64_t from = min_i64(i * share, n), to = min_i64((i + 1) * share, n);
		port_wait(c, &c->data, x->group, i);
		c->device->write(c->device, flat(dst + (uint64_t)from * size, (uint64_t)(to - from) * size), c->part[i]);
		port_release(c, &c->data, x->group, i);
	}
}

void local_all_reduce(struct comm *comm, const struct collective_args *x)
{
	struct local_comm *c = (struct local_comm *)comm;
	struct collective_args row = {x->group, x->dtype, x->src, x->dst, 1, x->outer * x->block, 0};
	size_t size = dtype_size(x->dtype);
	int members = plan_group_size(c->plan, x->group);
	int64_t width = row.block ? chunk_rows(c, &row, c->data.size).width : 0;
	for (int64_t at = 0; at < row.block; at += width) {
		int64_t n = min_i64(width, row.block - at);
		uint64_t byte = (uint64_t)at * size;
		c->device->read(c->device, port_acquire(c, &c->data), flat(x->src + byte, (uint64_t)n * size));
		port_publish(c, &c->data, x->group, members);
		if (n * members > SHARED_SUM)
			all_reduce_shared(c, x, n, x->dst + byte);
		else
			all_reduce_alone(c, x, n, x->dst + byte);
	}
}

typedef void chunk_fn(struct local_comm *c, const struct collective_args *x, int64_t row, int64_t column, int64_t rows,
                      int64_t width);

/* Calls `one` for each chunk of [outer][block]. */
static void for_chunks(struct local_comm *c, const struct collective_args *x, size_t bytes, chunk_fn *one)
{
	if (x->outer == 0 || x->block == 0)
		return;
	struct chunking k = chunk_rows(c, x, bytes);
	for (int64_t row = 0; row < x->outer; row += k.rows)
		for (int64_t column = 0; column < x->block; column += k.width)
			one(c, x, row, column, min_i64(k.rows, x->outer - row), min_i64(k.width, x->block - column));
}

/* The device rectangle of a chunk: in block `i` of rows with `stride` blocks. */
static struct rect chunk_rect(const struct collective_args *x, uint64_t base, int64_t stride, int64_t i, int64_t row,
                              int64_t column, int64_t rows, int64_t width)
{
	uint64_t size = dtype_size(x->dtype);
	uint64_t at = base + (uint64_t)((row * stride + i) * x->block + column) * size;
	return (struct rect){at, (uint64_t)(stride * x->block) * size, (uint64_t)width * size, (uint64_t)rows};
}

static void gather_chunk(struct local_comm *c, const struct collective_args *x, int64_t row, int64_t column,
                         int64_t rows, int64_t width)
{
	int members = plan_group_size(c->plan, x->group);
	struct device *d = c->device;
	d->read(d, port_acquire(c, &c->data), chunk_rect(x, x->src, 1, 0, row, column, rows, width));
	port_publish(c, &c->data, x->group, members);
	for (int i = 0; i < members; i++) {
		port_wait(c, &c->data, x->group, i);
		d->write(d, chunk_rect(x, x->dst, members, i, row, column, rows, width), c->part[i]);
		port_release(c, &c->data, x->group, i);
	}
}

void local_all_gather(struct comm *comm, const struct collective_args *x)
{
	struct local_comm *c = (struct local_comm *)comm;
	for_chunks(c, x, c->data.size, gather_chunk);
}

/* The buffer is [n][rows][width], so the data for member i is contiguous. */
static void scatter_chunk(struct local_comm *c, const struct collective_args *x, int64_t row, int64_t column,
                          int64_t rows, int64_t width)
{
	int members = plan_group_size(c->plan, x->group), me = plan_group_index(c->plan, x->group, c->reporter.rank);
	int64_t n = rows * width;
	char *mine = port_acquire(c, &c->data);
	for (int i = 0; i < members; i++)
		c->device->read(c->device, mine + (size_t)(i * n) * dtype_size(x->dtype),
		                chunk_rect(x, x->src, members, i, row, column, rows, width));
	port_publish(c, &c->data, x->group, members);
	port_wait_all(c, &c->data, x->group);
	/* Contiguous in dst: whole rows, or a piece of one. */
	reduce_range(c, x, me * n, (me + 1) * n, NULL, chunk_rect(x, x->dst, 1, 0, row, column, rows, width).at);
	port_release_all(c, &c->data, x->group);
}

void local_reduce_scatter(struct comm *comm, const struct collective_args *x)
{
	struct local_comm *c = (struct local_comm *)comm;
	for_chunks(c, x, c->data.size / (size_t)plan_group_size(c->plan, x->group), scatter_chunk);
}

/* ---- all-to-all ------------------------------------------------------------------------------ */
/* One member's part of [outer][n][block]: block `index` of every row. Its elements are counted row by row. */
struct part {
	uint64_t base;
	int64_t members, index, block;
	size_t size;
};
typedef void device_copy(struct device *d, struct rect at, char *host);

static void part_read(struct device *d, struct rect at, char *host) { d->read(d, host, at); }
static void part_write(struct device *d, struct rect at, char *host) { d->write(d, at, host); }

/* Copies elements [from, to) of a part: a piece of a row, then whole rows, then a piece of a row. */
static void copy_part(struct device *d, device_copy *copy, const struct part *p, int64_t from, int64_t to, char *host)
{
	while (from < to) {
		int64_t row = from / p->block, column = from % p->block;
		int64_t rows = column ? 0 : (to - from) / p->block,
				width = rows ? p->block : min_i64(p->block - column, to - from);
		uint64_t pitch = (uint64_t)(p->members * p->block) * p->size;
		uint64_t at = p->base + (uint64_t)row * pitch + (uint64_t)(p->index * p->block + column) * p->size;
		int64_t n = (rows ? rows : 1) * width;
		copy(d, (struct rect){at, pitch, (uint64_t)width * p->size, (uint64_t)(rows ? rows : 1)}, host);
		host += (size_t)n * p->size;
		from += n;
	}
}

/* The buffer is [n][width]: elements [at, at + width) of each member's part. */
static void transpose_chunk(struct local_comm *c, const struct collective_args *x, int64_t at, int64_t width)
{
	int members = plan_group_size(c->plan, x->group), me = plan_group_index(c->plan, x->group, c->reporter.rank);
	struct part p = {x->src, members, 0, x->block, dtype_size(x->dtype)};
	char *mine = port_acquire(c, &c->data);
	for (p.index = 0; p.index < members; p.index++)
		copy_part(c->device, part_read, &p, at, at + width, mine + (size_t)(p.index * width) * p.size);
	port_publish(c, &c->data, x->group, members);
	p.base = x->dst;
	p.block = x->dst_block;
	for (p.index = 0; p.index < members; p.index++) {
		port_wait(c, &c->data, x->group, (int)p.index);
		copy_part(c->device, part_write, &p, at, at + width, (char *)c->part[p.index] + (size_t)(me * width) * p.size);
		port_release(c, &c->data, x->group, (int)p.index);
	}
}

void local_all_to_all(struct comm *comm, const struct collective_args *x)
{
	struct local_comm *c = (struct local_comm *)comm;
	int64_t n = x->outer * x->block,
			room = (int64_t)(c->data.size / (size_t)plan_group_size(c->plan, x->group) / dtype_size(x->dtype));
	if (room == 0)
		rank_fail(&c->reporter, "internal: the communicator's buffers of %zu bytes are too small", c->data.size);
	for (int64_t at = 0; at < n; at += room)
		transpose_chunk(c, x, at, min_i64(room, n - at));
}
