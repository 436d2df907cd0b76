/* The variable `loop`. Elements are taken one by one, since the condition of a loop may depend on what its body does.
 */
#ifndef JINJA_LOOP_H
#define JINJA_LOOP_H
#include "builtin.h"

struct loop {
	struct work *work;
	const struct list *source;
	size_t taken;        /* of the source */
	struct value passed; /* a list: elements that the condition let through so far; without one, the source */
	size_t at;           /* the current one */
	bool (*passes)(void *context, struct value element); /* not NULL, unless all are taken */
	void *context;
};

/* Whether there is an element i. */
bool loop_has(struct loop *l, size_t i);
/* An attribute of `loop`; ABSENT: there is none. */
struct value loop_attribute(struct loop *l, struct span name);
#endif
