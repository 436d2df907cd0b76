/* Shared by the files of engines/. */
#ifndef DEPLOYC_ENGINES_INTERNAL_H
#define DEPLOYC_ENGINES_INTERNAL_H
#include "engines.h"

/* A word of a command line or file, after quotes and variables. */
struct word {
	const char *text;
	struct span at;      /* where it is written */
	const char *missing; /* what it needs and the text does not say: "$DATA_PATH"; else NULL */
};
struct words {
	struct word *at;
	int n, cap;
};

/* A flag, or a key of a file, with its value. */
struct said {
	const struct flag *flag;
	const char *name; /* as it is written: `-tp`; of a file, the key */
	struct span at;
	struct word value; /* of a switch "true" or "false", where the flag is; of several words the first */
	bool in_file;      /* of a file that a command line names: the command line overrides it */
};

enum { MAX_FROM = 1 << 20 }; /* bytes of a command line or file */

/* What is imported. */
struct request {
	struct arena *arena;
	struct names *names;
	struct sink *sink;
	const struct engine_options *options;
	enum flag_program program;
	struct span command; /* the words that name the program */
	VEC(struct said) said;
	VEC(struct word) unclaimed; /* words that belong to no flag */
	struct words environment;   /* NAME=VALUE before the command */
	VEC(const char *) beside;   /* flags that change no plan, as they are written */
	int depth;                  /* of files that name each other */
};

/* ---- shell.c --------------------------------------------------------------------------------- */
/* A command of a script: its words, variables replaced, and the assignments before it. */
struct command {
	struct words words, environment;
};
/* The commands of a shell text, in order, with those inside `if`, loops and functions. E1001: a quote that is open. */
struct commands {
	struct command *at;
	int n, cap;
};
struct commands shell_commands(struct arena *arena, struct sink *sink, uint32_t source);

/* ---- command.c ------------------------------------------------------------------------------- */
/* Finds the program among the commands, and its flags. false after E1001. */
bool request_commands(struct request *r, struct commands c);
/* Adds a flag of the program, or reports W1005, W1006. The name starts with `-`. */
void request_say(struct request *r, struct said said);
void request_key(struct request *r, const char *path, struct word value, struct span at); /* of a file */

/* ---- file.c ---------------------------------------------------------------------------------- */
/* Adds the keys of a file, JSON, TOML or YAML by its ending. false after a report or a message. */
bool request_file(struct request *r, const char *path, struct span at);
bool request_source(struct request *r, const char *path, uint32_t source);
bool is_key_file(const char *path); /* does its ending say so? */

/* ---- value.c --------------------------------------------------------------------------------- */
/* The last flag with a meaning, of the command line before those of files; NULL: none. E1002: two differ. */
const struct said *said_of(struct request *r, enum flag_meaning m);
/* Its value. E1003: it is none of the kind, or below `min`. A missing flag is `otherwise`. */
int64_t said_count(struct request *r, enum flag_meaning m, int64_t min, int64_t otherwise);
double said_share(struct request *r, enum flag_meaning m, double otherwise); /* above 0, at most 1 */
const char *said_text(struct request *r, enum flag_meaning m);               /* NULL: a missing flag */
bool said_on(struct request *r, enum flag_meaning m);
/* Reports every number that is wrong. false: one is. */
bool check_values(struct request *r);
struct span said_at(struct request *r, enum flag_meaning m); /* of its value; of a missing flag the command */
void report_value(struct request *r, const struct said *s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* E1002: "`--a 3` and `--b 5`: text". Both flags are said. */
void report_clash(struct request *r, enum flag_meaning a, enum flag_meaning b, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* W1005 of a flag that is carried over in part. */
void report_part(struct request *r, enum flag_meaning m, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- the spec -------------------------------------------------------------------------------- */
struct draft {
	struct request *request;
	const char *model_text;    /* a `model` of its own before the deployment; NULL: a library's */
	const char *model;         /* its name */
	bool has_experts;          /* the model's */
	int64_t max_ctx, layers;   /* the model's */
	const char *cluster;       /* of std.clusters */
	const char *device;        /* its device, */
	double device_memory;      /* of so many bytes */
	VEC(const char *) formats; /* fields of the model that are set: "kv = fp8_e4m3" */
	const char *plan;          /* a template of std.plans */
	VEC(const char *) mesh;    /* "tp = 8" */
	VEC(const char *) rules;   /* the other items of the plan, each on a line of its own */
	int64_t ranks;             /* of the mesh */
	int64_t owners;            /* groups of sequences */
	const char *engine;        /* of std.engines */
	bool training;             /* the workload is `Training` */
	VEC(const char *) work;    /* its fields */
	double used;               /* share of a device's memory that the program takes; 0: what the cluster leaves */
	double fixed_share;        /* share that weights and cache take; 0: what is left */
	int64_t cache;             /* positions of the cache; 0: as many as fit */
	bool fills;                /* the cache takes what is left of the memory */
	int64_t page, longest, batch;
	const char *nodes;       /* the cluster's field for its size: "nodes = 2"; NULL: as it is */
	VEC(const char *) notes; /* lines of comment: what the command line does not say */
};

/* What is known of a model without its name. */
struct model_facts {
	const char *model;
	bool has_experts;
	int64_t max_ctx, layers;
	const char *device; /* of the machine */
	double device_memory;
	const char *checkpoint; /* a name of a checkpoint, or a path to fill in */
	const char *flags;      /* that name the model, with a space before each: of Megatron-LM its sizes */
};

/* ---- model.c --------------------------------------------------------------------------------- */
struct model_facts facts_of(struct arena *arena, const struct deploy *d, enum flag_program program);
/* Finds the model: a folder, a name, or a shape. false after a report (E1007) or a message. */
bool draft_model(struct draft *d);

/* ---- serving.c, training.c: what the flags say, as a draft. false after reports -------------- */
bool draft_serving(struct draft *d);
bool draft_training(struct draft *d);

/* ---- write.c --------------------------------------------------------------------------------- */
const char *draft_text(const struct draft *d);               /* of the spec */
void draft_overrides(const struct draft *d, struct text *t); /* plan and workload, as items of a deployment */
const char *draft_formatted(const struct draft *d);          /* in canonical form */

/* ---- same.c ---------------------------------------------------------------------------------- */
struct local;
/* What two plans of one model place on other ranks, in words; NULL: nothing. */
const char *layout_difference(struct arena *a, struct local *x, struct local *y);

/* ---- fit.c ----------------------------------------------------------------------------------- */
/* Reads the machine. false after a report: there is no such cluster (E1007). */
bool draft_machine(struct draft *d);
/* Decides what follows from the machine: its nodes, and the positions of a cache that takes what is left. */
void draft_fit(struct draft *d);
#endif
