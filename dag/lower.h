/* From the local DAG to a schedule: what the lower*.c files share.
 *
 * Pointwise values and reductions stay virtual until something needs their bytes; then one rows kernel computes the
 * whole chain. Any other value becomes an instruction when it is reached. Buffers are numbers until buffers.c places
 * them. */
#ifndef DEPLOYC_LOWER_H
#define DEPLOYC_LOWER_H
#include "local.h"

/* Dimensions in memory that are not axes of the program: the cos-sin pair of angles, size 1, and the choices of a
 * routing. */
enum memory_axis { AXIS_COS_SIN = -1, AXIS_ONE = -2, AXIS_CHOICE = -3 };
struct dim {
	int axis;
	int64_t extent;
};
enum { MAX_DIMS = 8 };

/* Where a value's bytes are. */
enum memory_kind {
	MEMORY_NONE,
	MEMORY_BUFFER,    /* a buffer, placed in DR_SPACE_ACT once all buffers are known */
	MEMORY_PLACED,    /* address */
	MEMORY_PER_READER /* a param: lower_materialize() gives each reader an address */
};

/* How a local value is laid out in memory: rows, then static axes. */
struct phys {
	enum { PHYS_NONE, PHYS_VIRTUAL, PHYS_READY } state;
	/* NUMBER_CONST (1, or the rows of an exchange), NUMBER_TOKENS, NUMBER_ROWS; NUMBER_PAGES for a cache */
	struct number rows;
	int exchange; /* exchange that the rows belong to, or -1 */
	/* rows of an exchange: the axis of experts that they are sorted by, or a part of it; they are those of the rank's
	 * experts [first, first + experts), and other rows hold nothing */
	int sorted_by;
	int64_t first, experts;
	struct dim dim[MAX_DIMS];
	int n_dims;
	int64_t stride[MAX_DIMS], row_stride; /* elements */
	enum dtype dtype;
	enum memory_kind memory;
	union {
		int buffer;
		struct address address;
	};
	struct number offset;    /* bytes from there to this rank's part */
	bool cache, by_position; /* it has pages; the order in them: struct kernel_append */
	int pool;                /* of the pages */
	int weight;              /* for a routing, the buffer of its weights */
	int depth;               /* PHYS_VIRTUAL: length of the chain of virtual values that ends here */
};

/* Maximum bytes of a buffer, and of a state's pages in one layer; it keeps sums within 63 bits. */
#define MAX_BUFFER ((int64_t)1 << 50)
struct buffer {
	int64_t bytes, used;
	int first, last;
	bool fixed;
	int64_t offset;
	int replaces, until;
}; /* used: bytes before rounding up. buffers.c: the buffer whose place it takes, or -1; the last use of its own place
    */

/* Buffers that are read after a step; they have the same offsets in all programs. */
enum output_buffer { BUFFER_TOKENS, BUFFER_LOGITS, BUFFER_LOGPROBS, OUTPUT_BUFFERS };

/* A result of an exchange that is summed in f32, and rounded to its format after the last round. */
struct rounding {
	int local;
	struct phys sum;
};

/* One exchange of tokens with experts: all that one routing dispatches and combines (lower_order.c). */
struct expert_exchange {
	int dispatch;                                       /* local value: the first */
	int results;                                        /* number of `combine` that are not lowered yet */
	int64_t experts, local, dests, top, capacity, rows; /* rows = dests * capacity; 0 before the first dispatch */
	struct number tokens;                               /* of a rank */
	bool one_round;
	int group; /* index of the exchange's group */
	struct argument map;
	int order, inverse, start, meta, offsets, from; /* buffers */
	struct instrs body;                             /* the instructions of a round */
	VEC(struct rounding) roundings;
};

struct lower {
	struct local *l;
	struct local_phase *ph;
	int phase;
	struct step_program *step; /* what is lowered to */
	struct arena *arena;
	struct sink *sink;
	struct schedule *s;
	const struct target *target;
	struct phys *phys;
	int *uses;
	VEC(struct buffer) buffers; /* the first ones are outputs: enum output_buffer */
	VEC(struct expert_exchange) exchanges;
	int *exchange_of; /* local value -> the exchange that its rows, or a combine's operand, belong to; or -1 */
	VEC(int) order;   /* the local values, in the order of lowering */
	struct phys *carry;
	int n_carry;    /* carry[i]: carried value of slot i at the start of a turn; PHYS_NONE before its loop */
	bool turn_ends; /* the carried value has no later reader: a result may overwrite it */
	bool failed;
};

/* lower_order.c: sets exchanges (`dispatch` and `results` of each), exchange_of and order. E0918. */
void lower_order(struct lower *w);
/* step_sizes.c: the maximum of tokens of an owner, and of rows, over all programs. */
int64_t program_max_tokens(const struct schedule *s);
int64_t program_max_rows(const struct schedule *s);
/* Sets the tokens, rows and pages of a step. Returns false after reporting E0704 or E0705. */
bool set_step_sizes(struct schedule *s, struct local *l, struct sink *sink);
/* pools.c: which pool the pages of each state belong to, and the pages of all but the first. After the other sizes. */
void set_pools(struct schedule *s, const struct local *l);
/* lower.c */
struct kernel kernel_of(enum kernel_family family);             /* all zeros */
bool lower_is_op(const struct lower *w, int local, enum op op); /* is it the result of this operator itself? */
bool lower_is_param(const struct lower *w, int local);
/* The value's axis of experts (or of a part of them, `concat`), if it has rows that an exchange sorts by them; else -1.
 */
int lower_row_groups(const struct lower *w, const struct local_value *v);
bool lower_is_part(const struct lower *w, const struct phys *p); /* are its rows those of some experts only? */
int lower_moved_param(const struct lower *w, int local);         /* source param of a collective or slice, or -1 */
int lower_through_cast(const struct lower *w, int local);        /* the param cast to f32, or the value itself */
/* The value's axes with those in `last` moved to the end; both groups keep their memory order. */
const int *lower_axes_last(struct lower *w, const struct phys *x, const int *last, int n_last);
/* Writes an attention's axes of heads to `out`, in the order of its cache. Returns their number. */
int lower_heads_in_order(const struct program *p, const struct value *attend, int *out);
void lower_unsupported(struct lower *w, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));                                       /* E0918 */
void lower_too_large(struct lower *w, const char *what, double n, int64_t most); /* E0705 */
const struct value *lower_source(const struct lower *w, int local);
int lower_group(struct lower *w, const struct atoms *a);
int64_t lower_rows_max(const struct lower *w, const struct phys *p); /* rows of the largest step */
int64_t phys_row_elements(const struct phys *p);                     /* elements of one row, contiguous */
bool phys_contiguous(const struct phys *p);
bool phys_merges(const struct phys *p, int from, int to,
                 int64_t inner); /* do dimensions [from, to) form one dimension of stride `inner`? */
struct number lower_rows_of(const struct lower *w,
                            const struct local_value *v); /* rows of a value over [batch, seq] or [batch, row] */
struct phys lower_shape(struct lower *w, int local); /* rows and dims in program order, contiguous; no memory yet */
void phys_make_contiguous(struct phys *p);
int lower_buffer(struct lower *w, int64_t bytes); /* E0705 beyond MAX_BUFFER */
/* Gives `p` the memory for value `local` (that of an output or a carried value, or a new buffer) and records it. */
struct phys *lower_define(struct lower *w, int local, struct phys p);
struct number number_const(int64_t v);
struct number number_times(struct number n, int64_t k);
struct argument arg_number(struct number n);
struct argument arg_buffer(int buffer);
struct argument arg_phys(const struct phys *p);
struct argument arg_placed(enum dr_space space, int64_t offset);
struct argument arg_workspace(void); /* all kernels of a queue use one workspace */
bool phys_in_buffer(const struct phys *p, int buffer);
void phys_set_buffer(struct phys *p, int buffer); /* at the start of the buffer */
void phys_set_address(struct phys *p, enum dr_space space, int64_t offset);
int lower_carried_as(const struct lower *w, int local);           /* the slot of the value with this `next`, or -1 */
bool lower_in_carry(const struct lower *w, const struct phys *p); /* is it stored in a carried value's memory? */
/* lower_emit.c */
int64_t lower_owners(struct lower *w, const struct local_value *like); /* whose rows of `like` a rank has */
/* A step's input array for the rows of `like`: the same owners, and the same slice of their tokens. */
struct argument lower_input(struct lower *w, enum dr_input what, const struct local_value *like);
/* The slots of those rows in a cache of a pool, whose pages are cut by `pages`; the page table of a pool. */
struct argument lower_slots(struct lower *w, const struct local_value *like, int pool, const struct atoms *pages);
struct argument lower_pages(struct lower *w, const struct local_value *like, int pool);
struct instrs *lower_instrs(const struct lower *w, int local); /* the instructions that compute the value */
int lower_kernel(struct lower *w, const struct kernel *k);     /* index; equal descriptions share one */
void lower_launch(struct lower *w, int local, int exchange, const struct kernel *k, const struct argument *args, int n,
                  const char *what);
void lower_emit(struct lower *w, int local, int exchange, struct instr i, const char *what);
int lower_name(struct lower *w, const char *name);               /* the index of an operator's name */
int lower_op_name(struct lower *w, int local, const char *what); /* "layer.attn: contract q", as an index */
int64_t lower_table(struct lower *w, const float *data, int64_t n);
int lower_add_collective(struct lower *w, enum dr_collective_kind kind, int group, enum dtype dtype,
                         struct number outer, int64_t bytes, int local, const char *what);

bool lower_is_rows(const struct lower *w, int local); /* pointwise, a reduction or a rounding: part of a rows kernel */
/* lower_rows.c: the memory of operand `local` of `user`; every operator gets its operands here. A param is placed where
 * `user` reads it; a virtual value is computed. `order`: the axes, major to minor, or NULL. A cache may only be an
 * operand of a view; attention reads caches itself. lower_materialize() allows any strides.
 * lower_materialize_contiguous() copies a view with gaps. */
const struct phys *lower_materialize(struct lower *w, int local, int user, const int *order);
const struct phys *lower_materialize_contiguous(struct lower *w, int local, int user, const int *order);
/* The same, in f32, for a kernel that reads only f32: the stored format of a param may differ from that of its
 * values. */
const struct phys *lower_materialize_f32(struct lower *w, int local, int user);
const struct phys *lower_copy(struct lower *w, int local); /* copies a value that has memory to a buffer of its own */
/* Computes or copies a value to `to`: where it is read after the step, or at the start of the next turn. */
void lower_into(struct lower *w, int local, const struct phys *to);
/* The same, to a part of `user`. A value without memory is computed there, and that is its memory from then on. */
void lower_place(struct lower *w, int local, int user, const struct phys *to);
bool phys_same_dims(const struct phys *a, const struct phys *b); /* do rows have the same axes in the same places? */
/* lower_ops.c, lower_contract.c, lower_view.c, lower_attend.c, lower_moe.c, lower_comm.c: one local value each */
void lower_op(struct lower *w, int local);
void lower_contract(struct lower *w, int local);
void lower_view(struct lower *w, int local);
void lower_join(struct lower *w, int local);
/* If a `join` is the only reader of `local`, of shape `p`: its place in the join's result. Else NULL. */
struct phys *lower_define_in_join(struct lower *w, int local, struct phys p);
void lower_append(struct lower *w, int local);
void lower_move_cache(struct lower *w, int local);      /* moves a cache to the layout that its reader requires */
void place_states(struct schedule *s, struct local *l); /* schedule.states, in the program's order */
/* cuts.c: what crosses the cuts of a pipeline. E0904 for what does not. */
void check_cuts(struct lower *w);
void pass_carried(struct lower *w);                    /* sends and receives what loops carry */
int lower_carried_by(const struct lower *w, int body); /* the number of values that a body carries */
void lower_attend(struct lower *w, int local);
enum { OPERAND_SINKS = 4, OPERAND_SLOPES = 5 }; /* of OP_ATTEND */
void lower_dispatch(struct lower *w, int local);
void lower_combine(struct lower *w, int local);
void lower_route(struct lower *w, int local);
void lower_collective(struct lower *w, int local);
/* params.c */
/* Places all params (schedule.params), for all their readers in both phases. Returns false after reporting E0918. */
bool place_params(struct schedule *s, struct local *l, const struct target *t, struct sink *sink, struct arena *arena);
/* Bytes of the params in a space: of DR_SPACE_LAYER, those of a loop body; of DR_SPACE_OUTSIDE, those of a stage. */
int64_t param_bytes(const struct schedule *s, enum dr_space space, int of);
/* A contraction of an activation with a weight: their local values, casts left out. experts: the axis of the weight by
 * which the activation's rows are sorted, or -1. */
struct contraction {
	int x, weight, experts;
};
/* Returns false for other values, such as a contraction of two activations. */
bool lower_contraction(const struct lower *w, int local, struct contraction *out);
/* What an axis of the weight is to the contraction `local`. */
enum dr_role contraction_role(const struct lower *w, int local, const struct contraction *c, int axis);
/* Where and in which order `user` reads a param. */
const struct placed_param *lower_placed(struct lower *w, int param, int user);
const struct phys *lower_param(struct lower *w, int param,
                               int user); /* the same, for other readers than contractions */
/* fuse.c: joins launches of the step, unless the target says not to. drop_unused: removes kernels and names that no
 * instruction has. */
void fuse_launches(struct lower *w);
void drop_unused(struct schedule *s, struct arena *arena);
/* buffers.c */
const char *buffers_check(struct lower *w); /* buffers_check.c: NULL, or the first overwritten value */
int64_t place_buffers(struct lower *w);     /* patches the instructions; returns the bytes that all buffers need */
#endif
