/* The launcher's ABI: what the compiler bakes into a launcher, and what generated code calls.
 *
 * The tables of a program are one read-only block of bytes, `dr_blob`, that starts with struct dr_program. Arrays and
 * strings in it are referred to by offset from its start, so that the compiler can build it in memory and emit it as it
 * is. Generated symbols: dr_blob; dr_kernel_table (one function for each kernel); dr_step_prefill, dr_step_decode. */
#ifndef DEPLOY_ABI_H
#define DEPLOY_ABI_H
#include <stdint.h>

enum { DR_ABI_VERSION = 4 };
#define DR_MAGIC 0x3159414c50454444ull /* "DDEPLAY1" */

/* Where a rank's memory is used. All but DR_SPACE_COMM are on the device; one allocator gives them all. */
enum dr_space {
	DR_SPACE_LAYER, /* params of the loop: a stage's layers one behind the other, each of its body's param_bytes */
	DR_SPACE_PRE,   /* params before the loop: on the first stage only */
	DR_SPACE_POST,  /* params after the loop: on the last stage only */
	DR_SPACE_EVERY, /* params outside of the loop that every stage reads */
	DR_SPACE_STATE, /* cache pages: layers one behind the other, each of its body's state_bytes */
	DR_SPACE_ACT,   /* activations and workspaces of one step */
	DR_SPACE_INPUT, /* what a step brings: enum dr_input */
	DR_SPACE_TABLE, /* constants and expert maps, written once */
	DR_SPACE_COMM,  /* host: this rank's share of the communicator's buffers */
	DR_SPACES
};
/* How the next token of a row is chosen. The row's random numbers are a function of seed, count and the token alone: no
 * plan, batch or number of ranks changes what is drawn. */
struct dr_sampling {
	float temperature, top_p; /* temperature 0: the largest logit; top_p 1 or more: off */
	int32_t top_k;            /* 0: off, most: DR_CANDIDATES */
	uint32_t seed, seed_high; /* low and high half */
	uint32_t count;           /* tokens that the sequence has sampled so far */
};
enum { DR_CANDIDATES = 64 }; /* what top-k and top-p choose from: so many of the largest logits */
enum { DR_NO_TOKEN = -1 };   /* sampled from a row in which a logit is not a finite number */

/* Arrays of i32 (and of struct dr_sampling) that a step brings of each owner, T = padded tokens, R = padded rows.
 * Padding: ids 0, pos 0, seq -1, slot -1, want -1, temperature 0. Before a step the runtime writes into DR_SPACE_INPUT
 * what struct dr_step_input lists. */
enum dr_input {
	DR_INPUT_IDS,    /* [T] token ids */
	DR_INPUT_POS,    /* [T] positions in their sequences */
	DR_INPUT_SEQ,    /* [T] which of the owner's sequences: row of the page table */
	DR_INPUT_SLOT,   /* [T] where the cache entry goes: page * page_size + offset */
	DR_INPUT_WANT,   /* [R] index into the owner's packed tokens of the rows whose logits are wanted */
	DR_INPUT_SAMPLE, /* [R] struct dr_sampling */
	DR_INPUT_PAGES,  /* [seqs][pages_per_seq] */
	DR_INPUTS
};
enum dr_phase { DR_PREFILL, DR_DECODE, DR_PHASES };

struct dr_span {
	uint32_t at, n;
}; /* n elements at byte `at` of the blob; a string: n bytes, NUL behind */

struct dr_atom {
	struct dr_span name;
	uint32_t size, stride;
}; /* mesh axis or piece of one: rank = sum of coordinate * stride */
struct dr_group {
	struct dr_span atoms;
	uint32_t size;
}; /* u32 atom indices, major to minor. Member i: mixed radix of i over them */

enum dr_collective_kind {
	DR_ALL_REDUCE,     /* src[outer * block]           -> dst: sum over the group, in rank order; src == dst allowed */
	DR_ALL_GATHER,     /* src[outer][block]            -> dst[outer][n][block] */
	DR_REDUCE_SCATTER, /* src[outer][n][block]         -> dst[outer][block] */
	DR_ALL_TO_ALL, /* src[outer][n][block]         -> dst[outer'][n][joined]: what is at i in src goes to member i, what
	                  member i sent to i in dst; outer * block elements each way, in one order: outer' = outer * block /
	                  joined */
	DR_SEND,       /* src[outer * block]           -> the next member of the group; returns when src may be reused */
	DR_RECV        /* dst[outer * block]           <- the member before */
};
enum dr_dtype { DR_F32, DR_BF16, DR_F16, DR_I32, DR_FP8E4M3, DR_FP8E5M2 /* these two of params and states only */ };
struct dr_collective {
	uint32_t kind, group, dtype, phase;
	struct dr_span cause; /* "all_reduce over tp at layer.attn (o_proj: contraction over heads@tp)" */
};

/* one axis of a param */
struct dr_axis {
	struct dr_span name;
	uint32_t extent, local; /* global and per rank; a rank has [i * local, (i + 1) * local), i its index in `group` */
	uint32_t group;
	uint32_t role;  /* enum dr_role */
	uint32_t keyed; /* 1: the key runs over it, {name} */
	uint32_t pad;
	int64_t stride; /* in the stored tensor, elements; 0 if keyed */
};
enum dr_role { DR_PLAIN, DR_WEIGHT_GROUP, DR_WEIGHT_N, DR_WEIGHT_K }; /* see struct packing in dag/kernel.h */
struct dr_param {
	struct dr_span path;           /* layer.attn.wq */
	struct dr_span key;            /* model.layers.{layer}.self_attn.q_proj.weight */
	uint32_t space, in_loop, body; /* in_loop: one for each layer of that body */
	uint32_t pad;
	uint64_t offset, bytes;  /* in its space; bytes of one layer's */
	uint32_t dtype;          /* as stored on the device */
	uint32_t n_tile, k_pair; /* n_tile 0: plain row-major in the order of `axes` */
	struct dr_span axes;  /* struct dr_axis, in the order of the param; for DR_WEIGHT_N and _K that is major to minor */
	struct dr_span shape; /* int64: shape of the stored tensor */
	int64_t base;         /* flat offset of element (0, 0, ...) in the stored tensor, elements */
};
/* An array as a rank has it: of the owners [i * h, (i + 1) * h), one behind the other, i its index in group `owners`
 * and h = all owners / that group's size; of each owner's T or R the part that its index in group `part` says. Of pages
 * it has those with page % n == i, i its index in group `pages` of size n; its slots count them, and are -1 for others.
 * Sequences, slots and pages of each of several owners count on from those of the owner before. */
struct dr_step_input {
	uint32_t what, owners, part, pages;
	uint64_t offset;
}; /* what: enum dr_input */
struct dr_output {
	uint32_t owners, rows;
}; /* how tokens and logits are cut: groups, as of a struct dr_step_input */
struct dr_gap {
	uint64_t offset, bytes;
}; /* of DR_SPACE_ACT: bytes that no kernel may write */
struct dr_body {
	uint64_t param_bytes, state_bytes;
}; /* of one layer of a kind */
struct dr_constant {
	uint64_t offset;
	struct dr_span bytes;
}; /* copied into DR_SPACE_TABLE at start */
/* expert map, i32[experts] at `offset` of DR_SPACE_TABLE:
 * owner = e / local; its digits over `atoms` (major to minor): an atom with exchange 1 adds to dest = dest * size +
 * digit, one with exchange 0 must be this rank's coordinate, else map[e] = -1. map[e] = dest * local + e % local */
struct dr_map {
	uint64_t offset;
	uint32_t experts, local;
	struct dr_span atoms /* u32 */, exchange /* u32 */;
};
struct dr_stage {
	uint32_t layer_begin, layer_end;
	uint64_t bytes[DR_SPACES];
};
/* what config.json must say, and what a file without the name means */
struct dr_config {
	struct dr_span name, field;
	uint32_t type, b; /* type: enum config_type */
	int64_t i;
	double f;
	struct dr_span s;
	struct dr_span absent;
	uint32_t absent_holds; /* absent.n 0: nothing is known */
	uint32_t null_differs; /* 1: null in the file is not the absence: it takes a constant default away */
};

/* y of a contraction: args[2] is its address, args[3] the number of rows; [row * stride + b * batch_stride + i], i < n.
 * n 0: of another kernel, or of one whose rows are in groups. */
struct dr_result {
	uint32_t dtype, batch;
	int64_t n, stride, batch_stride;
};

struct dr_program {
	uint64_t magic;
	uint32_t version, ranks;
	uint64_t hash;                /* of the plan: ranks compare it before they start */
	struct dr_span deploy, model; /* names */
	struct dr_span atoms, groups, collectives, stages, params, constants, maps, config;
	struct dr_span harmless; /* struct dr_span of strings: fields of config.json that change nothing */
	struct dr_span unused;   /* struct dr_span of globs: tensors that a checkpoint may hold unread */
	struct dr_span copies;   /* struct dr_span of lists of strings: tensors that must equal the first of a list */
	struct dr_span op_names; /* struct dr_span of strings: what a launch is, "layer.attn: contract q" */
	struct dr_span kernel_names;
	struct dr_span kernel_work;    /* u32 for each kernel: elements that it passes over for each of the step's
	                                  tokens, roughly; 0: much, or not known */
	struct dr_span kernel_results; /* struct dr_result for each kernel: for finding where numbers are not finite */
	struct dr_span plan_text, index_name;  /* text of `launcher plan`; "layer" */
	uint32_t stage_group;                  /* group of the mesh atoms that `layers` has (size = number of stages) */
	uint32_t owner_group;                  /* group of the atoms that own sequences */
	uint32_t token_multiple, row_multiple; /* T and R of a step are multiples of these */
	uint32_t chunk[DR_PHASES];    /* most tokens of one owner in one microbatch of a step, a multiple of the above */
	uint32_t max_rows[DR_PHASES]; /* most R in one microbatch */
	uint32_t microbatches;
	uint32_t seqs, page, pages,
		pages_per_seq;              /* per owner: sequences, positions in a page, pages in the pool, page table width */
	uint32_t page_multiple;         /* pages, and P of a step, are multiples of this */
	struct dr_span bodies, body_of; /* struct dr_body; u32 for each layer of the model */
	struct dr_span inputs;          /* struct dr_step_input */
	struct dr_output output[DR_PHASES];
	struct dr_span gaps[DR_PHASES]; /* struct dr_gap; none but in tests */
	uint64_t tokens_offset; /* in DR_SPACE_ACT, after a step, on the last stage: i32 for each row that the rank has */
	uint64_t logits_offset; /* the same: f32[vocab / size of logits_group] */
	uint32_t vocab, logits_group;     /* shard of a rank: its index in logits_group */
	uint64_t comm_slot, comm_mailbox; /* bytes: staging for collectives; one message between stages (two are kept) */
};

/* What generated code sees of a rank. The runtime fills it; tokens, rows and candidates before each microbatch. */
struct dr_frame {
	uint64_t base[DR_SPACES];      /* device addresses */
	const int32_t *index;          /* this rank's index in each group */
	const uint32_t *body_of;       /* the body of each layer of this stage */
	int32_t stage, stages, layers; /* layers: of this stage */
	int32_t tokens, rows;          /* T and R of this microbatch */
	int32_t pages;                 /* P: all that caches hold lies in pages before this one */
	int32_t candidates;            /* pairs that a shard of the vocabulary brings for each row: 1, or
	                                  1 + DR_CANDIDATES when top-k or top-p choose in a row of any owner */
	int32_t layer; /* the stage's layer that runs, -1 outside of the loop; for messages; generated code keeps it */
};

typedef void (*dr_kernel_fn)(const uint64_t *args, int32_t worker, int32_t workers);

/* Generated. */
extern const unsigned char dr_blob[];
extern const dr_kernel_fn dr_kernel_table[];
void dr_step_prefill(struct dr_frame *f);
void dr_step_decode(struct dr_frame *f);

/* Called by generated code (joined: of an all-to-all, else block); ranks run them in the same order. They do not return
 * on failure: the rank reports and ends. */
void dr_launch(struct dr_frame *f, int32_t kernel, int32_t op, const uint64_t *args, int32_t n_args);
void dr_collective(struct dr_frame *f, int32_t collective, int32_t op, uint64_t src, uint64_t dst, int64_t outer,
                   int64_t block, int64_t joined);
/* Rounds that an exchange needs: the most over the group of ceil(assignments to one destination / C); at least 1.
 * `start`: device address of i32[dests * local + 1]. */
int32_t dr_rounds(struct dr_frame *f, int32_t group, int32_t op, uint64_t start, int32_t dests, int32_t local,
                  int64_t capacity);

/* The runtime's main: the launcher's command line. Generated main calls it. */
int dr_main(int argc, char **argv);
#endif
