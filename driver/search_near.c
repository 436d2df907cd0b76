/* A search in which nothing holds: the nearest candidate, and the smallest change with which a plan holds. */
#include <string.h>
#include "search.h"

static struct candidate *nearest_so_far(const struct search *s)
{
	struct candidate *best = NULL;
	for (int i = 0; i < s->all.n; i++) {
		struct candidate *c = &s->all.at[i];
		if (!best || c->reached > best->reached || (c->reached == best->reached && c->distance < best->distance))
			best = c;
	}
	return best;
}

/* The candidate that came furthest, and of those the nearest to what it needs. One that is bounded may lack more than
 * it says, or be refused by another rule. */
static const struct candidate *nearest(struct search *s)
{
	struct candidate *c = nearest_so_far(s);
	for (; c->bounded; c = nearest_so_far(s))
		search_try(s, c);
	return c;
}

static void note_claims(struct search *s, struct diag *d, const struct candidate *c)
{
	struct sink *sink = &s->compilation.sink;
	for (int i = 0; i < c->n_claims; i++)
		if (c->claim[i].miss > 0)
			diag_note(sink, d, "it misses `%s` by %.1f%%: %s%s, not %s", c->claim[i].text, 100 * c->claim[i].miss,
			          c->claim[i].bound ? "at best " : "", c->claim[i].shown, c->claim[i].wanted);
}

/* A mesh axis that the search does not set; NULL: it sets them all. */
static const char *closed_axis(const struct space *space)
{
	const struct deploy *d = space->deploy;
	for (int i = 0; i < d->mesh.n; i++) {
		bool open = false;
		for (int k = 0; k < space->knobs.n; k++)
			open |= space->knobs.at[k].axis == i;
		if (!open && d->mesh.at[i].size == 1)
			return d->mesh.at[i].name;
	}
	return NULL;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* Something with which a plan holds. */
struct change {
	double amount; /* as a share of what the spec has */
	const char *text;
};
enum { MAX_CHANGES = 3, LARGEST_CHANGE = 8 /* times the devices, parts of the batch */, PARTS = 8 };

static void fix(struct search *s, struct space *space, struct suggestion value)
{
	vec_push(s->arena, &space->fixed, sema_item(s->compilation.sema, value));
}

/* Gives every space so many devices. false: no space can have them. */
static bool fix_devices(struct search *s, int64_t devices)
{
	struct space **all = s->spaces.at;
	int n = 0;
	for (int i = 0; i < s->spaces.n; i++) {
		struct suggestion values[2];
		bool searched = search_knob(all[i], "gpus");
		for (int k = 0; k < all[i]->knobs.n; k++)
			searched |= all[i]->knobs.at[k].kind == CHOICE_COUNT;
		int n_values =
			searched || all[i]->deploy->gpus < 1 ? 0 : deploy_devices(all[i]->deploy, devices, s->arena, values);
		for (int k = 0; k < n_values; k++)
			fix(s, all[i], values[k]);
		if (n_values)
			all[n++] = all[i];
	}
	s->spaces.n = n;
	return n > 0;
}

static bool fix_batch(struct search *s, int64_t batch)
{
	const char *value = arena_printf(s->arena, "%lld", (long long)batch);
	bool may = true;
	for (int i = 0; i < s->spaces.n; i++) {
		may &= !search_knob(s->spaces.at[i], "workload.batch") && s->spaces.at[i]->deploy->work.batch > batch;
		fix(s, s->spaces.at[i], (struct suggestion){"workload.batch", value});
	}
	return may;
}

/* A list of the spaces that can be changed without changing those of the search. */
static void copy_spaces(struct search *s)
{
	struct space **at = arena_array(s->arena, struct space *, s->spaces.n + 1);
	for (int i = 0; i < s->spaces.n; i++) {
		at[i] = arena_new(s->arena, struct space);
		*at[i] = *s->spaces.at[i];
	}
	s->spaces.at = at;
}

/* A plan that holds with so many devices, or such a batch; NULL: none does. */
static const struct candidate *holds_with(struct search *s, bool (*change)(struct search *, int64_t), int64_t x)
{
	const struct candidate *found = NULL;
	struct search without = *s;
	copy_spaces(s);
	memset(&s->all, 0, sizeof s->all);
	if (change(s, x) && search_candidates(s, MAX_CANDIDATES)) {
		search_try_all(s, true);
		found = s->n_hold ? &s->all.at[s->ranked[0]] : NULL;
	}
	s->spaces = without.spaces;
	s->all = without.all;
	s->ranked = without.ranked;
	s->n_hold = without.n_hold;
	memcpy(s->counts, without.counts, sizeof s->counts);
	return found;
}

/* The fewest devices of those that are tried: 2, 4, 8 times as many, then the eighths of the last step. */
static void more_devices(struct search *s, int64_t gpus, struct change *out, int *n)
{
	const struct candidate *c = NULL;
	int64_t devices = gpus;
	while (!c && devices < LARGEST_CHANGE * gpus && !s->interrupted) {
		devices *= 2;
		c = holds_with(s, fix_devices, devices);
	}
	if (!c)
		return;
	for (int i = 1; i < PARTS && devices / 2 % PARTS == 0; i++) {
		const struct candidate *fewer = holds_with(s, fix_devices, devices / 2 + devices / 2 / PARTS * i);
		if (fewer) {
			c = fewer;
			break;
		}
	}
	out[(*n)++] = (struct change){c->gpus / (double)gpus - 1, arena_printf(s->arena, "with %.0f devices, `%s` holds",
	                                                                       c->gpus, search_choice(s, c, "; "))};
}

static void smaller_batch(struct search *s, int64_t batch, struct change *out, int *n)
{
	for (int64_t x = batch / 2; x >= 1 && x * LARGEST_CHANGE >= batch && !s->interrupted; x /= 2) {
		const struct candidate *c = holds_with(s, fix_batch, x);
		if (!c)
			continue;
		out[(*n)++] =
			(struct change){(double)batch / (double)x - 1, arena_printf(s->arena, "with a batch of %lld, `%s` holds",
		                                                                (long long)x, search_choice(s, c, "; "))};
		return;
	}
}

/* What the nearest plan reaches, in place of what is required, if nothing else refuses it. */
static void looser_claims(struct search *s, const struct candidate *c, struct change *out, int *n)
{
	struct text t = {.arena = s->arena};
	double most = 0;
	int n_missed = 0;
	for (int i = 0; i < c->n_claims; i++)
		n_missed += c->claim[i].miss > 0;
	if (c->n_others || n_missed < c->n_limits)
		return;
	for (int i = 0; i < c->n_claims; i++) {
		if (!(c->claim[i].miss > 0))
			continue;
		most = c->claim[i].miss > most ? c->claim[i].miss : most;
		text_add(&t, "%s`%s`", t.n ? " and " : "", c->claim[i].loosened);
	}
	if (t.n)
		out[(*n)++] = (struct change){most, arena_printf(s->arena, "the nearest plan is predicted to reach %s", t.at)};
}

static void sort_changes(struct change *all, int n)
{
	for (int i = 1; i < n; i++)
		for (int k = i; k > 0 && all[k].amount < all[k - 1].amount; k--) {
			struct change c = all[k];
			all[k] = all[k - 1], all[k - 1] = c;
		}
}

void search_report_none(struct search *s)
{
	struct sink *sink = &s->compilation.sink;
	const struct candidate *c = nearest(s);
	const struct deploy *d = c->space->deploy;
	struct change changes[MAX_CHANGES];
	int n = 0;
	bool may_help = c->refused != DIAG_E0816;
	if (d->gpus >= 1 && may_help)
		more_devices(s, d->gpus, changes, &n);
	if (may_help)
		smaller_batch(s, d->work.batch, changes, &n);
	looser_claims(s, c, changes, &n);
	sort_changes(changes, n);
	struct diag *report = diag_report(sink, DIAG_E0814, s->deploy->name_span, "none of the plans holds");
	diag_note(sink, report, "the nearest: `%s`: %s [%s]", search_choice(s, c, "; "), c->message,
	          diag_code_name(c->refused));
	note_claims(s, report, c);
	struct text help = {.arena = s->arena};
	for (int i = 0; i < n; i++)
		text_add(&help, "%s%s", i ? "; or " : "", changes[i].text);
	if (n)
		diag_help(sink, report, "%s", help.at);
	else if (closed_axis(c->space) && c->refused == DIAG_E0601)
		diag_help(sink, report, "leave another axis to the search: `%s = auto`", closed_axis(c->space));
}
