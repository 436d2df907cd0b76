/* Cutting pieces. */
#include "pieces.h"

struct cutter cutter_begin(enum behavior behavior, bool invert, const struct piece *whole, struct pieces *out)
{
	return (struct cutter){.behavior = behavior, .invert = invert, .whole = *whole, .out = out, .begin = out->n};
}

static void push(struct cutter *c, size_t start, size_t end)
{
	const struct piece *w = &c->whole;
	pieces_add(c->out, (struct piece){w->at + (uint32_t)start, (uint32_t)(end - start), -1, w->first && !start});
}

/* Makes the last new piece end at `end`; false: there is none. */
static bool extend(struct cutter *c, size_t end)
{
	if (c->out->n == c->begin)
		return false;
	struct piece *last = &c->out->at[c->out->n - 1];
	last->size = c->whole.at + (uint32_t)end - last->at;
	return true;
}

/* A match goes to the stretch after it, unless that is a match as well. */
static void merge_with_next(struct cutter *c, size_t start, size_t end, bool match)
{
	if (c->held && match)
		push(c, c->held_start, c->held_end);
	if (!match)
		push(c, c->held ? c->held_start : start, end);
	c->held = match;
	c->held_start = start;
	c->held_end = end;
}

static void stretch(struct cutter *c, size_t start, size_t end, bool match)
{
	bool joins = false;
	match ^= c->invert;
	switch (c->behavior) {
	case BEHAVIOR_REMOVED:              joins = match; break;
	case BEHAVIOR_ISOLATED:             break;
	case BEHAVIOR_CONTIGUOUS:           joins = match == c->previous && extend(c, end); break;
	case BEHAVIOR_MERGED_WITH_PREVIOUS: joins = match && !c->previous && extend(c, end); break;
	case BEHAVIOR_MERGED_WITH_NEXT:
		merge_with_next(c, start, end, match);
		joins = true;
		break;
	}
	c->previous = match;
	if (!joins)
		push(c, start, end);
}

void cutter_cut(struct cutter *c, size_t start, size_t end)
{
	if (start > c->done)
		stretch(c, c->done, start, false);
	stretch(c, start, end, true);
	c->done = end;
}

void cutter_end(struct cutter *c)
{
	if (c->done < c->whole.size)
		stretch(c, c->done, c->whole.size, false);
	if (c->held)
		push(c, c->held_start, c->held_end);
	size_t kept = c->begin;
	for (size_t i = c->begin; i < c->out->n; i++)
		if (c->out->at[i].size)
			c->out->at[kept++] = c->out->at[i];
	c->out->n = kept;
}
