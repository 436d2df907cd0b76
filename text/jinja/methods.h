/* Methods of strings, lists and dicts, by name. */
#ifndef JINJA_METHODS_H
#define JINJA_METHODS_H
#include "builtin.h"

enum method_state {
	NO_METHOD,          /* Python has none either */
	IS_METHOD,          /* *out */
	METHOD_FORBIDDEN,   /* it changes its value, which the sandbox forbids */
	METHOD_UNSUPPORTED, /* Python has it */
};
enum method_state find_method(enum kind kind, struct span name, const struct builtin **out);
#endif
