/* Records: shared by record.c, record_build.c and record_eval.c. */
#ifndef DEPLOYC_RECORD_H
#define DEPLOYC_RECORD_H
#include "internal.h"

/* Adds the items of a layer to the record's fields. `quiet`: the layer is inherited, and its mistakes were reported. */
void record_lay(struct record *r, struct layer *l, bool quiet);
void report_no_field(struct record *r, const char *name, struct span at);

/* Adds a layer on top. */
void record_push(struct record *r, struct layer *l);
/* The record of a declaration once more, refined by items of the command line. */
struct record *record_with(struct def *d, const struct node *const *items, int n);
struct record *record_new(struct sema *s, const char *kind, const char *name, struct span at);
/* The scope that evaluates the text of a layer for record r (late binding). */
struct scope *record_scope(struct record *r, struct layer *l);
struct scope *module_scope(struct sema *s, struct module *m);
struct layer *layer_new(struct scope *scope, struct nodes items, enum layer_kind kind, const char *name,
                        struct span at);
struct record *map_new(struct record *outer, struct sema *s, const struct node *type, struct module *m, struct span at);

/* Reports E0305 if `7B` is written where a number, of parameters or not, is meant. false: something else is written. */
bool report_billions(struct sema *s, struct span at, bool params);

bool record_is_map(const struct record *r);
const struct node *type_arg(const struct node *type, int i); /* NULL if there are fewer */

/* The fields of r that an expression uses, in the order of the text. */
struct field_list {
	struct field **at;
	int n, cap;
};
void fields_in(struct record *r, const struct node *e, struct field_list *out);
#endif
