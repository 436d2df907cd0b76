/* Tree -> checked program: modules, records with late-bound refinement, units, axes, tensor types, mesh and rules.
 * Knows nothing of LLVM, memory or cost. */
#ifndef DEPLOYC_SEMA_H
#define DEPLOYC_SEMA_H
#include "../parser/ast.h"
#include "../support/diag.h"
#include "../support/names.h"
#include "../support/stage_order.h"
#include "load.h"
#include "machine.h"
#include "program.h"

struct mesh_axis {
	const char *name;
	int64_t size;
	bool open; /* the size depends on what is open, and 1 stands for it */
	enum place_kind place;
	const char *level;
	struct span place_span;
	struct span span; /* where its size was set last: the span to change */
	struct span set;  /* the whole item `tp = 8`; empty if no user's file sets it */
};
/* PHASE_TRAIN scopes rules of the one program of training. The others are the step programs of inference. */
enum phase { PHASE_PREFILL, PHASE_DECODE, PHASES, PHASE_TRAIN = PHASES, PHASE_ANY = -1 };
const char *phase_name(int phase);
enum store_class { CLASS_ACTIVATION, CLASS_WEIGHT, CLASS_GRADIENT, CLASS_OPTIMIZER, CLASS_CACHE, CLASS_ANY = -1 };

struct rule {
	int *lhs, n_lhs;       /* axes of the program; `a * b -> ...` is an ordered product, major first */
	int *target, n_target; /* mesh axes, major first; none: un-placed */
	const char *region;    /* label, "residual", or NULL for everywhere */
	int phase, klass;      /* PHASE_ANY, CLASS_ANY */
	bool in_deploy;        /* in the deployment, not in a template */
	bool in_user_file;     /* in a user's file, not in the library */
	const void *body;      /* identity of the braces that it is written in */
	struct span span, target_span;
	struct choice *open; /* while a deployment is checked: of `-> auto`; else NULL */
};

/* What a rank keeps for each param in training, besides the weight. */
struct optimizer {
	enum dtype gradient; /* format in which gradients are added up */
	int64_t states;      /* moments for each param, */
	enum dtype moments;  /* in this format */
	bool has_master;     /* a copy of the weight in another format, */
	enum dtype master;   /* this one */
};

/* How tokens choose experts. */
struct expert_use {
	enum { EXPERTS_EVEN, EXPERTS_ZIPF, EXPERTS_SHARES } kind;
	double zipf;          /* the exponent */
	const double *shares; /* [n], of all choices: 0 or more, their sum is 1 */
	int n;
};

/* What a plan asks for to steer experts while it runs: costed, not honoured. */
struct expert_steering {
	int64_t copies; /* of the most used experts */
	bool by_load;   /* experts lie where the load is least, not in their order */
	double every;   /* s between moves; 0: they do not move again */
};

struct workload {
	int64_t batch, seq_lo, seq_hi, output_hi, chunk, rows, page, cache;
	struct lengths prompts, outputs; /* of Inference, as `arrivals`; an output has at least one token */
	struct arrivals arrivals;
	bool training;
	struct optimizer optimizer; /* of training, and the format in which its */
	bool has_products;          /* products multiply, if it is another than */
	enum dtype products;        /* that of activations */
	struct expert_use experts;
	struct span span;                                                    /* the deployment's `workload` */
	struct span seq_span, batch_span, chunk_span, rows_span, cache_span; /* where the user set each, else `span` */
	struct span cache_set;                                               /* as of a mesh axis */
};
/* Positions of the longest sequence. The last generated token takes none; at least one is generated. */
int64_t workload_longest(const struct workload *w);

/* Which communication runs beside computation: none; what has a stream of its own, as gradients at the end of a step;
 * parts of what a product waits for, too. */
enum overlap { OVERLAP_OFF, OVERLAP_STREAMS, OVERLAP_CHUNKS, OVERLAPS };

/* A field whose value `auto` leaves open. */
enum choice_kind {
	CHOICE_PART, /* the whole plan or cluster */
	CHOICE_MESH,
	CHOICE_GPUS,
	CHOICE_COUNT, /* an Int of the cluster: `nodes` */
	CHOICE_BATCH,
	CHOICE_CHUNK,
	CHOICE_PAGE,
	CHOICE_MICROBATCHES,
	CHOICE_VIRTUAL,
	CHOICE_RULE, /* where a rule of the plan places axes */
	CHOICE_OTHER
};
struct choice {
	const char *path; /* in the deployment: `plan.tp`, `plan.rule expert at moe` */
	enum choice_kind kind;
	struct span at;
	struct span text;    /* the value: `auto`, `auto in [4, 8]` */
	const char **values; /* that the text lists, or that its type has, as texts of the language */
	int n;               /* 0: there are none */
	bool whole;          /* these are all that its type has: the text lists none */
	bool computed;       /* `auto` is a part of an expression: no value can be set */
};

/* A part of a deployment as its text has it: `Megatron { pp = 2; at moe { expert -> ep } }`. */
struct part_item {
	const char *scope; /* "": none; "at moe", "phase decode { at moe", "pipeline" */
	const char *path;  /* of `path = value`, with those around it: "pipeline.schedule"; NULL: another item */
	const char *text;  /* in the scope */
};
struct part_text {
	const char *name;            /* NULL: it has none */
	VEC(struct part_item) items; /* without the rules that are left open */
};

struct deploy {
	const char *name;
	struct span name_span;
	struct program *program;
	const char *model_name, *plan_name;
	struct part_text plan_text, cluster_text;
	struct machine machine;
	VEC(struct mesh_axis) mesh; /* outermost first */
	int64_t gpus;
	bool known;             /* nothing is open. Where the whole plan or cluster is, `mesh` or `machine` is empty */
	VEC(struct rule) rules; /* without inert ones; of equal keys only the last */
	struct workload work;
	int64_t microbatches;
	struct span microbatches_span, microbatches_set; /* set: as of a mesh axis */
	enum pipeline_order order;
	bool zero_bubble;          /* asked for, and planned as PIPELINE_ONE_F_ONE_B, which takes no less time */
	int64_t chunks;            /* of the model on a stage: more than 1 only in training */
	struct span schedule_span; /* pipeline { schedule = interleaved } */
	int64_t *stages;
	int n_stages;
	struct span stages_span, stages_set; /* layers of each stage; NULL: even */
	double moe_capacity;
	struct expert_steering steering;
	bool reduce_f32; /* comm { reduce = f32 } */
	/* Settings of training. recompute: regions or values such as `layer.attn.o` */
	struct name_list recompute;
	enum overlap overlap;
	bool double_buffer;
	bool compressed; /* gradients are sent in another format, */
	enum dtype gradient_sent;
	bool needs_training, has_auto;
	struct span auto_span;      /* set: build rejects the deployment */
	VEC(struct choice) choices; /* what `auto` leaves open */
	bool refused;               /* an error was reported: no plan is made, but the totals of the model are valid */
	bool headroom_required;     /* a `require` or `assert` names memory.headroom */
	const struct engine
		*engine;           /* NULL only where the deployment's model, cluster, plan, workload or engine is wrong */
	struct record *record; /* for goals (planner/goals.c) */
	int first_report, end_report; /* of one that was loaded: its diagnostics in the sink */
};

/* Deployments that are planned together: `serve`, units of two of them that hand over caches; `share`, several that
 * hold memory on the same devices and take turns. */
enum joint_kind { JOINT_SERVE, JOINT_SHARE };
enum { SERVE_PREFILL, SERVE_DECODE, SERVE_SIDES }; /* members of a `serve` */
/* When the cache of a prompt is handed over: at its end, after each chunk, or after each layer of each chunk. */
enum send_when { SEND_WHOLE, SEND_CHUNKS, SEND_LAYERS, SEND_WHENS };
const char *send_when_name(enum send_when when);
struct joint_member {
	const struct deploy *deploy;
	struct span span;       /* where the text names it */
	int64_t units;          /* of it, side by side; 0: not stated */
	struct span units_span; /* where they are stated */
	double turn;            /* of a `share`: its share of the time; ABSENT: not stated */
};
struct joint {
	enum joint_kind kind;
	/* As goals see it: the name, the record, the cluster, the model and the workload of decode. It has no mesh, and is
	 * known once it is planned. */
	struct deploy *self;
	VEC(struct joint_member) members;
	double rate; /* sequences/s that arrive; ABSENT: not stated */
	struct span rate_span;
	struct link link; /* between the pools, of each device; bandwidth ABSENT: the levels of the cluster join them */
	enum send_when send;
	bool apart; /* the pools are on two clusters, each that of its deployment */
	bool known; /* no error was reported, and nothing is `auto`: it can be planned */
	bool open;  /* without an error, but something is `auto` */
};

struct sema; /* one compilation's modules and records */

struct sema_options {
	const char *const *include;
	int n_include; /* -I */
	struct suggestion *set;
	int n_set;                     /* -D model.layers=4: refines the deployment, its value parsed as an expression */
	bool references;               /* record references: sema_references */
	struct overlays overlays;      /* texts that replace those of files, also of the main file */
	const struct library *library; /* NULL: each compilation reads the files of the library that it needs */
};
/* library.c: reads all files of the library, for compilations that follow. It lives as long as the arena, and longer
 * than they do. */
const struct library *library_read(struct arena *arena);

/* With a library, names and sources are empty before. */
struct sema *sema_new(struct arena *arena, struct names *names, struct sink *sink, const struct sema_options *o);

/* Loads `path`, or standard input if it is "-", and its imports, and checks every declaration. false: the file could
 * not be read (errno). */
bool sema_load(struct sema *s, const char *path);
/* Was text that does not parse, or an import that does not exist, reported and read as what was probably meant? Then
 * checks go on, but a plan would be one of something else. */
bool sema_guessed(const struct sema *s);
/* The deployments of the loaded file, in order. If the model or workload has errors, program == NULL and nothing more
 * is checked. */
struct deploy **sema_deploys(struct sema *s, int *n);
/* What the loaded file plans together, in order. */
struct joint **sema_joints(struct sema *s, int *n);
/* A field of a part, or a rule of a plan, as an item there: `tp`, `rule expert at moe`. */
struct part_item sema_part_item(struct arena *a, struct suggestion value);
/* Items of a body as text; begins with an empty scope. Neighbours of one scope share it: "tp = 8; at moe { expert ->
 * ep; expert_ffn -> none }". */
struct part_items {
	struct text text;
	const char *scope;
};
void part_items_add(struct part_items *t, const struct part_item *item);
void part_items_end(struct part_items *t); /* closes the scope of the last item */
/* The value of a field as an item of a text of its own, to be given to sema_deploy_with any number of times. NULL after
 * a report. */
const struct node *sema_item(struct sema *s, struct suggestion value);
/* A deployment of the loaded file once more, with items on top of its text and of the -D. Modules are not loaded again.
 */
struct deploy *sema_deploy_with(struct sema *s, const struct deploy *d, const struct node *const *items, int n);
/* Deployments that are checked from now on, and what follows from them alone, are made in this arena. Returns the one
 * before; the first is that of sema_new. */
struct arena *sema_use(struct sema *s, struct arena *arena);
/* Forgets what was made in an arena, before that is freed. */
void sema_forget(struct sema *s, const struct arena *arena);
/* The items of the loaded file, as written, and its number among the sources. */
struct nodes sema_items(struct sema *s);
uint32_t sema_source(struct sema *s);
/* The program of a model of the loaded file. NULL after a report, and for a family: some field is unset. */
struct program *sema_model(struct sema *s, const char *name);

/* settings.c: a field of a deployment, or a rule of its plan, and its value as text; two texts are equal only if the
 * values are. `plan.tp`, `cluster.device.memory`, `rule kv_heads * q_group at attn`. Only fields that were evaluated
 * are listed: of a deployment without errors, all that have a value. */
struct deploy_setting {
	const char *path, *text;
};
const struct deploy_setting *sema_settings(const struct deploy *d, int *n);

/* A use of a name and its definition, as found by a look-up: for "go to definition" and renaming. Both spans cover the
 * name alone, and their texts are equal. For a module without an alias, `definition` is the empty span at the start of
 * its file. Names without a look-up are missing: those in strings, and in branches of `when` that are not taken. A use
 * in a template may have several definitions, one for each model. */
enum reference_kind {
	REFERENCE_MODULE,
	REFERENCE_DECLARATION, /* model, op, schema ... */
	REFERENCE_FIELD,
	REFERENCE_AXIS,
	REFERENCE_MESH_AXIS,
	REFERENCE_LEVEL,  /* a named element of a list field: `level nvlink` */
	REFERENCE_LOCAL,  /* in a program: let, param, state, input, a parameter, a loop's index */
	REFERENCE_REGION, /* the label of a call or a loop */
	REFERENCE_KINDS
};
struct reference {
	struct span use, definition;
	enum reference_kind kind;
};
/* References of all loaded modules, each pair once, in the order of the uses; none without the option. Valid until more
 * is checked. */
const struct reference *sema_references(struct sema *s, int *n);

/* Functions that the language has without a declaration (functions.def): of numbers and lists, of tensors, of what
 * goals ask for. Several of one name are several forms. */
enum function_place { IN_NUMBERS = 1, IN_PROGRAMS = 2, IN_GOALS = 4 };
struct function_form {
	unsigned places;
	const char *name, *params, *text; /* params: "x, over = axis" */
};
const struct function_form *sema_functions(int *n);
/* Axis variables of the signature of an op or a builtin that its operands may leave open: the call names their axes. */
struct idents sema_open_axes(struct arena *a, const struct node *signature);

/* The library: std.<name of module i>; NULL past the end. Loading a module works like loading its file. */
const char *sema_library(int i);
void sema_load_library(struct sema *s, int i);

/* Are ranks that differ only along an axis always in one unit of so many devices? reach: the axis's stride times its
 * size. */
bool deploy_inside(const struct deploy *d, int64_t reach, int64_t devices);

/* Values of `gpus`, and of the field that sets the size of the cluster, that give a deployment so many devices. Returns
 * their number, at most 2; 0: there are none. */
int deploy_devices(const struct deploy *d, int64_t gpus, struct arena *arena, struct suggestion *out);

/* Values for another size of a mesh axis: the size, and `dp` for what it leaves of the ranks. Returns their number; 0:
 * no axis can take the rest of the ranks. */
int deploy_resize(const struct deploy *d, struct arena *arena, int mesh_axis, int64_t size, struct suggestion out[2]);
/* Offers these values as the edit of a report. false: the deployment has errors with them. */
bool deploy_offer_size(const struct deploy *d, struct sink *sink, struct diag *diag, int mesh_axis, int64_t size);

/* The rule that places `axis` in `region`: the most specific by (phase, region depth, class). NULL: there is none, and
 * the axis is replicated; or two have equal rank, which is reported once (E0504). phase PHASE_ANY: only rules without a
 * phase count. */
const struct rule *deploy_rule(const struct deploy *d, struct sink *sink, int axis, int region, int phase, int klass);
#endif
