/* Kernel descriptions: target-neutral data, made from fused pieces of the local DAG. A target turns one into code.
 *
 * Every activation is row-major: rows (tokens, wanted rows, or tokens at experts; their number is known at run time),
 * then static axes. Extents and strides are in elements and are per rank. Everything but row counts is a constant.
 *
 * Calling convention of all kernels: void kernel(const uint64_t *args, int32_t worker, int32_t workers). Each of
 * `workers` threads runs it once; the kernel takes its static share of the work. Arguments are device addresses or
 * integers. kernel.def lists the families: what each computes, its arguments in their order, what it costs. */
#ifndef DEPLOYC_KERNEL_H
#define DEPLOYC_KERNEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../support/dtype.h"

enum kernel_family {
#define KERNEL(FAMILY, ...) KERNEL_##FAMILY,
#define ARG(...)
#define END(...)
#include "kernel.def"
	KERNEL_FAMILIES
};
/* Positions of a family's arguments: CONTRACT_W. Those of rows, which are repeated, tell kinds apart only. */
#define KERNEL(FAMILY, ...) \
	enum FAMILY##_argument  \
	{
#define ARG(FAMILY, NAME, ...) FAMILY##_##NAME,
#define END(FAMILY)    \
	FAMILY##_ARGUMENTS \
	}                  \
	;
#include "kernel.def"

/* Tile order of a contraction's weights, repacked once at load. Element (g, n, k) of a weight with n outputs and k
 * summed elements is at g * group + (n / n_tile) * (k_padded * n_tile) + (k / k_pair) * (n_tile * k_pair)
 *               + (n % n_tile) * k_pair + k % k_pair
 * with n padded to n_tile, k to k_pair, by zeros; group = n_padded * k_padded. n_tile == 0: plain row-major. */
struct packing {
	int32_t n_tile, k_pair;
};

/* ---- rows: pointwise chains and reductions over the innermost axis (norms, softmax, casts, copies) ---- */
enum { ROWS_MAX_DIMS = 9, ROWS_MAX_OPERANDS = 12, ROWS_MAX_NODES = 96 };
enum rows_op {
	ROWS_LOAD,  /* operand `a`, converted to f32. Integers are moved unchanged by kernels that call them f32 */
	ROWS_CONST, /* number */
	ROWS_IOTA,  /* index along the innermost axis, f32 */
	ROWS_ADD,
	ROWS_SUB,
	ROWS_MUL,
	ROWS_DIV,
	ROWS_MIN,
	ROWS_MAX,
	ROWS_CLAMP /* a between b and c */,
	ROWS_EXP,
	ROWS_LOG,
	ROWS_SQRT,
	ROWS_RSQRT,
	ROWS_TANH,
	ROWS_ERF,
	ROWS_SIN,
	ROWS_COS,
	ROWS_ABS,
	ROWS_FLOOR,
	ROWS_CEIL,
	ROWS_ROUND_TO, /* to `dtype` and back to f32: where the program rounds between two fused operators */
	ROWS_SUM,
	ROWS_MEAN,
	ROWS_REDUCE_MAX /* of a over the innermost axis */
};
struct rows_node {
	enum rows_op op;
	int a, b, c;
	double number;
	enum dtype dtype;
};
/* stride 0: broadcast */
struct rows_operand {
	enum dtype dtype;
	int64_t row_stride;
	int64_t stride[ROWS_MAX_DIMS];
	int64_t group_stride; /* of an operand that has something for each group of rows */
};
struct kernel_rows {
	int dims;
	int64_t extent[ROWS_MAX_DIMS]; /* static iteration axes, major to minor; dims >= 1 */
	int n_inputs, n_outputs;
	struct rows_operand input[ROWS_MAX_OPERANDS], output[4];
	int n_nodes;
	struct rows_node node[ROWS_MAX_NODES]; /* operands before uses */
	int result[4];                         /* the node that each output stores */
	bool limited;                          /* there is a limit: rows = min(M, limit) */
	int64_t groups; /* > 0: the limit ends offsets; rows offsets[g] to offsets[g + 1] are those of group g */
};

/* ---- contract: y[m, b, n] = sum_k x[m, b, k] * w[b, n, k], accumulated in f32 ---------------- */
struct kernel_contract {
	int64_t n, k;
	int64_t x_stride, y_stride;      /* between rows */
	int64_t batch, x_batch, y_batch; /* 1 or more; strides between batches. Weight g of the packing: batch g */
	enum dtype x, w, y;
	struct packing pack;
	bool grouped;
	int64_t groups; /* rows offsets[g] .. offsets[g+1] use weight g; then batch == 1 */
};

struct kernel_embed {
	int64_t v, d;
	enum dtype table, out;
	struct packing pack; /* n = v, k = d when the table is in tile order */
};
struct kernel_pick {
	int64_t d;
	enum dtype dtype;
};
struct kernel_slice {
	int64_t d;
	enum dtype dtype;
};
struct kernel_angles {
	int64_t p;
};
struct kernel_rotate {
	int64_t heads, f;
	bool interleaved;
	enum dtype x, y;                      /* halves: pair i is (i, i + f/2); interleaved: (2i, 2i + 1) */
	int64_t x_row, x_head, y_row, y_head; /* strides */
};

/* The cache of one layer is a pool of pages of `page` positions. Position slot = page_index * page + i.
 *   by_position false (keys):   element (page, head, f, i) at ((page * heads + head) * f_extent + f) * page_size + i
 *   by_position true  (values): element (page, head, i, f) at ((page * heads + head) * page_size + i) * f_extent + f */
struct kernel_append {
	int64_t heads, f, page;
	bool by_position;
	enum dtype x, cache;
};
/* Workers keep the features of a query, and the keys of a token's experts, on the stack. */
enum { ATTEND_MAX_FEATURES = 1 << 16, ROUTE_MAX_EXPERTS = 1 << 16 };
struct kernel_attend {
	int64_t heads, group;           /* key/value heads; query heads that share one */
	int64_t d, w;                   /* width of keys and of values */
	bool keys_by_position;          /* how the keys' cache is laid out; that of values always is by position */
	int64_t d_cached, w_cached;     /* f_extent of either cache: more than d or w where they are a piece of it */
	int64_t q_row, q_head, q_group; /* strides of q; features are contiguous */
	int64_t y_row, y_head, y_group;
	int64_t page, pages_per_seq, window; /* window 0: all positions */
	double scale;
	bool causal; /* token m sees positions <= pos[m] of sequence seq[m]; seq -1 gives zeros */
	bool has_sinks;
	int64_t sink_head, sink_group; /* one more logit for each query head, without a value; its strides */
	enum dtype q, kv, y, sink;
};

/* ---- experts ------------------------------------------------------------------------------------------------------
 * An assignment is (token, choice); its number is token * top + choice. map[e] = dest * local + local index for an
 * expert that this rank can reach, else -1; `dests` ranks exchange, each owns `local` experts. A round moves at most C
 * assignments to each destination. */
struct kernel_route {
	int64_t experts, top;
	bool renormalize;
	double factor; /* chosen by score + bias, listed in order of expert */
	bool biased;
	int64_t groups, top_groups; /* chosen in the best of groups > 1 equal parts; 0, 1: anywhere */
};
struct kernel_assign {
	int64_t top, experts, keys;
};
struct kernel_pack {
	int64_t d, top, dests, local;
	enum dtype dtype;
};
struct kernel_offsets {
	int64_t local;
};
struct kernel_sort {
	int64_t local;
};
struct kernel_gather {
	int64_t d;
	enum dtype dtype;
};
struct kernel_combine {
	int64_t d, top, dests, local;
	enum dtype dtype;
};

/* ---- sampling -------------------------------------------------------------------------------------------------------
 * The vocabulary is cut into n shards of v tokens; each brings candidates for each row, and the token is drawn from
 * those of all. A pair is {f32 value, i32 index}. P pairs make all rows of a shard, P / R one row (struct dr_frame,
 * candidates). A row is, as struct dr_sampling says,
 *   greedy (temperature 0): pair 0 is the largest logit and its index, on a tie the lower one;
 *   drawn from all tokens: pair 0 is the largest logit / temperature + noise of the token. With the noise of Gumbel's
 *     distribution that is an exact draw from softmax(logits / temperature), whoever holds which token;
 *   chosen by top-k or top-p: pair 0 is {largest logit, f32 sum of exp((logit - largest) / temperature)}, the sum only
 *     where top-k is off; pairs 1 .. DR_CANDIDATES are the largest logits, in order, ties by index. Where the shard has
 *     no more, the value is -infinity. DRAW keeps the first top-k of all shards' pairs; of these, by softmax over them
 *     (without top-k: over all tokens), the smallest prefix whose mass reaches top-p; and draws among what is left by
 *     the same noise.
 * A row in which a logit is not finite has no token: the first pairs of its shard are {infinity, DR_NO_TOKEN}, and DRAW
 * gives that. */
struct kernel_sample {
	int64_t v, n;
};

struct kernel {
	enum kernel_family family;
	char name[64]; /* symbol: rows_3, contract_0 */
	union {
		struct kernel_rows rows;
		struct kernel_contract contract;
		struct kernel_embed embed;
		struct kernel_pick pick;
		struct kernel_slice slice;
		struct kernel_angles angles;
		struct kernel_rotate rotate;
		struct kernel_append append;
		struct kernel_attend attend;
		struct kernel_route route;
		struct kernel_assign assign;
		struct kernel_pack pack;
		struct kernel_offsets offsets;
		struct kernel_sort sort;
		struct kernel_gather gather;
		struct kernel_combine combine;
		struct kernel_sample sample;
	};
};
/* Where a family's description has its fields: `n` of `size` bytes, `stride` apart, the first at `offset`. The list
 * ends with size 0. */
struct kernel_field {
	size_t offset, size, n, stride;
};
const struct kernel_field *kernel_fields(enum kernel_family f);
bool kernel_equal(const struct kernel *a, const struct kernel *b); /* the same family and fields, whatever the names */
const char *kernel_family_name(enum kernel_family f);

enum arg_direction { ARG_IN, ARG_OUT, ARG_INOUT, ARG_NUMBER };
/* One argument of a kernel, as kernel.def has it. */
struct kernel_arg {
	const char *name;
	enum arg_direction direction;
	int64_t reach; /* bytes from the address on that it may touch; ARG_INDEXED: indices in memory say which */
};
enum { ARG_INDEXED = -1 };
int kernel_args(const struct kernel *k); /* how many arguments it takes */
/* Argument i of them. values: those of the number arguments by position, for `reach`; NULL: reach is 0. */
struct kernel_arg kernel_arg(const struct kernel *k, int i, const int64_t *values);

/* What a launch takes: operations of f32, and bytes that move to and from memory, each operand once. `values` as above;
 * context: mean number of cached positions that a row sees; hit: groups of weights that have rows. */
struct kernel_cost {
	double operations, bytes;
};
struct kernel_cost kernel_cost(const struct kernel *k, const int64_t *values, double context, int64_t hit);
int64_t kernel_elements(const struct kernel *k); /* passed over for each row; 0: depends on more than the rows */
#endif
