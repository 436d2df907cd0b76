/* Kernel descriptions: target-neutral data, made from fused pieces of the local DAG. A target turns one into code.
 *
 * Every activation is row-major: rows (tokens, wanted rows, or tokens at experts; their number is known at run time),
 * then static axes. Extents and strides are in elements and are per rank. Everything but row counts is a constant.
 *
 * Calling convention of all kernels: void kernel(const uint64_t *args, int32_t worker, int32_t workers). Each of
 * `workers` threads runs it once; the kernel takes its static share of the work. Arguments are device addresses or
 * integers, in the order listed at each family. "M" is a number of rows. i32 arrays hold indices; -1 stands for
 * padding. */
#ifndef DEPLOYC_KERNEL_H
#define DEPLOYC_KERNEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../support/dtype.h"

enum kernel_family {
	KERNEL_ROWS,
	KERNEL_CONTRACT,
	KERNEL_EMBED,
	KERNEL_PICK,
	KERNEL_SLICE,
	KERNEL_ANGLES,
	KERNEL_ROTATE,
	KERNEL_APPEND,
	KERNEL_ATTEND,
	KERNEL_ROUTE,
	KERNEL_ASSIGN,
	KERNEL_PACK,
	KERNEL_OFFSETS,
	KERNEL_SORT,
	KERNEL_GATHER,
	KERNEL_SCATTER,
	KERNEL_COMBINE,
	KERNEL_CANDIDATES,
	KERNEL_DRAW,
	KERNEL_FAMILIES
};

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
	ROWS_ROUND, /* to `dtype` and back to f32: where the program rounds between two fused operators */
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
/* args: input addresses, output addresses, M, [address of an i32 that bounds M] */
struct kernel_rows {
	int dims;
	int64_t extent[ROWS_MAX_DIMS]; /* static iteration axes, major to minor; dims >= 1 */
	int n_inputs, n_outputs;
	struct rows_operand input[ROWS_MAX_OPERANDS], output[4];
	int n_nodes;
	struct rows_node node[ROWS_MAX_NODES]; /* operands before uses */
	int result[4];                         /* the node that each output stores */
	bool limited;                          /* the last argument is the address of an i32: rows = min(M, it) */
	int64_t groups; /* > 0: that i32 ends i32 offsets[groups + 1]; rows offsets[g] .. offsets[g+1] are group g's */
};

/* ---- contract: y[m, b, n] = sum_k x[m, b, k] * w[b, n, k], accumulated in f32 ---------------- */
/* args: x, w, y, M;  grouped: x, w, y, offsets (i32[groups + 1]), M */
struct kernel_contract {
	int64_t n, k;
	int64_t x_stride, y_stride;      /* between rows */
	int64_t batch, x_batch, y_batch; /* 1 or more; strides between batches. Weight g of the packing: batch g */
	enum dtype x, w, y;
	struct packing pack;
	bool grouped;
	int64_t groups; /* rows offsets[g] .. offsets[g+1] use weight g; then batch == 1 */
};

/* args: table, ids, out, M, first: rows of ids outside [first, first + v) give 0 */
struct kernel_embed {
	int64_t v, d;
	enum dtype table, out;
	struct packing pack; /* n = v, k = d when the table is in tile order */
};
/* args: x, want, out, Mx, R, first: out[r] = x[want[r] - first]; 0 outside [0, Mx) or want < 0 */
struct kernel_pick {
	int64_t d;
	enum dtype dtype;
};
/* args: x, y, M, owners, stride, first: of each owner's `stride` rows of x the M from `first` on */
struct kernel_slice {
	int64_t d;
	enum dtype dtype;
};
/* args: freq (f32[p]), pos, out (f32[M][p][2]: cos, sin of pos * freq), M */
struct kernel_angles {
	int64_t p;
};
/* args: x, angles, y, M. x and y: [M][heads][f], features contiguous */
struct kernel_rotate {
	int64_t heads, f;
	bool interleaved;
	enum dtype x, y;                      /* halves: pair i is (i, i + f/2); interleaved: (2i, 2i + 1) */
	int64_t x_row, x_head, y_row, y_head; /* strides */
};

/* The cache of one layer is a pool of pages of `page` positions. Position slot = page_index * page + i.
 *   by_position false (keys):   element (page, head, f, i) at ((page * heads + head) * f_extent + f) * page_size + i
 *   by_position true  (values): element (page, head, i, f) at ((page * heads + head) * page_size + i) * f_extent + f */
/* args: x ([M][heads][f]), slot (i32[M], -1: skip), cache, M */
struct kernel_append {
	int64_t heads, f, page;
	bool by_position;
	enum dtype x, cache;
};
/* Workers keep the features of a query, and the keys of a token's experts, on the stack. */
enum { ATTEND_MOST_FEATURES = 1 << 16, ROUTE_MOST_EXPERTS = 1 << 16 };
/* args: q, keys, values, seq, pos, pages (i32[seqs][pages_per_seq]), y, M, [sinks] */
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
/* args: score (f32[M][experts]), seq, index (i32[M][top]), weight (f32[M][top]), M,
 * [bias (f32[experts])]. seq -1 gives index -1, weight 0 */
struct kernel_route {
	int64_t experts, top;
	bool renormalize;
	double factor; /* chosen by score + bias, listed in order of expert */
	bool biased;
	int64_t groups, top_groups; /* chosen in the best of groups > 1 equal parts; 0, 1: anywhere */
};
/* args: index, map, order, place, start, M. Stable counting sort by map value:
 * order[j] = j-th assignment, place[a] = its j or -1, start[key] (i32[dests * local + 1]) */
struct kernel_assign {
	int64_t top, experts, keys;
};
/* args: x, order, start, rows ([dests * C][d]), meta (i32[dests * C]: local expert or -1), round, C */
struct kernel_pack {
	int64_t d, top, dests, local;
	enum dtype dtype; /* row dest * C + i <- assignment start[dest * local] + round * C + i */
};
/* args: start, offsets (i32[local + 1]), round, C: of the packed rows, when dests == 1 */
struct kernel_offsets {
	int64_t local;
};
/* args: meta, from (i32[S]), offsets (i32[local + 1]), S: stable, by local expert; -1 left out */
struct kernel_sort {
	int64_t local;
};
/* GATHER args: rows, from, out, count (address of i32): out[i] = rows[from[i]]
 * SCATTER args: rows, from, out, count:                 out[from[i]] = rows[i] */
struct kernel_gather {
	int64_t d;
	enum dtype dtype;
};
/* args: rows, index, weight, map, place, start, out (f32[M][d]), M, round, C:
 * out[t] = (round ? out[t] : 0) + sum of weight * row over the choices in this round, by expert */
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
/* CANDIDATES args: logits (f32[R][v]), sampling (struct dr_sampling[R]), pairs ([P]), R, P, first
 * DRAW args: pairs ([n][P]), sampling, token (i32[R]), R, P */
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
int kernel_args(const struct kernel *k);             /* how many arguments it takes */
bool kernel_writes(const struct kernel *k, int arg); /* does it write through the argument? */
int64_t kernel_reads(const struct kernel *k,
                     int arg); /* bytes that it reads from the address on, 0: as many as there are rows */
#endif
