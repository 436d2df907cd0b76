/* Traffic that a plan causes and its author may not have meant: collectives that leave the fast level, layouts whose
 * order of mesh axes rules out an all-to-all, caches that each step gathers, copies of one value across a pipeline cut
 * (W0513, W0518, W0604, W0607, W0905). */
#include "lint.h"

/* ---- collectives and levels ------------------------------------------------------------------ */

static int level_of(const struct lint *t, const struct group *g)
{
	return planner_group_level(t->deploy, t->schedule, g);
}

/* The mesh axis of the group that reaches farthest: what to change. */
static const struct mesh_axis *farthest(const struct lint *t, const struct group *g)
{
	const struct atom *far = &t->schedule->atoms.at[g->atom[0]];
	for (int i = 1; i < g->n; i++) {
		const struct atom *a = &t->schedule->atoms.at[g->atom[i]];
		if (a->stride * a->size > far->stride * far->size)
			far = a;
	}
	return &t->deploy->mesh.at[far->mesh_axis];
}

/* "every layer", or "58 of 61 layers": those that run a collective of this kind over the mesh axis and the level. */
static const char *layers_with(const struct lint *t, enum dr_collective_kind kind, const struct mesh_axis *m, int level)
{
	const struct schedule *s = t->schedule;
	int64_t with = 0, all = 0;
	for (int body = 0; body < s->n_bodies; body++) {
		bool has = false;
		for (int i = 0; i < s->collectives.n && !has; i++) {
			const struct collective *c = &s->collectives.at[i];
			const struct group *g = &s->groups.at[c->group];
			has = c->per_layer && c->body == body && c->kind == kind && level_of(t, g) == level && farthest(t, g) == m;
		}
		with += has ? s->bodies[body].layers : 0;
		all += s->bodies[body].layers;
	}
	return with == all ? "every layer" : arena_printf(t->arena, "%lld of %lld layers", (long long)with, (long long)all);
}

static void check_collective(const struct lint *t, const struct collective *c)
{
	static const char *const kinds[] = {[DR_ALL_REDUCE] = "all-reduce",
	                                    [DR_ALL_GATHER] = "all-gather",
	                                    [DR_REDUCE_SCATTER] = "reduce-scatter",
	                                    [DR_ALL_TO_ALL] = "all-to-all"};
	const struct group *g = &t->schedule->groups.at[c->group];
	if (!c->per_layer || c->kind > DR_ALL_TO_ALL)
		return;
	int level = level_of(t, g);
	if (level < 1)
		return;
	const struct mesh_axis *m = farthest(t, g);
	const struct level *fast = &t->deploy->machine.levels.at[0], *slow = &t->deploy->machine.levels.at[level];
	struct diag *d = diag_report(t->sink, DIAG_W0604, m->span, "%s over `%s` crosses `%s` in %s", kinds[c->kind],
	                             m->name, slow->name, layers_with(t, c->kind, m, level));
	diag_related(t->sink, d, slow->span, "joins %lld of the units inside it", (long long)slow->count);
	if (d->notes.n < 2)
		diag_note(t->sink, d, "%s: %s", t->schedule->programs.at[c->program].name, c->cause);
	diag_help(t->sink, d, "a mesh axis stays inside `%s` when its size times the sizes listed after it divides %lld",
	          fast->name, (long long)fast->count);
}

/* W0607: stages send once in a step for each microbatch, not in every layer. */
static void check_send(const struct lint *t, const struct collective *c)
{
	const struct group *g = &t->schedule->groups.at[c->group];
	int level = c->kind == DR_SEND && g->n ? level_of(t, g) : 0;
	if (level < 1)
		return;
	const struct mesh_axis *m = farthest(t, g);
	const struct level *fast = &t->deploy->machine.levels.at[0], *slow = &t->deploy->machine.levels.at[level];
	struct diag *d =
		diag_report(t->sink, DIAG_W0607, m->span, "the pipeline's cuts over `%s` cross `%s`", m->name, slow->name);
	if (!d->notes.n)
		diag_related(t->sink, d, slow->span, "joins %lld of the units inside it", (long long)slow->count);
	diag_note(t->sink, d, "%s: %s", t->schedule->programs.at[c->program].name, c->cause);
	diag_help(t->sink, d,
	          "if the ranks do not fit in one `%s`, a cut is the least that can cross: say so, `// deploy: allow W0607 "
	          "reason`",
	          fast->name);
}

/* ---- orders of mesh axes --------------------------------------------------------------------- */

/* A reshard that gathers atoms and then slices by the same ones. */
struct detour {
	const struct local_value *start, *gather, *slice;
};

/* The reshard that ends at value `at`; false: it is not a detour. */
static bool detour_to(const struct local_phase *ph, int at, struct detour *out)
{
	const struct local_value *slice = &ph->values.at[at], *v = slice;
	*out = (struct detour){.slice = slice};
	if (slice->op != LOCAL_SLICE)
		return false;
	while (local_is_move(v) && v->region == slice->region) {
		for (int k = 0; v->op == LOCAL_ALL_GATHER && k < slice->move.atoms.n; k++)
			if (atoms_have(&v->move.atoms, slice->move.atoms.at[k]))
				out->gather = v;
		v = &ph->values.at[v->args[0]];
	}
	out->start = v;
	return out->gather != NULL;
}

/* Atoms of a target, sorted by the order of their mesh axes; atoms of one mesh axis stay together. */
static struct atoms in_order(const struct lint *t, const struct atoms *a, const int *order, int n)
{
	struct atoms out = {.n = 0};
	for (int i = 0; i < n; i++)
		for (int k = 0; k < a->n; k++)
			if (t->local->atoms.at[a->at[k]].mesh_axis == order[i])
				atoms_add(&out, a->at[k]);
	return out;
}

/* The next permutation in lexicographic order; false past the last. */
static bool next_order(int *order, int n)
{
	int i = n - 2, k = n - 1;
	while (i >= 0 && order[i] >= order[i + 1])
		i--;
	if (i < 0)
		return false;
	while (order[k] <= order[i])
		k--;
	int swap = order[i];
	order[i] = order[k], order[k] = swap;
	for (int a = i + 1, b = n - 1; a < b; a++, b--) {
		swap = order[a];
		order[a] = order[b], order[b] = swap;
	}
	return true;
}

static int position_in(const struct local_value *v, int axis)
{
	for (int i = 0; i < v->n_axes; i++)
		if (v->axes[i] == axis)
			return i;
	internal_error("a value is moved along an axis that it lacks");
}

enum { MAX_ORDERED = 6 }; /* mesh axes of a target: all their orders are tried */

/* An order of the rule's target with which an all-to-all suffices; NULL: there is none. `at_start`: the rule gives the
 * layout at the start of the reshard, else the one at its end. *traffic: what a rank then receives, relative to its
 * part. */
static const char *better_order(const struct lint *t, const struct detour *w, const struct rule *r, int axis,
                                bool at_start, double *traffic)
{
	if (!r || r->n_target < 2 || r->n_target > MAX_ORDERED)
		return NULL;
	int order[MAX_ORDERED], n = r->n_target, at = position_in(w->start, axis);
	for (int i = 0; i < n; i++) {
		int k = i;
		for (; k > 0 && order[k - 1] > r->target[i]; k--)
			order[k] = order[k - 1];
		order[k] = r->target[i];
	}
	const struct layout *changed = at_start ? &w->start->layout : &w->slice->layout;
	struct layout other = {.axis = arena_array(t->arena, struct atoms, w->start->n_axes + 1),
	                       .pending = changed->pending};
	do {
		for (int i = 0; i < w->start->n_axes; i++)
			other.axis[i] = changed->axis[i];
		other.axis[at] = in_order(t, &changed->axis[at], order, n);
		if (other.axis[at].n != changed->axis[at].n)
			continue;
		struct reshard_cost cost = reshard_cost_of(t->local, w->start->n_axes, at_start ? &other : &w->start->layout,
		                                           at_start ? &w->slice->layout : &other);
		if (!cost.detour) {
			struct text text = {.arena = t->arena};
			*traffic = cost.traffic;
			for (int i = 0; i < n; i++)
				text_add(&text, "%s%s", i ? " * " : "", t->deploy->mesh.at[order[i]].name);
			return text.at;
		}
	} while (next_order(order, n));
	return NULL;
}

static void report_detour(const struct lint *t, const struct detour *w, int phase)
{
	struct sink unseen = {.arena = t->arena, .sources = t->sink->sources};
	const struct rule *from =
		deploy_rule(t->deploy, &unseen, w->gather->move.from, w->start->region, phase, CLASS_ACTIVATION);
	const struct rule *to =
		deploy_rule(t->deploy, &unseen, w->slice->move.to, w->slice->region, phase, CLASS_ACTIVATION);
	double from_traffic = 0, to_traffic = 0;
	const char *from_order = better_order(t, w, from, w->gather->move.from, true, &from_traffic);
	const char *to_order = better_order(t, w, to, w->slice->move.to, false, &to_traffic);
	bool change_to = to_order && (!from_order || (to->in_user_file && !from->in_user_file));
	const struct rule *change = change_to ? to : from_order ? from : NULL, *other = change_to ? from : to;
	if (!change)
		return;
	struct diag *d = diag_report(t->sink, DIAG_W0513, change->target_span,
	                             "axis order forces all-gather and slice instead of all-to-all");
	if (d->help)
		return;
	if (other)
		diag_related(t->sink, d, other->target_span, "the other order");
	diag_note(t->sink, d, "%s in %s: a rank receives %.3g times its part of the value; in the other order, %.3g times",
	          w->slice->move.cause, phase_name(phase),
	          reshard_cost_of(t->local, w->start->n_axes, &w->start->layout, &w->slice->layout).traffic,
	          change_to ? to_traffic : from_traffic);
	diag_help(t->sink, d, "write `%s`", change_to ? to_order : from_order);
	if (change->in_user_file)
		diag_fix(t->sink, d, change->target_span, change_to ? to_order : from_order);
}

/* ---- caches ---------------------------------------------------------------------------------- */

/* The state that a value is a view of, or -1. *axis becomes the state's axis. */
static int state_of(const struct lint *t, const struct local_phase *ph, int local, int *axis)
{
	const struct program *p = t->local->program;
	const struct local_value *v = &ph->values.at[local];
	while (v->op == LOCAL_OP && (p->values.at[v->source].op == OP_PIECE || p->values.at[v->source].op == OP_RENAME)) {
		if (p->values.at[v->source].view.to == *axis)
			*axis = p->values.at[v->source].view.from;
		v = &ph->values.at[v->args[0]];
	}
	return v->op == LOCAL_OP && p->values.at[v->source].op == OP_APPEND ? p->values.at[v->source].append.state : -1;
}

static void check_cache(const struct lint *t, int phase, int local)
{
	const struct local_value *v = &t->local->phase[phase].values.at[local];
	int from = v->move.from;
	int state = v->op == LOCAL_ALL_GATHER ? state_of(t, &t->local->phase[phase], v->args[0], &from) : -1;
	if (state < 0)
		return;
	struct sink unseen = {.arena = t->arena, .sources = t->sink->sources};
	const struct program *p = t->local->program;
	const struct state *s = &p->states.at[state];
	const struct rule *r = deploy_rule(t->deploy, &unseen, from, s->region, PHASE_ANY, CLASS_CACHE);
	if (!r)
		internal_error("no rule splits `%s`", s->path);
	const char *axis = p->axes.at[from].name,
			   *mesh = t->deploy->mesh.at[t->local->atoms.at[v->move.atoms.at[0]].mesh_axis].name;
	struct diag *d = diag_report(t->sink, DIAG_W0518, r->target_span,
	                             "each step gathers the cache: attention needs all of `%s`", axis);
	if (d->help)
		return;
	diag_related(t->sink, d, s->span, "held in %lld parts, `%s`", (long long)atoms_size(t->local, &v->move.atoms),
	             atoms_text(t->local, &v->move.atoms));
	diag_help(t->sink, d, "place `batch` on `%s` there, or heads: `at attn { batch -> %s }`", mesh, mesh);
}

/* ---- pipeline cuts --------------------------------------------------------------------------- */

/* The number of ranks of one stage along a mesh axis that hold the same part of a value. */
static int64_t copies_over(const struct lint *t, const struct local_value *v, int mesh_axis)
{
	int64_t copies = 1;
	for (int a = 0; a < t->local->atoms.n; a++) {
		bool cut = t->local->atoms.at[a].mesh_axis != mesh_axis || atoms_have(&t->local->stages, a);
		for (int i = 0; i < v->n_axes; i++)
			cut |= atoms_have(&v->layout.axis[i], a);
		copies *= cut ? 1 : t->local->atoms.at[a].size;
	}
	return copies;
}

static void report_copies(const struct lint *t, const struct local_value *v, int mesh_axis, int64_t copies)
{
	const struct mesh_axis *m = &t->deploy->mesh.at[mesh_axis];
	const char *name = t->local->program->values.at[v->source].name;
	struct diag *d =
		diag_report(t->sink, DIAG_W0905, m->span, "%lld identical copies of `%s` cross each cut of the pipeline",
	                (long long)copies, name ? name : "x");
	const struct program *p = t->local->program;
	diag_related(t->sink, d, p->loops.at[p->bodies.at[v->body].loop].span,
	             "carried from turn to turn, and from stage to stage");
	const char *phase = phase_name(t->deploy->needs_training ? PHASE_TRAIN : PHASE_PREFILL);
	diag_note(t->sink, d, "%s: ranks along `%s` (%lld) send what their neighbours send", phase, m->name,
	          (long long)m->size);
	diag_help(t->sink, d, "cut it where it crosses: `phase %s { at residual { seq -> %s } }`", phase, m->name);
	if (copies == m->size && m->set.lo < m->set.hi && t->local->program->seq >= 0)
		diag_fix(t->sink, d, m->set,
		         arena_printf(t->arena, "%s = %lld; phase %s { at residual { seq -> %s } }", m->name,
		                      (long long)m->size, phase, m->name));
}

/* W0905, in prefill only: in decode one token of a sequence crosses a cut, and latency is the same without copies. */
static void check_cuts(const struct lint *t)
{
	const struct local_phase *ph = &t->local->phase[PHASE_PREFILL];
	for (int i = 0; t->local->stage_layers.n > 1 && i < ph->carries.n; i++)
		for (int axis = 0; axis < t->deploy->mesh.n; axis++) {
			const struct local_value *v = &ph->values.at[ph->carries.at[i].begin];
			int64_t copies = copies_over(t, v, axis);
			if (copies > 1 && !t->idle[PHASE_PREFILL][axis])
				report_copies(t, v, axis, copies);
		}
}

/* ---- all of it ------------------------------------------------------------------------------- */

void lint_traffic(const struct lint *t)
{
	for (int phase = 0; phase < PHASES; phase++)
		for (int i = 0; i < t->local->phase[phase].values.n; i++) {
			struct detour w;
			if (detour_to(&t->local->phase[phase], i, &w))
				report_detour(t, &w, phase);
			check_cache(t, phase, i);
		}
	check_cuts(t);
	for (int i = 0; t->schedule && i < t->schedule->collectives.n; i++) {
		check_collective(t, &t->schedule->collectives.at[i]);
		check_send(t, &t->schedule->collectives.at[i]);
	}
}
