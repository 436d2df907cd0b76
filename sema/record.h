/* What the files that make records share: record.c, record_build.c, record_eval.c. */
#ifndef DEPLOYC_RECORD_H
#define DEPLOYC_RECORD_H
#include "internal.h"

/* Lays the items of a layer into the record's fields. `quiet`: the layer is inherited, its mistakes were reported. */
void record_lay(struct record *r, struct layer *l, bool quiet);
void report_no_field(struct record *r, const char *name, struct span at);

/* One more layer on top. */
void record_push(struct record *r, struct layer *l);
struct record *record_new(struct sema *s, const char *kind, const char *name, struct span at);
/* The scope in which the text of a layer is evaluated for the record that is made of it (late binding). */
struct scope *record_scope(struct record *r, struct layer *l);
struct scope *module_scope(struct sema *s, struct module *m);
struct layer *layer_new(struct scope *scope, struct nodes items, enum layer_kind kind, const char *name,
                        struct span at);
struct record *map_new(struct record *outer, struct sema *s, const struct node *type, struct module *m, struct span at);

/* `7B` where a number of parameters, or just a number, is meant (E0305). false: that is not what is written there. */
bool report_billions(struct sema *s, struct span at, bool params);
/* Every schema that a type names is there. */
void check_type_names(struct sema *s, const struct node *t, struct module *m);

bool record_is_map(const struct record *r);
bool type_is(const struct node *type, const char *name);     /* a type `name(...)`, optional or not */
bool type_is_schema(const struct node *type);                /* not Int, Data, List(T) ...: a record may fit it */
const struct node *type_arg(const struct node *type, int i); /* NULL if there are fewer */

/* The fields of r that an expression names, in the order of the text. */
struct field_list {
	struct field **at;
	int n, cap;
};
void fields_in(struct record *r, const struct node *e, struct field_list *out);
#endif
