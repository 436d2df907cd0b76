/* Filters and tests, by name. */
#ifndef JINJA_FILTERS_H
#define JINJA_FILTERS_H
#include "attribute.h"
#include "builtin.h"

enum builtins { FILTERS, TESTS };
/* Fails if there is none of this name. */
const struct builtin *find_builtin(struct work *w, enum builtins which, struct span name);

/* filter_text.c, filter_list.c, filter_number.c, tests.c; lists that end with {NULL} */
extern const struct builtin text_filters[], list_filters[], number_filters[], all_tests[];
#endif
