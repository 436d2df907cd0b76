/* The walk over a tensor program: shared by walk_*.c.
 *
 * One walk follows the text from the model's first item through the bodies of the blocks and ops it calls, and appends
 * to `program`. A mistake is reported where it is and gives V_BAD; uses of V_BAD are not reported. */
#ifndef DEPLOYC_WALK_H
#define DEPLOYC_WALK_H
#include "internal.h"

struct axes {
	int *at;
	int n;
}; /* indices into program.axes; the array is never changed once made */

/* A name of a program. `carried`: a name from outside a `repeat` that its body rebinds. */
struct bound {
	const char *name;
	struct val val;
	struct span span;
	bool carried;
	int number; /* names that the walk had bound before */
};

/* Names of a model, a loop's body, a block, or an op while it is walked. */
enum env_kind { ENV_MODEL, ENV_LOOP, ENV_BLOCK, ENV_OP };
struct env {
	struct scope scope; /* scope.walk is this env */
	struct walk *walk;
	struct env *parent;
	enum env_kind kind;
	VEC(struct bound) names;
	struct index index;      /* index of `names` */
	struct span returned_at; /* span of the `return` that was walked */
	const struct call *call; /* the call of the block or op whose body this is, or NULL */
};

/* Blocks and ops being walked, innermost first. None may call itself. */
struct active {
	const struct def *def;
	const struct active *outer;
	int depth;
};

/* A number or truth that the walk computed from the index of the loop: a turn whose index gives the same ones has the
 * same values. text NULL: the index itself was used, so turns differ. */
struct decision {
	struct env *env;
	const struct node *text;
	struct val val;
	int number; /* names that had been bound: no later one is meant */
};

struct walk {
	struct sema *s;
	struct arena *arena;
	struct program *p;
	struct record *model; /* NULL: a block or op walked alone, with `act` for every format */
	enum dtype act;
	int region;               /* region of new values */
	int call;                 /* the op whose body is walked, or -1 */
	VEC(const char *) prefix; /* by region: its part of checkpoint keys, or "" */
	const struct active *active;
	int nested;                     /* calls made within the outermost one */
	bool failed;                    /* something was reported */
	int loop;                       /* the `repeat` that is walked: index into program.loops, or -1 */
	int bound;                      /* names bound so far, in all envs */
	VEC(struct decision) decisions; /* of the turn that is walked */
	int replayed;                   /* names bound before the decision that is made again; 0: none is */
	bool undecided;                 /* a name bound later hides the one that was meant */
};

/* ---- walk_model.c: models -------------------------------------------------------------------- */
struct env *env_new(struct walk *w, enum env_kind kind, struct env *parent, struct module *module);
int walk_region(struct walk *w, struct ident name, const char *prefix, bool is_loop_body);
/* The axis that `axis name tail` declares; -1 after a report. */
int walk_axis_declared(struct env *e, const struct node *item);
/* Evaluates a `require` of a program. false after E0205 at `at`: the precondition of `what` fails. */
bool walk_require(struct env *e, const struct node *item, const char *what, struct span at);

/* ---- walk_checkpoint.c ----------------------------------------------------------------------- */
/* `harmless`, `unused` and `copies` of the model. */
void walk_checkpoint(struct env *e);

/* ---- walk_item.c: items ---------------------------------------------------------------------- */
void walk_item(struct env *e, const struct node *item, struct val *returned);
/* The name of a param or state with its enclosing regions: layer.attn.wq */
const char *walk_path(struct walk *w, const char *name);
/* Walks all items. `returned`: the value of `return`, or V_NONE. */
void walk_body(struct env *e, struct nodes items, struct val *returned);
/* E0004: the item does not belong in a tensor program. */
void walk_unknown_item(struct sema *s, const struct node *item);
bool walk_knows_kind(const char *kind);
/* E0004: the item does not have the form of its kind. */
void walk_report_tail(struct walk *w, const struct node *item, const char *form);

/* ---- walk_loop.c: repeat --------------------------------------------------------------------- */
/* The index was read as a number in env `e`. */
void walk_index_read(struct env *e);
/* The value of `n` was computed, from what was read since there were `before` decisions. */
void walk_decided(struct env *e, const struct node *n, int before, struct val v);
void walk_repeat(struct env *e, const struct node *item);

/* ---- walk_param.c: params ------------------------------------------------------------------- */
void walk_param(struct env *e, const struct node *item);

/* ---- walk_key.c: names in checkpoints -------------------------------------------------------- */
/* Replaces {name} and {sum} in a checkpoint name. Axes in `own` stay, as {axis}, and are added to *keyed; so does the
 * loop's index, as {layer} or {layer*2+1}. NULL after E0409. */
const char *walk_fill_key(struct env *e, const char *text, struct axes own, struct axes *keyed, struct span at);
/* The prefixes of the enclosing regions, then the param's own text. */
const char *walk_full_key(struct walk *w, const char *own);

/* ---- walk_type.c: names, axes and types ------------------------------------------------------ */
struct tensor_type {
	enum value_type type;
	enum dtype dtype, storage;
	struct axes axes;
	int index_of, slot;
};

struct bound *env_find(struct env *e, const char *name); /* in this env alone */
/* Records a use of a name of the env. */
void env_refer(struct env *e, const struct bound *b, struct span use);
void env_bind(struct env *e, const char *name, struct val v, struct span at);
/* Binds a name that the text defines; E0106 if the env has it already. */
void env_define(struct env *e, struct ident name, struct val v);
int env_axis(struct env *e, const char *name);       /* -1: no such axis */
int env_need_axis(struct env *e, struct ident name); /* -1 after E0401 */
/* An enclosing item did not parse. It may declare a missing name, so that is not reported. */
bool env_partial(struct env *e);
/* Is arithmetic done in the format? Those under 16 bits only store. */
bool walk_computes(enum dtype t);
const char *axis_item_name(const struct node *item); /* the item is an N_AX or N_AX_REST */
/* The meaning of a type here. `by_default`: the field with the format of a type that names none. */
bool walk_tensor_type(struct env *e, const struct node *t, const char *by_default, struct tensor_type *out);

struct diag *walk_report(struct walk *w, enum diag_code code, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Offers "cast it": the edit puts `cast( , format)` around the text. */
void walk_offer_cast(struct walk *w, struct diag *d, struct span at, const char *format);
const char *walk_axes_text(struct walk *w, struct axes a); /* [batch, seq] */
const char *walk_type_text(struct walk *w, int value);     /* bf16[batch, seq] */
const char *walk_declared_text(struct walk *w, const struct tensor_type *t);
const char *walk_show(struct walk *w, struct val v); /* a tensor's type, or a scalar's value */

bool axes_have(struct axes a, int axis);
bool axes_same_set(struct axes a, struct axes b);
struct axes axes_add(struct walk *w, struct axes a, int axis);
struct axes axes_without(struct walk *w, struct axes a, struct axes gone);
struct axes value_axes(struct walk *w, int value);
int64_t axes_size(const struct program *p, struct axes a); /* 0: known at run time */

/* ---- walk_expr.c: values and the operators of the language ----------------------------------- */
struct value walk_value(struct walk *w, enum op op,
                        struct span at); /* a float in format act, without axes; nothing else is set */
void value_args(struct walk *w, struct value *v, const int *args, int n);
int walk_emit(struct walk *w, struct value v);
int walk_cast(struct walk *w, int value, enum dtype dtype, struct span at); /* the value itself if it has the format */
int walk_in_order(struct walk *w, int value, struct axes order, struct span at);

struct val walk_eval(struct env *e, const struct node *n, const struct node *expect);
struct val val_tensor(int value);
bool walk_hook(struct scope *s, const struct node *n, const struct node *expect, struct val *out);
bool walk_is_float(struct walk *w, struct val v);
/* Applies a pointwise operator; scalars among the operands become constants. */
struct val walk_pointwise(struct env *e, enum op op, const char *what, struct val *args, int n, const struct node *at);

/* ---- walk_ragged.c: ragged axes and their owners --------------------------------------------- */
/* Checks a value whose operands and axes are set: it has the owner of each of its ragged axes, and slots of one routing
 * only. false after E0415. */
bool walk_ragged(struct walk *w, const struct value *v);
/* Checks that the slots of a `route` are those of its experts, and hold its tokens only. false after E0415. */
bool walk_slots(struct walk *w, const struct value *route);
int walk_routing(struct walk *w, const struct value *v); /* the value for value.routing */

/* ---- walk_word.c: the words of a body (cast, sum, exp, size ...) ----------------------------- */
/* Evaluates f(args) for a word of the language; false: there is no such word, or scalar evaluation has it. */
bool walk_word(struct env *e, const char *f, const struct node *n, struct val *out);

/* ---- walk_call.c, walk_builtin.c, walk_block.c: calls ---------------------------------------- */
struct param_value {
	const char *name;
	const struct node *node; /* the N_PARAM */
	struct val val;
	struct span at;
	bool given, tensor;
};
struct axis_name {
	const char *name;
	int axis;
};
struct rest_name {
	const char *name;
	struct axes axes;
};
struct call {
	struct env *env;
	struct walk *w;
	struct def *f;
	const struct node *node; /* the N_CALL */
	const struct node *sig;  /* the N_NAMED that declares f */
	struct param_value *params;
	int n_params;
	struct index index;          /* index of `params` */
	VEC(struct axis_name) axes;  /* bindings of the signature's axis variables */
	VEC(struct rest_name) rests; /* bindings of its ...t */
	bool bad;                    /* an operand is V_BAD, and so is the result */
};
/* A call, with its label or NULL. The arguments are evaluated outside the label's region. V_NONE: a function of
 * scalars, left to scalar evaluation. */
struct val walk_call(struct env *e, const struct node *n, const struct node *label);
struct val walk_block_call(struct call *c);
/* Walks the body of an op in place of the call. Operands are matched; `result` has the type from the signature. */
struct val walk_inline(struct call *c, struct value result);
/* Emits a call of a builtin. Operands are matched; `result` has the type from the signature. */
struct val walk_builtin(struct call *c, struct value result);

struct param_value *call_param(struct call *c, const char *name);
int call_axis(struct call *c, const char *variable); /* -1: not bound */
struct axes call_rest(struct call *c, const char *variable);
void call_set_axis(struct call *c, const char *variable, int axis);
/* walk_match.c: binds every axis variable that the operands determine; false after a report. */
bool call_match(struct call *c);
/* Sets the type and axes of the call's value, from the signature. */
bool call_result_type(struct call *c, struct value *v);
struct idents block_axis_names(struct walk *w, const struct node *sig); /* axes that a block gets from its caller */
struct idents op_axis_names(struct walk *w, const struct node *sig);    /* axis variables of an op's signature */

/* ---- program_print.c ------------------------------------------------------------------------- */
void print_value_type(const struct program *p, const struct value *v, FILE *out);
void print_axes(const struct program *p, const int *axes, int n, FILE *out);
#endif
