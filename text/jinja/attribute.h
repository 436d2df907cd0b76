/* a.name and a[b]. */
#ifndef JINJA_ATTRIBUTE_H
#define JINJA_ATTRIBUTE_H
#include "builtin.h"

struct value attribute(struct work *w, struct value v, struct span name);
struct value item(struct work *w, struct value v, struct value key);
/* The `attribute` of filters: a name, an index, or several with dots between them. ABSENT, none: v itself. missing:
 * replaces what is undefined, unless it is ABSENT or none. */
struct value item_by_path(struct work *w, struct value v, struct value path, struct value missing);
/* Fails when a template is read, for names that no value may have; called: for methods that are not supported. */
void check_attribute(struct work *w, struct span name, bool called);
#endif
