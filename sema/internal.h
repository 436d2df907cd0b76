/* What the files of sema/ share. Order of the pipeline: module, record, value/eval, program (tensors), deploy (mesh,
 * rules, goals). */
#ifndef DEPLOYC_SEMA_INTERNAL_H
#define DEPLOYC_SEMA_INTERNAL_H
#include "sema.h"
#include "../lexer/units.h"
#include "../parser/parser.h"

struct module;
struct record;
struct scope;
struct def;

/* ---- values of the record language ----------------------------------------------------------- */
enum vkind {
	V_BAD, /* an error was reported; whatever uses it is silently V_BAD */
	V_NONE,
	V_BOOL,
	V_INT,
	V_FLOAT,
	V_QUANTITY, /* .f in base units, .dims not all zero */
	V_STRING,
	V_SYMBOL /* value of an enum, or a Region path */,
	V_DTYPE,
	V_RANGE, /* .range[0], .range[1] */
	V_LIST,
	V_RECORD /* schemas too */,
	V_DEF /* op, block, builtin */,
	V_MODULE,
	V_AUTO,    /* .list: choices, may be empty */
	V_UNKNOWN, /* a metric that this version cannot compute: .name; any expression with one is unknown */
	V_AXIS,    /* .axis, inside programs */
	V_TENSOR   /* .tensor: index into program.values */
};
struct val {
	enum vkind kind;
	union {
		bool b;
		int64_t i;
		double f;
		const char *name;
		enum dtype dtype;
		struct val *range;
		struct {
			struct val *at;
			int n, all /* with those in lists in it */;
		} list;
		struct record *record;
		struct def *def;
		struct module *module;
		int axis, tensor;
	};
	struct dims dims;
};
struct val val_int(int64_t i), val_float(double f), val_bool(bool b), val_bad(void), val_none(void);
bool val_number(struct val v, double *out); /* Int, Float, Quantity: its magnitude */
const char *val_data_text(struct arena *a,
                          double bytes); /* "23.95 MiB": in the largest unit with a whole number in front */
const char *val_exact(
	struct arena *a,
	struct val v); /* all digits, in base units, of what val_show rounds; NULL: it does not, or is Data */
const char *val_show(struct sema *s, struct val v);      /* "74.51 GiB", "46.7 Gparam", "Mixtral_8x7B" */
const char *val_kind_text(struct sema *s, struct val v); /* "Int", "Data", "a list": what a type would be called */
struct val val_quantity(double f, struct dims dims);     /* a Float where the dimensions cancel */
struct val val_unknown(const char *name);
struct val val_list(struct val *at, int n);
struct val bounded_list(struct sema *s, struct val *at, int n, struct span where); /* E0007 beyond a million elements */
bool val_equal(struct val a, struct val b); /* numbers within 1e-12 of each other are equal */
bool dims_equal(struct dims a, struct dims b);
bool dims_named(const char *name, struct dims *out); /* "Bandwidth" */

/* ---- modules --------------------------------------------------------------------------------- */
/* a declaration of a module */
struct def {
	const char *kind, *name;
	const struct node *node;
	struct module *module;
	struct record *record;
	bool busy, failed; /* records are elaborated on first use */
	bool called;       /* a block or an op that some text calls */
};
/* Neither def nor module: the import failed, which was reported; its uses are V_BAD. */
struct binding {
	const char *name;
	struct def *def;
	struct module *module;
	struct span span;
};
struct module {
	const char *label, *file, *folder;
	uint32_t source;
	struct nodes items;
	VEC(struct binding) names; /* own declarations and imports */
	VEC(struct def *) own;
	struct index name_index, own_index;
	bool loading, is_std;
	bool partial; /* some item did not parse: a name that is missing may stand in it */
};
struct embedded {
	const char *name;
	const unsigned char *text;
	unsigned long size;
};
extern const struct embedded stdlib[]; /* the library, ended by a NULL name; "decoder" is std.decoder */

struct module *module_std(struct sema *s, const char *name /* "core" */, struct span use);
bool def_is_program(const struct def *d);                   /* an op, a block or a builtin: no record */
struct def *module_own(struct module *m, const char *name); /* declared there, not imported; NULL */
struct binding *module_find(struct sema *s, struct module *m,
                            const char *name); /* std.core's names are known everywhere */

/* ---- records --------------------------------------------------------------------------------- */
enum layer_kind { LAYER_SCHEMA, LAYER_HEAD /* may declare fields */, LAYER_REFINE /* may not */ };
struct layer {
	struct nodes items;
	struct scope *scope;
	struct module *module;
	enum layer_kind kind;
	const char *name;
	struct span span;
	bool in_deploy;
};

enum field_sort {
	FIELD_PLAIN,
	FIELD_AXIS,
	FIELD_MESH,
	FIELD_VIEW /* axis b like a, ragged, concat, dynamic */,
	FIELD_DERIVED,
	FIELD_ELEMENT /* `level nvlink { }`: named element of the list field .list */
};
struct field_set {
	bool is_sub;
	const struct node *value;
	struct nodes body;
	struct layer *layer;
	struct span span;
	const struct place *place;
};
struct field {
	const char *name;
	enum field_sort sort;
	const struct node *type; /* N_TYPE or NULL */
	const struct node *init; /* default, derived value, or (FIELD_VIEW) the N_NAMED item */
	struct layer *layer;
	struct span span;
	const struct place *place;
	bool place_own;
	const char *list;
	VEC(struct field_set) sets;
	enum { FIELD_NEW, FIELD_BUSY, FIELD_DONE } progress;
	struct val value;
	struct span value_span;
};
struct placed {
	const struct node *item;
	struct layer *layer;
	const char *region, *phase, *klass;
	struct span region_span; /* where `at region` names it */
};
struct record {
	const char *kind, *name;
	struct sema *sema;
	VEC(struct layer *) layers;
	struct record *outer;
	VEC(struct field *) fields; /* in the order of declaration */
	struct index index;         /* of `fields` */
	VEC(struct placed) program; /* let param state input output repeat when return */
	VEC(struct placed) rules,
		requires,
	goals;
	const struct node *element;
	struct module *element_module; /* kind "map": the type of its values, or NULL */
	int derived;                   /* records that it is derived from, one from another */
	bool checked, bad;
	bool partial;     /* some item was refused: what is missing may stand in it */
	bool misnamed;    /* a field that it has not was set: another may be unset for that */
	struct span span; /* where it is named */
};
struct field *record_field(struct record *r, const char *name);
/* The value of a field, evaluated in the most derived record, memoized; V_BAD after a report (E0202, E0206 ...). */
struct val record_get(struct record *r, const char *name, struct span use);
struct record *record_refine(struct record *base, struct layer *layer);
/* Every field has a value of its type, every precondition holds. false: something was reported. `family`:
 * E0202 is not. */
bool record_check(struct record *r, bool family);
struct record *def_record(struct sema *s, struct def *d);
bool record_is(struct record *r, const char *schema);                               /* made from that schema */
struct record *type_schema(struct sema *s, const struct node *t, struct module *m); /* NULL after a report */

/* ---- scopes and expressions ------------------------------------------------------------------ */
struct scope {
	struct scope *parent;
	struct module *module;
	struct sema *sema;
	struct record *record; /* fields of this record are names here, or NULL */
	/* A walk over a tensor program adds these two; NULL elsewhere. lookup: true if the name is known here. expr: true
	   if it gave the value of `e` (tensor operators, calls of ops and blocks), false to let scalar evaluation go on. */
	bool (*lookup)(struct scope *, const char *name, struct span use, struct val *out);
	bool (*expr)(struct scope *, const struct node *e, const struct node *expect, struct val *out);
	void *walk;
};
/* Evaluates; `expect`: an N_TYPE that decides enum symbols and regions, or NULL. V_BAD after a report. */
struct val eval(struct scope *s, const struct node *e, const struct node *expect);
const char *dotted_name(struct arena *a, const struct node *e); /* `a.b.c` as text; NULL: not a chain of names */
bool scope_find(struct scope *s, const char *name, struct span use,
                struct val *out); /* innermost first, then the module */
/* Scalar arithmetic and comparison with dimensions: E0302, E0203 at `at`. */
struct val arith(struct sema *s, enum bin_op op, struct val a, struct val b, struct span at);
/* Does v fit type t? Otherwise reports E0301 or E0203, naming `what`. */
bool check_type(struct sema *s, struct val v, const struct node *t, struct module *scope, const char *what,
                struct span at, struct span declared);
/* The edit that gives the number at `at` the usual unit of a type; false: it is no number as written, or the type has
 * none. */
bool offer_unit(struct sema *s, struct diag *d, const char *type, struct span at);
/* The edit where an Int is wanted and 8.0 or "8" stands. */
void offer_int(struct sema *s, struct diag *d, struct val v, struct span at);
const char *type_text(struct sema *s, const struct node *t);
void report_unknown_name(struct scope *s, const char *name, struct span at); /* E0101 with a suggestion */

/* diag_report, but a mistake that was reported before is given as a copy that is not printed: labels are added once. */
struct diag *sema_report(struct sema *s, enum diag_code code, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- references (refer.c): nothing is recorded without the option, nor where the name is not written ---- */
void refer(struct sema *s, struct ident use, struct span definition, enum reference_kind kind);
void refer_def(struct sema *s, struct ident use, const struct def *d);
void refer_field(struct sema *s, struct ident use, const struct field *f);
void refer_binding(struct sema *s, struct ident use, const struct binding *b);
void refer_module(struct sema *s, struct ident use, const struct module *m); /* without an alias */

/* ---- tensor programs ------------------------------------------------------------------------- */
/* Walks the model's program once: types it and builds the global DAG. NULL after a report. Memoized per record. */
struct program *walk_model(struct sema *s, struct record *model, struct span use);
/* Checks an op or a block of the module on its own as far as its signature allows (E0911, E0912, E0004). */
void walk_declaration(struct sema *s, struct def *d);
/* Reports mistakes in a block or an op that nothing has called: after all models are walked. */
void walk_alone(struct sema *s, struct def *f);

/* ---- deployments ----------------------------------------------------------------------------- */
struct deploy *deploy_check(struct sema *s, struct record *r, struct def *d);

struct walked {
	const struct record *model;
	struct program *program;
}; /* program NULL: something was reported */

struct sema {
	struct arena *arena;
	struct names *names;
	struct sink *sink;
	const struct sema_options *options;
	VEC(struct module *) modules;
	struct module *main;
	VEC(struct deploy *) deploys;
	VEC(const struct node *) overrides; /* -D: N_SET items, applied to the deployments of `main` */
	VEC(const char *) roots;            /* folders that `use "file"` may reach: the main file's, each -I */
	struct loading *loading;            /* modules being read, innermost first */
	struct evaluating *evaluating;      /* fields being evaluated, innermost first */
	/* While a family is checked a field that is not set is V_UNKNOWN, and what depends on it is not remembered. */
	bool lenient, tainted;
	int within;                /* records that were checked within one */
	int making;                /* records that are being made, each for the one before */
	bool unwinding;            /* a record made of itself without end was reported: no field is evaluated */
	VEC(struct walked) walked; /* models whose programs were walked */
	VEC(struct reference) references;
	int *reference_slots, n_reference_slots; /* refer.c: a hash table of them */
};
#endif
