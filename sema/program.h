/* The checked program of a model: the operator DAG as on one device (level "global").
 *
 * One walk over the model's text checks types and builds this, so what is compiled is what was checked. `repeat` is a
 * loop, never unrolled; turns that come out the same share a body. Values are numbered in the order of the text.
 * Operands come before their uses, except for values carried from one turn to the next. */
#ifndef DEPLOYC_PROGRAM_H
#define DEPLOYC_PROGRAM_H
#include <stdint.h>
#include <stdio.h>
#include "../support/config_type.h"
#include "../support/dtype.h"
#include "../support/source.h"

enum axis_kind {
	AXIS_MODEL,   /* extent known: axis d_model = 4096 */
	AXIS_DYNAMIC, /* axis batch = dynamic */
	AXIS_RAGGED,  /* axis seq = ragged(batch), axis slot = ragged(expert): one extent, known at run time, for each index
	                 of `of` */
	AXIS_CONCAT   /* axis latent = concat(kv_rank, rope_dim) */
};
struct axis {
	const char *name;
	enum axis_kind kind;
	int64_t extent;       /* 0: known at run time */
	int like;             /* the axis of which this is a view, or -1 */
	int of;               /* AXIS_RAGGED: the axis that owns it, -1 only after a report that there is none; else -1 */
	int64_t top;          /* so many of it are chosen by a router for each token; 0: no router chooses */
	int tokens;           /* slots of a routing: `seq` or `row`, the other axis of the tokens they hold; else -1 */
	int part[8], n_parts; /* AXIS_CONCAT */
	struct span span;     /* its declaration */
};

/* Limits that keep every size computed from them within 63 bits: extent of an axis, turns of a loop, elements of a
 * tensor, elements of a tensor per token. */
enum { MAX_EXTENT = 1 << 24, MAX_TURNS = 1 << 14 };
#define MAX_ELEMENTS           ((int64_t)1 << 40)
#define MAX_ELEMENTS_FOR_TOKEN ((int64_t)1 << 28)

/* A region: the model (0, name ""), a loop's body, a labelled call. */
struct region {
	const char *name;
	int parent;
	bool is_loop_body;
	struct span span;
};

enum op {
	OP_INPUT, /* ids, pos, want */
	OP_PARAM,
	OP_CONST, /* no axes */
	OP_IOTA,  /* 0, 1, 2 ... over axes[0], f32 */
	OP_LIST,  /* numbers of a list over axes[0], f32 */
	/* pointwise: an operand with fewer axes is broadcast. Axes are matched by name; their order says nothing about
	   memory. */
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_DIV,
	OP_MIN,
	OP_MAX,
	OP_CLAMP /* x, lo, hi */,
	OP_EXP,
	OP_LOG,
	OP_SQRT,
	OP_RSQRT,
	OP_TANH,
	OP_ERF,
	OP_SIN,
	OP_COS,
	OP_ABS,
	OP_FLOOR,
	OP_CEIL,
	OP_CAST, /* to the value's format */
	/* reductions over one axis */
	OP_SUM,
	OP_MEAN,
	OP_REDUCE_MAX,
	/* views */
	OP_RENAME,   /* an axis becomes another one, related by `like` */
	OP_PIECE,    /* a part of an axis that is a concat */
	OP_CONTRACT, /* args x, w; sums over axes of both */
	/* builtins of std.ops; args in the order of the signature */
	OP_EMBED,    /* table[v, d], ids[..t] */
	OP_PICK,     /* x[b, s, ..d], want[b, r] */
	OP_ROTATE,   /* x[b, s, ..h, f], freq[p], pos[b, s] */
	OP_APPEND,   /* new[b, s, ..f], pos */
	OP_ATTEND,   /* q, k, v, pos, (sink), (slope) */
	OP_ROUTE,    /* score[..t, over], (bias) */
	OP_DISPATCH, /* x[..t, d], r */
	OP_COMBINE,  /* y[e, slot, d], r */
	OP_JOIN,     /* x[..t, a], y[..t, b] */
	OP_SAMPLE,   /* logits[..t, v] */
	/* loops */
	OP_CARRY, /* in a loop's body: value at the start of a turn. args[0]: before the loop */
	OP_FINAL, /* after the loop: last value of the OP_CARRY args[0] */
	OP_COUNT
};
const char *op_name(enum op op);
bool op_is_pointwise(enum op op); /* OP_ADD .. OP_CAST */
bool op_is_reduce(enum op op);    /* OP_SUM .. OP_REDUCE_MAX */

enum value_type { TYPE_FLOAT, TYPE_INT /* i32 positions */, TYPE_INDEX /* i32, of axis `index_of` */, TYPE_ROUTING };

/* A value, and in its union what only its operation has. Axes are indices into program.axes; -1: none. */
struct value {
	enum op op;
	enum value_type type;
	enum dtype dtype;   /* format of arithmetic; for TYPE_FLOAT never a storage-only format */
	int *axes, n_axes;  /* indices into program.axes */
	int index_of, slot; /* TYPE_INDEX: the axis indexed. TYPE_ROUTING: expert axis and slot axis */
	int *args, n_args;  /* indices of values; -1: an optional operand is missing */
	int region;
	int call;         /* index into program.calls of the operator whose body it is part of, or -1 */
	const char *name; /* name of the `let`, param, state ... that binds it, or NULL */
	struct span span; /* the expression */
	int routing;      /* a routing, or a value with its slots: the value that made the routing; else -1 */
	union {
		/* OP_INPUT: enum input_kind; -1: a stand-in for an argument of a block that is checked by itself */
		int input;
		/* OP_PARAM: index into program.params */
		int param;
		/* OP_CONST */
		double number;
		/* OP_LIST: one for each index of axes[0]; NULL in a block that is checked by itself */
		const double *numbers;
		/* OP_SUM, OP_MEAN, OP_REDUCE_MAX, OP_CONTRACT: the axes that are summed */
		struct {
			int *over, n_over;
		} reduce;
		/* OP_RENAME, OP_PIECE: the operand's axis, and the result's in its place */
		struct {
			int from, to;
		} view;
		/* OP_EMBED, OP_SAMPLE: the axis that is indexed */
		int v;
		/* OP_ROTATE: the axis of features; pairs are neighbours, not halves */
		struct {
			int f;
			bool interleaved;
		} rotate;
		/* OP_APPEND: index into program.states; the operand's axis of tokens; the cache's axis of positions */
		struct {
			int state, from, to;
		} append;
		/* OP_ATTEND: axes of key/value heads, and of query heads of each; of features, of values, of positions */
		struct {
			int *h, n_h, *r, n_r, dot, w, over;
			double scale;
			bool causal;
			int64_t window, chunk; /* 0: none */
			double cap;            /* of scores; 0: none */
		} attend;
		/* OP_ROUTE */
		struct {
			int64_t top, groups, top_groups;
			bool by_best; /* a group's score is its best, else the sum of its two best */
			bool renormalize;
			double factor;
			int over, expert, slot;
		} route;
		/* OP_JOIN: the result's axis, a concat */
		int into;
		/* OP_CARRY: value at the end of the turn */
		int next;
	};
};
/* Positions that an attention reads at most of those up to a position, its own included: the shorter of window and
 * chunk; 0: all of them. */
int64_t attend_reach(const struct value *v);
/* The axes that a reduction or a contraction sums; of other operations, none. */
struct reduced_axes {
	const int *at;
	int n;
} value_reduced(const struct value *v);

/* A call of an operator with a body. Its signature is its sharding rule; nothing is communicated inside. */
struct op_call {
	const char *name; /* rms_norm */
	struct span span;
	int region;
	int *whole, n_whole; /* axes marked a! in the signature: not split */
	int first, last;     /* its values are program.values[first .. last]; `last` is the result */
};

enum input_kind { INPUT_IDS, INPUT_POS, INPUT_WANT }; /* by name: ids, pos, want */

/* Where the elements of a param are in the checkpoint. Element (i_0, i_1, ...) of the param's axes, without `keyed`
 * ones, is at flat offset `base + sum i_a * stride[a]` of a stored tensor of shape dim[0..n_dims). */
struct stored {
	int64_t dim[8];
	int n_dims;
	int64_t base;
	int64_t *stride;  /* one for each axis; 0 for keyed ones */
	int64_t block[8]; /* elements along each dimension that share a scale; 0: no scales */
};

struct param {
	const char *name; /* wq */
	const char *path; /* layer.attn.wq: regions and name */
	int value, region;
	int *axes, n_axes;
	enum dtype dtype;    /* as stored on the device */
	const char *key;     /* model.layers.{layer}.mlp.experts.{expert}.w1.weight; Strings filled in */
	int *keyed, n_keyed; /* axes in the key: {expert} */
	struct stored stored;
	bool in_loop;    /* one param for each turn of `body`; the key has the loop's {index}, or {index*2+1} */
	int body;        /* index into program.bodies, or -1 */
	bool contracted; /* read by a contraction */
	struct span span;
};
struct state {
	const char *name, *path;
	int value, region;
	int *axes, n_axes; /* [batch, ctx, ...] */
	enum dtype dtype;  /* as stored */
	bool in_loop;
	int body;
	struct span span;
};
struct output {
	const char *name;
	int value;
	struct span span;
};

/* One variant of a loop's body: values[begin, end), carries first. Turns of the loop that come out the same share it; a
 * model of equal layers has one. */
struct body {
	int begin, end, loop; /* loop: index into program.loops */
	int64_t turns;
};
/* A `repeat`. The turns of all loops are numbered in the order of the text, and so are their bodies. */
struct loop {
	int axis;          /* layers */
	const char *index; /* layer: its name in keys */
	int region;
	int begin, end; /* values of all its bodies */
	int first_body, n_bodies;
	int64_t first_turn, turns;
	struct span span;
};

/* What the checkpoint's config.json must say. */
struct config_entry {
	const char *name; /* rope_parameters.rope_theta */
	enum config_type type;
	bool b;
	int64_t i;
	double f;
	const char *s;
	const char *field;  /* text of the expression, `rope_theta`: entries with equal texts have one value; the name if it
	                       is a literal */
	const char *absent; /* what a file without the name means, or NULL */
	bool absent_holds;  /* `absent` is the value that the entry expects */
	bool null_differs;  /* absence means a constant, which null in the file removes */
	struct span span;
};

struct name_list {
	const char **at;
	int n, cap;
};

struct program {
	const char *model;
	VEC(struct axis) axes;
	VEC(struct region) regions;
	VEC(struct value) values;
	VEC(struct op_call) calls;
	VEC(struct param) params;
	VEC(struct state) states;
	VEC(struct output) outputs;
	VEC(struct config_entry) config;
	struct name_list harmless;    /* fields of config.json that change nothing, including nested ones */
	struct name_list unused;      /* globs: stored tensors that need not be read */
	VEC(struct name_list) copies; /* stored tensors that must equal the first of their list */
	VEC(struct loop) loops;       /* in the order of the text */
	VEC(struct body) bodies;
	VEC(int) body_of;                        /* by turn */
	int input_value[3];                      /* by enum input_kind; -1: missing */
	int batch, seq, ctx, row, vocab, layers; /* axes of the schema Decoder; -1: missing */
	int64_t max_ctx;
};

/* Text dump (--emit=dag): axes, params, states, then one value per line. No addresses: it is the same in every run. */
void program_print(const struct program *p, FILE *out);
/* Checks that operands come before uses, axes fit the ops, and keys are complete. NULL, or what is wrong (an internal
 * error). */
const char *program_check(const struct program *p, struct arena *arena);
bool axis_among(const int *axes, int n, int axis);                 /* is it one of n axes? */
int axis_root(const struct program *p, int axis);                  /* follows `like` */
bool axis_is_within(const struct program *p, int axis, int whole); /* is it `whole`, or a part of it (`concat`)? */
int program_body(const struct program *p, int value);              /* the body that contains the value, or -1 */
int program_loop(const struct program *p, int value);              /* the loop that contains the value, or -1 */
#endif
