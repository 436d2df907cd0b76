/* What a checkpoint may hold and the program does not read: `harmless` fields of config.json, `unused` tensors,
 * `copies` of tensors. Each is a map from a topic to names. */
#include "walk.h"

enum { FILL = 1, AT_LEAST_TWO = 2 }; /* FILL: replace {name} in a name. AT_LEAST_TWO: ignore lists of one name */

/* Reads the names of one topic. false after a report. */
static bool topic_names(struct env *e, struct val list, const struct field *f, int how, struct name_list *out)
{
	struct axes none = {0}, keyed = {0};
	for (int i = 0; i < list.list.n; i++) {
		const char *name = list.list.at[i].name;
		if (how & FILL)
			name = walk_fill_key(e, name, none, &keyed, f->span);
		if (!name)
			return false;
		vec_push(e->walk->arena, out, name);
	}
	if (!(how & AT_LEAST_TWO) || out->n > 1)
		return true;
	walk_report(e->walk, DIAG_E0203, f->span, "`%s` of `copies` needs at least 2 names, found %d", f->name, out->n);
	return false;
}

/* Calls `take` with the names of each topic in a map of the model. */
static void read_topics(struct env *e, const char *map, int how, void (*take)(struct walk *, struct name_list))
{
	struct walk *w = e->walk;
	struct field *f = record_field(w->model, names_str(w->s->names, map));
	struct val v = f ? record_get(w->model, f->name, f->span) : val_none();
	w->failed = w->failed || v.kind == V_BAD;
	for (int i = 0; v.kind == V_RECORD && i < v.record->fields.n; i++) {
		const struct field *topic = v.record->fields.at[i];
		struct val list = record_get(v.record, topic->name, topic->span);
		struct name_list names = {0};
		if (list.kind == V_LIST && topic_names(e, list, topic, how, &names))
			take(w, names);
		else
			w->failed = true;
	}
}

static void take_harmless(struct walk *w, struct name_list names)
{
	for (int i = 0; i < names.n; i++)
		vec_push(w->arena, &w->p->harmless, names.at[i]);
}

static void take_unused(struct walk *w, struct name_list names)
{
	for (int i = 0; i < names.n; i++)
		vec_push(w->arena, &w->p->unused, names.at[i]);
}

static void take_copies(struct walk *w, struct name_list names) { vec_push(w->arena, &w->p->copies, names); }

void walk_checkpoint(struct env *e)
{
	read_topics(e, "harmless", 0, take_harmless);
	read_topics(e, "unused", FILL, take_unused);
	read_topics(e, "copies", FILL | AT_LEAST_TWO, take_copies);
}
