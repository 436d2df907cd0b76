/* Shared by the files of import/. */
#ifndef DEPLOYC_IMPORT_INTERNAL_H
#define DEPLOYC_IMPORT_INTERNAL_H
#include <jansson.h>
#include "import.h"
#include "../runtime/config_value.h"
#include "../sema/internal.h"

/* One line of a family's `config` record, in a branch that the file agrees with. */
struct entry {
	const char *name, *text;
	const struct node *value;
	bool there, is_null;
}; /* there: the file has it, other than as null */
/* A field of the model that the file decides. */
struct setting {
	const char *field, *text;
	bool is_number;
	double number;
	json_t *list;
};

/* A model that declares a `config` with a model_type. */
struct family {
	struct def *def;
	struct name_list types;         /* the model_type of files that it reads */
	struct name_list architectures; /* the `architectures` of these files; none: the family does not say */
};

struct import {
	struct arena *arena;
	struct sema *sema;
	const struct import_options *options;
	const char *source, *name;   /* the file; the model to make */
	json_t *root;                /* the file, or the object in it that is the language model */
	json_t *inner;               /* that object, with what the file decides for it; or NULL */
	VEC(struct family) families; /* families in folders first */
	struct def *family;
	struct record *record; /* the family's */
	VEC(struct entry) entries;
	VEC(struct setting) settings;
	VEC(const char *) left; /* `name = value` of the file that have no effect */
};

/* ---- json.c ---------------------------------------------------------------------------------- */
/* The value at a path like rope_parameters.rope_theta; NULL when absent or null. */
json_t *json_at(json_t *root, const char *path);
bool json_says_null(json_t *root, const char *path);
/* named: given on the command line, so a pipe is read too. */
json_t *json_read(struct arena *arena, const char *path, bool named); /* an object; NULL after a message */
const char *json_value_text(struct arena *arena, const json_t *v);    /* as in the file, on one line */
const char *json_deploy_text(struct arena *arena, const json_t *v);   /* as .deploy code; NULL: it has no such form */

/* ---- families.c ------------------------------------------------------------------------------ */
/* Fills m->families. false: a folder cannot be read (after a message), or a file in it has mistakes (in the sink). */
bool collect_families(struct import *m);
/* The items of a model's `config { }`, or of another map; none if it has no such map. */
struct nodes family_map(const struct node *model, const char *map);

/* ---- family.c -------------------------------------------------------------------------------- */
bool find_family(struct import *m); /* false after a message */

/* ---- entries.c ------------------------------------------------------------------------------- */
void collect_entries(struct import *m, struct nodes items);
/* Does the file agree with a literal? A value that is not a literal agrees with everything. */
bool literal_agrees(json_t *v, const struct node *literal);
bool is_literal(const struct node *value);
const char *node_text(struct import *m, const struct node *e);
const char *dotted(struct import *m, struct path p); /* rope_parameters.rope_theta */

/* ---- settings.c ------------------------------------------------------------------------------ */
struct setting *setting_of(struct import *m, const char *field);
bool is_field(struct import *m, const char *name);    /* is it a field that a refinement may set? */
bool is_optional(struct import *m, const char *name); /* may it be `none`? */
/* Can a field be *x? A quotient that misses an Int only by a rounding error is rounded to it. */
bool fits_field(struct import *m, const char *name, double *x);
/* Each decides a field. false: it is already decided, there is no such field, or the value cannot be written. */
bool set_json(struct import *m, const char *field, json_t *v); /* borrows v */
bool set_number(struct import *m, const char *field, double x);
bool set_text(struct import *m, const char *field, const char *text);
void assume(struct import *m, const struct node *condition, bool holds);
bool decoder_settings(struct import *m); /* length and formats; false after reports */
bool decoder_reads(const char *name);    /* does every family read the name? */

/* ---- solve.c --------------------------------------------------------------------------------- */
bool solve(struct import *m); /* false after reports: a field stays open */

/* ---- write.c --------------------------------------------------------------------------------- */
const char *write_model(struct import *m);
const char *out_folder(struct import *m); /* absolute: the folder to which `use "..."` is relative */
void find_left(struct import *m);

/* ---- compare.c ------------------------------------------------------------------------------- */
bool compare_with_file(struct import *m, const char *text); /* false after messages */
#endif
