/* Kernel descriptions: target-neutral data, made from fused pieces of the local DAG. A target turns a description into
 * code.
 *
 * Every activation is row-major: rows (tokens, wanted rows, or tokens at experts; their number is known at run time),
 * then static axes. Extents and strides are in elements, per rank. Everything but row counts is a constant.
 *
 * Calling convention of all kernels: void kernel(const uint64_t *args, int32_t worker, int32_t share, int32_t shares).
 * A launch has the calls with share = 0 .. shares - 1, in any order, several at a time; each computes that share of the
 * work. What is computed does not depend on who computes it: `worker`, which no two calls have at a time, only chooses
 * the workspace. Arguments are device addresses or integers. kernel.def lists the families: what each computes, its
 * arguments in order, and its cost. */
#ifndef DEPLOYC_KERNEL_H
#define DEPLOYC_KERNEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../support/dtype.h"
#include "../target/target.h"

enum kernel_family {
#define KERNEL(FAMILY, ...) KERNEL_##FAMILY,
#define ARG(...)
#define END(...)
#include "kernel.def"
	KERNEL_FAMILIES
};
/* Positions of a family's arguments, such as CONTRACT_W. Arguments of ROWS repeat, so there they only name kinds. */
#define KERNEL(FAMILY, ...) \
	enum FAMILY##_argument  \
	{
#define ARG(FAMILY, NAME, ...) FAMILY##_##NAME,
#define END(FAMILY)    \
	FAMILY##_ARGUMENTS \
	}                  \
	;
#include "kernel.def"

/* ---- rows: pointwise chains and reductions over the innermost axis (norms, softmax, casts, copies) ---- */
enum { ROWS_MAX_DIMS = 9, ROWS_MAX_OPERANDS = 12, ROWS_MAX_OUTPUTS = 4, ROWS_MAX_NODES = 96 };
enum rows_op {
	ROWS_LOAD,  /* operand `a`, converted to f32. A kernel that only moves integers declares them f32 */
	ROWS_CONST, /* number */
	ROWS_IOTA,  /* index along the innermost axis, as f32 */
	ROWS_ADD,
	ROWS_SUB,
	ROWS_MUL,
	ROWS_DIV,
	ROWS_MIN,
	ROWS_MAX,
	ROWS_CLAMP /* a, limited to [b, c] */,
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
	ROWS_ROUND_TO, /* to `dtype` and back to f32: the program rounds between two fused operators */
	ROWS_SUM,
	ROWS_MEAN,
	ROWS_REDUCE_MAX /* these three reduce a over the innermost axis */
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
	int64_t group_stride; /* from one group of rows to the next, where the operand differs by group */
};
struct kernel_rows {
	int dims;
	int64_t extent[ROWS_MAX_DIMS]; /* static iteration axes, major to minor; dims >= 1 */
	int n_inputs, n_outputs;
	struct rows_operand input[ROWS_MAX_OPERANDS], output[ROWS_MAX_OUTPUTS];
	int n_nodes;
	struct rows_node node[ROWS_MAX_NODES]; /* operands before uses */
	int result[ROWS_MAX_OUTPUTS];          /* result[i]: the node that output i stores */
	bool limited;                          /* it takes LIMIT: rows = min(M, limit) */
	bool ranged;                           /* with groups: rows before offsets[0] are left out */
	int64_t groups; /* > 0: LIMIT is offsets[groups + 1]; group g is rows [offsets[g], offsets[g + 1]) */
};
/* Have two operands of a pass each element at the same place, counted from where they begin, and in one format? */
bool rows_same_elements(const struct kernel_rows *k, const struct rows_operand *x, const struct rows_operand *y);

/* ---- contract: y[m, b, n] = sum_k x[m, b, k] * w[b, n, k], accumulated in f32 ---------------- */
/* One launch may have several weights, each with a result of its own: its *parts*. Formats, packing, k, batches and
 * groups are those of all. */
enum { CONTRACT_MAX_PARTS = 4 };
struct contract_part {
	int64_t n;                 /* outputs */
	int64_t y_stride, y_batch; /* of the result: between rows, between batches */
};
struct kernel_contract {
	int64_t n, k;
	int64_t x_stride, y_stride;      /* between rows */
	int64_t batch, x_batch, y_batch; /* batches, >= 1; strides between them. Batch g uses weight g */
	enum dtype x, w, y;
	struct packing pack;
	bool grouped;
	int64_t groups; /* if grouped: rows [offsets[g], offsets[g + 1]) use weight g, and batch == 1 */
	int more;       /* parts besides the first, whose sizes are above */
	struct contract_part other[CONTRACT_MAX_PARTS - 1];
};
/* Part i < 1 + more, and which arguments are its weight and its result. */
struct contract_part contract_part(const struct kernel_contract *k, int i);
int contract_weight(const struct kernel_contract *k, int i);
int contract_result(const struct kernel_contract *k, int i);
int64_t contract_outputs(const struct kernel_contract *k); /* of all parts */

struct kernel_embed {
	int64_t v, d;
	enum dtype table, out;
	struct packing pack; /* n = v, k = d when the table is in tile order */
};
struct kernel_tile {
	struct packing pack; /* in words of 4 bytes, whatever the weight's format: k is WORDS */
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
struct kernel_attend {
	int64_t heads, group;           /* key/value heads; query heads per key/value head */
	int64_t d, w;                   /* width of keys and of values */
	bool keys_by_position;          /* layout of the key cache; the value cache is always by position */
	int64_t d_cached, w_cached;     /* f_extent of the caches; more than d or w if these are a piece of it */
	int64_t q_row, q_head, q_group; /* strides of q; features are contiguous */
	int64_t y_row, y_head, y_group;
	int64_t page, pages_per_seq;
	int64_t window, chunk; /* 0: all positions; chunk: those since the last multiple of it */
	double scale, cap;     /* a score becomes cap * tanh(score / cap); 0: it does not */
	bool causal;           /* token m sees positions <= pos[m] of sequence seq[m]; seq -1 gives zeros */
	bool on_matrix;        /* computed by a GPU's matrix units, in parts: see attend_suits_matrix() */
	bool has_sinks;
	int64_t sink_head, sink_group; /* a sink is one more logit per query head, without a value; its strides */
	bool has_slopes;
	int64_t slope_head, slope_group; /* the query head's slope, times the distance, is subtracted from a score */
	enum dtype q, kv, y, sink, slope;
};
int attend_slopes_argument(const struct kernel_attend *k); /* after the sinks, if there are any */
/* Attention may look up the pages of so many positions at once, from a multiple of it on: as far before the first
 * position that a query sees, the page table must hold pages of the sequence. */
enum { ATTEND_BLOCK = 16 };
/* What attention processes together, and its workspace: f32 query[queries][d], score[queries][score_stride] and
 * out[queries][out_stride], in this order; the last two are aligned like the workspace. */
enum { ATTEND_MAX_QUERIES = 32 };
struct attend_tile {
	int64_t queries, positions;       /* at most so many queries, up to ATTEND_MAX_QUERIES, and positions of a page */
	int64_t score_stride, out_stride; /* elements; whole vectors */
	int64_t score, out, bytes;        /* bytes before score and out, and of all */
};
struct attend_tile attend_tile(const struct kernel_attend *k);
/* On the matrix units of a GPU the cache may be split: a part is f32 [ATTEND_PART_ROWS][features + 2]. */
enum { ATTEND_PART_ROWS = 16, ATTEND_PART_FEATURES = 128 };
bool attend_suits_matrix(
	const struct kernel_attend *k); /* can they compute it, if keys and values are aligned to 16 bytes? */
int64_t attend_part_features(const struct kernel_attend *k);
int64_t attend_part_bytes(const struct kernel_attend *k);
int64_t attend_workspace(const struct kernel_attend *k); /* bytes for each worker */

/* ---- experts ------------------------------------------------------------------------------------------------------
 * An assignment is (token, choice); its number is token * top + choice. map[e] = dest * local + local index for an
 * expert that this rank can reach, else -1. `dests` ranks exchange; each has `local` experts. A round moves at most C
 * assignments to each destination. */
struct kernel_route {
	int64_t experts, top;
	bool renormalize;
	double factor; /* of the weights. Experts are chosen by score + bias, and listed in order of expert */
	bool biased;
	int64_t groups, top_groups; /* groups > 1: choose from the top_groups best groups only; 0, 1: from all */
	bool by_best;               /* a group's score is its best key, else the sum of its two best */
};
/* Bytes of routing's workspace, f32 key[experts] and key[groups]; 0: it takes none, since the scores are the keys. */
int64_t route_workspace(const struct kernel_route *k);
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
 * The vocabulary is cut into n shards of v tokens. Each shard yields candidates for each row, and the token is drawn
 * from those of all shards. A candidate is a pair {f32 value, i32 index}. A shard has P pairs in all, P / R per row
 * (struct dr_frame, candidates). `Logit` means that of the model after the row's changes (struct dr_adjust).
 * struct dr_sampling decides which of these a row is:
 *   greedy (temperature 0): pair 0 is the largest logit and its index, on a tie the lower one;
 *   drawn from all tokens: pair 0 is the largest logit / temperature + noise of the token. With Gumbel noise that is
 *     an exact draw from softmax(logits / temperature), whichever shard has which token;
 *   chosen by top-k, top-p or min-p: pair 0 is {largest logit, f32 sum of exp((logit - largest) / temperature)}, the
 * sum only if top-k is off. Pairs 1 .. DR_CANDIDATES are the largest logits, in order, ties by index; past the end of
 * the shard, the value is -infinity. DRAW keeps the first top-k of all shards' pairs. Of these it keeps the smallest
 *     prefix whose mass reaches top-p, by softmax over them (without top-k: over all tokens), and that are not less
 * than min-p times as likely as the first. It draws from the rest by the same noise. If a logit of a row is not finite,
 * the row has no token: pair 0 of its shard, and pair 1 of a chosen row, are {infinity, DR_NO_TOKEN}, and DRAW writes
 * DR_NO_TOKEN.
 * Log-probabilities (struct dr_logprobs) are of the logits as the model left them: CANDIDATES writes a shard's record
 * of a row that asks for them, DRAW adds the logit of the token. */
struct kernel_sample {
	int64_t v, n,
		total; /* tokens of a shard; shards; tokens in all: the last shard has fewer than v if n * v > total */
};

struct kernel {
	enum kernel_family family;
	char name[64]; /* symbol: rows_3, contract_0 */
	union {
		struct kernel_rows rows;
		struct kernel_contract contract;
		struct kernel_embed embed;
		struct kernel_tile tile;
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
/* A field of a family's description: `n` times `size` bytes, `stride` apart, the first at `offset`. A list of fields
 * ends with size 0. */
struct kernel_field {
	size_t offset, size, n, stride;
};
const struct kernel_field *kernel_fields(enum kernel_family f);
bool kernel_equal(const struct kernel *a, const struct kernel *b); /* same family and fields; names may differ */
const char *kernel_family_name(enum kernel_family f);

enum arg_direction { ARG_IN, ARG_OUT, ARG_INOUT, ARG_NUMBER };
/* One argument of a kernel, as kernel.def declares it. */
struct kernel_arg {
	const char *name;
	enum arg_direction direction;
	int64_t reach; /* bytes from the address on that may be accessed; ARG_INDEXED: indices in memory select them */
};
enum { ARG_INDEXED = -1 };
enum { WORKSPACE_ALIGN = 128 }; /* bytes: workers share no cache line, and no pair of them that is fetched together */
int kernel_args(const struct kernel *k);          /* number of arguments */
int64_t kernel_workspace(const struct kernel *k); /* bytes for each worker; 0: it takes no workspace */
/* Argument i. `values` holds the values of NUMBER arguments, by position; `reach` needs them and is 0 if NULL. */
struct kernel_arg kernel_arg(const struct kernel *k, int i, const int64_t *values);

/* Cost of a launch: f32 operations, and bytes moved to and from memory, counting each operand once. `values` as above.
 * context: mean number of cached positions that a row sees. hit: number of weight groups that have rows. */
struct kernel_cost {
	double operations, bytes;
};
struct kernel_cost kernel_cost(const struct kernel *k, const int64_t *values, double context, int64_t hit);
/* What a launch is for a model of its time: a pass over memory, or more. */
enum work_kind {
	WORK_PASS,      /* each row by itself */
	WORK_REDUCTION, /* a pass that also reduces along its rows */
	WORK_PRODUCT,   /* batch times: y[rows, n] = x[rows, k] w[n, k] */
	WORK_GROUPED,   /* the same, where `rows` have weights of `groups` groups */
	WORK_ATTENTION  /* `rows` queries, which see `seen` positions of a sequence that has more; 0: all of them */
};
struct kernel_work {
	enum work_kind kind;
	union {
		struct {
			int64_t rows, n, k, batch, groups;
			enum dtype activations, weights;
		} product;
		struct {
			int64_t rows, heads, kv_heads, d, w, seen;
			bool causal, latent; /* latent: values are a piece of what is cached as keys */
			enum dtype cache;
		} attention;
	};
};
struct kernel_work kernel_work(const struct kernel *k, const int64_t *values); /* `values` as above */
int64_t kernel_elements(const struct kernel *k); /* elements processed per row; 0: depends on more than the rows */
#endif
