/* Names that a frame hides. Jinja2 compiles a template: a block with names of its own (a frame) that sets a name before
 * it reads it owns that name from its start, so that the blocks in it that come before do not see the variable of the
 * caller that has this name; unless the name is only set under a condition, or a frame around this one knows it. */
#ifndef JINJA_FRAMES_H
#define JINJA_FRAMES_H
#include "tree.h"

/* Fills `hidden` and `hidden_other` of all nodes; returns what the whole template hides. */
struct names hidden_names(struct work *w, const struct nodes *body);
#endif
