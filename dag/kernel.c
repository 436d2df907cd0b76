/* kernel.def as functions: arguments, sizes and costs of kernels, without their code. */
#include "kernel.h"
#include "../runtime/abi.h"
#include "../support/arena.h"
#include "../support/round.h"

const char *kernel_family_name(enum kernel_family f)
{
	static const char *const names[] = {
#define KERNEL(FAMILY, name, ...) #name,
#define ARG(...)
#define END(...)
#include "kernel.def"
	};
	return names[f];
}

/* ---- bytes ----------------------------------------------------------------------------------- */
/* Bytes spanned by `rows` rows of `extent` elements, `stride` apart. */
static int64_t strided_bytes(int64_t rows, int64_t stride, int64_t extent, enum dtype t)
{
	return rows > 0 ? ((rows - 1) * stride + extent) * dtype_bytes(t) : 0;
}

static int64_t row_elements(const struct kernel_rows *k)
{
	int64_t n = 1;
	for (int i = 0; i < k->dims; i++)
		n *= k->extent[i];
	return n;
}

/* An operand that differs by group is counted with all its groups. */
static int64_t operand_bytes(const struct kernel_rows *k, const struct rows_operand *o, int64_t rows)
{
	int64_t last = k->groups > 0 ? (k->groups - 1) * o->group_stride : 0;
	for (int i = 0; i < k->dims; i++)
		last += (k->extent[i] - 1) * o->stride[i];
	return strided_bytes(rows, o->row_stride, last + 1, o->dtype);
}

bool rows_same_elements(const struct kernel_rows *k, const struct rows_operand *x, const struct rows_operand *y)
{
	bool same = x->dtype == y->dtype && x->row_stride == y->row_stride && x->group_stride == y->group_stride;
	for (int d = 0; d < k->dims; d++)
		same &= x->stride[d] == y->stride[d] || k->extent[d] == 1;
	return same;
}

struct contract_part contract_part(const struct kernel_contract *k, int i)
{
	return i ? k->other[i - 1] : (struct contract_part){k->n, k->y_stride, k->y_batch};
}

int contract_weight(const struct kernel_contract *k, int i) { return i ? CONTRACT_M + k->grouped + i : CONTRACT_W; }
int contract_result(const struct kernel_contract *k, int i)
{
	return i ? CONTRACT_M + k->grouped + k->more + i : CONTRACT_Y;
}

int64_t contract_outputs(const struct kernel_contract *k)
{
	int64_t n = 0;
	for (int i = 0; i <= k->more; i++)
		n += contract_part(k, i).n;
	return n;
}

static int64_t weight_bytes(const struct kernel_contract *k, int part, int64_t groups)
{
	return packed_bytes(&k->pack, groups, contract_part(k, part).n, k->k, k->w);
}

static int64_t result_bytes(const struct kernel_contract *k, int part, int64_t rows)
{
	struct contract_part p = contract_part(k, part);
	return strided_bytes(rows, p.y_stride, (k->batch - 1) * p.y_batch + p.n, k->y);
}

/* ---- work ------------------------------------------------------------------------------------ */
static struct kernel_work rows_work(const struct kernel_rows *k)
{
	for (int i = 0; i < k->n_nodes; i++)
		if (k->node[i].op == ROWS_SUM || k->node[i].op == ROWS_MEAN || k->node[i].op == ROWS_REDUCE_MAX)
			return (struct kernel_work){.kind = WORK_REDUCTION};
	return (struct kernel_work){.kind = WORK_PASS};
}

static struct kernel_work contract_work(const struct kernel_contract *k, int64_t rows)
{
	return (struct kernel_work){.kind = k->grouped ? WORK_GROUPED : WORK_PRODUCT,
	                            .product = {.rows = rows,
	                                        .n = contract_outputs(k),
	                                        .k = k->k,
	                                        .batch = k->batch,
	                                        .groups = k->groups,
	                                        .activations = k->x,
	                                        .weights = k->w}};
}

static struct kernel_work attend_work(const struct kernel_attend *k, int64_t rows)
{
	int64_t in_chunk = (k->chunk + 1) / 2;
	int64_t seen = k->window && (!k->chunk || k->window < in_chunk) ? k->window : in_chunk;
	return (struct kernel_work){.kind = WORK_ATTENTION,
	                            .attention = {.rows = rows,
	                                          .heads = k->heads * k->group,
	                                          .kv_heads = k->heads,
	                                          .d = k->d,
	                                          .w = k->w,
	                                          .seen = seen,
	                                          .causal = k->causal,
	                                          .latent = k->w < k->w_cached && k->w_cached == k->d_cached,
	                                          .cache = k->kv}};
}

/* ---- workspaces ------------------------------------------------------------------------------ */
enum {
	ATTEND_POSITIONS = 1024,
	ATTEND_FLOATS = 1 << 18, /* wide queries are fewer, to fit into so many */
	ALIGN_FLOATS = WORKSPACE_ALIGN / 4
};

struct attend_tile attend_tile(const struct kernel_attend *k)
{
	struct attend_tile t = {.positions = k->page < ATTEND_POSITIONS ? k->page : ATTEND_POSITIONS};
	t.score_stride = round_up(t.positions, ALIGN_FLOATS);
	t.out_stride = round_up(k->w, ALIGN_FLOATS);
	int64_t fit = ATTEND_FLOATS / (k->d + t.score_stride + t.out_stride);
	t.queries = fit < 1 ? 1 : fit < ATTEND_MAX_QUERIES ? fit : ATTEND_MAX_QUERIES;
	t.score = round_up(4 * t.queries * k->d, WORKSPACE_ALIGN);
	t.out = t.score + 4 * t.queries * t.score_stride;
	t.bytes = t.out + 4 * t.queries * t.out_stride;
	return t;
}

int attend_slopes_argument(const struct kernel_attend *k) { return k->has_sinks ? ATTEND_SLOPES : ATTEND_SINKS; }

bool attend_suits_matrix(const struct kernel_attend *k)
{
	enum { PIECE = 8 }; /* elements of 16 bytes */
	return (k->kv == DTYPE_BF16 || k->kv == DTYPE_F16) && k->q == k->kv && k->causal && k->keys_by_position
	       && k->d % PIECE == 0 && k->w % PIECE == 0 && k->d_cached % PIECE == 0 && k->w_cached % PIECE == 0;
}

int64_t attend_part_features(const struct kernel_attend *k)
{
	return k->w < ATTEND_PART_FEATURES ? k->w : ATTEND_PART_FEATURES;
}

int64_t attend_part_bytes(const struct kernel_attend *k)
{
	return 4 * ATTEND_PART_ROWS * (attend_part_features(k) + 2);
}

int64_t attend_workspace(const struct kernel_attend *k)
{
	enum { WORKERS_OF_PART = 16 }; /* a GPU has many workers; so many have room for a part together */
	return k->on_matrix ? round_up(divide_up(attend_part_bytes(k), WORKERS_OF_PART), WORKSPACE_ALIGN)
	                    : attend_tile(k).bytes;
}

int64_t route_workspace(const struct kernel_route *k)
{
	bool grouped = k->groups > 1;
	return k->biased || grouped ? round_up(4 * (k->experts + (grouped ? k->groups : 0)), WORKSPACE_ALIGN) : 0;
}

/* ---- a family's functions -------------------------------------------------------------------- */
/* The value of a NUMBER argument. Only the family ROWS has repeated arguments; they come before its number. */
static int64_t value_of(const struct kernel *k, int arg, const int64_t *values)
{
	int at = k->family == KERNEL_ROWS ? k->rows.n_inputs + k->rows.n_outputs : arg;
	return values ? values[at] : 0;
}

#define V(NAME)  value_of(kernel, NAME, values)
#define VALUE    0
#define REACH(n) (n)

/* Argument `at`, if there is one. */
#define PART(n, m) (n)
#define INDEXED(m) ARG_INDEXED
#define EACH(n)    (n)
#define KERNEL(FAMILY, name, fields, ...)                                                                         \
	static bool find_##FAMILY(const struct kernel *kernel, int at, const int64_t *values, struct kernel_arg *out) \
	{                                                                                                             \
		const struct kernel_##fields *k = &kernel->fields;                                                        \
		(void)k, (void)values;
#define ARG(FAMILY, NAME, way, times, extent)                              \
	if (at < (int)(times)) {                                               \
		const int r = at;                                                  \
		(void)r;                                                           \
		*out = (struct kernel_arg){#NAME, ARG_##way, values ? extent : 0}; \
		return true;                                                       \
	}                                                                      \
	at -= (int)(times);
#define END(FAMILY) \
	return false;   \
	}
#include "kernel.def"

#define KERNEL(FAMILY, name, fields, ...)                  \
	static int count_##FAMILY(const struct kernel *kernel) \
	{                                                      \
		const struct kernel_##fields *k = &kernel->fields; \
		int n = 0;                                         \
		(void)k;
#define ARG(FAMILY, NAME, way, times, extent) n += (int)(times);
#define END(FAMILY) \
	return n;       \
	}
#include "kernel.def"

/* Bytes moved: an operand that is read and written moves twice. */
#undef PART
#undef INDEXED
#undef EACH
#define PART(n, m) (m)
#define INDEXED(m) (m)
#define EACH(n)    0
#define KERNEL(FAMILY, name, fields, work, elements, operations_of)                                             \
	static struct kernel_cost cost_##FAMILY(const struct kernel *kernel, const int64_t *values, double context, \
	                                        int64_t hit) {                                                      \
		const struct kernel_##fields *k = &kernel->fields;                                                      \
		struct kernel_cost c = {(double)(operations_of), 0};                                                    \
		(void)k, (void)values, (void)context, (void)hit;
#define ARG(FAMILY, NAME, way, times, extent) \
	for (int r = 0; r < (int)(times); r++)    \
		c.bytes += (ARG_##way == ARG_INOUT ? 2 : 1) * (double)(extent);
#define END(FAMILY) \
	return c;       \
	}
#include "kernel.def"

#undef REACH
#undef PART
#undef INDEXED
#undef EACH
#define REACH(n)   0
#define PART(n, m) 0
#define INDEXED(m) 0
#define EACH(n)    (n)
#define KERNEL(FAMILY, name, fields, ...)                          \
	static int64_t workspace_##FAMILY(const struct kernel *kernel) \
	{                                                              \
		const struct kernel_##fields *k = &kernel->fields;         \
		int64_t bytes = 0;                                         \
		(void)k;
#define ARG(FAMILY, NAME, way, times, extent) bytes += (int)(times) ? (extent) : 0;
#define END(FAMILY) \
	return bytes;   \
	}
#include "kernel.def"

#define KERNEL(FAMILY, name, fields, work, elements, operations)  \
	static int64_t elements_##FAMILY(const struct kernel *kernel) \
	{                                                             \
		const struct kernel_##fields *k = &kernel->fields;        \
		(void)k;                                                  \
		return elements;                                          \
	}
#define ARG(...)
#define END(...)
#include "kernel.def"

#define PASS \
	(struct kernel_work) { .kind = WORK_PASS }
#define KERNEL(FAMILY, name, fields, work, elements, operations)                                  \
	static struct kernel_work work_##FAMILY(const struct kernel *kernel, const int64_t *values) { \
		const struct kernel_##fields *k = &kernel->fields;                                        \
		(void)k, (void)values;                                                                    \
		return work;                                                                              \
	}
#define ARG(...)
#define END(...)
#include "kernel.def"

/* ---- by family ------------------------------------------------------------------------------- */
static const struct {
	bool (*find)(const struct kernel *, int at, const int64_t *values, struct kernel_arg *out);
	int (*count)(const struct kernel *);
	struct kernel_cost (*cost)(const struct kernel *, const int64_t *values, double context, int64_t hit);
	int64_t (*workspace)(const struct kernel *);
	int64_t (*elements)(const struct kernel *);
	struct kernel_work (*work)(const struct kernel *, const int64_t *values);
} family[] = {
#define KERNEL(FAMILY, ...) \
	{find_##FAMILY, count_##FAMILY, cost_##FAMILY, workspace_##FAMILY, elements_##FAMILY, work_##FAMILY},
#define ARG(...)
#define END(...)
#include "kernel.def"
};

int kernel_args(const struct kernel *k) { return family[k->family].count(k); }

struct kernel_arg kernel_arg(const struct kernel *k, int i, const int64_t *values)
{
	struct kernel_arg a;
	if (!family[k->family].find(k, i, values, &a))
		internal_error("%s has no argument %d", kernel_family_name(k->family), i);
	return a;
}

struct kernel_cost kernel_cost(const struct kernel *k, const int64_t *values, double context, int64_t hit)
{
	return family[k->family].cost(k, values, context, hit);
}

struct kernel_work kernel_work(const struct kernel *k, const int64_t *values)
{
	return family[k->family].work(k, values);
}

int64_t kernel_workspace(const struct kernel *k) { return family[k->family].workspace(k); }
int64_t kernel_elements(const struct kernel *k) { return family[k->family].elements(k); }
