/* What is built in and called by name: filters, tests, methods, functions. */
#ifndef JINJA_BUILTIN_H
#define JINJA_BUILTIN_H
#include "values.h"

enum { MAX_PARAMETERS = 4 };

struct arguments {
	const struct value *positional, *named;
	const struct span *names; /* of `named` */
	size_t n, n_named;
};

struct builtin {
	const char *name;
	/* v[0] is what a filter, test or method is applied to, and the parameters follow; ABSENT: not given. */
	struct value (*run)(struct work *w, const struct value *v);
	/* Instead of `run`: takes any arguments. */
	struct value (*run_any)(struct work *w, struct value in, const struct arguments *a);
	const char *parameters[MAX_PARAMETERS];
	uint8_t required;  /* parameters that must be given */
	uint8_t names_by;  /* 1 + the index of the argument that names a filter or test; 0: none does */
	bool names_filter; /* a filter, not a test */
};

struct value call_builtin(struct work *w, const struct builtin *b, struct value in, const struct arguments *a);
/* An element of a list that ends with {NULL}; NULL: none has this name. */
const struct builtin *builtin_named(const struct builtin *list, struct span name);

/* Arguments by type, which fail otherwise; absent ones have the value `missing`. */
int64_t whole_argument(struct work *w, struct value v, int64_t missing);
bool flag_argument(struct value v, bool missing);
struct span text_argument(struct work *w, struct value v, const char *what);
#endif
