/* Shared by the files of sema/. Order of the pipeline: module, record, value/eval, program (tensors), deploy (mesh,
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
	V_BAD, /* an error was reported; a value computed from it is V_BAD without another report */
	V_NONE,
	V_BOOL,
	V_INT,
	V_FLOAT,
	V_QUANTITY, /* .f in base units, .dims not all zero */
	V_STRING,
	V_SYMBOL /* value of an enum, or path of a region */,
	V_DTYPE,
	V_RANGE, /* .range[0], .range[1] */
	V_LIST,
	V_RECORD /* or schema */,
	V_DEF /* op, block or builtin */,
	V_MODULE,
	V_AUTO,    /* .list: choices; none: nobody listed them */
	V_UNKNOWN, /* .name: a metric that this version cannot compute; so is a value computed from it */
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
			int n, all /* with the elements of nested lists */;
		} list;
		struct record *record;
		struct def *def;
		struct module *module;
		int axis, tensor;
	};
	struct dims dims;
};
struct val val_int(int64_t i), val_float(double f), val_bool(bool b), val_bad(void), val_none(void);
bool val_number(struct val v, double *out);               /* Int, Float, Quantity: its magnitude */
const char *val_data_text(struct arena *a, double bytes); /* "23.95 MiB": in the largest unit that gives at least 1 */
const char *val_exact(struct arena *a,
                      struct val v); /* all digits, in base units; NULL: val_show does not round, or v is Data */
const char *val_show(struct sema *s, struct val v);      /* "74.51 GiB", "46.7 Gparam", "Mixtral_8x7B" */
const char *val_kind_text(struct sema *s, struct val v); /* "Int", "Data", "a list": its type in words */
struct val val_quantity(double f, struct dims dims);     /* a Float if the dimensions cancel */
struct val val_unknown(const char *name);
struct val val_list(struct val *at, int n);
struct val bounded_list(struct sema *s, struct val *at, int n, struct span where); /* E0007 beyond a million elements */
bool val_open(struct val v, struct val *out); /* no value is known, or one in a list is not: out is V_UNKNOWN */
bool val_equal(struct val a, struct val b);   /* numbers within 1e-12 of each other are equal */
bool dims_equal(struct dims a, struct dims b);
bool dims_named(const char *name, struct dims *out); /* "Bandwidth" */

/* ---- modules --------------------------------------------------------------------------------- */
/* A declaration of a module. */
struct def {
	const char *kind, *name;
	const struct node *node;
	struct module *module;
	struct record *record;
	bool busy, failed; /* records are elaborated on first use */
	bool called;       /* a block or op with a call somewhere */
};
/* A name of a module. Neither def nor module: the import failed with a report, so its uses are V_BAD. */
struct binding {
	const char *name;
	struct def *def;
	struct module *module;
	struct span span;
	const struct node *late; /* a `use` between files of the library, which module_find follows; else NULL */
};
struct module {
	const char *label, *file, *folder;
	uint32_t source;
	struct nodes items;
	VEC(struct binding) names; /* own declarations and imports */
	VEC(struct def *) own;
	struct index name_index, own_index;
	bool loading, is_std;
	bool partial; /* some item did not parse: it may declare a missing name */
};
struct embedded {
	const char *name;
	const unsigned char *text;
	unsigned long size;
};
extern const struct embedded stdlib[]; /* the library, terminated by a NULL name; "decoder" is std.decoder */

struct module *module_std(struct sema *s, const char *name /* "core" */, struct span use);
/* library.c: names and sources of a compilation begin with those of the library. */
void library_use(const struct library *l, struct names *names, struct sources *sources);
/* File i of `stdlib`, whose source has this number in such a compilation. false: it has to be parsed again. */
bool library_file(const struct library *l, int i, uint32_t *source, struct nodes *items);
bool def_is_program(const struct def *d);                   /* an op, a block or a builtin: no record */
struct def *module_own(struct module *m, const char *name); /* declared there, not imported; NULL */
struct binding *module_find(struct sema *s, struct module *m,
                            const char *name); /* names of std.core are known everywhere */

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
	bool place_in_deploy;
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
	struct span region_span, phase_span, klass_span; /* where `at`, `phase` and `store` name them */
};
struct record {
	const char *kind, *name;
	struct sema *sema;
	struct arena *arena; /* its memory, and that of its values */
	VEC(struct layer *) layers;
	struct record *outer;
	VEC(struct field *) fields; /* in the order of declaration */
	struct index index;         /* index of `fields` */
	VEC(struct placed) program; /* let param state input output repeat when return */
	VEC(struct placed) rules,
		requires,
	goals;
	const struct node *element;
	struct module *element_module; /* kind "map": module of the type of its values, or NULL */
	int derived;                   /* number of records in the chain that it is derived from */
	bool checked, bad;
	bool partial;     /* some item was rejected: it may set a missing field */
	bool misnamed;    /* an unknown field was set, perhaps a misspelling of one that is unset */
	struct span span; /* where it is named */
};
struct field *record_field(struct record *r, const char *name);
/* The value of a field, evaluated in the most derived record and memoized. V_BAD after a report (E0202, E0206 ...). */
struct val record_get(struct record *r, const char *name, struct span use);
struct record *record_refine(struct record *base, struct layer *layer);
/* Checks that every field has a value of its type and every precondition holds. false after a report. `family`: fields
 * may be unset (no E0202). */
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
	/* Set by a walk over a tensor program, else NULL. lookup: true if the name is known here. expr: true if it set the
	   value of `e` (tensor operators, calls of ops and blocks), false to leave it to scalar evaluation. */
	bool (*lookup)(struct scope *, const char *name, struct span use, struct val *out);
	bool (*expr)(struct scope *, const struct node *e, const struct node *expect, struct val *out);
	void *walk;
};
/* `expect`: an N_TYPE that enum symbols and regions are looked up in, or NULL. V_BAD after a report. */
struct val eval(struct scope *s, const struct node *e, const struct node *expect);
bool type_is(const struct node *type, const char *name);       /* is it the type `name(...)`, optional or not? */
bool type_is_schema(const struct node *type);                  /* a type for records: not Int, Data, List(T) ... */
bool function_is(enum function_place place, const char *name); /* is it in the table? (functions.c) */
const char *function_near(enum function_place place, const char *name); /* nearest_name among them */
const char *dotted_name(struct arena *a, const struct node *e); /* `a.b.c` as text; NULL: not a chain of names */
bool scope_find(struct scope *s, const char *name, struct span use,
                struct val *out); /* inner scopes first, the module last */
/* Scalar arithmetic and comparison with dimensions. Reports E0302, E0203 at `at`. */
struct val arith(struct sema *s, enum bin_op op, struct val a, struct val b, struct span at);
struct val negated(struct sema *s, struct val v, struct span at);
/* Does v fit type t? Otherwise reports E0301 or E0203, naming `what`. */
bool check_type(struct sema *s, struct val v, const struct node *t, struct module *scope, const char *what,
                struct span at, struct span declared);
/* Checks the form of a type of a field or of a number's parameter, and that the schemas in it exist. */
void check_type_names(struct sema *s, const struct node *t, struct module *m);
/* Offers the usual unit of a type for the number at `at`. false: there is no literal, or the type has no unit. */
bool offer_unit(struct sema *s, struct diag *d, const char *type, struct span at);
/* Offers an Int in place of 8.0 or "8". */
void offer_int(struct sema *s, struct diag *d, struct val v, struct span at);
const char *type_text(struct sema *s, const struct node *t);
void report_unknown_name(struct scope *s, const char *name, struct span at); /* E0101 with a suggestion */

/* The items of a source. What does not parse is repaired, which is a guess. */
struct nodes sema_parse(struct sema *s, uint32_t source);
/* diag_report, but a mistake that was reported before is returned as a copy that is not printed, so it gets no label
 * twice. */
struct diag *sema_report(struct sema *s, enum diag_code code, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- references (refer.c): recorded only with the option, and only if the name is written --------- */
void refer(struct sema *s, struct ident use, struct span definition, enum reference_kind kind);
void refer_def(struct sema *s, struct ident use, const struct def *d);
void refer_field(struct sema *s, struct ident use, const struct field *f);
void refer_binding(struct sema *s, struct ident use, const struct binding *b);
void refer_module(struct sema *s, struct ident use, const struct module *m); /* without an alias */
void refer_layer(struct record *r, const struct layer *l); /* the layer was put on top of the record */
/* The record that a body made: `at` is the span of the layer, the name or expression in front of the body's brace, or
 * the path of the field that it refines. Of several records, the one made last. NULL: none was made, or there is no
 * option. */
struct record *refer_body(const struct sema *s, struct span at);

/* ---- tensor programs ------------------------------------------------------------------------- */
/* Walks the model's program once: types it and builds the global DAG. NULL after a report. Memoized per record. */
struct program *walk_model(struct sema *s, struct record *model, struct span use);
/* Checks an op or a block of the module on its own as far as its signature allows (E0911, E0912, E0004). */
void walk_declaration(struct sema *s, struct def *d);
/* Reports mistakes in a block or an op without a call. Run after all models are walked. */
void walk_alone(struct sema *s, struct def *f);

/* ---- deployments ----------------------------------------------------------------------------- */
struct deploy *deploy_check(struct sema *s, struct record *r, struct def *d);
/* joint.c: several deployments that are planned together, after all deployments of the file are checked. */
bool kind_is_joint(const char *kind); /* "serve" */
struct joint *joint_check(struct sema *s, struct record *r, struct def *d);

/* A model in its form for training. */
struct trained {
	struct record *model, *form;
};
struct walked {
	const struct record *model;
	struct program *program;
}; /* program NULL: a report was made */

struct made {
	struct span at;
	struct record *record;
};

struct sema {
	struct arena *arena; /* for what is made now; `root` lives as long as the modules */
	struct arena *root;
	struct names *names;
	struct sink *sink;
	const struct sema_options *options;
	VEC(struct module *) modules;
	struct module **std; /* those of the library, by their place in `stdlib`; NULL: not open yet */
	struct module *main;
	VEC(struct deploy *) deploys;
	VEC(struct joint *) joints;
	VEC(const struct node *) overrides; /* -D: N_SET items, applied to the deployments of `main` */
	VEC(const char *) roots;            /* folders that `use "file"` may read from: the main file's, each -I */
	struct loading *loading;            /* modules being read, innermost first */
	struct evaluating *evaluating;      /* fields being evaluated, innermost first */
	/* While a family is checked, an unset field is V_UNKNOWN, and values that depend on it are not memoized. */
	bool lenient, tainted;
	int within;                /* records checked so far within the outermost one */
	int making;                /* depth of records being made, each for the previous one */
	bool unwinding;            /* a record that contains itself was reported: evaluate no more fields */
	bool guessed;              /* wrong text or an unknown import was read as what was probably meant */
	VEC(struct walked) walked; /* models whose programs were walked */
	VEC(struct trained) trained;
	VEC(struct reference) references;
	int *reference_slots, n_reference_slots; /* refer.c: a hash table of them */
	VEC(struct made) made;                   /* refer.c: records by the bodies that made them, outside the library */
};
#endif
