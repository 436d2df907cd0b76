/* Words of other engines, and fields set in another record than their own. */
#ifndef DEPLOYC_FOREIGN_H
#define DEPLOYC_FOREIGN_H
#include "record.h"

enum home { HOME_DEPLOY, HOME_PLAN, HOME_WORKLOAD, HOME_MODEL, HOME_CLUSTER, HOMES, HOME_NOWHERE = HOMES };

/* How a value is taken over. */
enum how {
	HOW_AS_IS,
	HOW_PER_REPLICA, /* a count of each replica: times the replicas */
	HOW_CONTEXT,     /* positions of a prompt and its output together */
	HOW_MICROBATCH,  /* sequences of a microbatch: their number is asked for */
	HOW_FORMAT,      /* a name of a number format */
	HOW_CLAIM,       /* `ours` is an item, `%s` the value */
	HOW_RULE,        /* true: `ours` is an item of the plan */
	HOW_ZERO,        /* what a stage of ZeRO cuts */
	HOW_TEMPLATE,    /* true: another template is meant, `ours` */
	HOW_LEAVE_OUT,   /* `ours` says why it is not needed */
	HOW_DECIDE,      /* `ours` says what to decide */
};
struct foreign_word {
	const char *word, *engines; /* engines NULL: a word of this language */
	enum home home;
	const char *ours;
	enum how how;
	bool trains; /* it is a word of programs that train */
};

/* What is known of a word in any spelling (`--Max-Model-Len`), or NULL. */
const struct foreign_word *foreign_word(struct arena *a, const char *word);
/* Our name of a number format that other engines name so, `bfloat16`, or NULL. */
const char *foreign_format(const char *name);

/* foreign_name.c: names of the library that are meant by names from elsewhere. NULL: none. */
/* The model that is published as `org/Name-8B-Instruct` (support/published.def), or whose name has the same words. */
struct published_model {
	const char *name;     /* NULL: none */
	const char *settings; /* fields in which the checkpoint differs, "max_ctx = 32_768"; "": none */
	const char *stored;   /* how its weights are stored, if not in a format of the language; else NULL */
};
struct published_model foreign_model(struct sema *s, const char *name);
/* `Qwen2_5_7B { max_ctx = 32_768 }` */
const char *foreign_refined(struct sema *s, struct published_model m);
/* The public name of a library module that has all words of `name`: `DGX_H100` for `H100`. `kind` NULL: of any. */
const char *foreign_related(struct sema *s, struct module *m, const char *name, const char *kind);
/* The kind of record that the field of a deployment with the value `name` expects: "cluster"; NULL. */
const char *foreign_wanted(const struct module *m, const char *name);
/* The name that `-` and `.` cut in pieces: at `at` begins `Llama-3.1-8B`. *whole: all of it. NULL: no such. */
const char *foreign_dashed(struct sema *s, struct span at, struct span *whole);
/* The cluster of the library that is made of a device. */
const char *foreign_cluster(struct sema *s, const char *device);

/* Reports E0208 or E0201 for an item `word = value` of a layer of r, where r has no field of that name. false: nothing
 * is known of the word. */
bool foreign_report(struct record *r, const struct layer *l, const struct node *item);

/* foreign_edit.c: edits in the deployment around an item. */
struct surroundings {
	struct sema *sema;
	struct module *module;
	const struct node *item, *deploy; /* deploy NULL: the item is in none */
};
struct surroundings foreign_surroundings(struct sema *s, struct module *m, const struct node *item);
/* The item of the deployment that sets a field, `plan = ...`; NULL. */
const struct node *foreign_home_item(const struct surroundings *at, enum home home);
/* What its braces hold; none without braces. */
struct nodes foreign_body(const struct node *home_item);
/* The record that it refines, if it is declared under one name; NULL. */
struct record *foreign_base(const struct surroundings *at, const struct node *home_item);
/* Replaces the item by a text, or moves that text to its home; "" only removes the item. false: there is no place. */
bool foreign_replace(const struct surroundings *at, struct diag *d, const char *text);
bool foreign_move(const struct surroundings *at, struct diag *d, enum home home, const char *text);
/* Takes another template for the plan, and removes the item. */
void foreign_template(const struct surroundings *at, struct diag *d, const struct node *base, const char *name);
/* The edit that imports a name of the library: in the file's `use` of that module, else before its first `use`. */
struct edit foreign_import(struct sema *s, uint32_t file, const char *module, const char *name);
const char *foreign_source(const struct sema *s, struct span at); /* the text of a span */
const char *home_name(enum home home);
#endif
