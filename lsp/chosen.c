/* What the lock of a document chose for `auto`, or why it did not. */
#include "chosen.h"
#include <string.h>

static bool is_same_place(const struct open_value *a, const struct open_value *b)
{
	return a->at.lo == b->at.lo && a->at.hi == b->at.hi && !strcmp(a->file, b->file);
}

/* Has every deployment with this text the same value? */
static bool agree(const struct analysis *a, const struct open_value *open)
{
	for (int i = 0; i < a->open.n; i++) {
		const struct open_value *v = &a->open.at[i];
		if (is_same_place(open, v) && (!v->chosen || !open->chosen || strcmp(v->chosen, open->chosen) != 0))
			return false;
	}
	return true;
}

const char *chosen_hint(struct arena *arena, const struct analysis *a, const struct open_value *open)
{
	struct text t = {.arena = arena};
	if (agree(a, open))
		return arena_printf(arena, "= %s", open->chosen);
	for (int i = 0; i < a->open.n; i++) {
		const struct open_value *v = &a->open.at[i];
		if (is_same_place(open, v) && v->chosen)
			text_add(&t, "%s%s in %s", t.n ? ", " : "= ", v->chosen, v->deploy);
	}
	return t.at;
}

/* The lock by the name of its file alone. */
static struct lock short_of(const struct lock *lock)
{
	struct lock out = *lock;
	const char *slash = lock->path ? strrchr(lock->path, '/') : NULL;
	out.path = slash ? slash + 1 : lock->path;
	return out;
}

const char *chosen_by(struct arena *arena, const struct analysis *a)
{
	struct lock lock = short_of(&a->lock);
	return arena_printf(arena, "chosen by `%s`", lock.path);
}

bool chosen_explain(struct text *out, const struct analysis *a, struct span at)
{
	struct lock lock = short_of(&a->lock);
	const struct open_value *v = NULL;
	bool found = false;
	while ((v = analysis_open(a, at, v))) {
		const char *where = a->n > 1 ? arena_printf(out->arena, " in `%s`", v->deploy) : "";
		if (v->chosen)
			text_add(out, "\n`%s`%s, %s\n", v->chosen, where, chosen_by(out->arena, a));
		else if (!lock.path)
			text_add(out, "\nleft open%s: a text without a file has no lock\n", where);
		else
			text_add(out, "\nleft open%s: %s; `deployc search` chooses the value\n", where,
			         lock_trouble(out->arena, &lock));
		found = true;
	}
	return found;
}

const char *chosen_value(const struct analysis *a, struct span at)
{
	const struct open_value *v = analysis_open(a, at, NULL);
	return v && agree(a, v) ? v->chosen : NULL;
}
