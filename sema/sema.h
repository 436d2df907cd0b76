/* tree -> checked program: modules, records with late-bound refinement, units, axes, tensor types, mesh and rules.
 * Knows nothing of LLVM, memory or cost. */
#ifndef DEPLOYC_SEMA_H
#define DEPLOYC_SEMA_H
#include "../parser/ast.h"
#include "../support/diag.h"
#include "../support/names.h"
#include "../support/stage_order.h"
#include "machine.h"
#include "program.h"

struct mesh_axis {
	const char *name;
	int64_t size;
	enum place_kind place;
	const char *level;
	struct span place_span;
	struct span span; /* where its size was set last (what to change) */
	struct span set;  /* the whole of it, `tp = 8`; empty where no refinement sets it in a file of the author's */
};
enum phase { PHASE_PREFILL, PHASE_DECODE, PHASES, PHASE_ANY = -1 };
const char *phase_name(int phase);
enum store_class { CLASS_ACTIVATION, CLASS_WEIGHT, CLASS_GRADIENT, CLASS_OPTIMIZER, CLASS_CACHE, CLASS_ANY = -1 };

struct rule {
	int *lhs, n_lhs;       /* axes of the program: `a * b -> ...` is an ordered product, major first */
	int *target, n_target; /* mesh axes, major first; none: un-placed */
	const char *region;    /* label, "residual", or NULL for everywhere */
	int phase, klass;      /* PHASE_ANY, CLASS_ANY */
	bool own;              /* written in the deployment, not in a template */
	bool ours;             /* written in a file of the author's, not in the library */
	struct span span, target_span;
};

struct workload {
	int64_t batch, seq_lo, seq_hi, output_hi, chunk, rows, page, cache;
	bool training;
	struct span span; /* the deployment's `workload` */
	struct span seq_span, batch_span, chunk_span, rows_span,
		cache_span;        /* where each was set by the author, else `span` */
	struct span cache_set; /* as of a mesh axis */
};
/* Positions of the longest sequence: the last token that is generated is not read back; at least one is generated. */
int64_t workload_longest(const struct workload *w);

struct deploy {
	const char *name;
	struct span name_span;
	struct program *program;
	const char *model_name, *plan_name;
	struct machine machine;
	VEC(struct mesh_axis) mesh; /* outermost first */
	int64_t gpus;
	bool known;             /* no `auto` in mesh or gpus */
	VEC(struct rule) rules; /* inert ones left out, later ones have replaced earlier ones of the same key */
	struct workload work;
	int64_t microbatches;
	struct span microbatches_span, microbatches_set; /* set: as of a mesh axis */
	enum pipeline_order order;
	struct span schedule_span; /* pipeline { schedule = interleaved } */
	int64_t *stages;
	int n_stages;
	struct span stages_span, stages_set; /* layers of each stage; NULL: even */
	double moe_capacity;
	bool reduce_f32; /* comm { reduce = f32 } */
	bool needs_training, has_auto;
	struct span auto_span;  /* build refuses these */
	bool refused;           /* an error was reported: no plan is made, the totals of the model hold */
	bool headroom_required; /* a `require` or `assert` speaks of memory.headroom */
	struct record *record;  /* for goals (planner/goals.c) */
};

struct sema; /* one compilation's modules and records */

struct sema_options {
	const char *const *include;
	int n_include; /* -I */
	struct suggestion *set;
	int n_set;                /* -D model.layers=4: refines the deployment, its value parsed as an expression */
	bool references;          /* record them: sema_references */
	struct overlays overlays; /* texts in place of those of files, the main one among them */
};
struct sema *sema_new(struct arena *arena, struct names *names, struct sink *sink, const struct sema_options *o);

/* Loads `path`, or standard input if it is "-", its imports, checks every declaration. false: the file could not be
 * read (errno). */
bool sema_load(struct sema *s, const char *path);
/* The deployments of the loaded file, in order. One whose model or workload has errors has program == NULL; nothing
 * further is checked for it. */
struct deploy **sema_deploys(struct sema *s, int *n);
/* The items of the loaded file, as written, and its number among the sources. */
struct nodes sema_items(struct sema *s);
uint32_t sema_source(struct sema *s);
/* What a model of the loaded file is; NULL for a family, of which some field is not set, and where something was
 * reported. */
struct program *sema_model(struct sema *s, const char *name);

/* A use of a name and its definition, as the look-up found them: for "go to definition" and renaming. Both spans are of
 * the name alone, and their texts are equal; of a module without an alias, `definition` is the empty span at the
 * start of its file. What no look-up met is missing: text in a branch of `when` that is not taken, names in strings. A
 * use in a template may have several definitions, one for each model. */
enum reference_kind {
	REFERENCE_MODULE,
	REFERENCE_DECLARATION, /* model, op, schema ... */
	REFERENCE_FIELD,
	REFERENCE_AXIS,
	REFERENCE_MESH_AXIS,
	REFERENCE_LEVEL,  /* a named element of a list field: `level nvlink` */
	REFERENCE_LOCAL,  /* of a program: let, param, state, input, a parameter, a loop's index */
	REFERENCE_REGION, /* the label of a call or a loop */
	REFERENCE_KINDS
};
struct reference {
	struct span use, definition;
	enum reference_kind kind;
};
/* Those of all modules that were loaded, each pair once, in the order of the uses; none without the option. Valid until
 * more is checked. */
const struct reference *sema_references(struct sema *s, int *n);

/* The library: std.<name of module i>; NULL behind the last. Loading one is as loading its file. */
const char *sema_library(int i);
void sema_load_library(struct sema *s, int i);

/* Do the ranks of each line of an axis lie in one unit of so many devices? reach: the axis' stride times its size. */
bool deploy_inside(const struct deploy *d, int64_t reach, int64_t devices);

/* The values that give a deployment so many devices: of `gpus`, and of the field that its cluster grows by. Gives their
 * number, at most 2; 0: no value does. */
int deploy_devices(const struct deploy *d, int64_t gpus, struct arena *arena, struct suggestion *out);

/* The values for another size of a mesh axis: its own, and that of `dp` for what it leaves of the ranks. Gives their
 * number; 0: no axis is spare for the rest of the ranks. */
int deploy_resize(const struct deploy *d, struct arena *arena, int mesh_axis, int64_t size, struct suggestion out[2]);
/* Offers it as the edit of a report, with `dp` set to what that leaves of the ranks. false: the whole does not
 * hold with it. */
bool deploy_offer_size(const struct deploy *d, struct sink *sink, struct diag *diag, int mesh_axis, int64_t size);

/* The rule that places `axis` in `region` (3.2): the most specific by (phase, region depth, class). NULL: none, the
 * axis is replicated. Two of equal rank: E0504 is reported once and NULL given. phase PHASE_ANY sees only rules without
 * a phase. */
const struct rule *deploy_rule(const struct deploy *d, struct sink *sink, int axis, int region, int phase, int klass);
#endif
