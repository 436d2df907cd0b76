/* Values as text. */
#ifndef JINJA_PRINT_H
#define JINJA_PRINT_H
#include "values.h"

/* Python's str(), as {{ }} prints, and repr(). Values without a text of their own, such as iterators, fail. */
void print_value(struct text *out, struct value v);
void print_repr(struct text *out, struct value v);
struct span value_text(struct work *w, struct value v); /* str() */

/* json.dumps of transformers' `tojson`. */
struct json_form {
	bool ascii, sort, lines; /* lines: one element a line, each indented by `indent` */
	struct span indent, comma, colon;
};
void print_json(struct text *out, struct value v, const struct json_form *form);
#endif
