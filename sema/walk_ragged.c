/* Ragged axes. Such an axis has one extent for each index of another axis, its owner, and means nothing without it.
 * Slots of experts belong to one routing. */
#include "walk.h"

static bool is_ragged(const struct program *p, int axis)
{
	return p->axes.at[axis].kind == AXIS_RAGGED && p->axes.at[axis].of >= 0;
}

/* Has the value slots, whose number a routing decides and not the step? */
static bool has_slots(const struct program *p, const struct value *v)
{
	for (int i = 0; i < v->n_axes; i++)
		if (is_ragged(p, v->axes[i]) && p->axes.at[p->axes.at[v->axes[i]].of].extent)
			return true;
	return false;
}

int walk_routing(struct walk *w, const struct value *v)
{
	const struct program *p = w->p;
	bool begins = v->op == OP_ROUTE || v->op == OP_CARRY;
	if (v->type == TYPE_ROUTING)
		return begins || !v->n_args ? p->values.n : p->values.at[v->args[0]].routing;
	if (v->op == OP_DISPATCH)
		return p->values.at[v->args[1]].routing;
	for (int i = 0; i < v->n_args && has_slots(p, v); i++)
		if (v->args[i] >= 0 && p->values.at[v->args[i]].routing >= 0)
			return p->values.at[v->args[i]].routing;
	return -1;
}

/* Number of the value's axes that are the owner, or a part of it: one says whose the slots are. */
static int count_owners(const struct program *p, const struct value *v, int owner)
{
	int n = 0;
	for (int i = 0; i < v->n_axes; i++)
		n += axis_is_within(p, v->axes[i], owner);
	return n;
}

static bool has_owners(struct walk *w, const struct value *v)
{
	const struct program *p = w->p;
	for (int i = 0; i < v->n_axes; i++) {
		const struct axis *a = &p->axes.at[v->axes[i]];
		int owners = is_ragged(p, v->axes[i]) ? count_owners(p, v, a->of) : 1;
		if (owners == 1)
			continue;
		const char *owner = p->axes.at[a->of].name;
		struct diag *d =
			walk_report(w, DIAG_E0415, v->span, "`%s` leaves %s: `%s` %s `%s`", op_name(v->op),
		                walk_axes_text(w, (struct axes){v->axes, v->n_axes}), a->name,
		                owners ? "needs one axis that is, or is part of," : "means nothing without", owner);
		diag_related(w->s->sink, d, a->span, "an extent for each index of `%s`", owner);
		if (p->axes.at[a->of].extent)
			diag_help(w->s->sink, d, "do this after `combine`, which sums over `%s`", owner);
		return false;
	}
	return true;
}

static bool has_one_routing(struct walk *w, const struct value *v)
{
	const struct program *p = w->p;
	int first = -1;
	for (int i = 0; i < v->n_args; i++) {
		int routing = v->args[i] < 0 || (v->op == OP_DISPATCH && i == 0) ? -1 : p->values.at[v->args[i]].routing;
		if (routing < 0 || routing == first)
			continue;
		if (first < 0) {
			first = routing;
			continue;
		}
		struct diag *d = walk_report(w, DIAG_E0415, v->span,
		                             "`%s` of two routings: a slot holds different tokens in each", op_name(v->op));
		diag_related(w->s->sink, d, p->values.at[first].span, "one routing");
		diag_related(w->s->sink, d, p->values.at[routing].span, "another");
		diag_help(w->s->sink, d, "`combine` each with its own routing first");
		return false;
	}
	return true;
}

bool walk_ragged(struct walk *w, const struct value *v) { return has_owners(w, v) && has_one_routing(w, v); }

/* Checks that all slots of an axis hold tokens, or all hold rows: the axis is laid out like those. */
static bool hold_the_same(struct walk *w, const struct value *route)
{
	struct axis *slot = &w->p->axes.at[route->route.slot];
	int tokens = axes_have((struct axes){.at = route->axes, .n = route->n_axes}, w->p->row) ? w->p->row : w->p->seq;
	if (slot->tokens < 0 || slot->tokens == tokens) {
		slot->tokens = tokens;
		return true;
	}
	struct diag *d = walk_report(w, DIAG_E0415, route->span,
	                             "`%s` would hold positions of `%s`, but another routing fills it from `%s`",
	                             slot->name, w->p->axes.at[tokens].name, w->p->axes.at[slot->tokens].name);
	diag_related(w->s->sink, d, slot->span, "`%s` is declared here", slot->name);
	diag_help(w->s->sink, d, "declare another `axis slot = ragged(%s)` for one of them", w->p->axes.at[slot->of].name);
	return false;
}

bool walk_slots(struct walk *w, const struct value *route)
{
	const struct program *p = w->p;
	int expert = route->route.expert, slot = route->route.slot;
	if (is_ragged(p, slot) && p->axes.at[slot].of == expert)
		return hold_the_same(w, route);
	struct diag *d =
		walk_report(w, DIAG_E0415, route->span, "`slot` of `route` is `%s`, which has no extent for each index of `%s`",
	                p->axes.at[slot].name, p->axes.at[expert].name);
	diag_related(w->s->sink, d, p->axes.at[slot].span, "`%s` is declared here", p->axes.at[slot].name);
	diag_help(w->s->sink, d, "declare `axis slot = ragged(%s)`", p->axes.at[expert].name);
	return false;
}
