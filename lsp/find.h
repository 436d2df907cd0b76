/* What stands at a place: items and expressions of the tree around it, and the records that they make. */
#ifndef DEPLOYC_LSP_FIND_H
#define DEPLOYC_LSP_FIND_H
#include "analysis.h"
#include "../sema/internal.h"

enum spot_kind {
	SPOT_ITEM,    /* where an item of a file or of a body begins */
	SPOT_VALUE,   /* in the value of a field */
	SPOT_CLAIM,   /* in what is required, asserted, preferred */
	SPOT_RULE,    /* in front of the arrow of a rule */
	SPOT_TARGET,  /* after it */
	SPOT_USE,     /* in the path of a `use` */
	SPOT_NAMES,   /* in its list of names */
	SPOT_LEVEL,   /* after `within` or `across` */
	SPOT_TYPE,    /* in a type */
	SPOT_PROGRAM, /* in the text of a model, an op or a block */
};
struct spot {
	enum spot_kind kind;
	const struct node *item;  /* the innermost item around the place; NULL: none */
	const struct node *outer; /* the declaration around it; NULL: none */
	const struct node *value; /* the innermost expression around it; NULL: none */
	struct record *record;    /* of the innermost body of a record around it; NULL: none, or it was not made */
	struct field *field;      /* SPOT_VALUE, or on the name in front of a value: the field that is set; or NULL */
	const struct node *type;  /* SPOT_VALUE: the type that is expected, or NULL */
	bool on_name;             /* it is on the name of the field */
	bool in_when;             /* in the items of a `when` */
	const char *scope;        /* the word of the scope of rules around it, `at`, `phase` or `store`; NULL: none */
};
struct spot spot_at(const struct analysis *a, uint32_t file, uint32_t offset);

/* The field that an item gives a value, and the value's expression. NULL: another item. */
const struct field *field_valued(const struct analysis *a, const struct node *item, const struct node **value);
/* Is this expression what gives a field its value? Not if -D, a lock or another deployment sets it. */
bool field_is_given_by(const struct field *f, const struct node *value);

/* A name: what it is defined as. Several definitions: in a template, one for each model that it is used with. */
enum { MAX_DEFINITIONS = 16 };
struct name_at {
	struct span here;
	struct span definition[MAX_DEFINITIONS];
	int n;
	enum reference_kind kind;
};
/* The name at a place, a use or a definition. false: none with a definition is there. */
bool name_find(const struct analysis *a, uint32_t file, uint32_t offset, struct name_at *out);
bool name_is_defined_as(const struct name_at *name, struct span definition);

/* The declaration with this name, in the module of that file. NULL: there is none. */
struct def *def_at(const struct analysis *a, struct span name);
/* The innermost item around a name where it is defined, or the parameter. NULL: none is there. */
const struct node *item_declaring(const struct analysis *a, struct span name);

/* Calls `each` with the nodes directly below x, in the order of the text. */
typedef void node_visit(void *context, const struct node *child);
void node_each_child(const struct node *x, node_visit *each, void *context);

/* The innermost items and expressions around a place, the outermost first: for selection ranges. Their number. */
enum { MAX_AROUND = 64 };
int spans_around(const struct analysis *a, uint32_t offset, struct span out[MAX_AROUND]);
#endif
