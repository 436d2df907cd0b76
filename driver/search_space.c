/* The candidates of a search: which fields are set, and to what. */
#include <stdlib.h>
#include <string.h>
#include "search.h"

/* ---- fields ---------------------------------------------------------------------------------- */

static struct knob *add_knob(struct search *s, const char *path, enum choice_kind kind)
{
	struct knob k = {.path = path, .kind = kind, .axis = -1};
	for (int i = 0; kind == CHOICE_MESH && i < s->deploy->mesh.n; i++)
		if (!strcmp(s->deploy->mesh.at[i].name, path + strlen("plan.")))
			k.axis = i;
	vec_push(s->arena, &s->knobs, k);
	return &s->knobs.at[s->knobs.n - 1];
}

int search_value(struct search *s, struct knob *k, const char *text)
{
	for (int i = 0; i < k->values.n; i++)
		if (!strcmp(k->values.at[i], text))
			return i;
	const struct node *item = sema_item(s->compilation.sema, (struct suggestion){k->path, text});
	vec_push(s->arena, &k->values, text);
	vec_push(s->arena, &k->items, item);
	return k->values.n - 1;
}

static int int_value(struct search *s, struct knob *k, int64_t x)
{
	return search_value(s, k, arena_printf(s->arena, "%lld", (long long)x));
}

/* Powers of two from `low` up to the first that is no less than `high`. */
static void add_powers(struct search *s, struct knob *k, int64_t low, int64_t high)
{
	int_value(s, k, low);
	for (int64_t x = low; x < high; x *= 2)
		int_value(s, k, x * 2);
}

enum { MIN_CHUNK = 256, MAX_CHUNK = 16384, MAX_MICROBATCHES = 64 };

/* The values of an `auto` without a list. false: nobody knows them. Those of mesh axes depend on the devices. */
static bool usual_values(struct search *s, struct knob *k)
{
	const struct deploy *d = s->deploy;
	int64_t devices = d->machine.devices, batch = d->work.batch, longest = d->work.seq_hi;
	switch (k->kind) {
	case CHOICE_MESH: return true;
	case CHOICE_GPUS:
		for (int64_t i = 1; i <= devices; i++)
			if (devices % i == 0)
				int_value(s, k, i);
		return devices > 0;
	case CHOICE_MICROBATCHES:
		add_powers(s, k, 1, batch < MAX_MICROBATCHES ? (batch + 1) / 2 : MAX_MICROBATCHES);
		return batch > 0;
	case CHOICE_CHUNK: add_powers(s, k, MIN_CHUNK, longest < MAX_CHUNK ? longest : MAX_CHUNK); return longest > 0;
	case CHOICE_OTHER: return false;
	}
	return false;
}

static void no_values(struct search *s, const struct choice *c)
{
	struct sink *sink = &s->compilation.sink;
	if (c->computed) {
		struct diag *d = diag_report(sink, DIAG_E0809, c->at, "a search cannot set %s", c->path);
		diag_help(sink, d, "write `auto`, or `auto in` and a list, as the whole value of a field");
		return;
	}
	struct diag *d = diag_report(sink, DIAG_E0809, c->at, "nothing says which values `%s` may have", c->path);
	diag_note(sink, d, "without a list, a search knows the values of mesh axes, `gpus`, `microbatches` and `chunk`");
	diag_help(sink, d, "list them: `auto in [...]`");
}

static void open_knob(struct search *s, const struct choice *c)
{
	if (c->computed) {
		no_values(s, c);
		return;
	}
	struct knob *k = add_knob(s, c->path, c->kind);
	k->listed = c->n > 0;
	for (int i = 0; i < c->n; i++)
		search_value(s, k, c->values[i]);
	if (!c->n && !usual_values(s, k))
		no_values(s, c);
}

bool search_knobs(struct search *s)
{
	const struct deploy *d = s->deploy;
	int before = s->compilation.sink.errors;
	s->open = d->choices.n > 0;
	for (int i = 0; i < d->choices.n; i++)
		open_knob(s, &d->choices.at[i]);
	for (int i = 0; i < d->mesh.n && !s->open; i++)
		add_knob(s, arena_printf(s->arena, "plan.%s", d->mesh.at[i].name), CHOICE_MESH);
	return s->compilation.sink.errors == before;
}

/* ---- candidates ------------------------------------------------------------------------------ */

struct counting {
	struct search *search;
	int *value; /* of the candidate in hand */
	bool too_many;
};

static struct candidate *add(struct counting *c)
{
	struct search *s = c->search;
	struct candidate new = {.value = arena_array(s->arena, int, s->knobs.n + 1)};
	c->too_many |= s->all.n >= MAX_CANDIDATES;
	if (c->too_many)
		return NULL;
	memcpy(new.value, c->value, sizeof *new.value *(size_t)s->knobs.n);
	vec_push(s->arena, &s->all, new);
	return &s->all.at[s->all.n - 1];
}

/* A candidate whose mesh is not that of the devices. */
static void add_misfit(struct counting *c)
{
	for (int i = 0; i < c->search->knobs.n; i++)
		if (c->search->knobs.at[i].kind == CHOICE_MESH && !c->search->knobs.at[i].listed)
			c->value[i] = -1;
	struct candidate *new = add(c);
	if (!new)
		return;
	new->refused = DIAG_E0601;
	new->message = "the product of the mesh axes is not the number of devices";
}

/* The next mesh axis at or after `i` whose values are (not) listed; the number of fields: there is none. */
static int next_axis(const struct search *s, int i, bool listed)
{
	while (i < s->knobs.n && (s->knobs.at[i].kind != CHOICE_MESH || s->knobs.at[i].listed != listed))
		i++;
	return i;
}

/* Gives mesh axes without lists, from `i` on, all sizes whose product is `ranks`. */
static void factorize(struct counting *c, int i, int64_t ranks)
{
	struct search *s = c->search;
	i = next_axis(s, i, false);
	if (i == s->knobs.n) {
		if (ranks == 1)
			add(c);
		else
			add_misfit(c);
		return;
	}
	bool last = next_axis(s, i + 1, false) == s->knobs.n;
	for (int64_t size = last ? ranks : 1; size <= ranks && !c->too_many; size++)
		if (ranks % size == 0) {
			c->value[i] = int_value(s, &s->knobs.at[i], size);
			factorize(c, i + 1, ranks / size);
		}
}

/* Gives mesh axes with lists, from `i` on, each of their values. ranks: what the others are to multiply to. */
static void choose_listed(struct counting *c, int i, int64_t ranks)
{
	struct search *s = c->search;
	i = next_axis(s, i, true);
	if (i == s->knobs.n && !ranks)
		add_misfit(c);
	else if (i == s->knobs.n)
		factorize(c, 0, ranks);
	if (i == s->knobs.n)
		return;
	for (int v = 0; v < s->knobs.at[i].values.n && !c->too_many; v++) {
		int64_t size = strtoll(s->knobs.at[i].values.at[v], NULL, 10);
		c->value[i] = v;
		choose_listed(c, i + 1, size > 0 && ranks % size == 0 ? ranks / size : 0);
	}
}

/* With values for all fields but the mesh: what must its open axes multiply to? 0: nothing does; -1: not known, since
 * the deployment is wrong with these values. */
static int64_t open_ranks(struct search *s, const int *value)
{
	const struct deploy *d = s->deploy;
	const struct node **items = arena_array(s->arena, const struct node *, s->fixed.n + s->knobs.n + 1);
	int n = 0;
	bool changed = s->fixed.n > 0;
	for (; n < s->fixed.n; n++)
		items[n] = s->fixed.at[n];
	for (int i = 0; i < s->knobs.n; i++)
		if (s->knobs.at[i].kind != CHOICE_MESH) {
			items[n++] = s->knobs.at[i].items.at[value[i]];
			changed = true;
		}
	struct sink saved = s->compilation.sink;
	s->compilation.sink = (struct sink){.arena = s->arena, .sources = saved.sources};
	if (changed)
		d = sema_deploy_with(s->compilation.sema, d, items, n);
	s->compilation.sink = saved;
	if (!d->program || d->gpus < 1)
		return -1;
	int64_t ranks = d->gpus;
	for (int i = 0; i < d->mesh.n && ranks; i++) {
		bool fixed = true;
		for (int k = 0; k < s->knobs.n; k++)
			fixed &= s->knobs.at[k].axis != i;
		if (fixed)
			ranks = d->mesh.at[i].size > 0 && ranks % d->mesh.at[i].size == 0 ? ranks / d->mesh.at[i].size : 0;
	}
	return ranks;
}

static void choose_others(struct counting *c, int i)
{
	struct search *s = c->search;
	while (i < s->knobs.n && s->knobs.at[i].kind == CHOICE_MESH)
		i++;
	if (i < s->knobs.n) {
		for (c->value[i] = 0; c->value[i] < s->knobs.at[i].values.n && !c->too_many; c->value[i]++)
			choose_others(c, i + 1);
		return;
	}
	int64_t ranks = open_ranks(s, c->value);
	bool meshes = next_axis(s, 0, true) < s->knobs.n || next_axis(s, 0, false) < s->knobs.n;
	if (ranks >= 0 && meshes) {
		choose_listed(c, 0, ranks);
		return;
	}
	for (int k = 0; k < s->knobs.n; k++)
		if (s->knobs.at[k].kind == CHOICE_MESH)
			c->value[k] = s->knobs.at[k].listed ? 0 : int_value(s, &s->knobs.at[k], 1);
	add(c);
}

bool search_space(struct search *s)
{
	struct counting c = {.search = s, .value = arena_array(s->arena, int, s->knobs.n + 1)};
	s->all.n = 0;
	choose_others(&c, 0);
	if (c.too_many)
		complain("more than %d plans to search: list fewer values, as in `tp = auto in [4, 8]`", MAX_CANDIDATES);
	return !c.too_many;
}
