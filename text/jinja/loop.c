/* Elements and attributes of a loop. */
#include "loop.h"

bool loop_has(struct loop *l, size_t i)
{
	while (l->passed.list->n <= i && l->taken < l->source->n) {
		struct value v = l->source->at[l->taken++];
		if (l->passes(l->context, v))
			list_add(l->work, l->passed, v);
	}
	return i < l->passed.list->n;
}

static int64_t count(struct loop *l)
{
	loop_has(l, SIZE_MAX);
	return (int64_t)l->passed.list->n;
}

static struct value neighbour(struct loop *l, size_t i)
{
	return loop_has(l, i) ? l->passed.list->at[i]
	                      : undefined(SPAN("an element beyond the ends of a loop is missing"), NO_ELEMENT);
}

static struct value cycle(struct work *w, struct value in, const struct arguments *a)
{
	if (!a->n || a->n_named)
		work_fail(w, "`loop.cycle` takes values");
	return a->positional[in.loop->at % a->n];
}

struct value loop_attribute(struct loop *l, struct span name)
{
	static const struct builtin cycles = {.name = "cycle", .run_any = cycle};
	int64_t at = (int64_t)l->at;
	if (span_is(name, "index"))
		return integer(at + 1);
	if (span_is(name, "index0"))
		return integer(at);
	if (span_is(name, "first"))
		return boolean(!at);
	if (span_is(name, "last"))
		return boolean(!loop_has(l, l->at + 1));
	if (span_is(name, "length"))
		return integer(count(l));
	if (span_is(name, "revindex"))
		return integer(count(l) - at);
	if (span_is(name, "revindex0"))
		return integer(count(l) - at - 1);
	if (span_is(name, "previtem"))
		return neighbour(l, l->at - 1);
	if (span_is(name, "nextitem"))
		return neighbour(l, l->at + 1);
	if (span_is(name, "depth") || span_is(name, "depth0"))
		return integer(name.n == 5);
	if (span_is(name, "changed"))
		work_fail(l->work, "`loop.changed` is not supported");
	if (!span_is(name, "cycle"))
		return (struct value){.kind = ABSENT};
	struct method *m = work_alloc(l->work, sizeof *m);
	*m = (struct method){&cycles, {.kind = LOOP, .loop = l}};
	return (struct value){.kind = METHOD, .method = m};
}
