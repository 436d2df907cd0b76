/* Functions that templates may call. */
#ifndef JINJA_FUNCTIONS_H
#define JINJA_FUNCTIONS_H
#include "builtin.h"

extern const struct builtin all_functions[]; /* ends with {NULL} */
#endif
