/* checked program + choices -> local DAG (layouts, collectives) -> schedule (kernels, buffers, order).
 * Knows nothing of LLVM and of hardware speeds.
 *
 * One program serves all ranks: a rank is its mesh coordinate, so nothing here grows with ranks, and `repeat` is never
 * unrolled, so nothing grows with layers. */
#ifndef DEPLOYC_DAG_H
#define DEPLOYC_DAG_H
#include "kernel.h"
#include "../runtime/abi.h"
#include "../sema/sema.h"
#include "../target/target.h"

struct local; /* local.h: one rank's program, with layouts, for each phase */

/* ---- the mesh, refined: product rules may cut a mesh axis into pieces (tp.0, tp.1) ----------- */
struct atom {
	const char *name;
	int mesh_axis;
	int64_t size, stride;
};
enum { MAX_GROUP_ATOMS = 32 }; /* each halves the ranks at least, of which there are less than 2^31 */
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
	NUMBER_PAGES,          /* P * value / div, P = pages in use */
	NUMBER_INDEX,          /* this rank's index in `group` * value */
	NUMBER_INDEX_TOKENS,   /* this rank's index in `group` * (T * value / div) */
	NUMBER_INDEX_ROWS,     /* this rank's index in `group` * (R * value / div) */
	NUMBER_EXCHANGE_ROUND, /* the number of the exchange round that runs */
	NUMBER_CANDIDATES      /* R * value / div * the candidates of a row */
						   /* T, R, P, candidates: of a microbatch, struct dr_frame */
};
struct number {
	enum number_kind kind;
	int64_t value, div;
	int group;
};
/* A device address: base of the space + offset; in the spaces of layers, + the start of the current layer. */
struct address {
	enum dr_space space;
	int64_t offset;
};
/* What an instruction passes. Memory is an address plus `number` bytes: a rank's part of a value, usually the
 * constant 0. */
enum argument_kind {
	ARGUMENT_NUMBER, /* number */
	ARGUMENT_BUFFER, /* memory: a buffer by its number; only while the schedule is made */
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

enum step_section {
	SECTION_EVERY_STAGE,
	SECTION_FIRST_STAGE,
	SECTION_LAYER,
	SECTION_LAST_STAGE,
	SECTIONS
}; /* order of a step; in it, layers' bodies */
enum instr_kind { INSTR_LAUNCH, INSTR_COLLECTIVE, INSTR_ROUNDS_BEGIN, INSTR_ROUNDS_END };
struct instr {
	enum instr_kind kind;
	int op; /* index into schedule.op_names */
	union {
		/* INSTR_LAUNCH */
		struct {
			int kernel; /* index into schedule.kernels */
			struct argument *args;
			int n_args;
		} launch;
		/* INSTR_COLLECTIVE: as enum dr_collective_kind says */
		struct {
			int index; /* into schedule.collectives */
			struct argument src, dst;
			struct number outer, block, dst_block; /* elements; dst_block: of an all-to-all's result */
		} collective;
		/* INSTR_ROUNDS_BEGIN: the rounds of an exchange with experts, up to INSTR_ROUNDS_END, which has nothing more */
		struct {
			int group; /* whose busiest rank decides how many rounds; -1: always one */
			int dests, local;
			struct argument start; /* i32[dests * local + 1]: struct dr_frame's rounds */
			int64_t capacity;
			const struct group *tokens; /* ranks that have other tokens */
		} rounds;
	};
};
struct instrs {
	struct instr *at;
	int n, cap;
};
/* A step's parts in their order: every stage, first stage, one for each body of the loop, last stage. It runs the
 * first; then on the first stage the second, on the others the receives of the carried values; then for each of the
 * stage's layers the body of that layer (schedule.body_of); then on the last stage the last, on the others the sends.
 * With one stage neither send nor receive exists. */
struct step {
	struct instrs *part;
	int n;
};
struct instrs *step_part(const struct step *s, enum step_section section, int body);

/* The memory that an instruction reads and writes, in the order of its arguments. They point into the instruction. */
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
}; /* bytes of one layer of this body */
struct carried {
	struct address at;
	struct number outer, block;
	int send, recv;
	int op;
}; /* collectives' indices */

struct collective {
	enum dr_collective_kind kind;
	int group;
	enum dtype dtype;
	int phase;
	const char *cause, *where;
	struct number outer;
	int64_t bytes_per_outer;
	bool per_layer;
	int body /* of the loop, where per_layer */;
};

struct placed_axis {
	const char *name;
	int64_t extent, local, stride;
	int group;
	enum dr_role role;
	bool keyed;
};
struct placed_param {
	const struct param *param;
	enum dr_space space;
	int64_t offset, bytes;
	struct packing pack;
	struct placed_axis *axes;
	int n_axes;
};
/* The pages of a state in one layer of a body, in DR_SPACE_STATE. */
struct placed_state {
	int body;
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

/* An array that a step brings, as a rank has it: of the owners that its index in group `owners` gives it, one behind
 * the other, the part of the tokens or rows that its index in group `part` gives it. Slots are of the pages that its
 * index in group `pages` gives it. */
struct step_input {
	enum dr_input what;
	int owners, part, pages;
	int64_t offset, bytes;
};
/* How the outputs of a phase are cut besides the vocabulary: groups of the owners, and of their rows. */
struct output_cut {
	int owners, rows;
};

/* A buffer: its bytes of DR_SPACE_ACT, and the instructions of a step that they are its own from and to, counted from 1
 * through the parts. */
struct live {
	int64_t offset, bytes;
	int first, last;
};
/* Bytes of DR_SPACE_ACT that belong to no buffer. */
struct gap {
	int64_t offset, bytes;
};

/* Bytes of one rank of a stage, all its layers. */
struct stage {
	int64_t layer_begin, layer_end;
	int64_t bytes[DR_SPACES];
};

struct schedule {
	const struct deploy *deploy;
	VEC(struct atom) atoms;
	VEC(struct group) groups;
	VEC(struct kernel) kernels; /* equal descriptions once */
	struct step step[PHASES];
	VEC(struct carried) carried[PHASES]; /* in the order in which they cross; none when there is one stage */
	VEC(struct collective) collectives;
	VEC(const char *) op_names;
	struct index op_index;
	VEC(struct placed_param) params;
	VEC(struct constant) constants;
	VEC(struct expert_map) maps;
	VEC(struct stage) stages;
	VEC(struct step_input) inputs;
	int64_t input_bytes; /* equal ones once, for both phases */
	struct output_cut output[PHASES];
	VEC(struct live) live[PHASES];
	VEC(struct placed_state) states;
	VEC(struct gap) gaps[PHASES]; /* in DR_SPACE_ACT: what no kernel may write; target_shape.gap */
	int stage_group, owner_group, logits_group;
	int64_t ranks, token_multiple, row_multiple, chunk[PHASES], max_rows[PHASES], microbatches;
	struct layer_body *bodies;
	int n_bodies;       /* of the loop */
	const int *body_of; /* by layer */
	int64_t seqs, page, pages, pages_per_seq, page_multiple;
	int64_t tokens_offset, logits_offset, vocab, comm_slot, comm_mailbox;
};

/* Infers layouts and collectives (docs/language.md, Layouts and collectives). NULL after a report: E0501, E0503, E0506,
 * E0507, E0509, E0510, E0901
 * ... */
struct local *dag_local(struct arena *arena, struct names *names, struct sink *sink, const struct deploy *d);
/* Kernels, buffers, memory. NULL after a report: what this version does not build (E0918). */
struct schedule *dag_schedule(struct arena *arena, struct sink *sink, const struct local *l,
                              const struct target_shape *t);

/* What goals ask of the layouts. */
/* Collectives of a kind (`all_reduce`) in a region or below it, in the step program that has more; -1: no such
 * region. */
int dag_count(const struct local *l, const char *kind, const char *region);
/* The layout of the value `layer.attn.kc` in a phase, as "[batch@dp, ctx]"; *format is its number format. NULL: no such
 * value. */
const char *dag_layout(const struct local *l, const char *path, int phase, enum dtype *format);

/* What a step of a rank brings: padded tokens and rows of a microbatch, pages in use, candidates of a row of logits,
 * the round of an exchange, and the rank's index in each group. */
struct step_values {
	int64_t tokens, rows, pages, candidates, round;
	const int64_t *index; /* by group */
};
int64_t step_number(const struct number *n, const struct step_values *v);
/* The largest of each, of any step and any rank; the round is 0, for it moves no address. */
struct step_values step_values_max(const struct schedule *s, int phase, struct arena *arena);

struct memory_operands instr_operands(const struct schedule *s, const struct instr *i);

/* Dumps (--emit=dag-local, dag-sched) and checkers: NULL, or what is wrong (an internal error). */
void local_print(const struct local *l, FILE *out);
void schedule_print(const struct schedule *s, FILE *out);
const char *local_check(const struct local *l, struct arena *arena);
const char *schedule_check(const struct schedule *s, struct arena *arena);
const char *space_name(enum dr_space space);
#endif
