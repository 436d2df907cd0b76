/* Runs a part of a command on a heap of its own. */
#include "driver.h"

struct work {
	struct options options;
	struct heap heap;
	int (*run)(const struct options *o, int i);
	int i;
};

static int run(void *context)
{
	struct work *w = context;
	return w->run(&w->options, w->i);
}

int run_alone(const struct options *o, int (*work)(const struct options *o, int i), int i)
{
	struct work w = {.options = *o, .run = work, .i = i};
	if (o->heap)
		w.heap = (struct heap){.apart = o->heap->apart, .allocate = o->heap->allocate};
	w.options.heap = &w.heap;
	return heap_run(&w.heap, run, &w);
}
