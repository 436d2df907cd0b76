/* A tree at work: evaluate.c has the expressions, execute.c the statements. */
#ifndef JINJA_INTERPRETER_H
#define JINJA_INTERPRETER_H
#include "builtin.h"
#include "tree.h"

/* Names of one block, within those of `parent`. */
struct scope {
	struct scope *parent;
	struct value names; /* a dict */
	bool kept;          /* a macro was made here, which may be called later */
};

struct macro {
	const struct node *node;
	struct scope *scope; /* where it was made */
};

struct interpreter {
	struct work *w;
	struct scope *scope;
	struct text *out;
	struct value (*call_macro)(struct interpreter *p, const struct macro *m, const struct arguments *a);
};

struct value evaluate(struct interpreter *p, const struct node *n);
/* What the filters of a block make of its text. */
struct value evaluate_filters(struct interpreter *p, const struct node *n, struct value text);
/* Runs a whole template. */
void execute_template(struct interpreter *p, const struct nodes *body, const struct names *hidden);
#endif
