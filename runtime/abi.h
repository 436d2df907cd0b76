/* The launcher's ABI: the tables that the compiler puts into a launcher, and the functions that generated code calls.
 *
 * The tables of a program are one read-only block of bytes, `dr_blob`. It starts with struct dr_program. Arrays and
 * strings in it are referred to by offset from its start, so the compiler builds it in memory and emits it unchanged.
 * Generated symbols: dr_blob, dr_image (the code of the kernels), dr_step_table (by step program). */
#ifndef DEPLOY_ABI_H
#define DEPLOY_ABI_H
#include <stdint.h>

enum { DR_ABI_VERSION = 20 };
#define DR_MAGIC 0x3159414c50454444ull /* "DDEPLAY1" */

/* What a rank's memory is used for. All is on the device, but a part of DR_SPACE_COMM; one allocator serves it all. */
enum dr_space {
	DR_SPACE_LAYER,         /* params of the loops: a stage's layers back to back, each of its body's param_bytes */
	DR_SPACE_OUTSIDE,       /* params outside the loops that one stage reads, on that stage */
	DR_SPACE_EVERY,         /* params outside the loops that several stages read, on every stage */
	DR_SPACE_STATE,         /* cache pages: layers back to back, each of its body's state_bytes */
	DR_SPACE_STATE_OUTSIDE, /* cache pages of states outside the loops, each on one stage */
	DR_SPACE_ACT,           /* activations of one step */
	DR_SPACE_INPUT,         /* inputs of a step: enum dr_input */
	DR_SPACE_TABLE,         /* constants and expert maps, written once */
	DR_SPACE_WORKSPACE,     /* workspaces of kernels; a stage's bytes are those of one worker */
	DR_SPACE_COMM,          /* this rank's share of the communicator's buffers, on the host and on the device */
	DR_SPACES
};
/* How the next token of a row is chosen. The row's random numbers depend on seed, count and the token alone, not on the
 * plan, the batch or the number of ranks. */
struct dr_sampling {
	float temperature, top_p; /* temperature 0: the largest logit; top_p 1 or more: off */
	int32_t top_k;            /* 0: off; maximum: DR_CANDIDATES */
	uint32_t seed, seed_high; /* low and high half */
	uint32_t count;           /* tokens that the sequence has sampled so far */
	float min_p;              /* the least probability, as a share of the largest; 0: off */
	int32_t adjust, adjusts;  /* the row's part of DR_INPUT_ADJUST: its first entry, and their number */
	int32_t logprobs;         /* 1: struct dr_logprobs of the row is written */
};
/* A change of one token's logit x, before temperature: y = x + bias; y > 0 ? y / factor : y * factor; minus penalty. */
struct dr_adjust {
	int32_t token;
	float bias, factor, penalty;
};
enum { DR_CANDIDATES = 64 }; /* number of largest logits that top-k, top-p and min-p choose from */
enum { DR_BIASES = 1024 };   /* maximum tokens of a sequence whose logits have a bias */
enum { DR_LOGPROBS = 20 };   /* number of most likely tokens whose log-probabilities are known */
/* What a shard of the vocabulary knows of a row's log-probabilities, before any change of its logits: that of a logit x
 * is x - largest - log(sum), with the largest of all shards, and their sums relative to it. */
struct dr_logit {
	float logit;
	int32_t token;
};
struct dr_logprobs {
	float largest, sum; /* sum of exp(x - largest) */
	struct dr_logit
		top[DR_LOGPROBS]; /* the largest logits, in order; on a tie the lower token first. Past the end: -infinity */
	float logit;          /* of the sampled token; -infinity: another shard has it */
};
enum { DR_NO_TOKEN = -1 }; /* sampled from a row with a logit that is not finite */

/* Input arrays of a step, for each owner, of i32 or a struct. T = padded tokens, R = padded rows, A = entries.
 * Padding: ids 0, pos 0, seq -1, slot -1, want -1, temperature 0. Before a step the runtime writes into DR_SPACE_INPUT
 * what struct dr_step_input lists. */
enum dr_input {
	DR_INPUT_IDS,    /* [T] token ids */
	DR_INPUT_POS,    /* [T] positions in their sequences */
	DR_INPUT_SEQ,    /* [T] index of the owner's sequence: row of the page table */
	DR_INPUT_SLOT,   /* [T] slot of the cache entry in a pool: page * page_size + offset */
	DR_INPUT_WANT,   /* [R] index into the owner's packed tokens: those whose logits are wanted */
	DR_INPUT_SAMPLE, /* [R] struct dr_sampling */
	DR_INPUT_ADJUST, /* [A] struct dr_adjust: those of the first row that has any, then of the next; each token once a
	                    row */
	DR_INPUT_PAGES,  /* [seqs][pages_per_seq]: page of each page_size positions of a sequence in a pool */
	DR_INPUTS
};
/* Cache pages of an owner. A sequence holds pages for its last `reach` positions, and for those of the current step;
 * reach 0, as in the first pool: for all. The other pools never run out before the first one. */
struct dr_pool {
	uint32_t reach, pages; /* pages of an owner */
};
enum { DR_POOLS = 4 };
enum dr_phase { DR_PREFILL, DR_DECODE, DR_PHASES }; /* the step programs of inference */

struct dr_span {
	uint32_t at, n;
}; /* n elements at byte `at` of the blob; a string: n bytes, then NUL */

struct dr_atom {
	struct dr_span name;
	uint32_t size, stride;
}; /* mesh axis or factor of one: rank = sum of coordinate * stride */
struct dr_group {
	struct dr_span atoms;
	uint32_t size;
}; /* atoms: u32 indices, major to minor. The digits of i in their mixed radix are member i's coordinates */

/* n members; sizes in elements. */
enum dr_collective_kind {
	DR_ALL_REDUCE,     /* src[outer * block]           -> dst: sum over the group, in rank order; src == dst allowed */
	DR_ALL_GATHER,     /* src[outer][block]            -> dst[outer][n][block] */
	DR_REDUCE_SCATTER, /* src[outer][n][block]         -> dst[outer][block] */
	DR_ALL_TO_ALL, /* src[outer][n][block]         -> dst[outer'][n][dst_block]: index i of n in src goes to member i,
	                  in dst it comes from member i; outer * block elements each way, in order, so outer' * dst_block =
	                  outer * block */
	DR_SEND,       /* src[outer * block]           -> the next member of the group; returns when src may be reused */
	DR_RECV        /* dst[outer * block]           <- the member before */
};
enum dr_dtype { DR_F32, DR_BF16, DR_F16, DR_I32, DR_FP8E4M3, DR_FP8E5M2 /* these two: params and states only */ };
struct dr_collective {
	uint32_t kind, group, dtype, program;
	struct dr_span cause; /* "all_reduce over tp at layer.attn (o_proj: contraction over heads@tp)" */
};

/* One axis of a param. */
struct dr_axis {
	struct dr_span name;
	uint32_t extent, local; /* global and per rank: [i * local, (i + 1) * local), i the rank's index in `group` */
	uint32_t group;
	uint32_t role;  /* enum dr_role */
	uint32_t keyed; /* 1: the key runs over it, {name} */
	uint32_t pad;
	int64_t stride; /* in the stored tensor, elements; 0 if keyed */
};
enum dr_role { DR_PLAIN, DR_WEIGHT_GROUP, DR_WEIGHT_N, DR_WEIGHT_K }; /* see struct packing in dag/kernel.h */
struct dr_param {
	struct dr_span path;           /* layer.attn.wq */
	struct dr_span key;            /* model.layers.{layer}.self_attn.q_proj.weight; {layer*2+1} counts too */
	uint32_t space, in_loop, body; /* in_loop: one param for each layer of that body */
	uint32_t stage;                /* DR_SPACE_OUTSIDE: the stage that has it */
	struct dr_span index;          /* in_loop: "layer", which counts from the loop's first layer */
	uint32_t first_layer, pad;
	uint64_t offset, bytes;           /* offset in its space; bytes per layer */
	uint32_t dtype;                   /* as stored on the device */
	uint32_t n_tile, k_run, swizzled; /* struct packing; n_tile 0: plain row-major in the order of `axes` */
	struct dr_span axes;  /* struct dr_axis, in the order of the param; DR_WEIGHT_N and _K: major to minor */
	struct dr_span shape; /* int64: shape of the stored tensor */
	int64_t base;         /* flat offset of element (0, 0, ...) in the stored tensor, elements */
};
/* An input array as a rank stores it: one slice per owner it serves, back to back. The rank's index i in each group
 * selects:
 * - owner_group: the owners [i * h, (i + 1) * h), h = all owners / size of the group
 * - token_group: which of the equal parts of each owner's T or R
 * - page_group, of size n: the pages with page % n == i. Slots number these pages alone, and are -1 in the others.
 * pool: whose slots or pages it has.
 * With several owners, the k-th one's sequence, slot, page and entry numbers are offset by k times what one owner has.
 */
struct dr_step_input {
	uint32_t what, owner_group, token_group, page_group, pool, pad; /* what: enum dr_input */
	uint64_t offset;
};
/* How the rows of a program's tokens and logits are split: groups over owners, and over each owner's rows. vocab_group:
 * over the vocabulary, for struct dr_logprobs. */
struct dr_output {
	uint32_t owner_group, row_group, vocab_group, pad;
};
struct dr_gap {
	uint64_t offset, bytes;
}; /* a range of DR_SPACE_ACT that no kernel may write */
/* What a stage runs over a microbatch. */
struct dr_step_program {
	struct dr_span name;           /* "prefill" */
	uint32_t max_tokens, max_rows; /* maximum T and R */
	struct dr_output output;
	struct dr_span gaps; /* struct dr_gap; only in tests */
};
struct dr_body {
	uint64_t param_bytes, state_bytes;
}; /* per layer */
struct dr_constant {
	uint64_t offset;
	struct dr_span bytes;
}; /* copied into DR_SPACE_TABLE at start */
/* Expert map: i32[experts] at `offset` of DR_SPACE_TABLE. The digits of e / local over `atoms` (major to
 * minor) are the coordinates of expert e's rank. An atom with exchange 1 adds its digit: dest = dest * size + digit.
 * Exchange 0: the digit must be this rank's coordinate, else map[e] is -1. map[e] = dest * local + e % local. */
struct dr_map {
	uint64_t offset;
	uint32_t experts, local;
	struct dr_span atoms /* u32 */, exchange /* u32 */;
};
struct dr_stage {
	uint32_t layer_begin, layer_end;
	uint64_t bytes[DR_SPACES];
};
/* What config.json must say, and what a file without the name means. */
struct dr_config {
	struct dr_span name, field;
	uint32_t type, b; /* type: enum config_type */
	int64_t i;
	double f;
	struct dr_span s;
	struct dr_span absent;
	uint32_t absent_holds; /* absent.n 0: nothing is known */
	uint32_t null_differs; /* 1: null in the file differs from absence: it removes a constant default */
};

/* A result of a contraction: args[argument] is its address, args[3] the number of rows. Element i < n of row `row` and
 * batch b is at row * stride + b * batch_stride + i. n 0: no further one; another kernel, or rows in groups, has none.
 */
enum { DR_RESULTS = 4 };
struct dr_result {
	uint32_t dtype, batch, argument, pad;
	int64_t n, stride, batch_stride;
};
/* What a launch with args[count] rows has to do, for `bench --calibrate`. A row of attention does so much for each
 * position that it sees; row_bytes are those of queries and results. A product of groups has as many rows as the last
 * of the offsets says, i32[groups + 1] at args[count + 1], and `bytes` are those of one group's weight. */
enum dr_work_kind {
	DR_WORK_PASS,
	DR_WORK_REDUCTION,
	DR_WORK_PRODUCT,
	DR_WORK_GROUPED,
	DR_WORK_ATTENTION,
	DR_WORK_KINDS
};
struct dr_work {
	uint32_t kind;
	int32_t count;                 /* -1: what it does depends on more than its rows, and the figures are 0 */
	uint32_t weights, activations; /* of a product: enum dr_dtype */
	uint32_t groups, pad;
	double operations;       /* of a row */
	double bytes, row_bytes; /* moved once, and for each row; of attention, for a row's position, and for each row */
};
struct dr_kernel {
	uint64_t elements;                   /* that it passes over per token of the step, roughly; 0: many, or unknown */
	struct dr_result result[DR_RESULTS]; /* where numbers may stop being finite */
	struct dr_work work;
};

/* What deployc predicts, for a launcher to print beside what it measures. A level of the cluster, innermost first:
 * ranks with equal rank / unit are in one of its units. */
enum { DR_LEVELS = 8 };
struct dr_level {
	struct dr_span name;
	uint64_t unit;
};
/* Of a microbatch that is alone, in s: on all stages together, on the slowest; of all stages, in kernels, in
 * collectives and messages, and in those of these beside which no kernel runs. */
struct dr_predicted {
	double all, longest, compute, communication, exposed;
};
/* Of a phase: dr_predicted [tokens][queries][before], at sizes (double) that increase. tokens: of an owner; queries: of
 * each sequence; before: positions that a sequence has before them. n 0: nothing is predicted. */
struct dr_forecast {
	struct dr_span tokens, queries, before, at;
};
/* Bytes that all ranks together send over a level for a unit of a microbatch; an exchange has one round. */
enum dr_unit { DR_UNIT_MICROBATCH, DR_UNIT_TOKEN, DR_UNIT_ROW, DR_UNIT_PAGE, DR_UNITS };
struct dr_traffic {
	uint32_t phase, unit, level, pad;
	double bytes;
};

struct dr_program {
	uint64_t magic;
	uint32_t version, ranks;
	uint64_t hash;                /* of the plan; ranks compare it before they start */
	struct dr_span deploy, model; /* names */
	struct dr_span atoms, groups, collectives, stages, params, constants, maps, config;
	struct dr_span harmless;  /* struct dr_span of strings: fields of config.json that change nothing */
	struct dr_span unused;    /* struct dr_span of globs: tensors that a checkpoint may hold unread */
	struct dr_span copies;    /* struct dr_span of lists of strings: tensors that must equal the first of a list */
	struct dr_span op_names;  /* struct dr_span of strings: what a launch computes, "layer.attn: contract q" */
	struct dr_span kernels;   /* struct dr_kernel, in the order of dr_image */
	struct dr_span plan_text; /* text of `launcher plan` */
	struct dr_span levels, traffic;
	struct dr_span forecasts;   /* by phase */
	struct dr_span unpredicted; /* why the forecasts are empty: "CPU_Rank has no calibration"; n 0: they are not */
	uint32_t stage_group;       /* group of the atoms that split `layers`; its size is the number of stages */
	uint32_t owner_group;       /* group of the atoms that split sequences among owners */
	uint32_t token_multiple, row_multiple;   /* T and R of a step are multiples of these */
	uint32_t order, microbatches, chunks;    /* of the pipeline: support/stage_order.h */
	uint32_t seqs, page_size, pages_per_seq; /* per owner: sequences, positions in a page, page table width */
	uint32_t page_multiple;                  /* pages of a pool, and P of a step, are multiples of this */
	uint32_t adjusts, logprobs;     /* maximum A, per owner; 1: the last stage has struct dr_logprobs of each row */
	struct dr_span pools;           /* struct dr_pool, at most DR_POOLS */
	struct dr_span bodies, body_of; /* struct dr_body; u32 for each layer of the model: the turns of all loops */
	struct dr_span inputs;          /* struct dr_step_input */
	struct dr_span programs;        /* struct dr_step_program: DR_PREFILL, DR_DECODE */
	uint64_t tokens_offset;         /* in DR_SPACE_ACT after a step, on the last stage: i32 per row of the rank */
	uint64_t logits_offset;         /* likewise: f32[vocab / size of logits_group, rounded up] per row */
	uint64_t logprobs_offset;       /* likewise: struct dr_logprobs per row */
	uint32_t vocab, logits_group;   /* a rank's shard is its index in logits_group */
	/* Bytes: staging for collectives and one of the two messages between stages, on the host; staging on the device */
	uint64_t comm_staging, comm_mailbox, comm_device;
	uint32_t workers;    /* of a launch, where the device does not count its own */
	int32_t tile_kernel; /* puts rows of a weight into swizzled tiles: TILE in dag/kernel.def; -1: there are none */
	uint64_t worker_elements; /* a launch that passes over at most so many elements has one worker */
};

/* What generated code sees of a rank. The runtime sets `tokens`, `rows` and `candidates` before each microbatch. */
struct dr_frame {
	uint64_t base[DR_SPACES]; /* device addresses */
	const int32_t *index;     /* this rank's index in each group */
	const uint32_t *body_of;  /* the body of each layer of this stage */
	int32_t stage, stages;
	int32_t first_layer, layers; /* of this stage */
	int32_t tokens, rows;        /* T and R of this microbatch */
	int32_t pages[DR_POOLS];     /* P: no cache of the pool holds anything in pages from this one on */
	int32_t candidates;          /* pairs per row from each shard of the vocabulary: 1, or 1 + DR_CANDIDATES
	                                if a row of any owner uses top-k, top-p or min-p */
	int32_t layer; /* current layer of the stage, -1 outside the loop; for messages; set by generated code */
};

typedef void (*dr_kernel_fn)(const uint64_t *args, int32_t worker, int32_t share, int32_t shares); /* dag/kernel.h */
typedef void (*dr_step_fn)(struct dr_frame *f);

/* The code of the kernels, in the order of the schedule, in the form that one kind of device runs. */
enum dr_image_form {
	DR_IMAGE_FUNCTIONS, /* functions of the launcher: `functions` */
	DR_IMAGE_PTX        /* text for the driver of NVIDIA GPUs: `ptx`, `entries` */
};
/* One function of `ptx`, and how it is launched. A kernel has entries for different circumstances; the first that fits
 * is launched. `then`: the next one is launched after it as well. */
struct dr_entry {
	const char *name;
	int64_t upto;             /* fits if args[count] is at most this */
	uint32_t phases;          /* fits in phase p if bit p is set */
	uint32_t then;            /* 0 or 1 */
	uint32_t threads, shared; /* of a block; shared: bytes of dynamic shared memory */
	int32_t count;            /* position of the argument that tells how much there is to do; -1: `most` blocks, but one
	                             if one worker is enough */
	uint32_t per, plus, times; /* blocks: (ceil(args[count] / per) + plus) * times, at least 1, at most `most` */
	uint32_t most;
};
struct dr_image {
	uint32_t form, n_kernels;
	const dr_kernel_fn *functions;
	const char *ptx;
	const struct dr_entry *entries; /* of all kernels; those of kernel i are [first[i], first[i + 1]) */
	const uint32_t *first;
};

/* Generated. */
extern const unsigned char dr_blob[];
extern const struct dr_image dr_image;
extern const dr_step_fn dr_step_table[];

/* Called by generated code, by all ranks in the same order. They do not return on failure: the rank reports and ends.
 * dst_block: `block`, except in an all-to-all. */
void dr_launch(struct dr_frame *f, int32_t kernel, int32_t op, const uint64_t *args, int32_t n_args);
void dr_collective(struct dr_frame *f, int32_t collective, int32_t op, uint64_t src, uint64_t dst, int64_t outer,
                   int64_t block, int64_t dst_block);
/* Rounds that an exchange needs: the maximum over the group of ceil(assignments to one destination / capacity), at
 * least 1. `start`: device address of i32[dests * local + 1]. */
int32_t dr_rounds(struct dr_frame *f, int32_t group, int32_t op, uint64_t start, int32_t dests, int32_t local,
                  int64_t capacity);

/* The runtime's main: the launcher's command line. Generated main calls it. */
int dr_main(int argc, char **argv);
#endif
