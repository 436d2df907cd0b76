/* checked program + choices -> local DAG (layouts, collectives) -> schedule (kernels, buffers, order).
 * Knows nothing of LLVM or hardware speeds.
 *
 * One program serves all ranks: a rank is its mesh coordinate, so nothing here grows with ranks. `repeat` is never
 * unrolled, so nothing grows with layers. */
#ifndef DEPLOYC_DAG_H
#define DEPLOYC_DAG_H
#include "kernel.h"
#include "../runtime/abi.h"
#include "../sema/sema.h"
#include "../support/timeline.h"
#include "../target/target.h"

struct local; /* local.h: one rank's program, with layouts, for each phase */

/* ---- the mesh, refined: product rules may cut a mesh axis into pieces (tp.0, tp.1) ----------- */
struct atom {
	const char *name;
	int mesh_axis;
	int64_t size, stride;
};
enum { MAX_GROUP_ATOMS = 32 }; /* each atom has at least 2 ranks, and a mesh has fewer than 2^31 */
struct group {
	int atom[MAX_GROUP_ATOMS], n;
	int64_t size;
}; /* major to minor */

/* ---- schedule: what a launcher does, byte by byte -------------------------------------------- */
/* A number that an instruction passes to a kernel. */
enum number_kind {
	NUMBER_CONST,          /* value */
	NUMBER_TOKENS,         /* T * value / div */
	NUMBER_ROWS,           /* R * value / div */
	NUMBER_PAGES,          /* P * value / div, P = pages of pool `group` in use */
	NUMBER_INDEX,          /* this rank's index in `group` * value */
	NUMBER_INDEX_TOKENS,   /* this rank's index in `group` * (T * value / div) */
	NUMBER_INDEX_ROWS,     /* this rank's index in `group` * (R * value / div) */
	NUMBER_EXCHANGE_ROUND, /* index of the current exchange round */
	NUMBER_CANDIDATES      /* R * value / div * candidates per row */
						   /* T, R, P, candidates: per microbatch, see struct dr_frame */
};
struct number {
	enum number_kind kind;
	int64_t value, div;
	int group;
};
/* A device address: base of the space + offset; in the per-layer spaces, plus the start of the current layer. */
struct address {
	enum dr_space space;
	int64_t offset;
};
/* An argument of an instruction. Memory is an address plus `number` bytes; `number` selects this rank's part of a value
 * and is usually the constant 0. */
enum argument_kind {
	ARGUMENT_NUMBER, /* number */
	ARGUMENT_BUFFER, /* memory: buffer number, until place_buffers() makes it an address */
	ARGUMENT_PLACED  /* memory: address */
};
struct argument {
	enum argument_kind kind;
	union {
		int buffer;
		struct address address;
	};
	struct number number;
};

enum instr_kind { INSTR_LAUNCH, INSTR_COLLECTIVE, INSTR_ROUNDS_BEGIN, INSTR_ROUNDS_END };
struct instr {
	enum instr_kind kind;
	int op; /* index into schedule.op_names */
	/* queues.c: wait[q]: it starts after this instruction of queue q in its list, from 1; 0: after any. again[q]: in
	 * all rounds but the first, likewise after this instruction in the round before. event: another waits for it. */
	enum queue queue;
	int wait[QUEUES], again[QUEUES];
	bool event;
	union {
		/* INSTR_LAUNCH */
		struct {
			int kernel; /* index into schedule.kernels */
			struct argument *args;
			int n_args;
		} launch;
		/* INSTR_COLLECTIVE: see enum dr_collective_kind */
		struct {
			int index; /* into schedule.collectives */
			struct argument src, dst;
			struct number outer, block, dst_block; /* elements; dst_block: innermost block of an all-to-all's dst */
		} collective;
		/* INSTR_ROUNDS_BEGIN: repeats what follows, up to INSTR_ROUNDS_END, for each round of an expert exchange.
		 * INSTR_ROUNDS_END has no fields */
		struct {
			int group; /* its busiest rank decides the number of rounds; -1: one round */
			int dests, local;
			struct argument start; /* i32[dests * local + 1]: see dr_rounds() */
			int64_t capacity;
			const struct group *tokens; /* its members hold different tokens */
			int64_t experts, top;       /* each of `rows` tokens of the rank chooses `top` of so many experts */
			struct number rows;
		} rounds;
	};
};
struct instrs {
	struct instr *at;
	int n, cap;
};
/* The parts of a step, in order: PART_EVERY, what all stages compute from inputs and constants; then, by turns, what
 * the text has outside the loops, and a loop. part_outside(i) lies before loop i and after loop i - 1. */
enum { PART_EVERY };
static inline int part_outside(int i) { return 2 * i + 1; }
static inline int part_loop(int loop) { return 2 * loop + 2; }
static inline bool part_is_loop(int part) { return part != PART_EVERY && part % 2 == 0; }
void print_part(const struct program *p, int part, FILE *out); /* "before the layers" */
/* Stages [begin, end). */
struct stage_range {
	int begin, end;
};
static inline bool stages_have(struct stage_range r, int stage) { return r.begin <= stage && stage < r.end; }

/* What a block of a step program is. */
enum block_kind {
	BLOCK_ONCE,        /* a part outside the loops */
	BLOCK_LAYERS,      /* for each of a stage's layers in a loop, in order: the instructions of the layer's body */
	BLOCK_LAYERS_BACK, /* the same, from the last layer to the first */
	BLOCK_RECEIVE,     /* what a loop carries, from the stage before */
	BLOCK_SEND,        /* the same, to the next stage */
	BLOCK_KINDS
};
struct step_block {
	enum block_kind kind;
	int part;                  /* of messages: the loop's */
	struct stage_range stages; /* that run it */
	/* of a loop: its layers among those of the model, and its first body */
	int64_t layer_begin, layer_end;
	int first_body;
	struct instrs *body; /* [n]: of each body of the loop; of a block that runs once, one list */
	int n;
};
bool block_repeats(enum block_kind kind); /* does it run for each layer? */
int block_instrs(const struct step_block *b);

/* The memory that an instruction reads and writes, in the order of its arguments. The pointers point into the
 * instruction. */
enum { MAX_OPERANDS = ROWS_MAX_OPERANDS + 8 };
struct memory_operand {
	struct argument *argument;
	enum arg_direction direction;
};
struct memory_operands {
	struct memory_operand at[MAX_OPERANDS];
	int n;
};
struct layer_body {
	int64_t param_bytes, state_bytes, layers;
}; /* bytes of one layer; number of layers with this body */

struct collective {
	enum dr_collective_kind kind;
	int group;
	enum dtype dtype;
	int program; /* index into schedule.programs */
	const char *cause, *where;
	struct number outer;
	int64_t bytes_per_outer;
	bool per_layer;
	int body; /* loop body, if per_layer */
};

struct placed_axis {
	int axis;
	const char *name;
	int64_t extent, local, stride;
	int group;
	enum dr_role role;
	bool keyed;
};
struct placed_param {
	const struct param *param;
	enum dr_space space;
	int stage; /* DR_SPACE_OUTSIDE: the stage that has it; else -1 */
	int64_t offset, bytes;
	struct packing pack;
	struct placed_axis *axes;
	int n_axes;
};
/* Cache pages of an owner, shared by its sequences. Each holds pages for the last positions that a window looks back
 * to, and for those of a step; window 0: for all of them. */
struct pool {
	int64_t window, pages;
};
/* The pages of a state: in one layer of a body, in DR_SPACE_STATE; or, with body -1, outside the loops, on the stages
 * that run the part, in DR_SPACE_STATE_OUTSIDE. */
struct placed_state {
	int body, part;
	int64_t offset, bytes;
};
struct constant {
	int64_t offset;
	const float *data;
	int64_t n;
};
struct expert_map {
	int64_t offset, experts, local;
	int atom[MAX_GROUP_ATOMS];
	bool exchange[MAX_GROUP_ATOMS];
	int n;
};

/* A step's input array as a rank stores it: one slice per owner it serves, back to back. The rank's indices in the
 * groups select the owners, the slice of each owner's tokens or rows, and the pages that slots refer to. pool: whose
 * slots or page table, else 0. */
struct step_input {
	enum dr_input what;
	int owner_group, token_group, page_group, pool;
	int64_t offset, bytes;
};
/* How a program's outputs are split apart from the vocabulary: the group over owners, and the group over each owner's
 * rows. */
struct output_cut {
	int owner_group, row_group;
	int vocab_group; /* over the vocabulary, for the log-probabilities of the tokens */
};

/* A buffer's range in DR_SPACE_ACT, and the first and last instruction of its lifetime. Instructions count from 1
 * through all blocks of the program. */
struct live {
	int64_t offset, bytes;
	int first, last;
};
/* A range of DR_SPACE_ACT that belongs to no buffer. */
struct gap {
	int64_t offset, bytes;
};

/* What a stage runs over a microbatch: blocks, in order. The receives (DR_RECV) of a loop's BLOCK_RECEIVE match the
 * sends of its BLOCK_SEND one by one. With one stage there are none. */
struct step_program {
	const char *name; /* "prefill" */
	VEC(struct step_block) blocks;
	int64_t max_tokens, max_rows; /* maximum T and R */
	struct output_cut output;
	VEC(struct live) live;
	VEC(struct gap) gaps; /* ranges that no kernel may write; see struct target */
};
/* The instructions of a part's first block of a kind; body: of which body of the loop, from 0, else 0. */
struct instrs *program_instrs(const struct step_program *p, enum block_kind kind, int part, int body);

/* A pipeline stage: its layers, and the bytes that each of its ranks holds for all of them. */
struct stage {
	int64_t layer_begin, layer_end;
	int64_t bytes[DR_SPACES]; /* of DR_SPACE_WORKSPACE: for each worker */
};

struct schedule {
	const struct deploy *deploy;
	struct target target;
	VEC(struct atom) atoms;
	VEC(struct group) groups;
	VEC(struct kernel) kernels;        /* no two are equal */
	VEC(struct step_program) programs; /* for inference: of each phase */
	VEC(struct collective) collectives;
	VEC(const char *) op_names;
	struct index op_index;
	VEC(struct placed_param) params;
	VEC(struct constant) constants;
	VEC(struct expert_map) maps;
	VEC(struct stage) stages;
	VEC(struct stage_range) parts; /* the stages that run each part */
	VEC(struct step_input) inputs;
	int64_t input_bytes; /* of all programs; equal inputs are stored once */
	VEC(struct placed_state) states;
	int stage_group, owner_group, logits_group;
	int64_t ranks, token_multiple, row_multiple;
	struct pipeline pipeline;
	struct layer_body *bodies;
	int n_bodies;       /* of all loops */
	const int *body_of; /* layer -> body; layers are the turns of all loops, in order */
	int64_t seqs, page, pages_per_seq, page_multiple;
	struct pool pool[DR_POOLS]; /* the first keeps all positions */
	int n_pools;
	const int *pool_of; /* state -> pool */
	int64_t adjusts;    /* maximum entries of DR_INPUT_ADJUST in a step, per owner */
	int64_t tokens_offset, logits_offset, logprobs_offset, vocab;
	bool logprobs; /* are they known? The token may be sampled elsewhere than where it is read */
	/* Bytes of the communicator: on the host, for collectives and for one of two messages between stages; on the
	 * device. Ranks on GPUs exchange nothing through the host. */
	int64_t comm_staging, comm_mailbox, comm_device;
	int tile_kernel;  /* the kernel that puts weights into tiles when a launcher loads them; -1: the host does */
	int64_t tile_row; /* bytes of the longest row that it moves: activations have room for it */
};

/* Infers layouts and collectives (docs/language.md, Layouts and collectives). Returns NULL after reporting E0501,
 * E0503, E0506, E0507, E0509, E0510, E0901 ... */
struct local *dag_local(struct arena *arena, struct names *names, struct sink *sink, const struct deploy *d);
/* Chooses the kernels and places buffers and memory. Returns NULL after a report, such as E0918 for what this version
 * does not build. */
struct schedule *dag_schedule(struct arena *arena, struct sink *sink, const struct local *l, const struct target *t);

/* fuse.c: launches that are joined, in the order of fuse.def. */
enum fusion {
#define FUSION(NAME, name, what) FUSION_##NAME,
#include "fuse.def"
	FUSIONS
};
const char *fusion_name(enum fusion what); /* as `-f no-NAME` has it */

/* What goals ask about the layouts: the number of collectives of a kind (`all_reduce`) in a region and below it, in the
 * step program that has more of them; -1: no such region. */
int dag_count(const struct local *l, const char *kind, const char *region);
/* Bytes that the weights of some rank take at least, if all ranks that rules may spread weights over have equal parts.
 */
double dag_least_weights(struct arena *arena, const struct deploy *d);
/* Does a region's path end with this one? `attn` and `layer.attn` name the same. */
bool dag_has_region(const struct program *p, const char *region);
/* The layout of a value such as `layer.attn.kc` in a phase, as "[batch@dp, ctx]"; *format is its number format. NULL:
 * no such value. */
const char *dag_layout(const struct local *l, const char *path, int phase, enum dtype *format);

/* The run-time values of one step on one rank: padded tokens and rows of a microbatch, pages in use, candidates per row
 * of logits, the exchange round, and the rank's index in each group. */
struct step_values {
	int64_t tokens, rows, pages[DR_POOLS], candidates, round;
	const int64_t *index; /* by group */
};
int64_t step_number(const struct number *n, const struct step_values *v);
/* The maximum of each value over all steps and ranks. The round is 0, since no address depends on it. */
struct step_values step_values_max(const struct schedule *s, const struct step_program *p, struct arena *arena);

/* Bytes that a collective needs beside its operands on a device. */
int64_t step_staging(const struct schedule *s, const struct instr *collective, const struct step_values *v);

struct memory_operands instr_operands(const struct schedule *s, const struct instr *i);

/* queues.c: sets the queue, waits and events of all instructions. The check returns NULL, or what is wrong. */
void set_queues(struct schedule *s, struct arena *arena);
const char *queues_check(const struct schedule *s, struct arena *arena);

/* pools.c: the window through which each state is read, 0 for all positions. Keys and values of an attention share a
 * page table, so both have the longer window of the two. */
int64_t *program_windows(const struct program *p, struct arena *arena);
/* How many of its last positions a sequence has pages for, the newest included; 0: all. Bytes of a pool that a
 * rank of a stage holds. */
int64_t pool_reach(const struct pool *p);
int64_t pool_bytes(const struct schedule *s, int pool, int stage);

/* Dumps (--emit=dag-local, dag-sched). Checkers return NULL, or what is wrong (an internal error). */
void local_print(const struct local *l, FILE *out);
void schedule_print(const struct schedule *s, FILE *out);
const char *local_check(const struct local *l, struct arena *arena);
const char *schedule_check(const struct schedule *s, struct arena *arena);
const char *space_name(enum dr_space space);
const char *collective_name(enum dr_collective_kind kind); /* "all_gather" */
#endif
