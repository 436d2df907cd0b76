/* The candidates of a search: which fields are set, and to what. */
#include <stdlib.h>
#include <string.h>
#include "search.h"

/* ---- fields ---------------------------------------------------------------------------------- */

static struct knob *add_knob(struct search *s, struct space *space, const char *path, enum choice_kind kind)
{
	struct knob k = {.path = path, .kind = kind, .axis = -1};
	for (int i = 0; kind == CHOICE_MESH && i < space->deploy->mesh.n; i++)
		if (!strcmp(space->deploy->mesh.at[i].name, path + strlen("plan.")))
			k.axis = i;
	vec_push(s->arena, &space->knobs, k);
	return &space->knobs.at[space->knobs.n - 1];
}

struct knob *search_knob(struct space *space, const char *path)
{
	for (int i = 0; i < space->knobs.n; i++)
		if (!strcmp(space->knobs.at[i].path, path))
			return &space->knobs.at[i];
	return NULL;
}

/* The index of a value, added if it is new. */
static int value_index(struct search *s, struct knob *k, const char *text)
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
	return value_index(s, k, arena_printf(s->arena, "%lld", (long long)x));
}

/* Powers of two from `low` up to the first that is no less than `high`. */
static void add_powers(struct search *s, struct knob *k, int64_t low, int64_t high)
{
	int_value(s, k, low);
	for (int64_t x = low; x < high; x *= 2)
		int_value(s, k, x * 2);
}

/* Bounds of the powers of two that are tried for an `auto` without a list. */
enum {
	MAX_UNITS = 256, /* nodes of a cluster */
	MAX_BATCH = 1024,
	MIN_CHUNK = 256,
	MAX_CHUNK = 16384,
	MIN_PAGE = 16,
	MAX_PAGE = 256,
	MAX_MICROBATCHES = 64,
	MAX_VIRTUAL = 8
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* The values of an `auto` without a list. false: nobody knows them. Those of mesh axes depend on the devices. */
static bool usual_values(struct search *s, const struct deploy *d, struct knob *k)
{
	int64_t devices = d->machine.devices, batch = d->work.batch, longest = d->work.seq_hi;
	switch (k->kind) {
	case CHOICE_MESH: return true;
	case CHOICE_GPUS:
		for (int64_t i = 1; i <= devices; i++)
			if (devices % i == 0)
				int_value(s, k, i);
		return devices > 0;
	case CHOICE_COUNT: add_powers(s, k, 1, MAX_UNITS); return true;
	case CHOICE_BATCH: add_powers(s, k, 1, MAX_BATCH); return true;
	case CHOICE_CHUNK: add_powers(s, k, MIN_CHUNK, least(longest, MAX_CHUNK)); return longest > 0;
	case CHOICE_PAGE:  add_powers(s, k, MIN_PAGE, MAX_PAGE); return true;
	case CHOICE_MICROBATCHES:
		add_powers(s, k, 1, batch > 0 ? least((batch + 1) / 2, MAX_MICROBATCHES) : MAX_MICROBATCHES);
		return true;
	case CHOICE_VIRTUAL: add_powers(s, k, 1, MAX_VIRTUAL); return true;
	case CHOICE_PART:
	case CHOICE_RULE:
	case CHOICE_OTHER:   return false;
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
	if (c->kind == CHOICE_PART) {
		diag_help(sink, d, "list them: `%s = auto in [A, B]`, or name them in a `use`", c->path);
		return;
	}
	diag_note(sink, d,
	          "without a list, a search knows the values of mesh axes, `gpus`, `nodes`, `batch`, `chunk`, `page`, "
	          "`microbatches`, `virtual`, of a Bool, of an enum, and of a field that holds a record");
	diag_help(sink, d, "list them: `auto in [...]`");
}

static void open_knob(struct search *s, struct space *space, const struct choice *c)
{
	if (c->computed) {
		no_values(s, c);
		return;
	}
	struct knob *k = add_knob(s, space, c->path, c->kind);
	k->listed = c->n > 0 && !c->whole;
	for (int i = 0; i < c->n; i++)
		value_index(s, k, c->values[i]);
	if (!c->n && !usual_values(s, space->deploy, k))
		no_values(s, c);
}

static bool sets_mesh(const struct space *space)
{
	for (int i = 0; i < space->knobs.n; i++)
		if (space->knobs.at[i].kind == CHOICE_MESH)
			return true;
	return false;
}

static bool is_one_rank(const struct deploy *d)
{
	int64_t ranks = 1;
	for (int i = 0; i < d->mesh.n; i++)
		ranks *= d->mesh.at[i].size == 1 ? 1 : 2;
	return ranks == 1;
}

/* Opens what `auto` leaves open. Where that is nothing, or a plan of a list has a mesh of one rank, all meshes are
 * tried. */
static void open_knobs(struct search *s, struct space *space)
{
	const struct deploy *d = space->deploy;
	for (int i = 0; i < d->choices.n; i++)
		if (d->choices.at[i].kind != CHOICE_PART)
			open_knob(s, space, &d->choices.at[i]);
	bool bare = search_knob(space, "plan") && !sets_mesh(space) && is_one_rank(d);
	for (int i = 0; i < d->mesh.n && (!s->open || bare); i++)
		add_knob(s, space, arena_printf(s->arena, "plan.%s", d->mesh.at[i].name), CHOICE_MESH);
}

/* ---- spaces ---------------------------------------------------------------------------------- */

/* The deployment with the first n items, checked in silence. */
static const struct deploy *refined(struct search *s, const struct node *const *items, int n)
{
	struct compilation *k = &s->compilation;
	struct sink saved = k->sink;
	k->sink = (struct sink){.arena = s->arena, .sources = &k->sources};
	const struct deploy *d = sema_deploy_with(k->sema, s->deploy, items, n);
	k->sink = saved;
	return d;
}

/* A space for each combination of parts from choice `i` on. */
static void choose_parts(struct search *s, int i, struct space *chosen)
{
	const struct deploy *d = s->deploy;
	while (i < d->choices.n && (d->choices.at[i].kind != CHOICE_PART || d->choices.at[i].computed))
		i++;
	if (i < d->choices.n) {
		const struct choice *c = &d->choices.at[i];
		if (!c->n)
			no_values(s, c);
		for (int v = 0; v < c->n; v++) {
			value_index(s, add_knob(s, chosen, c->path, CHOICE_PART), c->values[v]);
			choose_parts(s, i + 1, chosen);
			chosen->knobs.n--;
		}
		return;
	}
	struct space *space = arena_new(s->arena, struct space);
	const struct node **items = arena_array(s->arena, const struct node *, chosen->knobs.n + 1);
	for (int k = 0; k < chosen->knobs.n; k++) {
		vec_push(s->arena, &space->knobs, chosen->knobs.at[k]);
		items[k] = chosen->knobs.at[k].items.at[0];
	}
	space->deploy = chosen->knobs.n ? refined(s, items, chosen->knobs.n) : d;
	vec_push(s->arena, &s->spaces, space);
	open_knobs(s, space);
}

bool search_spaces(struct search *s)
{
	int before = s->compilation.sink.errors;
	struct space chosen = {.deploy = s->deploy};
	s->open = s->deploy->choices.n > 0;
	choose_parts(s, 0, &chosen);
	return s->compilation.sink.errors == before;
}

/* ---- candidates ------------------------------------------------------------------------------ */

struct counting {
	struct search *search;
	struct space *space;
	int *value; /* of the candidate in hand */
	int most;
	bool too_many;
};

/* The size of a mesh axis in a candidate; 0: not known before it is checked. */
static int64_t axis_size(const struct space *space, const int *value, int axis)
{
	const struct mesh_axis *m = &space->deploy->mesh.at[axis];
	for (int i = 0; i < space->knobs.n; i++)
		if (space->knobs.at[i].axis == axis)
			return value[i] < 0 ? 0 : strtoll(space->knobs.at[i].values.at[value[i]], NULL, 10);
	return m->open ? 0 : m->size;
}

/* Is the mesh axis one of a product, "ep * tp"? */
static bool has_factor(const char *product, const char *axis)
{
	size_t n = strlen(axis);
	for (const char *at = product; at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL)
		if (!strncmp(at, axis, n) && (!at[n] || at[n] == ' '))
			return true;
	return false;
}

/* Does a rule that nobody listed places for place an axis over a mesh axis of one rank? Without it, it is another
 * candidate that is the same plan. */
static bool says_nothing(const struct space *space, const int *value)
{
	for (int i = 0; i < space->knobs.n; i++) {
		const struct knob *k = &space->knobs.at[i];
		if (k->kind != CHOICE_RULE || k->listed)
			continue;
		for (int m = 0; m < space->deploy->mesh.n; m++)
			if (axis_size(space, value, m) == 1 && has_factor(k->values.at[value[i]], space->deploy->mesh.at[m].name))
				return true;
	}
	return false;
}

static struct candidate *add(struct counting *c)
{
	struct search *s = c->search;
	if (says_nothing(c->space, c->value))
		return NULL;
	struct candidate new = {.space = c->space, .value = arena_array(s->arena, int, c->space->knobs.n + 1)};
	c->too_many |= s->all.n >= c->most;
	if (c->too_many)
		return NULL;
	memcpy(new.value, c->value, sizeof *new.value *(size_t)c->space->knobs.n);
	vec_push(s->arena, &s->all, new);
	return &s->all.at[s->all.n - 1];
}

/* A candidate whose mesh is not that of the devices. */
static void add_misfit(struct counting *c)
{
	for (int i = 0; i < c->space->knobs.n; i++)
		if (c->space->knobs.at[i].kind == CHOICE_MESH && !c->space->knobs.at[i].listed)
			c->value[i] = -1;
	struct candidate *new = add(c);
	if (!new)
		return;
	new->refused = DIAG_E0601;
	new->message = "the product of the mesh axes is not the number of devices";
}

/* The next mesh axis at or after `i` whose values are (not) listed; the number of fields: there is none. */
static int next_axis(const struct space *space, int i, bool listed)
{
	while (i < space->knobs.n && (space->knobs.at[i].kind != CHOICE_MESH || space->knobs.at[i].listed != listed))
		i++;
	return i;
}

/* Gives mesh axes without lists, from `i` on, all sizes whose product is `ranks`. */
static void factorize(struct counting *c, int i, int64_t ranks)
{
	struct space *space = c->space;
	i = next_axis(space, i, false);
	if (i == space->knobs.n) {
		if (ranks == 1)
			add(c);
		else
			add_misfit(c);
		return;
	}
	bool last = next_axis(space, i + 1, false) == space->knobs.n;
	for (int64_t size = last ? ranks : 1; size <= ranks && !c->too_many; size++)
		if (ranks % size == 0) {
			c->value[i] = int_value(c->search, &space->knobs.at[i], size);
			factorize(c, i + 1, ranks / size);
		}
}

/* Gives mesh axes with lists, from `i` on, each of their values. ranks: what the others are to multiply to. */
static void choose_listed(struct counting *c, int i, int64_t ranks)
{
	struct space *space = c->space;
	i = next_axis(space, i, true);
	if (i == space->knobs.n && !ranks)
		add_misfit(c);
	else if (i == space->knobs.n)
		factorize(c, 0, ranks);
	if (i == space->knobs.n)
		return;
	for (int v = 0; v < space->knobs.at[i].values.n && !c->too_many; v++) {
		int64_t size = strtoll(space->knobs.at[i].values.at[v], NULL, 10);
		c->value[i] = v;
		choose_listed(c, i + 1, size > 0 && ranks % size == 0 ? ranks / size : 0);
	}
}

static bool is_set(const struct space *space, int axis)
{
	for (int i = 0; i < space->knobs.n; i++)
		if (space->knobs.at[i].axis == axis)
			return true;
	return false;
}

/* Do the devices, and the mesh axes that the search does not set, depend on nothing that is open? */
static bool ranks_known(const struct space *space)
{
	const struct deploy *d = space->deploy;
	bool known = !space->fixed.n && d->program && d->gpus >= 1;
	for (int i = 0; i < d->mesh.n; i++)
		known &= !d->mesh.at[i].open || is_set(space, i);
	return known;
}

/* With values for all fields but the mesh: what must its open axes multiply to? 0: nothing does; -1: not known, since
 * the deployment is wrong with these values. */
static int64_t open_ranks(struct counting *c)
{
	struct search *s = c->search;
	struct space *space = c->space;
	const struct deploy *d = space->deploy;
	const struct node **items = arena_array(s->arena, const struct node *, space->knobs.n + space->fixed.n + 1);
	int n = 0;
	for (int i = 0; i < space->knobs.n; i++)
		if (space->knobs.at[i].kind != CHOICE_MESH)
			items[n++] = space->knobs.at[i].items.at[c->value[i]];
	for (int i = 0; i < space->fixed.n; i++)
		items[n++] = space->fixed.at[i];
	if (!ranks_known(space))
		d = refined(s, items, n);
	if (!d->program || d->gpus < 1)
		return -1;
	int64_t ranks = d->gpus;
	for (int i = 0; i < d->mesh.n && ranks; i++)
		if (!is_set(space, i))
			ranks = d->mesh.at[i].size > 0 && ranks % d->mesh.at[i].size == 0 ? ranks / d->mesh.at[i].size : 0;
	return ranks;
}

static void choose_others(struct counting *c, int i)
{
	struct space *space = c->space;
	while (i < space->knobs.n && space->knobs.at[i].kind == CHOICE_MESH)
		i++;
	if (i < space->knobs.n) {
		for (c->value[i] = 0; c->value[i] < space->knobs.at[i].values.n && !c->too_many; c->value[i]++)
			choose_others(c, i + 1);
		return;
	}
	int64_t ranks = open_ranks(c);
	if (ranks >= 0 && sets_mesh(space)) {
		choose_listed(c, 0, ranks);
		return;
	}
	for (int k = 0; k < space->knobs.n; k++)
		if (space->knobs.at[k].kind == CHOICE_MESH)
			c->value[k] = space->knobs.at[k].listed ? 0 : int_value(c->search, &space->knobs.at[k], 1);
	add(c);
}

bool search_candidates(struct search *s, int most)
{
	bool too_many = false;
	s->all.n = 0;
	for (int i = 0; i < s->spaces.n && !too_many; i++) {
		struct space *space = s->spaces.at[i];
		struct counting c = {
			.search = s, .space = space, .value = arena_array(s->arena, int, space->knobs.n + 1), .most = most};
		choose_others(&c, 0);
		too_many = c.too_many;
	}
	return !too_many;
}
