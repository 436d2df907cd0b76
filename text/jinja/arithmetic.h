/* Python's arithmetic. Results outside 64 bits fail. */
#ifndef JINJA_ARITHMETIC_H
#define JINJA_ARITHMETIC_H
#include "values.h"

/* op: one of + - * / % p (**) d (//) */
struct value calculate(struct work *w, char op, struct value a, struct value b);
struct value negative(struct work *w, struct value v);
struct value positive(struct work *w, struct value v);
#endif
