/* The local level: what one rank runs. Layouts are inferred by look-up and forward rules (docs/language.md, Layouts and
 * collectives); every collective is a value of its own and names its cause. Shared by the files of dag/. */
#ifndef DEPLOYC_LOCAL_H
#define DEPLOYC_LOCAL_H
#include "dag.h"
#include "../support/names.h"

/* An ordered list of mesh atoms, major to minor. */
struct atoms {
	int at[MAX_GROUP_ATOMS], n;
};

/* Layout of a value: one list of atoms for each of its axes (in the order of its axes), and the atoms over which the
 * sum is still pending. Atoms that occur nowhere: replicated. An atom occurs at most once.
 *
 * A step packs [batch, seq]: `batch` counts owners of sequences, of which a rank has one or, gathered, several; `seq`
 * is an owner's packed tokens. Of the atoms that a region gives to `batch`, those from the first on that does not share
 * out whole owners cut those tokens as atoms of `seq` do, and are kept there, in front (canonical form). */
struct layout {
	struct atoms *axis;
	struct atoms pending;
};

enum local_op {
	LOCAL_OP /* what .source says */,
	LOCAL_CONST,
	LOCAL_ANGLES,
	LOCAL_ALL_REDUCE,
	LOCAL_REDUCE_SCATTER,
	LOCAL_ALL_GATHER,
	LOCAL_ALL_TO_ALL,
	LOCAL_SLICE,
	LOCAL_NARROW /* a sum that travelled in f32, to its format */,
	LOCAL_TO_PENDING /* an equal part of a bias, for a sum that is pending over .atoms */,
	LOCAL_OPS
};

struct local_value {
	enum local_op op;
	int source;        /* program value; for a collective, the one that is resharded */
	int *args, n_args; /* local values; -1: absent */
	int *axes, n_axes;
	enum dtype dtype;
	struct layout layout;
	enum step_section section;
	int body;   /* body: of the loop, for SECTION_LAYER */
	int region; /* of the operator that asked for it */
	/* collectives and slices */
	struct atoms atoms;
	int from, to;      /* axes (program), -1 where there is none */
	const char *cause; /* "o_proj: sum over kv_heads@tp" */
	/* dispatch, combine: atoms of the exchange (experts and tokens share them), and those that only filter */
	struct atoms exchange, filter, experts;
	const float *data;
	int64_t n_data; /* LOCAL_CONST */
};

/* A carried value in one body of the loop: its local values at the start and at the end of an iteration. */
struct loop_carry {
	int begin, next;
};

struct local_phase {
	VEC(struct local_value) values;
	int *of_program;                /* program value -> local value as its op left it; -1 */
	VEC(struct loop_carry) carries; /* of one body after the other */
	int logits, token;              /* outputs, -1 where the model has none */
};

struct local {
	struct arena *arena;
	struct names *names;
	struct sink *sink;
	const struct deploy *deploy;
	const struct program *program;
	VEC(struct atom) atoms;
	struct atoms owners;       /* atoms of `batch` in the states: who owns a sequence */
	struct atoms stages;       /* atoms of `layers` */
	VEC(int64_t) stage_layers; /* layers of each stage */
	struct local_phase phase[PHASES];
	bool *live;      /* program values that an output, a state or a carried value needs */
	double **folded; /* program values that depend on nothing: their elements, else NULL */
};

/* mesh.c */
bool mesh_refine(struct local *l);            /* atoms of the mesh, cut where product rules cut; E0506, E0507 */
int64_t common_divisor(int64_t a, int64_t b); /* the greatest */
int64_t atoms_size(const struct local *l, const struct atoms *a);
bool atoms_have(const struct atoms *a, int atom);
bool atoms_equal(const struct atoms *a, const struct atoms *b);
void atoms_add(struct atoms *a, int atom);
const char *atoms_text(const struct local *l, const struct atoms *a); /* "dp * tp.0" */

/* place.c: rule look-up */
/* Atoms of an axis in a region and phase for a class of tensors (docs/language.md, Plans); E0503, E0504, E0506 are
 * reported once. */
struct atoms place_axis(struct local *l, int axis, int region, int phase, int klass);
/* Is it `batch`, `seq` or `row`? Two of them number the rows of a value that has tokens. */
bool is_token_axis(const struct program *p, int axis);
/* Atoms of all axes of one operator or tensor, in canonical form; E0501 when two take the same atom. `whole`: axes that
 * stay whole. `what` names it for messages. */
struct layout place_axes(struct local *l, const int *axes, int n, const int *whole, int n_whole, int region, int phase,
                         int klass, const char *what, struct span at);
bool place_fixed(struct local *l);  /* params and states have one layout in all phases, blocks with a scale stay whole:
                                       E0508 to E0510 */
bool place_stages(struct local *l); /* `layers` over stages: E0901, E0902 */
void place_owners(struct local *l);
/* Owners whose sequences a rank has where `batch` is cut by these atoms; n: how many of them share out whole owners. */
int64_t owners_held(const struct local *l, const struct atoms *batch, int *n);
int64_t axis_local(const struct local *l, const struct local_value *v, int i); /* extent on a rank; 0: run time */

/* reshard.c */
/* The local value that is `value` in layout `want` (for the value's axes, in its order), by collectives if need be. */
int reshard(struct local *l, struct local_phase *ph, int value, const struct layout *want, int region, int user,
            const char *why);
/* The way of a value of n axes between two layouts: whether it gathers atoms and then slices by them, because their
 * order lets no all-to-all move them; and what a rank receives, in units of its part at the start. */
struct reshard_cost {
	bool detour;
	double traffic;
};
struct reshard_cost reshard_cost_of(struct local *l, int n, const struct layout *from, const struct layout *to);
struct atoms *layout_of(const struct local_value *v, int axis); /* NULL: the value has no such axis */

/* local_print.c: "[batch@dp, seq@(tp), d_model | +ep]" */
void local_layout_text(const struct local *l, const struct local_value *v, struct text *out);
/* fold.c */
void fold_constants(struct local *l);
/* live.c */
void mark_live(struct local *l);
#endif
