/* The local level: what one rank runs. Layouts are inferred by look-up and forward rules (docs/language.md, Layouts and
 * collectives). Every collective is a value of its own and names its cause. Shared by the files of dag/. */
#ifndef DEPLOYC_LOCAL_H
#define DEPLOYC_LOCAL_H
#include "dag.h"
#include "../support/names.h"

/* An ordered list of mesh atoms, major to minor. */
struct atoms {
	int at[MAX_GROUP_ATOMS], n;
};

/* Layout of a value: one list of atoms per axis (in the order of the value's axes), and the atoms over which the sum is
 * still pending. An atom occurs at most once. Over an atom that does not occur, the value is replicated.
 *
 * A step packs [batch, seq]. `batch` counts owners of sequences: a rank has one or, where they are gathered, several.
 * `seq` is an owner's packed tokens. `batch`'s atoms divide the owners, up to the first atom that does not divide the
 * owners left. That atom and all later ones split each owner's tokens instead, and are stored in front of the atoms of
 * `seq` (canonical form). */
struct layout {
	struct atoms *axis;
	struct atoms pending;
};

enum local_op {
	LOCAL_OP /* the operation of .source */,
	LOCAL_CONST,
	LOCAL_ANGLES,
	LOCAL_ALL_REDUCE,
	LOCAL_REDUCE_SCATTER,
	LOCAL_ALL_GATHER,
	LOCAL_ALL_TO_ALL,
	LOCAL_SLICE,
	LOCAL_NARROW /* rounds a sum that was communicated in f32 to its format */,
	LOCAL_TO_PENDING /* a rank's equal part of a bias, for a sum pending over .atoms */,
	LOCAL_OPS
};

/* Atoms of an exchange with experts: those that tokens and experts share, those of experts only, all of experts. */
struct expert_atoms {
	struct atoms exchange, filter, all;
};

struct local_value {
	enum local_op op;
	int source;        /* program value; for a collective, the value it reshards */
	int *args, n_args; /* local values; -1: absent */
	int *axes, n_axes;
	enum dtype dtype;
	struct layout layout;
	int part, body; /* body: of a value in a loop */
	int region;     /* region of the operator that needs it */
	union {
		/* LOCAL_ALL_REDUCE .. LOCAL_SLICE; LOCAL_TO_PENDING, which has only atoms */
		struct {
			struct atoms atoms;
			int from, to;      /* program axes, or -1 */
			const char *cause; /* "o_proj: sum over kv_heads@tp" */
		} move;
		/* LOCAL_OP: OP_DISPATCH, OP_COMBINE */
		struct expert_atoms experts;
		/* LOCAL_CONST: in the order of the axes */
		struct {
			const float *data;
			int64_t n;
		} constant;
	};
};
/* Is it a collective or a slice? */
static inline bool local_is_move(const struct local_value *v)
{
	return v->op >= LOCAL_ALL_REDUCE && v->op <= LOCAL_SLICE;
}

/* A carried value in one loop body: its local values at the start and at the end of an iteration. `slot` numbers the
 * carried values of all loops; the bodies of a loop have the same. */
struct loop_carry {
	int begin, next, body, slot;
};

struct local_phase {
	VEC(struct local_value) values;
	int *of_program;                /* program value -> local value as its op left it, or -1 */
	VEC(struct loop_carry) carries; /* grouped by body */
	int logits, token;              /* outputs, or -1 */
};

struct local {
	struct arena *arena;
	struct names *names;
	struct sink *sink;
	const struct deploy *deploy;
	const struct program *program;
	VEC(struct atom) atoms;
	struct atoms owners;              /* atoms of `batch` in the states: they number the owners */
	struct atoms stages;              /* atoms of `layers` */
	VEC(struct stage_range) parts;    /* stages that run each part of a step */
	int unpadded;                     /* a program value that keeps `vocab` from being padded, or -1: see pad.c */
	VEC(int64_t) stage_layers;        /* layers of each stage */
	struct local_phase phase[PHASES]; /* of training: the forward pass, in both */
	bool *live;                       /* program values that an output, a state or a carried value needs */
	double **folded;                  /* elements of each program value that depends on nothing; else NULL */
};

/* mesh.c */
bool mesh_refine(struct local *l);            /* makes the atoms: mesh axes, cut by product rules; E0506, E0507 */
int64_t common_divisor(int64_t a, int64_t b); /* greatest common divisor */
int64_t atoms_size(const struct local *l, const struct atoms *a);
bool atoms_have(const struct atoms *a, int atom);
bool atoms_equal(const struct atoms *a, const struct atoms *b);
void atoms_add(struct atoms *a, int atom);
const char *atoms_text(const struct local *l, const struct atoms *a); /* "dp * tp.0" */

/* place.c: rule look-up */
/* Atoms of an axis in a region and phase for a class of tensors (docs/language.md, Plans). Reports E0503, E0504, E0506
 * once each. */
struct atoms place_axis(struct local *l, int axis, int region, int phase, int klass);
/* Is it `batch`, `seq` or `row`? A value with tokens has two of them, and they number its rows. */
bool is_token_axis(const struct program *p, int axis);
/* Atoms of all axes of one operator or tensor, in canonical form. Reports E0501 if two axes take the same atom.
 * `whole`: axes that stay whole. `what`: the operator or tensor, for messages. */
struct layout place_axes(struct local *l, const int *axes, int n, const int *whole, int n_whole, int region, int phase,
                         int klass, const char *what, struct span at);
bool place_fixed(struct local *l);  /* checks that params and states have one layout in both phases, and blocks with a
                                       scale stay whole: E0508 to E0510 */
bool place_stages(struct local *l); /* divides the layers of all loops among stages: E0901, E0902 */
int stage_of_layer(const struct local *l, int64_t layer);
/* Offers to cut the layers into these stages, "3, 2", if that repairs the mistake. why: follows in the help. */
enum { MAX_LISTED = 64 };
bool offer_stages(struct local *l, struct diag *g, const char *stages, const char *why);
void place_owners(struct local *l);
/* Number of owners whose sequences a rank has where `batch` is cut by these atoms. *n: how many of the atoms divide the
 * owners. */
int64_t owners_held(const struct local *l, const struct atoms *batch, int *n);
/* Elements of axis i of a value on a rank: of a padded axis, those of the ranks that have most. 0: set at run time. */
int64_t axis_local(const struct local *l, const struct local_value *v, int i);

/* Layout of a param's tensors of a class: where the plan's rules place the weight for computing, and, on axes that
 * these leave whole, where a rule `store weights`, `store gradients` or `store optimizer` places them. What stores
 * weights stores gradients too, and what stores gradients stores the optimizer's. */
struct layout place_stored(struct local *l, const struct param *p, int klass);

void report_padded(struct local *l); /* place.c: W0517 if the vocabulary is padded */
/* pad.c: the vocabulary, where the ranks that split it do not divide it */
int find_unpadded(const struct program *p); /* for local.unpadded */
/* May the axis be split so many ways, though they do not divide it? */
bool may_pad(const struct local *l, int axis, int64_t ways);
bool check_moves_of_padded(struct local *l); /* E0503: a value is moved along a padded axis */

/* reshard.c */
/* Returns the local value that holds `value` in layout `want`, whose axes are in the value's order. Adds collectives as
 * needed. */
int reshard(struct local *l, struct local_phase *ph, int value, const struct layout *want, int region, int user,
            const char *why);
/* Cost of resharding a value of n axes. detour: atoms are gathered, then sliced again, because their order rules out an
 * all-to-all. traffic: what a rank receives, relative to its initial shard. */
struct reshard_cost {
	bool detour;
	double traffic;
};
struct reshard_cost reshard_cost_of(struct local *l, int n, const struct layout *from, const struct layout *to);
struct atoms *layout_of(const struct local_value *v, int axis); /* NULL: the value has no such axis */
/* local.c: the atoms of a dispatch or combine; NULL: it is another value. */
const struct expert_atoms *experts_of(const struct local *l, const struct local_value *v);

/* train.c: the program whose forward pass a step of training runs. Values, axes, params and regions keep their
 * numbers. */
struct program *training_program(struct arena *a, const struct program *p);

/* local_print.c: "[batch@dp, seq@(tp), d_model | +ep]" */
void local_layout_text(const struct local *l, const struct local_value *v, struct text *out);
/* fold.c */
void fold_constants(struct local *l);
/* live.c */
void mark_live(struct local *l);
#endif
